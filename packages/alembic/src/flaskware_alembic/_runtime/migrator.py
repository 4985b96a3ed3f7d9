"""One database, and the commands that work on it."""

from __future__ import annotations

import contextlib
import dataclasses as dc
import functools
import typing as t
from pathlib import Path

from flaskware_alembic._autogenerate.comparison import Comparison
from flaskware_alembic._autogenerate.comparison import Hooks
from flaskware_alembic._databases.database import Database
from flaskware_alembic._databases.database import VersionTable
from flaskware_alembic._lint.recording import record
from flaskware_alembic._lint.recording import tables_made
from flaskware_alembic._results import BackfillInfo
from flaskware_alembic._results import Direction
from flaskware_alembic._results import OnProgress
from flaskware_alembic._results import OnWait
from flaskware_alembic._results import Plan
from flaskware_alembic._revisions.tree import Tree
from flaskware_alembic._settings import AlembicSettings

from .backfill_log import BackfillLog
from .indexes import invalid_indexes
from .lock import deploy_lock
from .position import Position
from .record import Record
from .run import Run


@dc.dataclass(frozen=True)
class Migrator:
    """A database and its revisions, moved in process and without an env.py.

    :param claimed: Tables in the database that other trees bring.
    :param hooks: Functions of the user for a comparison.
    """

    database: Database
    tree: Tree
    settings: AlembicSettings
    claimed: frozenset[str] = frozenset()
    hooks: Hooks = Hooks()  # noqa: RUF009 frozen

    @property
    def label(self) -> str:
        """The name for users: the tree's, or the database's."""
        return self.tree.name or self.database.name

    @functools.cached_property
    def versions(self) -> VersionTable:
        """The table that holds the applied revisions."""
        settings = self.settings
        prefix, schema = settings.version_table, settings.version_table_schema
        return VersionTable(prefix, schema, self.tree.name)

    @functools.cached_property
    def position(self) -> Position:
        """The database among its revisions."""
        return Position(self.database, self.tree, self.versions)

    @property
    def comparison(self) -> Comparison:
        """The database beside the models."""
        return Comparison(
            self.database,
            self.versions,
            self.settings,
            self.claimed,
            self.made,
            self.hooks,
        )

    def made(self) -> frozenset[str]:
        """Return the keys of the tables that the revisions of its tree make."""
        dialect, tree = self.database.engine.dialect, self.tree
        scripts = tree.scripts.walk_revisions()
        return tables_made(
            record(tree.bound(script.module.upgrade), Path(script.path), dialect)
            for script in scripts
        )

    @functools.cached_property
    def backfills(self) -> BackfillLog:
        """The backfills of applied revisions."""
        return BackfillLog(self.position, self.settings)

    @property
    def record(self) -> Record:
        """The schema as its revisions made it."""
        return Record(self.position, self.settings)

    def plan(self, target: str, direction: Direction) -> Plan:
        """Return the steps to a target at this moment."""
        plan = self.position.plan(target, direction)
        if direction == "upgrade":
            plan = dc.replace(plan, backfills=self.backfills.unfinished_infos())
        return plan

    def move(
        self,
        target: str,
        direction: Direction,
        *,
        on_wait: OnWait | None = None,
        purge: bool = False,
        resume: bool = False,
        **options: t.Any,
    ) -> Plan:
        """Move the database to a target under the deploy lock.

        :param purge: For a stamp, forget first what the version table holds.
        :param resume: Go on with a revision that was cut off half way.
        :param options: Of :class:`Run`.
        :raises LockTimeout: if another process migrates the database for too long.
        :raises RevisionFailed: naming the file and line of the revision that raised.
        """
        # Most starts of a worker find nothing to do, and need not queue for that.
        if not (purge or resume or self._has_to_move(target, direction)):
            return Plan()
        with self._locked(on_wait):
            run = Run(
                self.position,
                self.settings,
                target,
                direction,
                resume=resume,
                **options,
            )
            return run.go(purge=purge)

    def fill(
        self, *, on_wait: OnWait | None = None, on_progress: OnProgress | None = None
    ) -> list[BackfillInfo]:
        """Finish the backfills of applied revisions, and return their progress.

        :raises LockTimeout: if another process migrates the database for too long.
        :raises RevisionFailed: naming the file and line that raised.
        """
        if self.backfills.unfinished_infos():
            with self._locked(on_wait):
                self.backfills.run(self.backfills.unfinished(), on_progress)
        return self.backfills.infos()

    def invalid_indexes(self) -> tuple[str, ...]:
        """Return the indexes of its tables that PostgreSQL did not finish."""
        with self.database.connect() as connection:
            found = invalid_indexes(connection)
        if self.tree.name is None:
            mine = (index for index in found if not index.keys & self.claimed)
        else:
            metadata = self.database.metadata
            tables: set[str] = set(metadata.tables) if metadata is not None else set()
            mine = (index for index in found if index.keys & tables)
        return tuple(index.sql for index in mine if index.builder is None)

    def _has_to_move(self, target: str, direction: Direction) -> bool:
        if self.position.moves(target, direction, self.position.current()):
            return True
        return direction == "upgrade" and bool(self.backfills.unfinished_infos())

    def _locked(
        self, on_wait: OnWait | None
    ) -> contextlib.AbstractContextManager[None]:
        table = ".".join(filter(None, (self.versions.schema, self.versions.name)))
        timeout = self.settings.lock_timeout
        return deploy_lock(self.database, table=table, timeout=timeout, on_wait=on_wait)
