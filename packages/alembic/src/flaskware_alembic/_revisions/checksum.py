"""Checksum of what a revision does, the same for another layout of its file.

Comments, docstrings, annotations, unused imports and the header are left out. A
text of the syntax tree is made here: `ast.dump` and `ast.unparse` change with the
version of Python, and a database outlives that.
"""

from __future__ import annotations

import ast
import collections.abc as cabc
import hashlib
import typing as t
from pathlib import Path

from .header import HEADER_NAMES
from .header import read_header
from .header import read_source

_LEFT_OUT = {
    "annotation", "ctx", "kind", "returns", "simple", "type_comment", "type_ignores",
}  # fmt: skip
_Documented = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def checksum_of(path: Path) -> str:
    """Return the checksum of what a revision file does."""
    tree = ast.parse(read_source(path))
    body = [
        node
        for node in tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom) and not _is_header(node)
    ]
    kept = ast.Module(body, [])
    used = {node.id for node in ast.walk(kept) if isinstance(node, ast.Name)}
    bound = [pair for node in tree.body for pair in _imports(node)]
    imports = {line for name, line in bound if name in used}
    text = "\n".join(sorted(imports)) + _text(kept)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def checksums_of(path: Path) -> list[str]:
    """Return the checksum of a file, and those of the files that it replaces.

    A squashed revision names them.
    """
    header = read_header(read_source(path))
    replaced = header.values.get("replaces", ()) if header is not None else ()
    return [checksum_of(path), *replaced]


def _imports(node: ast.stmt) -> cabc.Iterator[tuple[str, str]]:
    """Yield the names that an import binds, each with the import as a line."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return
    place = ""
    if isinstance(node, ast.ImportFrom):
        place = f"from {'.' * node.level}{node.module or ''} "
    for name in node.names:
        bound = name.asname or name.name.partition(".")[0]
        yield bound, f"{place}import {name.name} as {bound}"


def _is_header(node: ast.stmt) -> bool:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return bool(names) and names <= HEADER_NAMES


def _text(value: object) -> str:
    if isinstance(value, ast.AnnAssign) and value.value is not None:
        value = ast.Assign([value.target], value.value)
    if isinstance(value, ast.AST):
        fields: dict[str, t.Any] = {
            name: getattr(value, name, None)
            for name in value._fields
            if name not in _LEFT_OUT
        }
        if isinstance(value, _Documented) and ast.get_docstring(value) is not None:
            fields["body"] = fields["body"][1:]
        # Fields that a newer Python adds are empty in code for an older Python.
        inside = ",".join(
            f"{name}={_text(item)}"
            for name, item in fields.items()
            if item is not None and item != []
        )
        return f"{type(value).__name__}({inside})"
    if isinstance(value, list):
        return f"[{','.join(_text(item) for item in t.cast('list[object]', value))}]"
    return repr(value)
