"""Grade of a response by its headers, and the findings that changed it.

The points are those that MDN publishes for its HTTP Observatory ("Tests & Scoring").
The redirect to https counts only where an address is audited from outside.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t
from urllib.parse import urlsplit

from flaskware_secure._policy.parsing import parse_csp
from flaskware_secure._policy.vocabulary import Directives

_LETTERS = (
    (100, "A+"), (90, "A"), (85, "A-"), (80, "B+"), (70, "B"), (65, "B-"), (60, "C+"),
    (50, "C"), (45, "C-"), (40, "D+"), (30, "D"), (25, "D-"),
)  # fmt: skip
# Bonus points count only where few were lost.
_BONUS_FROM = 90
_HALF_A_YEAR = 15768000
_PRIVATE_REFERRERS = frozenset(
    {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
)
_MAX_AGE = re.compile(r"max-age=\"?(\d+)", re.IGNORECASE)
_BROAD = frozenset({"*", "data:", "http:", "https:", "blob:"})
_SESSION = re.compile(r"sess|sid\b|login|auth", re.IGNORECASE)
_OWN_COPY = "static_script(…) for a copy of your own"

Headers: t.TypeAlias = cabc.Mapping[str, list[str]]
"""The values of each header, by its name in lower case."""


@dc.dataclass(frozen=True)
class GradeFinding:
    """One thing that changes a grade.

    :param points: Below zero for a weakness, above for a strength.
    :param fix: The remedy; empty where there is nothing to do.
    """

    code: str
    points: int
    message: str
    fix: str = ""


Found: t.TypeAlias = cabc.Iterator[GradeFinding]


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
    :param host: The host of the page; scripts of other hosts should have integrity.
    """
    headers: dict[str, list[str]] = {}
    for name, value in lines:
        headers.setdefault(name.lower(), []).append(value)
    policies = [parse_csp(csp) for csp in headers.get("content-security-policy", ())]
    seconds = _hsts_seconds(headers)
    return graded(
        (
            *_grade_csp(policies),
            *_grade_framing(headers, policies),
            *_grade_hsts(seconds),
            *_grade_nosniff(headers),
            *_grade_referrer(headers),
            *_grade_resource(headers),
            *_grade_cookies(headers.get("set-cookie", ()), hsts=seconds > 0),
            *_grade_sharing(headers),
            *_grade_scripts(body, host),
        )
    )


def graded(findings: tuple[GradeFinding, ...]) -> Grade:
    """Return the grade that findings add up to."""
    score = 100 + sum(f.points for f in findings if f.points < 0)
    if score >= _BONUS_FROM:
        score += sum(f.points for f in findings if f.points > 0)
    score = max(score, 0)
    letter = next((letter for least, letter in _LETTERS if score >= least), "F")
    return Grade(letter, score, findings)


def _grade_csp(policies: list[dict[str, tuple[str, ...]]]) -> Found:
    if not policies:
        message = "No Content-Security-Policy is enforced."
        fix = "Send the policy enforced: SECURE_REPORT_ONLY = False."
        yield GradeFinding("csp-missing", -25, message, fix)
        return
    # All policies are enforced, so what one of them forbids is forbidden.
    weaknesses = [_script_weakness(csp) for csp in policies]
    if all(weaknesses):
        message = f"The CSP lets injected scripts run: {weaknesses[0]}."
        fix = "script-src: \"'nonce'\", \"'strict-dynamic'\""
        yield GradeFinding("csp-unsafe-scripts", -20, message, fix)
    elif all("'unsafe-eval'" in _scripts(csp) for csp in policies):
        message = "The CSP lets scripts turn text into code ('unsafe-eval')."
        fix = "Remove 'unsafe-eval', or write 'wasm-unsafe-eval' for WebAssembly."
        yield GradeFinding("csp-unsafe-eval", -10, message, fix)
    elif any("'unsafe-inline'" in csp.get("style-src", ()) for csp in policies):
        message = "The CSP allows inline styles."
        yield GradeFinding("csp-unsafe-styles", 0, message, "Use 'nonce'.")
    elif any(csp.get("default-src") == ("'none'",) for csp in policies):
        message = "The CSP allows only what it names."
        yield GradeFinding("csp-default-none", 10, message)
    else:
        yield GradeFinding("csp-no-unsafe", 5, "The CSP runs no injected script.")


def _script_weakness(csp: Directives) -> str | None:
    """Return the source by which a policy lets injected scripts run, or ``None``."""
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


def _scripts(csp: Directives) -> tuple[str, ...]:
    return csp.get("script-src", csp.get("default-src", ()))


def _grade_framing(headers: Headers, policies: cabc.Iterable[Directives]) -> Found:
    ancestors = [csp["frame-ancestors"] for csp in policies if "frame-ancestors" in csp]
    if any(not _BROAD & set(sources) for sources in ancestors):
        message = "The CSP names the sites that may frame the page."
        yield GradeFinding("frame-ancestors", 5, message)
    elif "x-frame-options" not in headers:
        message = "Any site may show the page in a frame and trick users into clicks."
        fix = "frame-ancestors: \"'none'\", or the origins that may"
        yield GradeFinding("framing-allowed", -20, message, fix)


def _hsts_seconds(headers: Headers) -> int:
    match = _MAX_AGE.search(headers.get("strict-transport-security", [""])[0])
    return int(match[1]) if match else 0


def _grade_hsts(seconds: int) -> Found:
    fix = "SECURE_HSTS_SECONDS = 31536000"
    if seconds == 0:
        message = "Browsers may come back over plain http: there is no HSTS."
        yield GradeFinding("hsts-missing", -20, message, fix)
    elif seconds < _HALF_A_YEAR:
        message = "HSTS ends in less than six months."
        yield GradeFinding("hsts-short", -10, message, fix)


def _grade_nosniff(headers: Headers) -> Found:
    if headers.get("x-content-type-options", [""])[0].lower() != "nosniff":
        message = "Browsers may guess the type of a response."
        fix = "X-Content-Type-Options: nosniff"
        yield GradeFinding("nosniff-missing", -5, message, fix)


def _grade_referrer(headers: Headers) -> Found:
    values = headers.get("referrer-policy")
    if values is None:
        return
    if values[0].rpartition(",")[2].strip() in _PRIVATE_REFERRERS:
        message = "Other sites do not see addresses."
        yield GradeFinding("referrer-private", 5, message)
    else:
        message = "Other sites see the addresses of pages."
        yield GradeFinding("referrer-unsafe", -5, message, 'referrer="same-origin"')


def _grade_resource(headers: Headers) -> Found:
    value = headers.get("cross-origin-resource-policy", [""])[0]
    if value in {"same-origin", "same-site"}:
        yield GradeFinding("corp", 10, "Other sites cannot load the response.")


def _grade_cookies(lines: cabc.Iterable[str], *, hsts: bool) -> Found:
    """Yield the cost of the worst cookie, or the gain if all are right."""
    found = [_grade_cookie(line, hsts=hsts) for line in lines]
    wrong = [finding for finding in found if finding is not None]
    if wrong:
        yield min(wrong, key=lambda finding: finding.points)
    elif found:
        yield GradeFinding("cookies", 5, "Every cookie has the flags it should have.")


def _grade_cookie(line: str, *, hsts: bool) -> GradeFinding | None:
    pair, *rest = line.split(";")
    name = pair.partition("=")[0].strip()
    flags = {part.partition("=")[0].strip().lower() for part in rest}
    session = _SESSION.search(name) is not None
    fix = 'SECURE_COOKIES = "fix"'
    if "secure" not in flags:
        points = (-10 if session else -5) if hsts else (-40 if session else -20)
        message = f"The cookie {name} is sent over plain http too."
        return GradeFinding("cookie-not-secure", points, message, fix)
    if session and "httponly" not in flags:
        message = f"Scripts can read the session cookie {name}."
        return GradeFinding("cookie-readable", -30, message, fix)
    if "samesite" not in flags:
        message = f"Browsers decide whether requests of other sites carry {name}."
        return GradeFinding("cookie-no-samesite", 0, message, fix)
    return None


def _grade_sharing(headers: Headers) -> Found:
    allowed = headers.get("access-control-allow-origin", [""])[0]
    credentials = headers.get("access-control-allow-credentials", [""])[0]
    if allowed in {"*", "null"} and credentials.lower() == "true":
        message = f"Access-Control-Allow-Origin is {allowed!r} beside credentials."
        fix = 'cors=Cors(origins=("https://app.example",), credentials=True)'
        yield GradeFinding("cors-universal", -50, message, fix)


def _grade_scripts(body: str, host: str) -> Found:
    """Yield the cost of scripts that other hosts serve without integrity."""
    if not body:
        return
    found = ((urlsplit(src), hashed) for src, hashed in _scripts_of(body))
    foreign = [
        (src.scheme, hashed) for src, hashed in found if src.netloc not in {"", host}
    ]
    if ("http", False) in foreign:
        message = "A script of another host loads over plain http without integrity."
        yield GradeFinding("sri-insecure", -50, message, _OWN_COPY)
    elif any(not hashed for _, hashed in foreign):
        message = "A script of another host loads without integrity."
        yield GradeFinding("sri-missing", -5, message, f"integrity=…, or {_OWN_COPY}")
    elif foreign:
        yield GradeFinding("sri", 5, "Every script of another host has integrity.")


def _scripts_of(body: str) -> list[tuple[str, bool]]:
    """Return the scripts that a page loads, and if each has an ``integrity``."""
    # Imported late: few commands read pages.
    import html.parser

    found: list[tuple[str, bool]] = []

    class Scripts(html.parser.HTMLParser):
        def handle_starttag(
            self, tag: str, attrs: list[tuple[str, str | None]]
        ) -> None:
            given = dict(attrs)
            source = given.get("src")
            if tag == "script" and source:
                found.append((source.strip(), bool(given.get("integrity"))))

    Scripts().feed(body)
    return found
