"""A record as one text, for stores that keep nothing but texts."""

from __future__ import annotations

import dataclasses as dc
import json
import typing as t

from .record import Record

_NUMBERS = ("version", "created", "last_seen", "expires", "issued")
_TEXTS = ("data", "address", "agent")


def to_text(record: Record) -> str:
    """Everything but the key, as JSON in ASCII."""
    values = dc.asdict(record)
    del values["key"]
    return json.dumps(values, separators=(",", ":"))


def from_text(key: str, text: str | bytes) -> Record | None:
    """The record of a text, or ``None`` if it is somebody else's."""
    try:
        found: t.Any = json.loads(text)
        numbers = all(type(found[name]) is int for name in _NUMBERS)
        texts = all(type(found[name]) is str for name in _TEXTS)
        if not (numbers and texts and isinstance(found["user_id"], str | None)):
            return None
        return Record(key, **found)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
