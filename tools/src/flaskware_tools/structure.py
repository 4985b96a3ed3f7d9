"""Figures on the inside of each package: rooms, lengths, imports, private accesses.

``nox -s layout`` prints them; ``python -m flaskware_tools.structure [REV ...]`` does so
for revisions of the repository too, such as ``v0.1.0``.
"""

from __future__ import annotations

import ast
import dataclasses as dc
import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
import tokenize
import typing as t
from pathlib import Path

from . import modules
from . import privates
from .matrix import packages
from .matrix import ROOT
from .modules import Module
from .modules import Modules

_PRAGMAS = ("noqa", "type:", "pyright:", "fmt:", "pragma:", "voice:")


@dc.dataclass(frozen=True)
class Figures:
    """Counts of one package; lengths are in lines."""

    lines: int
    modules: int
    rooms: int
    biggest_folder: int
    private_accesses: int
    to_know: list[int]
    module_lengths: list[int]
    function_lengths: list[int]
    docstring_lengths: list[int]
    comments: int
    cycles: int

    def rows(self) -> dict[str, str]:
        """Return each figure by its name, as the table shows it."""
        return {
            "lines": f"{self.lines:,}",
            "modules": str(self.modules),
            "rooms": str(self.rooms),
            "modules in the biggest folder": str(self.biggest_folder),
            "foreign private accesses": str(self.private_accesses),
            "… per 1,000 lines": f"{1000 * self.private_accesses / self.lines:.1f}",
            "modules to know (median / most)": _spread(self.to_know),
            "module lines (median / most)": _spread(self.module_lengths),
            "function lines (median / most)": _spread(self.function_lengths),
            "import cycles at run time": str(self.cycles),
            "docstring lines (median)": f"{_median(self.docstring_lengths):g}",
            "comment lines": f"{100 * self.comments / self.lines:.1f} %",
        }


def _spread(lengths: list[int]) -> str:
    return f"{_median(lengths):g} / {max(lengths, default=0)}"


def _median(lengths: list[int]) -> float:
    return statistics.median(lengths) if lengths else 0


def measure(package: Modules) -> Figures:
    """Count what a package has.

    ``__init__`` is a module as any other, but is not measured as one: to follow its
    imports is to know the whole package, and that of a room is empty. The modules to
    know are all that a module imports, directly or not, at any time.
    """
    graph = package.graph("top", "late", "types")
    real = [item for item in package if item.stem != "__init__"]
    nodes = [node for item in package for node in ast.walk(item.tree)]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [text for node in nodes if (text := docstring(node))]
    folders = package.folders()
    return Figures(
        lines=sum(item.length for item in package),
        modules=len(package.by_name),
        rooms=len(folders) - 1,
        biggest_folder=max(map(len, folders.values())),
        private_accesses=sum(len(privates.accesses(item.tree)) for item in package),
        to_know=[len(modules.closure(graph, item.name)) for item in real],
        module_lengths=[item.length for item in real],
        function_lengths=[
            _length(node) for node in nodes if isinstance(node, functions)
        ],
        docstring_lengths=[_length(text) for text in docstrings],
        comments=sum(map(_comment_lines, package)),
        cycles=len(modules.cycles(package.graph("top", "late"))),
    )


def docstring(node: ast.AST) -> ast.Constant | None:
    """Return the docstring of a module, class or function as a node."""
    if not isinstance(
        node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    ):
        return None
    first = node.body[0] if node.body else None
    value = first.value if isinstance(first, ast.Expr) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value
    return None


def _length(node: ast.stmt | ast.expr) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _comment_lines(module: Module) -> int:
    """Return how many lines have a comment for people."""
    return sum(
        not token.string.lstrip("#: ").startswith(_PRAGMAS)
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline)
        if token.type == tokenize.COMMENT
    )


def table(root: Path = ROOT) -> str:
    """Return the figures of every package, a column each, and those of all."""
    found = {
        item.name: measure(modules.read(item.source))
        for item in packages(root).values()
    }
    columns = {name: figures.rows() for name, figures in found.items()}
    columns["all"] = _total(list(found.values())).rows()
    names = next(iter(columns.values()))
    rows = [["", *columns]]
    rows += [[name, *(column[name] for column in columns.values())] for name in names]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _total(found: list[Figures]) -> Figures:
    """Return the figures of all packages as if they were one."""
    total: dict[str, t.Any] = {}
    for field in dc.fields(Figures):
        values = [getattr(item, field.name) for item in found]
        if field.name == "biggest_folder":
            total[field.name] = max(values)
        else:
            start: t.Any = [] if isinstance(values[0], list) else 0
            total[field.name] = sum(values, start)
    return Figures(**total)


def table_of(revision: str, root: Path = ROOT) -> str:
    """Return the figures of a revision that git knows."""
    archive = subprocess.run(
        ["git", "archive", revision, "packages", "shared-config/matrix.toml"],
        cwd=root, capture_output=True, check=True,
    ).stdout  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as file:
            file.extractall(folder, filter="data")
        return table(Path(folder))


def main(revisions: list[str]) -> None:
    for revision in revisions:
        print(f"{revision}\n{table_of(revision)}\n")
    if not revisions:
        print(table())


if __name__ == "__main__":
    main(sys.argv[1:])
