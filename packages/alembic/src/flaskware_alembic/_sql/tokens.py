"""The words of SQL, and how they are read one after another."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

# Where a backslash in a plain string takes the next sign with it: on MySQL only.
_STRINGS = {
    "postgresql": r"""[eE]'(?:[^'\\]|''|\\.)*' | (?:[bBnNxX]|[uU]&)?'(?:[^']|'')*'""",
    "mysql": r"""[bBnNxX]?'(?:[^'\\]|''|\\.)*'""",
    "sqlite": r"""[xX]?'(?:[^']|'')*'""",
}
_NAMES = {
    "postgresql": r"""(?:[uU]&)?"(?:[^"]|"")*" """,
    "mysql": r""" `(?:[^`]|``)*` | "(?:[^"\\]|""|\\.)*" """,
    "sqlite": r""" "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] """,
}
_DOLLAR = r"""\$(?P<tag>(?:[A-Za-z_\u0080-\uffff]\w*)?)\$.*?\$(?P=tag)\$"""
_NEVER = r"(?!)(?P<tag>)"
# What MySQL alone reads as a comment, and the comment that it executes.
_MORE_SPACE = {"mysql": r"|[#][^\n]*|/[*]!\d*|[*]/"}
_PATTERNS = {
    dialect: re.compile(
        rf"""
        (?P<space>\s+|--[^\n]*{_MORE_SPACE.get(dialect, "")})
      | (?P<dollar>{_DOLLAR if dialect == "postgresql" else _NEVER})
      | (?P<string>{_STRINGS[dialect]})
      | (?P<name>{_NAMES[dialect]})
      | (?P<word>[A-Za-z_\u0080-\uffff][\w$]*)
      | (?P<number>\d[\w.]*)
      | (?P<broken>['"`]|/[*])
      | (?P<sign>::|:=|<>|<=|>=|!=|\|\||.)
        """,
        re.VERBOSE | re.DOTALL,
    )
    for dialect in _STRINGS
}
_COMMENT = re.compile(r"/\*|\*/")
# What has statements of its own inside, between BEGIN and END.
_OPENS = {"BEGIN", "CASE", "END", "IF", "LOOP", "REPEAT", "WHILE"}
_HAS_BODY = {"TRIGGER", "FUNCTION", "PROCEDURE", "EVENT"}


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
            text = self.text[2:] if self.text[0] in "uU" else self.text
            quote = text[-1]
            return text[1:-1].replace(quote * 2, quote)
        return self.text.lower()

    @property
    def inside(self) -> str:
        """What a string or a dollar quote holds."""
        if self.kind == "dollar":
            tag = self.text.index("$", 1) + 1
            return self.text[tag:-tag]
        return self.text.partition("'")[2][:-1].replace("''", "'")


def statements(text: str, dialect: str) -> cabc.Iterator[list[Token]]:
    """The tokens of each statement, without those that only stand between."""
    tokens: list[Token] = []
    depth = 0
    for token in _tokens(text, dialect):
        if token.text == ";" and token.kind == "sign" and depth <= 0:
            if tokens:
                yield tokens
            tokens, depth = [], 0
            continue
        tokens.append(token)
        if token.word in _OPENS and _has_body(tokens):
            closes = tokens[-2].word == "END" if len(tokens) > 1 else False
            # END IF closes what was not counted when it began.
            counted = token.word in {"BEGIN", "CASE", "END"}
            depth += -1 if token.word == "END" else counted != closes
    if tokens:
        yield tokens


def _has_body(tokens: cabc.Sequence[Token]) -> bool:
    words = [token.word for token in tokens[:12]]
    # What comes after a bracket is the name of a column or an argument.
    head = words[: words.index("(")] if "(" in words else words
    return words[0] == "CREATE" and not _HAS_BODY.isdisjoint(head)


def _tokens(text: str, dialect: str) -> cabc.Iterator[Token]:
    pattern, at = _PATTERNS[dialect], 0
    is_code = dialect == "mysql"
    while at < len(text):
        if text.startswith("/*", at) and not (is_code and text.startswith("/*!", at)):
            end = _end_of_comment(text, at, nests=dialect == "postgresql")
            if end is not None:
                at = end
                continue
        match = t.cast("re.Match[str]", pattern.match(text, at))
        kind = t.cast("str", match.lastgroup)
        # The tag of a dollar quote is a group too, and the last.
        kind = "dollar" if kind == "tag" else kind
        at = match.end()
        if kind != "space":
            yield Token(kind, match.group(), match.start(), at)


def _end_of_comment(text: str, at: int, *, nests: bool) -> int | None:
    depth = 0
    for match in _COMMENT.finditer(text, at):
        if match.group() == "*/":
            depth -= 1
        elif nests or not depth:
            depth += 1
        if not depth:
            return match.end()
    return None


class Reader:
    """The tokens of one statement, and how far they were read."""

    def __init__(
        self, tokens: cabc.Sequence[Token], dialect: str = "postgresql"
    ) -> None:
        self._tokens = tokens
        self._dialect = dialect
        self._at = 0

    def _on(self, tokens: cabc.Sequence[Token]) -> t.Self:
        """A reader of a part."""
        return type(self)(tokens, self._dialect)

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

    def _seek_any(self, *choices: str) -> bool:
        return any(self._seek(words) for words in choices)

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
        return split(self._bracketed())

    def _bracketed(self) -> list[Token]:
        if not self._take("("):
            return []
        start, depth = self._at, 1
        while self._at < len(self._tokens) and depth:
            depth += {"(": 1, ")": -1}.get(self._next().text, 0)
        return list(self._tokens[start : self._at - (depth == 0)])

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
