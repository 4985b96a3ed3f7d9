"""One move of a database along its revisions, under the deploy lock."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import time
import typing as t
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy import exc as sa_exc

from flaskware_alembic._databases.errors import is_lock_timeout
from flaskware_alembic._databases.errors import reason_of
from flaskware_alembic._errors import ContractRefused
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import RevisionFailed
from flaskware_alembic._errors import RevisionFileError
from flaskware_alembic._errors import TableLocked
from flaskware_alembic._lint.fixes.placeholder import placeholders_in
from flaskware_alembic._results import Assumed
from flaskware_alembic._results import BackfillInfo
from flaskware_alembic._results import Direction
from flaskware_alembic._results import JournalEntry
from flaskware_alembic._results import OnProgress
from flaskware_alembic._results import OnStep
from flaskware_alembic._results import Plan
from flaskware_alembic._results import PlanStep
from flaskware_alembic._revisions.revision import location_of
from flaskware_alembic._revisions.revision import SourceScript
from flaskware_alembic._settings import AlembicSettings
from flaskware_alembic._transitions.constraint import violated_check

from .backfill_log import BackfillLog
from .backfill_log import Due
from .holders import holders_of
from .indexes import invalid_dropped
from .journal import Journal
from .journal import report
from .position import Heads
from .position import Move
from .position import Position
from .record import Record
from .script import environment
from .sqlite import generated_left_out
from .sqlite import ReferenceCheck
from .sqlite import whole_revisions
from .timeouts import pause_before
from .timeouts import TimeoutKeeper
from .timeouts import Timeouts


@dc.dataclass
class Run:
    """A move while it goes on.

    :param resume: Go on with a revision that was cut off half way.
    :param assume: Whether to take a statement as done where the schema does not show
        it.
    :param contract: Also apply revisions that complete an earlier revision.
    """

    position: Position
    settings: AlembicSettings
    target: str
    direction: Direction
    on_step: OnStep | None = None
    on_progress: OnProgress | None = None
    resume: bool = False
    assume: Assumed | None = None
    contract: bool = False

    def __post_init__(self) -> None:
        versions, is_journaled = self.position.versions, self.position.is_journaled
        self._journal = Journal(versions) if is_journaled else None
        self._backfills = BackfillLog(self.position, self.settings)
        record = Record(self.position, self.settings)
        self._record = record if record.is_kept else None
        self._cut_off: list[JournalEntry] = []
        self._due: list[Due] = []
        self._left: list[Move] = []
        self._now: Move = None
        self._autocommitted = False
        self._started = time.perf_counter()
        self._done: list[PlanStep] = []
        self._applied_before: set[str] | None = None
        self._was_empty = False

    def go(self, *, purge: bool = False) -> Plan:
        """Make the move, and return what was done.

        :param purge: Forget first what the version table holds.
        :raises RevisionFailed: naming the file and line that raised.
        """
        finished: list[BackfillInfo] = []
        try:
            if self.direction == "upgrade":
                self._backfills.create()
                unfinished = self._backfills.unfinished()
                finished = self._backfills.run(unfinished, self.on_progress)
            while True:
                self._attempt(purge=purge)
                if not self._due:
                    break
                self._backfills.run(self._due, self.on_progress)
        except sa_exc.DBAPIError as error:
            # A table beside the versions could not be made or read.
            self._now = None
            raise self._explained(error) from error
        left = tuple(self._step(move).revision for move in self._left)
        return Plan(tuple(self._done), left, tuple(finished))

    def _attempt(self, *, purge: bool) -> None:
        """Apply the revisions before the next backfill, again where a lock was held."""
        retries = self.settings.lock_retries
        for attempt in range(1, retries + 2):
            try:
                self._apply(purge=purge)
            except TableLocked:
                # A statement outside of a transaction may be half done.
                if attempt > retries or self._autocommitted:
                    raise
                time.sleep(pause_before(attempt))
                self.resume = True
            else:
                return

    def _apply(self, *, purge: bool) -> None:
        position, database = self.position, self.position.database
        tree, is_sqlite = position.tree, database.is_sqlite
        self._now, self._autocommitted = None, False
        self._due, self._left = [], []
        # The head is read again: the process that held the lock may have moved it.
        with database.connect() as connection:
            self._settle(connection)
            timeouts = TimeoutKeeper(connection)
            prepared = whole_revisions if is_sqlite else contextlib.nullcontext
            try:
                with (
                    prepared(connection),
                    invalid_dropped(connection),
                    environment(tree, self._moves(timeouts), purge=purge) as context,
                    generated_left_out(),
                ):
                    context.configure(
                        connection=connection,
                        target_metadata=database.metadata,
                        on_version_apply=self._checks(connection),
                        transactional_ddl=True if is_sqlite else None,
                        **position.options,
                    )
                    try:
                        position.hold_long_ids(context.get_context())
                        with context.begin_transaction():
                            context.run_migrations()
                        connection.commit()
                        if self._journal is not None:
                            self._journal.drop(connection)
                    except Exception as error:
                        raise self._explained(error) from error
            finally:
                timeouts.restore()

    def _moves(
        self, timeouts: TimeoutKeeper
    ) -> cabc.Callable[[Heads, MigrationContext], cabc.Iterator[Move]]:
        """Return the function that Alembic asks for the steps."""

        # The code after `yield` runs after a commit.
        def moves(heads: Heads, context: MigrationContext) -> cabc.Iterator[Move]:
            found = self.position.moves(self.target, self.direction, heads)
            self._begin(found, heads)
            if self.direction == "stamp":
                yield from self._stamped(found)
                return
            for index, move in enumerate(found):
                script: SourceScript = move.revision
                if self.direction == "upgrade":
                    if self._is_for_later(script):
                        self._left = found[index:]
                    if self._left or self._has_to_wait(context, move):
                        return
                timeouts.set(Timeouts.of(script.loaded, self.settings))
                self._now = move
                self._started = time.perf_counter()
                self._wrap(move, context)
                yield move
                self._now = None
                if self.direction == "upgrade":
                    id = script.revision
                    fills = script.backfills
                    self._due = [(id, fill) for fill in fills if not fill.before]
                    if self._due:
                        return

        return moves

    def _begin(self, moves: list[Move], heads: Heads) -> None:
        """Note where the database stands before the first revision."""
        if self._applied_before is None:
            self._applied_before = self.position.applied(heads)
            self._was_empty = not heads
        if self.direction != "stamp":
            self._refuse_unfit(moves)

    def _stamped(self, moves: list[Move]) -> cabc.Iterator[Move]:
        for move in moves:
            self._now = move
            yield move

    def _has_to_wait(self, context: MigrationContext, move: Move) -> bool:
        """Return whether a backfill comes before a revision; refuse one too early."""
        connection = t.cast("sa.Connection", context.connection)
        self._due = self._backfills.due_before(connection, move.revision)
        if not self._due:
            self._refuse_blocked(connection, move)
        return bool(self._due)

    def _refuse_unfit(self, moves: list[Move]) -> None:
        """Refuse files that cannot be run or are not finished, before the first is.

        :raises RevisionFileError: naming the file and line.
        """
        for move in moves:
            script: SourceScript = move.revision
            # Imported here, not half way through.
            _ = script.loaded
            if self.direction == "downgrade":
                continue
            if self._is_for_later(script):
                return
            path = Path(script.path)
            for placeholder in placeholders_in(path):
                raise RevisionFileError(
                    f"{path}:{placeholder.line} is not finished: `{placeholder.code}`."
                    " Write a value, or an expression of SQL, in place of `...`."
                    " Nothing was applied.",
                    paths=(path,),
                    line=placeholder.line,
                )

    def _is_for_later(self, script: SourceScript) -> bool:
        expanded = script.contracts
        if expanded is None or self._was_empty:
            return False
        # No code is deployed yet that knows a revision of this run.
        is_new = expanded in self.position.tree and expanded not in (
            self._applied_before or ()
        )
        return is_new or not self.contract

    def _refuse_blocked(self, connection: sa.Connection, move: Move) -> None:
        """Refuse a contract that rows are in the way of.

        :raises ContractRefused: with the query that finds such a row.
        """
        for query in getattr(move.revision.loaded, "blocked_by", ()):
            found = connection.execute(sa.text(query)).first()
            connection.rollback()
            if found is not None:
                revision = self._step(move).revision
                raise ContractRefused(
                    f"Revision {revision} is refused in the database"
                    f" {self.position.database.name!r}: it would lose data, since a row"
                    f" was not brought up to date. Find such rows: {query}\nWrite to"
                    " them, so that the trigger fills them, and run the upgrade again."
                    " Nothing of the revision was applied.",
                    revision=revision,
                )

    def _wrap(self, move: Move, context: MigrationContext) -> None:
        """Watch a revision as far as its database needs that."""
        original = context.autocommit_block
        id: str = move.revision.revision

        @contextlib.contextmanager
        def autocommit_block() -> cabc.Generator[None]:
            self._autocommitted = True
            if self._record is not None and not context.as_sql:
                self._record.note(t.cast("sa.Connection", context.connection), id)
            with original():
                yield

        t.cast("t.Any", context).autocommit_block = autocommit_block
        if self._record is not None:
            watching = self._record.watching
            move.migration_fn = watching(context, move.migration_fn, id)
        if self._journal is None:
            return
        if self._record is not None:
            move.migration_fn = self._record.noting(context, move.migration_fn, id)
        done = [entry for entry in self._cut_off if entry.revision == id]
        move.migration_fn = self._journal.recording(
            context.impl,
            move.migration_fn,
            revision=id,
            direction=self.direction,
            done=done,
        )

    def _settle(self, connection: sa.Connection) -> None:
        """Refuse a half-applied revision, or find out how far it came.

        :raises HalfApplied: naming the statements that were sent.
        """
        journal = self._journal
        if journal is None:
            return
        journal.create(connection)
        entries = journal.entries(connection)
        if self.direction == "stamp":
            # The user has put the database right by hand.
            journal.forget(connection)
            connection.commit()
            return
        if entries and not self.resume:
            raise report(entries, self.position.database.name)
        self._cut_off = journal.settle(connection, entries, assume=self.assume)

    def _checks(self, connection: sa.Connection) -> cabc.Callable[..., None]:
        """Return the hook that runs after each revision, in its transaction."""
        check = ReferenceCheck(connection) if self.position.database.is_sqlite else None
        if self._record is not None:
            self._record.begin(connection)

        def applied(**_: object) -> None:
            step = self._step(self._now, time.perf_counter() - self._started)
            id = step.revision.id
            if check is not None:
                check(id)
            if self.direction != "stamp":
                if self._journal is not None:
                    self._journal.forget(connection, id)
                script: SourceScript = self._now.revision
                self._backfills.note(connection, script, self.direction)
            if self._record is not None:
                self._note(connection, step)
            self._done.append(step)
            self._started = time.perf_counter()
            if self.on_step is not None:
                self.on_step(step)

        return applied

    def _note(self, connection: sa.Connection, step: PlanStep) -> None:
        """Record what a revision made of the schema."""
        record = t.cast("Record", self._record)
        if self.direction == "stamp":
            record.forget(connection)
            return
        revision = step.revision
        record.add(connection, revision.id, revision.path, self.direction)

    # Words

    def _step(self, move: Move, seconds: float | None = None) -> PlanStep:
        return self.position.step(move, self.direction, seconds)

    def _explained(self, error: Exception) -> MigrationError:
        if isinstance(error, MigrationError):
            return error
        name = self.position.database.name
        if self._now is None:
            return MigrationError(
                f"The database {name!r} refused its version table:"
                f" {reason_of(error)}. {self._right()}"
            )
        revision = self._step(self._now).revision
        what = (
            f"The {self.direction} of revision {revision.id} in the database {name!r}"
            f" failed at {location_of(error, revision.path)}:"
            f" {type(error).__name__}: {reason_of(error)}."
        )
        if is_lock_timeout(error):
            holders = holders_of(self.position.database, error)
            held = "".join(f"\n  {holder}" for holder in holders)
            who = (
                f"It waited for a lock that is held by:{held}\n"
                if holders
                else "It waited for a lock that another session held. Find it, or retry"
                " when traffic is low. "
            )
            return TableLocked(
                f"{what} {who}{self._kept(error)}",
                revision=revision,
                holders=holders,
            )
        return RevisionFailed(f"{what} {self._kept(error)}", revision=revision)

    def _right(self) -> str:
        database = self.position.database
        if database.is_sqlite:
            return (
                "Give the process the right to write to the file"
                f" {database.engine.url.database} and to its folder."
            )
        return (
            "Check that the user may create and change the table"
            f" {self.position.versions.name!r}."
        )

    def _kept(self, error: Exception) -> str:
        if self._autocommitted:
            return violated_check(error) or (
                "Its changes outside of the transaction stay. An index that was being"
                " built CONCURRENTLY may be invalid; the next upgrade rebuilds it."
            )
        if self._journal is not None:
            return (
                "Its earlier changes stay, since the database commits each change of"
                " the schema at once. Fix the remaining statements, then run"
                f" `flask db {self.direction}` with --resume."
            )
        return "Its transaction was rolled back."
