"""A model compiled to the controls of its form, once."""

from __future__ import annotations

import dataclasses as dc
import functools
import inspect
import typing as t

import pydantic
import pydantic_core
from pydantic.fields import FieldInfo

from ._controls import Attribute
from ._controls import attributes_of
from ._controls import Choice
from ._controls import choices_of
from ._controls import Control
from ._controls import control_of
from ._controls import type_name
from ._facets import Facets
from ._facets import facets
from ._ui import humanise

_SEQUENCES = (list, set, frozenset, tuple)


@dc.dataclass(frozen=True, kw_only=True)
class Node:
    """One field of a model: what its name, label and absence are."""

    key: str
    attribute: str
    label: str
    hint: str | None
    nullable: bool
    has_default: bool
    default: t.Any
    """A default value, or nothing where there is a factory or no default."""

    factory: t.Callable[[], t.Any] | None

    def initial(self) -> t.Any:
        """What the field holds before anybody filled it in."""
        return self.factory() if self.factory is not None else self.default


@dc.dataclass(frozen=True, kw_only=True)
class Leaf(Node):
    """A field with one value, shown as one control."""

    control: Control
    required: bool
    choices: tuple[Choice, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    rows: int | None = None
    temporal: bool = False
    max_bytes: int | None = None


@dc.dataclass(frozen=True, kw_only=True)
class Series(Node):
    """A field with any number of values of one kind."""

    item: Leaf | Group
    blank_rows: int
    max_length: int | None

    @property
    def is_one_control(self) -> bool:
        """Whether one control, or one set of boxes, stands for all entries."""
        item = self.item
        return isinstance(item, Leaf) and (bool(item.choices) or item.control == "file")


@dc.dataclass(frozen=True, kw_only=True)
class Group(Node):
    """A nested model, or the whole form."""

    children: tuple[Node, ...]

    @functools.cached_property
    def by_key(self) -> dict[str, Node]:
        """The children by the name that a body uses."""
        return {child.key: child for child in self.children}

    @functools.cached_property
    def is_flat(self) -> bool:
        """Whether every child is one control."""
        return all(isinstance(child, Leaf) for child in self.children)


def compile_model(model: type[pydantic.BaseModel]) -> Group:
    """Compile a model to the controls of its form.

    :raises TypeError: if a field's type has no form: the message says which and what
        to write instead.
    """
    return Group(
        key="",
        attribute="",
        label="",
        hint=None,
        nullable=False,
        has_default=False,
        default=None,
        factory=None,
        children=_children(model, ()),
    )


def _children(
    model: type[pydantic.BaseModel], path: tuple[type, ...]
) -> tuple[Node, ...]:
    if model in path:
        raise TypeError(
            f"{model.__name__} contains itself, and a form has an end."
            " Declare a model of its own for the inner one."
        )
    if issubclass(model, pydantic.RootModel):
        raise TypeError(
            f"{model.__name__} is a RootModel; a form has named fields."
            " Write a BaseModel with one field."
        )
    return tuple(
        _node(
            f"{model.__name__}.{name}",
            _key(model, name, info),
            name,
            info,
            (*path, model),
        )
        for name, info in model.model_fields.items()
    )


def _key(model: type[pydantic.BaseModel], name: str, info: FieldInfo) -> str:
    alias = info.validation_alias or info.alias
    if alias is None or model.model_config.get("validate_by_alias") is False:
        return name
    if not isinstance(alias, str):
        raise TypeError(
            f"{model.__name__}.{name} has an alias that is not one name, so its"
            " control cannot be named. Write alias='...' or leave it out."
        )
    return alias


def _node(
    where: str, key: str, name: str, info: FieldInfo, path: tuple[type, ...]
) -> Node:
    found = facets(info.annotation, info.metadata)
    required = info.is_required()
    common: dict[str, t.Any] = {
        "key": key,
        "attribute": name,
        "label": found.ui.label or info.title or humanise(name),
        "hint": found.ui.hint,
        "nullable": found.nullable,
        "has_default": not required,
        "default": None
        if info.default is pydantic_core.PydanticUndefined
        else info.default,
        "factory": _factory(info),
    }
    return _build(where, found, common, path)


def _factory(info: FieldInfo) -> t.Callable[[], t.Any] | None:
    """The factory of a default that depends on nothing else in the form."""
    factory = info.default_factory
    if factory is None:
        return None
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except ValueError:
        # A built-in type, such as list in some versions of Python.
        parameters = []
    if any(parameter.default is parameter.empty for parameter in parameters):
        return None
    return t.cast("t.Callable[[], t.Any]", factory)


def _build(
    where: str, found: Facets, common: dict[str, t.Any], path: tuple[type, ...]
) -> Node:
    if found.union:
        names = " | ".join(type_name(member) for member in found.union)
        raise TypeError(
            f"{where} is {names}, and text from a form does not tell which."
            " Write one type, optionally with `| None`."
        )
    origin = t.get_origin(found.type) or found.type
    if isinstance(origin, type) and issubclass(origin, pydantic.BaseModel):
        children = _children(origin, path)
        if found.nullable:
            children = tuple(map(_may_stay_blank, children))
        return Group(**common, children=children)
    if origin in _SEQUENCES:
        return _series(where, found, common, path)
    return _leaf(where, found, common)


def _series(
    where: str, found: Facets, common: dict[str, t.Any], path: tuple[type, ...]
) -> Series:
    arguments = [a for a in t.get_args(found.type) if a is not Ellipsis]
    if len(arguments) != 1:
        raise TypeError(
            f"{where} is {type_name(found.type)}; a form has lists of one type, of any"
            " length. Write list[str], for example."
        )
    inner = facets(arguments[0])
    if t.get_origin(inner.type) in _SEQUENCES:
        raise TypeError(
            f"{where} is a list of lists, which a form cannot name. Write a model with"
            " the inner list, and a list of that model."
        )
    inner.ui = dc.replace(found.ui, label=None, hint=None, rows=None)
    own: dict[str, t.Any] = {
        **common,
        "hint": None,
        "nullable": False,
        "has_default": False,
        "default": None,
        "factory": None,
    }
    item = _build(f"{where}[]", inner, own, path)
    return Series(
        **common,
        item=t.cast("Leaf | Group", _may_stay_blank(item)),
        blank_rows=found.ui.rows or 1,
        max_length=found.max_length,
    )


def _may_stay_blank(node: Node) -> Node:
    """The field inside of something optional, which a browser lets stay empty.

    An empty row is no entry, so a browser must not ask for its fields.
    """
    if isinstance(node, Group):
        children = tuple(map(_may_stay_blank, node.children))
        return dc.replace(node, children=children)
    if isinstance(node, Leaf):
        attributes = tuple(pair for pair in node.attributes if pair[0] != "required")
        return dc.replace(node, attributes=attributes, has_default=False, default=None)
    return node


def _leaf(where: str, found: Facets, common: dict[str, t.Any]) -> Leaf:
    choices = choices_of(found)
    control = control_of(where, found, choices)
    if control == "checkbox":
        choices = ()
    required = not found.nullable and _refuses_blank(found, control)
    attributes = tuple(attributes_of(found, control, required=required))
    return Leaf(
        **common,
        control=control,
        required=required,
        choices=choices,
        attributes=attributes,
        rows=found.ui.rows,
        temporal=control in {"date", "time", "datetime-local"},
        max_bytes=found.image.max_bytes if found.image else None,
    )


def _refuses_blank(found: Facets, control: Control) -> bool:
    # What the browser refuses must be what the server refuses, so text that Pydantic
    # takes when it is empty is not marked as required.
    if control == "checkbox":
        return found.type is not bool
    if found.type is str or found.type is pydantic.SecretStr:
        return bool(found.min_length)
    return True
