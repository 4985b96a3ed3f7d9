"""Suggestions: the smallest changes of a policy that would end the reports."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc

from flaskware_secure._policy.policy import Policy
from flaskware_secure._policy.vocabulary import Directives
from flaskware_secure._policy.vocabulary import FETCH_DIRECTIVES

from .report import Report
from .store import ReportGroup

_KEYWORDS = {
    "eval": "'unsafe-eval'",
    "wasm-eval": "'wasm-unsafe-eval'",
    "data": "data:",
    "blob": "blob:",
    "mediastream": "mediastream:",
    "filesystem": "filesystem:",
}
_IN_CODE = {
    "script-src-attr": "Move the handler in the markup into a script.",
    "style-src-attr": "Move the style attribute into a stylesheet.",
    "require-trusted-types-for": "Give the sink a value that a Trusted Types policy"
    " made.",
    "upgrade-insecure-requests": "Write https in the address.",
}


@dc.dataclass(frozen=True)
class Suggestion:
    """A change that would end some reports.

    :param directive: The directive, the feature or the subject of the reports.
    :param sources: Sources to append to it; empty where the page should change.
    :param advice: What to do, or to consider before appending.
    :param groups: The reports that it would end.
    :param report_only: True if they are of a report-only policy.
    """

    directive: str
    sources: tuple[str, ...]
    advice: str
    groups: tuple[ReportGroup, ...]
    report_only: bool = False

    @property
    def count(self) -> int:
        """Number of reports that it would end."""
        return sum(group.count for group in self.groups)


def suggest(
    groups: cabc.Iterable[ReportGroup], policy: Policy, *, report_only: bool = False
) -> list[Suggestion]:
    """Suggest changes, those that end most reports first.

    Appending is suggested only where it would have an effect: no host beside
    ``'strict-dynamic'``, and never a source that lets injected scripts run.

    :param policy: The policy that was reported on.
    :param report_only: True if its CSP is itself sent as report-only.
    """
    found: dict[tuple[bool, str, str], tuple[list[str], list[ReportGroup]]] = {}
    for group in groups:
        trial = group.report.disposition == "report"
        own = policy.csp_report_only if trial and not report_only else policy.csp
        directive, source, advice = _answer(group.report, own)
        sources, alike = found.setdefault((trial, directive, advice), ([], []))
        if source and source not in sources:
            sources.append(source)
        alike.append(group)
    suggestions = [
        Suggestion(directive, tuple(sources), advice, tuple(alike), trial)
        for (trial, directive, advice), (sources, alike) in found.items()
    ]
    return sorted(suggestions, key=lambda each: each.count, reverse=True)


def clean_since(groups: cabc.Iterable[ReportGroup], since: float) -> float:
    """Return the time since which a report-only policy has had no reports.

    :param since: Time from which the policy was in force, in seconds since 1970.
    """
    trials = (
        group.last_seen
        for group in groups
        if group.report.kind == "csp" and group.report.disposition == "report"
    )
    return max([since, *trials])


def _answer(report: Report, csp: Directives) -> tuple[str, str, str]:
    """Return the directive, the source to append or ``""``, and advice."""
    if report.kind == "csp":
        return _answer_csp(report, csp)
    if report.kind == "permissions":
        return report.subject, "self", "If the app's own pages should use it."
    if report.kind == "integrity":
        return report.subject, "", "Load it by static_script() or static_style()."
    return report.subject, "", "Change the page; no policy allows it."


def _answer_csp(report: Report, csp: Directives) -> tuple[str, str, str]:
    directive = report.subject
    if directive in _IN_CODE:
        return directive, "", _IN_CODE[directive]
    if directive == "trusted-types":
        return directive, report.sample.split("|")[0].strip(), ""
    for part in ("-elem", "-attr"):
        # One directive instead of two, unless the policy has the narrow directive.
        if directive.endswith(part) and directive not in csp:
            directive = directive.removesuffix(part)
    if report.blocked == "inline":
        return directive, "", "Give the element the nonce of csp_nonce()."
    is_script = directive.startswith(("script-src", "default-src"))
    if is_script and report.blocked not in {"eval", "wasm-eval"}:
        sources = csp.get(directive, ())
        dynamic = "'strict-dynamic'" in sources
        if dynamic or report.blocked in {"data", "blob", ""}:
            return directive, "", "Give the script element the nonce of csp_nonce()."
    return directive, _source(report), _caution(report)


def _source(report: Report) -> str:
    if report.blocked in _KEYWORDS:
        return _KEYWORDS[report.blocked]
    if report.blocked == "self" or report.document.startswith(f"{report.blocked}/"):
        return "'self'"
    return report.blocked


def _caution(report: Report) -> str:
    if report.blocked == "eval":
        return "Better: write code without eval, which runs text as a script."
    if report.subject in FETCH_DIRECTIVES:
        return ""
    return "Only if that address is yours or trusted."
