"""What is done to the databases of an app, as commands and as methods."""

from __future__ import annotations

import abc
import typing as t

from ._databases.event_loop import command

# A worker that only makes the app loads neither Alembic nor what works with it.
if t.TYPE_CHECKING:
    from ._project.migrations import Binds
    from ._project.migrations import Names
    from ._project.selection import Selection
    from ._project.status import Status
    from ._revisions.backfill import BackfillInfo
    from ._revisions.backfill import OnProgress
    from ._revisions.plan import Direction
    from ._revisions.plan import Plan
    from ._revisions.revision import RevisionInfo
    from ._runtime.journal import Assumed
    from ._runtime.lock import OnWait
    from ._runtime.run import OnStep


class Moving(abc.ABC):
    """The commands that read and move databases."""

    @abc.abstractmethod
    def _selection(self) -> Selection: ...

    @command
    def upgrade(
        self,
        target: str = "heads",
        *,
        binds: Binds = None,
        trees: Names = None,
        on_step: OnStep | None = None,
        on_wait: OnWait | None = None,
        on_progress: OnProgress | None = None,
        contract: bool = False,
        resume: bool = False,
        assume: Assumed | None = None,
    ) -> Plan:
        """Apply what is pending, one process at a time.

        :param target: A revision, the start of its id, ``"heads"``, or ``"+1"``.
        :param on_step: Called after each revision.
        :param on_wait: Called once with a sentence where another process is first.
        :param on_progress: Called after each batch of a backfill.
        :param contract: Also apply revisions that complete an earlier one, for which
            no process may run the code of before any more.
        :param resume: Go on with a revision that MySQL or MariaDB cut off half way.
        :param assume: What to think of a statement of it of which the schema does not
            tell whether it was done.
        :returns: What was done; empty if another process did it before.
        :raises DatabaseAhead: if a database holds a revision the code does not have.
        :raises HalfApplied: if a revision was cut off half way.
        :raises LockTimeout: if another process migrates for too long.
        :raises RevisionFailed: naming the file and line that raised.
        :raises TableLocked: if a lock was held for too long, at every attempt.
        """
        return self._move(
            target,
            "upgrade",
            binds,
            trees,
            on_step=on_step,
            on_wait=on_wait,
            on_progress=on_progress,
            contract=contract,
            resume=resume,
            assume=assume,
        )

    @command
    def downgrade(
        self,
        target: str,
        *,
        binds: Binds = None,
        trees: Names = None,
        on_step: OnStep | None = None,
        on_wait: OnWait | None = None,
        resume: bool = False,
        assume: Assumed | None = None,
    ) -> Plan:
        """Take back what was applied after a revision.

        :param target: A revision, ``"base"``, or ``"-1"``. Where there are several
            databases, the last two need ``binds``.
        :param resume: Go on with a revision that MySQL or MariaDB cut off half way.
        :returns: What was done.
        """
        return self._move(
            target,
            "downgrade",
            binds,
            trees,
            on_step=on_step,
            on_wait=on_wait,
            resume=resume,
            assume=assume,
        )

    @command
    def stamp(
        self,
        target: str = "heads",
        *,
        binds: Binds = None,
        trees: Names = None,
        purge: bool = False,
    ) -> Plan:
        """Say that a database is at a revision, and run nothing.

        :param purge: Forget what the version table holds, also what is unknown.
        """
        return self._move(target, "stamp", binds, trees, purge=purge)

    @command
    def plan(
        self,
        target: str = "heads",
        *,
        direction: t.Literal["upgrade", "downgrade"] = "upgrade",
        binds: Binds = None,
        trees: Names = None,
    ) -> Plan:
        """What an upgrade or downgrade would do at this moment.

        Each step has the SQL it would send, and what the rules find in it.
        """
        from ._project.lint import planned
        from ._revisions.plan import Plan

        chosen = self._selection().at(target, binds, trees)
        if direction == "downgrade":
            chosen.reverse()
        return sum((planned(m, target, direction) for m in chosen), Plan())

    @command
    def sql(
        self,
        target: str = "heads",
        *,
        direction: t.Literal["upgrade", "downgrade"] = "upgrade",
        start: str | None = None,
        binds: Binds = None,
        trees: Names = None,
    ) -> str:
        """The SQL of an upgrade or downgrade, for who runs it by hand.

        :param start: Where the database stands; it is asked if this is ``None``.
        """
        chosen = self._selection().at(target, binds, trees)
        return "".join(m.sql(target, direction, start) for m in chosen)

    @command
    def current(
        self, *, binds: Binds = None, trees: Names = None
    ) -> list[RevisionInfo]:
        """The revisions that the databases are at.

        :raises DatabaseAhead: if one of them is not in the code.
        """
        found: list[RevisionInfo] = []
        for m in self._selection().chosen(binds, trees):
            ids = m.current()
            m.refuse_unknown(ids)
            found.extend(m.tree.info(id) for id in ids)
        return found

    @command
    def history(
        self, *, binds: Binds = None, trees: Names = None
    ) -> list[RevisionInfo]:
        """Every revision of the code, the newest first; asks no database."""
        return [
            info
            for m in self._selection().chosen(binds, trees)
            for info in m.tree.infos()
        ]

    @command
    def heads(self, *, binds: Binds = None, trees: Names = None) -> list[RevisionInfo]:
        """The revisions that no other one follows; asks no database."""
        return [
            m.tree.info(id)
            for m in self._selection().chosen(binds, trees)
            for id in m.tree.heads
        ]

    @command
    def status(
        self, *, models: bool = True, binds: Binds = None, trees: Names = None
    ) -> Status:
        """How the databases stand to the code.

        :param models: Also compare the models, which reads the whole schema.
        """
        from ._project.status import Status
        from ._project.status import status_of

        return Status(
            tuple(
                status_of(m, models=models)
                for m in self._selection().chosen(binds, trees)
            )
        )

    @command
    def check(
        self,
        *,
        models: bool = True,
        serving: bool = False,
        binds: Binds = None,
        trees: Names = None,
    ) -> Status:
        """Make sure that the databases are what the code expects.

        :param models: Also compare the models, which reads the whole schema.
        :param serving: Ask only what a process needs to serve: not the models, and
            neither revisions that are held back nor what is unfinished is refused.
        :raises DatabaseDiverged: if one also lacks a revision that the code has.
        :raises DatabaseAhead: if one holds a revision the code does not have.
        :raises PendingRevisions: if one is behind, or something is unfinished.
        :raises ModelsChanged: if the models say something that no revision does.
        """
        compared = models and not serving
        status = self.status(models=compared, binds=binds, trees=trees)
        if serving and status.can_serve:
            return status
        status.refuse()
        return status

    @command
    def backfill(
        self,
        *,
        binds: Binds = None,
        trees: Names = None,
        on_progress: OnProgress | None = None,
        on_wait: OnWait | None = None,
    ) -> list[BackfillInfo]:
        """Finish the backfills of applied revisions, from where they came to.

        :returns: How far each of them came.
        :raises RevisionFailed: naming the file and line that raised.
        """
        chosen = self._selection().chosen(binds, trees)
        return [
            info
            for m in chosen
            for info in m.fill(on_wait=on_wait, on_progress=on_progress)
        ]

    @command
    def backfills(
        self, *, binds: Binds = None, trees: Names = None
    ) -> list[BackfillInfo]:
        """How far the backfills of applied revisions came."""
        chosen = self._selection().chosen(binds, trees)
        return [info for m in chosen for info in m.backfills()]

    def _move(
        self,
        target: str,
        direction: Direction,
        binds: Binds,
        trees: Names,
        **options: t.Any,
    ) -> Plan:
        from ._revisions.plan import Plan

        chosen = self._selection().at(target, binds, trees)
        if direction == "downgrade":
            chosen.reverse()
        return sum((m.move(target, direction, **options) for m in chosen), Plan())
