from __future__ import annotations

import dataclasses as dc
import enum
import functools

from ._autogenerate import changes_of
from ._errors import DatabaseAhead
from ._errors import DatabaseDiverged
from ._errors import ModelsChanged
from ._errors import PendingRevisions
from ._migrator import Migrator
from ._revision import RevisionInfo


class State(enum.Enum):
    """How a database stands to the code."""

    UP_TO_DATE = "up to date"
    PENDING = "pending"
    AHEAD = "ahead"
    DIVERGED = "diverged"
    """It holds what the code does not have, and lacks what the code has."""
    MODELS_CHANGED = "models changed"


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
    """

    bind: str | None
    state: State
    current: tuple[str, ...] = ()
    pending: tuple[RevisionInfo, ...] = ()
    unknown: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    tree: str | None = None

    def __str__(self) -> str:
        details = {
            State.UP_TO_DATE: (),
            State.PENDING: tuple(str(revision) for revision in self.pending),
            State.AHEAD: tuple(f"{id} is not in the code" for id in self.unknown),
            State.DIVERGED: (
                *(f"{id} is not in the code" for id in self.unknown),
                *(f"{revision} is not in the database" for revision in self.pending),
                *self.changes,
            ),
            State.MODELS_CHANGED: self.changes,
        }[self.state]
        head = f"{self.tree or self.bind or 'default'}: {self.state.value}"
        return "\n".join([head, *(f"  {detail}" for detail in details)])


@dc.dataclass(frozen=True)
class Status:
    """How the databases of an app stand to its code."""

    binds: tuple[BindStatus, ...]

    @property
    def state(self) -> State:
        """The most serious of all: diverged, ahead, pending, then changed models."""
        order = (State.DIVERGED, State.AHEAD, State.PENDING, State.MODELS_CHANGED)
        found = {bind.state for bind in self.binds}
        return next((state for state in order if state in found), State.UP_TO_DATE)

    def __str__(self) -> str:
        return "\n".join(str(bind) for bind in self.binds)

    @property
    def advice(self) -> str:
        """What to type where revisions are pending."""
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
        :raises PendingRevisions: if one is behind.
        :raises ModelsChanged: if the models say something that no revision does.
        """
        if self.state is State.DIVERGED:
            first = next(bind for bind in self.binds if bind.state is self.state)
            raise DatabaseDiverged(
                f"{self}\nTwo lines of history were deployed. Bring the files of the"
                " other one here, and join them: flask db merge, or flask db rebase.",
                revisions=first.unknown,
                bind=first.bind,
            )
        if self.state is State.AHEAD:
            first = next(bind for bind in self.binds if bind.unknown)
            raise DatabaseAhead(
                f"{self}\nDeploy the code that has the revision, or bring its file"
                " here.",
                revisions=first.unknown,
                bind=first.bind,
            )
        if self.state is State.PENDING:
            raise PendingRevisions(f"{self}\n{self.advice}", status=self)
        if self.state is State.MODELS_CHANGED:
            raise ModelsChanged(
                f'{self}\nRun: flask db migrate -m "what changed"', status=self
            )


def status_of(migrator: Migrator, *, models: bool) -> BindStatus:
    """How one database stands to the code.

    :param models: Also compare the models, which reads the whole schema.
    """
    current = migrator.current()
    made = functools.partial(
        BindStatus, migrator.database.bind, tree=migrator.tree.name, current=current
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
    if models and (changes := changes_of(migrator)):
        return made(state=State.MODELS_CHANGED, changes=changes)
    return made(state=State.UP_TO_DATE)
