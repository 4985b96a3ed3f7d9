"""What is wrong in the source list of one directive."""

from __future__ import annotations

import collections.abc as cabc
import difflib
import re
import typing as t

from .vocabulary import DIRECTIVES
from .vocabulary import KEYWORDS
from .vocabulary import NONCE
from .vocabulary import NONCE_DIRECTIVES
from .vocabulary import RETIRED
from .vocabulary import RETIRED_KEYWORDS
from .vocabulary import SCRIPT_DIRECTIVES

Complaint: t.TypeAlias = tuple[str, str, str, str]
"""Code, what was expected, what was given, what to write."""

_HASH = re.compile(r"'sha(256|384|512)-[A-Za-z0-9+/_-]+={0,2}'")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HOST = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://)?"
    r"(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)"
    r"(:(\d+|\*))?"
    r"(/[^?#]*)?"
)
_BARE_SCHEMES = frozenset(
    {"blob", "data", "filesystem", "http", "https", "mediastream", "ws", "wss"}
)
_FIXED_NONCE = re.compile(r"'nonce-.*'")


def lint_sources(directive: str, sources: tuple[str, ...]) -> cabc.Iterator[Complaint]:
    """Yield what is wrong in a list of sources, each already free of separators."""
    for source in sources:
        if (complaint := _lint_source(directive, source)) is not None:
            yield complaint
    yield from _lint_combination(directive, sources)


def _lint_source(directive: str, source: str) -> Complaint | None:
    if source.startswith("'") or source.endswith("'"):
        return _lint_quoted(directive, source)
    quoted = f"'{source.lower()}'"
    if quoted in KEYWORDS:
        expected = "a keyword in single quotes; without, it names a host"
        return "csp.unquoted-keyword", expected, source, quoted
    if _HASH.fullmatch(f"'{source}'") or source.startswith("nonce-"):
        expected = "a hash or nonce in single quotes; without, it names a host"
        return "csp.unquoted-keyword", expected, source, f"'{source}'"
    if source.lower() in RETIRED_KEYWORDS:
        expected = "a keyword that browsers know, in single quotes"
        write = RETIRED_KEYWORDS[source.lower()]
        return "csp.unquoted-keyword", expected, source, write
    if source.lower() in DIRECTIVES or source.lower() in RETIRED:
        expected = "a source; this is a directive, so a ';' may be missing before it"
        return "csp.missing-semicolon", expected, source, f"a key {source!r} of its own"
    if source.lower() in _BARE_SCHEMES:
        expected = "a scheme with its colon; without, it names a host"
        return "csp.scheme-without-colon", expected, source, f"{source}:"
    if _SCHEME.fullmatch(source) or _HOST.fullmatch(source):
        return None
    expected = "a host, an origin, a scheme with its colon or a quoted keyword"
    return "csp.bad-source", expected, source, "https://cdn.example"


def _lint_quoted(directive: str, source: str) -> Complaint | None:
    if _FIXED_NONCE.fullmatch(source):
        expected = f"{NONCE}: a nonce written down is known to everybody"
        return "csp.fixed-nonce", expected, source, NONCE
    is_hash = _HASH.fullmatch(source) is not None
    if not is_hash and source not in KEYWORDS:
        close = difflib.get_close_matches(source.lower(), sorted(KEYWORDS), 1, 0.5)
        write = close[0] if close else f"one of {', '.join(sorted(KEYWORDS))}"
        return "csp.unknown-keyword", "a keyword that browsers know", source, write
    if source == NONCE and directive not in NONCE_DIRECTIVES:
        expected = "a directive for scripts or styles; others take no nonce"
    elif source == "'strict-dynamic'" and directive not in SCRIPT_DIRECTIVES:
        expected = "a directive for scripts; others ignore it"
    elif directive == "frame-ancestors" and source not in {"'self'", "'none'"}:
        expected = "'self', 'none' or origins"
    else:
        return None
    return "csp.misplaced-keyword", expected, source, f"remove {source} here"


def _lint_combination(
    directive: str, sources: tuple[str, ...]
) -> cabc.Iterator[Complaint]:
    vouched = NONCE in sources or any(_HASH.fullmatch(s) for s in sources)
    given = " ".join(sources)
    if "'none'" in sources and len(sources) > 1:
        yield (
            "csp.none-beside-others",
            "'none' alone; beside others browsers ignore it",
            given,
            "remove 'none', or the others",
        )
    if "'unsafe-inline'" in sources and (vouched or "'strict-dynamic'" in sources):
        yield (
            "csp.unsafe-inline-cancelled",
            "'unsafe-inline' or a nonce or hash; beside those browsers ignore it",
            given,
            "remove 'unsafe-inline'",
        )
    if "'strict-dynamic'" in sources and directive in SCRIPT_DIRECTIVES and not vouched:
        yield (
            "csp.strict-dynamic-alone",
            "a nonce or hash beside 'strict-dynamic'; alone it blocks every script",
            given,
            f"add {NONCE}",
        )
