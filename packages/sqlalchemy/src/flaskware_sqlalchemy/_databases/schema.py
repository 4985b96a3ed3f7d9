"""Creation and removal of the tables of several databases."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa

from flaskware_sqlalchemy._sessions.router import Router
from flaskware_sqlalchemy._sessions.router import SCHEMAS

ALL: t.Final = "__all__"
"""Every database that is configured or that a model names."""

Keys: t.TypeAlias = str | cabc.Sequence[str | None] | None


def create_tables(router: Router, keys: Keys) -> None:
    """Create the tables that do not exist yet.

    :param keys: The names of databases.
    :raises UnknownBind: if a database is not configured.
    """
    for metadata, engine in _tables(router, keys):
        metadata.create_all(engine)


def drop_tables(router: Router, keys: Keys) -> None:
    """Drop the tables; see :func:`create_tables`."""
    for metadata, engine in _tables(router, keys):
        metadata.drop_all(engine)


def _tables(router: Router, keys: Keys) -> cabc.Iterator[tuple[sa.MetaData, sa.Engine]]:
    """Yield the tables of each database, and its engine."""
    schemas = dict(SCHEMAS.get() or ())
    for key in _selected(router, keys):
        engine = router.engine(key)
        if schemas:
            engine = engine.execution_options(schema_translate_map=schemas)
        if key in router.metadatas:
            yield router.metadatas[key], engine


def _selected(router: Router, keys: Keys) -> cabc.Sequence[str | None]:
    if keys == ALL:
        named = [key for key, metadata in router.metadatas.items() if metadata.tables]
        return list(dict.fromkeys([*router.engines, *named]))
    if keys is None or isinstance(keys, str):
        return [keys]
    return keys
