"""CORS: origins that may read responses (WHATWG Fetch, section 3.3)."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

from .vocabulary import Complaint

Line: t.TypeAlias = tuple[str, str]

_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:\d{1,5})?"
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Scripts may send these without a preflight (WHATWG Fetch, "CORS-safelisted").
_SIMPLE_METHODS = frozenset({"GET", "HEAD", "POST"})
_SIMPLE_HEADERS = frozenset(
    {"accept", "accept-language", "content-language", "content-type", "range"}
)
# A wildcard does not cover this header (WHATWG Fetch, "CORS non-wildcard
# request-header name").
_NEVER_BY_WILDCARD = frozenset({"authorization"})
# Nobody's sites: a pattern that matches one of them matches every site.
_STRANGERS = ("https://stranger.invalid", "https://stranger.invalid.test")


@dc.dataclass(frozen=True, kw_only=True)
class Cors:
    """Other origins that may read the responses of an endpoint.

    :param origins: Origins as a browser sends them, such as
        ``"https://app.example"``; patterns, which are always matched against the
        whole origin; or ``"*"`` alone for every origin, without credentials.
    :param methods: Methods that a preflight allows beside GET, HEAD and POST; ``"*"``
        for every method, without credentials.
    :param headers: Headers that a preflight allows beside those that need none;
        ``"*"`` for every header but ``authorization``, without credentials.
    :param expose: Headers of the response that scripts may read.
    :param credentials: True to allow cookies. Origins are then named, never ``*``.
    :param max_age: Seconds for which a browser keeps the answer to a preflight.
    """

    origins: tuple[str | re.Pattern[str], ...]
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ("content-type",)
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int = 600

    def allows(self, origin: str) -> bool:
        """Return whether scripts of an origin may read responses."""
        if "*" in self.origins:
            return True
        if _ORIGIN.fullmatch(origin) is None:
            return False
        return any(
            origin == each if isinstance(each, str) else each.fullmatch(origin)
            for each in self.origins
        )

    def lines(self, origin: str | None) -> list[Line]:
        """Return the header lines for a request from an origin, without ``Vary``."""
        if origin is None or not self.allows(origin):
            return []
        found = [("Access-Control-Allow-Origin", self._named(origin))]
        if self.credentials:
            found.append(("Access-Control-Allow-Credentials", "true"))
        if self.expose:
            found.append(("Access-Control-Expose-Headers", ", ".join(self.expose)))
        return found

    def refusal(self, origin: str, method: str, headers: str) -> str | None:
        """Return the reason to refuse a preflight, or ``None``.

        :param method: ``Access-Control-Request-Method``.
        :param headers: ``Access-Control-Request-Headers``.
        """
        if not self.allows(origin):
            return "The origin may not read this."
        allowed = {method, "*"} & {*_SIMPLE_METHODS, *self.methods}
        if not allowed:
            return "The method is not allowed for other origins."
        asked = {part.strip().lower() for part in headers.split(",") if part.strip()}
        wanted = asked - _SIMPLE_HEADERS - {name.lower() for name in self.headers}
        if "*" in self.headers:
            wanted &= _NEVER_BY_WILDCARD
        if wanted:
            return "A header of the request is not allowed for other origins."
        return None

    def preflight_lines(self) -> list[Line]:
        """Return the lines of an allowed preflight, beside those of :meth:`lines`."""
        methods = sorted(_SIMPLE_METHODS | set(self.methods))
        found = [
            ("Access-Control-Allow-Methods", ", ".join(methods)),
            ("Access-Control-Max-Age", str(self.max_age)),
        ]
        if self.headers:
            found.append(("Access-Control-Allow-Headers", ", ".join(self.headers)))
        return found

    def complaints(self) -> cabc.Iterator[Complaint]:
        """Yield the mistakes in these fields."""
        if not self.origins:
            write = "cors=None for no sharing"
            yield "cors.no-origin", "at least one origin", "", write
        for origin in self.origins:
            yield from self._complaints_of(origin)
        if "*" in self.origins and len(self.origins) > 1:
            given = "'*' beside others"
            yield "cors.wildcard-beside-others", "'*' alone", given, 'origins=("*",)'
        for name in (*self.methods, *self.headers, *self.expose):
            if not _TOKEN.fullmatch(name):
                expected = "names of methods and headers, one per item"
                yield "cors.bad-name", expected, name, "remove blanks and commas"
            elif name == "*" and self.credentials:
                expected = "names; with credentials browsers take '*' for a name"
                yield "cors.wildcard-with-credentials", expected, name, "name each"
        if self.max_age < 0:
            given = str(self.max_age)
            yield "cors.bad-max-age", "seconds, 0 or more", given, "max_age=600"

    def _complaints_of(self, origin: str | re.Pattern[str]) -> cabc.Iterator[Complaint]:
        if isinstance(origin, re.Pattern):
            if any(origin.fullmatch(stranger) for stranger in _STRANGERS):
                expected = "a pattern that names a site; this pattern matches all sites"
                write = r're.compile(r"https://[a-z0-9-]+\.app\.example")'
                yield "cors.pattern-too-wide", expected, origin.pattern, write
        elif origin == "*":
            if self.credentials:
                expected = "origins by name, since credentials are allowed"
                yield "cors.wildcard-with-credentials", expected, origin, "name each"
        elif origin == "null":
            expected = "an origin; 'null' is any sandboxed frame of any site"
            yield "cors.null-origin", expected, origin, "remove it"
        elif not _ORIGIN.fullmatch(origin):
            expected = "scheme, host and port in lower case, nothing after"
            yield "cors.bad-origin", expected, origin, "https://app.example"

    def _named(self, origin: str) -> str:
        return "*" if "*" in self.origins else origin
