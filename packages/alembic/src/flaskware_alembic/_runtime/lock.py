"""One deploy at a time: a lock in the database, or beside its file."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import hashlib
import threading
import time
import typing as t
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from flaskware_alembic._databases.database import Database
from flaskware_alembic._databases.database import is_pooled
from flaskware_alembic._errors import LockTimeout
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import OnWait
from flaskware_core import FileLock

_PAUSE = 0.1
# For a pooler that is busy; a pool of one never answers.
_SECONDS_FOR_SECOND = 10.0

_UNLIMITED = sa.text(
    "SELECT set_config(name, '0', true) FROM pg_settings WHERE name = :name"
)


class _Lock(t.Protocol):
    is_pooled: bool

    def try_take(self) -> bool: ...

    def holder(self) -> str: ...


@contextlib.contextmanager
def deploy_lock(
    database: Database, *, table: str, timeout: float, on_wait: OnWait | None = None
) -> cabc.Generator[None]:
    """Hold the right to migrate a database.

    The lock is the connection's or the open file's, so that the system frees it when
    the holder dies.

    :param table: The version table; databases with several have a lock for each.
    :param timeout: How long to wait, in seconds.
    :param on_wait: Called once with a sentence where another process is first.
    :raises LockTimeout: naming the holder where the database shows it.
    :raises MigrationError: if a pooler has no connection besides that of the lock.
    """
    with contextlib.ExitStack() as stack:
        lock = _lock_for(database, table, stack)
        deadline = time.monotonic() + timeout
        while not lock.try_take():
            if on_wait is not None:
                on_wait(
                    f"Waiting for {lock.holder()}, which migrates the database"
                    f" {database.name!r}."
                )
                on_wait = None
            if time.monotonic() >= deadline:
                raise LockTimeout(
                    f"The database {database.name!r} is being migrated by"
                    f" {lock.holder()}, and was still after {timeout:g} seconds."
                    " Check that the process is alive, or set ALEMBIC_LOCK_TIMEOUT to"
                    " more seconds."
                )
            time.sleep(_PAUSE)
        if lock.is_pooled:
            left = max(_SECONDS_FOR_SECOND, deadline - time.monotonic())
            _refuse_pool_of_one(database, left, on_wait)
        yield


def _refuse_pool_of_one(
    database: Database, seconds: float, on_wait: OnWait | None
) -> None:
    """Ask for a second connection while the first holds the lock.

    The first statement of an upgrade would wait for the end of the lock, and the lock
    for the end of the upgrade. No limit of the server ends the wait in a pooler.
    """
    answered = threading.Event()

    def ask() -> None:
        # An upgrade meets the same error again, and explains it.
        with contextlib.suppress(Exception), database.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
        answered.set()

    threading.Thread(target=ask, daemon=True).start()
    if answered.wait(1):
        return
    if on_wait is not None:
        on_wait(
            "Waiting for a second connection of the pooler before the database"
            f" {database.name!r}."
        )
    if not answered.wait(seconds - 1):
        raise MigrationError(
            f"The pooler before the database {database.name!r} gave no second"
            f" connection in {seconds:.0f} seconds. An upgrade needs two: one holds the"
            " lock that keeps other deploys out, the other works. Set"
            " default_pool_size of PgBouncer to 2 or more, or migrate with the URL of"
            " the database itself. Nothing was applied."
        )


def _lock_for(database: Database, table: str, stack: contextlib.ExitStack) -> _Lock:
    dialect = database.engine.dialect.name
    if dialect == "sqlite":
        path = _sqlite_path(database)
        if path is not None:
            file_lock = _FileLock(path)
            stack.callback(file_lock.release)
            return file_lock
    elif dialect == "postgresql":
        connection = _own_connection(database, stack, "READ COMMITTED")
        return _PostgreSQLLock(connection, table)
    elif dialect in {"mysql", "mariadb"}:
        # No transaction stays open, whatever the server does to idle transactions.
        return _MySQLLock(_own_connection(database, stack, "AUTOCOMMIT"), table)
    # A database in memory is this process's alone.
    thread_lock = _ThreadLock()
    stack.callback(thread_lock.release)
    return thread_lock


def _own_connection(
    database: Database, stack: contextlib.ExitStack, isolation: t.Any
) -> sa.Connection:
    connection = stack.enter_context(database.connect())
    connection = connection.execution_options(isolation_level=isolation)
    # Outside of the pool, which may be of one; closing it then ends the lock too.
    if not isinstance(database.engine.pool, NullPool):
        connection.detach()
    return connection


class _PostgreSQLLock:
    """A lock of a transaction that stays open while revisions are applied.

    A pooler keeps a server connection for a transaction, and for no longer. The
    transaction must have no snapshot while it is open, or else CREATE INDEX
    CONCURRENTLY would wait for its end.
    """

    def __init__(self, connection: sa.Connection, table: str) -> None:
        self._connection = connection
        # A thread of its own cannot use the event loop of an async driver.
        self.is_pooled = not connection.dialect.is_async and is_pooled(connection)
        connection.rollback()
        digest = hashlib.sha256(f"flaskware-alembic:{table}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)

    def try_take(self) -> bool:
        # PostgreSQL ends transactions that take too long, unless it is
        # set to zero. Not every version has that setting.
        self._connection.execute(_UNLIMITED, {"name": "transaction_timeout"})
        statement = sa.text("SELECT pg_try_advisory_xact_lock(:key)")
        if not self._connection.scalar(statement, {"key": self._key}):
            self._connection.rollback()
            return False
        # A query keeps its snapshot until the next statement, and this needs none.
        idle = "SET LOCAL idle_in_transaction_session_timeout = 0"
        self._connection.exec_driver_sql(idle)
        return True

    def holder(self) -> str:
        row = self._connection.execute(
            sa.text(
                "SELECT a.pid, a.usename, a.client_addr::text AS address"
                " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
                " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
                " AND l.database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND ((l.classid::bigint << 32) | l.objid::bigint) = :key"
            ),
            {"key": self._key},
        ).first()
        self._connection.rollback()
        if row is None:
            return "another process"
        return f"the PostgreSQL session {row.pid} of {row.usename}" + (
            f" from {row.address}" if row.address else ""
        )


class _MySQLLock:
    is_pooled = False

    def __init__(self, connection: sa.Connection, table: str) -> None:
        self._connection = connection
        # The name counts for the whole server and may have 64 characters.
        location = f"{connection.engine.url.database}:{table}"
        digest = hashlib.sha256(location.encode()).hexdigest()
        self._name = f"flaskware-alembic:{digest[:32]}"

    def try_take(self) -> bool:
        statement = sa.text("SELECT GET_LOCK(:name, 0)")
        return bool(self._connection.scalar(statement, {"name": self._name}))

    def holder(self) -> str:
        statement = sa.text("SELECT IS_USED_LOCK(:name)")
        id = self._connection.scalar(statement, {"name": self._name})
        return "another process" if id is None else f"the connection {id}"


class _FileLock:
    is_pooled = False

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.name}.migrate-lock")
        # The umask decides who else may migrate.
        self._lock = FileLock(path, mode=0o666, signed=True)
        self.release = self._lock.release

    def try_take(self) -> bool:
        try:
            return self._lock.try_acquire()
        except OSError as error:
            raise MigrationError(
                f"The lock file {self._lock.path} cannot be opened: {error.strerror}."
                " Give the process the right to write beside the database."
            ) from error

    def holder(self) -> str:
        id = self._lock.holder()
        return "another process" if id is None else f"the process {id}"


class _ThreadLock:
    is_pooled = False
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._is_mine = False

    def release(self) -> None:
        if self._is_mine:
            self._lock.release()

    def try_take(self) -> bool:
        self._is_mine = self._lock.acquire(blocking=False)
        return self._is_mine

    def holder(self) -> str:
        return "another thread"


def _sqlite_path(database: Database) -> Path | None:
    with database.connect() as connection:
        rows = connection.exec_driver_sql("PRAGMA database_list").all()
    file = next((row[2] for row in rows if row[1] == "main"), "")
    return Path(file) if file else None
