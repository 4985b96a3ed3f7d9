from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import enum
import functools

from flaskware_alembic._autogenerate.operations import changes_of
from flaskware_alembic._errors import DatabaseAhead
from flaskware_alembic._errors import DatabaseDiverged
from flaskware_alembic._errors import ModelsChanged
from flaskware_alembic._errors import PendingRevisions
from flaskware_alembic._revisions.backfill import BackfillInfo
from flaskware_alembic._revisions.revision import RevisionInfo
from flaskware_alembic._runtime.migrator import Migrator


class State(enum.Enum):
    """How a database stands to the code."""

    UP_TO_DATE = "up to date"
    PENDING = "pending"
    AHEAD = "ahead"
    DIVERGED = "diverged"
    """It holds what the code does not have, and lacks what the code has."""
    UNFINISHED = "unfinished"
    """A backfill is not done, or PostgreSQL did not build an index to the end."""
    MODELS_CHANGED = "models changed"


_ORDER = (
    State.DIVERGED,
    State.AHEAD,
    State.PENDING,
    State.UNFINISHED,
    State.MODELS_CHANGED,
    State.UP_TO_DATE,
)


@dc.dataclass(frozen=True)
class BindStatus:
    """How one database stands to the code.

    :param current: The ids that its version table holds.
    :param pending: Revisions that are not applied, the next one first.
    :param unknown: Ids in the version table that the code does not have.
    :param tree: The extension or blueprint whose revisions these are, ``None`` for the
        app.
    :param changes: What the models say differently, a phrase each. Looked for only
        where nothing is pending.
    :param backfills: Those of applied revisions that are not done.
    :param invalid_indexes: What ``CREATE INDEX CONCURRENTLY`` left on PostgreSQL when
        it failed, which no query uses.
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

    def __str__(self) -> str:
        details: tuple[str, ...]
        details = {
            State.UP_TO_DATE: (),
            State.UNFINISHED: (),
            State.PENDING: tuple(str(revision) for revision in self.pending),
            State.AHEAD: tuple(f"{id} is not in the code" for id in self.unknown),
            State.DIVERGED: (
                *(f"{id} is not in the code" for id in self.unknown),
                *(f"{revision} is not in the database" for revision in self.pending),
                *self.changes,
            ),
            State.MODELS_CHANGED: self.changes,
        }[self.state]
        details += tuple(f"backfill {info}" for info in self.backfills)
        details += tuple(f"index {name} is invalid" for name in self.invalid_indexes)
        head = f"{self.tree or self.bind or 'default'}: {self.state.value}"
        return "\n".join([head, *(f"  {detail}" for detail in details)])


@dc.dataclass(frozen=True)
class Status:
    """How the databases of an app stand to its code."""

    binds: tuple[BindStatus, ...]

    @property
    def state(self) -> State:
        """The most serious of all: diverged, ahead, pending, unfinished, changed."""
        return min((b.state for b in self.binds), key=_ORDER.index, default=_ORDER[-1])

    def __str__(self) -> str:
        return "\n".join(str(bind) for bind in self.binds)

    @property
    def can_serve(self) -> bool:
        """Whether the code may serve: each revision that it lacks contracts another.

        A backfill or an index that is not done does not keep it from serving.
        """
        return self.state not in {State.AHEAD, State.DIVERGED} and all(
            revision.contracts for bind in self.binds for revision in bind.pending
        )

    @property
    def advice(self) -> str:
        """What to type where revisions are pending or something is unfinished."""
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
            return (
                "They are held back since they break processes that run older code."
                " Once none does: flask db upgrade --contract"
            )
        return "Run: flask db upgrade"

    def refuse(self) -> None:
        """Raise what belongs to the state, unless everything is up to date.

        :raises DatabaseDiverged: if one also lacks what the code has.
        :raises DatabaseAhead: if a database holds what the code does not have.
        :raises PendingRevisions: if one is behind, or something is unfinished.
        :raises ModelsChanged: if the models say something that no revision does.
        """
        # What is wrong comes first, after the word that says something is.
        worst_first = sorted(self.binds, key=lambda bind: _ORDER.index(bind.state))
        text = "\n".join(str(bind) for bind in worst_first)
        if self.state is State.DIVERGED:
            first = next(bind for bind in self.binds if bind.state is self.state)
            raise DatabaseDiverged(
                f"{text}\nTwo lines of history were deployed. Bring the files of the"
                " other one here, and join them: flask db merge, or flask db rebase.",
                revisions=first.unknown,
                bind=first.bind,
            )
        if self.state is State.AHEAD:
            first = next(bind for bind in self.binds if bind.unknown)
            raise DatabaseAhead(
                f"{text}\nDeploy the code that has the revision, or bring its file"
                " here.",
                revisions=first.unknown,
                bind=first.bind,
            )
        if self.state in {State.PENDING, State.UNFINISHED}:
            raise PendingRevisions(f"{text}\n{self.advice}", status=self)
        if self.state is State.MODELS_CHANGED:
            raise ModelsChanged(
                f'{text}\nRun: flask db migrate -m "what changed"', status=self
            )


def index_advice(names: cabc.Iterable[str]) -> str:
    """What to do about indexes that are invalid."""
    statements = "; ".join(f"REINDEX INDEX CONCURRENTLY {name}" for name in names)
    return (
        "Mend what kept the index from being built, such as duplicates in a unique one,"
        f" and send: {statements}"
    )


def status_of(migrator: Migrator, *, models: bool) -> BindStatus:
    """How one database stands to the code.

    :param models: Also compare the models, which reads the whole schema.
    """
    current = migrator.current()
    backfills = migrator.unfinished_infos()
    invalid_indexes = migrator.invalid_indexes()
    made = functools.partial(
        BindStatus,
        migrator.database.bind,
        tree=migrator.tree.name,
        current=current,
        backfills=backfills,
        invalid_indexes=invalid_indexes,
    )
    if unknown := migrator.unknown(current):
        known = tuple(id for id in current if id not in unknown)
        pending = migrator.pending(known) if known else ()
        # A database ahead has all that the models say, and more.
        changes = changes_of(migrator) if models and not known else ()
        missing = tuple(change for change in changes if change.startswith("add "))
        return made(
            state=State.DIVERGED if pending or missing else State.AHEAD,
            unknown=unknown,
            pending=pending,
            changes=missing,
        )
    if pending := migrator.pending(current):
        return made(state=State.PENDING, pending=pending)
    if backfills or invalid_indexes:
        return made(state=State.UNFINISHED)
    if models and (changes := changes_of(migrator)):
        return made(state=State.MODELS_CHANGED, changes=changes)
    return made(state=State.UP_TO_DATE)
