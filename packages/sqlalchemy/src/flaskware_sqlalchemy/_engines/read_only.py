"""Transactions that only read, for the server of a database too."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy import event

from flaskware_sqlalchemy._errors import ReadOnlySession

_MYSQL = {"mariadb", "mysql"}
_CHANGE = re.compile(
    r"\s*(INSERT|UPDATE|DELETE|REPLACE|MERGE|CREATE|ALTER|DROP|TRUNCATE)\b",
    re.IGNORECASE,
).match


def read_only(engine: sa.Engine) -> None:
    """Let the transactions of an engine only read.

    The server refuses a write in whatever way it is hidden, as in a function.

    :param engine: One with options of its own: it is changed.
    """
    name = engine.dialect.name
    if name == "sqlite":
        event.listen(engine, "begin", _start_on_sqlite)
        event.listen(engine, "commit", _end_on_sqlite)
        event.listen(engine, "rollback", _end_on_sqlite)
    elif name == "postgresql":
        event.listen(engine, "begin", _start_on_postgresql)
    elif name in _MYSQL:
        event.listen(engine, "begin", _start_on_mysql)


def refuse_change(statement: str) -> None:
    """Refuse a statement that is certain to write, before a server gets it.

    :raises ReadOnlySession: with the statement.
    """
    if _CHANGE(statement):
        raise ReadOnlySession(
            f"The session only reads, and this statement writes: {statement[:200]}."
            " Write in another session or block: `db.transaction()` without"
            " `read_only=True`."
        )


def _start_on_postgresql(connection: sa.Connection) -> None:
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _start_on_mysql(connection: sa.Connection) -> None:
    connection.exec_driver_sql("START TRANSACTION READ ONLY")


def _start_on_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("PRAGMA query_only = ON")


def _end_on_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("PRAGMA query_only = OFF")
