"""Database URLs, checked and completed."""

from __future__ import annotations

import collections.abc as cabc
import importlib.util
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import make_url

_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "mysqldb": "mysqlclient",
    "mysqlconnector": "mysql-connector-python",
    "mariadbconnector": "mariadb",
    "cx_oracle": "cx_Oracle",
    "pysqlcipher": "sqlcipher3",
}
_SYNC_DRIVERS = {
    "postgresql": "psycopg",
    "mysql": "pymysql",
    "mariadb": "pymysql",
    "sqlite": "pysqlite",
}
_MYSQL_CHARSET = {"mysqldb", "pymysql", "mysqlconnector"}


class EngineProblem(ValueError):
    """The URL or an option of an engine cannot be used.

    :param expected: The right value, as a phrase.
    :param write: The remedy.
    :param given: The option, safe to print; empty if it is not known.
    """

    def __init__(self, expected: str, write: str, given: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.write = write
        self.given = given


def usable_url(text: str) -> sa.URL:
    """Parse a URL and make sure that its driver is installed.

    :raises EngineProblem: if it is malformed, or its driver is unknown, asynchronous or
        not installed.
    """
    try:
        url = make_url(text)
    except (sa_exc.ArgumentError, ValueError):
        raise EngineProblem(
            "a database URL: dialect+driver://user:password@host:port/database, with"
            " special characters in the password percent-encoded",
            "such as sqlite:///app.db or postgresql+psycopg://user:password@host/name",
        ) from None
    return _with_driver(url)


def is_memory(url: sa.URL) -> bool:
    """Return True if a SQLite URL keeps the database in memory."""
    name = url.database
    if name is None or name in {"", ":memory:"}:
        return True
    return name.startswith("file:") and (
        ":memory:" in name or url.query.get("mode") == "memory"
    )


def with_charset(url: sa.URL) -> sa.URL:
    """Ask MySQL and MariaDB for all of Unicode, unless the URL names a charset."""
    # Their charset "utf8" has no characters of four bytes, and mysqlclient still asks
    # for latin1 by default.
    driver = url.get_dialect().driver
    if driver in _MYSQL_CHARSET and "charset" not in url.query:
        return url.update_query_dict({"charset": "utf8mb4"})
    return url


def _with_driver(url: sa.URL) -> sa.URL:
    try:
        dialect: t.Any = url.get_dialect()
    except sa_exc.NoSuchModuleError:
        raise EngineProblem(
            "a dialect and driver that SQLAlchemy knows; it does not know this name, or"
            " its package is not installed",
            _with_sync_driver(url.get_backend_name()),
        ) from None
    if dialect.is_async:
        raise EngineProblem(
            f"a driver that is not asynchronous; {dialect.driver} is",
            _with_sync_driver(dialect.name),
        )
    try:
        dialect.import_dbapi()
    except ImportError:
        driver = dialect.driver
        raise EngineProblem(
            f"the driver {driver}, which is not installed",
            f"pip install {_PACKAGES.get(driver, driver)!r}, or name an installed"
            f" driver: {dialect.name}+<driver>://…",
        ) from None
    return url


def _with_sync_driver(backend: str) -> str:
    # Heroku and others still hand out URLs of the scheme postgres.
    name = "postgresql" if backend == "postgres" else backend
    if name in _SYNC_DRIVERS:
        return f"{name}+{_SYNC_DRIVERS[name]}://…"
    return "sqlite, postgresql+psycopg, mysql+pymysql or another that is installed"


_ASYNC_DRIVERS = {
    "postgresql": ("psycopg", "asyncpg"),
    "mysql": ("asyncmy", "aiomysql"),
    "mariadb": ("asyncmy", "aiomysql"),
    "sqlite": ("aiosqlite",),
}


def async_url(url: sa.URL, drivers: cabc.Mapping[str, str]) -> sa.URL:
    """Return the URL of the same database for an asynchronous driver.

    :param drivers: The driver to use, by dialect.
    :raises ImportError: if none is installed.
    """
    backend = url.get_backend_name()
    usual = _ASYNC_DRIVERS.get(backend, ())
    wanted = (drivers[backend],) if backend in drivers else usual
    for driver in wanted:
        if importlib.util.find_spec(driver) is not None:
            return url.set(drivername=f"{backend}+{driver}")
    raise ImportError(f"{' or '.join(wanted) or 'an asynchronous driver'} ({backend})")
