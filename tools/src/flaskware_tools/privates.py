"""Accesses to a private attribute of another object, counted as ruff's SLF001 does.

The tools' environment has no ruff, and the sources of an old revision know no waivers:
here is every access, whether it is waived or not.
"""

from __future__ import annotations

import ast
import typing as t

_OWN = frozenset({"self", "cls", "mcs"})
# Documented, in spite of their name.
_PUBLIC = frozenset(
    {
        "_make", "_asdict", "_replace", "_fields", "_field_defaults", "_name_",
        "_value_", "_exit",
    }
)  # fmt: skip


def accesses(tree: ast.AST) -> list[ast.Attribute]:
    """Return each ``x._y`` of a module, unless ``x`` is the object or class itself."""
    return list(_below(tree, None, ()))


def _below(
    node: ast.AST, owner: str | None, same: tuple[str, ...]
) -> t.Iterator[ast.Attribute]:
    """Yield the accesses below a node.

    :param owner: the name of the class around it.
    :param same: the names that hold an instance of that class.
    """
    for child in ast.iter_child_nodes(node):
        inner, peers = owner, same
        if isinstance(child, ast.ClassDef):
            inner, peers = child.name, ()
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            peers = _peers(child, owner)
        elif isinstance(child, ast.Attribute) and not _is_open(child, inner, peers):
            yield child
        yield from _below(child, inner, peers)


def _is_open(node: ast.Attribute, owner: str | None, same: tuple[str, ...]) -> bool:
    """True if an attribute is public, or the object's own."""
    name, value = node.attr, node.value
    is_dunder = name.startswith("__") and name.endswith("__")
    if not name.startswith("_") or is_dunder or name in _PUBLIC:
        return True
    if isinstance(value, ast.Call):
        return ast.unparse(value.func) == "super"
    if isinstance(value, ast.Attribute):
        return ast.unparse(value) == "self.__class__"
    return isinstance(value, ast.Name) and value.id in {*_OWN, owner, *same}


def _peers(
    function: ast.FunctionDef | ast.AsyncFunctionDef, owner: str | None
) -> tuple[str, ...]:
    """Return the names in a method that hold another instance of its class.

    They are variables that the class made, and parameters of a special method that are
    annotated with the class.
    """
    if owner is None:
        return ()
    found = [
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if ast.unparse(node.value.func) == owner
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    if function.name.startswith("__"):
        found += [
            item.arg
            for item in [*function.args.posonlyargs, *function.args.args]
            if item.annotation and ast.unparse(item.annotation).strip("'\"") == owner
        ]
    return tuple(found)
