"""The asynchronous form of what an extension offers."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import typing as t

import sqlalchemy as sa
from flask.sansio.app import App

from ._databases.schema import ALL
from ._databases.schema import Keys
from ._databases.schema import tables_and_engines
from ._lookups import first_with
from ._lookups import get_with
from ._lookups import one_with
from ._lookups import Queries
from ._sessions.request_state import current_context
from ._sessions.request_state import current_schemas
from ._sessions.request_state import Held
from ._sessions.request_state import held_by
from ._sessions.request_state import SCHEMAS

if t.TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.ext.asyncio import AsyncSession

    from ._databases.databases import Databases
    from ._models.model import Metadatas
    from ._pagination.keyset import KeysetPage
    from ._pagination.page import Count
    from ._pagination.page import Page
    from ._sessions.async_session import RoutedAsyncSession
    from ._sessions.async_transaction import AsyncTransaction
    from ._sessions.transaction import Block

_O = t.TypeVar("_O")
_T = t.TypeVar("_T")
_T1 = t.TypeVar("_T1")
_T2 = t.TypeVar("_T2")
_Ts = t.TypeVarTuple("_Ts")


class AsyncQueries(Queries):
    """What an extension offers to coroutines, under the same names with ``async_``."""

    _metadatas: Metadatas

    def _databases(self, app: App | None = None) -> Databases:
        raise NotImplementedError

    def _held(self, databases: Databases) -> Held:
        raise NotImplementedError

    def test_isolation(
        self, app: App | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """Undo, at the end of the block, what was done to any database in it."""
        raise NotImplementedError

    @property
    def async_session(self) -> AsyncSession:
        """The session of the current app context and event loop.

        Same as :attr:`session`, but for coroutines. It is ended with the context, or
        with the event loop if that ends before, as that of an async view does.

        :raises AsyncDriverMissing: if no asynchronous driver is installed.
        :raises NotInitialised: outside an app context.
        """
        return self.get_async_session()

    def get_async_session(self, name: str = "default") -> AsyncSession:
        """Same as :meth:`get_session`, but for coroutines."""
        loop = asyncio.get_running_loop()
        key = name, SCHEMAS.get(), loop
        context = current_context()
        held = None if context is None else held_by(context, self)
        if held is not None and key in held.async_sessions:
            return held.async_sessions[key]
        databases = self._databases()
        held = self._held(databases)
        session = databases.asynchronous.session(
            route=held.route, schemas=current_schemas()
        )
        databases.watch_loads(session.routed, held.lazy_loads)
        return held.async_sessions.setdefault(key, session)

    @contextlib.asynccontextmanager
    async def async_session_scope(
        self, app: App | None = None
    ) -> cabc.AsyncGenerator[AsyncSession]:
        """Same as :meth:`session_scope`, but for coroutines."""
        databases = self._databases(app)
        session = databases.asynchronous.session(schemas=current_schemas())
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
        name: str = "default",
    ) -> AsyncTransaction:
        """Same as :meth:`transaction`, but for ``async with`` and ``async def``."""

        from ._sessions.async_transaction import AsyncTransaction
        from ._sessions.transaction import Block

        def session() -> RoutedAsyncSession:
            return t.cast("RoutedAsyncSession", self.get_async_session(name))

        def make(session: RoutedAsyncSession) -> Block:
            return Block(session.routed, level=isolation_level, timeout=timeout)

        return AsyncTransaction(session, make, retries)

    @property
    def async_engine(self) -> AsyncEngine:
        """The default engine of the current app, for the running event loop."""
        return self.get_async_engine()

    @property
    def async_engines(self) -> cabc.Mapping[str | None, AsyncEngine]:
        """The engines of the current app by name, for the running event loop."""
        databases = self._databases()
        return {key: databases.asynchronous.engine(key) for key in databases.sources}

    def get_async_engine(self, bind_key: str | None = None) -> AsyncEngine:
        """An engine of the current app, for the running event loop.

        :raises AsyncDriverMissing: if no asynchronous driver is installed.
        :raises UnknownBind: if none of that name is configured.
        """
        return self._databases().asynchronous.engine(bind_key)

    async def async_create_all(self, bind_key: Keys = ALL) -> None:
        """Same as :meth:`create_all`, but for coroutines."""
        await self._for_tables("create_all", bind_key)

    async def async_drop_all(self, bind_key: Keys = ALL) -> None:
        """Same as :meth:`drop_all`, but for coroutines."""
        await self._for_tables("drop_all", bind_key)

    async def _for_tables(self, method: str, keys: Keys) -> None:
        from ._sessions.async_session import in_greenlet

        router = self._databases().asynchronous.router()
        schemas = current_schemas()

        def run() -> None:
            for metadata, engine in tables_and_engines(
                router, self._metadatas, keys, schemas
            ):
                getattr(metadata, method)(engine)

        await in_greenlet(run)

    async def async_get_or_404(
        self, entity: type[_O], ident: t.Any, *, description: str | None = None
    ) -> _O:
        """Same as :meth:`get_or_404`, but for coroutines."""
        return await self.async_session.run_sync(get_with, entity, ident, description)

    @t.overload
    async def async_one_or_404(
        self,
        statement: sa.Select[tuple[_T]],
        *,
        description: str | None = None,
    ) -> _T: ...

    @t.overload
    async def async_one_or_404(
        self,
        statement: sa.Select[_T],
        *,
        description: str | None = None,
    ) -> _T: ...

    async def async_one_or_404(
        self, statement: sa.Select[t.Any], *, description: str | None = None
    ) -> t.Any:
        """Same as :meth:`one_or_404`, but for coroutines."""
        return await self.async_session.run_sync(one_with, statement, description)

    @t.overload
    async def async_first_or_404(
        self,
        statement: sa.Select[tuple[_T]],
        *,
        description: str | None = None,
    ) -> _T: ...

    @t.overload
    async def async_first_or_404(
        self,
        statement: sa.Select[_T],
        *,
        description: str | None = None,
    ) -> _T: ...

    async def async_first_or_404(
        self, statement: sa.Select[t.Any], *, description: str | None = None
    ) -> t.Any:
        """Same as :meth:`first_or_404`, but for coroutines."""
        return await self.async_session.run_sync(first_with, statement, description)

    @t.overload
    async def async_paginate(
        self,
        statement: sa.Select[tuple[_T]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[_T]: ...

    @t.overload
    async def async_paginate(
        self,
        statement: sa.Select[tuple[_T1, _T2, *_Ts]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[sa.Row[tuple[_T1, _T2, *_Ts]]]: ...

    @t.overload
    async def async_paginate(
        self,
        statement: sa.Select[_T],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[_T]: ...

    @t.overload
    async def async_paginate(
        self,
        statement: sa.Select[_T1, _T2, *_Ts],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[sa.Row[_T1, _T2, *_Ts]]: ...

    async def async_paginate(
        self,
        statement: sa.Select[*tuple[t.Any, ...]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[t.Any]:
        """Same as :meth:`paginate`, but for coroutines."""
        from ._pagination.request import paginate_with

        return await self.async_session.run_sync(
            paginate_with,
            statement,
            page,
            per_page,
            max_per_page,
            error_out,
            count,
        )

    @t.overload
    async def async_keyset(
        self,
        statement: sa.Select[tuple[_T]],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[_T]: ...

    @t.overload
    async def async_keyset(
        self,
        statement: sa.Select[tuple[_T1, _T2, *_Ts]],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[sa.Row[tuple[_T1, _T2, *_Ts]]]: ...

    @t.overload
    async def async_keyset(
        self,
        statement: sa.Select[_T],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[_T]: ...

    @t.overload
    async def async_keyset(
        self,
        statement: sa.Select[_T1, _T2, *_Ts],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[sa.Row[_T1, _T2, *_Ts]]: ...

    async def async_keyset(
        self,
        statement: sa.Select[*tuple[t.Any, ...]],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[t.Any]:
        """Same as :meth:`keyset`, but for coroutines."""
        from ._pagination.request import keyset_with

        return await self.async_session.run_sync(
            keyset_with, statement, after, before, limit
        )

    @contextlib.asynccontextmanager
    async def async_test_isolation(
        self, app: App | None = None
    ) -> cabc.AsyncGenerator[None]:
        """Same as :meth:`test_isolation`, but for tests that are coroutines.

        Asynchronous sessions and engines keep their own driver and see what each other
        did; they do not see what synchronous ones did, and the other way round.
        """
        from ._sessions.async_session import all_ended
        from ._sessions.async_session import in_greenlet
        from ._sessions.isolation import isolated

        with self.test_isolation(app):
            databases = self._databases(app)
            async with contextlib.AsyncExitStack() as stack:
                for engine in databases.asynchronous.begin_isolation():
                    block = isolated(engine)
                    await in_greenlet(block.__enter__)
                    stack.push_async_callback(
                        in_greenlet,
                        lambda block=block: block.__exit__(None, None, None),
                    )
                stack.callback(databases.asynchronous.end_isolation)
                try:
                    yield
                finally:
                    await self._end_async_sessions()
                    await all_ended()

    async def _end_async_sessions(self) -> None:
        context = current_context()
        held = None if context is None else held_by(context, self)
        if held is not None:
            loop = asyncio.get_running_loop()
            for key in [key for key in held.async_sessions if key[2] is loop]:
                await held.async_sessions.pop(key).end()
