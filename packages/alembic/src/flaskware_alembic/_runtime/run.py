"""One move of a database along its revisions, under the deploy lock."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import time
import typing as t
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy import exc as sa_exc

from flaskware_alembic._databases.database import reason_of
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import RevisionFailed
from flaskware_alembic._errors import RevisionFileError
from flaskware_alembic._errors import TableLocked
from flaskware_alembic._lint.expand_contract import violated_check
from flaskware_alembic._lint.fixes.placeholder import placeholders_in
from flaskware_alembic._revisions.backfill import Backfill
from flaskware_alembic._revisions.backfill import BackfillInfo
from flaskware_alembic._revisions.backfill import backfills_in
from flaskware_alembic._revisions.backfill import BackfillState
from flaskware_alembic._revisions.backfill import OnProgress
from flaskware_alembic._revisions.plan import Direction
from flaskware_alembic._revisions.plan import Plan
from flaskware_alembic._revisions.plan import PlanStep
from flaskware_alembic._revisions.revision import line_in
from flaskware_alembic._revisions.revision import RevisionInfo

from .indexes import invalid_dropped
from .journal import Assumed
from .journal import JournalEntry
from .journal import report
from .sqlite import ReferenceCheck
from .sqlite import whole_revisions
from .timeouts import is_lock_timeout
from .timeouts import pause_before
from .timeouts import TimeoutKeeper
from .timeouts import Timeouts

if t.TYPE_CHECKING:
    from .migrator import Migrator

OnStep: t.TypeAlias = cabc.Callable[[PlanStep], None]
_Move: t.TypeAlias = t.Any


class Run:
    """What is known of a move while it goes on.

    :param resume: Go on with a revision that was cut off half way.
    :param assume: What to think of a statement of which the schema does not tell
        whether it was done.
    :param contract: Also apply revisions that complete an earlier one.
    """

    def __init__(
        self,
        migrator: Migrator,
        target: str,
        direction: Direction,
        *,
        on_step: OnStep | None = None,
        on_progress: OnProgress | None = None,
        resume: bool = False,
        assume: Assumed | None = None,
        contract: bool = False,
    ) -> None:
        self._migrator = migrator
        self._database = migrator.database
        self._target = target
        self._direction: Direction = direction
        self._on_step = on_step
        self._on_progress = on_progress
        self._resume = resume
        self._assume: Assumed | None = assume
        self._contract = contract
        self._cut_off: list[JournalEntry] = []
        self._due: list[tuple[str, Backfill]] = []
        self._left: list[_Move] = []
        self._now: _Move = None
        self._autocommitted = False
        self._started = time.perf_counter()
        self.done: list[PlanStep] = []
        self.finished: list[BackfillInfo] = []

    def go(self, *, purge: bool = False) -> Plan:
        """Do it, and say what was done."""
        try:
            if self._direction == "upgrade":
                self._make_log()
                self.fill()
            while True:
                self._attempt(purge=purge)
                if not self._due:
                    break
                self._run_due()
        except sa_exc.DBAPIError as error:
            # What is kept beside the versions could not be made or read.
            self._now = None
            raise self._explained(error) from error
        left = tuple(self._step(move).revision for move in self._left)
        return Plan(tuple(self.done), left, tuple(self.finished))

    def fill(self) -> None:
        """Finish the backfills of applied revisions, and nothing else."""
        self._due = self._migrator.unfinished()
        self.finished = self._run_due()

    def _attempt(self, *, purge: bool) -> None:
        """Apply what comes before the next backfill, again where a lock was held."""
        retries = self._migrator.settings.lock_retries
        for attempt in range(1, retries + 2):
            try:
                self._apply(purge=purge)
            except TableLocked:
                # A statement outside of a transaction may be half done.
                if attempt > retries or self._autocommitted:
                    raise
                time.sleep(pause_before(attempt))
                self._resume = True
            else:
                return

    def _apply(self, *, purge: bool) -> None:
        m = self._migrator
        self._now, self._autocommitted = None, False
        # The head is looked at again: who held the lock may have moved it.
        with m.database.connect() as connection:
            self._settle(connection)
            timeouts = TimeoutKeeper(connection)
            try:
                with (
                    self._prepared(connection),
                    invalid_dropped(connection),
                    m.environment(self._moves(timeouts), purge=purge) as environment,
                ):
                    environment.configure(
                        connection=connection,
                        target_metadata=m.database.metadata,
                        on_version_apply=self._checks(connection),
                        transactional_ddl=True if m.database.is_sqlite else None,
                        **m.options(),
                    )
                    try:
                        with environment.begin_transaction():
                            environment.run_migrations(**m.tree.arguments())
                        connection.commit()
                        if m.is_journaled:
                            m.journal.drop(connection)
                    except Exception as error:
                        raise self._explained(error) from error
            finally:
                timeouts.restore()

    def _moves(
        self, timeouts: TimeoutKeeper
    ) -> cabc.Callable[[tuple[str, ...], MigrationContext], cabc.Iterator[_Move]]:
        """What Alembic asks for the steps; the code after `yield` is after a commit."""

        def moves(
            heads: tuple[str, ...], context: MigrationContext
        ) -> cabc.Iterator[_Move]:
            m = self._migrator
            self._due, self._left = [], []
            found = m.moves(self._target, self._direction, heads)
            was_empty = not heads and not self.done
            if self._direction == "upgrade":
                self._refuse_placeholders(found, was_empty=was_empty)
            for index, move in enumerate(found):
                if self._direction == "stamp":
                    self._now = move
                    yield move
                    continue
                module = move.revision.module
                if self._direction == "upgrade":
                    if self._is_for_later(module, was_empty=was_empty):
                        self._left = found[index:]
                        return
                    self._due = self._pending(context, move, before=True)
                    if self._due:
                        return
                timeouts.set(Timeouts.of(module, m.settings))
                self._now = move
                self._started = time.perf_counter()
                self._wrap(move, context)
                yield move
                self._now = None
                if self._direction == "upgrade":
                    self._due = self._after(move)
                    if self._due:
                        return

        return moves

    def _refuse_placeholders(self, moves: list[_Move], *, was_empty: bool) -> None:
        """Refuse what is to be filled in, before the first of them is applied.

        :raises RevisionFileError: naming the file and line.
        """
        for move in moves:
            if self._is_for_later(move.revision.module, was_empty=was_empty):
                return
            path = Path(move.revision.path)
            for placeholder in placeholders_in(path):
                raise RevisionFileError(
                    f"{path}:{placeholder.line} is not finished: `{placeholder.code}`."
                    " Write a value, or an expression of SQL, in place of `...`."
                    " Nothing was applied.",
                    paths=(path,),
                    line=placeholder.line,
                )

    def _is_for_later(self, module: t.Any, *, was_empty: bool) -> bool:
        return hasattr(module, "contracts") and not (self._contract or was_empty)

    def _wrap(self, move: _Move, context: MigrationContext) -> None:
        """Watch what a revision does, as far as its database needs that."""
        original = context.autocommit_block

        @contextlib.contextmanager
        def autocommit_block() -> cabc.Generator[None]:
            self._autocommitted = True
            with original():
                yield

        t.cast("t.Any", context).autocommit_block = autocommit_block
        id: str = move.revision.revision
        if not self._migrator.is_journaled:
            return
        done = [entry for entry in self._cut_off if entry.revision == id]
        move.migration_fn = self._migrator.journal.recording(
            context.impl,
            move.migration_fn,
            revision=id,
            direction=self._direction,
            done=done,
        )

    def _settle(self, connection: sa.Connection) -> None:
        """Refuse what is half applied, or find out how far it came.

        :raises HalfApplied: naming the statements that were sent.
        """
        m = self._migrator
        if not m.is_journaled:
            return
        m.journal.create(connection)
        entries = m.journal.entries(connection)
        if self._direction == "stamp":
            # Who stamps has looked after the database by hand.
            m.journal.forget(connection)
            connection.commit()
            return
        if entries and not self._resume:
            raise report(entries, m.database.name)
        self._cut_off = m.journal.settle(connection, entries, assume=self._assume)

    def _checks(self, connection: sa.Connection) -> cabc.Callable[..., None]:
        """The hook that runs after each revision, in its transaction."""
        m = self._migrator
        check = ReferenceCheck(connection) if m.database.is_sqlite else None

        def applied(**_: object) -> None:
            step = self._step(self._now, time.perf_counter() - self._started)
            if check is not None:
                check(step.revision.id)
            if self._direction != "stamp":
                self._note(connection, step.revision.id, self._now.revision.module)
            self.done.append(step)
            self._started = time.perf_counter()
            if self._on_step is not None:
                self._on_step(step)

        return applied

    def _note(self, connection: sa.Connection, id: str, module: t.Any) -> None:
        m = self._migrator
        if m.is_journaled:
            m.journal.forget(connection, id)
        backfills = backfills_in(module)
        if not backfills:
            return
        if self._direction == "downgrade":
            if sa.inspect(connection).has_table(m.log_name, m.schema):
                m.log.forget(connection, id)
            return
        for backfill in backfills:
            if not backfill.before:
                m.log.note(connection, id, backfill.name)

    def _prepared(
        self, connection: sa.Connection
    ) -> contextlib.AbstractContextManager[None]:
        if self._database.is_sqlite:
            return whole_revisions(connection)
        return contextlib.nullcontext()

    # Backfills

    def _make_log(self) -> None:
        # Not in a revision's transaction: MySQL would end it.
        if self._migrator.has_backfills():
            with self._database.connect() as connection:
                self._migrator.log.create(connection)

    def _pending(
        self, context: MigrationContext, move: _Move, *, before: bool
    ) -> list[tuple[str, Backfill]]:
        id = move.revision.revision
        found = [
            (id, backfill)
            for backfill in backfills_in(move.revision.module)
            if backfill.before is before
        ]
        connection = context.connection
        if not found or connection is None:
            return []
        infos = self._migrator.log.infos(connection, found)
        return [
            item
            for item, info in zip(found, infos, strict=True)
            if info.state is not BackfillState.DONE
        ]

    def _after(self, move: _Move) -> list[tuple[str, Backfill]]:
        id = move.revision.revision
        backfills = backfills_in(move.revision.module)
        return [(id, backfill) for backfill in backfills if not backfill.before]

    def _run_due(self) -> list[BackfillInfo]:
        if not self._due:
            return []
        m = self._migrator
        with m.database.connect() as connection:
            m.log.create(connection)
            done = [self._fill(connection, id, fill) for id, fill in self._due]
        self._due = []
        return done

    def _fill(
        self, connection: sa.Connection, id: str, backfill: Backfill
    ) -> BackfillInfo:
        m = self._migrator
        try:
            (info,) = m.log.infos(connection, [(id, backfill)])
            if info.state is BackfillState.NOT_RECORDED:
                with connection.begin():
                    m.log.note(connection, id, backfill.name)
            return m.log.run(connection, id, backfill, self._on_progress)
        except MigrationError:
            raise
        except Exception as error:
            revision = m.tree.info(id)
            raise RevisionFailed(
                f"The backfill {backfill.name} of revision {id} in the database"
                f" {m.database.name!r} failed at {_place(error, revision)}:"
                f" {type(error).__name__}: {reason_of(error)}. The batches before this"
                " one are done; `flask db backfill` goes on.",
                revision=revision,
            ) from error

    # Words

    def _step(self, move: _Move, seconds: float | None = None) -> PlanStep:
        return self._migrator.as_step(move, self._direction, seconds)

    def _explained(self, error: Exception) -> MigrationError:
        if isinstance(error, MigrationError):
            return error
        name = self._database.name
        if self._now is None:
            return MigrationError(
                f"The database {name!r} refused what keeps its version:"
                f" {reason_of(error)}. Check that the user may create and change the"
                f" table {self._migrator.version_table!r}."
            )
        revision = self._step(self._now).revision
        what = (
            f"The {self._direction} of revision {revision.id} in the database {name!r}"
            f" failed at {_place(error, revision)}:"
            f" {type(error).__name__}: {reason_of(error)}."
        )
        if is_lock_timeout(error):
            return TableLocked(
                f"{what} It waited for a lock that another session held. Look who"
                f" holds it, or try again at a quieter time. {self._kept(error)}",
                revision=revision,
            )
        return RevisionFailed(f"{what} {self._kept(error)}", revision=revision)

    def _kept(self, error: Exception) -> str:
        if self._autocommitted:
            return violated_check(error) or (
                "What it did outside of its transaction stays; an index that was being"
                " built CONCURRENTLY may be there and invalid, until the next upgrade"
                " builds it anew."
            )
        if self._migrator.is_journaled:
            return (
                "What it did before that stays, since the database commits each"
                " change of the schema at once; mend the rest of the revision, and"
                " run it again with --resume."
            )
        return "Its transaction was rolled back."


def _place(error: BaseException, revision: RevisionInfo) -> str:
    line = line_in(error, revision.path)
    return str(revision.path) if line is None else f"{revision.path}:{line}"
