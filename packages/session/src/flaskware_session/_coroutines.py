"""The extension for coroutines: the same names, awaited where they wait for a store."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import typing as t

from flask.sansio.app import App
from werkzeug.local import LocalProxy

from flaskware_core import current_session
from flaskware_core import DeclarationError
from flaskware_core import is_async

from ._core.operations import Steps
from ._core.revocation import count
from ._core.revocation import list_part
from ._core.revocation import list_user
from ._core.revocation import prune
from ._core.revocation import revoke
from ._core.revocation import revoke_everybody
from ._core.revocation import revoke_user
from ._core.visit import Visit
from ._extension import BaseSessions
from ._extension import SessionState
from ._records.record import SessionInfo
from ._records.record import StoreStats
from ._settings import SessionSettings
from ._web.async_access import AsyncAccess
from ._web.async_access import AsyncServerSession

if t.TYPE_CHECKING:
    from ._drive.aio import AsyncStoreClient
    from ._takeover.flask_session import Unpickler

_T = t.TypeVar("_T")


class AsyncSessions(BaseSessions):
    """:class:`Sessions` for an app of Quart: what waits for the store is awaited.

    :param app: Initialise on this app at once.
    :param clock: Returns the time; for tests, see ``flaskware_session.testing``.
    :param overrides: Settings by field name, such as ``store="redis://localhost"``.
    """

    _session_class = AsyncServerSession

    async def load(self) -> AsyncServerSession:
        """Read this request's session, where ``SESSION_LOAD`` is ``"explicit"``.

        It is read once, also if this is called again.

        :raises StoreUnavailable: if the session cannot be read.
        """
        session = t.cast("AsyncServerSession", self._session())
        session.accessed = True
        await session.access.load_awaited()
        return session

    async def issue_token(self, user_id: str | int, *, label: str | None = None) -> str:
        """Same as :meth:`Sessions.issue_token`, awaited."""
        visit, steps = self._issuing(user_id, label)
        await self._run(steps, visit)
        return t.cast("str", visit.id)

    async def logout(self) -> None:
        """Same as :meth:`Sessions.logout`, awaited."""
        await t.cast("AsyncAccess", self._session().access).end_awaited()

    async def for_user(self, user_id: str | int) -> list[SessionInfo]:
        """Same as :meth:`Sessions.for_user`, awaited."""
        policy, current = self.state.manager.policy, await self._read_current()
        return await self._run(list_user(current, policy, str(user_id)))

    async def for_everybody(
        self, *, size: int = 1000
    ) -> cabc.AsyncIterator[list[SessionInfo]]:
        """Same as :meth:`Sessions.for_everybody`, for ``async for``."""
        policy, current = self.state.manager.policy, await self._read_current()
        cursor: str | None = ""
        while cursor is not None:
            part, cursor = await self._run(list_part(current, policy, cursor, size))
            yield part

    async def revoke(self, handle: str, *, user_id: str | int | None = None) -> bool:
        """Same as :meth:`Sessions.revoke`, awaited."""
        policy, current = self.state.manager.policy, await self._read_current()
        if user_id is None:
            user_id = self._signed_in()
        steps = revoke(current, policy, handle, str(user_id))
        return await self._run(steps, current)

    async def revoke_user(
        self, user_id: str | int, *, keep_current: bool = True
    ) -> int:
        """Same as :meth:`Sessions.revoke_user`, awaited."""
        policy, current = self.state.manager.policy, await self._read_current()
        steps = revoke_user(current, policy, str(user_id), keep_current=keep_current)
        return await self._run(steps, current)

    async def revoke_everybody(
        self,
        *,
        keep_current: bool = True,
        progress: cabc.Callable[[int], object] | None = None,
    ) -> int:
        """Same as :meth:`Sessions.revoke_everybody`, awaited."""
        policy, current = self.state.manager.policy, await self._read_current()
        steps = revoke_everybody(
            current, policy, keep_current=keep_current, progress=progress
        )
        return await self._run(steps, current)

    async def create_table(self) -> bool:
        """Same as :meth:`Sessions.create_table`, awaited."""
        return await asyncio.to_thread(self.for_commands().create_table)

    async def unpickle_old(self) -> Unpickler:
        """Same as :meth:`Sessions.unpickle_old`, awaited."""
        return await asyncio.to_thread(self._unpickle)

    async def prune(self, *, limit: int = 1000) -> int:
        """Same as :meth:`Sessions.prune`, awaited."""
        return await self._run(prune(self.state.manager.policy, limit))

    async def stats(self) -> StoreStats:
        """Same as :meth:`Sessions.stats`, awaited."""
        return await self._run(count(self.state.manager.policy))

    def _build(self, app: App, settings: SessionSettings) -> SessionState:
        if not is_async(app):
            raise DeclarationError(
                "AsyncSessions is for an app of Quart, and this app is one of Flask."
                " Write `Sessions(app)`."
            )
        return super()._build(app, settings)

    async def _read_current(self) -> Visit | None:
        if not self._has_session():
            return None
        await t.cast("AsyncAccess", self._session().access).read()
        return self._current()

    async def _run(self, steps: Steps[_T], visit: Visit | None = None) -> _T:
        client = t.cast("AsyncStoreClient", self.state.manager.awaited)
        return await client.run(steps, Visit() if visit is None else visit)


async_session: AsyncServerSession = t.cast(
    "AsyncServerSession", LocalProxy(current_session)
)
"""``quart.session`` itself, with the type that it has where this extension is used."""
