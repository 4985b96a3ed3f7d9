"""The table of names that a package imports when they are used, made from its imports.

``__init__.py`` writes such a name once, under ``t.TYPE_CHECKING``, where type checkers
read it. Python cannot: it would have to parse the file at each start. So the table
beside it is written by ``nox -s layout -- --fix``.
"""

from __future__ import annotations

import ast
from pathlib import Path

_WIDTH = 88


def generate(text: str) -> str:
    """Return an ``__init__.py`` with the table that its imports ask for."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.If) and node.orelse:
            lines = text.splitlines(keepends=True)
            start, end = node.orelse[0].lineno - 1, node.orelse[-1].end_lineno
            return "".join([*lines[:start], _table(node.body), *lines[end:]])
    return text


def _table(imports: list[ast.stmt]) -> str:
    """Return the call of ``lazy_names``, formatted as ruff does."""
    modules: dict[str, list[str]] = {}
    for node in imports:
        if isinstance(node, ast.ImportFrom) and node.level:
            names = [alias.asname or alias.name for alias in node.names]
            modules.setdefault(node.module or "", []).extend(names)
    rows = "".join(_row(module, names) for module, names in modules.items())
    return (
        "    __getattr__, __dir__ = lazy_names(\n        __name__,\n"
        f"        {{\n{rows}        }},\n    )\n"
    )


def _row(module: str, names: list[str]) -> str:
    quoted = [f'"{name}"' for name in names]
    row = f'            "{module}": [{", ".join(quoted)}],\n'
    if len(row) <= _WIDTH + 1:
        return row
    inner = "".join(f"                {name},\n" for name in quoted)
    return f'            "{module}": [\n{inner}            ],\n'


def is_stale(package: Path) -> bool:
    """True if the table of a package is not as its imports ask for.

    :param package: the folder of its ``__init__.py``.
    """
    text = (package / "__init__.py").read_text("utf-8")
    return generate(text) != text


def fix(package: Path) -> bool:
    """Write the table of a package where it is stale; return if it was."""
    found = is_stale(package)
    if found:
        path = package / "__init__.py"
        path.write_text(generate(path.read_text("utf-8")), "utf-8")
    return found
