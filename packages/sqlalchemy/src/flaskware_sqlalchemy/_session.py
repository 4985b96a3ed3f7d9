"""Sessions that know which database each model is in."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.sql import visitors

from ._errors import UnknownBind
from ._model import BIND_KEY
from ._model import Metadatas

Bind: t.TypeAlias = sa.Engine | sa.Connection


@dc.dataclass(eq=False)
class Router:
    """Where sessions get their connections from.

    :param engines: The engine of each database.
    :param metadatas: What the models declare for each.
    :param connections: Set while a test is isolated: they stand in for the engines.
    """

    engines: dict[str | None, sa.Engine]
    metadatas: Metadatas
    connections: dict[sa.Engine, sa.Connection] = dc.field(
        default_factory=dict[sa.Engine, sa.Connection]
    )

    @property
    def has_several(self) -> bool:
        """Whether a statement can mean any database but the default one."""
        return len(self.engines) > 1 or len(self.metadatas) > 1

    def engine(self, key: str | None) -> sa.Engine:
        """The engine of a database.

        :raises UnknownBind: if none of that name is configured.
        """
        try:
            return self.engines[key]
        except KeyError:
            raise UnknownBind(key, self.engines) from None

    def bind(self, key: str | None) -> Bind:
        """What a session should use for a database."""
        engine = self.engine(key)
        return self.connections.get(engine, engine) if self.connections else engine

    def substitute(self, bind: Bind) -> Bind:
        """What to use where a call names an engine itself."""
        if self.connections and isinstance(bind, sa.Engine):
            return self.connections.get(bind, bind)
        return bind

    def session(self) -> RoutedSession:
        """Make a session; whoever does so ends it."""
        return RoutedSession(self)


class RoutedSession(orm.Session):
    """A session that :meth:`end` ends for good.

    What still uses it afterwards, such as a response that streams without a context,
    is refused: it would take a connection that nobody gives back.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        if router.connections:
            # What the code under test commits or rolls back is a savepoint.
            super().__init__(
                close_resets_only=False, join_transaction_mode="create_savepoint"
            )
        else:
            super().__init__(close_resets_only=False)

    def get_bind(
        self,
        mapper: t.Any = None,
        *,
        clause: sa.ClauseElement | None = None,
        bind: Bind | None = None,
        **kwargs: t.Any,  # noqa: ARG002
    ) -> Bind:
        """Choose the database by the model, or by the tables of a statement."""
        if bind is not None:
            return self._router.substitute(bind)
        if mapper is not None:
            if not isinstance(mapper, orm.Mapper):
                mapper = sa.inspect(mapper).mapper  # a class or an alias of one
            return self._router.bind(_key_of(mapper.local_table))
        if clause is not None and self._router.has_several:
            return self._router.bind(_key_of(clause))
        return self._router.bind(None)

    def close(self) -> None:
        """Give everything back; the session can be used again in this context."""
        self.reset()

    def end(self) -> None:
        """Roll back, give everything back, and refuse any further use."""
        super().close()


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
