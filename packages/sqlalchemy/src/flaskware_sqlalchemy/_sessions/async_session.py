"""Asynchronous sessions, which know the event loop that they belong to."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import typing as t

from sqlalchemy.ext.asyncio import AsyncSession

from .session import release_sessions
from .session import RoutedSession

_T = t.TypeVar("_T")
PATIENCE = 10.0
"""Seconds that another thread's event loop is given to commit or to close a session."""

_closing: set[asyncio.Task[None]] = set()


class RoutedAsyncSession(AsyncSession):
    """The asynchronous twin of :class:`RoutedSession`."""

    sync_session_class = RoutedSession

    @property
    def routed(self) -> RoutedSession:
        """The synchronous session that does the work."""
        return t.cast("RoutedSession", self.sync_session)

    async def release(self, *, whole: bool) -> None:
        """End the transaction; see :func:`release_sessions`."""
        await self.run_sync(lambda _: release_sessions([self.routed], whole=whole))

    async def end(self) -> None:
        """Roll back, give everything back, and refuse any further use."""
        await self.run_sync(lambda _: self.routed.end())


def run_in_loop(
    function: cabc.Callable[[], cabc.Coroutine[t.Any, t.Any, None]],
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Call a method of a session from any thread, with or without a running loop."""
    if loop.is_closed():
        return  # the session was ended with the loop
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is loop:
        # Nothing can be awaited here; the loop calls the method at its next turn.
        task = loop.create_task(function())
        _closing.add(task)
        task.add_done_callback(_closing.discard)
    elif loop.is_running():
        asyncio.run_coroutine_threadsafe(function(), loop).result(PATIENCE)
    elif running is None:
        loop.run_until_complete(function())


async def all_ended() -> None:
    """Wait for the sessions of contexts that ended in the running loop."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(task for task in list(_closing) if task.get_loop() is loop))


async def in_greenlet(function: cabc.Callable[[], _T]) -> _T:
    """Run a function that blocks on the connections of an asynchronous driver."""
    return await AsyncSession().run_sync(lambda _: function())
