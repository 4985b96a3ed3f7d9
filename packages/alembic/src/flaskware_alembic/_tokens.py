"""The words of SQL, and how they are read one after another."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<dollar>\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$)
  | (?P<string>[eEnNbBxX]?'(?:[^'\\]|''|\\.)*')
  | (?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
  | (?P<word>[A-Za-z_\u0080-\uffff][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<sign>::|<>|<=|>=|!=|\|\||.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dc.dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The keyword, in upper case; empty for what is quoted."""
        return self.text.upper() if self.kind in {"word", "sign"} else ""

    @property
    def identifier(self) -> str:
        """The name as the database has it, as far as that can be told."""
        if self.kind == "name":
            quote = self.text[0]
            return self.text[1:-1].replace(quote * 2, quote)
        return self.text.lower()


def statements(text: str) -> cabc.Iterator[list[Token]]:
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind = t.cast("str", match.lastgroup)
        # The tag of a dollar quote is a group too, and the last.
        kind = "dollar" if kind == "tag" else kind
        if kind == "space":
            continue
        if match.group() == ";":
            if tokens:
                yield tokens
            tokens = []
        else:
            tokens.append(Token(kind, match.group(), match.start(), match.end()))
    if tokens:
        yield tokens


class Reader:
    """The tokens of one statement, and how far they were read."""

    def __init__(self, tokens: cabc.Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def _peek(self, ahead: int = 0) -> Token:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else _END

    def _take(self, words: str) -> bool:
        wanted = words.split()
        if all(self._peek(i).word == word for i, word in enumerate(wanted)):
            self._at += len(wanted)
            return True
        return False

    def _take_any(self, *choices: str) -> bool:
        return any(self._take(words) for words in choices)

    def _seek(self, words: str) -> bool:
        """Go to some words outside of brackets, if they come."""
        start, depth = self._at, 0
        while self._at < len(self._tokens):
            if depth == 0 and self._take(words):
                return True
            depth += {"(": 1, ")": -1}.get(self._peek().text, 0)
            self._at += 1
        self._at = start
        return False

    def _has(self, words: str) -> bool:
        start = self._at
        found = self._seek(words)
        self._at = start
        return found

    def _name(self) -> str:
        """A name, with its schema if that is given."""
        parts = [self._next().identifier]
        while self._take("."):
            parts.append(self._next().identifier)
        return ".".join(parts)

    def _next(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def _brackets(self) -> list[list[Token]]:
        """What is in brackets, split at its commas."""
        if not self._take("("):
            return []
        start, depth = self._at, 1
        while self._at < len(self._tokens) and depth:
            depth += {"(": 1, ")": -1}.get(self._next().text, 0)
        return split(self._tokens[start : self._at - (depth == 0)])

    def _rest(self) -> list[Token]:
        rest = list(self._tokens[self._at :])
        self._at = len(self._tokens)
        return rest


def split(tokens: cabc.Sequence[Token]) -> list[list[Token]]:
    """Split at commas that are outside of brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.text == "," and depth == 0:
            parts.append([])
            continue
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        parts[-1].append(token)
    return [part for part in parts if part]


_END = Token("end", "", 0, 0)
