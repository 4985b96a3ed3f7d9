"""Assertions about the migrations of an app, for its own tests.

Each takes the extension, needs an app context, and is for a database that may be
emptied: the one of a test.
"""

from __future__ import annotations

import sqlalchemy as sa

from ._extension import Alembic
from ._source import Database

__all__ = [
    "assert_migrations",
    "assert_models_match",
    "assert_round_trip",
    "assert_single_head",
]


def assert_single_head(alembic: Alembic) -> None:
    """Fail if the revisions of a database end in several heads."""
    heads: dict[str, list[str]] = {}
    for info in alembic.heads():
        heads.setdefault(info.tree or info.bind or "default", []).append(str(info))
    for bind, found in heads.items():
        if len(found) > 1:
            raise AssertionError(
                f"The database {bind or 'default'!r} has several heads:"
                f" {'; '.join(found)}. Run: flask db merge"
            )


def assert_round_trip(alembic: Alembic) -> None:
    """Fail if the revisions cannot be applied, taken back and applied again.

    Taking all of them back must leave what was there before the first; it leaves the
    databases upgraded.
    """
    selection = alembic._selection()
    databases = [migrator.database for migrator in selection.own()]
    binds = [database.bind for database in databases]
    # What an extension brings is its own to test, and stays.
    for m in selection.migrators:
        if m.tree.name is None:
            break
        alembic.upgrade(trees=[m.tree.name])
    alembic.downgrade("base", binds=binds)
    before = [_tables(database) for database in databases]
    alembic.upgrade()
    upgraded = [_tables(database) for database in databases]
    alembic.downgrade("base", binds=binds)
    for database, tables in zip(databases, before, strict=True):
        # The version table stays when everything is taken back.
        left = _tables(database) - tables - {alembic.settings.version_table}
        if left:
            raise AssertionError(
                f"Taking all revisions of {database.name!r} back leaves the tables"
                f" {', '.join(sorted(left))}. Drop them in `downgrade`."
            )
    alembic.upgrade()
    for database, tables in zip(databases, upgraded, strict=True):
        if _tables(database) != tables:
            raise AssertionError(
                f"The second upgrade of {database.name!r} made other tables than the"
                f" first: {', '.join(sorted(_tables(database) ^ tables))}."
            )


def assert_models_match(alembic: Alembic) -> None:
    """Fail if the upgraded databases are not what the models say."""
    alembic.upgrade()
    if changes := [str(bind) for bind in alembic.status().binds if bind.changes]:
        raise AssertionError(
            "No revision makes what the models say:\n"
            + "\n".join(changes)
            + '\nRun: flask db migrate -m "what changed"'
        )


def assert_migrations(alembic: Alembic) -> None:
    """Fail if there are several heads, no round trip, or models without revision."""
    assert_single_head(alembic)
    assert_round_trip(alembic)
    assert_models_match(alembic)


def _tables(database: Database) -> set[str]:
    with database.connect() as connection:
        return set(sa.inspect(connection).get_table_names())
