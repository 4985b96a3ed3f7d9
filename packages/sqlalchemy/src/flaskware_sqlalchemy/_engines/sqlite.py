"""What a SQLite engine needs before it behaves as a database server does."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import pool

from .url import is_memory

BUSY_TIMEOUT = 10.0
"""How many seconds a statement waits for another writer."""

WRITING: t.Final = "flaskware_sqlalchemy_writing"
"""An execution option: the transaction that begins is known to write."""


def place(url: sa.URL, instance_path: str) -> sa.URL:
    """Move a relative path into the instance folder, which is made if missing.

    The working folder differs between a shell, a server and a test; the instance
    folder does not. A ``file:`` URI is left as it is.
    """
    name = url.database
    if is_memory(url) or name is None or name.startswith("file:"):
        return url
    path = Path(name)
    if not path.is_absolute():
        path = Path(instance_path) / path
        path.parent.mkdir(parents=True, exist_ok=True)
    return url.set(database=str(path))


def defaults(url: sa.URL) -> dict[str, t.Any]:
    """Engine options for a SQLite database."""
    if is_memory(url):
        # Each connection would see an empty database of its own.
        return {
            "poolclass": pool.StaticPool,
            "connect_args": {"check_same_thread": False, "factory": _shared()},
        }
    return {"connect_args": {"timeout": BUSY_TIMEOUT}}


def _shared() -> type[t.Any]:
    """The class of a connection that asynchronous sessions use too."""
    import sqlite3  # which only they need who have such a database

    class Cursor(sqlite3.Cursor):
        async def _async_soft_close(self) -> None:
            """Do nothing: SQLAlchemy's asynchronous sessions ask for it."""

    class Connection(sqlite3.Connection):
        def cursor(self, factory: t.Any = Cursor) -> t.Any:
            return super().cursor(factory)

    return Connection


def prepare(engine: sa.Engine, pragmas: cabc.Mapping[str, object]) -> None:
    """Give an engine foreign keys, a write-ahead log and real transactions.

    :param pragmas: For each new connection; they win over these.
    """
    # SQLite parses foreign keys and does not enforce them, unless told so.
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
    event.listen(engine, "begin", _begin_async if engine.dialect.is_async else _begin)


def _use_log(cursor: t.Any) -> None:
    import sqlite3  # only where a connection needs it, which has imported it before

    # With the log, readers and a writer do not wait for each other. The mode stays
    # with the file; a database in memory or opened read-only keeps its own.
    cursor.execute("PRAGMA journal_mode")
    if cursor.fetchone()[0] == "delete":
        with contextlib.suppress(sqlite3.OperationalError):
            cursor.execute("PRAGMA journal_mode = WAL")


def _begin(connection: sa.Connection) -> None:
    # The driver begins at the first INSERT, UPDATE or DELETE only, so that reads and
    # savepoints before it are in no transaction: begun here, it never has to.
    dbapi: t.Any = connection.connection.dbapi_connection
    if dbapi.isolation_level is None or dbapi.in_transaction:
        return  # AUTOCOMMIT was asked for, or a database in memory is shared
    if connection.get_execution_options().get(WRITING):
        # One that reads first and then writes fails at once if another wrote between;
        # taking the write lock at the start, it waits its turn.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # It takes no lock and cannot fail: no need for what wraps a driver's errors.
        dbapi.execute("BEGIN")


def _begin_async(connection: sa.Connection) -> None:
    dbapi: t.Any = connection.connection.dbapi_connection
    driver = connection.connection.driver_connection
    if dbapi.isolation_level is None or t.cast("t.Any", driver).in_transaction:
        return
    is_writing = connection.get_execution_options().get(WRITING)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
