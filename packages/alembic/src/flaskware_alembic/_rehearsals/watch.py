"""Statements of the revisions that a rehearsal runs, each with what it does."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import functools
import time
import typing as t

import sqlalchemy as sa
from sqlalchemy import event

from flaskware_alembic._results import Direction
from flaskware_alembic._results import HeldLock
from flaskware_alembic._results import PlanStep
from flaskware_alembic._results import RehearsedStatement
from flaskware_alembic._results import RehearsedStep
from flaskware_alembic._runtime.indexes import OURS
from flaskware_alembic._runtime.migrator import Migrator
from flaskware_alembic._runtime.position import Heads
from flaskware_alembic._runtime.position import Move
from flaskware_alembic._runtime.position import Position
from flaskware_alembic._sql.change import Change
from flaskware_alembic._sql.statement import changes_of_sql

from .observer import Observer
from .observer import observer_of
from .observer import Seen


@dc.dataclass
class _Sent:
    """A statement of a revision, until the end of its transaction."""

    sql: str
    started: float
    seconds: float = 0.0
    rows: int | None = None
    seen: Seen | None = None
    ended: float | None = None
    times: int = 1

    def finished(self) -> RehearsedStatement:
        """Return the statement with how long its locks were held."""
        locks = None
        if self.seen is not None and self.seen.locks is not None:
            held = (self.ended or self.started) - self.started
            locks = tuple(
                HeldLock(lock.table, lock.mode, lock.blocks, held)
                for lock in self.seen.locks
            )
        rewritten = self.seen.rewritten if self.seen is not None else ()
        return RehearsedStatement(
            self.sql, self.seconds, self.rows, locks, rewritten, self.times
        )


class Watch:
    """Measures what revisions send to a copy.

    :param without: Leave out statements with this, the start of the names of the
        tables that are not the revisions'.
    """

    def __init__(self, engine: sa.Engine, without: str) -> None:
        self.engine = engine
        self._without = without
        self._observer: Observer = observer_of(engine)
        self._is_inside = False
        self._sent: list[_Sent] = []
        self._open: list[_Sent] = []
        # The time that observing took, which nobody would spend in earnest.
        self._lost = 0.0
        self._began = 0.0
        self.steps: list[RehearsedStep] = []
        self.changes: dict[Direction, list[Change]] = {"upgrade": [], "downgrade": []}

    @contextlib.contextmanager
    def on(self) -> cabc.Generator[None]:
        """Listen to the engine."""
        listeners: list[tuple[str, t.Any]] = [
            ("before_cursor_execute", self._before),
            ("after_cursor_execute", self._after),
            ("handle_error", self._failed),
            ("commit", self._end),
            ("rollback", self._end),
        ]
        for name, function in listeners:
            event.listen(self.engine, name, function)
        try:
            with self._observer.on():
                yield
        finally:
            for name, function in listeners:
                event.remove(self.engine, name, function)

    def wrapped(self, function: cabc.Callable[..., t.Any]) -> cabc.Callable[..., None]:
        """Return the function of a revision that is measured."""

        @functools.wraps(function)
        def run(*args: t.Any, **kwargs: t.Any) -> None:
            self._sent, self._open = [], []
            self._lost, self._began = 0.0, time.perf_counter()
            self._is_inside = True
            try:
                function(*args, **kwargs)
            finally:
                self._is_inside = False

        return run

    def note(self, step: PlanStep) -> None:
        """Take a revision that is done, just before its transaction ends."""
        self._end()
        sent = [sent.finished() for sent in self._sent]
        dialect = self.engine.dialect.name
        for statement in sent:
            self.changes[step.direction].extend(changes_of_sql(statement.sql, dialect))
        self.steps.append(
            RehearsedStep(
                step.revision, step.direction, self._now() - self._began, tuple(sent)
            )
        )
        self._sent, self._began, self._lost = [], time.perf_counter(), 0.0

    def _now(self) -> float:
        return time.perf_counter() - self._lost

    def _is_of_revision(self, statement: str, context: t.Any) -> bool:
        if not self._is_inside or self._without in statement:
            return False
        # The journal ends transactions of its own.
        is_end = statement in {"COMMIT", "ROLLBACK"}
        return not is_end and not context.execution_options.get(OURS)

    def _before(
        self,
        connection: sa.Connection,
        _: object,
        statement: str,
        __: object,
        context: t.Any,
        *___: object,
    ) -> None:
        if not self._is_of_revision(statement, context):
            return
        started = time.perf_counter()
        self._observer.before(connection, statement)
        self._lost += time.perf_counter() - started
        text = statement.strip()
        if self.engine.dialect.paramstyle in {"format", "pyformat"}:
            text = text.replace("%%", "%")
        self._open.append(_Sent(text, self._now()))

    def _after(
        self,
        connection: sa.Connection,
        cursor: t.Any,
        statement: str,
        _: object,
        context: t.Any,
        *__: object,
    ) -> None:
        if not (self._is_of_revision(statement, context) and self._open):
            return
        sent = self._open[-1]
        sent.seconds = self._now() - sent.started
        sent.rows = _rows_of(cursor, statement)
        started = time.perf_counter()
        sent.seen = self._without_ours(self._observer.after(connection, statement))
        wasted = sent.seen.wasted
        sent.seconds = max(0.0, sent.seconds - wasted)
        self._lost += time.perf_counter() - started + wasted
        last = self._sent[-1] if self._sent else None
        if last is not None and last.sql == sent.sql and not sent.seen:
            # The same for another row.
            self._open.pop()
            last.times += 1
            last.seconds += sent.seconds
            if sent.rows is not None:
                last.rows = (last.rows or 0) + sent.rows
            return
        self._sent.append(sent)
        if sent.seen.has_ended:
            self._end()

    def _without_ours(self, seen: Seen) -> Seen:
        """Leave out the tables that are not the revisions'."""
        locks = seen.locks
        if locks is not None:
            locks = tuple(lock for lock in locks if self._without not in lock.table)
        return dc.replace(seen, locks=locks)

    def _failed(self, context: t.Any) -> None:
        if self._open and self._is_inside:
            self._observer.failed(context.connection)

    def _end(self, *_: object) -> None:
        """Note the end of a transaction, and so of its locks."""
        now = self._now()
        for sent in self._open:
            sent.ended = now
        self._open = []
        self._observer.ended()


def _rows_of(cursor: t.Any, statement: str) -> int | None:
    """Return how many rows a statement changed, ``None`` if it is of another kind."""
    word = statement.split(None, 1)[0].upper() if statement.strip() else ""
    is_dml = word in {"UPDATE", "DELETE", "INSERT", "MERGE", "REPLACE", "WITH"}
    count = getattr(cursor, "rowcount", -1)
    return int(count) if is_dml and count is not None and count >= 0 else None


@dc.dataclass(frozen=True)
class _WatchedPosition(Position):
    """A position whose revisions are measured."""

    watch: Watch | None = None

    def moves(self, target: str, direction: Direction, heads: Heads) -> list[Move]:
        found = super().moves(target, direction, heads)
        for move in found if direction != "stamp" and self.watch else ():
            move.migration_fn = t.cast("Watch", self.watch).wrapped(move.migration_fn)
        return found


@dc.dataclass(frozen=True)
class WatchedMigrator(Migrator):
    """A migrator whose revisions are measured."""

    watch: Watch | None = None

    @functools.cached_property
    def position(self) -> Position:
        """The database among its revisions."""
        return _WatchedPosition(self.database, self.tree, self.versions, self.watch)
