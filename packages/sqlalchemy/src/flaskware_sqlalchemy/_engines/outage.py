"""Database servers that are away: a named error at once, and a limit of the wait."""

from __future__ import annotations

import logging
import re
import types
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

from flaskware_core import CircuitBreaker
from flaskware_sqlalchemy._errors import DatabaseUnavailable

logger = logging.getLogger("flaskware.sqlalchemy")

CONNECT_TIMEOUT = 3
"""Seconds to wait for a connection, unless the URL or an option sets a limit."""

_TIMEOUT_ARGUMENT = {
    "aiomysql": "connect_timeout",
    "asyncmy": "connect_timeout",
    "asyncpg": "timeout",
    "mysqldb": "connect_timeout",
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pymysql": "connect_timeout",
}
# A host that is gone sends nothing. libpq then finds out within a minute, even while
# it waits for the answer to a long statement.
_KEEPALIVES = types.MappingProxyType(
    {
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
)
# SQLSTATE: a server that stops or starts, has no connection left, or lost one.
_AWAY = ("57P", "53", "08")
# MySQL and MariaDB: a user, password or database that the server does not know.
_REFUSED = {1044, 1045, 1049, 1698}
# psycopg has only the text of an error at the start of a connection.
_REFUSED_TEXT = re.compile(
    r"authentication failed|does not exist|pg_hba\.conf|no password supplied"
).search


def with_limits(url: sa.URL, options: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return options of an engine with limits of the time that a lost server takes."""
    driver = url.get_dialect().driver
    given: dict[str, t.Any] = options.get("connect_args", {})
    limits: dict[str, t.Any] = {}
    if driver in _TIMEOUT_ARGUMENT:
        limits[_TIMEOUT_ARGUMENT[driver]] = CONNECT_TIMEOUT
    if driver in {"psycopg", "psycopg2"}:
        limits |= _KEEPALIVES
    known = {**url.query, **given}
    added = {name: value for name, value in limits.items() if name not in known}
    return {**options, "connect_args": {**given, **added}} if added else options


def guard_connections(engine: sa.Engine) -> None:
    """Raise :class:`DatabaseUnavailable` where a server gives no connection.

    After several failures in a row it is not asked for a moment, so that requests do
    not queue up for a server that is away.
    """
    # A method of the dialect: unlike an event it sees every error, and listeners to
    # "do_connect" that change the arguments keep working.
    dialect: t.Any = engine.dialect
    connect = dialect.connect
    breaker = CircuitBreaker(DatabaseUnavailable)

    def guarded(*args: t.Any, **kwargs: t.Any) -> t.Any:
        try:
            with breaker:
                try:
                    return connect(*args, **kwargs)
                except Exception as error:
                    if not _is_outage(error, dialect):
                        raise
                    raise DatabaseUnavailable(_reason(error), error) from error
        except DatabaseUnavailable as error:
            _log(engine, error)
            raise

    dialect.connect = guarded


def name_lost_connections(engine: sa.Engine) -> None:
    """Raise :class:`DatabaseUnavailable` where a server ends a connection in use."""

    def convert(context: sa.ExceptionContext) -> BaseException | None:
        error = context.sqlalchemy_exception
        if (
            not context.is_disconnect
            or context.is_pre_ping
            or not isinstance(error, sa_exc.DBAPIError)
            or isinstance(error, DatabaseUnavailable)
        ):
            return None
        named = DatabaseUnavailable(_reason(context.original_exception), error)
        _log(engine, named)
        return named

    event.listen(engine, "handle_error", convert)


def _is_outage(error: Exception, dialect: t.Any) -> bool:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is not None:
        return str(state).startswith(_AWAY)
    if isinstance(error, OSError):
        return True
    if not isinstance(error, dialect.loaded_dbapi.Error):
        return False
    arguments = error.args
    if arguments and arguments[0] in _REFUSED:
        return False
    return _REFUSED_TEXT(str(error)) is None


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def _log(engine: sa.Engine, error: DatabaseUnavailable) -> None:
    address = engine.url.render_as_string(hide_password=True)
    logger.error("The database %s does not answer: %s", address, error.reason)
