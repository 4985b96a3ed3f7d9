"""A model compiled to the controls of its form, once."""

from __future__ import annotations

import dataclasses as dc
import inspect
import re
import typing as t

import pydantic
import pydantic_core
from pydantic.fields import FieldInfo

from .controls import attributes_of
from .controls import choices_of
from .controls import Control
from .controls import control_of
from .controls import type_name
from .facets import Facets
from .facets import facets
from .nodes import Case
from .nodes import Group
from .nodes import Leaf
from .nodes import may_be_left_out
from .nodes import may_stay_blank
from .nodes import Node
from .nodes import Series
from .nodes import Variants
from .ui import humanise

_SEQUENCES = (list, set, frozenset, tuple)


_SEPARATOR = re.compile(r"[.\-\[\]]")


def compile_model(model: type[pydantic.BaseModel]) -> Group:
    """Compile a model to the controls of its form.

    :raises TypeError: if a field's type has no form: the message says which and what
        to write instead.
    """
    children = _children(model, ())
    return Group(
        key="",
        attribute="",
        label="",
        hint=None,
        nullable=False,
        has_default=False,
        default=None,
        factory=None,
        make=lambda: children,
    )


def _children(
    model: type[pydantic.BaseModel], path: tuple[type, ...], *, without: str = ""
) -> tuple[Node, ...]:
    if issubclass(model, pydantic.RootModel):
        raise TypeError(
            f"{model.__name__} is a RootModel; a form has named fields."
            " Write a BaseModel with one field."
        )
    children: list[Node] = []
    for name, info in model.model_fields.items():
        if name == without:
            continue
        where = f"{model.__name__}.{name}"
        node = _node(where, _key(model, name, info), name, info, (*path, model))
        if _SEPARATOR.search(node.key) and (path or not isinstance(node, Leaf)):
            raise TypeError(
                f"{where} has the alias {node.key!r}, and in a name with dots,"
                " hyphens or brackets nobody can tell it from a nested field."
                " Write an alias of letters, digits and underscores."
            )
        children.append(node)
    return tuple(children)


def _group(
    model: type[pydantic.BaseModel],
    common: dict[str, t.Any],
    path: tuple[type, ...],
    *,
    without: str = "",
) -> Group:
    if model in path:
        # What is wrong with the model was told where it is compiled first.
        return Group(
            **common,
            make=lambda: _children(model, (), without=without),
            recursive=True,
        )
    children = _children(model, path, without=without)
    return Group(**common, make=lambda: children)


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
    if info.discriminator is not None:
        found.discriminator = info.discriminator
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
        "messages": found.ui.messages,
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
        return _variants(where, found, common, path)
    origin = t.get_origin(found.type) or found.type
    if isinstance(origin, type) and issubclass(origin, pydantic.BaseModel):
        group = _group(origin, common, path)
        if group.recursive and not (
            found.nullable or group.has_default or where.endswith("[]")
        ):
            raise TypeError(
                f"{where} always contains another {origin.__name__}, so no form of it"
                f" ends. Write {origin.__name__} | None."
            )
        return may_stay_blank(group) if found.nullable else group
    if origin in _SEQUENCES:
        return _series(where, found, common, path)
    return _leaf(where, found, common)


def _variants(
    where: str, found: Facets, common: dict[str, t.Any], path: tuple[type, ...]
) -> Variants:
    names = " | ".join(type_name(member) for member in found.union)
    if found.discriminator is None:
        raise TypeError(
            f"{where} is {names}, and text from a form does not tell which."
            " Write one type, optionally with `| None`, or models that a field tells"
            " apart: Annotated[A | B, Field(discriminator='kind')]."
        )
    tag = found.discriminator
    keys: set[str] = set()
    cases: list[Case] = []
    for member in found.union:
        model = facets(member).type
        if (
            not isinstance(tag, str)
            or not isinstance(model, type)
            or not issubclass(model, pydantic.BaseModel)
        ):
            raise TypeError(
                f"{where} is {names}; a form tells models apart by a field that each"
                " of them has. Write Field(discriminator='kind')."
            )
        info = model.model_fields[tag]
        keys.add(_key(model, tag, info))
        own = facets(info.annotation, info.metadata)
        for choice in choices_of(own):
            label = found.ui.labels.get(choice.text) or choice.label
            step = f"{tag}:{_slug(choice.text)}"
            if any(case.step == step for case in cases):
                step += str(len(cases))
            blank = {**_nothing(common), "label": label}
            group = may_be_left_out(_group(model, blank, path, without=tag))
            cases.append(
                Case(
                    choice=dc.replace(choice, label=label),
                    step=step,
                    group=t.cast("Group", group),
                )
            )
    if len(keys) != 1 or _SEPARATOR.search(key := keys.pop()):
        raise TypeError(
            f"{where} is told apart by {tag!r}, which needs one alias, of letters,"
            " digits and underscores, in all of its models."
        )
    return Variants(
        **common, tag=key, tag_attribute=t.cast("str", tag), cases=tuple(cases)
    )


def _slug(text: str) -> str:
    return re.sub(r"\W", "_", text)


def _nothing(common: dict[str, t.Any]) -> dict[str, t.Any]:
    """What an entry has of its own: not the list's hint, nor its default."""
    return {
        **common,
        "hint": None,
        "nullable": False,
        "has_default": False,
        "default": None,
        "factory": None,
    }


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
    inner.ui = dc.replace(found.ui, label=None, hint=None, rows=None)
    item = _build(f"{where}[]", inner, _nothing(common), path)
    return Series(
        **common,
        item=may_stay_blank(item),
        blank_rows=1 if found.ui.rows is None else found.ui.rows,
        max_length=found.max_length,
    )


def _leaf(where: str, found: Facets, common: dict[str, t.Any]) -> Leaf:
    choices = choices_of(found)
    source = found.ui.choices
    if source is not None and choices:
        raise TypeError(f"{where} has choices of its type and of Ui(choices=...).")
    control = control_of(where, found, choices, asked=source is not None)
    if control == "checkbox":
        choices = ()
    required = not found.nullable and _refuses_blank(found, control)
    attributes = tuple(attributes_of(found, control, required=required))
    return Leaf(
        **common,
        control=control,
        required=required,
        choices=choices,
        source=source,
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
