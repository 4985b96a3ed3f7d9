"""Routing of sessions: from a model or a statement to an engine and a schema."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import contextvars
import typing as t

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.sql import visitors

from flaskware_sqlalchemy._errors import UnknownBind
from flaskware_sqlalchemy._models.model import BIND_KEY
from flaskware_sqlalchemy._models.model import Metadatas

if t.TYPE_CHECKING:
    from flaskware_sqlalchemy._engines.replica import Replicas


Schemas: t.TypeAlias = cabc.Mapping[str | None, str | None]
FrozenSchemas: t.TypeAlias = tuple[tuple[str | None, str | None], ...] | None

SCHEMAS: contextvars.ContextVar[FrozenSchemas] = contextvars.ContextVar(
    "flaskware_sqlalchemy_schemas", default=None
)
"""Set by :func:`mapped_schemas` for the running code."""


class Route:
    """Writes of one context, as all of its sessions know them."""

    wrote = False
    """True if a session has written; the replicas may not have its changes yet."""
    is_sticky = False
    """True if an earlier request of the same browser has written."""
    is_known = False
    """True once :attr:`is_sticky` was looked up."""


class Router:
    """Source of the connections of sessions.

    :param engines: The engine of each database.
    :param metadatas: The tables that the models declare for each database.
    :param replicas: The copies of the databases that have any.
    :param session_options: For every session.
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
    def has_sqlite(self) -> bool:
        """True if a database is SQLite."""
        return any(engine.dialect.name == "sqlite" for engine in self.engines.values())

    def engine(self, key: str | None) -> sa.Engine:
        """Return the engine of a database.

        :raises UnknownBind: if no database of that name is configured.
        """
        try:
            return self.engines[key]
        except KeyError:
            raise UnknownBind(key, self.engines) from None

    def locate(self, mapper: t.Any, clause: object) -> tuple[str | None, sa.Engine]:
        """Return the name and the engine of the database of a model or a statement.

        :raises UnknownBind: if the model names a database that is not configured.
        """
        key = None
        if mapper is not None:
            if not isinstance(mapper, orm.Mapper):
                mapper = sa.inspect(mapper).mapper  # a class, or an alias of a class
            key = _key_of(mapper.local_table)
        elif clause is not None and (len(self.engines) > 1 or len(self.metadatas) > 1):
            key = _key_of(clause)
        return key, self.engine(key)


@contextlib.contextmanager
def mapped_schemas(schemas: Schemas) -> cabc.Generator[None]:
    """Replace the schemas of the models in sessions that the block opens."""
    token = SCHEMAS.set(tuple(schemas.items()))
    try:
        yield
    finally:
        SCHEMAS.reset(token)


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
