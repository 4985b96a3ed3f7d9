"""The modules of a package and what each imports of the others, read by ``ast``."""

from __future__ import annotations

import ast
import dataclasses as dc
import functools
import typing as t
from pathlib import Path

# Folders of a package that hold files for other programs, not modules of its own.
DATA = frozenset({"migrations", "templates", "static", "translations"})

# When an import is done: as the module is imported, as a function is called, or never.
When = t.Literal["top", "late", "types"]


@dc.dataclass(frozen=True)
class Import:
    """One name that a module imports from its own package."""

    target: str  # the module that it leads to
    name: str  # what is imported of it; empty for the module itself
    when: When
    level: int  # the dots before a relative import; 0 for an absolute import
    line: int


@dc.dataclass(frozen=True)
class Module:
    """One file of a package, named by its place: ``_engines.url``.

    A room's ``__init__.py`` has the name of the room, that of the package none.
    """

    name: str
    path: Path
    source: Path

    @property
    def place(self) -> str:
        """Its file, seen from the package."""
        return self.path.relative_to(self.source).as_posix()

    @property
    def folder(self) -> str:
        """The room that it stands in, with dots; empty in the root of the package."""
        return ".".join(self.path.relative_to(self.source).parts[:-1])

    @property
    def room(self) -> str:
        """The first part of its name, which the order of a package names."""
        return self.name.partition(".")[0]

    @property
    def stem(self) -> str:
        return self.path.stem

    @functools.cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @functools.cached_property
    def length(self) -> int:
        return len(self.text.splitlines())


@dc.dataclass(frozen=True)
class Modules:
    """Every module of a package, by name, and the imports between them."""

    package: str
    source: Path
    by_name: dict[str, Module]

    def __iter__(self) -> t.Iterator[Module]:
        return iter(self.by_name.values())

    def folders(self) -> dict[str, list[Module]]:
        """Return the modules of each folder, ``__init__`` included."""
        found: dict[str, list[Module]] = {}
        for module in self:
            found.setdefault(module.folder, []).append(module)
        return found

    @functools.cached_property
    def imports(self) -> dict[str, list[Import]]:
        """The imports of each module from its own package."""
        return {name: list(self._imports(item)) for name, item in self.by_name.items()}

    def graph(self, *when: When) -> dict[str, set[str]]:
        """Return which modules each module imports at these times."""
        return {
            name: {item.target for item in found if item.when in when} - {name}
            for name, found in self.imports.items()
        }

    def _imports(self, module: Module) -> t.Iterator[Import]:
        for node, when in statements(module.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    head, _, rest = alias.name.partition(".")
                    if head == self.package:
                        yield Import(self._known(rest), "", when, 0, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                if base is None:
                    continue
                for alias in node.names:
                    inner = f"{base}.{alias.name}".lstrip(".")
                    is_module = inner in self.by_name
                    target = inner if is_module else self._known(base)
                    name = "" if is_module else alias.name
                    yield Import(target, name, when, node.level, node.lineno)

    def _base(self, module: Module, node: ast.ImportFrom) -> str | None:
        """Return what ``from`` names in the package; ``None`` outside of it."""
        dotted = node.module or ""
        if not node.level:
            head, _, rest = dotted.partition(".")
            return rest if head == self.package else None
        folder = module.folder.split(".") if module.folder else []
        parts = folder[: len(folder) - node.level + 1]
        return ".".join([*parts, *([dotted] if dotted else [])])

    def _known(self, name: str) -> str:
        """Return the nearest module that exists: folders of data are not read."""
        while name not in self.by_name:
            name = name.rpartition(".")[0]
        return name


def read(source: Path) -> Modules:
    """Read a package, flat or in rooms, without its folders of data.

    :param source: the folder of its ``__init__.py``.
    """
    found: dict[str, Module] = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        if not DATA.isdisjoint(parts[:-1]):
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, source)
    return Modules(source.name, source, found)


def statements(tree: ast.Module) -> t.Iterator[tuple[ast.stmt, When]]:
    """Yield each statement of a module, with when it runs."""
    waiting: list[tuple[ast.AST, When]] = [(tree, "top")]
    while waiting:
        node, when = waiting.pop()
        for child in ast.iter_child_nodes(node):
            inner: When = when
            if isinstance(node, ast.If) and child in node.body and _is_types(node.test):
                inner = "types"
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = "types" if when == "types" else "late"
            if isinstance(child, ast.stmt):
                yield child, inner
            waiting.append((child, inner))


def _is_types(test: ast.expr) -> bool:
    return ast.unparse(test).rpartition(".")[2] == "TYPE_CHECKING"


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return each set of nodes of which every node leads to every other."""
    reach = {node: closure(graph, node) for node in graph}
    found = {
        frozenset({node, *(other for other in reach[node] if node in reach[other])})
        for node in graph
        if node in reach[node]
    }
    return sorted(sorted(nodes) for nodes in found)


def closure(graph: dict[str, set[str]], start: str) -> set[str]:
    """Return every node that a node leads to, itself only if it is on a cycle."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for node in graph.get(waiting.pop(), ()):
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return seen
