"""Moving one database along its revisions, in process and without an env.py."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import io
import threading
import typing as t
from pathlib import Path

import alembic.util
import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext

from flaskware_alembic._autogenerate.enums import is_default_changed
from flaskware_alembic._autogenerate.enums import is_type_changed
from flaskware_alembic._databases.database import Database
from flaskware_alembic._errors import DatabaseAhead
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import RevisionFileError
from flaskware_alembic._revisions.backfill import Backfill
from flaskware_alembic._revisions.backfill import BackfillInfo
from flaskware_alembic._revisions.backfill import BackfillLog
from flaskware_alembic._revisions.backfill import backfills_in
from flaskware_alembic._revisions.backfill import BackfillState
from flaskware_alembic._revisions.backfill import OnProgress
from flaskware_alembic._revisions.plan import Direction
from flaskware_alembic._revisions.plan import Plan
from flaskware_alembic._revisions.plan import PlanStep
from flaskware_alembic._revisions.revision import RevisionInfo
from flaskware_alembic._revisions.tree import Tree
from flaskware_alembic._settings import AlembicSettings

from .indexes import invalid_indexes
from .journal import Journal
from .lock import deploy_lock
from .lock import OnWait
from .run import Run

_Heads: t.TypeAlias = tuple[str, ...]
_Moves: t.TypeAlias = list[t.Any]

# `alembic.op` and `alembic.context` are one for the whole process.
_one_at_a_time = threading.RLock()


@dc.dataclass(frozen=True)
class Migrator:
    """One database, its revisions and how to compare them.

    :param claimed: Tables in the database that other trees bring.
    """

    database: Database
    tree: Tree
    settings: AlembicSettings
    claimed: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """What a user calls it: the tree's name, or the database's."""
        return self.tree.name or self.database.name

    @property
    def version_table(self) -> str:
        """The table that holds the applied revision."""
        table = self.settings.version_table
        if self.tree.name is None:
            return table
        return f"{table}_{self.tree.name.replace('-', '_')}"

    def current(self) -> _Heads:
        """The ids in the version table, known to the code or not.

        :raises DatabaseUnreachable: if the database does not answer.
        """
        with self.database.connect() as connection:
            return self._current(connection)

    def plan(self, target: str, direction: Direction) -> Plan:
        """What moving to a target would do at this moment."""
        plan = self._as_plan(self.moves(target, direction, self.current()), direction)
        if direction == "upgrade":
            plan = dc.replace(plan, backfills=self.unfinished_infos())
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
        with self.locked(on_wait):
            run = Run(self, target, direction, resume=resume, **options)
            return run.go(purge=purge)

    def fill(
        self, *, on_wait: OnWait | None = None, on_progress: OnProgress | None = None
    ) -> list[BackfillInfo]:
        """Finish the backfills of applied revisions, and say how far each came."""
        if self.unfinished():
            with self.locked(on_wait):
                Run(self, "heads", "upgrade", on_progress=on_progress).fill()
        return self.backfills()

    def locked(
        self, on_wait: OnWait | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """Hold the right to migrate the database.

        :raises LockTimeout: if another process migrates the database for too long.
        """
        table = ".".join(filter(None, (self.schema, self.version_table)))
        timeout = self.settings.lock_timeout
        return deploy_lock(self.database, table=table, timeout=timeout, on_wait=on_wait)

    @property
    def schema(self) -> str | None:
        """The schema of the version table, and of what is kept beside it."""
        return self.settings.version_table_schema

    @property
    def is_journaled(self) -> bool:
        """Whether the database cannot roll a changed schema back."""
        return self.database.engine.dialect.name in {"mysql", "mariadb"}

    @property
    def journal(self) -> Journal:
        """What was done of a revision that is not applied."""
        return Journal(f"{self.version_table}_journal", self.schema)

    @property
    def log_name(self) -> str:
        """The table that says how far backfills came."""
        return f"{self.version_table}_backfill"

    @property
    def log(self) -> BackfillLog:
        """How far backfills came."""
        return BackfillLog(self.database, self.log_name, self.schema)

    def has_backfills(self) -> bool:
        """Whether a revision of the code has one."""
        return bool(self.tree.backfills)

    def backfills(self) -> list[BackfillInfo]:
        """How far the backfills of applied revisions came."""
        if not self.has_backfills():
            return []
        with self.database.connect() as connection:
            applied = self._applied(self._current(connection))
            connection.rollback()
            return self.log.infos(
                connection, [item for item in self.tree.backfills if item[0] in applied]
            )

    def unfinished_infos(self) -> tuple[BackfillInfo, ...]:
        """How far those of them came that are not done."""
        open_states = {BackfillState.PENDING, BackfillState.RUNNING}
        return tuple(info for info in self.backfills() if info.state in open_states)

    def unfinished(self) -> list[tuple[str, Backfill]]:
        """The backfills of applied revisions that are not done."""
        names = {(info.revision, info.name) for info in self.unfinished_infos()}
        found = ((id, fill) for id, fill in self.tree.backfills)
        return [(id, fill) for id, fill in found if (id, fill.name) in names]

    def invalid_indexes(self) -> tuple[str, ...]:
        """The indexes of its tables that PostgreSQL did not build to the end."""
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
        if self.moves(target, direction, self.current()):
            return True
        return direction == "upgrade" and bool(self.unfinished())

    def applied(self) -> set[str]:
        """The ids of every revision of the code that is in the database."""
        return self._applied(self.current())

    def _applied(self, heads: _Heads) -> set[str]:
        """The ids of every revision that is in the database, the oldest too."""
        known = [id for id in heads if id in self.tree]
        scripts = self.tree.scripts.iterate_revisions(tuple(known), "base")
        return {script.revision for script in scripts} if known else set()

    def sql(self, target: str, direction: Direction, start: str | None) -> str:
        """The SQL of a move, instead of the move.

        :param start: Where the database stands; it is asked if this is ``None``.
        """
        if start is None:
            heads = self.current()
        else:
            heads = () if start == "base" else (self.tree.info(start).id,)
        output = io.StringIO()

        def moves(heads: _Heads, _: MigrationContext) -> _Moves:
            return self.moves(target, direction, heads)

        with self.environment(moves, as_sql=True, starting_rev=heads) as environment:
            environment.configure(
                dialect_name=self.database.engine.dialect.name,
                output_buffer=output,
                literal_binds=True,
                **self.options(),
            )
            try:
                with environment.begin_transaction():
                    environment.run_migrations(**self.tree.arguments())
            except alembic.util.CommandError as error:
                raise MigrationError(
                    f"The SQL for {self.database.name!r} cannot be written without a"
                    f" database: {error}"
                ) from error
        return output.getvalue()

    @contextlib.contextmanager
    def comparing(self) -> cabc.Generator[MigrationContext]:
        """A context of Alembic's that reads the schema of the database."""
        with self.database.connect() as connection:
            yield MigrationContext.configure(
                connection,
                opts={
                    "target_metadata": self.database.metadata,
                    "compare_type": self.settings.compare_type and is_type_changed,
                    "compare_server_default": self.settings.compare_server_default
                    and is_default_changed,
                    "render_as_batch": self.database.is_sqlite,
                    "include_object": self._is_compared,
                    **self._version_options(),
                },
            )

    def _is_compared(
        self, item: t.Any, name: str | None, kind: str, reflected: bool, *_: object
    ) -> bool:
        if kind != "table":
            return True
        key: str = item.key
        if key in self.claimed:
            return False
        if not reflected:
            return True
        # What keeps the versions, of any tree, and what goes with it.
        if str(name).startswith(self.settings.version_table):
            return False
        declared = self.database.metadata
        return self.tree.name is None or (
            declared is not None and key in declared.tables
        )

    def pending(self, heads: _Heads) -> tuple[RevisionInfo, ...]:
        """Revisions that are not applied, the next one first."""
        steps = self._as_plan(self.moves("heads", "upgrade", heads), "upgrade")
        return tuple(step.revision for step in steps)

    def unknown(self, heads: _Heads) -> _Heads:
        """The ids among some that the code does not have."""
        return tuple(
            id for id in heads if id not in self.tree and id not in self.tree.archive
        )

    def refuse_unknown(self, heads: _Heads) -> None:
        """Refuse to go on from a revision that the code does not have.

        :raises DatabaseAhead: naming the ids.
        """
        if unknown := self.unknown(heads):
            raise DatabaseAhead(
                f"The database {self.database.name!r} is ahead of this code: it holds"
                f" revision {', '.join(unknown)}, which is not in {self.tree.folder}."
                " Deploy the code that has it, or bring the file here.",
                revisions=unknown,
                bind=self.database.bind,
            )

    def _current(self, connection: sa.Connection) -> _Heads:
        context = MigrationContext.configure(connection, opts=self._version_options())
        return tuple(sorted(context.get_current_heads()))

    def moves(self, target: str, direction: Direction, heads: _Heads) -> _Moves:
        """The steps from where a database stands to a target, as Alembic has them."""
        self.refuse_unknown(heads)
        if direction == "upgrade" and any(id not in self.tree for id in heads):
            return self._moves_through_archive(target, heads)
        scripts = self.tree.scripts
        with self.tree.named_errors(target):
            if direction == "upgrade":
                return list(scripts._upgrade_revs(target, t.cast("str", heads)))
            if direction == "downgrade":
                return self._downgrades(target, heads)
            return list(scripts._stamp_revs(target, heads))

    def _moves_through_archive(self, target: str, heads: _Heads) -> _Moves:
        """The steps from among revisions that were made one, and from there on."""
        archive = self.tree.archive
        ends = tuple(head for head in archive.heads if head in self.tree)
        with archive.named_errors(target):
            through = archive.scripts._upgrade_revs(
                t.cast("str", ends), t.cast("str", heads)
            )
        return [*through, *self.moves(target, "upgrade", ends)]

    def _downgrades(self, target: str, heads: _Heads) -> _Moves:
        scripts = self.tree.scripts
        try:
            return list(scripts._downgrade_revs(target, t.cast("str", heads)))
        except AttributeError as error:
            # Alembic asks each module for the function at this point.
            if error.name != "downgrade":
                raise
            path = Path(str(getattr(error.obj, "__file__", self.tree.folder)))
            raise RevisionFileError(
                f"{path} has no function `downgrade`, so it cannot be taken back.",
                paths=(path,),
            ) from error

    def _as_plan(self, moves: _Moves, direction: Direction) -> Plan:
        return Plan(tuple(self.as_step(move, direction) for move in moves))

    def as_step(
        self, move: t.Any, direction: Direction, seconds: float | None = None
    ) -> PlanStep:
        """One of Alembic's steps as a user sees it."""
        # A stamp down to base has no revision it goes to, only one it leaves.
        ids = move.to_revisions or move.from_revisions
        id = move.revision.revision if direction != "stamp" else ids[0]
        backfills = backfills_in(move.revision.module) if direction == "upgrade" else ()
        return PlanStep(
            self.tree_of(id).info(id), direction, seconds, backfills=tuple(backfills)
        )

    def tree_of(self, id: str) -> Tree:
        """Where a revision is: among those that are applied, or were made one."""
        return self.tree if id in self.tree else self.tree.archive

    @contextlib.contextmanager
    def environment(
        self, moves: cabc.Callable[..., cabc.Iterable[t.Any]], **options: t.Any
    ) -> cabc.Generator[EnvironmentContext]:
        """What an env.py would be run in."""
        with (
            _one_at_a_time,
            EnvironmentContext(
                Config(), self.tree.scripts, fn=moves, **options
            ) as environment,
        ):
            yield environment

    def options(self) -> dict[str, t.Any]:
        """What Alembic is configured with to run revisions."""
        return {
            "transaction_per_migration": True,
            "render_as_batch": self.database.is_sqlite,
            **self._version_options(),
        }

    def _version_options(self) -> dict[str, t.Any]:
        return {
            "version_table": self.version_table,
            "version_table_schema": self.settings.version_table_schema,
        }
