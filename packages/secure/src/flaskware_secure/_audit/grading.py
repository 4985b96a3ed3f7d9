"""A grade for the headers of a response, and what cost points.

The points are those that MDN publishes for its HTTP Observatory ("Tests & Scoring").
The redirect to https counts only where an address is audited from outside.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re

from flaskware_secure._policy.parsing import parse_csp

from .grading_content import grade_cookies
from .grading_content import grade_scripts
from .grading_content import grade_sharing
from .grading_content import GradeFinding

_LETTERS = (
    (100, "A+"), (90, "A"), (85, "A-"), (80, "B+"), (70, "B"), (65, "B-"), (60, "C+"),
    (50, "C"), (45, "C-"), (40, "D+"), (30, "D"), (25, "D-"),
)  # fmt: skip
# Bonus points count only for who has lost few.
_BONUS_FROM = 90
_HALF_A_YEAR = 15768000
_PRIVATE_REFERRERS = frozenset(
    {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
)
_MAX_AGE = re.compile(r"max-age=\"?(\d+)", re.IGNORECASE)
_BROAD = frozenset({"*", "data:", "http:", "https:", "blob:"})


@dc.dataclass(frozen=True)
class Grade:
    """A grade between ``"A+"`` and ``"F"``, and how it came about."""

    letter: str
    score: int
    findings: tuple[GradeFinding, ...]


def grade_headers(
    lines: cabc.Iterable[tuple[str, str]], *, body: str = "", host: str = ""
) -> Grade:
    """Grade the headers of one response as if it came over https.

    :param body: The page, for the scripts that it loads.
    :param host: The host of the page; scripts of others are to have integrity.
    """
    headers: dict[str, list[str]] = {}
    for name, value in lines:
        headers.setdefault(name.lower(), []).append(value)
    policies = [
        parse_csp(value) for value in headers.get("content-security-policy", ())
    ]
    findings = (
        *_grade_csp(policies),
        *_grade_framing(headers, policies),
        *_grade_hsts(headers),
        *_grade_nosniff(headers),
        *_grade_referrer(headers),
        *_grade_resource(headers),
        *grade_cookies(headers.get("set-cookie", ()), hsts=_hsts(headers) > 0),
        *grade_sharing(headers),
        *grade_scripts(body, host),
    )
    return graded(findings)


def graded(findings: tuple[GradeFinding, ...]) -> Grade:
    """The grade that findings come to."""
    score = 100 + sum(f.points for f in findings if f.points < 0)
    if score >= _BONUS_FROM:
        score += sum(f.points for f in findings if f.points > 0)
    score = max(score, 0)
    letter = next((letter for least, letter in _LETTERS if score >= least), "F")
    return Grade(letter, score, findings)


def script_weakness(csp: cabc.Mapping[str, tuple[str, ...]]) -> str | None:
    """The source by which a policy lets injected scripts run, or ``None``."""
    for directive in ("script-src-elem", "script-src", "default-src"):
        if directive in csp:
            sources = csp[directive]
            break
    else:
        return "no script-src and no default-src"
    vouched = any(s.startswith(("'nonce", "'sha")) for s in sources)
    if "'unsafe-inline'" in sources and not vouched:
        return "'unsafe-inline'"
    if "'strict-dynamic'" not in sources:
        return next((s for s in sources if s in _BROAD), None)
    return None


def _grade_csp(
    policies: list[dict[str, tuple[str, ...]]],
) -> cabc.Iterator[GradeFinding]:
    if not policies:
        yield GradeFinding(
            "csp-missing",
            -25,
            "No Content-Security-Policy is enforced.",
            "Send the policy enforced: SECURE_REPORT_ONLY = False.",
        )
        return
    # All policies are enforced, so what one of them forbids is forbidden.
    weaknesses = [script_weakness(csp) for csp in policies]
    if all(weaknesses):
        yield GradeFinding(
            "csp-unsafe-scripts",
            -20,
            f"The CSP lets injected scripts run: {weaknesses[0]}.",
            "script-src: \"'nonce'\", \"'strict-dynamic'\"",
        )
    elif all("'unsafe-eval'" in _scripts(csp) for csp in policies):
        yield GradeFinding(
            "csp-unsafe-eval",
            -10,
            "The CSP lets scripts make code of text ('unsafe-eval').",
            "Remove 'unsafe-eval', or write 'wasm-unsafe-eval' for WebAssembly.",
        )
    elif any("'unsafe-inline'" in csp.get("style-src", ()) for csp in policies):
        yield GradeFinding(
            "csp-unsafe-styles", 0, "The CSP allows inline styles.", "Use 'nonce'."
        )
    elif any(csp.get("default-src") == ("'none'",) for csp in policies):
        yield GradeFinding("csp-default-none", 10, "The CSP allows what it names only.")
    else:
        yield GradeFinding("csp-no-unsafe", 5, "The CSP runs no injected script.")


def _scripts(csp: cabc.Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return csp.get("script-src", csp.get("default-src", ()))


def _grade_framing(
    headers: cabc.Mapping[str, list[str]],
    policies: list[dict[str, tuple[str, ...]]],
) -> cabc.Iterator[GradeFinding]:
    ancestors = [csp["frame-ancestors"] for csp in policies if "frame-ancestors" in csp]
    if any(not _BROAD & set(sources) for sources in ancestors):
        yield GradeFinding("frame-ancestors", 5, "Who may frame the page is named.")
    elif "x-frame-options" not in headers:
        yield GradeFinding(
            "framing-allowed",
            -20,
            "Any site may show the page in a frame and have it clicked.",
            "frame-ancestors: \"'none'\", or the origins that may",
        )


def _hsts(headers: cabc.Mapping[str, list[str]]) -> int:
    match = _MAX_AGE.search(headers.get("strict-transport-security", [""])[0])
    return int(match[1]) if match else 0


def _grade_hsts(
    headers: cabc.Mapping[str, list[str]],
) -> cabc.Iterator[GradeFinding]:
    seconds = _hsts(headers)
    if seconds == 0:
        yield GradeFinding(
            "hsts-missing",
            -20,
            "Browsers are not told to keep to https.",
            "SECURE_HSTS_SECONDS = 31536000",
        )
    elif seconds < _HALF_A_YEAR:
        yield GradeFinding(
            "hsts-short",
            -10,
            "HSTS ends in less than six months.",
            "SECURE_HSTS_SECONDS = 31536000",
        )


def _grade_nosniff(
    headers: cabc.Mapping[str, list[str]],
) -> cabc.Iterator[GradeFinding]:
    if headers.get("x-content-type-options", [""])[0].lower() != "nosniff":
        yield GradeFinding(
            "nosniff-missing",
            -5,
            "Browsers may guess the type of a response.",
            "X-Content-Type-Options: nosniff",
        )


def _grade_referrer(
    headers: cabc.Mapping[str, list[str]],
) -> cabc.Iterator[GradeFinding]:
    values = headers.get("referrer-policy")
    if values is None:
        return
    token = values[0].rpartition(",")[2].strip()
    if token in _PRIVATE_REFERRERS:
        yield GradeFinding("referrer-private", 5, "Other sites do not see addresses.")
    else:
        yield GradeFinding(
            "referrer-unsafe",
            -5,
            "Other sites see the addresses of pages.",
            'referrer="same-origin"',
        )


def _grade_resource(
    headers: cabc.Mapping[str, list[str]],
) -> cabc.Iterator[GradeFinding]:
    if headers.get("cross-origin-resource-policy", [""])[0] in {
        "same-origin",
        "same-site",
    }:
        yield GradeFinding("corp", 10, "Other sites cannot load the response.")
