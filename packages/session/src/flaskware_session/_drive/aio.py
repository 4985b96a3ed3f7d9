"""Driver of the core for a store whose methods are coroutines."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import time
import typing as t
import weakref

from flaskware_session._core import operations as ops
from flaskware_session._core.operations import Steps
from flaskware_session._core.visit import Visit
from flaskware_session._errors import StoreUnavailable
from flaskware_session._stores.async_protocol import AsyncStore
from flaskware_session._stores.event_loop import loop_store
from flaskware_session._stores.protocol import Store

from .sync import Gauge
from .sync import Guard
from .sync import notify
from .sync import perform
from .sync import QUEUES
from .sync import report

T = t.TypeVar("T")


class AsyncStoreClient:
    """:class:`StoreClient` for a store whose methods are coroutines.

    All calls come from one event loop, unless the store is one for each.

    :param store: Replaced by another store only while tests are isolated.
    """

    def __init__(
        self,
        store: AsyncStore,
        *,
        limit: float = 3.0,
        visitor_share: float | None = None,
    ) -> None:
        self.store = store
        self.guard = Guard(limit)
        self._gauge = Gauge(visitor_share)
        self._queues: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, list[asyncio.Lock]
        ] = weakref.WeakKeyDictionary()

    @contextlib.contextmanager
    def replaced(self, store: Store) -> cabc.Generator[None]:
        """Use another store in the block, as while tests are isolated."""
        before, self.store = self.store, loop_store(store, None, threads=1)
        try:
            yield
        finally:
            self.store = before

    async def run(self, steps: Steps[T], visit: Visit) -> T:
        """Carry out what a generator yields; see :meth:`StoreClient.run`."""
        answer: object = None
        outage: StoreUnavailable | None = None
        async with contextlib.AsyncExitStack() as stack:
            while True:
                try:
                    if outage is None:
                        operation = steps.send(answer)
                    else:
                        operation = steps.throw(outage)
                except StopIteration as stop:
                    return t.cast("T", stop.value)
                answer = outage = None
                try:
                    match operation:
                        case ops.Notify():
                            notify(operation)
                        case ops.Queue(key):
                            await self._enter_queue(key, stack)
                        case ops.IsCrowded():
                            answer = await self._is_crowded()
                        case ops.Call(function):
                            answer = await asyncio.to_thread(function)
                        case ops.Ask(question):
                            answer = await question(self.store)
                        case _:
                            answer = await self._ask(operation, visit)
                except StoreUnavailable as error:
                    outage = error

    async def _ask(self, operation: ops.StoreOperation, visit: Visit) -> object:
        started = time.monotonic()
        try:
            with self.guard.enter(operation, visit):
                answer = perform(t.cast("Store", self.store), operation)
                return None if answer is None else await answer
        except StoreUnavailable as error:
            report(operation, error)
            raise
        finally:
            visit.waited += time.monotonic() - started

    async def _is_crowded(self) -> bool:
        if self._gauge.is_due:
            with contextlib.suppress(StoreUnavailable):
                measure = getattr(self.store, "fullness", None)
                self._gauge.note(None if measure is None else await measure())
        return self._gauge.is_crowded()

    async def _enter_queue(self, key: str, stack: contextlib.AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        if loop not in self._queues:
            self._queues[loop] = [asyncio.Lock() for _ in range(QUEUES)]
        queue = self._queues[loop][hash(key) % QUEUES]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.guard.limit):
                await queue.acquire()
                stack.callback(queue.release)
