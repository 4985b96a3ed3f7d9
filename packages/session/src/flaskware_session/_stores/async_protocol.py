"""Stores whose methods are coroutines."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written


@t.runtime_checkable
class AsyncStore(t.Protocol):
    """:class:`Store` with coroutine methods, for asyncio; each does the same.

    All calls come from one event loop.
    """

    async def read(self, key: str, now: int, interval: int) -> Record | None:
        """See :meth:`Store.read`."""
        ...

    async def create(self, record: Record, now: int) -> bool:
        """See :meth:`Store.create`."""
        ...

    async def update(self, record: Record, now: int) -> Written:
        """See :meth:`Store.update`."""
        ...

    async def replace(self, old_key: str, record: Record, now: int) -> Written:
        """See :meth:`Store.replace`."""
        ...

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        """See :meth:`Store.delete`."""
        ...

    async def for_user(self, user_id: str, now: int) -> list[Record]:
        """See :meth:`Store.for_user`."""
        ...

    async def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        """See :meth:`Store.delete_user`."""
        ...

    async def delete_users(
        self, user_ids: cabc.Collection[str], *, keep: str | None = None
    ) -> int:
        """See :meth:`Store.delete_users`."""
        return sum([await self.delete_user(one, keep=keep) for one in user_ids])

    async def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """See :meth:`Store.limit_user`."""
        ...

    async def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        """See :meth:`Store.scan`."""
        ...

    async def prune(self, now: int, limit: int) -> int:
        """See :meth:`Store.prune`."""
        ...

    async def stats(self, now: int) -> StoreStats:
        """See :meth:`Store.stats`."""
        ...

    async def ping(self) -> None:
        """See :meth:`Store.ping`."""
        ...

    async def close(self) -> None:
        """See :meth:`Store.close`."""
        ...
