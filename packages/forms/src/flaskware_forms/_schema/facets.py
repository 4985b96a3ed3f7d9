"""What an annotation says beside its type: bounds, lengths, how it looks."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import types
import typing as t

import pydantic

from flaskware_forms._uploads.file import File
from flaskware_forms._uploads.upload import Image

from .ui import Ui


@dc.dataclass
class Facets:
    """The type of a field, freed of its wrappers, and what they said."""

    type: t.Any
    nullable: bool = False
    ge: t.Any = None
    gt: t.Any = None
    le: t.Any = None
    lt: t.Any = None
    multiple_of: t.Any = None
    decimal_places: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: t.Any = None
    ui: Ui = dc.field(default_factory=Ui)
    image: Image | File | None = None
    union: tuple[t.Any, ...] = ()
    """The members of a union that is more than an optional type."""

    discriminator: t.Any = None
    """What tells which member of a union it is."""


_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length")


def facets(annotation: t.Any, metadata: cabc.Iterable[t.Any] = ()) -> Facets:
    """Take an annotation apart."""
    found = Facets(annotation)
    _collect(found, metadata)
    while True:
        origin = t.get_origin(found.type)
        # typing has its own from Python 3.12 on, typing_extensions another.
        if type(found.type).__name__ == "TypeAliasType":
            found.type = found.type.__value__
        elif origin is t.Annotated:
            found.type, *inner = t.get_args(found.type)
            _collect(found, inner)
        elif origin in {t.Union, types.UnionType}:
            members = t.get_args(found.type)
            others = [member for member in members if member is not type(None)]
            found.nullable |= len(others) < len(members)
            if len(others) != 1:
                found.union = tuple(others)
                return found
            found.type = others[0]
        else:
            return found


def _collect(found: Facets, metadata: cabc.Iterable[t.Any]) -> None:
    metadata = tuple(metadata)
    for item in metadata:
        if (
            isinstance(item, pydantic.fields.FieldInfo) and item.discriminator
        ) or isinstance(item, pydantic.Discriminator):
            found.discriminator = item.discriminator
    for item in _flatten(metadata):
        if isinstance(item, Ui):
            found.ui = item
        elif isinstance(item, Image | File):
            found.image = item
        else:
            for name in (*_BOUNDS, "decimal_places", "pattern"):
                value = getattr(item, name, None)
                # A bound method of some unrelated object is not a bound.
                if value is not None and not callable(value):
                    setattr(found, name, value)


def _flatten(metadata: cabc.Iterable[t.Any]) -> cabc.Iterator[t.Any]:
    for item in metadata:
        if isinstance(item, pydantic.fields.FieldInfo):
            yield from _flatten(item.metadata)
        elif isinstance(item, pydantic.StringConstraints):
            yield item
        elif hasattr(item, "__is_annotated_types_grouped_metadata__"):
            yield from _flatten(item)
        else:
            yield item


def type_name(kind: t.Any) -> str:
    """A type as its developer wrote it."""
    return (
        kind.__name__ if isinstance(kind, type) else str(kind).removeprefix("typing.")
    )
