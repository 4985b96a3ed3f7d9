"""Knowing a write again that is repeated because the answer to it was lost.

The content of a session names the last writes that must not be made twice, such as
those that count: also where others have written since.
"""

from __future__ import annotations

import json
import secrets

from .codec import WRITES
from .record import Record

# How many writes, and of how many milliseconds.
_MOST = 32
_LONGEST = 60_000


def new_mark() -> str:
    """Make a name for a write."""
    return secrets.token_urlsafe(6)


def with_mark(text: str, before: str, mark: str | None, now: int) -> str:
    """The content of a session with the names of the writes that have led to it.

    :param before: What was stored, with its names.
    :param mark: The name of this write, if it needs one.
    """
    found = _writes_of(before).items()
    writes = {name: at for name, at in found if abs(now - at) < _LONGEST}
    if mark is not None:
        writes = dict(list(writes.items())[1 - _MOST :]) | {mark: now}
    if not writes:
        return text
    comma = "" if text == "{}" else ","
    return f'{text[:-1]}{comma}"{WRITES}":{json.dumps(writes, separators=(",", ":"))}}}'


def is_made(mark: str | None, current: Record | None) -> bool:
    """Whether a write with this name has led to what is stored."""
    if mark is None or current is None:
        return False
    return mark in _writes_of(current.data)


def _writes_of(text: str) -> dict[str, int]:
    if f'"{WRITES}":' not in text:
        return {}
    try:
        writes = json.loads(text)[WRITES]
        return {str(name): int(moment) for name, moment in writes.items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}
