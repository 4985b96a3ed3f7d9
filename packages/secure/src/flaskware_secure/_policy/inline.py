"""Inline code of pages, and the hashes by which a policy allows it."""

from __future__ import annotations

import base64
import collections.abc as cabc
import dataclasses as dc
import hashlib
import html.parser
import re
import typing as t

CodeDirective: t.TypeAlias = t.Literal[
    "script-src-elem", "script-src-attr", "style-src-elem", "style-src-attr"
]

# HTML, section 4.12.1.1: an element of another type is data, which no policy blocks.
_SCRIPT_TYPES = re.compile(
    r"|module|importmap|speculationrules"
    r"|(application|text)/(x-)?(java|ecma)script|text/javascript1\.[0-5]"
    r"|text/(jscript|livescript)",
    re.IGNORECASE,
)
# No other character: the origin becomes part of a header.
_ORIGIN = re.compile(
    r"(?:(?P<scheme>https?://)|//)(?P<host>[a-z0-9.-]+(?::[0-9]+)?)(?=[/?#]|$)"
)
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")


@dc.dataclass(frozen=True)
class InlineCode:
    """Code in the markup of a page.

    :param directive: The directive that decides on it.
    :param where: The element and the attribute, such as ``"button onclick"``.
    :param code: The code as a browser hashes it.
    :param line: The line in the markup, from 1.
    """

    directive: CodeDirective
    where: str
    code: str
    line: int

    @property
    def varies(self) -> bool:
        """True if a template fills it in, so that no hash fits every page."""
        return _TEMPLATE.search(self.code) is not None

    @property
    def source(self) -> str:
        """The source that allows it, such as ``"'sha256-…'"``."""
        return hash_source(self.code)


def hash_source(code: str) -> str:
    """Return the source that allows a piece of inline code (CSP3, section 2.3.1)."""
    digest = hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def inline_code(markup: str) -> list[InlineCode]:
    """Return the code in a page or template that a strict policy blocks.

    Elements with a nonce are left out, and scripts with an address.
    """
    # html5lib and lxml read markup as browsers do, but know neither the line of an
    # attribute nor the expressions of a template.
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    return reader.found


def linked_origins(markup: str, kind: t.Literal["stylesheet", "icon"]) -> list[str]:
    """Return the other origins from which a page links style sheets, or its icon.

    An address without a scheme gives its host, which a policy takes as well.
    """
    reader = _Links(kind)
    reader.feed(markup)
    reader.close()
    return list(dict.fromkeys(reader.origins))


class _Links(html.parser.HTMLParser):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.origins: list[str] = []
        self._kind = kind

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and self._kind in (given.get("rel") or "").lower().split():
            found = _ORIGIN.match((given.get("href") or "").strip().lower())
            if found is not None:
                self.origins.append(f"{found['scheme'] or ''}{found['host']}")


class _Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[InlineCode] = []
        self._open: tuple[CodeDirective, str, int] | None = None
        self._parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        self.found.extend(_attributes(tag, attrs, line))
        given = dict(attrs)
        if "nonce" in given:
            return
        if tag == "style":
            self._open = "style-src-elem", tag, line
        elif tag == "script" and "src" not in given and _is_code(given.get("type")):
            self._open = "script-src-elem", tag, line

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if self._open is None or tag != self._open[1]:
            return
        directive, where, line = self._open
        # A browser reads every kind of line end as a line feed before it hashes.
        code = re.sub(r"\r\n?", "\n", "".join(self._parts))
        self._open, self._parts = None, []
        if code:
            self.found.append(InlineCode(directive, where, code, line))


def _attributes(
    tag: str, attrs: list[tuple[str, str | None]], line: int
) -> cabc.Iterator[InlineCode]:
    for name, value in attrs:
        if not value:
            continue
        code = re.sub(r"\r\n?", "\n", value)
        if name.startswith("on"):
            yield InlineCode("script-src-attr", f"{tag} {name}", code, line)
        elif name == "style":
            yield InlineCode("style-src-attr", f"{tag} {name}", code, line)


def _is_code(kind: str | None) -> bool:
    text = (kind or "").strip()
    return _SCRIPT_TYPES.fullmatch(text) is not None or bool(_TEMPLATE.search(text))
