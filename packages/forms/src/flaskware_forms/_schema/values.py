"""What a control shows of a value."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import enum
import typing as t

import pydantic
import pydantic_core
from werkzeug.datastructures import FileStorage

from flaskware_forms._uploads.upload import Upload

from .nodes import Case
from .nodes import Group
from .nodes import Leaf
from .nodes import Node
from .nodes import Series
from .nodes import Variants

_NO_TEXT = (pydantic.SecretStr, bytes, cabc.Collection, FileStorage, Upload)


def text_of(value: t.Any) -> str:
    """The text that a control holds for a value; empty where it can hold none."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return value
    if isinstance(value, enum.Enum):
        return text_of(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, dt.time):
        return value.isoformat(timespec="seconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return str(pydantic_core.to_jsonable_python(value))
    # A body may hold a structure or a file where one value belongs.
    if value is None or isinstance(value, _NO_TEXT):
        return ""
    return str(value)


def is_on(value: t.Any) -> bool:
    """Whether a checkbox is ticked for a value."""
    if isinstance(value, str):
        return value.lower() in {"on", "true", "t", "1", "yes", "y"}
    return value is True or value == 1


def items_of(value: t.Any) -> list[t.Any]:
    """The entries of a list, whatever came in its place."""
    if isinstance(value, list | tuple | set | frozenset):
        return list(t.cast("cabc.Iterable[t.Any]", value))
    return []


def initial_values(group: Group, source: t.Any) -> dict[str, t.Any]:
    """The values of a form by key, from an object's attributes or a mapping.

    What the source does not have is what the declaration says.
    """
    values: dict[str, t.Any] = {}
    for child in group.children:
        found = _get(source, child.attribute, child.key)
        if found is _NOTHING:
            found = child.initial()
        values[child.key] = _nested(child, found)
    return values


_NOTHING: t.Any = object()


def _get(source: t.Any, attribute: str, key: str) -> t.Any:
    if source is None:
        return _NOTHING
    if isinstance(source, cabc.Mapping):
        mapping = t.cast("cabc.Mapping[str, t.Any]", source)
        return mapping.get(attribute, mapping.get(key, _NOTHING))
    return getattr(source, attribute, _NOTHING)


def _nested(node: Node, value: t.Any) -> t.Any:
    if isinstance(node, Leaf):
        return value
    if isinstance(node, Group):
        # A model inside of itself ends where the values end.
        if value is None and node.recursive:
            return None
        return initial_values(node, value)
    if isinstance(node, Series):
        return [_nested(node.item, item) for item in _iterable(value)]
    variants = t.cast("Variants", node)
    case = variants.case_of(_get(value, variants.tag_attribute, variants.tag))
    if case is None:
        return None
    return {variants.tag: case.choice.text, **initial_values(case.group, value)}


def chosen_case(variants: Variants, value: t.Any) -> Case | None:
    """Which model of a union is shown."""
    if not isinstance(value, dict):
        return None
    return variants.case_of(t.cast("dict[str, t.Any]", value).get(variants.tag))


def _iterable(value: t.Any) -> cabc.Iterable[t.Any]:
    if isinstance(value, cabc.Iterable) and not isinstance(value, str | bytes):
        return t.cast("cabc.Iterable[t.Any]", value)
    return ()
