from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import typing as t

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import beyond
from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import Record
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written

if t.TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy import exc

PRUNE_INTERVAL = 60_000
PRUNE_BATCH = 200
# Of those that wait for each other, the database ends one, with nothing done.
_DEADLOCK_STATES = frozenset({"40P01", "40001"})
_MYSQL_DEADLOCK = 1213
_DEADLOCK_REPEATS = 5
_T = t.TypeVar("_T")


class SQLAlchemyStore:
    """Keeps sessions in a table of any database that SQLAlchemy knows.

    Over connections of its own, so that no transaction of the app is ever committed or
    held open by it; each step is one statement that commits itself. The table is not
    made at start: ``flask session create-table`` or a migration does that.

    PostgreSQL notes a due use with the read in one statement; another database takes a
    second one, at most once per touch interval.

    :param url: As SQLAlchemy takes it.
    :param timeout: How long to wait for a connection and for an answer, in seconds,
        where the driver can (psycopg, PyMySQL, mysqlclient).
    :param pool_size: How many connections a process keeps open.
    """

    def __init__(
        self, url: str | sa.URL, *, timeout: float = 1.0, pool_size: int = 5
    ) -> None:
        import sqlalchemy as sa

        from . import table as sql

        self._sql = sql
        parsed = sa.make_url(url)
        self._engine = sa.create_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            connect_args=sql.driver_arguments(parsed.get_driver_name(), timeout),
            **sql.pool_arguments(parsed, pool_size, timeout),
        )
        dialect = self._engine.dialect
        # A driver of MySQL would send a ROLLBACK after each statement, though it has
        # committed by itself. SQLAlchemy before 2.0.43 does not look at this.
        if dialect.name in {"mysql", "mariadb"}:
            dialect.skip_autocommit_rollback = True
        self._prune_statement = sql.prune_statement(dialect.name)
        self._pid = os.getpid()
        self._next_prune = 0

    @property
    def engine(self) -> sa.Engine:
        """What it connects by; for migrations."""
        return self._engine

    def create_table(self) -> None:
        """Make the table if it is not there.

        :raises StoreUnavailable: if the database does not answer, or forbids it.
        """
        self._run(lambda connection: self._sql.metadata.create_all(connection))

    def read(self, key: str, now: int, lifetime: Lifetime) -> Record | None:
        """See :meth:`Store.read`."""
        from sqlalchemy import exc

        def read(connection: sa.Connection) -> Record | None:
            if self._engine.dialect.name == "postgresql":
                values = self._sql.read_values(key, now, lifetime)
                # A server that takes no writes, as with a full disk, still tells who
                # is signed in.
                try:
                    return _one(connection, self._sql.READ_AND_TOUCH, values)
                except exc.DBAPIError as error:
                    if error.connection_invalidated:
                        raise
                return self._find(connection, key, now)
            record = self._find(connection, key, now)
            touched = None if record is None else lifetime.touched(record, now)
            if touched is None:
                return record
            values = {"old_key": key, "last_seen": now, "expires": touched.expires}
            try:
                connection.execute(self._sql.TOUCH, values)
            except exc.DBAPIError as error:
                if error.connection_invalidated:
                    raise
                return record
            return touched

        return self._run(read)

    def create(self, record: Record, now: int) -> bool:
        """See :meth:`Store.create`."""

        from sqlalchemy import exc

        def create(connection: sa.Connection) -> bool:
            try:
                connection.execute(self._sql.INSERT, self._sql.row_of(record))
            except exc.IntegrityError:
                # An attempt whose answer was lost may have made it.
                return self._find(connection, record.key, now) == record
            return True

        created = self._run(create)
        if now >= self._next_prune:
            with contextlib.suppress(StoreUnavailable):
                removed = self.prune(now, PRUNE_BATCH)
                # A full batch means that there is more: the next new session goes on.
                if removed < PRUNE_BATCH:
                    self._next_prune = now + PRUNE_INTERVAL
        return created

    def update(self, record: Record, now: int) -> Written:
        """See :meth:`Store.update`."""
        values = self._sql.update_of(record)
        where = {"old_key": record.key, "expected": record.version - 1, "now": now}
        return self._write(self._sql.UPDATE, values | where)

    def replace(
        self, old_key: str, record: Record, now: int, *, alias: Record | None = None
    ) -> Written:
        """See :meth:`Store.replace`."""
        where = {"old_key": old_key, "expected": record.version - 1, "now": now}
        values = self._sql.row_of(record) | where

        def replace(connection: sa.Connection) -> Written:
            if connection.execute(self._sql.MOVE, values).rowcount:
                if alias is not None:
                    row = self._sql.row_of(alias)
                    connection.execute(self._sql.INSERT, row)
                return Written(saved=True)
            # An attempt whose answer was lost may have done it.
            if self._find(connection, record.key, now) is not None:
                return Written(saved=True)
            current = self._find(connection, old_key, now)
            return Written(saved=False, current=current)

        if alias is None:
            return self._run(replace)
        if self._engine.dialect.name == "sqlite":
            return self._run(replace, isolation="SERIALIZABLE")
        return self._run(replace, isolation="READ COMMITTED")

    def delete(self, key: str, *, version: int | None = None) -> bool:
        """See :meth:`Store.delete`."""
        if version is not None:
            values = {"old_key": key, "expected": version}
            return self._count(self._sql.DELETE_VERSION, values) > 0

        def delete(connection: sa.Connection) -> bool:
            aliases: list[str] = []
            successor: str | None = key
            ended = 0
            # A session is not under a key, or moved from there while this waited for
            # it: in both cases the next statement sees the alias.
            while successor is not None and not ended:
                values = {"old_key": successor}
                result = connection.execute(self._sql.DELETE_SESSION, values)
                ended = result.rowcount
                if not ended:
                    aliases.append(successor)
                    found = connection.execute(self._sql.SUCCESSOR, values)
                    successor = found.scalar()
            # After the session: an alias that leads nowhere does no harm.
            if aliases:
                connection.execute(self._sql.DELETE_KEYS, {"keys": aliases})
            return ended > 0

        return self._run(delete)

    def for_user(self, user_id: str, now: int) -> list[Record]:
        """See :meth:`Store.for_user`."""
        values = {"user": user_id, "now": now}
        return self._run(
            lambda c: [Record(*row) for row in c.execute(self._sql.FOR_USER, values)]
        )

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        """See :meth:`Store.delete_user`."""
        values: dict[str, str] = {"user": user_id, "keep": keep or ""}
        if self._engine.dialect.name == "sqlite":
            return self._count(self._sql.DELETE_USER_AT_ONCE, values)

        def delete(connection: sa.Connection) -> int:
            connection.execute(self._sql.LOCK_USER, {"user": user_id})
            # An alias belongs to no user: the session that it leads to is what stays.
            successor = keep
            while successor is not None:
                values["keep"] = successor
                where = {"old_key": successor}
                found = connection.execute(self._sql.SUCCESSOR, where)
                successor = found.scalar()
            result = connection.execute(self._sql.DELETE_USER, values)
            return result.rowcount

        return self._run(delete, isolation="READ COMMITTED")

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """See :meth:`Store.limit_user`; one transaction."""
        if self._engine.dialect.name == "sqlite":
            values = {"user": user_id, "now": now, "count": count, "keep": keep}
            return self._count(self._sql.LIMIT_USER_AT_ONCE, values)

        def limit(connection: sa.Connection) -> int:
            rows = connection.execute(self._sql.LOCK_USER, {"user": user_id})
            removed = beyond((Record(*row) for row in rows), count, now, keep)
            if not removed:
                return 0
            statement = self._sql.DELETE_KEYS
            return (connection.execute(statement, {"keys": removed})).rowcount

        return self._run(limit, isolation="READ COMMITTED")

    def prune(self, now: int, limit: int) -> int:
        """See :meth:`Store.prune`."""
        return self._count(self._prune_statement, {"now": now, "count": limit})

    def stats(self, now: int) -> StoreStats:
        """See :meth:`Store.stats`."""
        row = self._run(lambda c: c.execute(self._sql.STATS, {"now": now}).one())
        return StoreStats(*(int(value) for value in row))

    def ping(self) -> None:
        """See :meth:`Store.ping`; the table must be there."""
        self._run(lambda connection: connection.execute(self._sql.PING).all())

    def close(self) -> None:
        """See :meth:`Store.close`."""
        self._leave_to_parent()
        self._engine.dispose()

    def _write(self, statement: sa.Executable, values: dict[str, t.Any]) -> Written:
        return self._run(lambda c: self._attempt(c, statement, values))

    def _attempt(
        self,
        connection: sa.Connection,
        statement: sa.Executable,
        values: dict[str, t.Any],
    ) -> Written:
        if connection.execute(statement, values).rowcount:
            return Written(saved=True)
        current = self._find(connection, values["old_key"], values["now"])
        return Written(saved=False, current=current)

    def _find(self, connection: sa.Connection, key: str, now: int) -> Record | None:
        return _one(connection, self._sql.FIND, {"old_key": key, "now": now})

    def _count(self, statement: sa.Executable, values: dict[str, t.Any]) -> int:
        return self._run(lambda c: c.execute(statement, values).rowcount)

    def _run(
        self,
        work: cabc.Callable[[sa.Connection], _T],
        *,
        isolation: t.Literal["SERIALIZABLE", "READ COMMITTED"] | None = None,
    ) -> _T:
        from sqlalchemy import exc

        self._leave_to_parent()
        attempts = 0
        while True:
            try:
                return self._once(work, isolation)
            except exc.DBAPIError as error:
                attempts += 1
                if attempts > repeats_of(error):
                    raise outage_of(error) from error
            except (exc.SQLAlchemyError, OSError) as error:
                raise outage_of(error) from error

    def _once(
        self,
        work: cabc.Callable[[sa.Connection], _T],
        isolation: t.Literal["SERIALIZABLE", "READ COMMITTED"] | None,
    ) -> _T:
        with self._engine.connect() as connection:
            if isolation is None:
                return work(connection)
            connection = connection.execution_options(isolation_level=isolation)
            with connection.begin():
                return work(connection)

    def _leave_to_parent(self) -> None:
        # What the child of a fork inherited belongs to its parent.
        if self._pid != os.getpid():
            self._engine.dispose(close=False)
            self._pid = os.getpid()


def repeats_of(error: exc.DBAPIError) -> int:
    """How often a step that ended with this is worth making again."""
    # A connection that was lost while idle, as by a restart: SQLAlchemy has emptied its
    # pool, so that the second attempt makes a new one.
    if error.connection_invalidated:
        return 1
    cause: t.Any = error.orig
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    is_deadlock = state in _DEADLOCK_STATES or cause.args[:1] == (_MYSQL_DEADLOCK,)
    return _DEADLOCK_REPEATS if is_deadlock else 0


def outage_of(error: Exception) -> StoreUnavailable:
    """What an error of the database is told as."""
    # The driver's own words: SQLAlchemy's hold the statement and its values.
    cause = getattr(error, "orig", None) or error
    reason = f"{type(cause).__name__}: {cause}"
    if "flaskware_session" in reason:
        reason += "; `flask session create-table` makes the table"
    return StoreUnavailable(reason)


def _one(
    connection: sa.Connection, statement: sa.Executable, values: dict[str, t.Any]
) -> Record | None:
    row = connection.execute(statement, values).first()
    return None if row is None else Record(*row)
