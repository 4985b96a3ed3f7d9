"""Our audit against MDN's HTTP Observatory, the scanner that sites are graded by.

``observatory/verdicts.json`` has what the scanner says of each set of headers; where
npm is, it is asked again. ``FLASKWARE_WRITE_VERDICTS=1`` writes the file.
"""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path

import pytest
from secure_scanners import ask_node
from secure_scanners import OBSERVATORY

from flaskware_secure._audit.grading import grade_headers
from flaskware_secure._policy.parsing import parse_csp

VERDICTS = OBSERVATORY / "verdicts.json"
PAGE = Path(__file__).parents[1] / "docs/scores.md"
Lines = list[tuple[str, str]]
Verdict = dict[str, int]

_SOURCES = (
    "'self'", "'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "*", "data:",
    "'strict-dynamic'", "'nonce-0123456789abcdef'", "'sha256-0123456789abcdef='",
    "https:", "http:", "ftp:", "blob:", "http://*", "https://*", "https://*.*",
    "https://cdn.example", "http://old.example", "ftp://old.example", "cdn.example",
)  # fmt: skip
_DIRECTIVES = (
    "default-src", "default-src", "script-src", "script-src", "style-src", "object-src",
    "img-src", "media-src", "base-uri", "connect-src", "form-action", "frame-ancestors",
    "frame-src", "script-src-elem",
)  # fmt: skip
_EVERYWHERE = frozenset(
    {"*", "http:", "https:", "ftp:", "http://*", "https://*", "https://*.*"}
)
# Only there, we take off less than the scanner.
_MILDER = "Sources that `'strict-dynamic'` voids"
_STRICT = "default-src 'none'; script-src 'nonce-0123456789abcdef'; object-src 'none'"
_ONE_EACH: dict[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (
        "max-age=31536000", "max-age=31536000; includeSubDomains; preload",
        "max-age=15552000", "max-age=3600", "max-age=0", "max-age=abc", "preload",
        "max-age=31536000, max-age=31536000", "MAX-AGE=31536000",
    ),
    "X-Content-Type-Options": ("nosniff", "NOSNIFF", "nosniff, nosniff", "sniff"),
    "Referrer-Policy": (
        "no-referrer", "same-origin", "strict-origin", "unsafe-url", "origin", "never",
        "no-referrer, strict-origin-when-cross-origin", "no-referrer, never",
        "strict-origin, unsafe-url", "Same-Origin", "",
    ),
    "Cross-Origin-Resource-Policy": (
        "same-origin", "same-site", "cross-origin", "anything", "Same-Origin",
    ),
    "X-Frame-Options": ("DENY", "sameorigin", "ALLOW-FROM https://a.example", "ALLOW"),
}  # fmt: skip
# Where the scanner and we differ by intent; once each is enough.
_RARE = ("max-age=0", "max-age=abc", "ALLOW-FROM https://a.example")
_FLAGS = (
    "Secure", "Secure", "HttpOnly", "HttpOnly", "SameSite=Lax", "SameSite=Strict",
    "SameSite=None", "SameSite=Maybe", "Path=/",
)  # fmt: skip


def _csp(chance: random.Random) -> str:
    names = chance.sample(_DIRECTIVES, chance.randint(1, 5))
    if chance.random() < 0.85:
        names = [*dict.fromkeys(names)]
    parts = [
        " ".join([name, *chance.sample(_SOURCES, chance.randint(1, 3))])
        for name in names
    ]
    return "; ".join(parts)


def _sets() -> list[Lines]:
    """The same 600 sets each time: each value alone, pairs of flags, and random."""
    chance = random.Random("headers")
    base: Lines = [
        ("Content-Security-Policy", _STRICT),
        ("Strict-Transport-Security", "max-age=31536000"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    ]
    found: list[Lines] = [[], base]
    for name, values in _ONE_EACH.items():
        rest = [line for line in base if line[0] != name]
        found += [[*rest, (name, value)] for value in values]
    found += [
        [*base[1:], ("Content-Security-Policy", f"{rest}; {name} {source}")]
        for source in dict.fromkeys(_SOURCES)
        for name, rest in (
            ("script-src", "default-src 'none'"),
            ("object-src", "default-src 'self'"),
            ("style-src", "default-src 'self'"),
            ("img-src", "default-src 'self'"),
            ("frame-ancestors", "default-src 'self'"),
        )
    ]
    found += [
        [*base[1:], ("Content-Security-Policy-Report-Only", _STRICT)],
        *(
            [*base[1:], ("Content-Security-Policy", csp)]
            for csp in (
                "img",
                "default-src",
                "default-src 'self'; script-src; object-src",
                "default-src 'self'; script-src 'UNSAFE-inline'",
                "default-src 'self'; script-src HTTPS:; style-src DATA:",
                "object-src; script-src 'strict-dynamic' 'nonce-0123456789' data:",
            )
        ),
        [
            *base[1:],
            ("Content-Security-Policy", f"{_STRICT}; report-uri /a; report-uri /b"),
        ],
    ]
    while len(found) < 600:
        lines: Lines = []
        if chance.random() < 0.9:
            lines.append(("Content-Security-Policy", _csp(chance)))
        for name, values in _ONE_EACH.items():
            if chance.random() < 0.7:
                usual = [value for value in values if value not in _RARE]
                lines.append((name, chance.choice(usual)))
        for _ in range(chance.choice((0, 0, 1, 2))):
            name = chance.choice(("session", "login_id", "csrf_token", "theme", "sid"))
            flags = chance.sample(_FLAGS, chance.randint(0, 5))
            lines.append(("Set-Cookie", "; ".join([f"{name}=1", *flags])))
        found.append(lines)
    return found


def _score(verdict: Verdict) -> int:
    lost = sum(points for points in verdict.values() if points < 0)
    gained = sum(points for points in verdict.values() if points > 0)
    return max(100 + lost + (gained if lost >= -10 else 0), 0)


def _difference(lines: Lines) -> str:
    """The row of the table in the docs that says why the scanner and we differ."""
    headers = dict(lines)
    csp = parse_csp(headers.get("Content-Security-Policy", ""))
    scripts = csp.get("script-src", csp.get("default-src", ()))
    elements = csp.get("script-src-elem", ())
    if headers.get("Strict-Transport-Security", "") in {"max-age=abc", "max-age=0"}:
        return "HSTS with `max-age=0`"
    if headers.get("X-Frame-Options", "").startswith("ALLOW-FROM"):
        return "`X-Frame-Options: ALLOW-FROM`"
    if "'strict-dynamic'" in elements or {"data:", "'strict-dynamic'"} <= {*scripts}:
        return _MILDER
    if _EVERYWHERE & {*csp.get("frame-ancestors", ())}:
        return "`frame-ancestors` that names every site"
    running = {*elements, *csp.get("base-uri", ())}
    if {*_EVERYWHERE, "data:", "'unsafe-inline'"} & running:
        return "`script-src-elem`, `script-src-attr` or `base-uri`"
    if "data:" in csp.get("object-src", csp.get("default-src", ())):
        return "`data:` in `object-src`"
    return ""


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    found: list[Verdict] = json.loads(VERDICTS.read_text())
    return found


def test_the_audit_agrees_with_the_observatory(verdicts: list[Verdict]) -> None:
    differing: dict[str, int] = {}
    sets = _sets()
    for lines, verdict in zip(sets, verdicts, strict=True):
        ours, theirs = grade_headers(lines).score, _score(verdict)
        if ours != theirs:
            reason = _difference(lines)
            assert reason, (ours, theirs, lines, verdict, grade_headers(lines).findings)
            differing[reason] = differing.get(reason, 0) + 1
            assert ours < theirs or reason == _MILDER, (reason, lines)
    assert len(sets) >= 500
    assert sum(differing.values()) < len(sets) / 10, differing
    page = PAGE.read_text("utf-8")
    assert differing.keys() <= {*re.findall(r"^\| (.+?) \|", page, re.MULTILINE)}
    assert f"They differ in {sum(differing.values())} sets" in page


@pytest.mark.slow
def test_the_observatory_still_says_what_its_verdicts_say() -> None:
    answered = ask_node(OBSERVATORY, "grade.js", _sets())
    if os.environ.get("FLASKWARE_WRITE_VERDICTS"):
        text = ",\n".join(json.dumps(found) for found in answered)
        VERDICTS.write_text(f"[\n{text}\n]\n")
    assert answered == json.loads(VERDICTS.read_text())
