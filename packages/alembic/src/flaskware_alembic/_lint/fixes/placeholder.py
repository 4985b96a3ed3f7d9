"""Where ``...`` stands in a revision for what only a person knows."""

from __future__ import annotations

import ast
import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_alembic._revisions.header import read_source

if t.TYPE_CHECKING:
    from pathlib import Path


@dc.dataclass(frozen=True)
class Placeholder:
    """A ``...`` that was to be replaced.

    :param line: Of the file.
    :param code: The line as it is.
    """

    line: int
    code: str


def placeholders_in(path: Path) -> list[Placeholder]:
    """Every ``...`` in the functions of a file that is taken as a value."""
    source = read_source(path)
    if "..." not in source:
        return []
    lines = source.splitlines()
    found: dict[int, Placeholder] = {}
    for function in ast.parse(source).body:
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                for number in _lines(statement):
                    found[number] = Placeholder(number, lines[number - 1].strip())
    return [found[number] for number in sorted(found)]


def without_placeholders(path: Path) -> str:
    """Return the source of a file with ``None`` in place of each such ``...``."""
    lines = read_source(path).splitlines(keepends=True)
    for placeholder in placeholders_in(path):
        at = placeholder.line - 1
        lines[at] = lines[at].replace("...", "None")
    return "".join(lines)


def _lines(node: ast.AST) -> cabc.Iterator[int]:
    # As a statement it does nothing, and in brackets it is a type or a slice.
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant) and node.value is ...:
        yield node.lineno
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.Subscript) and child is node.slice):
            yield from _lines(child)
