"""State of the extension for an app: its engines, and the listeners to them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import itertools
import threading
import typing as t

import sqlalchemy as sa

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_sqlalchemy._engines.cipher import Cipher
from flaskware_sqlalchemy._engines.cipher import set_cipher
from flaskware_sqlalchemy._engines.engine import make_engine
from flaskware_sqlalchemy._engines.engine import Source
from flaskware_sqlalchemy._engines.replica import Health
from flaskware_sqlalchemy._engines.replica import Replicas
from flaskware_sqlalchemy._engines.url import EngineProblem
from flaskware_sqlalchemy._insight.lazy_load import watch_lazy_loads
from flaskware_sqlalchemy._insight.query_log import QueryWatch
from flaskware_sqlalchemy._models.model import Metadatas
from flaskware_sqlalchemy._sessions.request_state import RequestState
from flaskware_sqlalchemy._sessions.router import Route
from flaskware_sqlalchemy._sessions.router import Router
from flaskware_sqlalchemy._sessions.router import SCHEMAS
from flaskware_sqlalchemy._sessions.session import note_writes
from flaskware_sqlalchemy._sessions.session import RoutedSession
from flaskware_sqlalchemy._settings import SQLAlchemySettings

if t.TYPE_CHECKING:
    from .async_databases import AsyncDatabases

_making = threading.Lock()


@dc.dataclass(eq=False)
class Databases:
    """The databases of an app."""

    settings: SQLAlchemySettings
    router: Router
    watch: QueryWatch
    sources: dict[str | None, Source]
    copies: dict[str | None, list[Source]]
    session_class: type[RoutedSession]
    current_route: cabc.Callable[[], Route | None]
    """Finds the route of the current context, if it is one of this app."""
    _asynchronous: AsyncDatabases | None = None

    @property
    def asynchronous(self) -> AsyncDatabases:
        """The asynchronous databases; only apps that use them import the module."""
        with _making:  # the first requests may come at once, each in a thread
            if self._asynchronous is None:
                from .async_databases import AsyncDatabases

                self._asynchronous = AsyncDatabases(self)
            return self._asynchronous

    def session(self, state: RequestState | None = None) -> RoutedSession:
        """Open a session; the caller ends it.

        :param state: That of the context that ends it; ``None`` for no context.
        """
        router = self.router
        session = self.session_class(
            router, self.route(), SCHEMAS.get(), **router.session_options
        )
        self.watch_lazy_loads(session, state)
        return session

    def route(self) -> Route | None:
        """Return the route that the sessions of the current context share."""
        route = self.current_route()
        if route is not None and self.router.replicas:
            from flaskware_sqlalchemy._sessions.sticky import look_up

            look_up(route, self.settings.sticky_seconds)
        return route

    def watch_lazy_loads(
        self, session: RoutedSession, state: RequestState | None
    ) -> None:
        """Report N+1 queries of a session, if the app wants to know."""
        mode = self.settings.n_plus_one
        if mode != "off" and state is not None:
            watch_lazy_loads(
                session, state.lazy_loads, mode, lambda: session.is_getting
            )
        if self.settings.fetch_peers:
            from flaskware_sqlalchemy._sessions import peers

            session.fetches_peers = True
            peers.listen(session)

    def engines(self) -> dict[str, sa.Engine]:
        """Return every synchronous engine by the configuration key of its URL."""
        settings = self.settings
        copies = {
            settings.key_of_replica(bind, number): source.engine
            for bind, sources in self.copies.items()
            for number, source in enumerate(sources)
        }
        binds = self.router.engines.items()
        return {**{settings.key_of(bind): engine for bind, engine in binds}, **copies}


class EngineFactory:
    """Maker of the engines of an app, which collects problems with their options."""

    def __init__(
        self,
        settings: SQLAlchemySettings,
        instance_path: str,
        defaults: dict[str, t.Any],
    ) -> None:
        self._settings = settings
        self._instance_path = instance_path
        self._defaults = defaults
        self.watch = QueryWatch()
        self.problems: list[ConfigProblem] = []

    def databases(self) -> dict[str | None, Source]:
        """Make an engine for each database."""
        found: dict[str | None, Source] = {}
        for bind, (url, options) in self._settings.databases().items():
            key = self._settings.key_of(bind)
            options_key = key if bind else self._settings.key("engine_options")
            if self._defaults:
                options_key += " or engine_options=…"
                options = {**self._defaults, **options}
            source = self._make(bind, url, options, key, options_key)
            if source is not None:
                found[bind] = source
        return found

    def copies(self) -> dict[str | None, list[Source]]:
        """Make an engine for each replica."""
        found: dict[str | None, list[Source]] = {}
        for bind, copies in self._settings.copies().items():
            for number, (url, options) in enumerate(copies):
                key = self._settings.key_of_replica(bind, number)
                options = {**self._defaults, **options}
                source = self._make(bind, url, options, key, key, is_replica=True)
                if source is not None:
                    found.setdefault(bind, []).append(source)
        return found

    def _make(
        self,
        bind: str | None,
        url: str,
        options: dict[str, t.Any],
        key: str,
        options_key: str,
        *,
        is_replica: bool = False,
    ) -> Source | None:
        settings = self._settings
        try:
            source = make_engine(
                url,
                options,
                instance_path=self._instance_path,
                echo=settings.echo,
                isolation_level=settings.level_of(bind),
                timeout=settings.timeout_of(bind),
                pragmas=settings.sqlite_pragmas,
                is_replica=is_replica,
            )
            self.watch.add_engine(source.engine, bind)
            return source
        except EngineProblem as error:
            problem = ConfigProblem(options_key, str(error), error.given, error.write)
        except OSError as error:
            problem = ConfigProblem(
                key,
                f"a path whose folder can be made ({error.strerror})",
                str(error.filename or ""),
                "an absolute path, or Flask(instance_path=…)",
            )
        self.problems.append(problem)
        return None


def build(
    settings: SQLAlchemySettings,
    metadatas: Metadatas,
    instance_path: str,
    session_options: dict[str, t.Any],
    session_class: type[RoutedSession],
    current_route: cabc.Callable[[], Route | None],
    engine_options: dict[str, t.Any],
) -> Databases:
    """Make the databases of an app's configuration; nothing is connected yet.

    :param current_route: Finds the route of the current context.
    :param engine_options: Defaults of the options of every engine.
    :raises ConfigError: listing each option that is wrong.
    """
    factory = EngineFactory(settings, instance_path, engine_options)
    sources, copies = factory.databases(), factory.copies()
    if settings.encryption_keys:
        keys = [key.get_secret_value() for key in settings.encryption_keys]
        cipher = Cipher(keys)
        for source in (*sources.values(), *itertools.chain(*copies.values())):
            set_cipher(source.engine, cipher)
    if factory.problems:
        raise ConfigError(settings.distribution, factory.problems)
    engines = {bind: source.engine for bind, source in sources.items()}
    replicas = {
        bind: Replicas(
            [source.engine for source in found],
            Health(len(found), settings.replica_retry),
        )
        for bind, found in copies.items()
    }
    router = Router(engines, metadatas, replicas, session_options)
    for engine in engines.values():
        note_writes(engine, current_route)
    return Databases(
        settings,
        router,
        factory.watch,
        sources,
        copies,
        session_class,
        current_route,
    )


def need_key(settings: SQLAlchemySettings) -> t.NoReturn:
    """Refuse an app without a key to sign cookies with."""
    raise ConfigError(
        settings.distribution,
        [
            ConfigProblem(
                "SECRET_KEY",
                "a key: SQLALCHEMY_STICKY_SECONDS sets a signed cookie",
                "nothing",
                "SECRET_KEY = the output of"
                " `python -c 'import secrets; print(secrets.token_hex())'`",
            )
        ],
    )
