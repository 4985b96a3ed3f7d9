"""Sessions that find the database of each model."""

from __future__ import annotations

import collections.abc as cabc
import inspect
import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

from flaskware_sqlalchemy._engines.read_only import read_only
from flaskware_sqlalchemy._engines.read_only import refuse_change
from flaskware_sqlalchemy._engines.statement import is_write
from flaskware_sqlalchemy._engines.statement import parts_of
from flaskware_sqlalchemy._errors import TransactionBegun
from flaskware_sqlalchemy._models.legacy_query import LegacyQuery

from .commit_hooks import Begun
from .commit_hooks import CommitHooks
from .commit_hooks import Hook
from .one_thread import OneThreadSession
from .router import FrozenSchemas
from .router import Route
from .router import Router

Bind: t.TypeAlias = sa.Engine | sa.Connection
# Options that a session of a context refuses, and the replacement of each.
_REFUSED = {
    "autobegin": "nothing: a session begins a transaction when it is first used",
    "bind": "SQLALCHEMY_DATABASE_URI, and SQLALCHEMY_BINDS for other databases",
    "binds": "SQLALCHEMY_BINDS, and `__bind_key__` in the models",
    "close_resets_only": "nothing: a session is ended with its context",
    "scopefunc": "nothing: the scope is the app context; db.session_scope() and"
    " db.get_session(name) open further sessions",
}
_owners: weakref.WeakKeyDictionary[sa.Connection, RoutedSession]
_owners = weakref.WeakKeyDictionary()


class RoutedSession(OneThreadSession):
    """A session that :meth:`end` ends for good.

    Any later use raises an error, as in a response that streams without a context: it
    would take a connection that nobody gives back.
    """

    in_block = False
    is_read_only = False
    """True if the transaction, or the whole session, only reads."""
    wrote = False
    """True if the transaction has written, or may have."""
    has_connection = False
    """True if the transaction may have a connection."""
    fetches_peers = False
    """True if relationships are fetched for all objects of a result at once."""

    def __init__(
        self,
        router: Router,
        route: Route | None = None,
        schemas: FrozenSchemas = None,
        *,
        query_cls: type[orm.Query[t.Any]] = LegacyQuery,
        **options: t.Any,
    ) -> None:
        super().__init__(query_cls=query_cls, close_resets_only=False, **options)
        self.router = router
        self.route = route or Route()
        self._hooks: CommitHooks | None = None
        self._options: dict[str, t.Any] = {}
        self._variants: dict[sa.Engine, sa.Engine] = {}
        self._chosen: dict[str | None, sa.Engine | None] = {}
        self._tenant = schemas

    def get_bind(
        self,
        mapper: t.Any = None,
        *,
        clause: sa.ClauseElement | None = None,
        bind: Bind | None = None,
        **kwargs: t.Any,  # noqa: ARG002
    ) -> Bind:
        """Choose the database by the model, or by the tables of a statement."""
        self.has_connection = True
        if bind is not None:
            # With the options of the others: they share one connection.
            if self._has_variants and isinstance(bind, sa.Engine):
                return self._variant(bind)
            return bind
        router = self.router
        key, engine = router.locate(mapper, clause)
        if router.replicas and key in router.replicas:
            engine = self._replica_or(engine, key, clause)
        return self._variant(engine) if self._has_variants else engine

    def note_write(self) -> None:
        """Note that a connection of this session has written, or may have."""
        self.wrote = self.route.wrote = True

    @property
    def has_changes(self) -> bool:
        """True if a rollback would undo something, or may, or drop functions."""
        return self.in_transaction() and (
            self.wrote
            or bool(self.new or self.deleted or self._hooks)
            or any(self.is_modified(changed) for changed in self.dirty)
        )

    def _replica_or(
        self, engine: sa.Engine, key: str | None, clause: t.Any
    ) -> sa.Engine:
        from flaskware_sqlalchemy._engines.replica import reads_primary

        if (
            # SQLAlchemy's own recipe for routing sessions asks it too.
            self._flushing
            or (self.in_block and not self.is_read_only)
            or self.route.wrote
            or self.route.is_sticky
            or self.router.is_isolated
            or reads_primary()
            or not parts_of(clause).is_read
        ):
            return engine
        if key not in self._chosen:
            self._chosen[key] = self.router.replicas[key].choose()
        return self._chosen[key] or engine

    @property
    def _has_variants(self) -> bool:
        return self.is_read_only or bool(self._options) or self._tenant is not None

    def use_options(self, **options: t.Any) -> None:
        """Set engine options for the next transaction; ``None`` removes an option."""
        self._variants.clear()
        self._options.update(options)
        for name in [name for name, value in self._options.items() if value is None]:
            del self._options[name]

    def read_only(self, on: bool) -> None:
        """Let the next transactions only read, or write again."""
        self.is_read_only = on
        self._variants.clear()

    def _variant(self, engine: sa.Engine) -> sa.Engine:
        # A session has one connection for each engine object, so each is kept.
        if engine not in self._variants:
            made: sa.Engine
            if self._tenant is None:
                made = engine.execution_options(**self._options)
            else:
                made = self._tenant.apply(engine, **self._options)
            if self.is_read_only and not self.router.is_isolated:
                # An isolated test has one connection, in which others write.
                if made is engine:
                    made = engine.execution_options()
                read_only(made)
            self._variants[engine] = made
        return self._variants[engine]

    def forget_transaction(self) -> None:
        """Forget the transaction that has ended."""
        self.wrote = self.has_connection = False
        self._chosen.clear()

    def on_commit(self, function: Hook) -> None:
        """Call a function after the outermost commit; see :class:`CommitHooks`."""
        if self._hooks is None:
            self._hooks = CommitHooks(self)
        self._hooks.add(function)

    def run_hooks(self) -> None:
        """Call the functions whose transaction is committed, once it is left."""
        if self._hooks is not None and not self.in_block:
            self._hooks.run()

    def begin(self, nested: bool = False) -> orm.SessionTransaction:
        """Begin a transaction, or a savepoint."""
        begun = super().begin(nested)
        if nested:
            return begun
        return t.cast("orm.SessionTransaction", Begun(begun, self.run_hooks))

    def commit(self) -> None:
        """Commit the transaction."""
        super().commit()
        self.run_hooks()

    # SQLAlchemy passes some statements, such as a UNION, to get_bind() only if asked.
    def execute(
        self,
        statement: t.Any,
        params: t.Any = None,
        *,
        bind_arguments: t.Any = None,
        **options: t.Any,
    ) -> t.Any:
        """Run a statement; see :meth:`sqlalchemy.orm.Session.execute`."""
        arguments = _with_clause(statement, bind_arguments)
        return super().execute(statement, params, bind_arguments=arguments, **options)

    def scalar(
        self,
        statement: t.Any,
        params: t.Any = None,
        *,
        bind_arguments: t.Any = None,
        **options: t.Any,
    ) -> t.Any:
        """Run a statement; see :meth:`sqlalchemy.orm.Session.scalar`."""
        arguments = _with_clause(statement, bind_arguments)
        return super().scalar(statement, params, bind_arguments=arguments, **options)

    def scalars(
        self,
        statement: t.Any,
        params: t.Any = None,
        *,
        bind_arguments: t.Any = None,
        **options: t.Any,
    ) -> t.Any:
        """Run a statement; see :meth:`sqlalchemy.orm.Session.scalars`."""
        arguments = _with_clause(statement, bind_arguments)
        return super().scalars(statement, params, bind_arguments=arguments, **options)

    def reset(self) -> None:
        """Give everything back, and forget all objects."""
        self._give_back(super().reset)

    def close(self) -> None:
        """Give everything back; the session can be used again in this context."""
        self.reset()

    def end(self) -> None:
        """Roll back, give everything back, and refuse any further use."""
        self._give_back(super().close)

    def _give_back(self, close: cabc.Callable[[], None]) -> None:
        begun = self.get_transaction()
        while True:
            try:
                return close()
            except sa_exc.DBAPIError as error:
                # The server dropped the connection and so rolled back: the response
                # of the app is still right. The session stopped at this connection,
                # and the others are still in use.
                if begun is None or not error.connection_invalidated:
                    raise
                close = begun.close


@event.listens_for(RoutedSession, "after_begin")
def _own(
    session: RoutedSession, _transaction: object, connection: sa.Connection
) -> None:
    _owners[connection] = session


@event.listens_for(RoutedSession, "after_transaction_end")
def _forget(session: RoutedSession, transaction: orm.SessionTransaction) -> None:
    if transaction.parent is None:
        session.forget_transaction()


def note_writes(
    engine: sa.Engine, current_route: cabc.Callable[[], Route | None]
) -> None:
    """Note what an engine writes, for its session or else the current context.

    It looks at what the driver gets, so no way to write is missed: sessions, their
    connections, those of the engine, and statements as text.
    """

    def note(
        connection: sa.Connection,
        _cursor: object,
        statement: str,
        parameters: object,
        context: object,
        _many: bool,
    ) -> tuple[str, object]:
        if is_write(statement, context):
            owner = _owners.get(connection)
            if owner is not None:
                if owner.is_read_only:
                    refuse_change(statement)
                owner.note_write()
            elif (route := current_route()) is not None:
                route.wrote = True
        return statement, parameters

    # SQLAlchemy wraps a listener that returns nothing in another function.
    event.listen(engine, "before_cursor_execute", note, retval=True)


def routed(session: object) -> RoutedSession:
    """Return the session of an extension behind what a user passes on.

    :raises TypeError: if it is no session of this extension.
    """
    found: object = getattr(session, "sync_session", session)
    if isinstance(found, orm.scoped_session):
        found = t.cast("orm.scoped_session[orm.Session]", found)()
    if not isinstance(found, RoutedSession):
        raise TypeError(
            f"{session!r} is not a session of this extension. Pass `db.session`,"
            " `db.get_session(name)`, or that of `db.session_scope()`."
        )
    return found


def _with_clause(
    statement: t.Any, arguments: cabc.Mapping[str, t.Any] | None
) -> dict[str, t.Any] | None:
    if arguments is None:
        is_select = isinstance(statement, sa.Select)
        return None if is_select else {"clause": statement}
    return {"clause": statement, **arguments}


def release_sessions(sessions: cabc.Iterable[RoutedSession], *, whole: bool) -> None:
    """End the transactions of sessions before their tables are dropped.

    :param whole: True if nothing of what the sessions hold will be left.
    :raises TransactionBegun: if something would be lost.
    """
    for session in sessions:
        if session.in_block:
            raise TransactionBegun(
                "Tables cannot be dropped in a block of db.transaction(). Drop them"
                " after the block."
            )
        if whole:
            session.close()
        elif session.has_changes:
            raise TransactionBegun(
                "A session of this context has changes that are not committed, and"
                " dropping the tables of one database would lose those for others."
                " Write `db.session.commit()` or `db.session.rollback()` before it."
            )
        else:
            session.rollback()


def session_factory(
    options: cabc.Mapping[str, t.Any],
) -> orm.sessionmaker[RoutedSession]:
    """Return a factory with the class and the options of an extension's sessions.

    :raises TypeError: if an option is unknown, or this extension sets it.
    :raises sqlalchemy.exc.ArgumentError: if its value is wrong.
    """
    for name in options:
        if name in _REFUSED:
            raise TypeError(
                f"session_options has {name!r}, which this extension sets itself."
                f" Write {_REFUSED[name]}."
            )
    options = dict(options)
    given: object = options.pop("class_", RoutedSession)
    if not isinstance(given, type) or not issubclass(given, orm.Session):
        raise TypeError(
            f"session_options has class_={given!r}. Write a subclass of"
            " sqlalchemy.orm.Session."
        )
    known = inspect.signature(orm.Session).parameters.keys() - _REFUSED.keys()
    if unknown := sorted(options.keys() - known):
        raise TypeError(
            f"session_options has {', '.join(map(repr, unknown))}, which"
            f" sqlalchemy.orm.Session does not know. It knows"
            f" {', '.join(sorted(known))}."
        )
    orm.Session(**options)
    if not issubclass(given, RoutedSession):
        bases: list[type[orm.Session]] = [given, RoutedSession]
        given = type(given.__name__, tuple(bases), {})
    # The factory makes a class for this extension alone: event listeners on
    # `db.session` are attached to it.
    return orm.sessionmaker(class_=t.cast("type[RoutedSession]", given), **options)
