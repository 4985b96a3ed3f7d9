from __future__ import annotations

import collections.abc as cabc
import heapq
import threading

from flaskware_session._records.record import last_seen_first
from flaskware_session._records.record import over_limit
from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written

from .protocol import Store

_PRUNE_EVERY = 1000


class MemoryStore(Store):
    """Keeps sessions in this process: for tests, and gone when it ends."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._users: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._created = 0

    def read(self, key: str, now: int, interval: int) -> Record | None:
        with self._lock:
            record = self._live(key, now)
            if record is None:
                return None
            touched = record.touched(now, interval)
            if touched is None:
                return record
            self._records[key] = touched
            return touched

    def create(self, record: Record, now: int) -> bool:
        with self._lock:
            if self._live(record.key, now) is not None:
                return False
            self._put(record)
            self._created += 1
            if self._created % _PRUNE_EVERY == 0:
                self._prune(now, len(self._records))
            return True

    def update(self, record: Record, now: int) -> Written:
        with self._lock:
            current = self._live(record.key, now)
            if current is None or current.version != record.version - 1:
                return Written(saved=False, current=current)
            self._records[record.key] = record
            return Written(saved=True)

    def amend(
        self, key: str, now: int, change: cabc.Callable[[Record], Record | None]
    ) -> Written:
        """See :meth:`AmendingStore.amend`."""
        with self._lock:
            current = self._live(key, now)
            changed = None if current is None else change(current)
            if changed is None:
                return Written(saved=False, current=current)
            self._records[key] = changed
            return Written(saved=True)

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        with self._lock:
            current = self._live(old_key, now)
            if current is None or current.version != record.version - 1:
                is_made = self._live(record.key, now) is not None
                return Written(is_made, None if is_made else current)
            self._drop(old_key)
            self._put(record)
            return Written(saved=True)

    def delete(self, key: str, *, version: int | None = None) -> bool:
        with self._lock:
            record = self._records.get(key)
            if record is None or version not in {None, record.version}:
                return False
            self._drop(key)
            return True

    def for_user(self, user_id: str, now: int) -> list[Record]:
        with self._lock:
            keys = self._users.get(user_id, ())
            records = [self._records[key] for key in keys]
        return last_seen_first(records, now)

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        with self._lock:
            keys = self._users.get(user_id, set()) - {keep}
            for key in keys:
                self._drop(key)
            return len(keys)

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        with self._lock:
            records = [self._records[key] for key in self._users.get(user_id, ())]
            removed = over_limit(records, count, now, keep)
            for key in removed:
                self._drop(key)
            return len(removed)

    def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        with self._lock:
            keys = heapq.nsmallest(limit, (k for k in self._records if k > cursor))
            found = [self._records[key] for key in keys]
        live = [r for r in found if r.user_id is not None and r.expires > now]
        return Scanned(live, keys[-1] if len(keys) == limit else None)

    def prune(self, now: int, limit: int) -> int:
        with self._lock:
            return self._prune(now, limit)

    def stats(self, now: int) -> StoreStats:
        with self._lock:
            live = [r for r in self._records.values() if r.expires > now and r.proofs]
            users = {r.user_id for r in live if r.user_id is not None}
            expired = sum(r.expires <= now for r in self._records.values())
            return StoreStats(len(live), len(users), expired)

    def ping(self) -> None:
        """See :meth:`Store.ping`."""

    def close(self) -> None:
        """See :meth:`Store.close`; the sessions stay."""

    def _live(self, key: str, now: int) -> Record | None:
        record = self._records.get(key)
        return record if record is not None and record.expires > now else None

    def _put(self, record: Record) -> None:
        self._records[record.key] = record
        if record.user_id is not None:
            self._users.setdefault(record.user_id, set()).add(record.key)

    def _drop(self, key: str) -> None:
        record = self._records.pop(key)
        if record.user_id is not None:
            keys = self._users[record.user_id]
            keys.discard(key)
            if not keys:
                del self._users[record.user_id]

    def _prune(self, now: int, limit: int) -> int:
        expired = [r.key for r in self._records.values() if r.expires <= now][:limit]
        for key in expired:
            self._drop(key)
        return len(expired)
