"""Tokens of SQL, and a cursor over them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

# A backslash in a plain string escapes the next sign on MySQL only.
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
# Comments of MySQL alone, and the comment that it executes.
_MORE_SPACE = {"mysql": r"|[#][^\n]*|/[*]M?!\d*|[*]/"}
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
# Words around statements inside of another statement, as between BEGIN and END.
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
        """The name as the database has it, as far as the text shows."""
        if self.kind == "name":
            text = self.text[2:] if self.text[0] in "uU" else self.text
            quote = text[-1]
            return text[1:-1].replace(quote * 2, quote)
        return self.text.lower()

    @property
    def inside(self) -> str:
        """The content of a string or a dollar quote."""
        if self.kind == "dollar":
            tag = self.text.index("$", 1) + 1
            return self.text[tag:-tag]
        return self.text.partition("'")[2][:-1].replace("''", "'")


def statements(text: str, dialect: str) -> cabc.Iterator[list[Token]]:
    """Yield the tokens of each statement, without the semicolons between."""
    tokens: list[Token] = []
    depth = brackets = 0
    for token in _tokens(text, dialect):
        is_end = token.word == ";" and depth <= 0
        if is_end and not (brackets > 0 and _is_rule(tokens)):
            if tokens:
                yield tokens
            tokens, depth, brackets = [], 0, 0
            continue
        tokens.append(token)
        brackets += {"(": 1, ")": -1}.get(token.word, 0)
        if token.word in _OPENS and _has_body(tokens):
            closes = tokens[-2].word == "END" if len(tokens) > 1 else False
            # END IF closes what was not counted when it began.
            counted = token.word in {"BEGIN", "CASE", "END"}
            depth += -1 if token.word == "END" else counted != closes
    if tokens:
        yield tokens


def _is_rule(tokens: cabc.Sequence[Token]) -> bool:
    """True for CREATE RULE, whose brackets may hold statements."""
    words = [token.word for token in tokens[:4]]
    return words[0] == "CREATE" and "RULE" in words


def _has_body(tokens: cabc.Sequence[Token]) -> bool:
    words = [token.word for token in tokens[:12]]
    # After a bracket come names of columns or arguments.
    head = words[: words.index("(")] if "(" in words else words
    return words[0] == "CREATE" and not _HAS_BODY.isdisjoint(head)


def _tokens(text: str, dialect: str) -> cabc.Iterator[Token]:
    pattern, at = _PATTERNS[dialect], 0
    is_code = dialect == "mysql"
    while at < len(text):
        runs = is_code and text.startswith(("/*!", "/*M!"), at)
        if text.startswith("/*", at) and not runs:
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
    """A cursor over the tokens of one statement.

    :param dialect: ``"postgresql"``, ``"mysql"`` or ``"sqlite"``.
    """

    def __init__(
        self, tokens: cabc.Sequence[Token], dialect: str = "postgresql"
    ) -> None:
        self.tokens = tokens
        self.dialect = dialect
        self.at = 0

    def part(self, tokens: cabc.Sequence[Token]) -> t.Self:
        """Return a cursor over some of the tokens."""
        return type(self)(tokens, self.dialect)

    def peek(self, ahead: int = 0) -> Token:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else _END

    def take(self, words: str) -> bool:
        wanted = words.split()
        if all(self.peek(i).word == word for i, word in enumerate(wanted)):
            self.at += len(wanted)
            return True
        return False

    def take_any(self, *choices: str) -> bool:
        return any(self.take(words) for words in choices)

    def seek(self, words: str) -> bool:
        """Go past some words outside of brackets; stay if they do not come."""
        start, depth = self.at, 0
        while self.at < len(self.tokens):
            if depth == 0 and self.take(words):
                return True
            depth += {"(": 1, ")": -1}.get(self.peek().text, 0)
            self.at += 1
        self.at = start
        return False

    def has(self, words: str) -> bool:
        start = self.at
        found = self.seek(words)
        self.at = start
        return found

    def name(self) -> str:
        """Read a name, with its schema if that is given."""
        parts = [self.next().identifier]
        while self.take("."):
            parts.append(self.next().identifier)
        return ".".join(parts)

    def next(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def brackets(self) -> list[list[Token]]:
        """Read brackets, split at their commas."""
        return split(self.bracketed())

    def bracketed(self) -> list[Token]:
        if not self.take("("):
            return []
        start, depth = self.at, 1
        while self.at < len(self.tokens) and depth:
            depth += {"(": 1, ")": -1}.get(self.next().text, 0)
        return list(self.tokens[start : self.at - (depth == 0)])

    def rest(self) -> list[Token]:
        rest = list(self.tokens[self.at :])
        self.at = len(self.tokens)
        return rest


def split(tokens: cabc.Sequence[Token]) -> list[list[Token]]:
    """Split at commas that are outside of brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.text == "," and depth == 0:
            parts.append([])
            continue
        # PostgreSQL writes ARRAY[1, 2].
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(token.text, 0)
        parts[-1].append(token)
    return [part for part in parts if part]


_END = Token("end", "", 0, 0)
