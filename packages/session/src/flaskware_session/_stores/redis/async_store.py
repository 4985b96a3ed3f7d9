from __future__ import annotations

import collections.abc as cabc
import typing as t

from flaskware_core import ForkGuard
from flaskware_session._records.record import FOREVER
from flaskware_session._records.record import last_seen_first
from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._records.token import is_of_user
from flaskware_session._records.token import tag_in
from flaskware_session._records.token import tag_of
from flaskware_session._stores.async_protocol import AsyncStore

from . import scripts
from .records import fields_of
from .records import fullness_in
from .records import info_of
from .records import keys_of_users
from .records import Names
from .records import new_epoch
from .records import pattern_of
from .records import raise_outage
from .records import record_of
from .records import scanned_of
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

    async def read(self, key: str, now: int, interval: int) -> Record | None:
        return record_of(key, await self._run(scripts.READ, key, now, key, interval))

    async def create(self, record: Record, now: int) -> bool:
        fields = (record.key, *fields_of(record))
        return bool(await self._run(scripts.CREATE, record.key, now, *fields) == 1)

    async def update(self, record: Record, now: int) -> Written:
        fields = (record.key, *fields_of(record))
        answer = await self._run(scripts.UPDATE, record.key, now, *fields)
        return written_of(record.key, answer)

    async def replace(self, old_key: str, record: Record, now: int) -> Written:
        fields = (record.key, *fields_of(record), old_key)
        answer = await self._run(scripts.REPLACE, record.key, now, *fields, old=old_key)
        return written_of(old_key, answer)

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        wanted = "" if version is None else version
        return bool(await self._run(scripts.DELETE, key, 0, key, wanted))

    async def for_user(self, user_id: str, now: int) -> list[Record]:
        answer = await self._run_for(scripts.FOR_USER, user_id, now) or ()
        found = (record_of(text_of(key), text) for key, text in answer)
        return last_seen_first((record for record in found if record is not None), now)

    async def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        arguments = (keep or "", new_epoch())
        answer = await self._run_for(scripts.DELETE_USER, user_id, 0, *arguments)
        return int(answer or 0)

    async def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        arguments = (count, keep)
        answer = await self._run_for(scripts.LIMIT_USER, user_id, now, *arguments)
        return int(answer or 0)

    async def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        """See :meth:`Store.scan`; one trip for each session of a user."""
        pattern = pattern_of(self._namespace, "s")
        command = ("SCAN", cursor or 0, "MATCH", pattern, "COUNT", limit)
        send = self._own_client().execute_command
        cursor_after, names = scanned_of(await self._guard(lambda: send(*command)))
        found = [await self.read(key, now, FOREVER) for key in keys_of_users(names)]
        records = [r for r in found if r is not None and r.user_id is not None]
        return Scanned(records, cursor_after)

    async def prune(self, now: int, limit: int) -> int:  # noqa: ARG002
        """See :meth:`Store.prune`; Redis does this by itself, so none is left."""
        return 0

    async def stats(self, now: int) -> StoreStats:  # noqa: ARG002
        """See :meth:`Store.stats`; this walks over all keys, a part at a time."""
        return StoreStats(await self._count("s"), await self._count("u"))

    async def fullness(self) -> float | None:
        """See :meth:`BoundedStore.fullness`."""
        send = self._own_client().execute_command
        memory = await self._guard(lambda: send("INFO", "memory"))
        return fullness_in(info_of(memory))

    async def ping(self) -> None:
        await self._guard(lambda: self._own_client().ping())

    async def close(self) -> None:
        await self._own_client().aclose()

    async def _run_for(
        self, script: Script, user_id: str, now: int, *arguments: str | int
    ) -> t.Any:
        names = Names.of(self._namespace, tag_of(user_id))
        # One server needs no declaration of each session.
        more = (names.sessions, 0, *arguments)
        answer = await self._send(script, names.of_user(()), now, *more)
        return None if answer is None else answer[1]

    async def _run(
        self,
        script: Script,
        key: str,
        now: int,
        *arguments: str | int,
        old: str | None = None,
    ) -> t.Any:
        names = Names.of(self._namespace, tag_in(key)).all(key)
        if old is not None:
            names += Names.of(self._namespace, tag_in(old)).all(old)
        elif not is_of_user(key):
            names = names[:1]  # a visitor has no index and no epoch
        return await self._send(script, names, now, *arguments)

    async def _send(
        self, script: Script, names: tuple[str, ...], *arguments: str | int
    ) -> t.Any:
        send = self._own_client().execute_command
        rest = (len(names), *names, *arguments)
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
        pattern = pattern_of(self._namespace, kind)

        async def count() -> int:
            found = self._own_client().scan_iter(match=pattern, count=1000)
            return len([name async for name in found])

        return int(await self._guard(count) or 0)

    async def _guard(self, call: cabc.Callable[[], cabc.Awaitable[t.Any]]) -> t.Any:
        try:
            return await call()
        except Exception as error:  # noqa: BLE001 # of any kind
            return raise_outage(error)
