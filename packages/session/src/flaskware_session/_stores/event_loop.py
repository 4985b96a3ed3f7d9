"""Stores of any kind for the event loop of a server, by one protocol."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import concurrent.futures
import functools
import typing as t
import weakref

from flaskware_session._records.record import Record
from flaskware_session._records.record import Written

from .async_protocol import AsyncStore
from .bridge import BlockingStore
from .protocol import Store

_Method: t.TypeAlias = cabc.Callable[..., cabc.Awaitable[t.Any]]


class LoopStore:
    """Base of a store whose methods can be awaited in any event loop.

    Each passes its call on to the method of the same name; see :class:`AsyncStore`.
    """

    def _find(self, name: str) -> _Method | None:
        """Return the method of a name, or ``None`` if the store lacks it."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> _Method:
        method = None if name.startswith("_") else self._find(name)
        if method is None:
            raise AttributeError(name)
        return method

    async def amend(
        self, key: str, now: int, change: cabc.Callable[[Record], Record | None]
    ) -> Written | None:
        """See :meth:`AmendingStore.amend`."""
        method = self._find("amend")
        return None if method is None else await method(key, now, change)

    async def fullness(self) -> float | None:
        """See :meth:`BoundedStore.fullness`."""
        method = self._find("fullness")
        return None if method is None else await method()


class ThreadedStore(LoopStore):
    """A store that blocks: its methods run in threads of its own.

    Views that are plain functions have the threads of the loop, and may take them all.

    :param threads: How many at most.
    """

    def __init__(self, store: Store, *, threads: int) -> None:
        self.store = store
        self._threads = threads
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None

    def _find(self, name: str) -> _Method | None:
        method = getattr(self.store, name, None)
        return None if method is None else functools.partial(self._run, method)

    async def _run(
        self, method: cabc.Callable[..., t.Any], *args: t.Any, **kwargs: t.Any
    ) -> t.Any:
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(
                self._threads, "flaskware-session"
            )
        call = functools.partial(method, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def close(self) -> None:
        """See :meth:`Store.close`; the threads end too."""
        await self._run(self.store.close)
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)


class NativeStore(LoopStore):
    """An asynchronous store for each event loop: connections belong to their loop."""

    def __init__(self, make: cabc.Callable[[], AsyncStore]) -> None:
        self._make = make
        self._stores: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, AsyncStore
        ] = weakref.WeakKeyDictionary()

    def _find(self, name: str) -> _Method | None:
        loop = asyncio.get_running_loop()
        if loop not in self._stores:
            self._stores[loop] = self._make()
        return getattr(self._stores[loop], name, None)

    async def close(self) -> None:
        """See :meth:`Store.close`; the store of this event loop."""
        store = self._stores.pop(asyncio.get_running_loop(), None)
        if store is not None:
            await store.close()


class SharedStore(LoopStore):
    """An asynchronous store that code which blocks uses too, in one event loop.

    That is the first loop which asks it, until it ends: that of the server.
    """

    def __init__(self, bridge: BlockingStore) -> None:
        self._bridge = bridge

    def _find(self, name: str) -> _Method | None:
        method = getattr(self._bridge.store, name, None)
        return None if method is None else functools.partial(self._run, method)

    async def _run(self, method: _Method, *args: t.Any, **kwargs: t.Any) -> t.Any:
        running = asyncio.get_running_loop()
        home = self._bridge.adopt(running)
        if home is running:
            return await method(*args, **kwargs)
        call = t.cast("cabc.Coroutine[t.Any, t.Any, t.Any]", method(*args, **kwargs))
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, home))


def loop_store(
    store: Store, make: cabc.Callable[[], AsyncStore] | None, *, threads: int
) -> AsyncStore:
    """Return a store for event loops that holds what a store that blocks holds.

    :param make: Makes an asynchronous store of the same kind, if there is such a kind.
    """
    found: LoopStore
    if make is not None:
        found = NativeStore(make)
    elif isinstance(store, BlockingStore):
        found = SharedStore(store)
    else:
        found = ThreadedStore(store, threads=threads)
    return t.cast("AsyncStore", found)
