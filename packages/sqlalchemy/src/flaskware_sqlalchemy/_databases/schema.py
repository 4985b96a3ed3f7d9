"""Making and dropping the tables of several databases."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa

if t.TYPE_CHECKING:
    from flaskware_sqlalchemy._models.model import Metadatas
    from flaskware_sqlalchemy._sessions.session import Router

ALL: t.Final = "__all__"
"""Every database that is configured or that a model names."""

Keys: t.TypeAlias = str | cabc.Sequence[str | None] | None


def tables_and_engines(
    router: Router,
    metadatas: Metadatas,
    keys: Keys,
    schemas: cabc.Mapping[str | None, str | None] | None = None,
) -> cabc.Iterator[tuple[sa.MetaData, sa.Engine]]:
    """Yield the tables of each database, and where they are.

    :param schemas: What to use instead of the schemas that the tables name.
    :raises UnknownBind: if a database is not configured.
    """
    for key in _selected(router, metadatas, keys):
        engine = router.engine(key)
        if schemas:
            engine = engine.execution_options(schema_translate_map=schemas)
        if key in metadatas:
            yield metadatas[key], engine


def _selected(
    router: Router, metadatas: Metadatas, keys: Keys
) -> cabc.Sequence[str | None]:
    if keys == ALL:
        named = [key for key in metadatas if metadatas[key].tables]
        return list(dict.fromkeys([*router.engines, *named]))
    if keys is None or isinstance(keys, str):
        return [keys]
    return keys
