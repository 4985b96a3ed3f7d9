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

from flaskware_secure._policy.lint import lint_value
from flaskware_secure._policy.parsing import parse_csp
from flaskware_secure._policy.parsing import repeated_directives
from flaskware_secure._policy.vocabulary import Directives
from flaskware_secure._policy.vocabulary import ReferrerPolicyToken
from flaskware_secure._policy.weakness import weaknesses

_LETTERS = (
    (100, "A+"), (90, "A"), (85, "A-"), (80, "B+"), (70, "B"), (65, "B-"), (60, "C+"),
    (50, "C"), (45, "C-"), (40, "D+"), (30, "D"), (25, "D-"),
)  # fmt: skip
# Bonus points count only where few were lost.
_BONUS_FROM = 90
# Six months of 30 days, as MDN counts them.
_HALF_A_YEAR = 15552000
_PRIVATE_REFERRERS = frozenset(
    {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
)
_MAX_AGE = re.compile(r"max-age=\"?(\d+)", re.IGNORECASE)
_REFERRERS = frozenset(t.get_args(ReferrerPolicyToken))
_BROAD = frozenset(
    {
        "*", "ftp:", "http:", "https:", "http://*", "https://*", "http://*.*",
        "https://*.*",
    }
)  # fmt: skip
# Only these may stand twice in a policy without a consequence.
_REPEATABLE = frozenset({"report-uri", "report-to"})
_SHORTEST = len("img-src") - 1
_SAME_SITES = frozenset({"lax", "strict", "none"})
_SESSION = re.compile(r"sess|login", re.IGNORECASE)
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
    # Lines that a proxy joined are as many policies (CSP3, section 2.2.2).
    policies = _policies(headers, "content-security-policy")
    seconds = _hsts_seconds(headers)
    return graded(
        (
            *_grade_csp(policies, headers),
            *_grade_framing(headers, policies),
            *_grade_hsts(seconds),
            *_grade_nosniff(headers),
            *_grade_referrer(headers),
            *_grade_resource(headers),
            *_grade_cookies(
                headers.get("set-cookie", ()), hsts=seconds >= _HALF_A_YEAR
            ),
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


def _policies(headers: Headers, name: str) -> list[str]:
    joined = ",".join(headers.get(name, ())).lower()
    return [policy for policy in joined.split(",") if policy.strip()]


def _grade_csp(values: cabc.Sequence[str], headers: Headers) -> Found:
    named = ",".join(headers.get("reporting-endpoints", ()))
    endpoints = {part.partition("=")[0].strip() for part in named.split(",")}
    for value in _policies(headers, "content-security-policy-report-only"):
        for found in _mistakes(value, endpoints, report_only=True):
            yield dc.replace(found, points=0)
    if not values:
        message = "No Content-Security-Policy is enforced."
        fix = "Send the policy enforced: SECURE_REPORT_ONLY = False."
        yield GradeFinding("csp-missing", -25, message, fix)
        return
    policies = [parse_csp(value) for value in values]
    # All policies are enforced, so what one of them forbids is forbidden.
    judged = [
        sorted(weaknesses(csp), key=lambda found: found.points) for csp in policies
    ]
    best = max(judged, key=lambda found: found[0].points if found else 1)
    all_found = dict.fromkeys(
        [
            *(found for value in values for found in _mistakes(value, endpoints)),
            *(
                GradeFinding(
                    each.code,
                    each.points,
                    f"The CSP is weak at {each.directive}: {each.message}.",
                    each.fix,
                )
                for each in best
            ),
        ]
    )
    worst = min(all_found, key=lambda found: found.points, default=None)
    for found in all_found:
        yield found if found is worst else dc.replace(found, points=0)
    if worst is not None and worst.points < 0:
        return
    if any(found.code == "csp-weak-styles" for found in all_found):
        return
    if any(map(repeated_directives, values)):
        return
    # A directive without sources is 'none'.
    if any(csp.get("default-src") in {("'none'",), ()} for csp in policies):
        message = "The CSP allows only what it names."
        yield GradeFinding("csp-default-none", 10, message)
    else:
        yield GradeFinding("csp-no-unsafe", 5, "The CSP runs no injected script.")


def _mistakes(
    value: str, endpoints: cabc.Container[str], *, report_only: bool = False
) -> Found:
    """Yield what lint says of a policy; it costs points where no policy is left."""
    scripts = _scripts(parse_csp(value))
    for directive, complaint in lint_value(value, endpoints, report_only=report_only):
        code, expected, given, write = complaint
        grave = len(value.strip()) < _SHORTEST
        if code == "csp.repeated-directive":
            grave = directive not in _REPEATABLE
        elif code == "csp.strict-dynamic-alone":
            grave = given == " ".join(scripts)
        where = f" at {directive}" if directive else ""
        message = f"The CSP is wrong{where}: expected {expected}."
        yield GradeFinding(code, -25 if grave else 0, message, write)


def _repeated(value: str) -> list[str]:
    return [name for name in repeated_directives(value) if name not in _REPEATABLE]


def _scripts(csp: Directives) -> tuple[str, ...]:
    return csp.get("script-src", csp.get("default-src", ()))


def _grade_framing(headers: Headers, values: cabc.Sequence[str]) -> Found:
    policies = [parse_csp(value) for value in values if not _repeated(value)]
    ancestors = [csp["frame-ancestors"] for csp in policies if "frame-ancestors" in csp]
    named = headers.get("x-frame-options", [""])[0].strip().lower()
    if any(not _BROAD & set(sources) for sources in ancestors):
        message = "The CSP names the sites that may frame the page."
        yield GradeFinding("frame-ancestors", 5, message)
    elif ancestors or named not in {"deny", "sameorigin"}:
        # Beside frame-ancestors, browsers ignore X-Frame-Options.
        message = "Any site may show the page in a frame and trick users into clicks."
        fix = "frame-ancestors: \"'none'\", or the origins that may"
        yield GradeFinding("framing-allowed", -20, message, fix)


def _hsts_seconds(headers: Headers) -> int:
    # Sent twice, or joined by a proxy, it counts for nothing (RFC 6797, section 6.1).
    value = ", ".join(headers.get("strict-transport-security", []))
    match = None if "," in value else _MAX_AGE.search(value)
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
    value = headers.get("x-content-type-options", [""])[0]
    if value.strip().lower() != "nosniff":
        message = "Browsers may guess the type of a response."
        fix = "X-Content-Type-Options: nosniff"
        yield GradeFinding("nosniff-missing", -5, message, fix)


def _grade_referrer(headers: Headers) -> Found:
    values = headers.get("referrer-policy")
    if values is None:
        return
    parts = [part.strip().lower() for part in ", ".join(values).split(",")]
    # Browsers take the last value that they know.
    known = [part for part in parts if part in _REFERRERS]
    if known and known[-1] in _PRIVATE_REFERRERS:
        message = "Other sites do not see addresses."
        yield GradeFinding("referrer-private", 5, message)
    else:
        message = "Other sites see the addresses of pages."
        yield GradeFinding("referrer-unsafe", -5, message, 'referrer="same-origin"')


def _grade_resource(headers: Headers) -> Found:
    values = headers.get("cross-origin-resource-policy")
    if values is None:
        return
    value = values[0].strip().lower()
    if value in {"same-origin", "same-site"}:
        yield GradeFinding("corp", 10, "Other sites cannot load the response.")
    elif value != "cross-origin":
        message = f"Browsers do not know this Cross-Origin-Resource-Policy: {value}."
        yield GradeFinding("corp-unknown", -5, message, 'corp="same-site"')


def _grade_cookies(lines: cabc.Iterable[str], *, hsts: bool) -> Found:
    """Yield the cost of the worst cookie, or the gain if all are right."""
    cookies = [_cookie_of(line) for line in lines]
    # Of cookies with the same name, domain and path, browsers keep the last (RFC 6265,
    # section 5.3).
    kept = {cookie.key: cookie for cookie in cookies}
    found = [
        # An unknown value is a mistake in the cookies that are replaced, too.
        *(each for cookie in cookies for each in _refused(cookie)),
        *(each for cookie in kept.values() for each in _costs(cookie, hsts=hsts)),
    ]
    if found:
        code, points, message = min(found, key=lambda each: each[1])
        yield GradeFinding(code, points, message, 'SECURE_COOKIES = "fix"')
    elif cookies:
        yield GradeFinding("cookies", 5, "Every cookie has the flags it should have.")


@dc.dataclass(frozen=True)
class _Cookie:
    name: str
    flags: cabc.Mapping[str, str]
    same_sites: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        path = self.flags.get("path", "")
        domain = self.flags.get("domain", "").lower().removeprefix(".")
        return self.name, domain, path if path.startswith("/") else "/"


def _cookie_of(line: str) -> _Cookie:
    # Werkzeug reads Set-Cookie in its test client only, and keeps that private.
    # http.cookies drops the whole line at a flag that it does not know.
    pair, *rest = line.split(";")
    parts = [part.partition("=") for part in rest]
    flags = [(flag.strip().lower(), value.strip()) for flag, _, value in parts]
    return _Cookie(
        pair.partition("=")[0].strip(),
        dict(flags),
        tuple(value.lower() for flag, value in flags if flag == "samesite"),
    )


_Cost: t.TypeAlias = tuple[str, int, str]


def _refused(cookie: _Cookie) -> cabc.Iterator[_Cost]:
    if not _SAME_SITES.issuperset(cookie.same_sites):
        message = f"Browsers do not know the SameSite of the cookie {cookie.name}."
        yield "cookie-samesite-refused", -20, message


def _costs(cookie: _Cookie, *, hsts: bool) -> cabc.Iterator[_Cost]:
    name, flags = cookie.name, cookie.flags
    session = _SESSION.search(name) is not None
    if "secure" not in flags:
        points = (-10 if session else -5) if hsts else (-40 if session else -20)
        message = f"The cookie {name} is sent over plain http too."
        yield "cookie-not-secure", points, message
        if cookie.same_sites[-1:] == ("none",):
            message = f"Browsers refuse SameSite=None without Secure: {name}."
            yield "cookie-samesite-refused", -20, message
    if session and "httponly" not in flags:
        message = f"Scripts can read the session cookie {name}."
        yield "cookie-readable", -30, message
    if not cookie.same_sites:
        points = -20 if "csrf" in name.lower() else 0
        message = f"Browsers decide whether requests of other sites carry {name}."
        yield "cookie-no-samesite", points, message


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
