"""Access to a session from coroutines: what waits for the store is awaited."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

from flaskware_core import refuse_in_event_loop
from flaskware_session._core.end import end
from flaskware_session._core.save import save
from flaskware_session._core.visit import Visit
from flaskware_session._errors import StoreUnavailable

from .session import Access
from .session import SessionContent

if t.TYPE_CHECKING:
    from flask.sansio.app import App

    from flaskware_session._drive.aio import AsyncStoreClient


class AsyncAccess(Access):
    """:class:`Access` in an app of Quart.

    A coroutine reads the session before it uses it; what is a plain function, and so
    runs in a thread, may wait.
    """

    is_read_only = False

    def __init__(self, app: App, *args: t.Any) -> None:
        super().__init__(*args)
        self._app = app
        self._read_before: Visit | None = None
        self._reading = asyncio.Lock()

    def load(self) -> Visit:
        """Return the session that was read; in a thread, read it if it was not.

        :raises StoreUnavailable: see :meth:`Access.load`.
        :raises WouldBlock: in a coroutine, if the session was not read.
        """
        if self.visit is None:
            visit = self._read_before
            if visit is None:
                self._refuse("The first use of the session", "await sessions.load()")
                visit = self._new_visit()
                self.manager.client.run(self._steps(visit), visit)
            self.visit = visit
            if visit.outage is not None and not self.manager.policy.anonymous_on_outage:
                raise visit.outage
            self._begin(visit)
        return self.visit

    async def read(self) -> None:
        """Read the session, if that has not been done; this is no use of it.

        An outage of the store is raised by the first use.
        """
        async with self._reading:
            if self.visit is None and self._read_before is None:
                visit = self._new_visit()
                with contextlib.suppress(StoreUnavailable):
                    await self._client.run(self._steps(visit), visit)
                self._read_before = visit

    async def load_awaited(self) -> Visit:
        """Same as :meth:`load`, after reading the session."""
        await self.read()
        return self.load()

    def save(self, visit: Visit) -> None:
        """Store what a visit changed; in a thread."""
        self._refuse("session.save()", "await session.save()")
        super().save(visit)

    async def save_awaited(self, visit: Visit) -> None:
        """Store what a visit changed."""
        await self._client.run(save(visit, self.manager.policy), visit)

    async def end_awaited(self) -> None:
        """Same as :meth:`end`, awaited."""
        visit = await self.load_awaited()
        await self._client.run(end(visit, self.manager.policy), visit)

    @property
    def _client(self) -> AsyncStoreClient:
        return t.cast("AsyncStoreClient", self.manager.awaited)

    def _refuse(self, call: str, instead: str) -> None:
        refuse_in_event_loop(self._app, call, instead)


class AsyncServerSession(SessionContent):
    """:class:`ServerSession` for coroutines: ``await session.save()``.

    The session was read before the view. The rest of it waits for nothing.
    """

    access: AsyncAccess

    async def save(self) -> None:
        """Same as :meth:`ServerSession.save`, awaited."""
        await self.access.save_awaited(self.ready_to_save())
