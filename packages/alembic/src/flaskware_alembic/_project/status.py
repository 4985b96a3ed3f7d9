"""Status of the databases, and the errors that belong to it."""

from __future__ import annotations

import collections.abc as cabc
import functools

from flaskware_alembic._autogenerate.operations import changes_of
from flaskware_alembic._errors import DatabaseAhead
from flaskware_alembic._errors import DatabaseDiverged
from flaskware_alembic._errors import ModelsChanged
from flaskware_alembic._errors import PendingRevisions
from flaskware_alembic._errors import SchemaDrifted
from flaskware_alembic._errors import SeveralHeads
from flaskware_alembic._errors import SnapshotOutdated
from flaskware_alembic._results import BindStatus
from flaskware_alembic._results import DRIFT_ADVICE
from flaskware_alembic._results import State
from flaskware_alembic._results import Status
from flaskware_alembic._results import WORST_FIRST
from flaskware_alembic._runtime.migrator import Migrator

from .drift import drift_of
from .snapshot import is_outdated


def status_of(migrator: Migrator, *, models: bool) -> BindStatus:
    """Return how one database stands to the code.

    :param models: Also compare the models, which reads the whole schema.
    """
    current = migrator.position.current()
    backfills = migrator.backfills.unfinished_infos()
    invalid_indexes = migrator.invalid_indexes()
    made = functools.partial(
        BindStatus,
        migrator.database.bind,
        tree=migrator.tree.name,
        current=current,
        backfills=backfills,
        invalid_indexes=invalid_indexes,
    )
    if unknown := migrator.position.unknown(current):
        known = tuple(id for id in current if id not in unknown)
        pending = migrator.position.pending(known) if known else ()
        # A database ahead has all that the models say, and more.
        changes = changes_of(migrator.comparison) if models and not known else ()
        missing = tuple(change for change in changes if change.startswith("add "))
        return made(
            state=State.DIVERGED if pending or missing else State.AHEAD,
            unknown=unknown,
            pending=pending,
            changes=missing,
        )
    if models:
        made = functools.partial(made, drift=drift_of(migrator).phrases)
    if pending := migrator.position.pending(current):
        return made(state=State.PENDING, pending=pending)
    if backfills or invalid_indexes:
        return made(state=State.UNFINISHED)
    changes = changes_of(migrator.comparison) if models else ()
    if made.keywords.get("drift"):
        return made(state=State.DRIFTED, changes=changes)
    if changes:
        return made(state=State.MODELS_CHANGED, changes=changes)
    if models and is_outdated(migrator):
        return made(state=State.SNAPSHOT_OUTDATED)
    return made(state=State.UP_TO_DATE)


def refuse(status: Status) -> None:
    """Raise the error of a status, unless everything is up to date.

    :raises DatabaseDiverged: if a database also lacks a revision of the code.
    :raises DatabaseAhead: if a database holds a revision that the code does not have.
    :raises PendingRevisions: if a database is behind, or something is unfinished.
    :raises SchemaDrifted: if a database was changed by hand, or a revision edited.
    :raises ModelsChanged: if the models differ and no revision closes that.
    :raises SnapshotOutdated: if a snapshot is not what the revisions make.
    """
    # The worst comes first, after the word that says something is wrong.
    binds = sorted(status.binds, key=lambda bind: WORST_FIRST.index(bind.state))
    text = "\n".join(str(bind) for bind in binds)
    if status.state is State.DIVERGED:
        raise DatabaseDiverged(
            f"{text}\nTwo lines of history were deployed. Bring the files of the"
            " other line here, and join them: flask db merge, or flask db rebase.",
            revisions=binds[0].unknown,
            bind=binds[0].bind,
        )
    if status.state is State.AHEAD:
        raise DatabaseAhead(
            f"{text}\nDeploy the code that has the revision, or bring its file here.",
            revisions=binds[0].unknown,
            bind=binds[0].bind,
        )
    if status.state in {State.PENDING, State.UNFINISHED}:
        raise PendingRevisions(f"{text}\n{status.advice}", status=status)
    if status.state is State.DRIFTED:
        raise SchemaDrifted(f"{text}\n{DRIFT_ADVICE}", status=status)
    if status.state is State.MODELS_CHANGED:
        raise ModelsChanged(
            f'{text}\nRun: flask db migrate -m "what changed"', status=status
        )
    if status.state is State.SNAPSHOT_OUTDATED:
        raise SnapshotOutdated(f"{text}\nRun: flask db snapshot", status=status)


def refuse_behind(migrators: cabc.Iterable[Migrator]) -> None:
    """Refuse databases that a new revision cannot be compared with.

    :raises PendingRevisions: if one is behind.
    :raises SeveralHeads: if it is not clear what a new revision follows.
    """
    migrators = list(migrators)
    status = Status(tuple(status_of(m, models=False) for m in migrators))
    for m, bind in zip(migrators, status.binds, strict=True):
        m.position.refuse_unknown(bind.unknown)
        if len(m.tree.heads) > 1:
            raise SeveralHeads(
                f"{m.tree.folder} has several heads ({', '.join(m.tree.heads)}),"
                " and a new revision follows one. Run: flask db merge"
            )
    if status.state is State.PENDING:
        raise PendingRevisions(
            f"{status}\nThe models are compared with a database that has them"
            f" all. {status.advice}",
            status=status,
        )
