from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

import flask
import sqlalchemy as sa
import typing_extensions as te
from flask.ctx import AppContext
from flask.sansio.app import App
from sqlalchemy import orm

from flaskware_core import attach
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import Extension
from flaskware_core import Finding

from ._async import AsyncQueries
from ._databases.schema import ALL
from ._databases.schema import Keys
from ._databases.schema import tables_and_engines
from ._models.model import based_on
from ._models.model import metadatas_of
from ._models.model import Model
from ._models.names import Names
from ._sessions.request_state import current_context
from ._sessions.request_state import current_schemas
from ._sessions.request_state import end_sessions
from ._sessions.request_state import Held
from ._sessions.request_state import held_by
from ._sessions.request_state import held_by_context
from ._sessions.request_state import KEY
from ._sessions.request_state import mapped_schemas
from ._sessions.request_state import SCHEMAS
from ._sessions.session import checked_options
from ._sessions.session import ContextSession
from ._sessions.session import RoutedSession
from ._sessions.session import Router
from ._settings import SQLAlchemySettings

if t.TYPE_CHECKING:
    from ._databases.databases import Databases
    from ._insight.query_log import RecordedQuery
    from ._sessions.transaction import Block
    from ._sessions.transaction import Transaction

# The other parts are imported where they are used: at `init_app`, or by the first
# request, test or command that asks for what they do. To import them all takes as
# long as the whole of Flask's own modules.
_B = te.TypeVar(
    "_B",
    bound=orm.DeclarativeBase | orm.DeclarativeBaseNoMeta,
    default=orm.DeclarativeBase,
)


class SQLAlchemy(
    AsyncQueries, Names, Extension[SQLAlchemySettings, "Databases"], t.Generic[_B]
):
    """Engines and sessions of an app, bound to its contexts.

    :param app: Initialise on this app at once.
    :param model_class: The declarative base of the app's models; one is made if
        none is given.
    :param metadata: For the base that is made; one with a naming convention if left
        out.
    :param session_options: For each :class:`sqlalchemy.orm.Session`, such as
        ``{"expire_on_commit": False}``. One it does not know, or that is set here,
        such as ``bind`` or ``class_``, is a :class:`TypeError`.
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
        metadata: sa.MetaData | None = None,
        session_options: cabc.Mapping[str, t.Any] | None = None,
        **overrides: t.Any,
    ) -> None:
        base = _make_base(metadata) if model_class is None else model_class
        if not hasattr(base, "registry"):
            raise TypeError(
                f"model_class is {model_class!r}, which is no declarative base. Write"
                " `class Base(Model, DeclarativeBase): ...` and `model_class=Base`."
            )
        base = based_on(base)
        self.Model = t.cast("type[_B]", base)
        self._session_options = checked_options(session_options or {})
        self._metadatas = metadatas_of(base)
        super().__init__(app, **overrides)

    def _build(self, app: App, settings: SQLAlchemySettings) -> Databases:
        if settings.sticky_seconds and not app.secret_key:
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
        from ._databases.databases import build

        return build(
            settings, self._metadatas, app.instance_path, self._session_options
        )

    def _attach(self, app: App, settings: SQLAlchemySettings, state: Databases) -> None:
        from ._insight.query_log import QueryListener
        from ._insight.query_log import warn_of_slow
        from ._pagination.links import page_query

        attach(app, "teardown_appcontext", end_sessions, blocking=True)
        app.shell_context_processor(self._names_for_shell)
        app.register_blueprint(
            flask.Blueprint(
                "flaskware_sqlalchemy", __name__, template_folder="templates"
            )
        )
        app.add_template_global(page_query)
        if settings.slow_query is not None:
            state.watch.listen(QueryListener(warn_of_slow, least=settings.slow_query))
        timing = settings.server_timing
        if timing is None:
            timing = app.debug
        if timing or settings.record_queries:
            state.watch.listen(QueryListener(self._keep_query))
        if timing:
            attach(app, "after_request", self._send_timing)
        if settings.sticky_seconds and state.router.replicas:
            attach(app, "after_request", self._remember_write)
        if settings.commit_on_success:
            # Last, so that it is the first to see the response: what other hooks
            # send with it tells of what was committed.
            attach(app, "after_request", self._commit_on_success, blocking=True)

    def _close(self, state: Databases) -> None:
        for engine in state.engines():
            engine.dispose()

    def _keep_query(self, query: RecordedQuery) -> None:
        if flask.has_app_context():
            held_by_context(self).queries.append(query)

    def _send_timing(self, response: flask.Response) -> flask.Response:
        from ._insight.query_log import server_timing

        queries = held_by_context(self).queries
        response.headers.add("Server-Timing", server_timing(queries))
        return response

    def _remember_write(self, response: flask.Response) -> flask.Response:
        from ._sessions.sticky import remember

        if held_by_context(self).route.wrote:
            remember(response, self.settings.sticky_seconds)
        return response

    def _commit_on_success(self, response: flask.Response) -> flask.Response:
        if response.status_code < 400:
            for session in held_by_context(self).sessions.values():
                session.commit()
        return response

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:
        from ._checks import check

        engines = self.state_of(app).router.engines
        return check(self.settings_of(app), engines, self._metadatas, deploy=deploy)

    def _probe(self, app: App) -> cabc.Iterator[ConfigProblem]:
        from ._engines.probe import unreachable

        router, names = self.state_of(app).router, SQLAlchemySettings
        engines = {names.key_of(key): one for key, one in router.engines.items()}
        for key, some in router.replicas.items():
            for number, one in enumerate(some.engines):
                engines[names.key_of_replica(key, number)] = one
        for key, reason in unreachable(engines).items():
            yield ConfigProblem(
                key,
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
        committed before. Outside an app context, any use of it raises
        :class:`~flaskware_core.NotInitialised`; it can be handed on before there is a
        context, as to Flask-Admin.
        """
        context = current_context()
        if context is None:
            return t.cast("orm.Session", ContextSession(self.get_session))
        return self._session_of(context, "default")

    def get_session(self, name: str = "default") -> orm.Session:
        """A further session of the current app context, beside :attr:`session`.

        It has a transaction of its own: what it commits stays when the other is
        rolled back.

        :raises NotInitialised: outside an app context.
        """
        return self._session_of(current_context(), name)

    def _session_of(self, context: AppContext | None, name: str) -> RoutedSession:
        key = name, SCHEMAS.get()
        held = None if context is None else held_by(context, self)
        if held is not None and key in held.sessions:
            return held.sessions[key]
        databases = self.state
        held = self._held(databases)
        session = databases.router.session(held.route, current_schemas())
        databases.watch_loads(session, held.lazy_loads)
        return held.sessions.setdefault(key, session)

    def _databases(self, app: App | None = None) -> Databases:
        return self.state if app is None else self.state_of(app)

    def _held(self, databases: Databases) -> Held:
        held = held_by_context(self)
        if databases.router.replicas and not held.route.is_known:
            from ._sessions.sticky import wrote_lately

            held.route.is_known = True
            seconds = databases.sticky_seconds
            held.route.is_sticky = bool(
                seconds and flask.has_request_context() and wrote_lately(seconds)
            )
        return held

    @contextlib.contextmanager
    def session_scope(self, app: App | None = None) -> cabc.Generator[orm.Session]:
        """A session for a script, a worker or a thread; no app context is needed.

        It is rolled back and closed at the end; what should stay is committed before.

        :param app: The current one if left out.
        """
        state = self._databases(app)
        session = state.router.session(schemas=current_schemas())
        try:
            yield session
        finally:
            session.end()

    def transaction(
        self,
        *,
        retries: int = 0,
        isolation_level: str | None = None,
        timeout: float | None = None,
        name: str = "default",
    ) -> Transaction:
        """Commit what a session does in the block, or roll back on an error.

        A block inside another one is a savepoint: its error undoes no more than what
        it did itself. Also a decorator: ``@db.transaction(retries=3)``.

        :param retries: How often a decorated function is run again, after a while, when
            the database asks for it: a serialization failure, a deadlock, a lock that
            was not to be had, a connection that was lost before the commit. The body
            of a ``with`` block cannot be run twice.
        :param isolation_level: Such as ``"SERIALIZABLE"``.
        :param timeout: How many seconds a statement may take.
        :param name: That of the session; see :meth:`get_session`.
        :raises TransactionBegun: if the level or the timeout is that of a transaction
            that has written already.
        """

        from ._sessions.transaction import Block
        from ._sessions.transaction import Transaction

        def make() -> Block:
            session = t.cast("RoutedSession", self.get_session(name))
            return Block(session, level=isolation_level, timeout=timeout)

        return Transaction(make, retries)

    def primary(self) -> contextlib.AbstractContextManager[None]:
        """Read from the primary in the block, and not from a replica."""
        from ._engines.replica import primary

        return primary()

    def schemas(
        self, schemas: cabc.Mapping[str | None, str | None]
    ) -> contextlib.AbstractContextManager[None]:
        """Use other schemas in the block: one schema for each tenant.

        The block has sessions of its own, which are ended with the app context.

        :param schemas: The schema to use by the one that a model names; ``None`` is
            for models that name none.
        """
        return mapped_schemas(schemas)

    @property
    def recorded_queries(self) -> cabc.Sequence[RecordedQuery]:
        """What the current context asked the databases, in its order.

        Empty unless ``SQLALCHEMY_RECORD_QUERIES`` is set.
        """
        return held_by_context(self).queries

    @contextlib.contextmanager
    def assert_queries(
        self,
        exactly: int | None = None,
        *,
        min: int = 0,  # noqa: A002 as in max=
        max: int | None = None,  # noqa: A002 what is counted has no better name
        app: App | None = None,
    ) -> cabc.Generator[list[RecordedQuery]]:
        """Fail unless the block sends so many statements to the databases.

        The error names each statement, how often it was sent, and the line that did.

        :param exactly: The number; or give ``min`` and ``max``.
        :param app: The current one if left out.
        """
        from ._insight.query_log import expected_count
        from ._insight.query_log import explain_count

        state = self._databases(app)
        with state.watch.recording() as queries:
            yield queries
        count, least, most = len(queries), min, max
        if exactly is not None:
            least, most = exactly, exactly
        if count < least or (most is not None and count > most):
            raise AssertionError(explain_count(queries, expected_count(least, most)))

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

    def create_all(self, bind_key: Keys = ALL) -> None:
        """Make the tables that do not exist yet.

        :param bind_key: The name of a database, ``None`` for the default one, or
            several; every database if left out.
        :raises UnknownBind: if one is not configured.
        """
        for metadata, engine in self._tables(self.state.router, bind_key):
            metadata.create_all(engine)

    def drop_all(self, bind_key: Keys = ALL) -> None:
        """Drop the tables, and all that is in them.

        :param bind_key: See :meth:`create_all`.
        :raises UnknownBind: if one is not configured.
        """
        for metadata, engine in self._tables(self.state.router, bind_key):
            metadata.drop_all(engine)

    def _tables(
        self, router: Router, keys: Keys
    ) -> cabc.Iterator[tuple[sa.MetaData, sa.Engine]]:
        return tables_and_engines(router, self._metadatas, keys, current_schemas())

    @contextlib.contextmanager
    def test_isolation(self, app: App | None = None) -> cabc.Generator[None]:
        """Undo, at the end of the block, what was done to any database in it.

        The code under test may commit, roll back and use savepoints, in threads too,
        by sessions, asynchronous sessions or connections of the engines.

        :param app: The current one if left out.
        :raises RuntimeError: if the databases are isolated already.
        """
        from ._sessions.isolation import isolated

        router = self._databases(app).router
        if router.is_isolated:
            raise RuntimeError(
                "The databases of this app are isolated already. With"
                " `flaskware_isolation = true` in the pytest configuration each test"
                " is, so remove `test_isolation()` from the test or the fixture."
            )
        # A context that is already active goes on with its own sessions afterwards.
        outer = flask.g.pop(KEY, None) if flask.has_app_context() else None
        with contextlib.ExitStack() as stack:
            for engine in router.engines.values():
                stack.enter_context(isolated(engine))
            router.is_isolated = True
            try:
                yield
            finally:
                router.is_isolated = False
                if flask.has_app_context():
                    end_sessions()
                    if outer is not None:
                        setattr(flask.g, KEY, outer)


def _make_base(metadata: sa.MetaData | None) -> type[orm.DeclarativeBase]:
    if metadata is None:

        class Base(Model, orm.DeclarativeBase):
            pass

        return Base

    given = metadata

    class BaseOfMetadata(Model, orm.DeclarativeBase):
        metadata = given

    return BaseOfMetadata
