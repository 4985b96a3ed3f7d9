"""Rehearsal of pending revisions: on a copy, up and down again."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t
from pathlib import Path

import sqlalchemy as sa

from flaskware_alembic._errors import RevisionFailed
from flaskware_alembic._lint.recording import record
from flaskware_alembic._results import BackfillInfo
from flaskware_alembic._results import BackfillState
from flaskware_alembic._results import DataChange
from flaskware_alembic._results import Direction
from flaskware_alembic._results import PlanStep
from flaskware_alembic._results import Rehearsal
from flaskware_alembic._results import RehearsedStep
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._runtime.migrator import Migrator
from flaskware_alembic._schemas.reader import read_schema
from flaskware_alembic._schemas.schema import Schema
from flaskware_alembic._sql.change import Change

from .guard import closed
from .guard import place_of
from .picture import Picture
from .picture import picture_of
from .place import copied
from .place import Copy
from .survival import Intent
from .survival import kept
from .survival import lost_on
from .survival import new_and_gone
from .watch import Watch
from .watch import WatchedMigrator

OnRehearsed: t.TypeAlias = cabc.Callable[[RehearsedStep], None]


@dc.dataclass(frozen=True)
class Wish:
    """The wanted rehearsal.

    :param rows: The rows of a table to copy; all that is possible if ``None``.
    :param url: The server to copy to; that of the database if ``None``.
    :param down: Whether to take the revisions back again.
    :param contract: Whether to apply revisions that complete an earlier revision.
    """

    target: str = "heads"
    rows: int | None = None
    url: str | None = None
    down: bool = True
    contract: bool = False
    on_step: OnRehearsed | None = None


def rehearsed(
    chosen: cabc.Sequence[Migrator], engines: cabc.Collection[sa.Engine], wish: Wish
) -> list[Rehearsal]:
    """Rehearse what is pending in each database.

    :param engines: Those of all databases of the app, which are left alone.
    """
    groups: dict[object, list[Migrator]] = {}
    for m in chosen:
        # In memory, two engines have no database in common.
        url = m.database.engine.url
        is_memory = url.get_backend_name() == "sqlite" and not url.database
        key = id(m.database.engine) if is_memory else place_of(url)
        groups.setdefault(key, []).append(m)
    return [_Stage(group, engines, wish).played() for group in groups.values()]


class _Stage:
    """One database with the trees that are in it."""

    def __init__(
        self,
        migrators: list[Migrator],
        engines: cabc.Collection[sa.Engine],
        wish: Wish,
    ) -> None:
        self._migrators, self._wish = migrators, wish
        self._engines = engines
        self._database = migrators[0].database
        self._prefix = migrators[0].versions.prefix
        self._notes: list[str] = []
        self._backfills: list[BackfillInfo] = []
        self._left: list[RevisionInfo] = []

    def played(self) -> Rehearsal:
        """Return what happened."""
        if not any(self._is_pending(m) for m in self._migrators):
            return Rehearsal(self._database.bind)
        wish = self._wish
        try:
            with copied(
                self._database, whole=self._prefix, rows=wish.rows, url=wish.url
            ) as copy:
                engines = [e for e in self._engines if e is not copy.engine]
                with closed(engines):
                    return self._played_on(copy)
        except RevisionFailed as error:
            raise RevisionFailed(
                f"{error.message}\nThis was a rehearsal: the database"
                f" {self._database.name!r} is as it was.",
                revision=error.revision,
            ) from error.__cause__

    def _is_pending(self, m: Migrator) -> bool:
        moves = m.position.moves(self._wish.target, "upgrade", m.position.current())
        return bool(moves)

    def _played_on(self, copy: Copy) -> Rehearsal:
        self._notes.extend(copy.notes)
        watch = Watch(copy.engine, self._prefix)
        stages = [self._on(m, copy, watch) for m in self._migrators]
        before = self._picture(copy)
        schema = self._schema(copy)
        starts = [m.position.current() for m in stages]
        with watch.on():
            for m in stages:
                self._up(m, watch)
        up = self._intent(watch, "upgrade")
        middle = self._picture(copy, before, up)
        changes = lost_on("upgrade", before, middle, up, doubtful=not self._wish.down)
        end = middle
        if self._wish.down and watch.steps and self._can_go_down(stages, starts):
            with watch.on():
                for m, heads in list(zip(stages, starts, strict=True))[::-1]:
                    m.move(
                        heads[0] if heads else "base", "downgrade", on_step=watch.note
                    )
                    self._tell(watch)
            down = self._intent(watch, "downgrade")
            end = self._picture(copy, before, Intent())
            changes += self._lost_in_the_end(before, middle, end, changes, down)
            changes += new_and_gone(before, middle, end, down)
            self._compare(schema, self._schema(copy))
        elif self._wish.down and watch.steps:
            changes = lost_on("upgrade", before, middle, up, doubtful=True)
        return Rehearsal(
            self._database.bind,
            copy.how,
            copy.samples,
            tuple(watch.steps),
            tuple(changes),
            kept(before, end),
            tuple(self._backfills),
            tuple(self._left),
            tuple(self._notes),
        )

    # Moving

    def _on(self, m: Migrator, copy: Copy, watch: Watch) -> WatchedMigrator:
        database = dc.replace(m.database, engine=copy.engine)
        return WatchedMigrator(
            database, m.tree, m.settings, m.claimed, m.hooks, watch=watch
        )

    def _up(self, m: Migrator, watch: Watch) -> None:
        def on_step(step: PlanStep) -> None:
            watch.note(step)
            self._tell(watch)

        def on_progress(info: BackfillInfo) -> None:
            if info.state is BackfillState.DONE:
                self._backfills.append(info)

        done = m.move(
            self._wish.target,
            "upgrade",
            on_step=on_step,
            on_progress=on_progress,
            contract=self._wish.contract,
        )
        self._left.extend(done.left)

    def _tell(self, watch: Watch) -> None:
        if self._wish.on_step is not None and watch.steps:
            self._wish.on_step(watch.steps[-1])

    def _can_go_down(
        self, stages: list[WatchedMigrator], starts: list[tuple[str, ...]]
    ) -> bool:
        for m, heads in zip(stages, starts, strict=True):
            why = None
            if len(heads) > 1:
                why = f"{m.label} began at several heads"
            elif any(id not in m.tree for id in heads):
                why = f"{m.label} began at a revision that was squashed"
            if why is not None:
                self._notes.append(f"the way down was not tried: {why}")
                return False
        return True

    # Data

    def _picture(
        self, copy: Copy, before: Picture | None = None, intent: Intent | None = None
    ) -> Picture:
        with copy.engine.connect() as connection:
            return picture_of(
                connection,
                without=self._prefix,
                before=before,
                names=None if intent is None else intent.names,
            )

    def _intent(self, watch: Watch, direction: Direction) -> Intent:
        """Return what the revisions say that they do, by their SQL or by their code."""
        changes: list[Change] = list(watch.changes[direction])
        dialect = self._database.engine.dialect
        for step in watch.steps:
            if step.direction == direction:
                info = step.revision
                (m,) = (m for m in self._migrators if m.tree.name == info.tree)
                function = m.position.tree_of(info.id).function(info.id, direction)
                recording = record(function, Path(info.path), dialect)
                changes.extend(
                    change
                    for change in recording.changes
                    # The order of renames is known from the SQL, where it has them.
                    if change not in changes
                )
        filled = [info.table for info in self._backfills]
        return Intent.of(changes, filled if direction == "upgrade" else ())

    def _lost_in_the_end(
        self,
        before: Picture,
        middle: Picture,
        end: Picture,
        known: cabc.Sequence[DataChange],
        down: Intent,
    ) -> list[DataChange]:
        """Return what is not as it was after the way up and down."""
        places = {(change.table, change.column) for change in known}
        gone = {change.table for change in known if change.column is None}
        return [
            change
            for change in lost_on("downgrade", before, end, down, doubtful=True)
            if (change.table, change.column) not in places
            and not (change.table in gone and change.table not in middle)
        ]

    # Schema

    def _schema(self, copy: Copy) -> Schema | None:
        with copy.engine.connect() as connection:
            try:
                return read_schema(connection, without=self._prefix)
            finally:
                connection.rollback()

    def _compare(self, before: Schema | None, after: Schema | None) -> None:
        """Note what the way down did not put back."""
        if before is None or after is None:
            return
        one, other = before.digests, after.digests
        changed = [i for i in {**one, **other} if one.get(i) != other.get(i)]
        if changed:
            names = ", ".join(str(item) for item in changed[:5])
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            self._notes.append(
                f"the schema is another after the way down: {names}{more}"
            )
