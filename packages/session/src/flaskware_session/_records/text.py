"""Records as one text, for stores that keep nothing but texts."""

from __future__ import annotations

import dataclasses as dc
import json
import typing as t

from .record import checked
from .record import foreign
from .record import Record

_NAMES = tuple(field.name for field in dc.fields(Record))[1:]


def plain(text: str, longest: int) -> str:
    """Return what a client sent as every store can hold it.

    :param longest: Its length at most; the rest is cut off.
    :return: Printable ASCII, with a question mark for every other character.
    """
    return "".join(c if " " <= c <= "~" else "?" for c in text[:longest])


def to_text(record: Record) -> str:
    """Everything but the key, as JSON in ASCII."""
    values = [getattr(record, name) for name in _NAMES]
    return json.dumps(values, separators=(",", ":"))


def from_text(key: str, text: str | bytes) -> Record | None:
    """The record of a text, or ``None`` if it is somebody else's."""
    try:
        found: t.Any = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list):
        return checked(key, t.cast("list[object]", found))
    return foreign(key, "it is no record")
