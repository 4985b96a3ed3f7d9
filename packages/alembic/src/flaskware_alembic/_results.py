"""Results of the commands: plain data, which asks no database and raises nothing."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import enum
import typing as t
from pathlib import Path

import flaskware_core

from ._backfill import Backfill

Direction: t.TypeAlias = t.Literal["upgrade", "downgrade", "stamp"]

HELD_BACK = (
    "Revisions that are held back break processes that run older code. Once none"
    " does, run: flask db upgrade --contract"
)

DRIFT_ADVICE = (
    "Undo what was changed by hand, or write a revision of it: flask db drift --write."
    " Put an edited revision back. To take all as it is: flask db drift --accept"
)


# Revisions


@dc.dataclass(frozen=True)
class RevisionInfo:
    """A revision of the code.

    :param id: The id that the version table holds once it is applied.
    :param bind: The database that it belongs to, ``None`` for the default database.
    :param message: The first paragraph of its docstring.
    :param down: The ids that it follows; none for a first, several for a merge.
    :param path: The file.
    :param is_head: Whether no other revision follows it.
    :param tree: The extension or blueprint that brings it, ``None`` for the app.
    :param contracts: The revision that it completes, once no process runs code that
        is older than that; only ``upgrade(contract=True)`` applies it.
    :param contracted_by: The revision that completes it.
    """

    id: str
    bind: str | None
    message: str
    down: tuple[str, ...]
    path: Path
    is_head: bool
    branch_labels: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    tree: str | None = None
    contracts: str | None = None
    contracted_by: str | None = None

    def __str__(self) -> str:
        return f"{self.id} {self.message}".rstrip()

    @property
    def deploy(self) -> str:
        """The deploy that applies it, where a change takes two; else empty."""
        if self.contracts is not None:
            return f"deploy 2 of 2, completes {self.contracts}"
        if self.contracted_by is not None:
            return f"deploy 1 of 2, completed by {self.contracted_by}"
        return ""


@dc.dataclass(frozen=True)
class Finding(flaskware_core.Finding):
    """A change in a revision that is not safe on a database in use.

    ``id`` is the rule, ``message`` the change, ``reason`` why it is not safe, and
    ``fix`` the safe form, as code.

    :param note: A remark on it, such as the reason why no fix is written.
    """

    revision: RevisionInfo = dc.field(kw_only=True)
    note: str = dc.field(default="", kw_only=True)

    @property
    def rule(self) -> str:
        """The stable id of the rule."""
        return self.id

    @property
    def is_hint(self) -> bool:
        """True for what is good to know, and no danger."""
        return self.level is flaskware_core.Level.INFO and not self.id.startswith(
            "waiver-"
        )

    @property
    def what(self) -> str:
        """The change."""
        return self.message

    @property
    def safe(self) -> str:
        """The safe form, as code."""
        return self.fix

    def __str__(self) -> str:
        lock = f" (takes {self.lock})" if self.lock else ""
        return (
            f"{self.place}: {self.level.value} {self.rule}: {self.what}{lock}\n"
            f"  {self.reason}"
        )

    def as_dict(self) -> dict[str, t.Any]:
        """Return the finding as JSON types."""
        return {
            "rule": self.rule,
            "level": self.level.value,
            "revision": self.revision.id,
            "path": self.file,
            "line": self.line,
            "what": self.what,
            "reason": self.reason,
            "safe": self.safe,
            "note": self.note,
            "lock": self.lock,
            "waiver": self.waiver,
            "can_fix": self.can_fix,
        }


@dc.dataclass(frozen=True)
class Fix:
    """The safe form of a finding, written or not; false if not.

    :param rehearsed_on: The copy that it was rehearsed on, in words; empty if it was
        not.
    :param obstacle: Why the file was left as it is; empty if the form was written.
    """

    finding: Finding
    rehearsed_on: str = ""
    obstacle: str = ""

    def __bool__(self) -> bool:
        return not self.obstacle

    def __str__(self) -> str:
        place = f"{self.finding.rule} in {self.finding.place}"
        if self.obstacle:
            return f"Left {place} as it is: {self.obstacle}."
        on = f"; rehearsed on {self.rehearsed_on}" if self.rehearsed_on else ""
        return f"Fixed {place}{on}."


# Backfills


class BackfillState(enum.Enum):
    """Progress of a backfill."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    NOT_RECORDED = "not recorded"
    """Its revision is applied, but not by this extension."""


@dc.dataclass(frozen=True)
class BackfillInfo:
    """A backfill of an applied revision.

    :param rows: How many rows it went through.
    :param total: How many the table has, as far as the database knows.
    :param seconds_left: How long the rest takes at the pace so far, while it runs.
    """

    revision: str
    name: str
    table: str
    bind: str | None
    state: BackfillState
    rows: int = 0
    total: int | None = None
    seconds_left: float | None = None

    def __str__(self) -> str:
        # The estimate of the database may be old; the final count is exact.
        total = None if self.state is BackfillState.DONE else self.total
        of = f" of about {total}" if total is not None and total >= self.rows else ""
        is_running = self.state is BackfillState.RUNNING
        left = self.seconds_left if is_running else None
        rest = "" if left is None else f", about {_duration(left)} left"
        return (
            f"{self.revision} {self.name}: {self.state.value}, {self.rows}{of} rows of"
            f" {self.table}{rest}"
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


# Moves


@dc.dataclass(frozen=True)
class PlanStep:
    """A revision that is applied or taken back.

    :param seconds: How long it took; ``None`` for a planned step.
    :param sql: The SQL that a planned step would send; ``None`` where only the
        database could answer that.
    :param reason: Why it could not be written.
    :param findings: The findings of the rules in a planned step.
    :param backfills: Its backfills, before or after an upgrade of it.
    """

    revision: RevisionInfo
    direction: Direction
    seconds: float | None = None
    sql: str | None = None
    findings: tuple[Finding, ...] = ()
    backfills: tuple[Backfill, ...] = ()
    reason: str | None = None

    @property
    def bind(self) -> str | None:
        """The database that it changes, ``None`` for the default database."""
        return self.revision.bind

    def __str__(self) -> str:
        label = self.revision.tree or self.bind
        took = f" ({self.seconds:.2f} s)" if self.seconds is not None else ""
        return f"{label + ': ' if label else ''}{self.direction} {self.revision}{took}"


@dc.dataclass(frozen=True)
class Plan:
    """Steps in the order they are done; false where there is nothing to do.

    :param left: Revisions that complete an earlier revision and wait for a later
        deploy, with what follows them.
    :param backfills: Backfills of applied revisions, which an upgrade finishes first.
        A plan has their progress so far, the result of an upgrade that of the end.
    """

    steps: tuple[PlanStep, ...] = ()
    left: tuple[RevisionInfo, ...] = ()
    backfills: tuple[BackfillInfo, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps or self.backfills)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> cabc.Iterator[PlanStep]:
        return iter(self.steps)

    def __add__(self, other: Plan) -> Plan:
        return Plan(
            self.steps + other.steps,
            self.left + other.left,
            self.backfills + other.backfills,
        )


@dc.dataclass(frozen=True)
class JournalEntry:
    """A statement of a revision that was begun.

    :param position: Its place in the revision, from 0.
    :param is_done: Whether it is known to have been done.
    """

    revision: str
    direction: str
    position: int
    statement: str
    is_done: bool


@dc.dataclass(frozen=True)
class LockHolder:
    """A session that keeps a revision from its lock.

    :param session: Its number in the database.
    :param user: The user that it is of.
    :param origin: Its address or the name of its program, where known.
    :param since: When its transaction began, in the words of the database.
    :param statement: Its last statement.
    """

    session: int
    user: str
    origin: str
    since: str
    statement: str

    def __str__(self) -> str:
        origin = f" ({self.origin})" if self.origin else ""
        statement = " ".join(self.statement.split())
        shown = statement if len(statement) <= 80 else f"{statement[:77]}..."
        return (
            f"session {self.session} of {self.user}{origin}, in a transaction since"
            f" {self.since}, last statement: {shown or 'none'}"
        )


# Rehearsals


Blocks: t.TypeAlias = t.Literal[
    "reads and writes", "writes", "writes to these rows", "nothing"
]
"""The statements of the app that wait while a lock is held."""


@dc.dataclass(frozen=True)
class HeldLock:
    """A lock that a statement took in a rehearsal.

    :param table: Empty for the whole database, on SQLite.
    :param mode: In the words of the database.
    :param blocks: The statements of the app that wait for it.
    :param seconds: The time from the start of the statement to the end of its
        transaction.
    """

    table: str
    mode: str
    blocks: Blocks
    seconds: float

    def __str__(self) -> str:
        where = self.table or "the database"
        if self.blocks == "nothing":
            return f"{self.mode} on {where}: nobody waits"
        return f"{self.mode} on {where}: {self.blocks} wait for {self.seconds:.2f} s"


@dc.dataclass(frozen=True)
class RehearsedStatement:
    """A statement of a revision, as a rehearsal measured it.

    :param times: How often it was sent, with other values.
    :param seconds: In all.
    :param rows: The rows that it changed, where the driver says so.
    :param locks: Those that it was the first to take; ``None`` if not known.
    :param rewritten: Tables and indexes that it rewrote.
    """

    sql: str
    seconds: float
    rows: int | None = None
    locks: tuple[HeldLock, ...] | None = None
    rewritten: tuple[str, ...] = ()
    times: int = 1


@dc.dataclass(frozen=True)
class RehearsedStep:
    """A revision that a rehearsal applied or took back."""

    revision: RevisionInfo
    direction: Direction
    seconds: float
    statements: tuple[RehearsedStatement, ...] = ()

    def __str__(self) -> str:
        return str(PlanStep(self.revision, self.direction, self.seconds))

    @property
    def waits(self) -> dict[str, HeldLock]:
        """The longest lock by table that somebody of the app waits for."""
        found: dict[str, HeldLock] = {}
        for statement in self.statements:
            for lock in statement.locks or ():
                before = found.get(lock.table)
                if lock.blocks in {"reads and writes", "writes"} and (
                    before is None or lock.seconds > before.seconds
                ):
                    found[lock.table] = lock
        return found


@dc.dataclass(frozen=True)
class Sample:
    """The rows of a table that a copy has.

    :param total: How many the table has, as far as the database knows.
    """

    table: str
    rows: int
    total: int

    @property
    def is_whole(self) -> bool:
        """True if it has all rows."""
        return self.rows >= self.total

    def __str__(self) -> str:
        if self.is_whole:
            return f"{self.table}: all {self.rows} rows"
        return f"{self.table}: {self.rows} of about {self.total} rows"


@dc.dataclass(frozen=True)
class DataChange:
    """Data that a rehearsal did not find again, or found changed.

    :param column: ``None`` for rows of the table, or all of it.
    :param direction: The way on which that happened.
    :param what: In words.
    :param is_expected: A statement of a revision says so.
    """

    table: str
    column: str | None
    direction: Direction
    what: str
    is_expected: bool

    def __str__(self) -> str:
        return self.what


@dc.dataclass(frozen=True)
class Rehearsal:
    """The result of pending revisions on a copy of a database.

    :param copy: The copied part, in words; empty if nothing is pending.
    :param samples: The rows of each table, unless all was copied.
    :param steps: The way up, and the way down where it was tried.
    :param changes: Data that was lost or changed.
    :param kept: How many columns had the same data in the end.
    :param backfills: Those that were run, at their end.
    :param left: Revisions that an upgrade holds back for a later deploy.
    :param notes: Remarks, such as why the way down was not tried.
    """

    bind: str | None
    copy: str = ""
    samples: tuple[Sample, ...] = ()
    steps: tuple[RehearsedStep, ...] = ()
    changes: tuple[DataChange, ...] = ()
    kept: int = 0
    backfills: tuple[BackfillInfo, ...] = ()
    left: tuple[RevisionInfo, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def lost(self) -> tuple[DataChange, ...]:
        """The data that was lost, and that no statement says is."""
        return tuple(change for change in self.changes if not change.is_expected)


# Drift


@dc.dataclass(frozen=True)
class SchemaChange:
    """A difference between what revisions made and what the database has.

    :param kind: Such as ``"column"``, ``"index"`` or ``"view"``.
    :param table: The table that it is part of; empty for what stands alone.
    :param name: Its name; empty for a table.
    :param recorded: The object of the revisions, as SQL; ``None`` if it was added.
    :param present: The object in the database, as SQL; ``None`` if it was dropped.
    """

    kind: str
    table: str
    name: str
    recorded: str | None
    present: str | None

    @property
    def what(self) -> str:
        """The name of it with its kind and its table."""
        if not self.name:
            return f"{self.kind} {self.table}"
        if self.kind == "column":
            return f"column {self.table}.{self.name}"
        return f"{self.kind} {self.name}" + (f" of {self.table}" if self.table else "")

    def __str__(self) -> str:
        if self.present is None:
            return f"{self.what} was dropped by hand"
        text = " ".join(self.present.split())
        if self.recorded is None:
            return f"{self.what} was added by hand: {text}"
        recorded = " ".join(self.recorded.split())
        return f"{self.what} was changed by hand: {recorded or 'nothing'} -> {text}"


@dc.dataclass(frozen=True)
class Drift:
    """Difference of a database to what its revisions made; false if there is none.

    :param changes: Changes of the schema that no revision made.
    :param edited: Revisions whose file was edited after they were applied.
    :param unrecorded: Applied revisions of which nothing is recorded: stamped, or
        applied by another program or before there was a record.
    :param is_known: Whether the changes could be found out. They cannot after an
        unrecorded revision that follows a recorded revision.
    :param fingerprint: A digest of all that is recorded: equal in databases that have
        the same from the same revisions.
    """

    bind: str | None
    changes: tuple[SchemaChange, ...] = ()
    edited: tuple[RevisionInfo, ...] = ()
    unrecorded: tuple[RevisionInfo, ...] = ()
    is_known: bool = True
    fingerprint: str | None = None
    tree: str | None = None

    def __bool__(self) -> bool:
        return bool(self.changes or self.edited)

    @property
    def phrases(self) -> tuple[str, ...]:
        """A phrase for each difference."""
        return (
            *(str(change) for change in self.changes),
            *(
                f"revision {info} was edited after it was applied: {info.path}"
                for info in self.edited
            ),
        )

    def __str__(self) -> str:
        lines = list(self.phrases)
        if self.unrecorded:
            ids = [info.id for info in self.unrecorded]
            more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
            lines.append(
                f"nothing is recorded of {', '.join(ids[:3])}{more}: stamped, or not"
                " applied by this command"
            )
        if not self.is_known:
            lines.append("so the record is too old to compare the schema with it")
        head = f"{self.tree or self.bind or 'default'}: {self.word}"
        return "\n".join([head, *(f"  {line}" for line in lines)])

    @property
    def word(self) -> str:
        """The result in one word or two."""
        if self:
            return "drifted"
        return "no drift" if self.fingerprint and self.is_known else "not recorded"


# Status


class State(enum.Enum):
    """Relation of a database to the code."""

    UP_TO_DATE = "up to date"
    PENDING = "pending"
    AHEAD = "ahead"
    DIVERGED = "diverged"
    """It holds what the code does not have, and lacks what the code has."""
    UNFINISHED = "unfinished"
    """A backfill is not done, or PostgreSQL did not finish an index."""
    DRIFTED = "drifted"
    """It was changed by hand, or an applied revision was edited."""
    MODELS_CHANGED = "models changed"
    SNAPSHOT_OUTDATED = "snapshot outdated"
    """The file `structure.sql` is not what the revisions make."""


WORST_FIRST = (
    State.DIVERGED,
    State.AHEAD,
    State.PENDING,
    State.UNFINISHED,
    State.DRIFTED,
    State.MODELS_CHANGED,
    State.SNAPSHOT_OUTDATED,
    State.UP_TO_DATE,
)


@dc.dataclass(frozen=True)
class BindStatus:
    """Status of one database against the code.

    :param current: The ids that its version table holds.
    :param pending: Revisions that are not applied, the next first.
    :param unknown: Ids in the version table that the code does not have.
    :param tree: The extension or blueprint whose revisions these are, ``None`` for the
        app.
    :param changes: Differences to the models, a phrase each; compared only where
        nothing is pending.
    :param backfills: Those of applied revisions that are not done.
    :param invalid_indexes: Indexes that a failed ``CREATE INDEX CONCURRENTLY`` left on
        PostgreSQL, and that no query uses.
    :param drift: Changes by hand and edited revisions, a phrase each; looked for only
        where the models are compared.
    """

    bind: str | None
    state: State
    current: tuple[str, ...] = ()
    pending: tuple[RevisionInfo, ...] = ()
    unknown: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    tree: str | None = None
    backfills: tuple[BackfillInfo, ...] = ()
    invalid_indexes: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()

    def __str__(self) -> str:
        unknown = tuple(f"{id} is not in the code" for id in self.unknown)
        details: tuple[str, ...] = {
            State.UP_TO_DATE: (),
            State.UNFINISHED: (),
            State.PENDING: tuple(str(revision) for revision in self.pending),
            State.AHEAD: unknown,
            State.DIVERGED: (
                *unknown,
                *(f"{revision} is not in the database" for revision in self.pending),
                *self.changes,
            ),
            State.DRIFTED: (),
            State.MODELS_CHANGED: self.changes,
            State.SNAPSHOT_OUTDATED: (),
        }[self.state]
        details += self.drift
        details += tuple(f"backfill {info}" for info in self.backfills)
        details += tuple(f"index {name} is invalid" for name in self.invalid_indexes)
        head = f"{self.tree or self.bind or 'default'}: {self.state.value}"
        return "\n".join([head, *(f"  {detail}" for detail in details)])


@dc.dataclass(frozen=True)
class Status:
    """Status of the databases of an app against its code."""

    binds: tuple[BindStatus, ...]

    @property
    def state(self) -> State:
        """The most serious of all, from diverged to an outdated snapshot."""
        return min(
            (bind.state for bind in self.binds),
            key=WORST_FIRST.index,
            default=WORST_FIRST[-1],
        )

    def __str__(self) -> str:
        return "\n".join(str(bind) for bind in self.binds)

    @property
    def can_serve(self) -> bool:
        """True if the code may serve: each pending revision contracts another.

        An unfinished backfill or index does not keep it from serving.
        """
        return self.state not in {State.AHEAD, State.DIVERGED} and all(
            revision.contracts for bind in self.binds for revision in bind.pending
        )

    @property
    def advice(self) -> str:
        """The commands to run where the state is pending or unfinished."""
        if self.state is State.UNFINISHED:
            advice: list[str] = []
            if any(bind.backfills for bind in self.binds):
                advice.append("Run: flask db backfill")
            names = [name for bind in self.binds for name in bind.invalid_indexes]
            if names:
                advice.append(index_advice(names))
            return "\n".join(advice)
        behind = [bind.pending[0] for bind in self.binds if bind.pending]
        if behind and all(revision.contracts for revision in behind):
            return HELD_BACK
        return "Run: flask db upgrade"


def index_advice(names: cabc.Iterable[str]) -> str:
    """Return the advice for indexes that are invalid."""
    statements = "; ".join(f"REINDEX INDEX CONCURRENTLY {name}" for name in names)
    return (
        "Fix what kept the index from being built, such as duplicates in a unique"
        f" index, then run: {statements}"
    )


@dc.dataclass(frozen=True)
class Explanation:
    """A reason for what autogenerate finds or does not find.

    :param id: Stable.
    :param message: The fact.
    :param advice: The remedy.
    """

    id: str
    bind: str | None
    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.bind or 'default'}: {self.id}: {self.message}\n  {self.advice}"


# Arguments of several commands

Names: t.TypeAlias = cabc.Collection[str] | None
Binds: t.TypeAlias = cabc.Collection[str | None] | None
Assumed: t.TypeAlias = t.Literal["done", "undone"]

OnStep: t.TypeAlias = cabc.Callable[[PlanStep], None]
OnProgress: t.TypeAlias = cabc.Callable[[BackfillInfo], None]
OnWait: t.TypeAlias = cabc.Callable[[str], None]
OnNote: t.TypeAlias = cabc.Callable[[str], None]


# Parameters that commands share


class Chosen(t.TypedDict, total=False):
    """Databases and trees that a command works on; the defaults if not given."""

    binds: Binds
    trees: Names


class MoveOptions(Chosen, total=False):
    """Parameters of each move; :meth:`Alembic.upgrade` says what they mean."""

    on_step: OnStep | None
    on_wait: OnWait | None
    resume: bool
    assume: Assumed | None


class UpgradeOptions(MoveOptions, total=False):
    """Parameters of an upgrade."""

    on_progress: OnProgress | None
    contract: bool


class LintOptions(Chosen, total=False):
    """Parameters of each look at revisions; :meth:`Alembic.lint` has their meaning."""

    base: str | None
    released: str | None
    hints: bool
    baseline: bool
    database: bool
