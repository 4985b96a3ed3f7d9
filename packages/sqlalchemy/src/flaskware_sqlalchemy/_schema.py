"""Making and dropping the tables of several databases."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa

from ._model import Metadatas
from ._session import Bind
from ._session import Router

ALL: t.Final = "__all__"
"""Every database that is configured or that a model names."""

Keys: t.TypeAlias = str | cabc.Sequence[str | None] | None


def tables_and_binds(
    router: Router, metadatas: Metadatas, keys: Keys
) -> cabc.Iterator[tuple[sa.MetaData, Bind]]:
    """Yield the tables of each database, and where they are.

    :raises UnknownBind: if a database is not configured.
    """
    for key in _selected(router, metadatas, keys):
        bind = router.bind(key)
        if isinstance(bind, sa.Connection) and bind.dialect.name in {
            "mysql",
            "mariadb",
        }:
            raise RuntimeError(
                "MySQL and MariaDB commit when a table is made or dropped, so it could"
                " not be undone. Call create_all() or drop_all() outside of the test's"
                " isolation, in a fixture that runs before it."
            )
        if key in metadatas:
            yield metadatas[key], bind


def _selected(
    router: Router, metadatas: Metadatas, keys: Keys
) -> cabc.Sequence[str | None]:
    if keys == ALL:
        named = [key for key in metadatas if metadatas[key].tables]
        return list(dict.fromkeys([*router.engines, *named]))
    if keys is None or isinstance(keys, str):
        return [keys]
    return keys
