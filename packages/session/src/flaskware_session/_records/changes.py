"""Changes of one request, to be made again on what another stored, but never twice.

The content of a session names the last writes that must not be made twice, such as
those that count. A write that is repeated because the answer to it was lost is known
by its mark, also where others have written since.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import secrets
import typing as t

from flaskware_session._errors import SessionConflict

from .codec import decode
from .codec import encode
from .codec import join
from .codec import WRITES
from .record import Record

# How many writes are named, and of how many milliseconds.
_MOST = 32
_LONGEST = 60_000

# Flask's messages, which are taken from the session to be shown.
_QUEUES = frozenset({"_flashes"})
_dumps = json.JSONEncoder(separators=(",", ":")).encode

Merge: t.TypeAlias = cabc.Callable[[str, t.Any, t.Any, t.Any], t.Any]
"""Merges two values of a key. The arguments are the key, the value that both requests
began with (``None`` if there was none), the stored value and this request's value."""

ConflictPolicy: t.TypeAlias = t.Literal["last-wins", "raise"] | Merge


class Changes:
    """Values set, keys deleted, and numbers counted up, by one request.

    :param base: Content that the request began with, encoded by key.
    """

    def __init__(
        self,
        base: cabc.Mapping[str, str],
        changed: cabc.Mapping[str, str],
        deleted: cabc.Set[str],
        added: cabc.Mapping[str, float],
    ) -> None:
        self._base = base
        self._changed = changed
        self._deleted = deleted
        self._added = added

    @classmethod
    def between(
        cls,
        old: cabc.Mapping[str, str],
        new: cabc.Mapping[str, str],
        counted: cabc.Mapping[str, float],
    ) -> t.Self:
        """Return the changes that lead from the old content to the new.

        :param counted: By how much keys were incremented.
        """
        added = {
            key: by
            for key, by in counted.items()
            if key in new and _sum(old.get(key), by) == new[key]
        }
        changed = {
            key: text
            for key, text in new.items()
            if old.get(key) != text and key not in added
        }
        return cls(old, changed, old.keys() - new.keys(), added)

    def __bool__(self) -> bool:
        return bool(self._changed or self._deleted or self._added)

    @property
    def keys(self) -> list[str]:
        """Keys that are set, deleted or counted up."""
        return sorted({*self._changed, *self._deleted, *self._added})

    def may_repeat(self, policy: ConflictPolicy) -> bool:
        """Return whether making them twice has the same effect as making them once."""
        if self._added or policy != "last-wins":
            return False
        return not any(
            key in _QUEUES or _is_list(text, self._base.get(key))
            for key, text in self._changed.items()
        )

    def conflicts_with(self, items: cabc.Mapping[str, str]) -> list[str]:
        """Return the keys that both this request and another request changed."""
        return [
            key
            for key in (*self._changed, *self._deleted)
            if items.get(key) not in {self._base.get(key), self._changed.get(key)}
        ]

    def applied_to(
        self, items: cabc.Mapping[str, str], policy: ConflictPolicy = "last-wins"
    ) -> dict[str, str]:
        """Return other content with the same changes.

        :raises SessionConflict: where the policy is to raise.
        """
        result = {key: text for key, text in items.items() if key not in self._deleted}
        result.update(self._changed)
        for key, by in self._added.items():
            result[key] = _sum(items.get(key), by) or encode({key: by})[key]
        conflicts: list[str] = []
        for key in self.conflicts_with(items):
            texts = (self._base.get(key), items.get(key), self._changed.get(key))
            both = _both(*texts, is_queue=key in _QUEUES)
            if both is None:
                conflicts.append(key)
            elif both == "[]":
                result.pop(key, None)
            else:
                result[key] = both
        if policy == "last-wins":
            return result
        if policy == "raise":
            if conflicts:
                raise SessionConflict(conflicts)
            return result
        for key in conflicts:
            # A deletion has no value to merge: the later of the two wins.
            if key in self._changed and key in items:
                texts = (self._base.get(key), items[key], self._changed[key])
                merged = policy(key, *map(_value, texts))
                result[key] = encode({key: merged})[key]
        return result


def _both(
    base: str | None, theirs: str | None, mine: str | None, *, is_queue: bool
) -> str | None:
    """Merge what two requests added to a list; ``None`` if that is ambiguous.

    Both must have kept what was there. Where nothing was, two lists may as well be two
    results, and only the later counts, unless the list is a queue.

    :param is_queue: Whether the list is only ever added to and taken from as a whole.
    """
    if not is_queue and (not _is_list(base, theirs, mine) or base == "[]"):
        return None
    try:
        old, one, two = (json.loads(text or "[]") for text in (base, theirs, mine))
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(part, list) for part in (old, one, two)):
        return None
    count = len(old)
    if is_queue:
        # The request that has taken the old entries away has shown them.
        is_taken = old != one[:count] or old != two[:count]
        added = [part[count:] if part[:count] == old else part for part in (one, two)]
        return _dumps([*([] if is_taken else old), *added[0], *added[1]])
    if one[:count] != old or two[:count] != old:
        return None
    return _dumps([*one, *two[count:]])


def _is_list(text: str | None, *others: str | None) -> bool:
    return all(one is not None and one.startswith("[") for one in (text, *others))


def _value(text: str | None) -> t.Any:
    return None if text is None else (decode(join({"value": text})) or {})["value"]


def _sum(text: str | None, by: float) -> str | None:
    """Return the text of a number that was counted up; ``None`` if it is no number."""
    value: object = 0 if text is None else _value(text)
    if not isinstance(value, int | float):
        return None
    return encode({"value": value + by})["value"]


def new_mark() -> str:
    """Make a mark for a write."""
    return secrets.token_urlsafe(6)


def with_mark(text: str, before: str, mark: str | None, now: int) -> str:
    """Return the content of a session with the marks of the writes that led to it.

    :param before: The stored content, with its marks.
    :param mark: The mark of this write, if it needs a mark.
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
    """Return whether a write with this mark has led to what is stored."""
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
