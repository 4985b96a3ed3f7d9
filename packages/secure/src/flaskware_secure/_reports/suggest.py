"""Suggestions: the smallest changes of a policy that would end the reports.

Anybody can send a report, so a suggestion says how many clients saw a thing, keeps back
what only a single client says, and warns of every address that is not the app's.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_secure._policy.lint import lint
from flaskware_secure._policy.policy import Append
from flaskware_secure._policy.policy import append
from flaskware_secure._policy.policy import Policy
from flaskware_secure._policy.vocabulary import Directives
from flaskware_secure._policy.vocabulary import FEATURES
from flaskware_secure._policy.weakness import weaknesses

from .report import Report
from .store import latest
from .store import Ledger
from .store import ReportGroup

_KEYWORDS = {
    "eval": "'unsafe-eval'",
    "wasm-eval": "'wasm-unsafe-eval'",
    "data": "data:",
    "blob": "blob:",
    "mediastream": "mediastream:",
    "filesystem": "filesystem:",
}
_ATTRIBUTES = {
    "script-src-attr": "Move the handler in the markup into a script that has the"
    " nonce; `flask secure hash` lists the handlers of a template.",
    "style-src-attr": "Move the style attribute into a stylesheet.",
}
_IN_CODE = {
    "require-trusted-types-for": "Give the sink a value that a Trusted Types policy"
    " made.",
    "upgrade-insecure-requests": "Write https in the address.",
}
_NONCE = "Give the element the nonce of csp_nonce()."
_DECIDING = ("script-src-elem", "script-src", "default-src")
# By directive, most special first: what does not happen where the policy is enforced.
_EFFECTS = {
    "script-src-attr": "Where it is enforced, the handler does not run and the element"
    " acts without it: a button whose handler asks `confirm(…)` deletes at the first"
    " click.",
    "script-src": "Where it is enforced, the script does not run.",
    "style-src": "Where it is enforced, the page looks different, and what a style"
    " hides may show.",
    "form-action": "Where it is enforced, the form is not sent.",
    "connect-src": "Where it is enforced, the script gets an error instead of an"
    " answer.",
    "frame-ancestors": "Where it is enforced, the other site shows an empty frame.",
    "frame-src": "Where it is enforced, the frame stays empty.",
}
# By directive: the power of those who control an address.
_POWERS = {
    "script-src": "can run scripts in your pages, as the visitor",
    "worker-src": "can run scripts in your pages, as the visitor",
    "object-src": "can run content in your pages, as the visitor",
    "base-uri": "can answer every relative address of the page, scripts included",
    "style-src": "can restyle your pages and read what they show",
    "connect-src": "receives what scripts send there",
    "form-action": "receives what people type into the form",
    "frame-ancestors": "can show your pages in a frame and misdirect clicks on them",
    "frame-src": "can show pages of its own inside yours",
}
_POWER = "learns who visits which page"
_COSTS = {
    "'unsafe-eval'": "'unsafe-eval' runs text as a script. Better: write code without"
    " eval.",
    "'unsafe-hashes'": "With 'unsafe-hashes', injected markup can attach the same code"
    " to any element. The hash changes with every change of the code.",
}


@dc.dataclass(frozen=True)
class Withheld:
    """A source that is not suggested.

    :param reason: Sentence that says why.
    """

    source: str
    reason: str


@dc.dataclass(frozen=True)
class Suggestion:
    """A change that would end some reports.

    :param directive: The directive, the feature or the subject of the reports.
    :param sources: Sources to append to it; empty where the page should change.
    :param advice: What to do, or to consider before appending.
    :param groups: The reports that it would end.
    :param report_only: True if they are of a report-only policy.
    :param change: The argument to write, as for ``override()``; empty without sources.
    :param effect: The change that users notice where the policy is enforced.
    :param cautions: The power that each source gives, and its cost.
    :param withheld: Sources that are not suggested, and why.
    """

    directive: str
    sources: tuple[str, ...]
    advice: str
    groups: tuple[ReportGroup, ...]
    report_only: bool = False
    change: str = ""
    effect: str = ""
    cautions: tuple[str, ...] = ()
    withheld: tuple[Withheld, ...] = ()

    @property
    def count(self) -> int:
        """Number of reports that it would end."""
        return sum(group.count for group in self.groups)

    @property
    def clients(self) -> int:
        """Number of distinct clients that reported it; 16 stands for more."""
        return len(_clients(self.groups))

    @property
    def pages(self) -> int:
        """Number of distinct pages that it was reported about."""
        return len({page for group in self.groups for page in group.pages})


@dc.dataclass(frozen=True)
class Trial:
    """Evidence about the report-only policy of an app. Times are seconds since 1970.

    :param since: Time from which the policy was in force.
    :param last_report: Time of the last violation; ``None`` if there was none.
    :param last_unread: Time of the last loss of reports that nobody has read.
    """

    since: float
    last_report: float | None = None
    last_unread: float | None = None

    @property
    def clean_since(self) -> float:
        """Time since which no violation can have happened.

        Reports that were lost unread may have been violations.
        """
        found = latest(self.since, self.last_report, self.last_unread)
        return t.cast("float", found)


def trial_of(ledger: Ledger, since: float) -> Trial:
    """Return the evidence about a policy that is in force since some time."""
    return Trial(since, ledger.last_trial, ledger.last_unread)


@dc.dataclass(frozen=True)
class _Answer:
    """The remedy for one group of reports: sources to add, or advice, or both."""

    directive: str
    sources: tuple[str, ...] = ()
    advice: str = ""


def suggest(
    groups: cabc.Iterable[ReportGroup],
    policy: Policy,
    *,
    report_only: bool = False,
    min_clients: int = 2,
) -> list[Suggestion]:
    """Suggest changes, those that end most reports first.

    Appending is suggested only where it would have an effect and the lint of the
    changed policy finds nothing new: no host beside ``'strict-dynamic'``, and never a
    source that lets injected scripts run.

    :param policy: The policy that was reported on.
    :param report_only: True if its CSP is itself sent as report-only.
    :param min_clients: Number of clients that must have reported a source.
    """
    found: dict[tuple[bool, str, str], dict[tuple[str, ...], list[ReportGroup]]] = {}
    for group in groups:
        trial = group.report.disposition == "report"
        own = policy.csp_report_only if trial and not report_only else policy.csp
        answer = _answer(group.report, own)
        alike = found.setdefault((trial, answer.directive, answer.advice), {})
        alike.setdefault(answer.sources, []).append(group)
    suggestions = [
        _suggestion(
            directive,
            advice,
            by_sources,
            # Only a CSP is sent as report-only by the setting of that name.
            _Trying(
                policy, in_trial=trial and (directive in FEATURES or not report_only)
            ),
            min_clients,
            report_only=trial,
        )
        for (trial, directive, advice), by_sources in found.items()
    ]
    return sorted(suggestions, key=lambda each: each.count, reverse=True)


def _suggestion(
    directive: str,
    advice: str,
    by_sources: cabc.Mapping[tuple[str, ...], list[ReportGroup]],
    trying: _Trying,
    min_clients: int,
    *,
    report_only: bool,
) -> Suggestion:
    sources: list[str] = []
    cautions: list[str] = []
    withheld: list[Withheld] = []
    for wanted, groups in by_sources.items():
        if not wanted:
            continue
        reason = _too_few(groups, min_clients) or trying.objection(directive, wanted)
        if reason:
            withheld.append(Withheld(" ".join(wanted), reason))
            continue
        sources.extend(wanted)
        for source in wanted:
            cautions.extend(_cautions(directive, source))
        cautions.extend(trying.weakened(directive, wanted))
    kept = tuple(dict.fromkeys(sources))
    return Suggestion(
        directive,
        kept,
        advice,
        tuple(group for alike in by_sources.values() for group in alike),
        report_only,
        change=trying.written(directive, kept) if kept else "",
        effect=_by_directive(_EFFECTS, directive),
        cautions=tuple(dict.fromkeys(cautions)),
        withheld=tuple(withheld),
    )


class _Trying:
    """A policy, and what lint says of it with more sources."""

    def __init__(self, policy: Policy, *, in_trial: bool) -> None:
        self._policy = policy
        self._field = "csp_report_only" if in_trial else "csp"
        self._permissions = "permissions_report_only" if in_trial else "permissions"
        self._problems = _codes(policy)
        self._weak = self._weaknesses(policy)

    def objection(self, directive: str, sources: tuple[str, ...]) -> str:
        """Return the first problem that the changed policy has and the old has not."""
        changed = self._changed(directive, sources)
        new = _codes(changed)
        for code in new.keys() - self._problems.keys():
            return f"lint refuses it ({code[1]}): expected {new[code]}"
        return ""

    def weakened(self, directive: str, sources: tuple[str, ...]) -> list[str]:
        """Return the new ways around the changed policy, as sentences."""
        new = self._weaknesses(self._changed(directive, sources))
        return [f"This weakens the policy: {text}." for text in new - self._weak]

    def written(self, directive: str, sources: tuple[str, ...]) -> str:
        """Return the change as an argument of ``override()``."""
        if directive in FEATURES:
            return f"{self._permissions}={{{directive!r}: {list(sources)}}}"
        change = self._change(directive, sources)
        if isinstance(change, Append):
            value = f"append({', '.join(map(repr, sources))})"
        else:
            value = repr(list(sources))
        if self._field == "csp":
            return f"{directive.replace('-', '_')}={value}"
        return f"csp_report_only={{{directive!r}: {value}}}"

    def _changed(self, directive: str, sources: tuple[str, ...]) -> Policy:
        changes: dict[str, t.Any]
        if directive in FEATURES:
            changes = {self._permissions: {directive: append(*sources)}}
        else:
            changes = {self._field: {directive: self._change(directive, sources)}}
        return self._policy.changed(**changes)

    def _change(
        self, directive: str, sources: tuple[str, ...]
    ) -> Append | tuple[str, ...]:
        # Sources of scripts say nothing about handlers: those have hashes only.
        own = t.cast("Directives", getattr(self._policy, self._field))
        if directive in _ATTRIBUTES and directive not in own:
            return sources
        return append(*sources)

    def _weaknesses(self, policy: Policy) -> set[str]:
        found = weaknesses(t.cast("Directives", getattr(policy, self._field)))
        return {each.message for each in found}


def _codes(policy: Policy) -> dict[tuple[str, str], str]:
    return {(each.key, each.code): each.expected for each in lint(policy)}


def _clients(groups: cabc.Iterable[ReportGroup]) -> set[str]:
    return {client for group in groups for client in group.clients}


def _too_few(groups: cabc.Iterable[ReportGroup], min_clients: int) -> str:
    clients = len(_clients(groups))
    if clients >= min_clients:
        return ""
    said = "only one client reported it" if clients == 1 else "no client is known"
    if clients > 1:
        said = f"only {clients} clients reported it"
    return f"{said}, and anybody can send a report"


def _cautions(directive: str, source: str) -> cabc.Iterator[str]:
    if source in _COSTS:
        yield _COSTS[source]
    if "://" not in source:
        return
    power = _by_directive(_POWERS, directive) or _POWER
    text = f"{source} is not this app: its owner {power}."
    if source.startswith(("http:", "ws:")):
        text += " What it sends can be changed on the way; use its https address."
    yield text


def _by_directive(texts: cabc.Mapping[str, str], directive: str) -> str:
    return next((text for d, text in texts.items() if directive.startswith(d)), "")


def _answer(report: Report, csp: Directives) -> _Answer:
    if report.kind == "csp":
        return _answer_csp(report, csp)
    subject = report.subject
    if report.kind == "permissions" and subject in FEATURES:
        return _Answer(subject, ("self",), "If the app's own pages should use it.")
    if report.kind == "integrity":
        return _Answer(subject, (), "Load it by static_script() or static_style().")
    return _Answer(subject, (), "Change the page; no policy allows it.")


def _answer_csp(report: Report, csp: Directives) -> _Answer:
    directive = report.subject
    if directive in _IN_CODE:
        return _Answer(directive, (), _IN_CODE[directive])
    if directive == "trusted-types":
        name = report.sample.split("|")[0].strip()
        if not name:
            return _Answer(directive, (), "Name the policy that the script creates.")
        return _Answer(directive, (name,))
    if directive in _ATTRIBUTES:
        by_hash = ("'unsafe-hashes'", report.code_hash) if report.code_hash else ()
        return _Answer(directive, by_hash, _ATTRIBUTES[directive])
    if directive.endswith("-elem") and directive not in csp:
        # One directive instead of two, unless the policy has the narrow directive.
        directive = directive.removesuffix("-elem")
    if report.blocked == "inline":
        return _answer_inline(report, directive)
    if directive.startswith(("script-src", "default-src")) and _is_void(report, csp):
        return _Answer(directive, (), f"{_NONCE} The address has no say here.")
    source = _source(report)
    if not source:
        return _Answer(directive, (), "Name the origin that the page asks.")
    return _Answer(directive, (source,))


def _answer_inline(report: Report, directive: str) -> _Answer:
    if not report.code_hash:
        return _Answer(directive, (), _NONCE)
    advice = f"{_NONCE} A hash is for code that never changes."
    return _Answer(directive, (report.code_hash,), advice)


def _is_void(report: Report, csp: Directives) -> bool:
    """True if a source for the script has no effect, or allows injected code."""
    if report.blocked in {"eval", "wasm-eval"}:
        return False
    if report.blocked in {"data", "blob", ""}:
        return True
    decides = next((d for d in _DECIDING if d in csp), "")
    return "'strict-dynamic'" in csp.get(decides, ())


def _source(report: Report) -> str:
    if report.blocked in _KEYWORDS:
        return _KEYWORDS[report.blocked]
    if report.blocked == "self" or report.document.startswith(f"{report.blocked}/"):
        return "'self'"
    # Any other word is a scheme: wide open, or of the browser itself.
    return report.blocked if "://" in report.blocked else ""
