"""The trees of an app, each with its database."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import sqlalchemy as sa

from flaskware_alembic._databases.database import Database
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import UnknownRevision
from flaskware_alembic._results import Binds
from flaskware_alembic._results import Direction
from flaskware_alembic._results import Names
from flaskware_alembic._runtime.migrator import Migrator
from flaskware_alembic._settings import AlembicSettings

from .trees import APP
from .trees import in_order
from .trees import TreeSpec

if t.TYPE_CHECKING:
    from .migrations import Migrations


@dc.dataclass(frozen=True)
class Selection:
    """Every tree of an app with its database, in the order of an upgrade."""

    migrators: tuple[Migrator, ...]
    databases: tuple[Database, ...]
    depends_on: cabc.Mapping[str, tuple[str, ...]] = dc.field(
        default_factory=dict[str, tuple[str, ...]]
    )

    @classmethod
    def of(
        cls,
        state: Migrations,
        settings: AlembicSettings,
        databases: cabc.Sequence[Database],
        specs: cabc.Sequence[TreeSpec],
    ) -> Selection:
        """Return the selection of some databases and trees."""
        by_name = {spec.name: spec for spec in specs}
        found: list[Migrator] = []
        for name in in_order(specs):
            if name == APP:
                trees = ((d, state.tree(d.bind), d.metadata) for d in databases)
                found.extend(
                    Migrator(
                        database, tree, settings, _claimed(database, specs), state.hooks
                    )
                    for database, tree, metadata in trees
                    # A database with neither models nor revisions is somebody else's.
                    if metadata is not None or tree.exists
                )
            else:
                spec = by_name[name]
                database = _database_of(spec, databases)
                tree = state.tree(database.bind, spec)
                found.append(Migrator(database, tree, settings, hooks=state.hooks))
        needs = {spec.name: spec.depends_on for spec in specs}
        return cls(tuple(found), tuple(databases), needs)

    @property
    def engines(self) -> list[sa.Engine]:
        """The engines of all databases."""
        databases = [*self.databases, *(m.database for m in self.migrators)]
        return [database.engine for database in databases]

    def chosen(self, binds: Binds = None, trees: Names = None) -> list[Migrator]:
        """Return those of some databases and trees; all by default.

        :raises MigrationError: if there is no such database or tree.
        """
        known = [database.bind for database in self.databases]
        for bind in binds or ():
            if bind not in known:
                names = ", ".join(repr(name or "default") for name in known)
                raise MigrationError(
                    f"There is no database {bind or 'default'!r}; the names are"
                    f" {names}."
                )
        labels = {m.tree.name or APP for m in self.migrators} | {APP}
        for name in trees or ():
            if name not in labels:
                raise MigrationError(
                    f"There is no tree {name!r}; known are"
                    f" {', '.join(repr(label) for label in sorted(labels))}."
                )
        return [
            m
            for m in self.migrators
            if (binds is None or m.database.bind in binds)
            and (trees is None or (m.tree.name or APP) in trees)
        ]

    def own(self, binds: Binds = None, trees: Names = None) -> list[Migrator]:
        """Return the same, but only the app's own trees by default."""
        return self.chosen(binds, (APP,) if trees is None else trees)

    def at(
        self, target: str, binds: Binds = None, trees: Names = None
    ) -> list[Migrator]:
        """Return those that a target is meant for.

        :raises MigrationError: if that is not clear.
        :raises UnknownRevision: if none has the revision.
        """
        if target in {"head", "heads"}:
            return self.chosen(binds, trees)
        if target == "base" or target[0] in "+-":
            chosen = self.own(binds, trees)
            if binds is None and len(chosen) > 1 and trees is None:
                raise MigrationError(
                    f"{target!r} of which database? There are"
                    f" {', '.join(m.label for m in chosen)}: name one with"
                    " `--bind`, or binds=[...]."
                )
            return chosen
        chosen = self.chosen(binds, trees)
        if len(chosen) < 2:
            return chosen
        having = [m for m in chosen if m.tree.resolves(target)]
        if not having:
            raise UnknownRevision(
                f"There is no revision {target!r} in any of"
                f" {', '.join(str(m.tree.folder) for m in chosen)}."
            )
        return having

    def moved(
        self,
        target: str,
        direction: Direction,
        binds: Binds = None,
        trees: Names = None,
    ) -> list[Migrator]:
        """Return those that a target is meant for, in the order of a move.

        :raises MigrationError: if another tree is built on what a downgrade takes back.
        :raises UnknownRevision: if none has the revision.
        """
        found = self.at(target, binds, trees)
        if direction != "downgrade":
            return found
        self._refuse_needed(found, target)
        return found[::-1]

    def having(
        self, target: str, binds: Binds = None, trees: Names = None
    ) -> list[Migrator]:
        """Return those that have a revision.

        :raises UnknownRevision: if none has.
        """
        own = self.own(binds, trees)
        found = [m for m in own if m.tree.exists and m.tree.resolves(target)]
        if not found:
            raise UnknownRevision(f"There is no revision {target!r}.")
        return found

    def _refuse_needed(self, chosen: cabc.Collection[Migrator], target: str) -> None:
        """Refuse to take back revisions of a tree that another tree is built on."""
        names = {m.tree.name or APP for m in chosen}
        moved = {
            m.tree.name or APP
            for m in chosen
            if m.position.moves(target, "downgrade", m.position.current())
        }
        for m in self.migrators:
            name = m.tree.name or APP
            needed = moved & set(self.depends_on.get(name, ()))
            if name not in names and needed and m.position.current():
                label = min(needed)
                raise MigrationError(
                    f"The tree {name!r} is applied, and depends on {label!r}. Take it"
                    f" back first: flask db downgrade base --tree {name}"
                )


def _database_of(spec: TreeSpec, databases: cabc.Sequence[Database]) -> Database:
    if spec.engine is not None:
        return Database(spec.bind, spec.engine, spec.metadata, label=spec.name)
    for database in databases:
        if database.bind == spec.bind:
            return dc.replace(database, metadata=spec.metadata)
    raise MigrationError(
        f"The tree {spec.name!r} belongs to the database {spec.bind or 'default'!r},"
        " which the app does not have. Configure it, or register the tree with"
        " another bind=..."
    )


def _claimed(database: Database, specs: cabc.Iterable[TreeSpec]) -> frozenset[str]:
    """Return the tables in a database that belong to other trees."""
    return frozenset(
        table.key
        for spec in specs
        if spec.metadata is not None and _shares(spec, database)
        for table in spec.metadata.tables.values()
    )


def _shares(spec: TreeSpec, database: Database) -> bool:
    if spec.engine is None:
        return spec.bind == database.bind
    return _location(spec.engine.url) == _location(database.engine.url)


def _location(url: sa.URL) -> tuple[object, ...]:
    return (url.get_backend_name(), url.host, url.port, url.database)
