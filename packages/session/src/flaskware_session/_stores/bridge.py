"""The use of a store whose methods are coroutines from code that blocks."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import threading
import typing as t

from flaskware_core import ForkGuard

from .async_protocol import AsyncStore
from .wrapper import StoreWrapper

_T = t.TypeVar("_T")


class BlockingStore(StoreWrapper):
    """An asynchronous store for code that blocks.

    Its coroutines run on one event loop in a thread of its own, so that connections
    are shared by all requests of the process. It is made on first use, and again in
    the child of a fork.

    :param store: The asynchronous store.
    """

    store: AsyncStore

    def __init__(self, store: AsyncStore) -> None:
        super().__init__(store)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._home: asyncio.AbstractEventLoop | None = None
        self._fork = ForkGuard()

    def _call(self, operation: str, *args: t.Any, **kwargs: t.Any) -> t.Any:
        return self.wait(getattr(self.store, operation)(*args, **kwargs))

    def close(self) -> None:
        """See :meth:`Store.close`; the loop ends with it."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = self._home = None
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

    def adopt(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        """Offer the loop of a server, which the store then uses as long as it runs.

        :return: The loop that the store uses: another where it has one already.
        """
        with self._lock:
            if self._home is None or not self._home.is_running():
                self._home = self._loop or loop
            return self._home

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._fork.in_child():
                inherited, self._loop = self._loop, None
                self._fork.leave(inherited, self._thread)
            if self._home is not None and self._home.is_running():
                return self._home
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="flaskware-session", daemon=True
                )
                self._thread.start()
            return self._loop
