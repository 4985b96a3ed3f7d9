from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t

import flask
import sqlalchemy as sa
import typing_extensions as te
from flask.sansio.app import App
from sqlalchemy import orm

from flaskware_core import attach
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import Extension
from flaskware_core import Finding

from ._checks import check
from ._engine import EngineOptionProblem
from ._engine import make_engine
from ._isolation import isolated
from ._model import metadatas_of
from ._model import Model
from ._probe import unreachable
from ._query import Queries
from ._schema import ALL
from ._schema import Keys
from ._schema import tables_and_binds
from ._session import RoutedSession
from ._session import Router
from ._settings import SQLAlchemySettings
from ._transaction import transaction

_B = te.TypeVar(
    "_B",
    bound=orm.DeclarativeBase | orm.DeclarativeBaseNoMeta,
    default=orm.DeclarativeBase,
)

_Sessions: t.TypeAlias = dict[tuple["SQLAlchemy[t.Any]", str], RoutedSession]

# On `g`, so that each app context, of whatever app, has sessions of its own; async
# views and threads that copy the context have the same.
_SESSIONS = "_flaskware_sqlalchemy_sessions"


@dc.dataclass(frozen=True)
class Databases:
    """What is kept for an app."""

    router: Router


class SQLAlchemy(Queries, Extension[SQLAlchemySettings, Databases], t.Generic[_B]):
    """Engines and sessions of an app, bound to its contexts.

    :param app: Initialise on this app at once.
    :param model_class: The declarative base of the app's models; one is made if
        none is given.
    :param overrides: ``database_uri``, ``binds``, ``engine_options``, ``echo``: they
        win over the config keys of these names.
    """

    name = "sqlalchemy"
    outside = (
        "Write `with app.app_context():` around it, or"
        " `with db.session_scope(app) as session:` in a script or a thread."
    )

    Model: type[_B]
    """The declarative base."""

    def __init__(
        self,
        app: App | None = None,
        *,
        model_class: type[_B] | None = None,
        **overrides: t.Any,
    ) -> None:
        base = _make_base() if model_class is None else model_class
        if not hasattr(base, "registry"):
            raise TypeError(
                f"model_class is {model_class!r}, which is no declarative base. Write"
                " `class Base(Model, DeclarativeBase): ...` and `model_class=Base`."
            )
        self.Model = t.cast("type[_B]", base)
        self._metadatas = metadatas_of(base)
        super().__init__(app, **overrides)

    def _build(self, app: App, settings: SQLAlchemySettings) -> Databases:
        engines: dict[str | None, sa.Engine] = {}
        problems: list[ConfigProblem] = []
        for key, (url, options) in settings.databases().items():
            try:
                engines[key] = make_engine(
                    url, options, instance_path=app.instance_path, echo=settings.echo
                )
            except EngineOptionProblem as problem:
                place = settings.key_of(key) if key else settings.key("engine_options")
                problems.append(ConfigProblem(place, str(problem), "", problem.write))
            except OSError as error:
                problems.append(
                    ConfigProblem(
                        settings.key_of(key),
                        f"a path whose folder can be made ({error.strerror})",
                        str(error.filename or ""),
                        "an absolute path, or Flask(instance_path=…)",
                    )
                )
        if problems:
            raise ConfigError(settings.distribution, problems)
        return Databases(Router(engines, self._metadatas))

    def _attach(
        self,
        app: App,
        settings: SQLAlchemySettings,  # noqa: ARG002
        state: Databases,  # noqa: ARG002
    ) -> None:
        attach(app, "teardown_appcontext", _end_sessions, blocking=True)
        app.shell_context_processor(self._names_for_shell)

    def _close(self, state: Databases) -> None:
        for engine in state.router.engines.values():
            engine.dispose()

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:
        engines = self.state_of(app).router.engines
        return check(self.settings_of(app), engines, self._metadatas, deploy=deploy)

    def _probe(self, app: App) -> cabc.Iterator[ConfigProblem]:
        engines = self.state_of(app).router.engines
        for key, reason in unreachable(engines).items():
            yield ConfigProblem(
                SQLAlchemySettings.key_of(key),
                f"a database that answers; this one does not: {reason}",
                engines[key].url.render_as_string(hide_password=True),
                "the URL of a server that runs, or start it",
            )

    def _isolate(self, app: App) -> contextlib.AbstractContextManager[None]:
        return self.test_isolation(app)

    def _names_for_shell(self) -> dict[str, t.Any]:
        mappers = self.Model.registry.mappers
        return {**{m.class_.__name__: m.class_ for m in mappers}, "db": self}

    @property
    def session(self) -> orm.Session:
        """The session of the current app context, made on first use.

        It is rolled back and closed when the context ends; what should stay is
        committed before.

        :raises NotInitialised: outside an app context.
        """
        return self.get_session()

    def get_session(self, name: str = "default") -> orm.Session:
        """A further session of the current app context, beside :attr:`session`.

        It has a transaction of its own: what it commits stays when the other is
        rolled back.

        :raises NotInitialised: outside an app context.
        """
        try:
            session: orm.Session = getattr(flask.g, _SESSIONS)[self, name]
        except (AttributeError, KeyError, RuntimeError):
            return self._new_session(name)
        return session

    def _new_session(self, name: str) -> orm.Session:
        router = self.state.router
        sessions: _Sessions = flask.g.setdefault(_SESSIONS, {})
        # One of two threads that share a context may lose; it has used nothing yet.
        return sessions.setdefault((self, name), router.session())

    @contextlib.contextmanager
    def session_scope(self, app: App | None = None) -> cabc.Generator[orm.Session]:
        """A session for a script, a worker or a thread; no app context is needed.

        It is rolled back and closed at the end; what should stay is committed before.

        :param app: The current one if left out.
        """
        state = self.state if app is None else self.state_of(app)
        session = state.router.session()
        try:
            yield session
        finally:
            session.end()

    @contextlib.contextmanager
    def transaction(self) -> cabc.Generator[orm.Session]:
        """Commit what :attr:`session` does in the block, or roll back on an error.

        A block inside another one is a savepoint: its error undoes no more than what
        it did itself. Also a decorator: ``@db.transaction()``.
        """
        with transaction(self.session) as session:
            yield session

    @property
    def engines(self) -> cabc.Mapping[str | None, sa.Engine]:
        """The engines of the current app by name, the default one's being ``None``."""
        return self.state.router.engines

    @property
    def engine(self) -> sa.Engine:
        """The default engine of the current app."""
        return self.state.router.engines[None]

    def get_engine(self, bind_key: str | None = None) -> sa.Engine:
        """An engine of the current app.

        :raises UnknownBind: if none of that name is configured.
        """
        return self.state.router.engine(bind_key)

    @property
    def metadatas(self) -> cabc.Mapping[str | None, sa.MetaData]:
        """The metadata of each database, made when its name is first looked up."""
        return self._metadatas

    @property
    def metadata(self) -> sa.MetaData:
        """The metadata of the default database."""
        return self._metadatas[None]

    def create_all(self, *, bind_key: Keys = ALL) -> None:
        """Make the tables that do not exist yet.

        :param bind_key: The name of a database, ``None`` for the default one, or
            several; every database if left out.
        :raises UnknownBind: if one is not configured.
        """
        router = self.state.router
        for metadata, bind in tables_and_binds(router, self._metadatas, bind_key):
            metadata.create_all(bind)

    def drop_all(self, *, bind_key: Keys = ALL) -> None:
        """Drop the tables, and all that is in them.

        :param bind_key: See :meth:`create_all`.
        :raises UnknownBind: if one is not configured.
        """
        router = self.state.router
        for metadata, bind in tables_and_binds(router, self._metadatas, bind_key):
            metadata.drop_all(bind)

    @contextlib.contextmanager
    def test_isolation(self, app: App | None = None) -> cabc.Generator[None]:
        """Undo, at the end of the block, what sessions did to any database in it.

        The code under test may commit, roll back and use savepoints. Connections
        taken from an engine directly are not part of it.

        :param app: The current one if left out.
        """
        state = self.state if app is None else self.state_of(app)
        # A context that is already active goes on with its own sessions afterwards.
        outer = flask.g.pop(_SESSIONS, None) if flask.has_app_context() else None
        with isolated(state.router):
            try:
                yield
            finally:
                if flask.has_app_context():
                    _end_sessions()
        if outer is not None:
            setattr(flask.g, _SESSIONS, outer)


def _end_sessions(error: BaseException | None = None) -> None:  # noqa: ARG001
    sessions: _Sessions | None = flask.g.pop(_SESSIONS, None)
    if sessions is not None:
        with contextlib.ExitStack() as stack:
            for session in sessions.values():
                stack.callback(session.end)


def _make_base() -> type[orm.DeclarativeBase]:
    class Base(Model, orm.DeclarativeBase):
        pass

    return Base
