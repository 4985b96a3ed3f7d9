"""What cookies, sharing and the scripts of a page cost of a grade."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
from urllib.parse import urlsplit

_SESSION = re.compile(r"sess|sid\b|login|auth", re.IGNORECASE)


@dc.dataclass(frozen=True)
class GradeFinding:
    """One thing that changes a grade.

    :param points: Below zero for what weakens, above for what strengthens.
    :param fix: What to write; empty where nothing is to be done.
    """

    code: str
    points: int
    message: str
    fix: str = ""


def grade_cookies(
    lines: cabc.Iterable[str], *, hsts: bool
) -> cabc.Iterator[GradeFinding]:
    """Yield what the worst cookie costs, or what is gained if all are right."""
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
        message = f"Scripts can read the cookie {name} of a session."
        return GradeFinding("cookie-readable", -30, message, fix)
    if "samesite" not in flags:
        message = f"Whether other sites' requests carry {name} is left to the browser."
        return GradeFinding("cookie-no-samesite", 0, message, fix)
    return None


def grade_sharing(
    headers: cabc.Mapping[str, list[str]],
) -> cabc.Iterator[GradeFinding]:
    """Yield what it costs to let every origin read what only a user may."""
    allowed = headers.get("access-control-allow-origin", [""])[0]
    credentials = headers.get("access-control-allow-credentials", [""])[0]
    if allowed in {"*", "null"} and credentials.lower() == "true":
        yield GradeFinding(
            "cors-universal",
            -50,
            f"Access-Control-Allow-Origin is {allowed!r} beside credentials.",
            'cors=Cors(origins=("https://app.example",), credentials=True)',
        )


def grade_scripts(body: str, host: str) -> cabc.Iterator[GradeFinding]:
    """Yield what it costs to load scripts of other hosts without integrity."""
    if not body:
        return
    # Every app imports this module, and few read pages.
    from .page import scripts_of

    foreign = [
        (urlsplit(src), hashed)
        for src, hashed in scripts_of(body)
        if urlsplit(src).netloc not in {"", host}
    ]
    if any(parts.scheme == "http" and not hashed for parts, hashed in foreign):
        yield GradeFinding(
            "sri-insecure",
            -50,
            "A script of another host is loaded over plain http without integrity.",
            "static_script(…) for a copy of your own",
        )
    elif any(not hashed for _, hashed in foreign):
        yield GradeFinding(
            "sri-missing",
            -5,
            "A script of another host is loaded without integrity.",
            "integrity=…, or static_script(…) for a copy of your own",
        )
    elif foreign:
        yield GradeFinding("sri", 5, "Every script of another host has integrity.")
