"""Moving one database along its revisions, in process and without an env.py."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import io
import threading
import time
import typing as t
from pathlib import Path

import alembic.util
import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext

from ._errors import DatabaseAhead
from ._errors import MigrationError
from ._errors import RevisionFailed
from ._errors import RevisionFileError
from ._lock import deploy_lock
from ._lock import OnWait
from ._plan import Direction
from ._plan import Plan
from ._plan import PlanStep
from ._revision import line_in
from ._revision import RevisionInfo
from ._settings import AlembicSettings
from ._source import Database
from ._source import reason_of
from ._sqlite import ReferenceCheck
from ._sqlite import whole_revisions
from ._tree import Tree

OnStep: t.TypeAlias = cabc.Callable[[PlanStep], None]
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
        return self._as_plan(self._moves(target, direction, self.current()), direction)

    def move(
        self,
        target: str,
        direction: Direction,
        *,
        on_step: OnStep | None = None,
        on_wait: OnWait | None = None,
        purge: bool = False,
    ) -> Plan:
        """Move the database to a target under the deploy lock.

        :param purge: For a stamp, forget first what the version table holds.
        :raises LockTimeout: if another process migrates the database for too long.
        :raises RevisionFailed: naming the file and line of the revision that raised.
        """
        # Most starts of a worker find nothing to do, and need not queue for that.
        if not purge and not self._moves(target, direction, self.current()):
            return Plan()
        schema = self.settings.version_table_schema
        table = ".".join(filter(None, (schema, self.version_table)))
        timeout = self.settings.lock_timeout
        with deploy_lock(self.database, table=table, timeout=timeout, on_wait=on_wait):
            return self._run(target, direction, on_step=on_step, purge=purge)

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
            return self._moves(target, direction, heads)

        with self._environment(moves, as_sql=True, starting_rev=heads) as environment:
            environment.configure(
                dialect_name=self.database.engine.dialect.name,
                output_buffer=output,
                literal_binds=True,
                **self._options(),
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
                    "compare_type": self.settings.compare_type,
                    "compare_server_default": self.settings.compare_server_default,
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
        steps = self._as_plan(self._moves("heads", "upgrade", heads), "upgrade")
        return tuple(step.revision for step in steps)

    def unknown(self, heads: _Heads) -> _Heads:
        """The ids among some that the code does not have."""
        return tuple(id for id in heads if id not in self.tree)

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

    def _moves(self, target: str, direction: Direction, heads: _Heads) -> _Moves:
        self.refuse_unknown(heads)
        scripts = self.tree.scripts
        with self.tree.named_errors(target):
            if direction == "upgrade":
                return list(scripts._upgrade_revs(target, t.cast("str", heads)))
            if direction == "downgrade":
                return self._downgrades(target, heads)
            return list(scripts._stamp_revs(target, heads))

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
        return Plan(tuple(self._as_step(move, direction) for move in moves))

    def _as_step(
        self, move: t.Any, direction: Direction, seconds: float | None = None
    ) -> PlanStep:
        # A stamp down to base has no revision it goes to, only one it leaves.
        ids = move.to_revisions or move.from_revisions
        id = move.revision.revision if direction != "stamp" else ids[0]
        return PlanStep(self.tree.info(id), direction, seconds)

    def _run(
        self,
        target: str,
        direction: Direction,
        *,
        on_step: OnStep | None,
        purge: bool,
    ) -> Plan:
        # The head is looked at again: who held the lock may have moved it.
        run = _Run(self, target, direction, on_step)
        with (
            self.database.connect() as connection,
            self._prepared(connection),
            self._environment(run.moves, purge=purge) as environment,
        ):
            checks = run.checks(connection)
            environment.configure(
                connection=connection,
                target_metadata=self.database.metadata,
                on_version_apply=checks,
                transactional_ddl=True if self.database.is_sqlite else None,
                **self._options(),
            )
            try:
                with environment.begin_transaction():
                    environment.run_migrations(**self.tree.arguments())
                connection.commit()
            except Exception as error:
                raise run.explain(error) from error
        return Plan(tuple(run.done))

    def _is_transactional(self) -> bool:
        return self.database.engine.dialect.name in {"sqlite", "postgresql", "mssql"}

    def _prepared(
        self, connection: sa.Connection
    ) -> contextlib.AbstractContextManager[None]:
        if self.database.is_sqlite:
            return whole_revisions(connection)
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _environment(
        self, moves: cabc.Callable[..., _Moves], **options: t.Any
    ) -> cabc.Generator[EnvironmentContext]:
        with (
            _one_at_a_time,
            EnvironmentContext(
                Config(), self.tree.scripts, fn=moves, **options
            ) as environment,
        ):
            yield environment

    def _options(self) -> dict[str, t.Any]:
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


class _Run:
    """What is known of a move while it goes on."""

    def __init__(
        self,
        migrator: Migrator,
        target: str,
        direction: Direction,
        on_step: OnStep | None,
    ) -> None:
        self._migrator = migrator
        self._target = target
        self._direction: Direction = direction
        self._on_step = on_step
        self._moves: _Moves = []
        self._started = time.perf_counter()
        self.done: list[PlanStep] = []

    def moves(self, heads: _Heads, _: MigrationContext) -> _Moves:
        self._moves = self._migrator._moves(self._target, self._direction, heads)
        return self._moves

    def checks(self, connection: sa.Connection) -> cabc.Callable[..., None]:
        """The hook that runs after each revision, in its transaction."""
        check = (
            ReferenceCheck(connection) if self._migrator.database.is_sqlite else None
        )

        def applied(**_: object) -> None:
            step = self._migrator._as_step(
                self._moves[len(self.done)],
                self._direction,
                time.perf_counter() - self._started,
            )
            if check is not None:
                check(step.revision.id)
            self.done.append(step)
            self._started = time.perf_counter()
            if self._on_step is not None:
                self._on_step(step)

        return applied

    def explain(self, error: Exception) -> MigrationError:
        if isinstance(error, MigrationError):
            return error
        name = self._migrator.database.name
        if len(self.done) >= len(self._moves):
            return MigrationError(
                f"The database {name!r} refused what keeps its version:"
                f" {reason_of(error)}. Check that the user may create and change the"
                f" table {self._migrator.version_table!r}."
            )
        step = self._migrator._as_step(self._moves[len(self.done)], self._direction)
        line = line_in(error, step.revision.path)
        place = f"{step.revision.path}" + (f":{line}" if line is not None else "")
        kept = (
            "Its transaction was rolled back."
            if self._migrator._is_transactional()
            else "What it did before that stays, since the database commits each"
            " change of the schema at once."
        )
        return RevisionFailed(
            f"The {self._direction} of revision {step.revision.id} in the database"
            f" {name!r} failed at {place}:"
            f" {type(error).__name__}: {reason_of(error)}. {kept}",
            revision=step.revision,
        )
