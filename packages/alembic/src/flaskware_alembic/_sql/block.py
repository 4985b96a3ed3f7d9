"""Statements in the body of a DO block, taken out of its control flow."""

from __future__ import annotations

import collections.abc as cabc

from .tokens import statements
from .tokens import Token

# PL/pgSQL runs these without a statement of SQL.
_SILENT = {
    "ASSERT", "CLOSE", "CONTINUE", "EXIT", "FETCH", "GET", "NULL", "OPEN", "PERFORM",
    "RAISE", "RETURN", "SELECT",
}  # fmt: skip
# Words that stand before a statement, and the word that ends them.
_BEFORE = {
    "CASE": "THEN", "ELSE": "", "ELSEIF": "THEN", "ELSIF": "THEN", "EXCEPTION": "",
    "FOR": "LOOP", "FOREACH": "LOOP", "IF": "THEN", "LOOP": "", "WHEN": "THEN",
    "WHILE": "LOOP",
}  # fmt: skip


def statements_of_block(body: str, dialect: str) -> cabc.Iterator[list[Token]]:
    """Yield the statements of SQL in a block of PL/pgSQL, at any depth."""
    declares = False
    for tokens in statements(body, dialect):
        at = 0
        while at < len(tokens):
            word = tokens[at].word
            if word == "DECLARE":
                declares = True
            if declares and word != "BEGIN":
                at = len(tokens)
            elif word == "BEGIN":
                declares = False
                at += 1
            elif word in _BEFORE:
                at = _after(tokens, at, _BEFORE[word])
            else:
                break
        rest = tokens[at:]
        if not rest or rest[0].word in _SILENT or rest[0].word == "END":
            continue
        if rest[0].word == "EXECUTE":
            yield from _executed(rest[1:], dialect)
        elif not any(token.text == ":=" for token in rest):
            yield rest


def _after(tokens: cabc.Sequence[Token], at: int, word: str) -> int:
    depth = 0
    for index in range(at + 1, len(tokens) if word else 0):
        depth += {"(": 1, ")": -1}.get(tokens[index].text, 0)
        if depth == 0 and tokens[index].word == word:
            return index + 1
    return len(tokens) if word else at + 1


def _executed(tokens: list[Token], dialect: str) -> cabc.Iterator[list[Token]]:
    """Read a statement that is run as text, if that is one constant."""
    if len(tokens) == 1 and tokens[0].kind in {"string", "dollar"}:
        yield from statements(tokens[0].inside, dialect)
    else:
        yield tokens
