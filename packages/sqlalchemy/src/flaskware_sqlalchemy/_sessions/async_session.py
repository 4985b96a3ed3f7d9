"""Asynchronous sessions, which know the event loop that they belong to."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import typing as t

from sqlalchemy.ext.asyncio import AsyncSession

from .session import RoutedSession

_T = t.TypeVar("_T")
PATIENCE = 10.0
"""How many seconds another thread's event loop is given to close a session."""

_closing: set[asyncio.Task[None]] = set()


class RoutedAsyncSession(AsyncSession):
    """The asynchronous twin of :class:`RoutedSession`."""

    sync_session_class = RoutedSession

    @property
    def routed(self) -> RoutedSession:
        """The synchronous session that does the work."""
        return t.cast("RoutedSession", self.sync_session)

    async def end(self) -> None:
        """Roll back, give everything back, and refuse any further use."""
        await self.run_sync(lambda _: self.routed.end())


def end_session(session: RoutedAsyncSession, loop: asyncio.AbstractEventLoop) -> None:
    """End a session from wherever its context ends."""
    if loop.is_closed():
        return  # it was ended with the loop
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is loop:
        # Here nothing can be awaited; the loop does it at its next turn.
        task = loop.create_task(session.end())
        _closing.add(task)
        task.add_done_callback(_closing.discard)
    elif loop.is_running():
        asyncio.run_coroutine_threadsafe(session.end(), loop).result(PATIENCE)
    elif running is None:
        loop.run_until_complete(session.end())


async def all_ended() -> None:
    """Wait until the sessions of contexts that ended in the running loop have too."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(one for one in list(_closing) if one.get_loop() is loop))


async def in_greenlet(function: cabc.Callable[[], _T]) -> _T:
    """Run what blocks on an asynchronous driver's connections."""
    return await AsyncSession().run_sync(lambda _: function())
