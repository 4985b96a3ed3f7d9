"""Reports of browsers about blocked content, in one short and safe form."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import hashlib
import json
import re
import typing as t
from urllib.parse import urlsplit

from flaskware_secure._policy.inline import hash_source
from flaskware_secure._policy.vocabulary import DIRECTIVES

CSP_REPORT = "application/csp-report"
REPORTS_JSON = "application/reports+json"

ReportKind: t.TypeAlias = t.Literal[
    "csp", "coop", "coep", "permissions", "integrity", "deprecation", "intervention"
]

# The kind of a report by its `type` in application/reports+json.
_KINDS: dict[str, ReportKind] = {
    "csp-violation": "csp",
    "coop": "coop",
    "coep": "coep",
    "permissions-policy-violation": "permissions",
    "potential-permissions-policy-violation": "permissions",
    "integrity-violation": "integrity",
    "deprecation": "deprecation",
    "intervention": "intervention",
}
_LONGEST = 300
_MOST = 100
# CSP3, section 5.5 (and Trusted Types, section 4.4): a longer sample is cut.
_WHOLE_SAMPLE = 40
# In place of a URL, a browser reports a word, such as "inline" or a scheme, or the
# serialized origin: in lower case, and in ASCII.
_BLOCKED = re.compile(
    r"[a-z][a-z0-9+.-]{0,40}"
    r"|(https?|wss?)://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?)(:[0-9]{1,5})?"
)
_SUBJECT = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,79}")
# Addresses of browser extensions and of the browser's own pages.
_NOISY_SCHEMES = frozenset(
    {
        "about", "chrome", "chrome-extension", "moz-extension", "ms-browser-extension",
        "resource", "safari-extension", "safari-web-extension", "webkit-masked-url",
    }
)  # fmt: skip
_NOISY_SOURCES = frozenset({"sandbox eval code", "user-script"})


class ReportError(ValueError):
    """A body is not a report in either of the two formats."""


@dc.dataclass(frozen=True)
class Report:
    """One violation that a browser reported.

    Addresses have neither query nor fragment, and long texts are cut.

    :param disposition: ``"enforce"`` if it was blocked, ``"report"`` if a report-only
        policy would block it.
    :param subject: The directive, the feature or the deprecated API.
    :param blocked: The origin of the blocked content, or a keyword such as
        ``"inline"``.
    :param document: The address of the page.
    :param source: The address of the script that did it, if the browser knows.
    :param line: The line in it; 0 if not known.
    :param sample: The first 40 characters of an inline script, where the policy asks
        for it by ``'report-sample'``; the sink and text for Trusted Types.
    :param code_hash: The source that allows the inline code, such as ``"'sha256-…'"``,
        if the sample is all of it.
    """

    kind: ReportKind
    disposition: str
    subject: str
    blocked: str = ""
    document: str = ""
    source: str = ""
    line: int = 0
    sample: str = ""
    code_hash: str = ""

    @property
    def key(self) -> str:
        """Key that reports of the same violation share: 64 hexadecimal digits."""
        same = (
            self.kind, self.disposition, self.subject, self.blocked, self.source,
            self.line, self.code_hash,
        )  # fmt: skip
        return hashlib.sha256(json.dumps(same).encode()).hexdigest()

    @property
    def is_plausible(self) -> bool:
        """False if no browser writes such a report, as for a directive of no policy."""
        if self.kind == "csp" and self.subject not in DIRECTIVES:
            return False
        if not _SUBJECT.fullmatch(self.subject):
            return False
        return not self.blocked or _BLOCKED.fullmatch(self.blocked) is not None

    @property
    def is_noise(self) -> bool:
        """True if an extension of the browser, and not the page, caused it."""
        return self.source in _NOISY_SOURCES or any(
            address.partition(":")[0].lower() in _NOISY_SCHEMES
            for address in (self.source, self.blocked, self.document)
        )


def parse_reports(content_type: str, body: bytes) -> list[Report]:
    """Read the reports of one request, without those of unknown kinds.

    :param content_type: ``application/csp-report`` (CSP2, section 4.4) or
        ``application/reports+json`` (W3C Reporting API).
    :raises ReportError: if the body is not of that type.
    """
    try:
        content = t.cast("object", json.loads(body))
    except (ValueError, RecursionError):
        raise ReportError("The body is not JSON.") from None
    if content_type == CSP_REPORT:
        inner = _mapping(content).get("csp-report")
        return [_csp_report(_mapping(inner))]
    if not isinstance(content, list):
        raise ReportError("The body is not a list of reports.")
    found: list[Report] = []
    for item in t.cast("list[object]", content)[:_MOST]:
        outer = _mapping(item)
        kind = _KINDS.get(_text(outer.get("type")))
        if kind is not None:
            found.append(_reported(kind, outer, _mapping(outer.get("body"))))
    return found


def _csp_report(body: cabc.Mapping[str, object]) -> Report:
    names = ("effective-directive", "violated-directive")
    subject = _first_word(body, names)
    if not subject:
        raise ReportError("The report names no directive.")
    return Report(
        kind="csp",
        disposition=_disposition(body.get("disposition")),
        subject=subject,
        blocked=_blocked(body.get("blocked-uri")),
        document=_address(body.get("document-uri")),
        source=_address(body.get("source-file")),
        line=_number(body.get("line-number")),
        sample=_text(body.get("script-sample")),
        code_hash=_code_hash(body.get("blocked-uri"), body.get("script-sample")),
    )


def _reported(
    kind: ReportKind, outer: cabc.Mapping[str, object], body: cabc.Mapping[str, object]
) -> Report:
    disposition = body.get("disposition")
    if body.get("reportOnly") is True:
        disposition = "report"
    return Report(
        kind=kind,
        disposition=_disposition(disposition),
        subject=_first_word(body, _SUBJECTS[kind]) or "unknown",
        blocked=_blocked(body.get("blockedURL") or body.get("openeeURL")),
        document=_address(body.get("documentURL") or outer.get("url")),
        source=_address(body.get("sourceFile")),
        line=_number(body.get("lineNumber")),
        sample=_text(body.get("sample") or body.get("message")),
        code_hash=_code_hash(body.get("blockedURL"), body.get("sample")),
    )


_SUBJECTS: dict[ReportKind, tuple[str, ...]] = {
    "csp": ("effectiveDirective",),
    "coop": ("type", "effectivePolicy"),
    "coep": ("type", "destination"),
    "permissions": ("featureId", "policyId"),
    "integrity": ("destination",),
    "deprecation": ("id",),
    "intervention": ("id",),
}


def _mapping(value: object) -> cabc.Mapping[str, object]:
    if not isinstance(value, dict):
        raise ReportError("A report is not an object.")
    return t.cast("dict[str, object]", value)


def _text(value: object) -> str:
    """Return a text that is safe in a terminal and a log; ``""`` for other types."""
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value[:_LONGEST])


def _first_word(body: cabc.Mapping[str, object], names: tuple[str, ...]) -> str:
    """Return the first word of the first value that has any.

    In ``violated-directive`` of CSP2, the sources follow the directive.
    """
    words = (word for name in names for word in _text(body.get(name)).split()[:1])
    return next(words, "")


def _number(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1 << 31 else 0


def _code_hash(blocked: object, sample: object) -> str:
    """Return the hash of inline code of which a report has the whole."""
    if blocked != "inline" or not isinstance(sample, str):
        return ""
    if not 0 < len(sample) < _WHOLE_SAMPLE:
        return ""
    return hash_source(sample)


def _disposition(value: object) -> str:
    return "report" if _text(value) in {"report", "reporting"} else "enforce"


def _address(value: object) -> str:
    return _text(value).partition("#")[0].partition("?")[0]


def _blocked(value: object) -> str:
    """Return the origin of an address: its path may be as secret as its query."""
    text = _address(value)
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    if parts.netloc:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return text.partition(":")[0]
