"""Steps of a store, made of the statements on the table of sessions.

A step is a generator: it yields a statement with its values and is sent the result, or
is thrown the error of the driver. So the blocking and the asynchronous store share
every decision, and differ only in how they execute.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc

from flaskware_session._records.record import checked
from flaskware_session._records.record import over_limit
from flaskware_session._records.record import Record
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written

from . import statements as sql

_T = t.TypeVar("_T")
_Values: t.TypeAlias = dict[str, t.Any]
Statement: t.TypeAlias = tuple[sa.Executable, _Values]
Step: t.TypeAlias = cabc.Generator[Statement, sa.CursorResult[t.Any], _T]
Isolation: t.TypeAlias = t.Literal["SERIALIZABLE", "READ COMMITTED"]

_PRUNE_INTERVAL = 60_000
_PRUNE_BATCH = 200


class Steps:
    """The steps of a store in one kind of database, named as in :class:`Store`.

    :param dialect: The name that SQLAlchemy has for it.
    """

    def __init__(self, dialect: str) -> None:
        self._is_postgresql = dialect == "postgresql"
        # A statement of SQLite is alone in any case, and it has no locks of rows.
        self._is_sqlite = dialect == "sqlite"
        is_mysql = dialect in {"mysql", "mariadb"}
        self._prune = sql.PRUNE_MYSQL if is_mysql else sql.PRUNE
        self._next_prune = 0

    @property
    def locking(self) -> Isolation | None:
        """Isolation level for a step that locks rows; ``None`` where it need not."""
        return None if self._is_sqlite else "READ COMMITTED"

    def read(self, key: str, now: int, interval: int) -> Step[Record | None]:
        if self._is_postgresql:
            values = {
                "old_key": key,
                "now": now,
                "interval": interval,
            }
            try:
                return _first((yield sql.READ_AND_TOUCH, values))
            except exc.DBAPIError as error:
                # A server that takes no writes, as with a full disk, can still be
                # read.
                if error.connection_invalidated:
                    raise
            return (yield from _find(key, now))
        record = yield from _find(key, now)
        touched = None if record is None else record.touched(now, interval)
        if touched is None:
            return record
        try:
            values = {"old_key": key, "last_seen": now, "expires": touched.expires}
            yield sql.TOUCH, values
        except exc.DBAPIError as error:
            if error.connection_invalidated:
                raise
            return record
        return touched

    def create(self, record: Record, now: int) -> Step[bool]:
        """See :meth:`Store.create`; this prunes as well, now and then."""
        try:
            yield sql.INSERT, _row_of(record)
        except exc.IntegrityError:
            # An attempt whose answer was lost may have made it.
            return (yield from _find(record.key, now)) == record
        if now >= self._next_prune:
            with contextlib.suppress(exc.DBAPIError):
                removed = yield from self.prune(now, _PRUNE_BATCH)
                # A full batch means that there is more: the next new session goes on.
                if removed < _PRUNE_BATCH:
                    self._next_prune = now + _PRUNE_INTERVAL
        return True

    def update(self, record: Record, now: int) -> Step[Written]:
        values = {
            "data": record.data,
            "version": record.version,
            "last_seen": record.last_seen,
            "expires": record.expires,
            "issued": record.issued,
            "idle": record.idle,
            "until": record.until,
            "kind": record.kind,
            "proofs": record.proofs,
        }
        result = yield sql.UPDATE, values | _where(record.key, record, now)
        if result.rowcount:
            return Written(saved=True)
        current = yield from _find(record.key, now)
        return Written(saved=False, current=current)

    def replace(self, old_key: str, record: Record, now: int) -> Step[Written]:
        result = yield sql.MOVE, _row_of(record) | _where(old_key, record, now)
        if result.rowcount:
            return Written(saved=True)
        # An attempt whose answer was lost may have done it.
        if (yield from _find(record.key, now)) is not None:
            return Written(saved=True)
        current = yield from _find(old_key, now)
        return Written(saved=False, current=current)

    def delete(self, key: str, version: int | None) -> Step[bool]:
        if version is not None:
            values = {"old_key": key, "expected": version}
            return (yield sql.DELETE_VERSION, values).rowcount > 0
        return (yield sql.DELETE, {"old_key": key}).rowcount > 0

    def for_user(self, user_id: str, now: int) -> Step[list[Record]]:
        rows = yield sql.FOR_USER, {"user": user_id, "now": now}
        return [record for row in rows if (record := _record(row)) is not None]

    def delete_user(self, user_id: str, keep: str | None) -> Step[int]:
        if not self._is_sqlite:
            yield sql.LOCK_USER, {"user": user_id}
        values = {"user": user_id, "keep": keep or ""}
        return (yield sql.DELETE_USER, values).rowcount

    def limit_user(self, user_id: str, count: int, now: int, keep: str) -> Step[int]:
        if self._is_sqlite:
            values = {"user": user_id, "now": now, "count": count, "keep": keep}
            return (yield sql.LIMIT_USER_AT_ONCE, values).rowcount
        rows = yield sql.LOCK_USER, {"user": user_id}
        found = [record for row in rows if (record := _record(row)) is not None]
        removed = over_limit(found, count, now, keep)
        if not removed:
            return 0
        return (yield sql.DELETE_KEYS, {"keys": removed}).rowcount

    def prune(self, now: int, limit: int) -> Step[int]:
        return (yield self._prune, {"now": now, "count": limit}).rowcount

    def stats(self, now: int) -> Step[StoreStats]:
        row = (yield sql.STATS, {"now": now}).one()
        return StoreStats(*(int(value) for value in row))

    def ping(self) -> Step[None]:
        """See :meth:`Store.ping`; the table must be there."""
        yield sql.PING, {}


def _find(key: str, now: int) -> Step[Record | None]:
    return _first((yield sql.FIND, {"old_key": key, "now": now}))


def _first(result: sa.CursorResult[t.Any]) -> Record | None:
    row = result.first()
    return None if row is None else _record(row)


def _record(row: cabc.Sequence[t.Any]) -> Record | None:
    # Its columns are in the order of the fields.
    return checked(row[0], tuple(row[1:]))


def _where(key: str, record: Record, now: int) -> _Values:
    return {"old_key": key, "expected": record.version - 1, "now": now}


def _row_of(record: Record) -> dict[str, t.Any]:
    """Return the columns of a record."""
    return {
        "key": record.key,
        "data": record.data,
        "version": record.version,
        "created": record.created,
        "last_seen": record.last_seen,
        "expires": record.expires,
        "user_id": record.user_id,
        # PostgreSQL stores no NUL, and no honest client sends one.
        "address": record.address.replace("\x00", " "),
        "agent": record.agent.replace("\x00", " "),
        "issued": record.issued,
        "idle": record.idle,
        "until": record.until,
        "kind": record.kind,
        "proofs": record.proofs,
    }
