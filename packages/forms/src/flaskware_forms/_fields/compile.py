"""Compiles a model to the fields of its form, once."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import enum
import re
import typing as t

import pydantic
import pydantic_core
from pydantic.fields import FieldInfo

from flaskware_core import DeclarationError
from flaskware_forms._schema.facets import Facets
from flaskware_forms._schema.facets import facets
from flaskware_forms._schema.facets import humanise
from flaskware_forms._schema.facets import type_name
from flaskware_forms._schema.facets import Ui
from flaskware_forms._schema.facets import Word
from flaskware_forms._schema.values import KEY
from flaskware_forms._schema.values import VALUE

from .choice import Choice
from .choice import MultiSelect
from .choice import Offer
from .choice import offers_of
from .entries import Mapping
from .entries import Pair
from .entries import Positions
from .input import Leaf
from .node import Node
from .proof import is_own_reading
from .proof import proven
from .scalars import Flag
from .scalars import Text
from .structures import Case
from .structures import Group
from .structures import Series
from .structures import Variants

_SEQUENCES = (list, set, frozenset, tuple)
_MAPPINGS = (dict, cabc.Mapping)


_UNDEFINED = pydantic_core.PydanticUndefined
_SEPARATOR = re.compile(r"[.\-\[\]]")


def compile_model(model: type[pydantic.BaseModel]) -> Group:
    """Compile a model to the controls of its form.

    :raises DeclarationError: if the type of a field has no form; the message says what
        to write instead.
    """
    children = _children(model, ())
    return Group(
        key="",
        attribute="",
        label="",
        make=lambda: children,
        takes_extras=_takes_extras(model),
    )


def _takes_extras(model: type[pydantic.BaseModel]) -> bool:
    return model.model_config.get("extra") == "allow"


def _children(
    model: type[pydantic.BaseModel], path: tuple[type, ...], *, without: str = ""
) -> tuple[Node, ...]:
    if issubclass(model, pydantic.RootModel):
        raise DeclarationError(
            f"{model.__name__} is a RootModel; a form has named fields."
            " Write a BaseModel with one field."
        )
    children: list[Node] = []
    for name, info in model.model_fields.items():
        if name == without:
            continue
        where = f"{model.__name__}.{name}"
        node = _node(where, _key(model, name, info), name, info, (*path, model))
        if _SEPARATOR.search(node.key) and (path or node.nested):
            raise DeclarationError(
                f"{where} has the alias {node.key!r}. With dots, hyphens or brackets,"
                " it reads like a nested field."
                " Write an alias of letters, digits and underscores."
            )
        if any(node.key == other.key for other in children):
            raise DeclarationError(
                f"{where} has the alias {node.key!r}, which another field has too."
                " Write another alias."
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
    common = {**common, "takes_extras": _takes_extras(model)}
    if model in path:
        # Its problems were reported where it was compiled first.
        return Group(
            **common, make=lambda: _children(model, (), without=without), recursive=True
        )
    children = _children(model, path, without=without)
    return Group(**common, make=lambda: children)


def _key(model: type[pydantic.BaseModel], name: str, info: FieldInfo) -> str:
    alias = info.validation_alias or info.alias
    if alias is None or model.model_config.get("validate_by_alias") is False:
        return name
    if not isinstance(alias, str):
        raise DeclarationError(
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
    found.examples += tuple(info.examples or ())
    required = info.is_required()
    common: dict[str, t.Any] = {
        "key": key,
        "attribute": name,
        "label": found.ui.label or info.title or humanise(name),
        "hint": found.ui.hint,
        "nullable": found.nullable,
        "has_default": not required,
        "default": None if info.default is _UNDEFINED else info.default,
        # A default that depends on other fields cannot be shown.
        "factory": None
        if info.default_factory_takes_validated_data
        else info.default_factory,
        "messages": found.ui.messages,
    }
    node = _build(where, found, {**common, "locked": _is_locked(found)}, path)
    if found.ui.readonly and not getattr(node, "may_be_readonly", False):
        raise DeclarationError(
            f"{where} has Ui(readonly=True), which browsers know for text controls"
            " only. Write Ui(disabled=True)."
        )
    if found.ui.attributes and node.model_group is not None:
        raise DeclarationError(
            f"{where} has Ui(attributes=...), but a model has no control of its own."
            " Give them to its fields."
        )
    return node


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
            raise DeclarationError(
                f"{where} always contains another {origin.__name__}, so no form of it"
                f" ends. Write {origin.__name__} | None."
            )
        return group.relaxed() if found.nullable else group
    if origin in _MAPPINGS and len(t.get_args(found.type)) == 2:
        return _mapping(where, found, common, path)
    if origin is tuple and Ellipsis not in t.get_args(found.type):
        return _positions(where, found, common, path)
    if origin in _SEQUENCES:
        return _series(where, found, common, path)
    return _leaf(where, found, common)


def _variants(
    where: str, found: Facets, common: dict[str, t.Any], path: tuple[type, ...]
) -> Variants:
    names = " | ".join(type_name(member) for member in found.union)
    if found.discriminator is None:
        raise DeclarationError(
            f"{where} is {names}, and text from a form matches more than one type."
            " Write one type, optionally with `| None`, or models with a discriminator:"
            " Annotated[A | B, Field(discriminator='kind')]."
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
            raise DeclarationError(
                f"{where} is {names}; a form distinguishes models by a field that each"
                " of them has. Write Field(discriminator='kind')."
            )
        info = model.model_fields[tag]
        keys.add(_key(model, tag, info))
        own = facets(info.annotation, info.metadata)
        for choice in offers_of(own):
            label = found.ui.labels.get(choice.text) or choice.label
            step = f"{tag}:" + re.sub(r"\W", "_", choice.text)
            if any(case.step == step for case in cases):
                step += str(len(cases))
            blank = {**_nothing(common), "label": label}
            # The browser must not ask for a model that is not chosen.
            group = _group(model, blank, path, without=tag).relaxed()
            cases.append(
                Case(
                    choice=dc.replace(choice, label=label),
                    step=step,
                    group=t.cast("Group", group),
                )
            )
    if len(keys) != 1 or _SEPARATOR.search(key := keys.pop()):
        raise DeclarationError(
            f"{where} has the discriminator {tag!r}, which needs the same alias in all"
            " models, of letters, digits and underscores."
        )
    return Variants(
        **common, tag=key, tag_attribute=t.cast("str", tag), cases=tuple(cases)
    )


def _nothing(common: dict[str, t.Any]) -> dict[str, t.Any]:
    """The attributes of an entry, without the list's hint and default."""
    kept = ("key", "attribute", "label", "messages")
    return {name: common[name] for name in kept}


def _series(
    where: str, found: Facets, common: dict[str, t.Any], path: tuple[type, ...]
) -> Series:
    arguments = [a for a in t.get_args(found.type) if a is not Ellipsis]
    if len(arguments) != 1:
        raise DeclarationError(
            f"{where} is {type_name(found.type)}; a form has lists of one type, of any"
            " length. Write list[str], for example."
        )
    inner = facets(arguments[0])
    inner.ui = dc.replace(found.ui, label=None, hint=None, rows=None)
    of_item = {**_nothing(common), "nullable": inner.nullable}
    item = _build(f"{where}[]", inner, of_item, path)
    if isinstance(item, Flag):
        raise DeclarationError(
            f"{where} is a list of {type_name(arguments[0])}, but a browser sends"
            " nothing for a box that is not ticked. Write a list of models with a bool,"
            ' or list[Literal["yes", "no"]].'
        )
    if item.nullable and item.nested:
        raise DeclarationError(
            f"{where} is a list of {type_name(arguments[0])}, but in a form None looks"
            " like a row that nobody filled in. Leave out None."
        )
    for child in _locked_in(item):
        if not child.has_default and not common.get("locked"):
            raise DeclarationError(
                f"{where}[].{child.attribute} cannot be changed, and no object is known"
                " for a row. Give it a default."
            )
    kind = item.series or Series
    if found.ui.groups and found.ui.widget != "select":
        raise DeclarationError(f"{where} has groups. Add Ui(widget='select').")
    if isinstance(item, Choice) and found.ui.widget == "select":
        kind = MultiSelect
    return kind(
        **common,
        item=item.relaxed(),
        blank_rows=1 if found.ui.rows is None else found.ui.rows,
        max_length=found.max_length,
    )


def _mapping(
    where: str, found: Facets, common: dict[str, t.Any], path: tuple[type, ...]
) -> Mapping:
    of_key, of_value = t.get_args(found.type)
    keys, values = facets(of_key), facets(of_value)
    if values.ui == Ui():
        values.ui = dc.replace(found.ui, label=None, hint=None, rows=None)
    key = _build(f"{where}[key]", keys, _entry(keys, KEY, Word("Key")), path)
    of_text = {isinstance(o.value, str | enum.Enum) for o in offers_of(keys)}
    if (of_text or {_is_a(keys.type, str)}) != {True} or keys.nullable:
        raise DeclarationError(
            f"{where} has keys of {type_name(of_key)}, but the keys of an object in"
            " JSON are texts. Write dict[str, ...], or choices of texts."
        )
    value = _build(f"{where}[]", values, _entry(values, VALUE, Word("Value")), path)
    _refuse_locked(f"{where}[]", key, value)
    row = Pair(**_nothing(common), make=lambda: (key, value))
    return Mapping(
        **common,
        item=row.relaxed(),
        blank_rows=1 if found.ui.rows is None else found.ui.rows,
        max_length=found.max_length,
        adapter=pydantic.TypeAdapter(of_key),
    )


def _positions(
    where: str, found: Facets, common: dict[str, t.Any], path: tuple[type, ...]
) -> Positions:
    children: list[Node] = []
    for index, each in enumerate(t.get_args(found.type)):
        inner = facets(each)
        label = Word(str(index + 1))
        child = _build(
            f"{where}[{index}]", inner, _entry(inner, str(index), label), path
        )
        _refuse_locked(f"{where}[{index}]", child)
        children.append(child)
    if not children:
        raise DeclarationError(f"{where} is {type_name(found.type)}, without a value.")
    group = Positions(**common, make=lambda: tuple(children))
    return t.cast("Positions", group.relaxed()) if found.nullable else group


def _entry(found: Facets, key: str, label: Word) -> dict[str, t.Any]:
    """The attributes of a field that has no name of its own in the model."""
    return {
        "key": key,
        "attribute": key,
        "label": found.ui.label or label,
        "hint": found.ui.hint,
        "nullable": found.nullable,
        "messages": found.ui.messages,
        "locked": _is_locked(found),
    }


def _refuse_locked(where: str, *nodes: Node) -> None:
    if any(node.locked for node in nodes):
        raise DeclarationError(
            f"{where} cannot be changed, and no object is known for it. Give the"
            " readonly or disabled to the whole field."
        )


def _is_a(of: t.Any, base: type[t.Any]) -> bool:
    return isinstance(of, type) and issubclass(of, base)


def _is_locked(found: Facets) -> bool:
    return found.ui.readonly or found.ui.disabled


def _locked_in(node: Node) -> t.Iterator[Node]:
    if node.locked:
        yield node
    for inner in node.inner:
        yield from _locked_in(inner)


def _leaf(where: str, found: Facets, common: dict[str, t.Any]) -> Leaf:
    offers = offers_of(found)
    asks = found.ui.choices is not None
    if asks and offers:
        raise DeclarationError(
            f"{where} has choices of its type and of Ui(choices=...)."
        )
    if t.get_origin(found.type) is t.Literal and t.get_args(found.type) == (True,):
        kind: type[Leaf] = Flag
    elif offers or asks:
        widget = "radio" if found.ui.widget == "radio" else "select"
        _check_offers(where, found, offers)
        _check_groups(where, found, {offer.text for offer in offers})
        kind = Leaf.by_control[widget]
    else:
        kind = _kind_of(where, found)
        return proven(where, found, kind.make(found, common), common)
    return kind.make(found, common)


def _check_offers(where: str, found: Facets, offers: tuple[Offer, ...]) -> None:
    """Refuse choices that look the same in a form.

    :raises DeclarationError: naming two of them.
    """
    if isinstance(found.type, type) and issubclass(found.type, enum.Flag):
        raise DeclarationError(
            f"{where} is {type_name(found.type)}, whose members are combined. Write"
            " set[...] of an Enum."
        )
    for index, offer in enumerate(offers):
        if isinstance(offer.value, bytes):
            raise DeclarationError(
                f"{where} has the choice {offer.value!r}, but a form and JSON have only"
                " text. Write str."
            )
        for other in offers[:index]:
            if offer.text == other.text or offer.value == other.value:
                raise DeclarationError(
                    f"{where} has the choices {other.value!r} and {offer.value!r},"
                    " which are the same in a form. Leave one of them out."
                )
        if not offer.text and (found.nullable or where.endswith("[]")):
            raise DeclarationError(
                f"{where} has the choice {offer.value!r}, which in a form is the same"
                " as no choice. Write another value for it, or None."
            )


def _check_groups(where: str, found: Facets, known: set[str]) -> None:
    """Refuse groups of choices that cannot be shown.

    :raises DeclarationError: for radio buttons, and for an unknown choice.
    """
    grouped = {text for group in found.ui.groups.values() for text in group}
    if grouped and found.ui.widget == "radio":
        raise DeclarationError(
            f"{where} has groups, which radio buttons lack. Use a select."
        )
    unknown = sorted(grouped - known)
    if unknown:
        raise DeclarationError(
            f"{where} has a group with {unknown[0]!r}, which is no choice. Write values"
            " of the type as text; choices of a function have groups of their own."
        )


def _kind_of(where: str, found: Facets) -> type[Leaf]:
    """The kind of field that shows a value of a type.

    :raises DeclarationError: if there is none, or the requested widget does not fit.
    """
    of: t.Any = found.type
    if found.is_json or of in _INSTEAD:
        name, instead = ("Json", "") if found.is_json else _INSTEAD[of]
        raise DeclarationError(
            f"{where} is {name}, which does not come back from a control as it was."
            f" {instead or _INSTEAD[pydantic.Json][1]}"
        )
    is_one = isinstance(of, type) and of not in (object, t.Any)
    if not is_one or (_is_structure(of) and not is_own_reading(found)):
        raise DeclarationError(
            f"{where} is {type_name(of)}, which has no control in a form."
            " Write a type of one value, a list of one, or a Pydantic model."
        )
    bases = (Leaf.by_type.get(base) for base in of.__mro__)
    kind = next(filter(None, bases), Text)
    widget = found.ui.widget
    if widget is None or widget == kind.control:
        return kind
    if widget == "hidden" or kind.is_text:
        return Leaf.by_control[widget]
    raise DeclarationError(
        f"{where} is {type_name(of)}, which cannot be shown as {widget!r}."
        " Leave out Ui(widget=...)."
    )


# Types that a text cannot stand for, or not safely, and what to write instead.
_INSTEAD: dict[t.Any, tuple[str, str]] = {
    bytes: ("bytes", "Write str, or Upload for a file."),
    bytearray: ("bytearray", "Write str, or Upload for a file."),
    pydantic.SecretBytes: ("SecretBytes", "Write SecretStr."),
    pydantic.Json: ("Json", "Write str, and parse it in the view; or a model."),
    re.Pattern: ("a pattern", "Write str, and compile it in the view."),
    pydantic.ImportString: ("ImportString", "Anyone could import any module."),
}


def _is_structure(kind: type[t.Any]) -> bool:
    # A dict, a TypedDict, a dataclass or a named tuple.
    marks = ("__required_keys__", "__dataclass_fields__", "_fields")
    return issubclass(kind, dict) or any(hasattr(kind, mark) for mark in marks)
