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

from .store import outage_of
from .store import PRUNE_BATCH
from .store import PRUNE_INTERVAL
from .store import repeats_of

if t.TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.ext.asyncio import AsyncEngine

_T = t.TypeVar("_T")
_Isolation: t.TypeAlias = t.Literal["SERIALIZABLE", "READ COMMITTED"]


class AsyncSQLAlchemyStore:
    """:class:`SQLAlchemyStore` for asyncio: the same table, by the same statements.

    It needs ``sqlalchemy[asyncio]``.

    :param url: As SQLAlchemy takes it, with an asynchronous driver.
    :param timeout: How long to wait for a connection and for an answer, in seconds,
        where the driver can (psycopg, asyncpg, aiosqlite).
    :param pool_size: How many connections a process keeps open.
    """

    def __init__(
        self, url: str | sa.URL, *, timeout: float = 1.0, pool_size: int = 5
    ) -> None:
        import sqlalchemy as sa
        from sqlalchemy.ext.asyncio import create_async_engine

        from . import table as sql

        self._sql = sql
        parsed = sa.make_url(url)
        self._engine = create_async_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            connect_args=sql.driver_arguments(parsed.get_driver_name(), timeout),
            **sql.pool_arguments(parsed, pool_size, timeout),
        )
        self._dialect = self._engine.dialect.name
        self._prune_statement = sql.prune_statement(self._dialect)
        self._next_prune = 0
        self._pid = os.getpid()

    @property
    def engine(self) -> AsyncEngine:
        """What it connects by; for migrations."""
        return self._engine

    async def create_table(self) -> None:
        """Make the table if it is not there.

        :raises StoreUnavailable: if the database does not answer, or forbids it.
        """
        await self._run(lambda c: c.run_sync(self._sql.metadata.create_all))

    async def read(self, key: str, now: int, lifetime: Lifetime) -> Record | None:
        """See :meth:`Store.read`."""
        from sqlalchemy import exc

        async def read(connection: AsyncConnection) -> Record | None:
            if self._dialect == "postgresql":
                values = self._sql.read_values(key, now, lifetime)
                # A server that takes no writes, as with a full disk, still tells who
                # is signed in.
                try:
                    return await _one(connection, self._sql.READ_AND_TOUCH, values)
                except exc.DBAPIError as error:
                    if error.connection_invalidated:
                        raise
                return await self._find(connection, key, now)
            record = await self._find(connection, key, now)
            touched = None if record is None else lifetime.touched(record, now)
            if touched is None:
                return record
            values = {"old_key": key, "last_seen": now, "expires": touched.expires}
            try:
                await connection.execute(self._sql.TOUCH, values)
            except exc.DBAPIError as error:
                if error.connection_invalidated:
                    raise
                return record
            return touched

        return await self._run(read)

    async def create(self, record: Record, now: int) -> bool:
        """See :meth:`Store.create`."""
        from sqlalchemy import exc

        async def create(connection: AsyncConnection) -> bool:
            try:
                await connection.execute(self._sql.INSERT, self._sql.row_of(record))
            except exc.IntegrityError:
                # An attempt whose answer was lost may have made it.
                return await self._find(connection, record.key, now) == record
            return True

        created = await self._run(create)
        if now >= self._next_prune:
            with contextlib.suppress(StoreUnavailable):
                if await self.prune(now, PRUNE_BATCH) < PRUNE_BATCH:
                    self._next_prune = now + PRUNE_INTERVAL
        return created

    async def update(self, record: Record, now: int) -> Written:
        """See :meth:`Store.update`."""
        values = self._sql.update_of(record)
        where = {"old_key": record.key, "expected": record.version - 1, "now": now}
        return await self._run(
            lambda c: self._attempt(c, self._sql.UPDATE, values | where)
        )

    async def replace(
        self, old_key: str, record: Record, now: int, *, alias: Record | None = None
    ) -> Written:
        """See :meth:`Store.replace`."""
        where = {"old_key": old_key, "expected": record.version - 1, "now": now}
        values = self._sql.row_of(record) | where

        async def replace(connection: AsyncConnection) -> Written:
            if (await connection.execute(self._sql.MOVE, values)).rowcount:
                if alias is not None:
                    row = self._sql.row_of(alias)
                    await connection.execute(self._sql.INSERT, row)
                return Written(saved=True)
            # An attempt whose answer was lost may have done it.
            if await self._find(connection, record.key, now) is not None:
                return Written(saved=True)
            current = await self._find(connection, old_key, now)
            return Written(saved=False, current=current)

        if alias is None:
            return await self._run(replace)
        if self._dialect == "sqlite":
            return await self._run(replace, isolation="SERIALIZABLE")
        return await self._run(replace, isolation="READ COMMITTED")

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        """See :meth:`Store.delete`."""
        if version is not None:
            values = {"old_key": key, "expected": version}
            return await self._count(self._sql.DELETE_VERSION, values) > 0

        async def delete(connection: AsyncConnection) -> bool:
            aliases: list[str] = []
            successor: str | None = key
            ended = 0
            # A session is not under a key, or moved from there while this waited for
            # it: in both cases the next statement sees the alias.
            while successor is not None and not ended:
                values = {"old_key": successor}
                result = await connection.execute(self._sql.DELETE_SESSION, values)
                ended = result.rowcount
                if not ended:
                    aliases.append(successor)
                    found = await connection.execute(self._sql.SUCCESSOR, values)
                    successor = found.scalar()
            # After the session: an alias that leads nowhere does no harm.
            if aliases:
                await connection.execute(self._sql.DELETE_KEYS, {"keys": aliases})
            return ended > 0

        return await self._run(delete)

    async def for_user(self, user_id: str, now: int) -> list[Record]:
        """See :meth:`Store.for_user`."""

        async def find(connection: AsyncConnection) -> list[Record]:
            values = {"user": user_id, "now": now}
            rows = await connection.execute(self._sql.FOR_USER, values)
            return [Record(*row) for row in rows]

        return await self._run(find)

    async def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        """See :meth:`Store.delete_user`."""
        values: dict[str, str] = {"user": user_id, "keep": keep or ""}
        if self._dialect == "sqlite":
            return await self._count(self._sql.DELETE_USER_AT_ONCE, values)

        async def delete(connection: AsyncConnection) -> int:
            await connection.execute(self._sql.LOCK_USER, {"user": user_id})
            # An alias belongs to no user: the session that it leads to is what stays.
            successor = keep
            while successor is not None:
                values["keep"] = successor
                where = {"old_key": successor}
                found = await connection.execute(self._sql.SUCCESSOR, where)
                successor = found.scalar()
            result = await connection.execute(self._sql.DELETE_USER, values)
            return result.rowcount

        return await self._run(delete, isolation="READ COMMITTED")

    async def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """See :meth:`Store.limit_user`; one transaction."""
        if self._dialect == "sqlite":
            values = {"user": user_id, "now": now, "count": count, "keep": keep}
            return await self._count(self._sql.LIMIT_USER_AT_ONCE, values)

        async def limit(connection: AsyncConnection) -> int:
            rows = await connection.execute(self._sql.LOCK_USER, {"user": user_id})
            removed = beyond((Record(*row) for row in rows), count, now, keep)
            if not removed:
                return 0
            statement = self._sql.DELETE_KEYS
            return (await connection.execute(statement, {"keys": removed})).rowcount

        return await self._run(limit, isolation="READ COMMITTED")

    async def prune(self, now: int, limit: int) -> int:
        """See :meth:`Store.prune`."""
        return await self._count(self._prune_statement, {"now": now, "count": limit})

    async def stats(self, now: int) -> StoreStats:
        """See :meth:`Store.stats`."""

        async def count(connection: AsyncConnection) -> StoreStats:
            row = (await connection.execute(self._sql.STATS, {"now": now})).one()
            return StoreStats(*(int(value) for value in row))

        return await self._run(count)

    async def ping(self) -> None:
        """See :meth:`Store.ping`; the table must be there."""
        await self._run(lambda connection: connection.execute(self._sql.PING))

    async def close(self) -> None:
        """See :meth:`Store.close`."""
        self._leave_to_parent()
        await self._engine.dispose()

    async def _attempt(
        self,
        connection: AsyncConnection,
        statement: sa.Executable,
        values: dict[str, t.Any],
    ) -> Written:
        if (await connection.execute(statement, values)).rowcount:
            return Written(saved=True)
        current = await self._find(connection, values["old_key"], values["now"])
        return Written(saved=False, current=current)

    async def _find(
        self, connection: AsyncConnection, key: str, now: int
    ) -> Record | None:
        return await _one(connection, self._sql.FIND, {"old_key": key, "now": now})

    async def _count(self, statement: sa.Executable, values: dict[str, t.Any]) -> int:
        async def count(connection: AsyncConnection) -> int:
            return (await connection.execute(statement, values)).rowcount

        return await self._run(count)

    async def _run(
        self,
        work: cabc.Callable[[AsyncConnection], cabc.Awaitable[_T]],
        *,
        isolation: _Isolation | None = None,
    ) -> _T:
        from sqlalchemy import exc

        self._leave_to_parent()
        attempts = 0
        while True:
            try:
                return await self._once(work, isolation)
            except exc.DBAPIError as error:
                attempts += 1
                if attempts > repeats_of(error):
                    raise outage_of(error) from error
            except (exc.SQLAlchemyError, OSError) as error:
                raise outage_of(error) from error

    async def _once(
        self,
        work: cabc.Callable[[AsyncConnection], cabc.Awaitable[_T]],
        isolation: _Isolation | None,
    ) -> _T:
        async with self._engine.connect() as connection:
            if isolation is None:
                return await work(connection)
            connection = await connection.execution_options(isolation_level=isolation)
            async with connection.begin():
                return await work(connection)

    def _leave_to_parent(self) -> None:
        # What the child of a fork inherited belongs to its parent.
        if self._pid != os.getpid():
            self._engine.sync_engine.dispose(close=False)
            self._pid = os.getpid()


async def _one(
    connection: AsyncConnection, statement: sa.Executable, values: dict[str, t.Any]
) -> Record | None:
    row = (await connection.execute(statement, values)).first()
    return None if row is None else Record(*row)
