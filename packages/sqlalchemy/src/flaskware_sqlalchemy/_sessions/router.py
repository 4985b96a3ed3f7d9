"""Routing of sessions: from a model or a statement to an engine and a schema."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import contextvars
import dataclasses as dc
import typing as t

import sqlalchemy as sa
from sqlalchemy import orm

from flaskware_sqlalchemy._engines.statement import parts_of
from flaskware_sqlalchemy._engines.tenant import row_name
from flaskware_sqlalchemy._engines.tenant import Tenant
from flaskware_sqlalchemy._errors import MixedBinds
from flaskware_sqlalchemy._errors import UnknownBind
from flaskware_sqlalchemy._models.model import BIND_KEY
from flaskware_sqlalchemy._models.model import Metadatas

if t.TYPE_CHECKING:
    from flaskware_sqlalchemy._engines.replica import Replicas


Schemas: t.TypeAlias = cabc.Mapping[str | None, str | None]
FrozenSchemas: t.TypeAlias = Tenant | None

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

    def locate(self, mapper: t.Any, clause: t.Any) -> tuple[str | None, sa.Engine]:
        """Return the name and the engine of the database of a model or a statement.

        :raises MixedBinds: if parts of the statement are in different databases.
        :raises UnknownBind: if the model names a database that is not configured.
        """
        if len(self.engines) == 1 and len(self.metadatas) == 1:
            return None, self.engine(None)
        metadatas = parts_of(clause).metadatas
        if mapper is not None:
            if not isinstance(mapper, orm.Mapper):
                mapper = sa.inspect(mapper).mapper  # a class, or an alias of a class
            metadatas |= parts_of(mapper.local_table).metadatas
        keys = {metadata.info.get(BIND_KEY) for metadata in metadatas}
        if len(keys) > 1:
            raise MixedBinds(keys)
        key: str | None = keys.pop() if keys else None
        return key, self.engine(key)


def with_schemas(engine: sa.Engine) -> sa.Engine:
    """Return an engine for the schemas of the running block, if there is one."""
    tenant = SCHEMAS.get()
    return engine if tenant is None else tenant.apply(engine)


@contextlib.contextmanager
def mapped_schemas(
    schemas: Schemas, shared: cabc.Iterable[str] = ()
) -> cabc.Generator[None]:
    """Replace the schemas of the models in sessions that the block opens."""
    outer = SCHEMAS.get()
    row = None if outer is None else outer.row
    token = SCHEMAS.set(Tenant(tuple(schemas.items()), tuple(shared), row))
    try:
        yield
    finally:
        SCHEMAS.reset(token)


@contextlib.contextmanager
def rows_of(tenant: object) -> cabc.Generator[None]:
    """Set the tenant of the transactions of sessions that the block opens."""
    outer = SCHEMAS.get() or Tenant(())
    token = SCHEMAS.set(dc.replace(outer, row=row_name(tenant)))
    try:
        yield
    finally:
        SCHEMAS.reset(token)
