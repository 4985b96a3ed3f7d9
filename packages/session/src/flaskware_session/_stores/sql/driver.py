"""Settings and errors of the drivers that SQLAlchemy connects by."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy import exc

from flaskware_session._errors import StoreUnavailable

# Of transactions that wait for each other, the database ends one, with nothing done.
_DEADLOCK_STATES = frozenset({"40P01", "40001"})
_MYSQL_DEADLOCK = 1213
_DEADLOCK_REPEATS = 5


def pool_arguments(url: sa.URL, size: int, timeout: float) -> dict[str, t.Any]:
    """Size of an engine's pool; the pools of SQLite take none."""
    if url.get_backend_name() == "sqlite":
        return {}
    return {"pool_size": size, "max_overflow": 4 * size, "pool_timeout": timeout}


def driver_arguments(driver: str, timeout: float) -> dict[str, t.Any]:
    """Timeouts in the words of a driver, so that nothing waits without end."""
    if driver in {"psycopg", "psycopg2"}:
        milliseconds = int(timeout * 1000)
        return {
            "connect_timeout": max(2, round(timeout)),  # the least that libpq takes
            "tcp_user_timeout": milliseconds,
            "options": f"-c statement_timeout={milliseconds}",
        }
    if driver == "asyncpg":
        return {"timeout": timeout, "command_timeout": timeout}
    if driver == "aiosqlite":
        return {"timeout": timeout}
    if driver in {"asyncmy", "aiomysql"}:
        return {"connect_timeout": max(1, round(timeout))}
    if driver == "pymysql":
        return {
            "connect_timeout": timeout,
            "read_timeout": timeout,
            "write_timeout": timeout,
        }
    if driver == "mysqldb":
        seconds = max(1, round(timeout))
        return {
            "connect_timeout": seconds,
            "read_timeout": seconds,
            "write_timeout": seconds,
        }
    return {}


def repeats_of(error: exc.DBAPIError) -> int:
    """Count how often to repeat a step that ended with this error."""
    # A connection that was lost while idle, as by a restart: SQLAlchemy has emptied its
    # pool, so that the second attempt connects again.
    if error.connection_invalidated:
        return 1
    cause: t.Any = error.orig
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    is_deadlock = state in _DEADLOCK_STATES or cause.args[:1] == (_MYSQL_DEADLOCK,)
    return _DEADLOCK_REPEATS if is_deadlock else 0


def outage_of(error: Exception) -> StoreUnavailable:
    """Turn an error of the database into an outage."""
    # The driver's own words: SQLAlchemy's hold the statement and its values.
    cause = getattr(error, "orig", None) or error
    reason = f"{type(cause).__name__}: {cause}"
    if "flaskware_session" in reason:
        reason += "; `flask session create-table` makes the table"
    return StoreUnavailable(reason)
