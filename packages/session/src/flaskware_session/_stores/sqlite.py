from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import operator
import os
import sqlite3
import time
import typing as t
from pathlib import Path

from flaskware_core import ForkGuard
from flaskware_session._errors import StoreRefused
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import checked
from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._records.token import KEYS_OF_USERS

from .protocol import Store

_SCHEMA_VERSION = 2
_SCHEMA = (
    # The table from before the first release.
    "DROP TABLE IF EXISTS flaskware_session",
    """CREATE TABLE flaskware_session (
        key TEXT PRIMARY KEY,
        data TEXT NOT NULL,
        version INTEGER NOT NULL,
        created INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        user_id TEXT,
        address TEXT NOT NULL,
        agent TEXT NOT NULL,
        issued INTEGER NOT NULL,
        idle INTEGER NOT NULL,
        until INTEGER NOT NULL,
        kind TEXT NOT NULL,
        proofs TEXT NOT NULL,
        namespace TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE INDEX flaskware_session_user ON flaskware_session (user_id)
        WHERE user_id IS NOT NULL""",
    "CREATE INDEX flaskware_session_expires ON flaskware_session (expires)",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)
_COLUMNS = (
    "key, data, version, created, last_seen, expires, user_id, address, agent, issued,"
    " idle, until, kind, proofs"
)
# The fields of a record, in the order of the columns.
_row = operator.attrgetter(*_COLUMNS.split(", "))
_SELECT = f"SELECT {_COLUMNS} FROM flaskware_session"  # noqa: S608 # constants only
_VALUES = "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT = f"INSERT OR IGNORE INTO flaskware_session ({_COLUMNS}, namespace) {_VALUES}"
_UPDATE = """UPDATE flaskware_session
    SET data = ?, version = ?, last_seen = ?, expires = ?, issued = ?, idle = ?,
        until = ?, kind = ?, proofs = ?
    WHERE key = ? AND version = ? AND expires > ?"""
_MOVE = """UPDATE flaskware_session
    SET key = ?, data = ?, version = ?, created = ?, last_seen = ?, expires = ?,
        user_id = ?, address = ?, agent = ?, issued = ?, idle = ?, until = ?, kind = ?,
        proofs = ?
    WHERE key = ? AND version = ? AND expires > ?"""
# Another request may have noted a later use, or changed and so extended the session.
_TOUCH = """UPDATE flaskware_session SET last_seen = ?, expires = ?
    WHERE key = ? AND last_seen < ?"""
_PRUNE = """DELETE FROM flaskware_session WHERE key IN
    (SELECT key FROM flaskware_session WHERE expires <= ? AND namespace = ? LIMIT ?)"""
_DELETE = "DELETE FROM flaskware_session WHERE key = ?"
# The columns that an update changes, in the order of its parameters.
_changed = operator.attrgetter(
    "data", "version", "last_seen", "expires", "issued", "idle", "until", "kind",
    "proofs",
)  # fmt: skip

_MAX_IDLE_CONNECTIONS = 8
_PRUNE_INTERVAL = 60_000
_PRUNE_BATCH = 200


class SQLiteStore(Store):
    """Keeps sessions in an SQLite file of their own, shared by all local workers.

    The file and its table are made on first use. Each process and each concurrent
    request has its own connection, in WAL mode. Expired sessions are removed in
    small batches when sessions are created.

    :param path: The file; its folder is made as well.
    :param namespace: Keeps apart the users of apps that share the file, whose keys
        differ in any case.
    :param timeout: How long a statement waits for another process's write, in
        seconds.
    """

    def __init__(
        self, path: Path | str, *, namespace: str = "session", timeout: float = 1.0
    ) -> None:
        self._path = Path(path)
        self._namespace = namespace
        self._timeout = timeout
        self._fork = ForkGuard()
        self._idle: collections.deque[sqlite3.Connection] = collections.deque()
        self._next_prune = 0

    def read(self, key: str, now: int, interval: int) -> Record | None:
        with self._connection() as connection:
            record = _find(connection, key, now)
            if record is None:
                return None
            touched = record.touched(now, interval)
            if touched is None:
                return record
            # A touch that finds the file locked is left to the next request.
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute(_TOUCH, (now, touched.expires, key, now))
                return touched
            return record

    def create(self, record: Record, now: int) -> bool:
        with self._connection() as connection:
            values = (*_row(record), self._namespace)
            if now < self._next_prune:
                return connection.execute(_INSERT, values).rowcount > 0
            with _transaction(connection):
                created = connection.execute(_INSERT, values).rowcount > 0
                removed = self._prune(connection, now, _PRUNE_BATCH)
            # A full batch means that there is more: the next new session goes on.
            if removed < _PRUNE_BATCH:
                self._next_prune = now + _PRUNE_INTERVAL
            return created

    def update(self, record: Record, now: int) -> Written:
        expected = record.version - 1
        values = (*_changed(record), record.key, expected, now)
        with self._connection() as connection:
            cursor = connection.execute(_UPDATE, values)
            if cursor.rowcount:
                return Written(saved=True)
            return Written(saved=False, current=_find(connection, record.key, now))

    def amend(
        self, key: str, now: int, change: cabc.Callable[[Record], Record | None]
    ) -> Written:
        """See :meth:`AmendingStore.amend`; the file is locked meanwhile."""
        with self._connection() as connection, _transaction(connection):
            current = _find(connection, key, now)
            changed = None if current is None else change(current)
            if changed is None:
                return Written(saved=False, current=current)
            values = (*_changed(changed), key, changed.version - 1, now)
            is_saved = connection.execute(_UPDATE, values).rowcount > 0
            return Written(saved=is_saved, current=None if is_saved else current)

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        values = (*_row(record), old_key, record.version - 1, now)
        with self._connection() as connection:
            if connection.execute(_MOVE, values).rowcount:
                return Written(saved=True)
            if _find(connection, record.key, now) is not None:
                return Written(saved=True)
            return Written(saved=False, current=_find(connection, old_key, now))

    def delete(self, key: str, *, version: int | None = None) -> bool:
        with self._connection() as connection:
            if version is None:
                return connection.execute(_DELETE, (key,)).rowcount > 0
            statement = f"{_DELETE} AND version = ?"
            return connection.execute(statement, (key, version)).rowcount > 0

    def for_user(self, user_id: str, now: int) -> list[Record]:
        with self._connection() as connection:
            rows = connection.execute(
                f"{_SELECT} WHERE user_id = ? AND namespace = ? AND expires > ?"
                " ORDER BY last_seen DESC",
                (user_id, self._namespace, now),
            )
            return [record for row in rows if (record := _record(row)) is not None]

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        return self.delete_users([user_id], keep=keep)

    def delete_users(
        self, user_ids: cabc.Collection[str], *, keep: str | None = None
    ) -> int:
        """See :meth:`Store.delete_users`; one statement."""
        marks = ", ".join("?" * len(user_ids))
        with self._connection() as connection:
            return connection.execute(
                f"DELETE FROM flaskware_session WHERE user_id IN ({marks})"  # noqa: S608 # question marks only
                " AND namespace = ? AND key != ?",
                (*user_ids, self._namespace, keep or ""),
            ).rowcount

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        with self._connection() as connection:
            return connection.execute(
                "DELETE FROM flaskware_session WHERE key IN ("
                " SELECT key FROM flaskware_session"
                " WHERE user_id = ? AND namespace = ? AND expires > ?"
                " ORDER BY key = ? DESC, last_seen DESC LIMIT -1 OFFSET ?)",
                (user_id, self._namespace, now, keep, count),
            ).rowcount

    def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        first, end = KEYS_OF_USERS
        with self._connection() as connection:
            rows = connection.execute(
                f"{_SELECT} WHERE key > ? AND key < ? AND namespace = ?"
                " AND expires > ? AND user_id IS NOT NULL ORDER BY key LIMIT ?",
                (cursor or first, end, self._namespace, now, limit),
            ).fetchall()
        records = [record for row in rows if (record := _record(row)) is not None]
        return Scanned(records, rows[-1][0] if len(rows) == limit else None)

    def prune(self, now: int, limit: int) -> int:
        with self._connection() as connection:
            return self._prune(connection, now, limit)

    def stats(self, now: int) -> StoreStats:
        with self._connection() as connection:
            row = connection.execute(
                "SELECT count(*) FILTER (WHERE expires > :now AND proofs != ''),"
                " count(DISTINCT user_id) FILTER (WHERE expires > :now),"
                " count(*) FILTER (WHERE expires <= :now) FROM flaskware_session"
                " WHERE namespace = :own",
                {"now": now, "own": self._namespace},
            ).fetchone()
            return StoreStats(*row)

    def ping(self) -> None:
        with self._connection() as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()

    def close(self) -> None:
        self._leave_to_parent()
        while self._idle:
            self._idle.pop().close()

    def _prune(self, connection: sqlite3.Connection, now: int, limit: int) -> int:
        return connection.execute(_PRUNE, (now, self._namespace, limit)).rowcount

    @contextlib.contextmanager
    def _connection(self) -> cabc.Generator[sqlite3.Connection]:
        if self._fork.in_child():
            self._leave_to_parent()
        connection: sqlite3.Connection | None = None
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
            yield connection
        except (sqlite3.DataError, sqlite3.IntegrityError) as error:
            t.cast("sqlite3.Connection", connection).close()
            raise StoreRefused(type(error).__name__) from error
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        if len(self._idle) < _MAX_IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.close()

    def _leave_to_parent(self) -> None:
        # A connection must not be used, nor closed, by the child of a fork:
        # https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
        if self._fork.in_child():
            inherited, self._idle = self._idle, collections.deque()
            self._fork.leave(inherited)

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Nobody else on the machine has a reason to read sessions.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            self._path,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Two processes that switch to WAL at once do not wait for each other, as
        # SQLite's busy handler is not asked there.
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        # In WAL mode this can lose the last writes in a power cut, never integrity.
        connection.execute("PRAGMA synchronous = NORMAL")
        if _schema_version(connection) == _SCHEMA_VERSION:
            return
        with _transaction(connection):
            found = _schema_version(connection)
            if found > _SCHEMA_VERSION:
                raise sqlite3.DatabaseError(
                    f"{self._path.name} was made by a newer flaskware-session"
                )
            if found < _SCHEMA_VERSION:
                for statement in _SCHEMA:
                    connection.execute(statement)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> cabc.Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _find(connection: sqlite3.Connection, key: str, now: int) -> Record | None:
    statement = f"{_SELECT} WHERE key = ? AND expires > ?"
    row = connection.execute(statement, (key, now)).fetchone()
    return None if row is None else _record(row)


def _record(row: tuple[t.Any, ...]) -> Record | None:
    # A column of SQLite takes values of any type, as from another program.
    return checked(row[0], row[1:])


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
