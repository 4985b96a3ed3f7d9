from __future__ import annotations

import collections.abc as cabc
import typing as t

from flaskware_core import ForkGuard
from flaskware_session._records.record import last_seen_first
from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import Record
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._stores.async_protocol import AsyncStore

from . import scripts
from .records import escaped
from .records import fields_of
from .records import line_of
from .records import raise_outage
from .records import record_of
from .records import text_of
from .records import written_of
from .scripts import Script


class AsyncRedisStore(AsyncStore):
    """:class:`RedisStore` for asyncio: the same records, by the same scripts.

    :param url: ``redis://``, ``rediss://`` or ``unix://``.
    :param namespace: Prefix of the name of each key.
    :param timeout: How long to wait for a connection, and for an answer, in seconds.
    :raises ValueError: if the URL cannot be understood.
    """

    def __init__(
        self, url: str, *, namespace: str = "session", timeout: float = 1.0
    ) -> None:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as Lost

        self._namespace = namespace
        options: dict[str, t.Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            # A lost connection is opened again; a late answer is not asked for twice.
            "retry": Retry(NoBackoff(), 1, supported_errors=(Lost,)),
        }
        self._make: cabc.Callable[[], t.Any] = lambda: Redis.from_url(url, **options)
        self._client = self._make()
        self._fork = ForkGuard()

    async def read(self, key: str, now: int, lifetime: Lifetime) -> Record | None:
        times = (lifetime.idle, lifetime.absolute, lifetime.touch_interval)
        return record_of(key, await self._run(scripts.READ, now, key, *times))

    async def create(self, record: Record, now: int) -> bool:
        fields = fields_of(record)
        answer = await self._run(scripts.CREATE, now, record.key, *fields)
        return bool(answer == 1)

    async def update(self, record: Record, now: int) -> Written:
        fields = fields_of(record)
        answer = await self._run(scripts.UPDATE, now, record.key, *fields)
        return written_of(record.key, answer)

    async def replace(
        self, old_key: str, record: Record, now: int, *, alias: Record | None = None
    ) -> Written:
        more = () if alias is None else fields_of(alias)
        fields = (record.key, *fields_of(record), *more)
        answer = await self._run(scripts.REPLACE, now, old_key, *fields)
        return written_of(old_key, answer)

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        wanted = "" if version is None else version
        return bool(await self._run(scripts.DELETE, 0, key, wanted))

    async def for_user(self, user_id: str, now: int) -> list[Record]:
        answer = await self._run(scripts.FOR_USER, now, line_of(user_id)) or ()
        found = (record_of(text_of(key), text) for key, text in answer)
        return last_seen_first((record for record in found if record is not None), now)

    async def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        arguments = (line_of(user_id), keep or "")
        return int(await self._run(scripts.DELETE_USER, 0, *arguments) or 0)

    async def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        arguments = (line_of(user_id), count, keep)
        return int(await self._run(scripts.LIMIT_USER, now, *arguments) or 0)

    async def prune(self, now: int, limit: int) -> int:  # noqa: ARG002
        """See :meth:`Store.prune`; Redis does this by itself, so none is left."""
        return 0

    async def stats(self, now: int) -> StoreStats:  # noqa: ARG002
        """See :meth:`Store.stats`; this walks over all keys, a part at a time."""
        return StoreStats(await self._count("s"), await self._count("u"))

    async def ping(self) -> None:
        await self._guard(lambda: self._own_client().ping())

    async def close(self) -> None:
        await self._own_client().aclose()

    async def _run(self, script: Script, now: int, *arguments: str | int) -> t.Any:
        send = self._own_client().execute_command
        rest = (0, self._namespace, now, *arguments)
        try:
            return await send("EVALSHA", script.sha, *rest)
        except Exception as error:  # noqa: BLE001 # of any kind
            if type(error).__name__ != "NoScriptError":
                return raise_outage(error)
        return await self._guard(lambda: send("EVAL", script.text, *rest))

    def _own_client(self) -> t.Any:
        # The connections that the child of a fork inherited belong to its parent, and
        # to the parent's loop.
        if self._fork.in_child():
            inherited, self._client = self._client, self._make()
            self._fork.leave(inherited)
        return self._client

    async def _count(self, kind: str) -> int:
        pattern = f"{escaped(self._namespace)}:{kind}:*"

        async def count() -> int:
            found = self._own_client().scan_iter(match=pattern, count=1000)
            return len([name async for name in found])

        return int(await self._guard(count) or 0)

    async def _guard(self, call: cabc.Callable[[], cabc.Awaitable[t.Any]]) -> t.Any:
        try:
            return await call()
        except Exception as error:  # noqa: BLE001 # of any kind
            return raise_outage(error)
