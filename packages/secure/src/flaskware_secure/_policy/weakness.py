"""Weaknesses: ways for an attacker around a policy without mistakes."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
from urllib.parse import urlsplit

from .vocabulary import Directives
from .vocabulary import fallbacks
from .vocabulary import NONCE

_SCRIPTS = ("script-src", "script-src-elem", "script-src-attr")
# Plug-ins and base addresses run an attacker's script as well as scripts do.
_RUNNING = (*_SCRIPTS, "object-src", "base-uri")
_LOADING = ("script-src", "script-src-elem", "object-src")
_PASSIVE = ("img-src", "media-src")
# Not blob: as only a script that runs already can make such an address.
_BROAD = frozenset(
    {
        "*", "data:", "ftp:", "http:", "https:", "http://*", "https://*", "http://*.*",
        "https://*.*",
    }
)  # fmt: skip
# Hashes of other algorithms mean nothing (CSP3, section 2.3.1).
_HASHES = ("'sha256-", "'sha384-", "'sha512-")
_VOUCHING = ("'nonce", *_HASHES)
# Points of MDN's HTTP Observatory.
_UNSAFE, _SEMI_UNSAFE = -20, -10
# These serve files of anybody, any version of Angular, or JSONP with a callback from
# the address; each is enough for an injected element to run a script.
_OPEN_HOSTS = (
    "accounts.google.com", "ajax.aspnetcdn.com", "ajax.googleapis.com",
    "api.twitter.com", "cdn.bootcss.com", "cdn.jsdelivr.net", "cdn.rawgit.com",
    "cdnjs.cloudflare.com", "clients1.google.com", "code.angularjs.org",
    "connect.facebook.net", "d3js.org", "gist.github.com", "graph.facebook.com",
    "maps.googleapis.com", "raw.githubusercontent.com", "storage.googleapis.com",
    "translate.googleapis.com", "translate.google.com", "unpkg.com",
    "www.google-analytics.com", "www.google.com", "www.googleapis.com",
    "www.googletagmanager.com", "www.youtube.com", "yandex.st", "yastatic.net",
)  # fmt: skip


@dc.dataclass(frozen=True)
class Weakness:
    """One way around a policy.

    :param code: Stable, such as ``"csp-weak-scripts"``.
    :param source: The source that allows it; empty where something is missing.
    :param points: Change of the grade, as MDN's HTTP Observatory has it.
    """

    code: str
    directive: str
    source: str
    message: str
    fix: str
    points: int = 0


def weaknesses(csp: Directives) -> cabc.Iterator[Weakness]:
    """Yield the ways around a policy, as browsers read it (CSP3).

    This is the one judgement of a policy: the audit, ``flask doctor`` and suggestions
    all ask it.
    """
    # Schemes, hosts and keywords mean the same in any case.
    csp = {name: tuple(map(str.lower, sources)) for name, sources in csp.items()}
    seen: set[tuple[str, str]] = set()
    for directive in _RUNNING:
        decided = _decides(csp, directive)
        if decided is None:
            continue
        for source in effective(directive, csp[decided]):
            found = _weakness(directive, decided, source)
            if found is not None and (decided, source) not in seen:
                seen.add((decided, source))
                yield found
    yield from _missing(csp)
    yield from _insecure(csp)
    yield from _evaluating(csp)
    yield from _styles(csp)


def effective(directive: str, sources: tuple[str, ...]) -> tuple[str, ...]:
    """Return the sources of a directive that count: some void others."""
    if not directive.startswith("script-src"):
        return sources
    if any(source.startswith(_VOUCHING) for source in sources):
        sources = tuple(s for s in sources if s != "'unsafe-inline'")
    if "'strict-dynamic'" in sources:
        voided = {"'self'", "'unsafe-inline'"}
        sources = tuple(s for s in sources if s[0] == "'" and s not in voided)
    return sources


def _weakness(directive: str, decided: str, source: str) -> Weakness | None:
    is_script = directive in _SCRIPTS
    if is_script and source == "'unsafe-inline'":
        message = "injected scripts run: 'unsafe-inline'"
    elif source in _BROAD:
        message = f"scripts of any site run: {source}"
        if directive == "base-uri":
            message = f"an injected <base> has scripts loaded from any site: {source}"
    elif directive in _LOADING and _is_open(source):
        return Weakness(
            "csp-open-host",
            decided,
            source,
            f"{source} serves scripts that an attacker chooses",
            f"{NONCE} and 'strict-dynamic' in place of hosts",
        )
    else:
        return None
    fix = f"{NONCE} and 'strict-dynamic'" if is_script else "'none'"
    return Weakness("csp-weak-scripts", decided, source, message, fix, _UNSAFE)


def _missing(csp: Directives) -> cabc.Iterator[Weakness]:
    for directive, what in (("script-src", "scripts"), ("object-src", "plug-ins")):
        decided = _decides(csp, directive)
        if decided is None:
            message = f"{what} of any site run: there is no {directive}"
            if directive == "script-src":
                message = "no script-src and no default-src"
            fix = "'none'"
            yield Weakness("csp-weak-scripts", directive, "", message, fix, _UNSAFE)
    scripts = csp.get(_decides(csp, "script-src") or "", ())
    nonce = any(source.startswith("'nonce") for source in scripts)
    hashed = any(source.startswith(_HASHES) for source in scripts)
    if (nonce or (hashed and "'strict-dynamic'" in scripts)) and "base-uri" not in csp:
        message = "an injected <base> has the page's scripts loaded from any site"
        yield Weakness("csp-no-base-uri", "base-uri", "", message, "'none'")


def _insecure(csp: Directives) -> cabc.Iterator[Weakness]:
    """Yield the sources that load over a connection that anybody can change."""
    for directive, sources in csp.items():
        passive = directive in _PASSIVE
        for source in effective(directive, sources):
            if source.startswith(("http:", "ftp:")):
                yield Weakness(
                    "csp-insecure-scheme",
                    directive,
                    source,
                    f"it loads over a connection that anybody can change: {source}",
                    "https: in the address",
                    _SEMI_UNSAFE if passive else _UNSAFE,
                )


def _evaluating(csp: Directives) -> cabc.Iterator[Weakness]:
    for directive in ("script-src", "style-src"):
        decided = _decides(csp, directive)
        if decided is not None and "'unsafe-eval'" in csp[decided]:
            yield Weakness(
                "csp-unsafe-eval",
                decided,
                "'unsafe-eval'",
                "scripts turn text into code: 'unsafe-eval'",
                "'wasm-unsafe-eval' for WebAssembly, or code without eval",
                _SEMI_UNSAFE,
            )
            return


def _styles(csp: Directives) -> cabc.Iterator[Weakness]:
    decided = _decides(csp, "style-src")
    if decided is None:
        return
    sources = csp[decided]
    vouched = any(source.startswith(_VOUCHING) for source in sources)
    for source in sources:
        unsafe = source == "'unsafe-inline'" and not vouched
        if unsafe or source in _BROAD:
            yield Weakness(
                "csp-weak-styles",
                decided,
                source,
                f"injected styles count: {source}",
                NONCE,
            )


def _decides(csp: Directives, directive: str) -> str | None:
    """Return the directive that decides in place of another, if any does."""
    for each in (directive, *fallbacks(directive)):
        if each in csp:
            return each
    return None


def _is_open(source: str) -> bool:
    if source.startswith("'") or "." not in source:
        return False
    parts = urlsplit(source if "//" in source else f"//{source}")
    # A path narrows a host down, unless Angular is below it.
    if parts.path not in {"", "/"} and "angular" not in parts.path:
        return False
    host = parts.netloc.partition(":")[0].lower()
    if host.startswith("*."):
        return any(each.endswith(host[1:]) for each in _OPEN_HOSTS)
    return host in _OPEN_HOSTS
