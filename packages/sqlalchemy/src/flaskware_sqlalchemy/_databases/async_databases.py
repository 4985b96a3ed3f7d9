"""Asynchronous engines: a pool for each event loop, never used from another."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy.util import LRUCache

from flaskware_sqlalchemy._engines.cipher import share_cipher
from flaskware_sqlalchemy._engines.engine import is_shared_memory
from flaskware_sqlalchemy._engines.engine import prepare
from flaskware_sqlalchemy._engines.engine import Source
from flaskware_sqlalchemy._engines.libpq import for_asyncpg
from flaskware_sqlalchemy._engines.outage import guard_connections
from flaskware_sqlalchemy._engines.outage import with_limits
from flaskware_sqlalchemy._engines.replica import Replicas
from flaskware_sqlalchemy._engines.url import async_url
from flaskware_sqlalchemy._engines.url import EngineProblem
from flaskware_sqlalchemy._errors import AsyncDriverMissing
from flaskware_sqlalchemy._sessions.async_session import in_greenlet
from flaskware_sqlalchemy._sessions.async_session import RoutedAsyncSession
from flaskware_sqlalchemy._sessions.isolation import isolated_engine
from flaskware_sqlalchemy._sessions.request_state import RequestState
from flaskware_sqlalchemy._sessions.router import Router
from flaskware_sqlalchemy._sessions.router import SCHEMAS
from flaskware_sqlalchemy._sessions.session import note_writes

from .schema import Keys

if t.TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from .databases import Databases


class _Template:
    """Maker of the engines of one database: an engine for each event loop."""

    def __init__(self, source: Source, drivers: cabc.Mapping[str, str]) -> None:
        self._source = source
        self._drivers = drivers
        self._first: sa.Engine | None = None
        self._cache: t.Any = LRUCache(500)

    def make(self) -> AsyncEngine:
        """Make an engine with a pool of its own."""
        from sqlalchemy.ext.asyncio import AsyncEngine

        if self._first is None:
            self._first = self._make_first()
        first = self._first
        # The engines share a dialect, which asks the server for its version once, and
        # the compiled statements. A loop of one request only makes connections.
        engine = sa.Engine(
            first.pool.recreate(),
            first.dialect,
            first.url,
            echo=self._source.options["echo"],
            hide_parameters=first.hide_parameters,
            execution_options={
                "compiled_cache": self._cache,
                **first.get_execution_options(),
            },
        )
        prepare(engine, self._source)
        return AsyncEngine(engine)

    def _make_first(self) -> sa.Engine:
        try:
            from sqlalchemy.ext.asyncio import create_async_engine

            url = async_url(self._source.engine.url, self._drivers)
            options = dict(self._source.options)
            if url.drivername.endswith("+asyncpg"):
                given: dict[str, t.Any] = options.get("connect_args", {})
                url, options["connect_args"] = for_asyncpg(url, given)
            options = with_limits(url, options)
            engine = create_async_engine(url, **options).sync_engine
            share_cipher(self._source.engine, engine)
            if engine.dialect.name != "sqlite":
                guard_connections(engine)
            return engine
        except EngineProblem as problem:
            raise AsyncDriverMissing(
                f"This URL needs {problem}. Write {problem.write}."
            ) from problem
        except ImportError as error:
            raise AsyncDriverMissing(
                f"Asynchronous sessions need a package that is not installed: {error}."
                " Write `pip install 'flaskware-sqlalchemy[async]'` and the driver."
            ) from error


@dc.dataclass(eq=False)
class _Loop:
    """Engines and sessions of one event loop."""

    router: Router
    engines: dict[str | None, AsyncEngine]
    sessions: weakref.WeakSet[RoutedAsyncSession] = dc.field(
        default_factory=lambda: weakref.WeakSet[RoutedAsyncSession]()
    )
    end: cabc.AsyncGenerator[None] | None = None


class AsyncDatabases:
    """The asynchronous engines of an app, made for a loop when it first needs them."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._router = databases.router
        drivers = databases.settings.async_drivers
        self._templates = {
            key: _Template(source, drivers)
            for key, source in databases.sources.items()
            if not is_shared_memory(source.engine)
        }
        self._replicas = {
            key: [_Template(source, drivers) for source in sources]
            for key, sources in databases.copies.items()
        }
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop]
        self._loops = weakref.WeakKeyDictionary()

    def engine(self, key: str | None) -> AsyncEngine:
        """Return the engine of a database for the running loop.

        :raises AsyncDriverMissing: if there is no driver for it.
        :raises UnknownBind: if no database of that name is configured.
        """
        from sqlalchemy.ext.asyncio import AsyncEngine

        self._router.engine(key)
        engines = self._loop().engines
        if key not in engines:
            raise AsyncDriverMissing(
                "A SQLite database in memory has no asynchronous engine, because it"
                " belongs to one connection. `db.async_session` works with it; for"
                " `db.async_engine`, use a file."
            )
        engine = engines[key]
        tenant = SCHEMAS.get()
        return (
            engine if tenant is None else AsyncEngine(tenant.apply(engine.sync_engine))
        )

    def engines(self) -> dict[str | None, AsyncEngine]:
        """Return the engine of each database for the running loop."""
        return {key: self.engine(key) for key in self._databases.sources}

    def session(self, state: RequestState | None = None) -> RoutedAsyncSession:
        """Open a session for the running loop, which ends with it at the latest.

        :param state: That of the context of the session; ``None`` for no context.
        """
        loop = self._loop()
        # Reading an attribute that a commit has expired would load it, and no code
        # there awaits the driver: SQLAlchemy raises MissingGreenlet.
        options: dict[str, t.Any]
        options = {"expire_on_commit": False, **self._router.session_options}
        session = RoutedAsyncSession(
            sync_session_class=self._databases.session_class,
            router=self._router_of(loop),
            route=self._databases.route(),
            schemas=SCHEMAS.get(),
            **options,
        )
        loop.sessions.add(session)
        self._databases.watch_lazy_loads(session.routed, state)
        return session

    async def change_schema(
        self, change: cabc.Callable[[Router, Keys], None], keys: Keys
    ) -> None:
        """Create or drop tables through the engines of the running loop."""
        router = self._router_of(self._loop())
        await in_greenlet(lambda: change(router, keys))

    @contextlib.asynccontextmanager
    async def isolated(self) -> cabc.AsyncGenerator[None]:
        """Undo, at the end of the block, everything done in the running loop."""
        loop = self._loop()
        async with contextlib.AsyncExitStack() as stack:
            for engine in loop.engines.values():
                block = isolated_engine(engine.sync_engine)
                await in_greenlet(block.__enter__)
                stack.push_async_callback(
                    in_greenlet, lambda block=block: block.__exit__(None, None, None)
                )
            loop.router.is_isolated = True
            try:
                yield
            finally:
                loop.router.is_isolated = False

    def _router_of(self, loop: _Loop) -> Router:
        # In a synchronous test, all share one connection of the synchronous driver.
        is_shared = self._router.is_isolated and not loop.router.is_isolated
        return self._router if is_shared else loop.router

    def _loop(self) -> _Loop:
        running = asyncio.get_running_loop()
        found = self._loops.get(running)
        if found is None:
            found = self._loops[running] = self._make_loop()
            found.end = self._at_end(running)
            # The first step registers the generator with the loop. asyncio.run() and
            # every server close all open generators before the loop ends.
            with contextlib.suppress(StopIteration):
                found.end.__anext__().send(None)
        return found

    def _make_loop(self) -> _Loop:
        engines = {
            key: self._make(template, key) for key, template in self._templates.items()
        }
        for engine in engines.values():
            note_writes(engine.sync_engine, self._databases.current_route)
        replicas = {
            key: Replicas(
                [self._make(template, key).sync_engine for template in templates],
                self._router.replicas[key].health,
            )
            for key, templates in self._replicas.items()
        }
        router = Router(
            {
                **self._router.engines,
                **{key: engine.sync_engine for key, engine in engines.items()},
            },
            self._router.metadatas,
            replicas,
            self._router.session_options,
        )
        return _Loop(router, engines)

    def _make(self, template: _Template, key: str | None) -> AsyncEngine:
        engine = template.make()
        self._databases.watch.add_engine(engine.sync_engine, key)
        return engine

    async def _at_end(
        self, running: asyncio.AbstractEventLoop
    ) -> cabc.AsyncGenerator[None]:
        try:
            yield
        finally:
            loop = self._loops.pop(running, None)
            if loop is not None:
                await self._close(loop)

    async def _close(self, loop: _Loop) -> None:
        for session in list(loop.sessions):
            with contextlib.suppress(Exception):  # the pool closes what it can
                await session.end()
        engines = [engine.sync_engine for engine in loop.engines.values()]
        for replicas in loop.router.replicas.values():
            engines += replicas.engines
        for engine in engines:
            self._databases.watch.forget_engine(engine)
            await in_greenlet(engine.dispose)
