"""Records as one text, for stores that keep nothing but texts; texts of aliases."""

from __future__ import annotations

import dataclasses as dc
import json
import typing as t

from .record import Record

_NUMBERS = ("version", "created", "last_seen", "expires", "issued")
_TEXTS = ("data", "address", "agent")
# For how long, in milliseconds, a request with an old id can still end the session.
_ALIAS_LIFE = 60_000


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


def alias_of(record: Record, new_key: str, *, now: int, grace: int) -> Record:
    """Return what stays under an id that was replaced: the session as it was.

    It can be seen for the grace; for longer it leads a store to the session to end.

    :param grace: In milliseconds.
    """
    return Record(
        key=record.key,
        data=alias_text(new_key, record.data if grace else ""),
        version=0,
        created=now,
        last_seen=now,
        expires=now + max(grace, _ALIAS_LIFE),
        # Outside of the content, which may be encrypted before the store gets it.
        address=new_key,
        issued=now,
    )


def alias_text(key: str, data: str | None) -> str:
    """Return the content of an alias.

    :param key: Of the session that it leads to.
    :param data: The content to show; ``None`` for that of the session.
    """
    return json.dumps({"next": key, "data": data})


def link_of(alias: Record) -> tuple[str, str | None] | None:
    """Read the content of an alias; ``None`` if it cannot be understood."""
    try:
        link: t.Any = json.loads(alias.data)
        key, text = str(link["next"]), link["data"]
    except (ValueError, TypeError, LookupError):
        return None
    return key, None if text is None else str(text)
