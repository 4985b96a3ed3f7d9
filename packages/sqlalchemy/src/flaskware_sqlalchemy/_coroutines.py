"""The half of the extension for coroutines: each helper once more, to be awaited."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import functools
import typing as t

import sqlalchemy as sa
from flask.sansio.app import App

from flaskware_core import active_context
from flaskware_core import Extension

from ._databases.schema import ALL
from ._databases.schema import create_tables
from ._databases.schema import drop_tables
from ._databases.schema import Keys
from ._databases.schema import reflect_tables
from ._lookups import first_or_404
from ._lookups import get_or_404
from ._lookups import GetArgs
from ._lookups import one_or_404
from ._sessions.request_state import find_request_state
from ._sessions.request_state import request_state
from ._sessions.request_state import RequestState
from ._sessions.router import SCHEMAS
from ._sessions.session import release_sessions
from ._sessions.session import routed
from ._settings import SQLAlchemySettings

if t.TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.ext.asyncio import AsyncSession

    from ._databases.databases import Databases
    from ._pagination.keyset import KeysetPage
    from ._pagination.page import Count
    from ._pagination.page import Page
    from ._pagination.request import KeysetArgs
    from ._pagination.request import PageArgs
    from ._sessions.async_transaction import AsyncTransaction
    from ._sessions.upsert import Attributes
    from ._sessions.upsert import Rows


_O = t.TypeVar("_O")
_T = t.TypeVar("_T")
_U = t.TypeVar("_U")
_Ts = t.TypeVarTuple("_Ts")


class Coroutines(Extension[SQLAlchemySettings, "Databases"]):
    """The helpers for coroutines, on the databases of the same configuration."""

    def _databases(self, app: App | None) -> Databases:
        return self.state if app is None else self.state_of(app)

    def _known_state(self) -> RequestState | None:
        context = active_context()
        return None if context is None else find_request_state(context, self)

    @property
    def async_session(self) -> AsyncSession:
        """The session of the current app context and event loop.

        Same as :attr:`session`, but for coroutines. It ends with the context, or with
        the event loop if that ends first, as in an async view.

        :raises AsyncDriverMissing: if no asynchronous driver is installed.
        :raises NotInitialised: outside an app context.
        """
        return self.get_async_session()

    def get_async_session(self, name: str = "default") -> AsyncSession:
        """Same as :meth:`get_session`, but for coroutines."""
        key = name, SCHEMAS.get(), asyncio.get_running_loop()
        state = self._known_state()
        if state is not None and key in state.async_sessions:
            return state.async_sessions[key]
        databases = self.state
        state = request_state(self)
        session = databases.asynchronous.session(state)
        return state.async_sessions.setdefault(key, session)

    @contextlib.asynccontextmanager
    async def async_session_scope(
        self, app: App | None = None, *, read_only: bool = False
    ) -> cabc.AsyncGenerator[AsyncSession]:
        """Same as :meth:`session_scope`, but for coroutines."""
        session = self._databases(app).asynchronous.session()
        session.routed.read_only(read_only)
        try:
            yield session
        finally:
            await session.end()

    def async_transaction(
        self,
        *,
        retries: int = 0,
        isolation_level: str | None = None,
        timeout: float | None = None,
        read_only: bool = False,
        name: str = "default",
    ) -> AsyncTransaction:
        """Same as :meth:`transaction`, but for ``async with`` and ``async def``."""
        from ._sessions.async_transaction import AsyncTransaction

        open_session = functools.partial(self.get_async_session, name)
        return AsyncTransaction(
            open_session, retries, isolation_level, timeout, read_only
        )

    def async_on_commit(
        self, function: cabc.Callable[[], _T], *, session: AsyncSession | None = None
    ) -> cabc.Callable[[], _T]:
        """Same as :meth:`on_commit`, but for asynchronous sessions.

        :param function: It may be a coroutine function, which the commit waits for.
        """
        from ._sessions.commit_hooks import awaited

        routed(session or self.async_session).on_commit(awaited(function))
        return function

    async def async_advisory_lock(
        self, name: str, *, timeout: float | None = None, session: str = "default"
    ) -> None:
        """Same as :meth:`advisory_lock`, but for coroutines."""
        from ._sessions.advisory_lock import lock

        found = self.get_async_session(session)
        await found.run_sync(lambda _: lock(routed(found), name, timeout))

    async def async_upsert(
        self,
        entity: type[t.Any],
        rows: Rows,
        *,
        by: Attributes | None = None,
        update: Attributes | None = None,
        session: AsyncSession | None = None,
    ) -> None:
        """Same as :meth:`upsert`, but for coroutines."""
        from ._sessions.upsert import upsert

        found = session or self.async_session
        await found.run_sync(lambda _: upsert(routed(found), entity, rows, by, update))

    async def async_get_or_404(
        self,
        entity: type[_O],
        ident: t.Any,
        *,
        description: str | None = None,
        **options: t.Unpack[GetArgs],
    ) -> _O:
        """Same as :meth:`get_or_404`, but for coroutines."""
        get = functools.partial(get_or_404, **options)
        found: _O
        found = await self.async_session.run_sync(get, entity, ident, description)
        return found

    @t.overload
    async def async_one_or_404(
        self, statement: sa.Select[tuple[_T]], *, description: str | None = None
    ) -> _T: ...

    @t.overload
    async def async_one_or_404(
        self, statement: sa.Select[_T], *, description: str | None = None
    ) -> _T: ...

    async def async_one_or_404(
        self, statement: sa.Select[t.Any], *, description: str | None = None
    ) -> t.Any:
        """Same as :meth:`one_or_404`, but for coroutines."""
        return await self.async_session.run_sync(one_or_404, statement, description)

    @t.overload
    async def async_first_or_404(
        self, statement: sa.Select[tuple[_T]], *, description: str | None = None
    ) -> _T: ...

    @t.overload
    async def async_first_or_404(
        self, statement: sa.Select[_T], *, description: str | None = None
    ) -> _T: ...

    async def async_first_or_404(
        self, statement: sa.Select[t.Any], *, description: str | None = None
    ) -> t.Any:
        """Same as :meth:`first_or_404`, but for coroutines."""
        return await self.async_session.run_sync(first_or_404, statement, description)

    @t.overload
    async def async_paginate(
        self, statement: sa.Select[tuple[_T]], **options: t.Unpack[PageArgs]
    ) -> Page[_T]: ...

    @t.overload
    async def async_paginate(
        self, statement: sa.Select[tuple[_T, _U, *_Ts]], **options: t.Unpack[PageArgs]
    ) -> Page[sa.Row[tuple[_T, _U, *_Ts]]]: ...

    @t.overload
    async def async_paginate(
        self, statement: sa.Select[_T], **options: t.Unpack[PageArgs]
    ) -> Page[_T]: ...

    @t.overload
    async def async_paginate(
        self, statement: sa.Select[_T, _U, *_Ts], **options: t.Unpack[PageArgs]
    ) -> Page[sa.Row[_T, _U, *_Ts]]: ...

    async def async_paginate(
        self,
        statement: sa.Select[*tuple[t.Any, ...]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | None = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[t.Any]:
        """Same as :meth:`paginate`, but for coroutines."""
        from ._pagination.request import paginate

        return await self.async_session.run_sync(
            paginate, statement, page, per_page, max_per_page, error_out, count
        )

    @t.overload
    async def async_keyset(
        self, statement: sa.Select[tuple[_T]], **options: t.Unpack[KeysetArgs]
    ) -> KeysetPage[_T]: ...

    @t.overload
    async def async_keyset(
        self, statement: sa.Select[tuple[_T, _U, *_Ts]], **options: t.Unpack[KeysetArgs]
    ) -> KeysetPage[sa.Row[tuple[_T, _U, *_Ts]]]: ...

    @t.overload
    async def async_keyset(
        self, statement: sa.Select[_T], **options: t.Unpack[KeysetArgs]
    ) -> KeysetPage[_T]: ...

    @t.overload
    async def async_keyset(
        self, statement: sa.Select[_T, _U, *_Ts], **options: t.Unpack[KeysetArgs]
    ) -> KeysetPage[sa.Row[_T, _U, *_Ts]]: ...

    async def async_keyset(
        self,
        statement: sa.Select[*tuple[t.Any, ...]],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[t.Any]:
        """Same as :meth:`keyset`, but for coroutines."""
        from ._pagination.request import keyset

        return await self.async_session.run_sync(
            keyset, statement, after, before, limit
        )

    @property
    def async_engine(self) -> AsyncEngine:
        """The default engine of the current app, for the running event loop."""
        return self.get_async_engine()

    @property
    def async_engines(self) -> cabc.Mapping[str | None, AsyncEngine]:
        """The engines of the current app by name, for the running event loop."""
        return self.state.asynchronous.engines()

    def get_async_engine(self, bind_key: str | None = None) -> AsyncEngine:
        """Return an engine of the current app, for the running event loop.

        :raises AsyncDriverMissing: if no asynchronous driver is installed.
        :raises UnknownBind: if no database of that name is configured.
        """
        return self.state.asynchronous.engine(bind_key)

    async def async_create_all(self, bind_key: Keys = ALL) -> None:
        """Same as :meth:`create_all`, but for coroutines."""
        await self.state.asynchronous.change_schema(create_tables, bind_key)

    async def async_drop_all(self, bind_key: Keys = ALL) -> None:
        """Same as :meth:`drop_all`, but for coroutines."""
        asynchronous = self.state.asynchronous
        state, loop = request_state(self), asyncio.get_running_loop()
        release_sessions(state.sessions.values(), whole=bind_key == ALL)
        for key, session in state.async_sessions.items():
            if key[2] is loop:
                await session.release(whole=bind_key == ALL)
        await asynchronous.change_schema(drop_tables, bind_key)

    async def async_reflect(self, bind_key: Keys = ALL) -> None:
        """Same as :meth:`reflect`, but for coroutines."""
        await self.state.asynchronous.change_schema(reflect_tables, bind_key)

    @contextlib.asynccontextmanager
    async def async_test_isolation(
        self, app: App | None = None
    ) -> cabc.AsyncGenerator[None]:
        """Same as :meth:`test_isolation`, but for tests that are coroutines.

        Asynchronous sessions and engines keep their own driver and see the work of
        each other, but not that of synchronous sessions and engines.
        """
        from ._sessions.async_session import all_ended
        from ._sessions.isolation import isolated

        with isolated(self._databases(app).router):
            async with self._databases(app).asynchronous.isolated():
                try:
                    yield
                finally:
                    if (state := self._known_state()) is not None:
                        await state.end_in_loop()
                    await all_ended()
