"""Limits on the time of a statement, on a database and in a transaction."""

from __future__ import annotations

import time
import typing as t

import sqlalchemy as sa
from sqlalchemy import event

_LIMIT = "flaskware_sqlalchemy_timeout"
# Instructions of SQLite's virtual machine between two looks at the clock: it stops
# within milliseconds, and the looks cost nothing noticeable.
_INSTRUCTIONS = 10_000


def limit_statements(engine: sa.Engine, seconds: float | None) -> None:
    """Limit every statement of an engine.

    :param seconds: ``None`` for no limit other than those of transactions.
    """
    name = engine.dialect.name
    if name == "sqlite":
        if seconds is not None:
            _watch_statements(engine, seconds)
        return
    if seconds is not None and (limit := _session_limit(name, seconds)):

        def on_connect(dbapi: t.Any, record: object) -> None:  # noqa: ARG001
            _run(dbapi, limit)

        event.listen(engine, "connect", on_connect)
    if name in {"mysql", "mariadb"}:
        usual = t.cast("str", _session_limit(name, seconds or 0))

        def restore(dbapi: t.Any, record: t.Any) -> None:
            if dbapi is not None and record.info.pop(_LIMIT, None) is not None:
                _run(dbapi, usual)

        event.listen(engine, "checkin", restore)


def limit_transaction(connection: sa.Connection, seconds: float) -> None:
    """Limit each statement of the transaction that a connection has just begun."""
    name = connection.dialect.name
    if name == "postgresql":
        statement = t.cast("str", _session_limit(name, seconds))
        connection.exec_driver_sql(statement.replace("SESSION", "LOCAL"))
    elif name == "sqlite":
        # With SQLite, the transaction of a block has an engine object of its own.
        _watch_statements(connection.engine, seconds)
    elif limit := _session_limit(name, seconds):
        # These servers have no limit for a transaction. That of the connection is
        # reset when it returns to the pool.
        connection.info[_LIMIT] = seconds
        connection.exec_driver_sql(limit)


def _run(dbapi: t.Any, statement: str) -> None:
    cursor = dbapi.cursor()
    cursor.execute(statement)
    cursor.close()
    dbapi.commit()  # PostgreSQL undoes a SET with its transaction


def _session_limit(name: str, seconds: float) -> str | None:
    milliseconds = max(1, round(seconds * 1000)) if seconds else 0
    if name == "postgresql":
        return f"SET SESSION statement_timeout = {milliseconds}"
    if name in {"mysql", "mariadb"}:
        # Only MariaDB runs the first comment, and only MySQL the second: MariaDB skips
        # comments for versions from 5.7 to 9, which it never had.
        return (
            f"SET SESSION /*M! max_statement_time = {seconds:.6f} */"
            f"/*!50708 max_execution_time = {milliseconds} */"
        )
    return None


def _watch_statements(target: sa.Engine, seconds: float) -> None:
    """Interrupt long statements of SQLite, which has no such limit itself."""

    def start(connection: sa.Connection, *_: object) -> None:
        deadline = time.monotonic() + seconds
        _set_handler(connection, lambda: time.monotonic() > deadline)

    def stop(connection: sa.Connection) -> None:
        _set_handler(connection, None)

    event.listen(target, "before_cursor_execute", start)
    event.listen(target, "commit", stop)
    event.listen(target, "rollback", stop)


def _set_handler(connection: sa.Connection, handler: t.Any) -> None:
    dbapi: t.Any = connection.connection.dbapi_connection
    if hasattr(dbapi, "run_async"):

        def set_handler(driver: t.Any) -> t.Any:
            return driver.set_progress_handler(handler, _INSTRUCTIONS)

        dbapi.run_async(set_handler)
    else:
        dbapi.set_progress_handler(handler, _INSTRUCTIONS)
