"""Sessions as the rows of a table, by the connections of any engine."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import itertools
import secrets
import typing as t

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

from flaskware_session._records.record import over_limit
from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._records.token import KEYS_OF_USERS
from flaskware_session._stores.protocol import Store

from .driver import Isolation
from .driver import Link
from .statements import CHANGED
from .statements import Statements
from .table import record_of
from .table import records_of
from .table import row_of

# For each session that is made, so many are looked at whether they have expired: of
# the rows in the table a fifth have then expired, however long sessions last.
_LOOK_EVERY = 100
_LOOK_AT = 500
# Of an explicit call, for each statement.
_WALK = 10_000
_DELETE_AT_ONCE = 1000


class TableStore(Store):
    """Keeps sessions in a table.

    Each step is one statement that commits itself, or a transaction.

    :param link: Connections, in autocommit.
    :param namespace: Which of the rows are its own.
    :param lazily: Whether PostgreSQL may answer a change of content before it is on
        disk.
    """

    def __init__(
        self, link: Link, table: sa.Table, *, namespace: str, lazily: bool
    ) -> None:
        dialect = link.engine.dialect
        self._link = link
        self._table = table
        self._sql = Statements(table, dialect, lazily=lazily)
        # A statement of SQLite is alone in any case, and it has no locks of rows.
        is_sqlite = dialect.name == "sqlite"
        self._isolation: Isolation = "SERIALIZABLE" if is_sqlite else "READ COMMITTED"
        self._own = {"own": namespace}
        self._namespace = namespace
        self._created = itertools.count(1)
        # Processes that start together begin at different places.
        self._next_key = f"v{secrets.token_urlsafe(2)}"

    @property
    def table(self) -> sa.Table:
        """The table, with metadata of its own; what migrations are compared with."""
        return self._table

    def create_table(self) -> None:
        """Make the table if it is not there.

        :raises StoreUnavailable: if the database does not answer, or forbids it.
        """
        self._link.transact(self._table.metadata.create_all, None)

    def read(self, key: str, now: int, interval: int) -> Record | None:
        def work(cursor: DBAPICursor) -> Record | None:
            record = self._find(cursor, key, now)
            touched = None if record is None else record.touched(now, interval)
            if touched is None:
                return record
            try:
                values = {"old_key": key, "last_seen": now, "expires": touched.expires}
                self._sql.touch.run(cursor, values)
            except self._link.errors:
                # A server that takes no writes, as with a full disk, can still be read;
                # a connection that is lost is noticed by the next request.
                return record
            return touched

        return self._link.run(work)

    def create(self, record: Record, now: int) -> bool:
        """See :meth:`Store.create`; this prunes as well, now and then."""

        def work(cursor: DBAPICursor) -> bool:
            try:
                self._sql.insert.run(cursor, row_of(record, self._namespace))
            except self._link.taken:
                # An attempt whose answer was lost may have made it.
                return self._find(cursor, record.key, now) == record
            return True

        is_made = self._link.run(work)
        if next(self._created) % _LOOK_EVERY == 0:
            with contextlib.suppress(Exception):
                self._prune_part(now, size=_LOOK_AT, most=_LOOK_AT)
        return is_made

    def update(self, record: Record, now: int) -> Written:
        # A new id is on disk before anybody has it.
        is_plain = record.issued < record.last_seen
        statement = self._sql.update_plain if is_plain else self._sql.update

        def work(cursor: DBAPICursor) -> Written:
            if statement.run(cursor, self._changes(record, now)).rowcount:
                return Written(saved=True)
            return Written(saved=False, current=self._find(cursor, record.key, now))

        return self._link.run(work)

    def amend(
        self, key: str, now: int, change: cabc.Callable[[Record], Record | None]
    ) -> Written:
        """See :meth:`AmendingStore.amend`: the row is locked meanwhile."""

        def work(connection: sa.Connection) -> Written:
            self._sql.lock_all(connection)
            where = {"old_key": key, "now": now}
            row = connection.execute(self._sql.LOCK, where).first()
            if row is None:
                return Written(saved=False)
            current = record_of(row)
            if current is None:
                return Written(saved=False)
            changed = change(current)
            if changed is None:
                return Written(saved=False, current=current)
            values = self._changes(changed, now)
            if connection.execute(self._sql.UPDATE, values).rowcount:
                return Written(saved=True)
            return Written(saved=False, current=current)

        return self._link.transact(work, self._isolation)

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        values = row_of(record, self._namespace) | {
            "old_key": old_key,
            "expected": record.version - 1,
            "now": now,
        }

        def work(cursor: DBAPICursor) -> Written:
            if self._sql.move.run(cursor, values).rowcount:
                return Written(saved=True)
            # An attempt whose answer was lost may have done it.
            if self._find(cursor, record.key, now) is not None:
                return Written(saved=True)
            return Written(saved=False, current=self._find(cursor, old_key, now))

        return self._link.run(work)

    def delete(self, key: str, *, version: int | None = None) -> bool:
        statement, values = self._sql.delete, {"old_key": key, "expected": version}
        if version is not None:
            statement = self._sql.delete_version
        return self._link.run(lambda cursor: statement.run(cursor, values).rowcount > 0)

    def for_user(self, user_id: str, now: int) -> list[Record]:
        values = {"user": user_id.encode(), "now": now} | self._own
        rows = self._link.transact(
            lambda connection: connection.execute(self._sql.FOR_USER, values).all(),
            None,
        )
        return records_of(rows)

    def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        first, end = KEYS_OF_USERS
        values = {"old_key": cursor or first, "end": end, "count": limit, "now": now}
        rows = self._link.transact(
            lambda connection: connection.execute(
                self._sql.SCAN, values | self._own
            ).all(),
            None,
        )
        return Scanned(records_of(rows), rows[-1][0] if len(rows) == limit else None)

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        """See :meth:`Store.delete_user`; one transaction."""
        return self.delete_users([user_id], keep=keep)

    def delete_users(
        self, user_ids: cabc.Collection[str], *, keep: str | None = None
    ) -> int:
        """See :meth:`Store.delete_users`; one transaction."""
        users = {"users": [user_id.encode() for user_id in user_ids]} | self._own

        def work(connection: sa.Connection) -> int:
            self._sql.lock_all(connection)
            connection.execute(self._sql.LOCK_USERS, users)
            values = users | {"keep": keep or ""}
            return connection.execute(self._sql.DELETE_USERS, values).rowcount

        return self._link.transact(work, self._isolation)

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """See :meth:`Store.limit_user`; one transaction."""

        def work(connection: sa.Connection) -> int:
            self._sql.lock_all(connection)
            user = {"user": user_id.encode()} | self._own
            rows = connection.execute(self._sql.LOCK_USER, user)
            removed = over_limit(records_of(rows), count, now, keep)
            if not removed:
                return 0
            return connection.execute(self._sql.DELETE_KEYS, {"keys": removed}).rowcount

        return self._link.transact(work, self._isolation)

    def prune(self, now: int, limit: int) -> int:
        """See :meth:`Store.prune`; this walks along the table where it stopped."""
        removed, start, ends = 0, self._next_key, 0
        # Once around: over the end, and up to where this began.
        while removed < limit and ends < 2 and not (ends and self._next_key >= start):
            most = min(limit - removed, _DELETE_AT_ONCE)
            removed += self._prune_part(now, size=_WALK, most=most)
            ends += not self._next_key
        return removed

    def stats(self, now: int) -> StoreStats:
        values = {"now": now} | self._own
        row = self._link.transact(
            lambda connection: connection.execute(self._sql.STATS, values).one(), None
        )
        return StoreStats(*(int(value) for value in row))

    def ping(self) -> None:
        """See :meth:`Store.ping`; the table must be there."""
        self._link.transact(lambda connection: connection.execute(self._sql.PING), None)

    def close(self) -> None:
        self._link.close()

    def _find(self, cursor: DBAPICursor, key: str, now: int) -> Record | None:
        row = self._sql.find.run(cursor, {"old_key": key, "now": now}).fetchone()
        return None if row is None else record_of(row)

    def _changes(self, record: Record, now: int) -> dict[str, t.Any]:
        row = row_of(record, self._namespace)
        changes = {name: row[name] for name in CHANGED}
        expected = record.version - 1
        return changes | {"old_key": record.key, "expected": expected, "now": now}

    def _prune_part(self, now: int, *, size: int, most: int) -> int:
        """Remove what has expired among the next rows; after the last, begin again."""
        values = {"old_key": self._next_key, "now": now, "count": size} | self._own

        def work(connection: sa.Connection) -> tuple[int, str]:
            rows = connection.execute(self._sql.PART, values).all()
            gone = [key for key, is_gone in rows if is_gone]
            last = rows[-1][0] if rows else ""
            if len(gone) > most:
                gone = gone[:most]
                last = gone[-1]
            if not gone:
                return 0, last
            done = connection.execute(
                self._sql.DELETE_EXPIRED, {"keys": gone, "now": now}
            )
            return done.rowcount, last

        removed, self._next_key = self._link.transact(work, None)
        return removed
