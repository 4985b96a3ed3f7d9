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

from flaskware_sqlalchemy._engines.engine import is_shared_memory
from flaskware_sqlalchemy._engines.engine import prepare
from flaskware_sqlalchemy._engines.engine import Source
from flaskware_sqlalchemy._engines.replica import Health
from flaskware_sqlalchemy._engines.replica import Replicas
from flaskware_sqlalchemy._engines.url import async_url
from flaskware_sqlalchemy._errors import AsyncDriverMissing
from flaskware_sqlalchemy._insight.query_log import QueryWatch
from flaskware_sqlalchemy._sessions.async_session import in_greenlet
from flaskware_sqlalchemy._sessions.async_session import RoutedAsyncSession
from flaskware_sqlalchemy._sessions.session import Router

if t.TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class _Template:
    """Makes the engines of one database, a further one for each event loop."""

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
        # The dialect asks the server what it is once, and compiled statements are kept:
        # an event loop that lives for one request has only its connections to make.
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
            return create_async_engine(url, **self._source.options).sync_engine
        except ImportError as error:
            raise AsyncDriverMissing(
                f"Asynchronous sessions need a package that is not installed: {error}."
                " Write `pip install 'flaskware-sqlalchemy[async]'` and the driver."
            ) from error


@dc.dataclass(eq=False)
class _Loop:
    """What belongs to one event loop."""

    router: Router
    engines: dict[str | None, AsyncEngine]
    sessions: weakref.WeakSet[RoutedAsyncSession] = dc.field(
        default_factory=lambda: weakref.WeakSet[RoutedAsyncSession]()
    )
    end: cabc.AsyncGenerator[None] | None = None


class AsyncDatabases:
    """The asynchronous engines of an app, made for a loop when it first needs them."""

    def __init__(
        self,
        router: Router,
        sources: cabc.Mapping[str | None, Source],
        replicas: cabc.Mapping[str | None, cabc.Sequence[Source]],
        health: cabc.Mapping[str | None, Health],
        drivers: cabc.Mapping[str, str],
        watch: QueryWatch,
    ) -> None:
        self._router = router
        self._templates = {
            key: _Template(source, drivers)
            for key, source in sources.items()
            if not is_shared_memory(source.engine)
        }
        self._replicas = {
            key: [_Template(source, drivers) for source in some]
            for key, some in replicas.items()
        }
        self._health = health
        self._watch = watch
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop]
        self._loops = weakref.WeakKeyDictionary()

    def engine(self, key: str | None) -> AsyncEngine:
        """The engine of a database for the running loop.

        :raises AsyncDriverMissing: if there is no driver for it.
        """
        self._router.engine(key)  # an unknown one is told of
        engines = self._loop().engines
        if key not in engines:
            raise AsyncDriverMissing(
                "A SQLite database in memory has no asynchronous engine, because it"
                " belongs to one connection. `db.async_session` works with it; for"
                " `db.async_engine`, use a file."
            )
        return engines[key]

    def session(self, **arguments: t.Any) -> RoutedAsyncSession:
        """Make a session for the running loop; it is ended with it at the latest."""
        loop = self._loop()
        # An attribute that a commit has expired is loaded where it is read, and there
        # nothing awaits the driver: SQLAlchemy raises MissingGreenlet.
        options = {"expire_on_commit": False, **self._router.session_options}
        session = RoutedAsyncSession(router=self.router(), **options, **arguments)
        loop.sessions.add(session)
        return session

    def router(self) -> Router:
        """Where the sessions of the running loop get their connections from."""
        loop = self._loop()
        # In a synchronous test there is one connection, and it is a synchronous one.
        is_shared = self._router.is_isolated and not loop.router.is_isolated
        return self._router if is_shared else loop.router

    def begin_isolation(self) -> cabc.Sequence[sa.Engine]:
        """Let sessions keep their engines in an isolated test, and return these."""
        loop = self._loop()
        loop.router.is_isolated = True
        return [engine.sync_engine for engine in loop.engines.values()]

    def end_isolation(self) -> None:
        """Take back what :meth:`begin_isolation` did."""
        self._loop().router.is_isolated = False

    def _loop(self) -> _Loop:
        running = asyncio.get_running_loop()
        found = self._loops.get(running)
        if found is None:
            found = self._loops[running] = self._make_loop()
            found.end = self._at_end(running)
            # Its first step registers it with the loop, which closes every generator
            # that is still open before it ends: asyncio.run() and each server do so.
            with contextlib.suppress(StopIteration):
                found.end.__anext__().send(None)
        return found

    def _make_loop(self) -> _Loop:
        engines = {key: self._make(one, key) for key, one in self._templates.items()}
        replicas = {
            key: Replicas(
                [self._make(one, key).sync_engine for one in some], self._health[key]
            )
            for key, some in self._replicas.items()
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
        self._watch.add_engine(engine.sync_engine, key)
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
        copies = [one for some in loop.router.replicas.values() for one in some.engines]
        for engine in [*(one.sync_engine for one in loop.engines.values()), *copies]:
            self._watch.forget_engine(engine)
            await in_greenlet(engine.dispose)
