"""The extension: configuration of an app, sessions, queries, schemas, isolation.

Rooms: _errors < _engines < _insight < _pagination < _models < _sessions < _settings
< _databases < _checks < _lookups < _coroutines < _extension
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import typing as t
import warnings
import weakref

import flask
import sqlalchemy as sa
import typing_extensions as te
from flask.sansio.app import App
from sqlalchemy import orm

from flaskware_core import active_app
from flaskware_core import active_context
from flaskware_core import attach
from flaskware_core import ConfigProblem
from flaskware_core import Finding
from flaskware_core import refuse_in_event_loop

from ._coroutines import Coroutines
from ._databases.schema import ALL
from ._databases.schema import create_tables
from ._databases.schema import drop_tables
from ._databases.schema import Keys
from ._databases.schema import reflect_tables
from ._lookups import first_or_404
from ._lookups import get_or_404
from ._lookups import GetArgs
from ._lookups import one_or_404
from ._models.legacy_query import LegacyQuery
from ._models.model import model_base
from ._models.names import SQLAlchemyNames
from ._sessions.context_session import ContextRegistry
from ._sessions.context_session import ContextSession
from ._sessions.request_state import end_sessions
from ._sessions.request_state import end_sessions_awaited
from ._sessions.request_state import refuse_session_in_event_loop
from ._sessions.request_state import request_state
from ._sessions.request_state import RequestState
from ._sessions.router import mapped_schemas
from ._sessions.router import rows_of
from ._sessions.router import SCHEMAS
from ._sessions.router import with_schemas
from ._sessions.session import release_sessions
from ._sessions.session import routed
from ._sessions.session import RoutedSession
from ._sessions.session import session_factory
from ._settings import SQLAlchemySettings

if t.TYPE_CHECKING:
    from ._databases.databases import Databases
    from ._insight.query_log import RecordedQuery
    from ._pagination.keyset import KeysetPage
    from ._pagination.page import Count
    from ._pagination.page import Page
    from ._pagination.request import KeysetArgs
    from ._pagination.request import PageArgs
    from ._sessions.router import Route
    from ._sessions.transaction import Transaction
    from ._sessions.upsert import Attributes
    from ._sessions.upsert import Rows

# Other modules are imported at their first use: at `init_app`, or by the first
# request, test or command that needs them. Importing all of them at once takes as
# long as all of Flask's own modules.
_B = te.TypeVar(
    "_B",
    bound=orm.DeclarativeBase | orm.DeclarativeBaseNoMeta,
    default=orm.DeclarativeBase,
)
_O = t.TypeVar("_O")
_T = t.TypeVar("_T")
_U = t.TypeVar("_U")
_Ts = t.TypeVarTuple("_Ts")


class SQLAlchemy(SQLAlchemyNames, Coroutines, t.Generic[_B]):
    """Engines and sessions of an app, bound to its contexts.

    :param app: Initialise on this app at once.
    :param model_class: The declarative base of the app's models, or a mixin for all of
        them. The default is a new base.
    :param metadata: For the new base; its default has a naming convention.
    :param session_options: For each :class:`sqlalchemy.orm.Session`, such as
        ``{"expire_on_commit": False}``; ``class_`` is a subclass of it. An option that
        is unknown, or that this extension sets, such as ``bind``, is a
        :class:`TypeError`.
    :param engine_options: Defaults of the options of every engine, which those of the
        configuration win over.
    :param query_class: The class of ``Model.query``, of ``db.session.query()`` and of
        dynamic relationships.
    :param add_models_to_shell: False for a ``flask shell`` without models.
    :param disable_autonaming: True if every model names its table.
    :param overrides: ``database_uri``, ``binds``, ``echo`` and other settings: they win
        over the config keys of these names.
    """

    name = "sqlalchemy"
    outside = (
        "Write `with app.app_context():` around it, or"
        " `with db.session_scope(app) as session:` in a script or a thread."
    )

    Model: type[_B]
    """The declarative base."""

    session: ContextSession
    """The session of the current app context, made on first use.

    It is rolled back and closed when the context ends; commit before that to keep
    changes. Outside an app context, any use of it raises
    :class:`~flaskware_core.NotInitialised`. Event listeners, libraries and modules can
    take it at any time: it is one object, which finds the session of the context at
    each call. A test may put another session in its place.
    """

    def __init__(
        self,
        app: App | None = None,
        *,
        model_class: type[_B] | None = None,
        metadata: sa.MetaData | None = None,
        session_options: cabc.Mapping[str, t.Any] | None = None,
        engine_options: cabc.Mapping[str, t.Any] | None = None,
        query_class: type[orm.Query[t.Any]] = LegacyQuery,
        add_models_to_shell: bool = True,
        disable_autonaming: bool = False,
        **overrides: t.Any,
    ) -> None:
        base = model_base(model_class, metadata, autonaming=not disable_autonaming)
        session_options = {"query_cls": query_class, **(session_options or {})}
        self.Query = session_options["query_cls"]
        self._engine_options = dict(engine_options or {})
        self._has_shell_names = add_models_to_shell
        self.Model = t.cast("type[_B]", base)
        self._metadatas = base.__metadatas__
        self._session_options = {
            name: value for name, value in session_options.items() if name != "class_"
        }
        self._session_factory = session_factory(session_options)
        self.session = self._own_session = ContextSession(
            self._session_factory,
            ContextRegistry(self.get_session, self._find_session, self._put_session),
        )
        super().__init__(app, **overrides)

    def _build(self, app: App, settings: SQLAlchemySettings) -> Databases:
        from ._databases.databases import build
        from ._databases.databases import need_key

        if settings.sticky_seconds and not app.secret_key:
            need_key(settings)
        return build(
            settings,
            self._metadatas,
            app.instance_path,
            self._session_options,
            self._session_factory.class_,
            functools.partial(self._current_route, weakref.ref(app)),
            self._engine_options,
        )

    def _attach(self, app: App, settings: SQLAlchemySettings, state: Databases) -> None:
        from ._insight.query_log import QueryListener
        from ._insight.query_log import warn_of_slow

        end, awaited = self._end_sessions, self._end_sessions_awaited
        attach(app, "teardown_appcontext", end, awaited=awaited)
        if self._has_shell_names:
            app.shell_context_processor(self._names_for_shell)
        if settings.track_modifications:
            warnings.warn(
                "SQLALCHEMY_TRACK_MODIFICATIONS = True has no effect, and the signals"
                " models_committed and before_models_committed are not sent. Remove the"
                " key, and listen to sessions:"
                ' `@event.listens_for(db.session, "after_flush")` gets the session with'
                ' its `new`, `dirty` and `deleted` objects, "after_commit" is sent once'
                " they are stored.",
                UserWarning,
                stacklevel=3,
            )
        app.register_blueprint(
            flask.Blueprint(
                "flaskware_sqlalchemy", __name__, template_folder="templates"
            )
        )
        app.add_template_global(_page_query, "page_query")
        if settings.slow_query is not None:
            state.watch.listen(QueryListener(warn_of_slow, least=settings.slow_query))
        if settings.spans:
            from ._insight.spans import SpanListener

            state.watch.listen(SpanListener())
        timing = settings.server_timing
        if timing is None:
            timing = app.debug
        if timing or settings.record_queries:
            state.watch.listen(QueryListener(self._keep_query))
            _show_in_toolbar(app)
        if timing:
            attach(app, "after_request", self._send_timing)
        if settings.sticky_seconds and state.router.replicas:
            attach(app, "after_request", self._remember_write)
        if settings.commit_on_success:
            # The last hook is the first to see the response: the headers that other
            # hooks send then describe committed changes.
            from ._sessions.success import commit_on_success

            commit_on_success(app, self)

    def _end_sessions(self, error: BaseException | None = None) -> None:
        end_sessions(error)
        self._end_session_of_test()

    async def _end_sessions_awaited(self, error: BaseException | None = None) -> None:
        await end_sessions_awaited(error)
        self._end_session_of_test()

    def _end_session_of_test(self) -> None:
        """End the session that a test has put in the place of ours."""
        if self.session is not self._own_session and hasattr(self.session, "remove"):
            self.session.remove()

    def _close(self, state: Databases) -> None:
        for engine in state.engines().values():
            engine.dispose()

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:
        from ._checks import check

        state = self.state_of(app)
        options = {key: source.options for key, source in state.sources.items()}
        return check(
            self.settings_of(app),
            state.router.engines,
            self._metadatas,
            options,
            deploy=deploy,
        )

    def _probe(self, app: App) -> cabc.Iterable[ConfigProblem]:
        from ._engines.probe import connection_problems

        return connection_problems(self.state_of(app).engines())

    def _isolate(self, app: App) -> contextlib.AbstractContextManager[None]:
        return self.test_isolation(app)

    def _current_route(self, app: weakref.ref[App]) -> Route | None:
        context = active_context()
        if context is None or context.app is not app():
            return None
        return request_state(self).route

    def _names_for_shell(self) -> dict[str, t.Any]:
        mappers = self.Model.registry.mappers
        return {**{m.class_.__name__: m.class_ for m in mappers}, "db": self}

    def _keep_query(self, query: RecordedQuery) -> None:
        if active_context() is not None:
            request_state(self).query_log().append(query)

    def _send_timing(self, response: flask.Response) -> flask.Response:
        from ._insight.query_log import server_timing

        log = request_state(self).query_log()
        response.headers.add("Server-Timing", server_timing(log))
        return response

    def _remember_write(self, response: flask.Response) -> flask.Response:
        from ._sessions.sticky import remember

        if request_state(self).route.wrote:
            remember(response, self.settings.sticky_seconds)
        return response

    # Sessions

    def get_session(self, name: str = "default") -> orm.Session:
        """Return a further session of the current app context, beside :attr:`session`.

        It has a transaction of its own: changes that it commits stay when the other
        session is rolled back.

        :raises NotInitialised: outside an app context.
        """
        return self._session_of(self._known_state(), name)

    def _find_session(self) -> orm.Session | None:
        state = self._known_state()
        return None if state is None else state.sessions.get(("default", SCHEMAS.get()))

    def _put_session(self, session: orm.Session | None) -> None:
        if session is not None and not isinstance(session, RoutedSession):
            raise TypeError(
                "db.session.registry.set() takes a session of this extension. Write"
                " `db.session = …` for another kind of session."
            )
        sessions = request_state(self).sessions
        key = "default", SCHEMAS.get()
        if (old := sessions.pop(key, None)) is not None and old is not session:
            old.end()
        if session is not None:
            sessions[key] = session

    def _session_of(self, state: RequestState | None, name: str) -> orm.Session:
        key = name, SCHEMAS.get()
        if state is not None and key in state.sessions and not state.is_async:
            return state.sessions[key]
        databases = self.state
        state = request_state(self)
        if state.is_async:
            refuse_session_in_event_loop(name)
            if key in state.sessions:
                return state.sessions[key]
        return state.sessions.setdefault(key, databases.session(state))

    @contextlib.contextmanager
    def session_scope(
        self, app: App | None = None, *, read_only: bool = False
    ) -> cabc.Generator[orm.Session]:
        """Open a session for a script, a worker or a thread, without an app context.

        It is rolled back and closed at the end; commit before that to keep changes.

        :param app: The app of the databases; the current app by default.
        :param read_only: True to refuse every write; see :meth:`transaction`.
        """
        self._refuse_in_event_loop("session_scope", app)
        session = self._databases(app).session()
        session.read_only(read_only)
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
        read_only: bool = False,
        name: str = "default",
    ) -> Transaction:
        """Commit the changes of a session in the block, or roll back on an error.

        A block inside another block is a savepoint: its error undoes only its own
        changes. Also a decorator: ``@db.transaction(retries=3)``.

        :param retries: How often a decorated function is run again after a
            serialization failure, a deadlock, a lock timeout, or a connection lost
            before the commit, with a growing delay. The body of a ``with`` block
            cannot be run twice.
        :param isolation_level: Such as ``"SERIALIZABLE"``.
        :param timeout: Seconds that a statement may take.
        :param read_only: True to refuse every write: this extension with
            :class:`ReadOnlySession`, and the database for what it does not see, such
            as a function that writes. It may read from a replica.
        :param name: The name of the session; see :meth:`get_session`.
        :raises TransactionBegun: if one of these is for a transaction that has already
            written.
        """
        from ._sessions.transaction import Transaction

        open_session = functools.partial(self.get_session, name)
        return Transaction(open_session, retries, isolation_level, timeout, read_only)

    def on_commit(
        self, function: cabc.Callable[[], _T], *, session: orm.Session | None = None
    ) -> cabc.Callable[[], _T]:
        """Call a function after the commit of the outermost transaction.

        It is not called after a rollback, its savepoint's included. Functions are
        called in their order, each even if another fails; the commit then raises
        :class:`OnCommitError`. Also a decorator.

        :param session: A session of this extension; :attr:`session` by default.
        """
        from ._sessions.commit_hooks import synchronous

        routed(session or self.session).on_commit(synchronous(function))
        return function

    def advisory_lock(
        self, name: str, *, timeout: float | None = None, session: str = "default"
    ) -> None:
        """Take a lock that only one transaction holds, until the transaction ends.

        It orders what no row can be locked for, such as a job that must run once. It
        locks no table and no row. Its block of :meth:`transaction` may take it again.
        On SQLite, such a block is alone in any case.

        :param name: Any text, for this database.
        :param timeout: Seconds to wait: ``None`` for no limit, 0 not to wait. SQLite
            has its own limit, ``timeout`` in ``connect_args``.
        :param session: The name of the session; see :meth:`get_session`.
        :raises LockTaken: if another transaction has it for longer.
        :raises TransactionBegun: outside a block.
        """
        from ._sessions.advisory_lock import lock

        lock(routed(self.get_session(session)), name, timeout)

    def upsert(
        self,
        entity: type[t.Any],
        rows: Rows,
        *,
        by: Attributes | None = None,
        update: Attributes | None = None,
        session: orm.Session | None = None,
    ) -> None:
        """Insert rows, or update the rows that exist, in one statement.

        Objects of this model that the session holds are read again when they are next
        used. As with every statement, no event of the ORM is called for a row.

        :param entity: A model with one table.
        :param rows: Values by the name of the attribute, the same names in each row.
        :param by: The columns of a unique constraint that find the row which exists;
            the primary key by default.
        :param update: The columns to update: all others of the rows by default, none
            if empty. Columns with ``onupdate`` are set too.
        :param session: A session of this extension; :attr:`session` by default.
        :raises ValueError: if a column is unknown, or a row would not be found by
            exactly one key. MySQL and MariaDB look at every unique key.
        """
        from ._sessions.upsert import upsert

        upsert(routed(session or self.session), entity, rows, by, update)

    def reencrypt(self, entity: type[t.Any], app: App | None = None) -> int:
        """Encrypt the ``EncryptedText`` of a model with the first key.

        Do so after a new key was added, then remove the old key. It commits some
        hundred rows at a time, in a session of its own.

        :param app: The app of the databases; the current app by default.
        :return: The number of values that another key had encrypted.
        """
        from ._models.encrypted import reencrypt

        with self.session_scope(app) as session:
            return reencrypt(session, entity)

    def primary(self) -> contextlib.AbstractContextManager[None]:
        """Read from the primary in the block, and not from a replica."""
        from ._engines.replica import primary

        return primary()

    def schemas(
        self,
        schemas: cabc.Mapping[str | None, str | None],
        *,
        shared: cabc.Iterable[str] = (),
    ) -> contextlib.AbstractContextManager[None]:
        """Use other schemas in the block, as with one schema for each tenant.

        The block has sessions of its own, which end with the app context. SQL as text
        and :attr:`engine` use the schema for ``None`` too; where a database has no way
        to do so, such as SQLite, text that names tables is an error.

        :param schemas: The schema to use, by the schema of the models; ``None`` is for
            models without a schema.
        :param shared: Schemas of PostgreSQL that names are looked up in after that,
            such as the schema of extensions. The default is none, not ``public``.
        :raises SchemaUnusable: by text that would use the default schema.
        """
        return mapped_schemas(schemas, shared)

    def tenant(self, tenant: object) -> contextlib.AbstractContextManager[None]:
        """See and store only the rows of a tenant in the block, on PostgreSQL.

        It holds for the tables of :func:`row_security`, in whatever way they are read:
        the server adds the condition. Without a block these tables are empty. The block
        has sessions of its own, which end with the app context.

        :param tenant: The value of the tenant's column, such as an id.
        :raises ValueError: if its text has characters that no id has.
        :raises SchemaUnusable: by the use of another database than PostgreSQL.
        """
        return rows_of(tenant)

    # Queries

    def get_or_404(
        self,
        entity: type[_O],
        ident: t.Any,
        *,
        description: str | None = None,
        **options: t.Unpack[GetArgs],
    ) -> _O:
        """Return an object by its primary key, or abort with 404.

        :param ident: The key; a tuple if it has several columns. A number that no
            integer column can hold is not found either.
        :param description: The text of the error page.
        :param options: Of :meth:`sqlalchemy.orm.Session.get`, such as ``options`` for
            loaders and ``with_for_update``.
        """
        return get_or_404(self.session, entity, ident, description, **options)

    # A select is typed `Select[tuple[T]]` by SQLAlchemy 2.0 and `Select[T]` by 2.1.
    # The first overloads are for 2.0, the others for 2.1; each is right by itself.
    @t.overload
    def one_or_404(
        self, statement: sa.Select[tuple[_T]], *, description: str | None = None
    ) -> _T: ...

    @t.overload
    def one_or_404(
        self, statement: sa.Select[_T], *, description: str | None = None
    ) -> _T: ...

    def one_or_404(
        self, statement: sa.Select[t.Any], *, description: str | None = None
    ) -> t.Any:
        """Run a statement that has exactly one row, or abort with 404.

        :param statement: A select of one entity or column.
        :param description: The text of the error page.
        """
        return one_or_404(self.session, statement, description)

    @t.overload
    def first_or_404(
        self, statement: sa.Select[tuple[_T]], *, description: str | None = None
    ) -> _T: ...

    @t.overload
    def first_or_404(
        self, statement: sa.Select[_T], *, description: str | None = None
    ) -> _T: ...

    def first_or_404(
        self, statement: sa.Select[t.Any], *, description: str | None = None
    ) -> t.Any:
        """Run a statement and return its first row, or abort with 404.

        :param statement: A select of one entity or column.
        :param description: The text of the error page.
        """
        return first_or_404(self.session, statement, description)

    @t.overload
    def paginate(
        self, statement: sa.Select[tuple[_T]], **options: t.Unpack[PageArgs]
    ) -> Page[_T]: ...

    @t.overload
    def paginate(
        self, statement: sa.Select[tuple[_T, _U, *_Ts]], **options: t.Unpack[PageArgs]
    ) -> Page[sa.Row[tuple[_T, _U, *_Ts]]]: ...

    @t.overload
    def paginate(
        self, statement: sa.Select[_T], **options: t.Unpack[PageArgs]
    ) -> Page[_T]: ...

    @t.overload
    def paginate(
        self, statement: sa.Select[_T, _U, *_Ts], **options: t.Unpack[PageArgs]
    ) -> Page[sa.Row[_T, _U, *_Ts]]: ...

    def paginate(
        self,
        statement: sa.Select[*tuple[t.Any, ...]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | None = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[t.Any]:
        """Run a statement for one page of its rows.

        A page that does not exist is a 404; text that is not a number is a 400.

        :param statement: A select whose ``ORDER BY`` gives each row a place.
        :param page: From 1. The default is taken from the query string, else 1.
        :param per_page: The default is taken from the query string, else 20.
        :param max_per_page: The limit of ``per_page``; 100 by default, ``None`` for no
            limit where only the code sets ``per_page``.
        :param error_out: Without errors, a wrong number of a page is page 1, and a
            page that does not exist is empty.
        :param count: ``"exact"`` counts all rows, ``"capped"`` no more than 1,000,
            ``"none"`` none; the page always knows if there is a next page.
            ``True`` is ``"exact"``, ``False`` is ``"none"``.
        """
        from ._pagination.request import paginate

        return paginate(
            self.session, statement, page, per_page, max_per_page, error_out, count
        )

    @t.overload
    def keyset(
        self, statement: sa.Select[tuple[_T]], **options: t.Unpack[KeysetArgs]
    ) -> KeysetPage[_T]: ...

    @t.overload
    def keyset(
        self, statement: sa.Select[tuple[_T, _U, *_Ts]], **options: t.Unpack[KeysetArgs]
    ) -> KeysetPage[sa.Row[tuple[_T, _U, *_Ts]]]: ...

    @t.overload
    def keyset(
        self, statement: sa.Select[_T], **options: t.Unpack[KeysetArgs]
    ) -> KeysetPage[_T]: ...

    @t.overload
    def keyset(
        self, statement: sa.Select[_T, _U, *_Ts], **options: t.Unpack[KeysetArgs]
    ) -> KeysetPage[sa.Row[_T, _U, *_Ts]]: ...

    def keyset(
        self,
        statement: sa.Select[*tuple[t.Any, ...]],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[t.Any]:
        """Run a statement for the rows that follow a cursor, in one query.

        Rows that are added or removed meanwhile neither repeat nor hide others. A
        cursor that this app did not make for this statement is a 400.

        :param statement: A select with an ``ORDER BY`` of columns, ascending or
            descending, nullable or not. The primary key is added where rows would
            otherwise be equal.
        :param after: The ``next_cursor`` of a page. Without any cursor, those of the
            query string are used.
        :param before: The ``prev_cursor`` of a page.
        :param limit: The number of rows on a page; 50 by default.
        :raises ValueError: if the statement is grouped, distinct or limited.
        """
        from ._pagination.request import keyset

        return keyset(self.session, statement, after, before, limit)

    @property
    def recorded_queries(self) -> cabc.Sequence[RecordedQuery]:
        """The queries of the current context in their order, the last 1,000 of them.

        Empty unless ``SQLALCHEMY_RECORD_QUERIES`` is set.
        """
        return list(request_state(self).query_log().kept)

    @contextlib.contextmanager
    def assert_queries(
        self,
        exactly: int | None = None,
        *,
        min: int = 0,  # noqa: A002 as in max=
        max: int | None = None,  # noqa: A002 there is no better name
        app: App | None = None,
    ) -> cabc.Generator[list[RecordedQuery]]:
        """Fail unless the block sends so many statements to the databases.

        The error lists each statement, how often it was sent, and the line of code.

        :param exactly: The number; or pass ``min`` and ``max``.
        :param app: The app of the databases; the current app by default.
        """
        least, most = (min, max) if exactly is None else (exactly, exactly)
        with self._databases(app).watch.counting(least, most) as queries:
            yield queries

    # Engines and tables

    @property
    def engines(self) -> cabc.Mapping[str | None, sa.Engine]:
        """The engines of the current app by name; the default engine is ``None``."""
        engines = self.state.router.engines
        if SCHEMAS.get() is None:
            return engines
        return {key: with_schemas(engine) for key, engine in engines.items()}

    @property
    def engine(self) -> sa.Engine:
        """The default engine of the current app."""
        return with_schemas(self.state.router.engine(None))

    def get_engine(self, bind_key: str | None = None) -> sa.Engine:
        """Return an engine of the current app.

        :raises UnknownBind: if no database of that name is configured.
        """
        return with_schemas(self.state.router.engine(bind_key))

    @property
    def metadatas(self) -> cabc.Mapping[str | None, sa.MetaData]:
        """The metadata of each database, made when its name is first looked up."""
        return self._metadatas

    @property
    def metadata(self) -> sa.MetaData:
        """The metadata of the default database."""
        return self._metadatas[None]

    def Table(  # noqa: N802 that of SQLAlchemy
        self, name: str, *args: t.Any, bind_key: str | None = None, **kwargs: t.Any
    ) -> sa.Table:
        """Make a table in the metadata of a database.

        :param args: Columns and constraints, after a metadata that wins.
        :param bind_key: The name of the database.
        """
        if args and isinstance(args[0], sa.MetaData):
            return sa.Table(name, *args, **kwargs)
        return sa.Table(name, self._metadatas[bind_key], *args, **kwargs)

    def create_all(self, bind_key: Keys = ALL) -> None:
        """Create the tables that do not exist yet.

        :param bind_key: The name of a database, ``None`` for the default database, or
            several names; every database by default.
        :raises UnknownBind: if a database is not configured.
        """
        self._refuse_in_event_loop("create_all")
        create_tables(self.state.router, bind_key)

    def drop_all(self, bind_key: Keys = ALL) -> None:
        """Drop the tables with all their data.

        It first ends the transactions of the sessions of the current context, which
        would hold the tables. Another transaction that holds a table is waited for
        5 seconds.

        :param bind_key: See :meth:`create_all`.
        :raises TransactionBegun: in a block of :meth:`transaction`; or with
            ``bind_key``, if a session has changes that may be in another database.
        :raises UnknownBind: if a database is not configured.
        """
        self._refuse_in_event_loop("drop_all")
        databases = self.state
        state = request_state(self)
        release_sessions(state.sessions.values(), whole=bind_key == ALL)
        drop_tables(databases.router, bind_key)

    def reflect(self, bind_key: Keys = ALL) -> None:
        """Read the tables of the databases into :attr:`metadatas`.

        :param bind_key: See :meth:`create_all`.
        :raises UnknownBind: if a database is not configured.
        """
        self._refuse_in_event_loop("reflect")
        reflect_tables(self.state.router, bind_key)

    def _refuse_in_event_loop(self, name: str, app: App | None = None) -> None:
        if (app := app or active_app()) is not None:
            refuse_in_event_loop(app, f"db.{name}()", f"db.async_{name}()")

    @contextlib.contextmanager
    def test_isolation(self, app: App | None = None) -> cabc.Generator[None]:
        """Undo, at the end of the block, everything done to any database in it.

        The code under test may commit, roll back and use savepoints, in threads too,
        with sessions, asynchronous sessions or connections of the engines.

        :param app: The app of the databases; the current app by default.
        :raises RuntimeError: if the databases are already isolated.
        """
        from ._sessions.isolation import isolated

        with isolated(self._databases(app).router):
            yield


def _show_in_toolbar(app: App) -> None:
    """Give Flask-DebugToolbar a panel with the queries, whichever comes first."""

    def put() -> None:
        if "debugtoolbar" in app.blueprints:
            from ._insight.debug_panel import put_panel

            put_panel(app)

    if isinstance(app, flask.Flask):  # the toolbar knows no other
        put()
        app.before_request(put)


def _page_query(**changes: t.Any) -> str:
    from ._pagination.request import page_query

    return page_query(**changes)
