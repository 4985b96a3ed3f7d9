"""Sessions that know which database each model is in."""

from __future__ import annotations

import collections.abc as cabc
import inspect
import re
import typing as t
import warnings

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm
from sqlalchemy.sql import visitors

from flaskware_sqlalchemy._errors import UnknownBind
from flaskware_sqlalchemy._models.legacy_query import LegacyQuery
from flaskware_sqlalchemy._models.model import BIND_KEY
from flaskware_sqlalchemy._models.model import Metadatas

if t.TYPE_CHECKING:
    from flaskware_sqlalchemy._engines.replica import Replicas

Bind: t.TypeAlias = sa.Engine | sa.Connection
Schemas: t.TypeAlias = cabc.Mapping[str | None, str | None]
# What a session of a context cannot be given, and what to write instead.
_REFUSED = {
    "autobegin": "nothing: a session begins a transaction when it is first used",
    "bind": "SQLALCHEMY_DATABASE_URI, and SQLALCHEMY_BINDS for other databases",
    "binds": "SQLALCHEMY_BINDS, and `__bind_key__` in the models",
    "class_": "sqlalchemy.event.listen(sqlalchemy.orm.Session, …) for what your class"
    " does at a flush or a commit",
    "close_resets_only": "nothing: a session is ended with its context",
    "scopefunc": "nothing: the scope is the app context; db.session_scope() and"
    " db.get_session(name) make further ones",
}
_READS = re.compile(r"\s*(?:SELECT|PRAGMA|SHOW)\b", re.IGNORECASE).match


class Route:
    """What the sessions of one context know of each other."""

    wrote = False
    """Whether one has written: what it wrote may not have reached the replicas yet."""
    is_sticky = False
    """Whether an earlier request of the same browser has."""
    is_known = False
    """Whether that was looked up."""


class Router:
    """Where sessions get their connections from.

    :param engines: The engine of each database.
    :param metadatas: What the models declare for each.
    :param replicas: The copies of those that have any.
    :param session_options: For every session that is made.
    """

    is_isolated = False
    """Set while a test is isolated: its one connection sees all."""

    def __init__(
        self,
        engines: dict[str | None, sa.Engine],
        metadatas: Metadatas,
        replicas: dict[str | None, Replicas],
        session_options: dict[str, t.Any],
    ) -> None:
        self.engines = engines
        self.metadatas = metadatas
        self.replicas = replicas
        self.session_options = session_options

    @property
    def has_several(self) -> bool:
        """Whether a statement can mean any database but the default one."""
        return len(self.engines) > 1 or len(self.metadatas) > 1

    @property
    def has_sqlite(self) -> bool:
        """Whether a database is SQLite."""
        return any(one.dialect.name == "sqlite" for one in self.engines.values())

    def engine(self, key: str | None) -> sa.Engine:
        """The engine of a database.

        :raises UnknownBind: if none of that name is configured.
        """
        try:
            return self.engines[key]
        except KeyError:
            raise UnknownBind(key, self.engines) from None

    def session(
        self, route: Route | None = None, schemas: Schemas | None = None
    ) -> RoutedSession:
        """Make a session; whoever does so ends it."""
        return RoutedSession(self, route, schemas, **self.session_options)


class RoutedSession(orm.Session):
    """A session that :meth:`end` ends for good.

    What still uses it afterwards, such as a response that streams without a context,
    is refused: it would take a connection that nobody gives back.
    """

    in_block = False
    wrote = False
    """Whether the transaction has written; known at its latest when it is used."""
    has_connection = False
    """Whether the transaction may have a connection."""

    def __init__(
        self,
        router: Router,
        route: Route | None = None,
        schemas: Schemas | None = None,
        *,
        query_cls: type[orm.Query[t.Any]] = LegacyQuery,
        **options: t.Any,
    ) -> None:
        super().__init__(query_cls=query_cls, close_resets_only=False, **options)
        self.router = router
        self.route = route or Route()
        self._options: dict[str, t.Any] = {}
        self._variants: dict[sa.Engine, sa.Engine] = {}
        self._chosen: dict[str | None, sa.Engine | None] = {}
        if schemas:
            self._options["schema_translate_map"] = schemas

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
        if self._flushing or not getattr(clause, "is_select", False):
            # `_flushing` is what SQLAlchemy's own recipe for routing sessions asks.
            self._note_write(clause)
        if bind is not None:
            # As the others, or a session would have two connections to one database.
            if self._options and isinstance(bind, sa.Engine):
                return self._variant(bind)
            return bind
        router = self.router
        key = None
        if mapper is not None:
            if not isinstance(mapper, orm.Mapper):
                mapper = sa.inspect(mapper).mapper  # a class or an alias of one
            key = _key_of(mapper.local_table)
        elif clause is not None and router.has_several:
            key = _key_of(clause)
        engine = router.engine(key)
        if router.replicas and key in router.replicas:
            engine = self._replica_or(engine, key, clause)
        return self._variant(engine) if self._options else engine

    def _note_write(self, clause: t.Any) -> None:
        if clause is None and not self._flushing:
            return  # a connection was asked for, and nothing is known of its use
        if isinstance(clause, sa.TextClause) and _READS(clause.text):
            return
        self.wrote = self.route.wrote = True

    def _replica_or(
        self, engine: sa.Engine, key: str | None, clause: t.Any
    ) -> sa.Engine:
        from flaskware_sqlalchemy._engines.replica import is_read
        from flaskware_sqlalchemy._engines.replica import reads_primary

        if (
            self._flushing
            or self.in_block
            or self.route.wrote
            or self.route.is_sticky
            or self.router.is_isolated
            or reads_primary()
            or not is_read(clause)
        ):
            return engine
        if key not in self._chosen:
            self._chosen[key] = self.router.replicas[key].choose()
        return self._chosen[key] or engine

    def use_options(self, **options: t.Any) -> None:
        """Set options of the engines for the next transaction; ``None`` removes."""
        self._variants.clear()
        self._options.update(options)
        for name in [name for name, value in self._options.items() if value is None]:
            del self._options[name]

    def _variant(self, engine: sa.Engine) -> sa.Engine:
        # One object for each engine: a session has one connection for each of them.
        if engine not in self._variants:
            self._variants[engine] = engine.execution_options(**self._options)
        return self._variants[engine]

    def _forget_transaction(self) -> None:
        self.wrote = self.has_connection = False
        self._chosen.clear()

    def commit(self) -> None:
        """Commit the transaction."""
        super().commit()
        self._forget_transaction()

    def rollback(self) -> None:
        """Roll the transaction back."""
        super().rollback()
        self._forget_transaction()

    def reset(self) -> None:
        """Give everything back, and forget all objects."""
        self._give_back(super().reset)
        self._forget_transaction()

    def close(self) -> None:
        """Give everything back; the session can be used again in this context."""
        self.reset()

    def remove(self) -> None:
        """Do what ``scoped_session.remove`` does: kept for apps that move in."""
        warnings.warn(
            "db.session.remove() is deprecated: the end of the app context does it, and"
            " `db.session.close()` does it before.",
            DeprecationWarning,
            stacklevel=2,
        )
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
                # A server that dropped the connection has rolled back itself, so what
                # the app answers is as good as it was. Connections that were to be
                # closed after this one are still in use.
                if begun is None or not error.connection_invalidated:
                    raise
                close = begun.close


class ContextSession(orm.scoped_session[orm.Session]):
    """What stands for the session of whichever context it is used in.

    Extensions that are given a session before there is a context know this class.
    """

    def __init__(self, current: cabc.Callable[[], orm.Session]) -> None:
        super().__init__(t.cast("t.Any", None), scopefunc=object)
        self.registry = t.cast("t.Any", current)

    def remove(self) -> None:
        """Give back what the session of the current context holds."""
        self.registry().close()


def checked_options(options: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What every session of an extension is made with.

    :raises TypeError: if sessions have no such option, or this extension sets it.
    :raises sqlalchemy.exc.ArgumentError: if they do not take its value.
    """
    for name in options:
        if name in _REFUSED:
            raise TypeError(
                f"session_options has {name!r}, which this extension sets itself."
                f" Write {_REFUSED[name]}."
            )
    known = inspect.signature(orm.Session).parameters.keys() - _REFUSED.keys()
    if unknown := sorted(options.keys() - known):
        raise TypeError(
            f"session_options has {', '.join(map(repr, unknown))}, which"
            f" sqlalchemy.orm.Session does not know. It knows"
            f" {', '.join(sorted(known))}."
        )
    orm.Session(**options)
    return dict(options)


def _key_of(clause: object) -> str | None:
    metadata = _metadata_of(clause)
    key: str | None = None if metadata is None else metadata.info.get(BIND_KEY)
    return key


def _metadata_of(clause: object) -> sa.MetaData | None:
    if not isinstance(clause, sa.Table):
        clause = getattr(clause, "table", clause)  # INSERT, UPDATE, DELETE
    if isinstance(clause, sa.Table):
        return clause.metadata
    nodes: cabc.Iterable[object] = visitors.iterate(t.cast("t.Any", clause))
    for node in nodes:
        if isinstance(node, sa.Table):
            return node.metadata
    return None
