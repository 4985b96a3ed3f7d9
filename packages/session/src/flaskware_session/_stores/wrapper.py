"""Stores that stand in front of another store."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written

from .protocol import Store


class StoreWrapper(Store):
    """Base of a store that passes its calls on to another.

    :param store: The store behind it.
    """

    def __init__(self, store: t.Any) -> None:
        self.store = store

    def _call(self, operation: str, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Pass one call on; override it to do more with each."""
        return getattr(self.store, operation)(*args, **kwargs)

    def read(self, key: str, now: int, interval: int) -> Record | None:
        record: Record | None = self._call("read", key, now, interval)
        return record

    def create(self, record: Record, now: int) -> bool:
        return bool(self._call("create", record, now))

    def update(self, record: Record, now: int) -> Written:
        written: Written = self._call("update", record, now)
        return written

    def amend(
        self, key: str, now: int, change: cabc.Callable[[Record], Record | None]
    ) -> Written | None:
        """See :meth:`AmendingStore.amend`."""
        if not hasattr(self.store, "amend"):
            return None
        written: Written | None = self._call("amend", key, now, change)
        return written

    def fullness(self) -> float | None:
        """See :meth:`BoundedStore.fullness`."""
        if not hasattr(self.store, "fullness"):
            return None
        share: float | None = self._call("fullness")
        return share

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        written: Written = self._call("replace", old_key, record, now)
        return written

    def delete(self, key: str, *, version: int | None = None) -> bool:
        return bool(self._call("delete", key, version=version))

    def for_user(self, user_id: str, now: int) -> list[Record]:
        return list(self._call("for_user", user_id, now))

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        return int(self._call("delete_user", user_id, keep=keep))

    def delete_users(
        self, user_ids: cabc.Collection[str], *, keep: str | None = None
    ) -> int:
        return int(self._call("delete_users", user_ids, keep=keep))

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        return int(self._call("limit_user", user_id, count, now, keep=keep))

    def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        scanned: Scanned = self._call("scan", cursor, limit, now)
        return scanned

    def prune(self, now: int, limit: int) -> int:
        return int(self._call("prune", now, limit))

    def stats(self, now: int) -> StoreStats:
        stats: StoreStats = self._call("stats", now)
        return stats

    def ping(self) -> None:
        self._call("ping")

    def close(self) -> None:
        self._call("close")
