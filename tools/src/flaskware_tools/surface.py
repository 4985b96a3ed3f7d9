"""The public surface of a package as sorted text, to compare before and after a move.

Each line is a name with its signature, kind and value. The types of other projects are
written with their module and those of the family without, so that private modules can
move without a difference.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import griffe

from .matrix import closure
from .matrix import packages
from .matrix import ROOT
from .matrix import unpack

_FAMILY = re.compile(r"flaskware_\w+\.")
# Labels of griffe that matter to users; the others say where an attribute is set.
_LABELS = ("async", "classmethod", "staticmethod", "property", "writable", "deletable")
# Decorators that the labels, or several signatures, already show.
_IMPLIED = {
    "builtins.property", "builtins.classmethod", "builtins.staticmethod",
    "property", "classmethod", "staticmethod", "typing.overload",
}  # fmt: skip


def surface(name: str, root: Path = ROOT) -> list[str]:
    """Return a line for each public name of a package and of its ``testing``.

    :param name: The name of the package, such as ``session``.
    :param root: The checkout to read; nothing in it is imported.
    """
    family = packages(root)
    wanted = [family[member] for member in closure(name, root)]
    loader = griffe.GriffeLoader(
        search_paths=[item.source.parent for item in wanted], allow_inspection=False
    )
    modules = [loader.load(item.module) for item in wanted]
    loader.resolve_aliases(implicit=True, external=False)
    module = t.cast("griffe.Module", modules[-1])
    public = {str(exported) for item in modules for exported in item.exports or ()}
    lines = [*_exports(module, public)]
    if "testing" in module.members:
        lines += _exports(t.cast("griffe.Module", module.members["testing"]), public)
    return sorted(lines)


def surface_at(name: str, revision: str, root: Path, folder: Path) -> list[str]:
    """Return the surface of a package at a revision of git.

    :param folder: An empty folder for the files of that revision.
    :raises RevisionError: if there is no such revision.
    """
    unpack(revision, folder, root)
    return surface(name, folder)


def _exports(module: griffe.Module, public: set[str]) -> t.Iterator[str]:
    for name in map(str, module.exports or ()):
        item = module.members[name]
        # A function that is imported from the submodule of its name hides that.
        if item.is_module and name in item.members:
            item = item.members[name]
        yield from _described(f"{module.path}.{name}", item, public)


def _described(
    path: str, item: griffe.Object | griffe.Alias, public: set[str]
) -> t.Iterator[str]:
    if item.is_alias:
        try:
            item = t.cast("griffe.Alias", item).final_target
        except griffe.AliasResolutionError as error:
            yield f"{path}: {error.alias.target_path}"
            return
    if isinstance(item, griffe.Class):
        bases = ", ".join(_bases(item, public))
        yield f"{path}: class({bases}){_decorators(item.decorators)}"
        for name, member in item.all_members.items():
            if _is_public(name, member):
                yield from _described(f"{path}.{name}", member, public)
    elif isinstance(item, griffe.Function):
        labels = "".join(f" {label}" for label in _LABELS if label in item.labels)
        for signature in item.overloads or [item]:
            arrow = f" -> {rendered(signature.returns)}" if signature.returns else ""
            yield (
                f"{path}({_parameters(signature.parameters)}){arrow}"
                f":{labels} function{_decorators(item.decorators)}"
            )
    elif isinstance(item, griffe.Attribute):
        labels = "".join(f" {label}" for label in _LABELS if label in item.labels)
        yield f"{path}:{labels or ' attribute'}{_type_and_value(item)}"
    else:
        yield f"{path}: {item.kind.value}"


def _is_public(name: str, member: griffe.Object | griffe.Alias) -> bool:
    if name.startswith("__") and name.endswith("__"):
        return name not in {"__slots__", "__post_init__"} and not member.is_attribute
    return not name.startswith("_")


def _bases(item: griffe.Class, public: set[str]) -> t.Iterator[str]:
    """Yield the bases that a user can name; a private base stands for its own."""
    for base in item.bases:
        path = base if isinstance(base, str) else base.canonical_path
        if not _FAMILY.match(path) or path.rpartition(".")[2] in public:
            yield rendered(base)
            continue
        for parent in item.resolved_bases:
            if parent.path == path or parent.name == path.rpartition(".")[2]:
                yield from _bases(t.cast("griffe.Class", parent), public)


def _decorators(decorators: list[griffe.Decorator]) -> str:
    texts = [
        rendered(item.value)
        for item in decorators
        if item.callable_path not in _IMPLIED
        and not item.callable_path.endswith((".setter", ".deleter"))
        # How the family makes its functions is its own affair.
        and not _FAMILY.match(item.callable_path)
    ]
    return "".join(f" @{text}" for text in texts)


def _parameters(parameters: griffe.Parameters) -> str:
    parts: list[str] = []
    kinds = [parameter.kind for parameter in parameters]
    for number, parameter in enumerate(parameters):
        kind = parameter.kind
        if kind is griffe.ParameterKind.keyword_only and not {
            griffe.ParameterKind.keyword_only,
            griffe.ParameterKind.var_positional,
        } & set(kinds[:number]):
            parts.append("*")
        stars = {"variadic positional": "*", "variadic keyword": "**"}
        text = stars.get(kind.value if kind else "", "") + parameter.name
        if parameter.annotation is not None:
            text += f": {rendered(parameter.annotation)}"
        if parameter.default is not None and "*" not in text:
            text += f" = {rendered(parameter.default)}"
        parts.append(text)
        after = kinds[number + 1] if number + 1 < len(kinds) else None
        only = griffe.ParameterKind.positional_only
        if kind is only and after is not only:
            parts.append("/")
    return ", ".join(parts)


def _type_and_value(item: griffe.Attribute) -> str:
    text = f" {rendered(item.annotation)}" if item.annotation else ""
    # The value of an instance's attribute is how it is made, not what it offers.
    if item.value is not None and item.labels & {"class-attribute", "module-attribute"}:
        text += f" = {rendered(item.value)}"
    return text


def rendered(expression: griffe.Expr | str) -> str:
    """Return the text of an expression, without aliases of modules."""
    if isinstance(expression, str):
        return expression
    if isinstance(expression, griffe.ExprName | griffe.ExprAttribute):
        path = expression.canonical_path
        return str(expression) if _FAMILY.match(path) else path
    if isinstance(expression, griffe.ExprCall):
        arguments = [
            rendered(argument)
            for argument in expression.arguments
            # The words of a setting's description are no part of its type.
            if getattr(argument, "name", "") != "description"
        ]
        return f"{rendered(expression.function)}({', '.join(arguments)})"
    return "".join(map(rendered, expression.iterate(flat=False)))
