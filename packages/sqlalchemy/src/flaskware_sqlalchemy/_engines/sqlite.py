"""SQLite engines that behave like a database server's."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import typing as t
from pathlib import Path
from urllib.parse import quote
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import pool

from .own_lock import name_own_waits
from .own_lock import OwnLocks
from .url import EngineProblem
from .url import is_memory

logger = logging.getLogger("flaskware.sqlalchemy")
BUSY_TIMEOUT = 10.0
"""Seconds that a statement waits for another writer."""

WRITING: t.Final = "flaskware_sqlalchemy_writing"
"""An execution option: the transaction that begins is known to write."""


def in_instance_folder(url: sa.URL, instance_path: str) -> sa.URL:
    """Move a relative path into the instance folder, which is made if missing.

    The working folder differs between a shell, a server and a test; the instance
    folder does not. The same holds for the path of a ``file:`` URI.

    :raises EngineProblem: if a URI lacks ``uri=true``, without which it is the name of
        a file.
    """
    name = url.database
    if is_memory(url) or name is None:
        return url
    is_uri = name.startswith("file:")
    if is_uri:
        if str(url.query.get("uri")).lower() not in {"true", "1", "yes", "on"}:
            raise EngineProblem(
                "a path, or a URI with uri=true: SQLite takes this one for the name of"
                " a file",
                "sqlite:///file:name.db?uri=true, or sqlite:///name.db",
            )
        name = unquote(name.removeprefix("file:"))
        if name.startswith("//"):
            return url  # file:///path: always absolute
    path = Path(name)
    if not path.is_absolute():
        path = Path(instance_path) / path
        path.parent.mkdir(parents=True, exist_ok=True)
    return url.set(database=f"file:{quote(str(path))}" if is_uri else str(path))


def sqlite_defaults(url: sa.URL) -> dict[str, t.Any]:
    """Return engine options for a SQLite database."""
    if is_memory(url):
        # Each connection would see an empty database of its own.
        return {
            "poolclass": pool.StaticPool,
            "connect_args": {"check_same_thread": False, "factory": _shared_class()},
        }
    return {"connect_args": {"timeout": BUSY_TIMEOUT}}


def _shared_class() -> type[t.Any]:
    """Return the class of a connection that asynchronous sessions use too."""
    import sqlite3  # late: only a database in memory needs it

    class Cursor(sqlite3.Cursor):
        async def _async_soft_close(self) -> None:
            """Do nothing: SQLAlchemy's asynchronous sessions call it."""

    class Connection(sqlite3.Connection):
        def cursor(self, factory: t.Any = Cursor) -> t.Any:
            return super().cursor(factory)

    return Connection


def prepare_sqlite(engine: sa.Engine, pragmas: cabc.Mapping[str, object]) -> None:
    """Give an engine foreign keys, a write-ahead log and real transactions.

    :param pragmas: For each new connection; they win over these defaults.
    """
    # SQLite parses foreign keys, but enforces them only with this pragma.
    every = {"foreign_keys": "ON", **pragmas}
    statements = [f"PRAGMA {name} = {value}" for name, value in every.items()]

    def set_pragmas(connection: t.Any, record: object) -> None:  # noqa: ARG001
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        if "journal_mode" not in pragmas:
            _use_log(cursor)
        cursor.close()

    event.listen(engine, "connect", set_pragmas)
    if "foreign_keys" not in pragmas:
        event.listen(engine, "handle_error", _switch_names())
    locks = OwnLocks()

    def begin(connection: sa.Connection) -> None:
        _begin(connection, locks)

    event.listen(engine, "begin", begin)
    name_own_waits(engine)


def _use_log(cursor: t.Any) -> None:
    import sqlite3  # late: the driver of the connection has imported it

    # With the log, readers and a writer do not wait for each other. The file keeps the
    # mode; a database in memory or opened read-only has its own.
    cursor.execute("PRAGMA journal_mode")
    if cursor.fetchone()[0] == "delete":
        with contextlib.suppress(sqlite3.OperationalError):
            cursor.execute("PRAGMA journal_mode = WAL")


def _begin(connection: sa.Connection, locks: OwnLocks) -> None:
    # The driver itself begins a transaction only at the first INSERT, UPDATE or DELETE.
    # Reads and savepoints before it would be in no transaction.
    pooled, is_async = connection.connection, connection.dialect.is_async
    dbapi: t.Any = pooled.dbapi_connection
    driver: t.Any = pooled.driver_connection if is_async else dbapi
    if dbapi.isolation_level is None or driver.in_transaction:
        return  # AUTOCOMMIT is set, or a database in memory is shared
    writes = bool(connection.get_execution_options().get(WRITING))
    if not is_async:  # two coroutines of one thread may wait for each other
        locks.begin(connection, dbapi, writes=writes)
    if writes:
        # A transaction that reads and then writes fails at once if another has written
        # in between. With the write lock from the start, it waits for its turn.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif is_async:
        connection.exec_driver_sql("BEGIN")
    else:
        # It takes no lock and cannot fail, so no driver errors need to be wrapped.
        dbapi.execute("BEGIN")


def _switch_names() -> cabc.Callable[[sa.ExceptionContext], None]:
    """Return a listener that names the switch at the first failure of an engine."""
    told: list[bool] = []

    def on_error(context: sa.ExceptionContext) -> None:
        text = str(context.original_exception)
        if not told and "FOREIGN KEY constraint failed" in text:
            told.append(True)
            logger.warning(
                "SQLite refused a change that breaks a foreign key. The check is on in"
                " Flaskware-SQLAlchemy, and off with SQLite alone. Correct the order of"
                " the changes, or the cascades of the models. For an app that relies on"
                " unchecked keys, write"
                ' SQLALCHEMY_SQLITE_PRAGMAS = {"foreign_keys": False}.'
            )

    return on_error
