"""The use of a store whose methods are coroutines from code that blocks."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import threading
import typing as t

from flaskware_core import ForkGuard
from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import Record
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written

from .async_protocol import AsyncStore

_T = t.TypeVar("_T")


class BlockingStore:
    """An asynchronous store for code that blocks.

    Its coroutines run on one event loop in a thread of its own, so that connections
    are shared by all requests of the process. It is made on first use, and again in
    the child of a fork.

    :param store: The asynchronous store.
    """

    def __init__(self, store: AsyncStore) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._fork = ForkGuard()

    def read(self, key: str, now: int, lifetime: Lifetime) -> Record | None:
        """See :meth:`Store.read`."""
        return self.wait(self.store.read(key, now, lifetime))

    def create(self, record: Record, now: int) -> bool:
        """See :meth:`Store.create`."""
        return self.wait(self.store.create(record, now))

    def update(self, record: Record, now: int) -> Written:
        """See :meth:`Store.update`."""
        return self.wait(self.store.update(record, now))

    def replace(
        self, old_key: str, record: Record, now: int, *, alias: Record | None = None
    ) -> Written:
        """See :meth:`Store.replace`."""
        return self.wait(self.store.replace(old_key, record, now, alias=alias))

    def delete(self, key: str, *, version: int | None = None) -> bool:
        """See :meth:`Store.delete`."""
        return self.wait(self.store.delete(key, version=version))

    def for_user(self, user_id: str, now: int) -> list[Record]:
        """See :meth:`Store.for_user`."""
        return self.wait(self.store.for_user(user_id, now))

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        """See :meth:`Store.delete_user`."""
        return self.wait(self.store.delete_user(user_id, keep=keep))

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """See :meth:`Store.limit_user`."""
        return self.wait(self.store.limit_user(user_id, count, now, keep=keep))

    def prune(self, now: int, limit: int) -> int:
        """See :meth:`Store.prune`."""
        return self.wait(self.store.prune(now, limit))

    def stats(self, now: int) -> StoreStats:
        """See :meth:`Store.stats`."""
        return self.wait(self.store.stats(now))

    def ping(self) -> None:
        """See :meth:`Store.ping`."""
        self.wait(self.store.ping())

    def close(self) -> None:
        """See :meth:`Store.close`; the loop ends with it."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._fork.in_child():
            return
        asyncio.run_coroutine_threadsafe(self.store.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def wait(self, coroutine: cabc.Coroutine[t.Any, t.Any, _T]) -> _T:
        """Run a coroutine on the loop of the store, and wait for it."""
        loop = self._running_loop()
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        except BaseException:
            # As by an interrupt of the thread that waits.
            with contextlib.suppress(RuntimeError):
                future.cancel()
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._fork.in_child():
                inherited, self._loop = self._loop, None
                self._fork.leave(inherited, self._thread)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="flaskware-session", daemon=True
                )
                self._thread.start()
            return self._loop
