from __future__ import annotations

import asyncio
import collections.abc as cabc
import functools
import typing as t

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._stores.async_protocol import AsyncStore

from .driver import engine_arguments
from .driver import Link
from .rows import TableStore
from .table import InTable
from .table import make_table
from .table import TABLE

_T = t.TypeVar("_T")
_P = t.ParamSpec("_P")


class AsyncSQLAlchemyStore(AsyncStore, InTable):
    """:class:`SQLAlchemyStore` for asyncio: the same table, by the same statements.

    It needs ``sqlalchemy[asyncio]``. The parameters are the same; ``url`` names an
    asynchronous driver, and ``timeout`` counts for each driver.
    """

    def __init__(
        self,
        url: str | sa.URL,
        *,
        timeout: float = 1.0,
        pool_size: int = 10,
        table: str = TABLE,
        schema: str | None = None,
        namespace: str = "session",
        synchronous_commit: bool = True,
    ) -> None:
        parsed = sa.make_url(url)
        arguments = engine_arguments(parsed, pool_size=pool_size, timeout=timeout)
        self._engine = create_async_engine(parsed, **arguments)
        # For a connection, in turn, and for an answer.
        self._longest = 4 * timeout
        self._rows = TableStore(
            Link(self._engine.sync_engine, timeout=timeout),
            make_table(table, schema),
            namespace=namespace,
            lazily=not synchronous_commit,
        )

    @property
    def engine(self) -> AsyncEngine:
        """Engine that it connects by; for migrations."""
        return self._engine

    @property
    def table(self) -> sa.Table:
        """The table, with metadata of its own; what migrations are compared with."""
        return self._rows.table

    async def create_table(self) -> None:
        """Make the table if it is not there.

        :raises StoreUnavailable: if the database does not answer, or forbids it.
        """
        await greenlet_spawn(self._rows.create_table)

    async def read(self, key: str, now: int, interval: int) -> Record | None:
        return await self._call(self._rows.read, key, now, interval)

    async def create(self, record: Record, now: int) -> bool:
        return await self._call(self._rows.create, record, now)

    async def update(self, record: Record, now: int) -> Written:
        return await self._call(self._rows.update, record, now)

    async def amend(
        self, key: str, now: int, change: cabc.Callable[[Record], Record | None]
    ) -> Written:
        """See :meth:`AmendingStore.amend`."""
        return await self._call(self._rows.amend, key, now, change)

    async def replace(self, old_key: str, record: Record, now: int) -> Written:
        return await self._call(self._rows.replace, old_key, record, now)

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        return await self._call(self._rows.delete, key, version=version)

    async def for_user(self, user_id: str, now: int) -> list[Record]:
        return await self._call(self._rows.for_user, user_id, now)

    async def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        return await self._call(self._rows.delete_user, user_id, keep=keep)

    async def delete_users(
        self, user_ids: cabc.Collection[str], *, keep: str | None = None
    ) -> int:
        return await self._call(self._rows.delete_users, user_ids, keep=keep)

    async def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        return await self._call(self._rows.limit_user, user_id, count, now, keep=keep)

    async def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        return await self._call(self._rows.scan, cursor, limit, now)

    async def prune(self, now: int, limit: int) -> int:
        return await greenlet_spawn(self._rows.prune, now, limit)

    async def stats(self, now: int) -> StoreStats:
        return await greenlet_spawn(self._rows.stats, now)

    async def ping(self) -> None:
        """See :meth:`Store.ping`; the table must be there."""
        await self._call(self._rows.ping)

    async def close(self) -> None:
        await greenlet_spawn(self._rows.close)

    async def _call(
        self, method: cabc.Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        try:
            async with asyncio.timeout(self._longest):
                return await greenlet_spawn(functools.partial(method, *args, **kwargs))
        except TimeoutError:
            raise StoreUnavailable(f"no answer in {self._longest:g} s") from None
