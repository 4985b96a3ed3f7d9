"""Sessions that find the database of each model."""

from __future__ import annotations

import collections.abc as cabc
import inspect
import re
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

from flaskware_sqlalchemy._models.legacy_query import LegacyQuery

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
_READS = re.compile(r"\s*(?:SELECT|PRAGMA|SHOW)\b", re.IGNORECASE).match


class RoutedSession(OneThreadSession):
    """A session that :meth:`end` ends for good.

    Any later use raises an error, as in a response that streams without a context: it
    would take a connection that nobody gives back.
    """

    in_block = False
    wrote = False
    """True if the transaction has written, or may have."""
    has_connection = False
    """True if the transaction may have a connection."""

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
        self._options: dict[str, t.Any] = {}
        self._variants: dict[sa.Engine, sa.Engine] = {}
        self._chosen: dict[str | None, sa.Engine | None] = {}
        if schemas:
            self._options["schema_translate_map"] = dict(schemas)

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
            # With the options of the others: they share one connection.
            if self._options and isinstance(bind, sa.Engine):
                return self._variant(bind)
            return bind
        router = self.router
        key, engine = router.locate(mapper, clause)
        if router.replicas and key in router.replicas:
            engine = self._replica_or(engine, key, clause)
        return self._variant(engine) if self._options else engine

    def _note_write(self, clause: t.Any) -> None:
        if clause is None and not self._flushing:
            return  # session.connection(): nothing is known of its use
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
        """Set engine options for the next transaction; ``None`` removes an option."""
        self._variants.clear()
        self._options.update(options)
        for name in [name for name, value in self._options.items() if value is None]:
            del self._options[name]

    def _variant(self, engine: sa.Engine) -> sa.Engine:
        # A session has one connection for each engine object, so each is kept.
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
        given = type(given.__name__, (given, RoutedSession), {})
    # The factory makes a class for this extension alone: event listeners on
    # `db.session` are attached to it.
    return orm.sessionmaker(class_=t.cast("type[RoutedSession]", given), **options)
