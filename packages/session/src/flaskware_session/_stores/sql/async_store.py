from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine

from flaskware_core import ForkGuard
from flaskware_session._records.record import Record
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._stores.async_protocol import AsyncStore

from .driver import driver_arguments
from .driver import outage_of
from .driver import pool_arguments
from .driver import repeats_of
from .steps import Isolation
from .steps import Step
from .steps import Steps
from .table import metadata

_T = t.TypeVar("_T")


class AsyncSQLAlchemyStore(AsyncStore):
    """:class:`SQLAlchemyStore` for asyncio: the same table, by the same steps.

    It needs ``sqlalchemy[asyncio]``.

    :param url: As SQLAlchemy takes it, with an asynchronous driver.
    :param timeout: How long to wait for a connection and for an answer, in seconds,
        where the driver can (psycopg, asyncpg, aiosqlite).
    :param pool_size: How many connections a process keeps open.
    """

    def __init__(
        self, url: str | sa.URL, *, timeout: float = 1.0, pool_size: int = 5
    ) -> None:
        parsed = sa.make_url(url)
        self._engine = create_async_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            connect_args=driver_arguments(parsed.get_driver_name(), timeout),
            **pool_arguments(parsed, pool_size, timeout),
        )
        self._steps = Steps(self._engine.dialect.name)
        self._fork = ForkGuard()

    @property
    def engine(self) -> AsyncEngine:
        """Engine that it connects by; for migrations."""
        return self._engine

    async def create_table(self) -> None:
        """Make the table if it is not there.

        :raises StoreUnavailable: if the database does not answer, or forbids it.
        """
        await self._with_connection(lambda c: c.run_sync(metadata.create_all))

    async def read(self, key: str, now: int, interval: int) -> Record | None:
        return await self._run(lambda: self._steps.read(key, now, interval))

    async def create(self, record: Record, now: int) -> bool:
        return await self._run(lambda: self._steps.create(record, now))

    async def update(self, record: Record, now: int) -> Written:
        return await self._run(lambda: self._steps.update(record, now))

    async def replace(self, old_key: str, record: Record, now: int) -> Written:
        return await self._run(lambda: self._steps.replace(old_key, record, now))

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        return await self._run(lambda: self._steps.delete(key, version))

    async def for_user(self, user_id: str, now: int) -> list[Record]:
        return await self._run(lambda: self._steps.for_user(user_id, now))

    async def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        return await self._run(
            lambda: self._steps.delete_user(user_id, keep), self._steps.locking
        )

    async def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """See :meth:`Store.limit_user`; one transaction."""
        return await self._run(
            lambda: self._steps.limit_user(user_id, count, now, keep),
            self._steps.locking,
        )

    async def prune(self, now: int, limit: int) -> int:
        return await self._run(lambda: self._steps.prune(now, limit))

    async def stats(self, now: int) -> StoreStats:
        return await self._run(lambda: self._steps.stats(now))

    async def ping(self) -> None:
        """See :meth:`Store.ping`; the table must be there."""
        await self._run(self._steps.ping)

    async def close(self) -> None:
        self._leave_to_parent()
        await self._engine.dispose()

    async def _run(
        self, begin: cabc.Callable[[], Step[_T]], isolation: Isolation | None = None
    ) -> _T:
        return await self._with_connection(
            lambda connection: _drive(connection, begin()), isolation
        )

    async def _with_connection(
        self,
        work: cabc.Callable[[AsyncConnection], cabc.Awaitable[_T]],
        isolation: Isolation | None = None,
    ) -> _T:
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
        isolation: Isolation | None,
    ) -> _T:
        async with self._engine.connect() as connection:
            if isolation is None:
                return await work(connection)
            connection = await connection.execution_options(isolation_level=isolation)
            async with connection.begin():
                return await work(connection)

    def _leave_to_parent(self) -> None:
        # The connections that the child of a fork inherited belong to its parent.
        if self._fork.in_child():
            self._engine.sync_engine.dispose(close=False)
            self._fork.leave()


async def _drive(connection: AsyncConnection, step: Step[_T]) -> _T:
    try:
        statement, values = next(step)
        while True:
            try:
                result = await connection.execute(statement, values)
            except exc.DBAPIError as error:
                statement, values = step.throw(error)
            else:
                statement, values = step.send(result)
    except StopIteration as stop:
        return t.cast("_T", stop.value)
