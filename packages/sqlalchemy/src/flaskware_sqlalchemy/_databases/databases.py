"""What is kept for an app: its engines, and what listens to them."""

from __future__ import annotations

import dataclasses as dc
import threading
import typing as t

import sqlalchemy as sa

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_sqlalchemy._engines.engine import EngineOptionProblem
from flaskware_sqlalchemy._engines.engine import make_engine
from flaskware_sqlalchemy._engines.engine import Source
from flaskware_sqlalchemy._engines.replica import Health
from flaskware_sqlalchemy._engines.replica import Replicas
from flaskware_sqlalchemy._insight.query_log import QueryWatch
from flaskware_sqlalchemy._models.model import Metadatas
from flaskware_sqlalchemy._sessions.lazy_load import Seen
from flaskware_sqlalchemy._sessions.lazy_load import watch
from flaskware_sqlalchemy._sessions.session import RoutedSession
from flaskware_sqlalchemy._sessions.session import Router
from flaskware_sqlalchemy._settings import SQLAlchemySettings

if t.TYPE_CHECKING:
    from .async_databases import AsyncDatabases

_making = threading.Lock()


@dc.dataclass(eq=False)
class Databases:
    """What is kept for an app."""

    router: Router
    watch: QueryWatch
    sources: dict[str | None, Source]
    copies: dict[str | None, list[Source]]
    health: dict[str | None, Health]
    drivers: dict[str, str]
    n_plus_one: t.Literal["off", "warn", "raise"]
    sticky_seconds: float
    _asynchronous: AsyncDatabases | None = None

    @property
    def asynchronous(self) -> AsyncDatabases:
        """The asynchronous engines; who uses none never imports their part."""
        with _making:  # the first requests come at once, each in a thread
            if self._asynchronous is None:
                from .async_databases import AsyncDatabases

                self._asynchronous = AsyncDatabases(
                    self.router, self.sources, self.copies, self.health, self.drivers,
                    self.watch,
                )  # fmt: skip
            return self._asynchronous

    def watch_loads(self, session: RoutedSession, seen: Seen) -> None:
        """Tell of what a session loads one by one, where the app wants to know."""
        if self.n_plus_one != "off":
            watch(session, seen, self.n_plus_one)

    def engines(self) -> list[sa.Engine]:
        """Every synchronous engine, those of replicas included."""
        copies = [one.engine for some in self.copies.values() for one in some]
        return [*self.router.engines.values(), *copies]


class _Maker:
    """Makes engines, and collects what is wrong with their options."""

    def __init__(self, settings: SQLAlchemySettings, instance_path: str) -> None:
        self._settings = settings
        self._instance_path = instance_path
        self.problems: list[ConfigProblem] = []

    def databases(self) -> dict[str | None, Source]:
        """One for each database."""
        found: dict[str | None, Source] = {}
        for bind, (url, options) in self._settings.databases().items():
            place = self._settings.key_of(bind)
            options_place = place if bind else self._settings.key("engine_options")
            source = self._make(bind, url, options, place, options_place)
            if source is not None:
                found[bind] = source
        return found

    def copies(self) -> dict[str | None, list[Source]]:
        """One for each replica."""
        found: dict[str | None, list[Source]] = {}
        for bind, some in self._settings.copies().items():
            for number, (url, options) in enumerate(some):
                place = self._settings.key_of_replica(bind, number)
                source = self._make(bind, url, options, place, place, is_replica=True)
                if source is not None:
                    found.setdefault(bind, []).append(source)
        return found

    def _make(
        self,
        bind: str | None,
        url: str,
        options: dict[str, t.Any],
        place: str,
        options_place: str,
        *,
        is_replica: bool = False,
    ) -> Source | None:
        settings = self._settings
        try:
            return make_engine(
                url,
                options,
                instance_path=self._instance_path,
                echo=settings.echo,
                isolation_level=settings.level_of(bind),
                timeout=settings.timeout_of(bind),
                pragmas=settings.sqlite_pragmas,
                is_replica=is_replica,
            )
        except EngineOptionProblem as error:
            problem = ConfigProblem(options_place, str(error), error.given, error.write)
        except OSError as error:
            problem = ConfigProblem(
                place,
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
) -> Databases:
    """Make the engines that an app is configured to have.

    :raises ConfigError: listing each option that cannot be.
    """
    maker = _Maker(settings, instance_path)
    sources, copies = maker.databases(), maker.copies()
    if maker.problems:
        raise ConfigError(settings.distribution, maker.problems)
    health = {
        bind: Health(len(some), settings.replica_retry) for bind, some in copies.items()
    }
    replicas = {
        bind: Replicas([one.engine for one in some], health[bind])
        for bind, some in copies.items()
    }
    engines = {bind: source.engine for bind, source in sources.items()}
    watch = QueryWatch()
    for bind, source in sources.items():
        watch.add_engine(source.engine, bind)
    for bind, some in copies.items():
        for source in some:
            watch.add_engine(source.engine, bind)
    router = Router(engines, metadatas, replicas, session_options)
    return Databases(
        router,
        watch,
        sources,
        copies,
        health,
        settings.async_drivers,
        settings.n_plus_one,
        settings.sticky_seconds,
    )
