"""Connections to a database, and what its driver wants and says."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.pool import PoolProxiedConnection

from flaskware_core import ForkGuard
from flaskware_session._errors import StoreBusy
from flaskware_session._errors import StoreRefused
from flaskware_session._errors import StoreUnavailable

_T = t.TypeVar("_T")
Isolation: t.TypeAlias = t.Literal["SERIALIZABLE", "READ COMMITTED"]

# Of transactions that wait for each other, the database ends one, with nothing done.
_DEADLOCK_STATES = frozenset({"40P01", "40001"})
_MYSQL_DEADLOCK = 1213
_DEADLOCK_REPEATS = 5
# A prepared statement is gone, or is for a table that was changed since.
_STALE_STATES = frozenset({"26000", "0A000"})
# A value does not fit: it is too long, or the table's character set has no such
# character, or the statement is longer than max_allowed_packet.
_MYSQL_DATA = frozenset({1153, 1300, 1366, 1406, 3988})
_DATA_CLASSES = ("22", "23", "54")
_NO_TABLE = ("(1146,", "no such table")
_PREPARE_AFTER = 2
_TURNS = 3


def engine_arguments(
    url: sa.URL, *, pool_size: int, timeout: float
) -> dict[str, t.Any]:
    """Return the arguments for an engine whose connections are made for sessions."""
    given = driver_arguments(url.get_driver_name(), timeout)
    arguments: dict[str, t.Any] = {
        "isolation_level": "AUTOCOMMIT",
        # A transaction is ended where it was begun, so that there is nothing to reset.
        "pool_reset_on_return": None,
        "connect_args": {k: v for k, v in given.items() if k not in url.query},
    }
    # The pools of SQLite take no sizes.
    if url.get_backend_name() != "sqlite":
        arguments |= {
            "pool_size": pool_size,
            "max_overflow": 0,
            # Many threads may have to take turns, as when a process has just begun.
            "pool_timeout": _TURNS * timeout,
        }
    return arguments


def driver_arguments(driver: str, timeout: float) -> dict[str, t.Any]:
    """Timeouts in the words of a driver, so that nothing waits without end."""
    if driver in {"psycopg", "psycopg2"}:
        found: dict[str, t.Any] = {
            "connect_timeout": max(2, round(timeout)),  # the least that libpq takes
            "tcp_user_timeout": int(timeout * 1000),
        }
        return found | ({"prepare_threshold": None} if driver == "psycopg" else {})
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


class Link:
    """Connections of one engine.

    The statements of each request are given to the driver as they are: a Connection
    of SQLAlchemy takes longer than the statement itself.
    """

    def __init__(self, engine: sa.Engine, *, timeout: float) -> None:
        self.engine = engine
        self.errors: type[Exception] = engine.dialect.loaded_dbapi.Error
        """Base of the errors of the driver."""
        self.taken: type[Exception] = engine.dialect.loaded_dbapi.IntegrityError
        """Its error where a key is there already."""
        self._fork = ForkGuard()
        if engine.dialect.name == "postgresql":
            _Postgresql(engine, timeout)

    def run(self, work: cabc.Callable[[DBAPICursor], _T]) -> _T:
        """Call a function with a cursor, each of whose statements commits itself.

        :raises StoreUnavailable: if the database does not answer, or forbids it.
        :raises StoreRefused: if it cannot hold a value.
        """
        return self._repeat(lambda: self._run_once(work))

    def transact(
        self, work: cabc.Callable[[sa.Connection], _T], isolation: Isolation | None
    ) -> _T:
        """Call a function with a Connection of SQLAlchemy.

        :param isolation: In a transaction of this level; ``None`` if each statement
            commits itself.
        """
        return self._repeat(lambda: self._transact_once(work, isolation))

    def close(self) -> None:
        """Close the connections; they are opened again when needed."""
        self._leave_to_parent()
        self.engine.dispose()

    def _run_once(self, work: cabc.Callable[[DBAPICursor], _T]) -> _T:
        pool = self.engine.pool
        try:
            connection = self.engine.raw_connection()
        except self.errors as error:
            # In the driver's own words, as from a server that is starting.
            raise exc.DBAPIError(None, None, t.cast("t.Any", error)) from error
        cursor: DBAPICursor | None = None
        try:
            # A connection that is known to be lost may refuse this already.
            cursor = connection.cursor()
            answer = work(cursor)
            cursor.close()
        except (self.errors, ConnectionError) as error:
            is_lost = self._is_lost(error, connection, cursor)
            if is_lost:
                connection.invalidate()
                # The others of its time were lost too, as by a restart of the server;
                # those that were made since were not.
                if self.engine.pool is pool:
                    self.engine.dispose()
            else:
                self._give_back(connection, pool)
            raise exc.DBAPIError(
                *(None, None, t.cast("t.Any", error)), connection_invalidated=is_lost
            ) from error
        except BaseException:
            # Nobody knows what it would answer next.
            connection.invalidate()
            raise
        self._give_back(connection, pool)
        return answer

    def _give_back(self, connection: PoolProxiedConnection, pool: sa.Pool) -> None:
        # A pool that was disposed of meanwhile would keep it, and nobody close it.
        if self.engine.pool is pool:
            connection.close()
        else:
            connection.invalidate()

    def _is_lost(
        self,
        error: Exception,
        connection: PoolProxiedConnection,
        cursor: DBAPICursor | None,
    ) -> bool:
        if cursor is None or isinstance(error, ConnectionError):
            return True
        if _state_of(error) in _STALE_STATES or self.engine.dialect.is_disconnect(
            t.cast("t.Any", error), connection, cursor
        ):
            return True
        try:
            cursor.close()
        except self.errors:
            return True
        return False

    def _transact_once(
        self, work: cabc.Callable[[sa.Connection], _T], isolation: Isolation | None
    ) -> _T:
        pool = self.engine.pool
        with self.engine.connect() as connection:
            try:
                if isolation is None:
                    return work(connection)
                return self._isolated(connection, work, isolation)
            finally:
                if self.engine.pool is not pool:
                    connection.invalidate()

    def _isolated(
        self,
        connection: sa.Connection,
        work: cabc.Callable[[sa.Connection], _T],
        isolation: Isolation,
    ) -> _T:
        # Not by an option of the Connection: that is undone where an error of the
        # driver loses a place in the pool.
        set_level = functools.partial(
            self.engine.dialect.set_isolation_level,
            t.cast("t.Any", connection.connection.dbapi_connection),
        )
        try:
            set_level(isolation)
            try:
                with connection.begin():
                    return work(connection)
            finally:
                if not connection.invalidated:
                    set_level("AUTOCOMMIT")
        except (self.errors, ConnectionError) as error:
            # Outside of a statement only a lost connection causes one, and it comes
            # in the driver's own words.
            connection.invalidate()
            raise exc.DBAPIError(
                *(None, None, t.cast("t.Any", error)), connection_invalidated=True
            ) from error

    def _repeat(self, once: cabc.Callable[[], _T]) -> _T:
        self._leave_to_parent()
        attempts = 0
        while True:
            try:
                return once()
            except exc.DBAPIError as error:
                attempts += 1
                if attempts > repeats_of(error):
                    raise explained(error) from error
            except (exc.SQLAlchemyError, OSError) as error:
                raise explained(error) from error

    def _leave_to_parent(self) -> None:
        # The connections that the child of a fork inherited belong to its parent.
        if self._fork.in_child():
            self.engine.dispose(close=False)
            self._fork.leave()


class _Postgresql:
    """Preparation of each new connection to PostgreSQL.

    Behind a pooler such as pgbouncer, the next statement may be for another process of
    the server, where nothing is prepared and where settings belong to somebody else. A
    pooler is known by the id of the server's process, for which it gives its own.
    Nothing is sent at the start of a connection that a pooler would refuse.
    """

    def __init__(self, engine: sa.Engine, timeout: float) -> None:
        self._driver = engine.dialect.driver
        self._milliseconds = int(timeout * 1000)
        # Somebody who sets it in the URL means it.
        self._is_timed = "statement_timeout" not in str(engine.url.query)
        self._is_pooled = True
        if self._driver == "asyncpg":
            event.listen(engine, "do_connect", self._before)
            # They would be asked for at each connection, and are of no use here.
            dialect = t.cast("t.Any", engine.dialect)
            dialect.setup_asyncpg_json_codec = _leave_alone
            dialect.setup_asyncpg_jsonb_codec = _leave_alone
        if self._driver in {"psycopg", "psycopg_async", "psycopg2", "asyncpg"}:
            event.listen(engine, "connect", self._after)

    def _before(
        self,
        dialect: sa.Dialect,  # noqa: ARG002
        record: object,  # noqa: ARG002
        arguments: object,  # noqa: ARG002
        options: dict[str, t.Any],
    ) -> None:
        if self._is_pooled:
            # Without a name and a cache, it prepares and executes in one step.
            options.setdefault("statement_cache_size", 0)
            options.setdefault("prepared_statement_cache_size", 0)
            options.setdefault("prepared_statement_name_func", str)

    def _after(self, connection: t.Any, record: t.Any) -> None:
        driver = record.driver_connection
        is_asyncpg = self._driver == "asyncpg"
        told = driver.get_server_pid() if is_asyncpg else driver.info.backend_pid
        columns = "pg_backend_pid()"
        if self._is_timed:
            # Behind a pooler it counts for this statement only.
            columns += (
                f", set_config('statement_timeout', '{self._milliseconds}',"
                f" pg_backend_pid() <> {told})"
            )
        try:
            cursor = connection.cursor()
            cursor.execute(f"SELECT {columns}")
            self._is_pooled = cursor.fetchone()[0] != told
            cursor.close()
        except BaseException:
            # The pool does not know it yet, and would leave it open.
            connection.close()
            raise
        if not self._is_pooled and self._driver in {"psycopg", "psycopg_async"}:
            driver.prepare_threshold = _PREPARE_AFTER


async def _leave_alone(connection: object) -> None:
    """Set up nothing."""


def repeats_of(error: exc.DBAPIError) -> int:
    """Count how often to repeat a step that ended with this error."""
    # A connection that was lost while idle, as by a restart: the pool is empty by now,
    # so that the second attempt connects again.
    if error.connection_invalidated:
        return 1
    is_deadlock = (
        _state_of(error.orig) in _DEADLOCK_STATES
        or _code_of(error.orig) == _MYSQL_DEADLOCK
    )
    return _DEADLOCK_REPEATS if is_deadlock else 0


def explained(error: Exception) -> StoreUnavailable | StoreRefused:
    """Distinguish an outage from a value that the database cannot hold."""
    if isinstance(error, exc.TimeoutError):
        return StoreBusy("each connection is in use (SESSION_POOL_SIZE)")
    # The driver's own words: SQLAlchemy's hold the statement and its values.
    cause: BaseException = getattr(error, "orig", None) or error
    name, state = type(cause).__name__, _state_of(cause)
    if name in {"DataError", "IntegrityError"} or (
        state.startswith(_DATA_CLASSES) or _code_of(cause) in _MYSQL_DATA
    ):
        # The rest of its words can hold the value.
        return StoreRefused(f"{name} {state or _code_of(cause) or ''}".strip())
    reason = f"{name}: {cause}"
    if state == "42P01" or any(words in reason for words in _NO_TABLE):
        reason += "; `flask session create-table` makes the table"
    return StoreUnavailable(reason)


def _state_of(error: object) -> str:
    found = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return found if isinstance(found, str) else ""


def _code_of(error: object) -> int | None:
    arguments: tuple[object, ...] = getattr(error, "args", ())
    first = arguments[0] if arguments else None
    return first if isinstance(first, int) else None
