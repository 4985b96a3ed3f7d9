"""Revision files read as source: the graph needs no import of what a file imports."""

from __future__ import annotations

import ast
import dataclasses as dc
import re
import tokenize
import typing as t
from pathlib import Path

HEADER_NAMES = frozenset(
    {
        "revision", "down_revision", "branch_labels", "depends_on", "contracts",
        "replaces",
    }
)  # fmt: skip
"""Constants of a file that say where it stands, not what it does."""
_FUNCTION = re.compile(r"(?m)^(?:async )?def (\w+)|^(\w+)\s*=\s*(?!=)")
_FIRST_FUNCTION = re.compile(r"(?m)^(?:@|async def |def |class )")
_BACKFILL = re.compile(r"flaskware_alembic|(?m:^(?:@|\w+ *= *)(?:\w+\.)*backfill\()")


@dc.dataclass(frozen=True)
class Header:
    """Constants at the top of a revision file.

    :param values: By name, those that the file sets.
    :param functions: The names of the functions and other values of the module.
    :param has_backfills: Whether the file may declare a backfill.
    :param is_whole: Whether no other value of it is made by code.
    """

    doc: str | None
    values: dict[str, t.Any]
    functions: frozenset[str]
    has_backfills: bool
    is_whole: bool = True


def read_source(path: Path) -> str:
    """Return the text of a file, in the encoding that it says it has.

    :raises UnicodeError: if it is in another.
    :raises SyntaxError: if there is no such encoding.
    """
    with tokenize.open(path) as file:
        return file.read()


def encoding_of(path: Path) -> str:
    """Return the encoding that a file says it has."""
    with path.open("rb") as file:
        return tokenize.detect_encoding(file.readline)[0]


def read_header(text: str) -> Header | None:
    """Return the header of a file; ``None`` where only running it shows its ids.

    Importlib and runpy were considered, but run the file.

    :raises SyntaxError: if it is no Python.
    """
    first = _FIRST_FUNCTION.search(text)
    # The rest is parsed when it is run, which is not needed for the graph.
    head = text if first is None else text[: first.start()]
    found = _read(head)
    if found is None and head != text:
        found = _read(text)
    if found is None:
        return None
    doc, values, is_whole = found
    names = {match[1] or match[2] for match in _FUNCTION.finditer(text)}
    names.update(re.findall(r"(?m)^(?:from .*)?import .*\b(upgrade|downgrade)\b", text))
    return Header(
        doc, values, frozenset(names), _BACKFILL.search(text) is not None, is_whole
    )


def _read(text: str) -> tuple[str | None, dict[str, t.Any], bool] | None:
    tree = ast.parse(text)
    values: dict[str, t.Any] = {}
    made: set[str] = set()
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name) and target.id in HEADER_NAMES:
                try:
                    values[target.id] = ast.literal_eval(t.cast("t.Any", node).value)
                except ValueError:
                    made.add(target.id)
    if not {"revision", "down_revision"} <= set(values) - made:
        return None
    return ast.get_docstring(tree), values, not made
