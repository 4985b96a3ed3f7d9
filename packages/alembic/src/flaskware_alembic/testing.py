"""Assertions about the migrations of an app, for its own tests.

Each takes the extension, needs an app context, and is for a test database that may
be emptied. For one fixture that has them all, write
``pytest_plugins = ["flaskware_alembic.testing"]`` in the outermost ``conftest.py``.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
import sqlalchemy as sa
from flask.sansio.app import App

from flaskware_core import call_in_app_context

from ._databases.database import Database
from ._extension import Alembic
from ._results import RevisionInfo

if t.TYPE_CHECKING:
    from ._runtime.migrator import Migrator

__all__ = [
    "alembic_runner", "assert_data_survives", "assert_migrations",
    "assert_models_match", "assert_round_trip", "assert_single_head",
    "assert_snapshots", "MigrationRunner",
]  # fmt: skip


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
    selection = alembic.state.selection()
    databases = [migrator.database for migrator in selection.own()]
    binds = [database.bind for database in databases]
    # An extension tests its own trees, so they stay.
    for m in selection.migrators:
        if m.tree.name is None:
            break
        alembic.upgrade(trees=[m.tree.name])
    alembic.downgrade("base", binds=binds)
    before = [_tables(database) for database in databases]
    alembic.upgrade(contract=True)
    upgraded = [_tables(database) for database in databases]
    alembic.downgrade("base", binds=binds)
    for database, tables in zip(databases, before, strict=True):
        # The version table and the record stay when everything is taken back.
        prefix = alembic.settings.version_table
        left = {x for x in _tables(database) - tables if not x.startswith(prefix)}
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


def assert_snapshots(alembic: Alembic) -> None:
    """Fail if a snapshot makes another database than the revisions do.

    That is another schema, or rows that a revision inserts and no snapshot has. The
    databases must have a snapshot each; it leaves them as the snapshots make them.
    """
    migrators = alembic.state.selection().own()
    binds = [m.database.bind for m in migrators]
    alembic.downgrade("base", binds=binds)
    alembic.upgrade(contract=True)
    made = [_content(m) for m in migrators]
    alembic.downgrade("base", binds=binds)
    for m, content in zip(migrators, made, strict=True):
        alembic.load_snapshot(binds=[m.database.bind])
        alembic.upgrade(binds=[m.database.bind], contract=True)
        loaded = _content(m)
        both = {**content, **loaded}
        if other := sorted(i for i in both if content.get(i) != loaded.get(i)):
            raise AssertionError(
                f"The snapshot of {m.database.name!r} and the revisions make another"
                f" {', '.join(other)}. Run: flask db snapshot. A snapshot has no rows:"
                " insert those that the app needs elsewhere."
            )


def assert_migrations(alembic: Alembic) -> None:
    """Fail if there are several heads, no round trip, or models without revision."""
    assert_single_head(alembic)
    assert_round_trip(alembic)
    assert_models_match(alembic)


def assert_data_survives(
    alembic: Alembic,
    revision: str,
    before: cabc.Mapping[str, cabc.Iterable[cabc.Mapping[str, t.Any]]],
    after: cabc.Mapping[str, cabc.Iterable[cabc.Mapping[str, t.Any]]] | None = None,
    *,
    bind: str | None = None,
) -> None:
    """Fail if a revision loses or changes rows that it should not.

    The database is taken to what is before the revision, gets some rows, and then the
    revision.

    :param before: Rows by the name of their table, to be inserted.
    :param after: The rows that must be there after it, with the columns to compare;
        the same rows by default. The order of rows does not matter.
    """
    (info,) = [i for i in alembic.history(binds=[bind]) if i.id.startswith(revision)]
    alembic.downgrade("base", binds=[bind])
    for parent in info.down:
        alembic.upgrade(parent, binds=[bind])
    engine = next(
        m.database.engine
        for m in alembic.state.selection().own([bind])
        if m.database.bind == bind
    )
    inserted = {name: [dict(row) for row in rows] for name, rows in before.items()}
    with engine.begin() as connection:
        for name, rows in inserted.items():
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            if rows:
                connection.execute(sa.insert(table), rows)
    alembic.upgrade(info.id, binds=[bind], contract=True)
    expected = inserted if after is None else after
    with engine.connect() as connection:
        for name, wanted in expected.items():
            _compare_rows(connection, info, name, [dict(row) for row in wanted])


def _compare_rows(
    connection: sa.Connection,
    info: RevisionInfo,
    name: str,
    wanted: list[dict[str, t.Any]],
) -> None:
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    columns = sorted({column for row in wanted for column in row})
    if missing := [column for column in columns if column not in table.columns]:
        raise AssertionError(
            f"Revision {info} leaves no column {', '.join(missing)} in {name!r}."
        )
    chosen = [table.c[column] for column in columns] or list(table.columns)
    found = [dict(row) for row in connection.execute(sa.select(*chosen)).mappings()]
    lost = [row for row in wanted if row not in found]
    new = [row for row in found if row not in wanted]
    if lost or new:
        raise AssertionError(
            f"Revision {info} changes the rows of {name!r}: lost are {lost}, and there"
            f" are {new}."
        )


class MigrationRunner:
    """The migrations of the app of a test, with all assertions about them."""

    def __init__(self, app: App) -> None:
        self._app = app

    @property
    def alembic(self) -> Alembic:
        """The extension of the app."""
        return t.cast("Alembic", self._app.extensions["alembic"])

    def check_all(self) -> None:
        """Fail as :func:`assert_migrations` does."""
        self._call(lambda: assert_migrations(self.alembic))

    def check_data(
        self,
        revision: str,
        before: cabc.Mapping[str, cabc.Iterable[cabc.Mapping[str, t.Any]]],
        after: cabc.Mapping[str, cabc.Iterable[cabc.Mapping[str, t.Any]]] | None = None,
        *,
        bind: str | None = None,
    ) -> None:
        """Fail as :func:`assert_data_survives` does."""
        self._call(
            lambda: assert_data_survives(
                self.alembic, revision, before, after, bind=bind
            )
        )

    def load(self) -> None:
        """Make empty databases from their snapshots, and upgrade what is newer."""
        self._call(self.alembic.load_snapshot)
        self.upgrade()

    def upgrade(self, target: str = "heads") -> None:
        """Take the databases to a revision."""
        self._call(lambda: self.alembic.upgrade(target, contract=True))

    def _call(self, function: cabc.Callable[[], object]) -> None:
        call_in_app_context(self._app, function)


@pytest.fixture
def alembic_runner(app: App) -> MigrationRunner:
    """The migrations of the fixture ``app``, in whose databases nothing need stay."""
    return MigrationRunner(app)


def _content(migrator: Migrator) -> dict[str, object]:
    """Return what a database is made of, and how many rows each table has."""
    prefix = migrator.settings.version_table
    with migrator.database.connect() as connection:
        schema = migrator.record.present(connection)
        found: dict[str, object] = {
            str(item): text for item, text in (schema.digests if schema else {}).items()
        }
        for name in sa.inspect(connection).get_table_names():
            if not name.startswith(prefix):
                count = sa.select(sa.func.count()).select_from(sa.table(name))
                found[f"number of rows of {name}"] = connection.scalar(count)
    return found


def _tables(database: Database) -> set[str]:
    with database.connect() as connection:
        return set(sa.inspect(connection).get_table_names())
