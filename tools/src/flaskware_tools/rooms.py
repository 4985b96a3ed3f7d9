"""The rules of the inside of a package, each with its remedy.

``python -m flaskware_tools.rooms [PACKAGE ...]`` lists what breaks them.
"""

from __future__ import annotations

import ast
import collections.abc as cabc
import itertools
import re
import sys
import typing as t

from . import modules
from .matrix import packages
from .modules import Import
from .modules import Module
from .modules import Modules

# The modules and rooms that the root of a package may hold; testing is public.
ANATOMY = frozenset(
    {
        "__init__", "_extension", "_settings", "_errors", "_checks", "_signals", "_cli",
        "_setup", "testing",
    }
)  # fmt: skip
# Modules of the domain beside them in the root.
MOST_OTHERS = 3
FEWEST, MOST = 2, 18
SHORTEST, LONGEST = 60, 800
# Modules that every package has, or that only declare, may be short.
SHORT = ANATOMY | {"error", "errors", "signals", "protocol", "protocols"}
# Short modules that would be wrong anywhere else, with the reason.
LEAVES = {
    "flaskware_alembic._cli.commands": "loads no command before one is asked for",
    "flaskware_alembic._databases.event_loop": "free of engines and of Alembic",
    "flaskware_alembic._transitions.declaration": "free of Alembic, for models",
    "flaskware_core._lazy": "every package imports it before anything else",
    "flaskware_core._process.backoff": "one home for an idea of several packages",
    "flaskware_core._process.fork": "one home for an idea of several packages",
    "flaskware_core._doctor.middleware": "asked by the checks of modes and of requests",
    "flaskware_core._doctor.health": "views of its own, which no other module uses",
    "flaskware_core._settings.suggest": "one home for an idea of several packages",
    "flaskware_core._web.signing": "imported late, as it loads itsdangerous",
    "flaskware_session._records.text": "for stores that keep texts, and for no other",
    "flaskware_secure._headers.clear_site_data": "a function for views, in no hook",
    "flaskware_secure._policy.parsing": "read by policies, audit and test helpers",
    "flaskware_sqlalchemy._sessions.sticky": "imported late, as it loads itsdangerous",
    "flaskware_session._migrations": "an entry point of the package names it",
    "flaskware_forms._csrf.mask": "the one idea against BREACH, free of Flask-WTF",
    "flaskware_forms._exchanges.current": "chooses between both, and is in neither",
    "flaskware_forms._schema.person": "one home for the zone's and the locale's rule",
    "flaskware_forms._markup.names": "the names of a control, used by three rooms",
}
# Names that end in -ing and are nouns of the field.
NOUNS = frozenset(
    {
        "finding", "grading", "parsing", "recording", "routing", "serving",
        "signing", "testing",
    }
)  # fmt: skip
# Bases with one subclass that are no half of it, with the reason.
WHOLE: dict[str, str] = {
    "flaskware_sqlalchemy._coroutines.Coroutines": "the half that is awaited",
    "flaskware_sqlalchemy._models.names.SQLAlchemyNames": "a table of names",
}
# Names that only core may use, and the idea that it offers instead.
IN_CORE = {
    "difflib": "closest names",
    "fcntl": "file locks",
    "msvcrt": "file locks",
    "getpid": "fork guards",
    "_get_current_object": "the current app and request",
}
# Uses of these names for another idea, with the reason.
ELSEWHERE = {
    "flaskware_secure._audit.snapshot: difflib": "a diff of two snapshots",
}
MOST_WAIVERS = 25
_WAIVER = re.compile(r"#\s*noqa:\s*[A-Z0-9, ]*\bSLF001\b")
_INFLECTIONS = frozenset({"s", "ed", "d", "er", "r", "or", "ers", "ion", "ions", "al"})


class Breach(t.NamedTuple):
    """A place that breaks a rule, and what to do about it."""

    rule: str
    place: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.remedy}"


Rule = cabc.Callable[[Modules], t.Iterator[Breach]]


def root(package: Modules) -> t.Iterator[Breach]:
    """The root holds the anatomy, rooms, and at most three modules of the domain."""
    folders = {name.partition(".")[0] for name in package.folders() if name}
    for name in sorted(folders - ANATOMY):
        if not re.fullmatch(r"_[a-z]+(_[a-z]+)*", name):
            yield Breach("root", f"{name}/", "name a room _<nouns> in small letters")
    here = {item.stem for item in package if not item.folder}
    others = sorted(here - ANATOMY)
    for name in others if len(others) > MOST_OTHERS else []:
        yield Breach(
            "root",
            f"{name}.py",
            f"move it into a room; the root has {len(others)} modules that are not of"
            f" the anatomy, and may have {MOST_OTHERS}",
        )


def room(package: Modules) -> t.Iterator[Breach]:
    """A room holds 2 to 18 modules beside an empty ``__init__.py``."""
    folders = package.folders()
    for name, found in folders.items():
        place = name.replace(".", "/") + "/"
        if name.count(".") > 1:
            yield Breach("room", place, "move it up: rooms nest at most once")
        if not name:
            continue
        inner = {other for other in folders if other.startswith(f"{name}.")}
        inside = [item for item in found if item.stem != "__init__"]
        if len(inside) + len(inner) < FEWEST:
            yield Breach(
                "room", place, "add what belongs to it, or merge it into another room"
            )
        if len(inside) > MOST:
            yield Breach(
                "room",
                place,
                f"divide it: it has {len(inside)} modules, and may have {MOST}",
            )
        yield from _contents(name, place, found)


def _contents(name: str, place: str, found: list[Module]) -> t.Iterator[Breach]:
    """Check the modules of one room by their names."""
    init = next((item for item in found if item.stem == "__init__"), None)
    if init is None:
        yield Breach("room", place, "add an empty __init__.py")
    elif init.text.strip() and name != "testing":
        yield Breach("room", f"{place}__init__.py", "empty it: import from its modules")
    for item in found:
        if item.stem.startswith("_") and item.stem != "__init__":
            yield Breach(
                "room", item.place, "drop the underscore: the room is private already"
            )


def length(package: Modules) -> t.Iterator[Breach]:
    """A module has 60 to 800 lines."""
    for item in package:
        name = f"{package.package}.{item.name}"
        if item.length > LONGEST:
            yield Breach(
                "length",
                item.place,
                f"divide it by its nouns: it has {item.length} lines, and may have"
                f" {LONGEST}",
            )
        elif item.length < SHORTEST and item.stem not in SHORT and name not in LEAVES:
            yield Breach(
                "length",
                item.place,
                f"merge it into the module that uses it: it has {item.length} lines,"
                f" and needs {SHORTEST}; or list it in LEAVES of flaskware_tools.rooms,"
                " with the reason",
            )
    lengths = {f"{package.package}.{item.name}": item.length for item in package}
    for name in LEAVES:
        of_package, _, place = name.partition(".")
        is_short = 0 < lengths.get(name, 0) < SHORTEST
        if of_package == package.package and not is_short:
            yield Breach(
                "length", place, "drop it from LEAVES of flaskware_tools.rooms"
            )


def halves(package: Modules) -> t.Iterator[Breach]:
    """No class is cut in two: a base that is used only as the base of one class."""
    bases: dict[str, list[tuple[Module, str]]] = {}
    used: set[str] = set()
    for item in package:
        for node, parent in _with_parents(item.tree):
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            if not isinstance(name, str):
                continue
            if isinstance(parent, ast.ClassDef) and node in parent.bases:
                bases.setdefault(name, []).append((item, parent.name))
            else:
                used.add(name)
    used |= {found.name for found in package.imports[""]}
    for item in package:
        for node in item.tree.body:
            if not isinstance(node, ast.ClassDef) or node.name in used:
                continue
            below = bases.get(node.name, [])
            name = f"{package.package}.{item.name}.{node.name}"
            if len(below) == 1 and below[0][0] is not item and name not in WHOLE:
                yield Breach(
                    "halves",
                    f"{item.place}: {node.name}",
                    f"write it into {below[0][1]}, its only use, or make it an object"
                    " that the class has; a base in a module of its own hides half of"
                    " a class",
                )


def _with_parents(tree: ast.AST) -> t.Iterator[tuple[ast.AST, ast.AST]]:
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            yield child, node


def order_of(package: Modules) -> list[str]:
    """Return the order that ``_extension.py`` states, lowest first."""
    extension = package.by_name.get("_extension")
    text = (ast.get_docstring(extension.tree) if extension else None) or ""
    _, _, sentence = text.partition("Rooms:")
    return sentence.split("\n\n")[0].replace("<", " ").replace("`", " ").split()


def order(package: Modules) -> t.Iterator[Breach]:
    """An import never points up in the order that the package states."""
    stated = order_of(package)
    if not stated:
        yield Breach(
            "order",
            "_extension.py",
            "end its docstring with the order of the package, lowest first:"
            " `Rooms: _settings < … < _extension`",
        )
        return
    there = {item.room for item in package} - {"", "testing"}
    for name in sorted({*stated, *there}):
        if stated.count(name) != 1 or name not in there:
            yield Breach(
                "order",
                f"_extension.py: {name}",
                "name each room and each module of the root once in `Rooms: …`",
            )
    rank = {name: place for place, name in enumerate(stated)}
    seen: set[str] = set()
    for item in package:
        for found in package.imports[item.name]:
            place = f"{item.place} imports {found.target or '__init__'}"
            if place not in seen and _points_up(item, found, rank):
                seen.add(place)
                yield Breach(
                    "order",
                    place,
                    "move what is imported down, or pass it as an argument: an import"
                    " points down in the order that _extension.py states",
                )


def _points_up(item: Module, found: Import, rank: dict[str, int]) -> bool:
    target = found.target.partition(".")[0]
    if item.room in {"", "testing"}:
        return False
    if target in {"", "testing"}:
        return True
    if item.room in {"_cli", "_checks"} and found.when == "types":
        return target != "_extension" and rank.get(target, 0) > rank.get(item.room, 0)
    return rank.get(target, 0) > rank.get(item.room, len(rank))


def cycle(package: Modules) -> t.Iterator[Breach]:
    """No module imports itself through others at run time, in a function or not."""
    for names in modules.cycles(package.graph("top", "late")):
        yield Breach(
            "cycle",
            " ".join(name or "__init__" for name in names),
            "move what they share into a module below them",
        )


def crossing(package: Modules) -> t.Iterator[Breach]:
    """An import is relative inside a room, and absolute where it leaves it."""
    for item in package:
        for found in package.imports[item.name]:
            target = package.by_name[found.target]
            is_inside = f"{target.folder}.".startswith(f"{item.folder}.")
            if not item.folder:
                is_inside = True
            if is_inside == bool(found.level):
                continue
            remedy = (
                "import what is in the same room relatively: `from .<module> import …`"
                if is_inside
                else "write the whole name, so that leaving the room shows:"
                f" `from {package.package}.{found.target} import …`"
            )
            where = f"{item.place} imports {found.target or '__init__'}"
            if item.room != "testing":
                yield Breach("crossing", where, remedy)


def noun(package: Modules) -> t.Iterator[Breach]:
    """A module is named by a noun of the field, and no two names share a stem."""
    for item in package:
        if item.stem.endswith("ing") and item.stem not in NOUNS:
            yield Breach(
                "noun",
                item.place,
                "name it by the noun that it is about; if -ing is the field's noun,"
                " list it in NOUNS of flaskware_tools.rooms",
            )
    for folder, found in package.folders().items():
        stems = sorted({item.stem for item in found})
        for first, second in itertools.combinations(stems, 2):
            ending = second.removeprefix(first)
            if second.startswith(first) and ending in _INFLECTIONS:
                yield Breach(
                    "noun",
                    f"{folder.replace('.', '/') or '.'}: {first} {second}",
                    "name each by what the other has not: they differ by an ending",
                )


def home(package: Modules) -> t.Iterator[Breach]:
    """An idea of core is not built again; loggers are of one tree."""
    for item in package:
        is_core = package.package == "flaskware_core"
        found = () if is_core else frozenset(_words(item.tree))
        for word in (word for word in IN_CORE if word in found):
            if f"{package.package}.{item.name}: {word}" in ELSEWHERE:
                continue
            yield Breach(
                "home",
                f"{item.place}: {word}",
                f"use what flaskware_core offers for {IN_CORE[word]}",
            )
        for name in dict.fromkeys(_loggers(item.tree)):
            tree = f"flaskware.{package.package.removeprefix('flaskware_')}"
            if name != "flaskware" and not f"{name}.".startswith(f"{tree}."):
                yield Breach(
                    "home",
                    f"{item.place}: logger {name}",
                    f"name it {tree!r}, or a logger below it",
                )


def _words(tree: ast.AST) -> t.Iterator[str]:
    """Yield each name that code uses: variables, attributes, what is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.name for alias in node.names)
            yield getattr(node, "module", None) or ""


def _loggers(tree: ast.AST) -> t.Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getLogger"):
            given = node.args[0] if node.args else node
            yield ast.unparse(given).strip("'\"")


class Waiver(t.NamedTuple):
    """A line that may use a private attribute of another object."""

    place: str
    has_reason: bool


def waivers(package: Modules) -> t.Iterator[Waiver]:
    """Yield each waiver of ruff's SLF001, and if a comment gives the reason.

    The comment is on the line, directly above its statement, or further up in its
    function: one reason may hold for several lines.
    """
    for item in package:
        lines = item.text.splitlines()
        starts = _starts(item.tree)
        for number, line in enumerate(lines, 1):
            if _WAIVER.search(line):
                own = _WAIVER.sub("", "#" + line.partition("#")[2]).strip("#:;- ")
                above = lines[starts.get(number, number - 1) - 1 : number]
                is_explained = any(text.strip().startswith("# ") for text in above)
                yield Waiver(
                    f"{item.place}:{number}", len(own.split()) > 2 or is_explained
                )


def _starts(tree: ast.Module) -> dict[int, int]:
    """Return by line where its function starts, else the line above its statement."""
    found: dict[int, int] = {}
    for node in ast.walk(tree):  # outer nodes come before inner
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.lineno
        elif isinstance(node, ast.stmt) and node in tree.body:
            first = max(node.lineno - 1, 1)
        else:
            continue
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        found |= dict.fromkeys(lines, first)
    return found


RULES: dict[str, Rule] = {
    "root": root,
    "room": room,
    "length": length,
    "halves": halves,
    "order": order,
    "cycle": cycle,
    "crossing": crossing,
    "noun": noun,
    "home": home,
}


def breaches(package: Modules) -> list[Breach]:
    """Return every place of a package that breaks a rule."""
    return [found for rule in RULES.values() for found in rule(package)]


def main(names: list[str]) -> None:
    family = packages()
    for name in names or family:
        for found in breaches(modules.read(family[name].source)):
            print(f"{name}: {found.rule}: {found}")


if __name__ == "__main__":
    main(sys.argv[1:])
