"""Checks of ``flask doctor`` about the migrations of an app."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import click
from flask.sansio.app import App

from flaskware_core import Finding
from flaskware_core import Level

from ._errors import DatabaseUnreachable
from ._errors import MigrationError
from ._lint.recording import record
from ._project.snapshot import is_outdated
from ._project.snapshot import path_of
from ._results import index_advice
from ._results import State
from ._runtime.timeouts import server_limits

if t.TYPE_CHECKING:
    from ._extension import Alembic


def check_migrations(
    alembic: Alembic, app: App, group: click.Group, *, deploy: bool = False
) -> cabc.Iterator[Finding]:
    """Yield findings about the revisions and the databases.

    :param group: The commands that the extension registered.
    :param deploy: Whether to examine what matters in production, too.
    """
    command = alembic.settings_of(app).command
    if app.cli.commands.get(command) is not group:
        yield Finding(
            "alembic.command-taken",
            Level.WARNING,
            f"`flask {command}` is another extension's: it was initialised later.",
            'Remove the other extension, or set ALEMBIC_COMMAND = "migrations".',
        )
    try:
        yield from _heads(alembic)
        yield from _states(alembic)
        yield from _drift(alembic)
        yield from _snapshots(alembic)
        yield from _borders(alembic)
        if deploy:
            yield from _timeouts(alembic)
    except DatabaseUnreachable as error:
        yield Finding(
            "alembic.unreachable",
            Level.WARNING,
            error.message,
            "Start the database, or run the examination where it can be reached.",
        )
    except MigrationError as error:
        yield Finding(
            "alembic.unusable",
            Level.ERROR,
            error.message,
            "Fix the cause; `flask db history` shows whether it is gone.",
        )


def _heads(alembic: Alembic) -> cabc.Iterator[Finding]:
    heads: dict[str, list[str]] = {}
    for info in alembic.heads():
        heads.setdefault(info.tree or info.bind or "default", []).append(info.id)
    for bind, ids in heads.items():
        if len(ids) > 1:
            yield Finding(
                "alembic.several-heads",
                Level.ERROR,
                f"The revisions of the database {bind or 'default'!r} end in several"
                f" heads: {', '.join(ids)}.",
                "flask db merge",
            )


def _states(alembic: Alembic) -> cabc.Iterator[Finding]:
    for status in alembic.status(models=False).binds:
        name = repr(status.bind or "default")
        if status.state is State.AHEAD:
            yield Finding(
                "alembic.ahead",
                Level.ERROR,
                f"The database {name} holds revision {', '.join(status.unknown)},"
                " which this code does not have.",
                "Deploy the code that has it.",
            )
        elif status.state is State.DIVERGED:
            yield Finding(
                "alembic.diverged",
                Level.ERROR,
                f"The database {name} holds revision {', '.join(status.unknown)},"
                " which this code does not have, and lacks some that it has.",
                "Bring the files of the other line here, and: flask db merge",
            )
        elif status.state is State.PENDING:
            yield Finding(
                "alembic.pending",
                Level.WARNING,
                f"Not applied to the database {name}:"
                f" {', '.join(info.id for info in status.pending)}.",
                "flask db upgrade",
            )
        for info in status.backfills:
            yield Finding(
                "alembic.backfill-unfinished",
                Level.WARNING,
                f"In the database {name}, the backfill {info}.",
                "flask db backfill",
            )
        for index in status.invalid_indexes:
            yield Finding(
                "alembic.invalid-index",
                Level.WARNING,
                f"In the database {name}, the index {index} is invalid: it was not"
                " built to the end, and no query uses it.",
                index_advice([index]),
            )


def _drift(alembic: Alembic) -> cabc.Iterator[Finding]:
    """Changes by hand, and revisions that were edited after they were applied."""
    for drift in alembic.drift():
        name = repr(drift.bind or "default")
        if drift.changes:
            changes = "; ".join(str(change) for change in drift.changes)
            yield Finding(
                "alembic.drift",
                Level.WARNING,
                f"The database {name} was changed by hand: {changes}.",
                "Undo it, or: flask db drift --write",
            )
        for info in drift.edited:
            yield Finding(
                "alembic.edited-revision",
                Level.WARNING,
                f"The database {name} has revision {info}, and {info.path} was edited"
                " since: other databases get something else.",
                "Put the file back, and write another revision.",
            )


def _snapshots(alembic: Alembic) -> cabc.Iterator[Finding]:
    """Snapshots that are not what the revisions make."""
    for m in alembic.state.selection().migrators:
        if is_outdated(m):
            yield Finding(
                "alembic.snapshot-outdated",
                Level.WARNING,
                f"{path_of(m)} is not what the revisions make.",
                "flask db snapshot",
            )


def _borders(alembic: Alembic) -> cabc.Iterator[Finding]:
    """Revisions that alter what another tree brings."""
    selection = alembic.state.selection()
    brought: dict[str, str] = {}
    for m in selection.migrators:
        if m.tree.name is not None and m.database.metadata is not None:
            for table in m.database.metadata.tables.values():
                brought[table.key] = m.tree.name
    for m in selection.migrators if brought else ():
        for info in m.tree.infos():
            dialect = m.database.engine.dialect
            upgrade = m.tree.function(info.id, "upgrade")
            recording = record(upgrade, info.path, dialect)
            for change in recording.changes:
                owner = brought.get(change.table or "", m.tree.name)
                if owner != m.tree.name:
                    yield Finding(
                        "alembic.foreign-table",
                        Level.WARNING,
                        f"{info.path}:{change.line} does `{change}`, and the table"
                        f" {change.table} is brought by the tree {owner!r}, which does"
                        " not know.",
                        "Ask the package for a way, or make a table of your own.",
                    )


def _timeouts(alembic: Alembic) -> cabc.Iterator[Finding]:
    """Limits that neither the settings nor the server has."""
    settings = alembic.state.settings
    for database in alembic.state.selection().databases:
        name = repr(database.bind or "default")
        with database.connect() as connection:
            limits = server_limits(connection)
        if settings.table_lock_timeout is None and limits.lock is None:
            yield Finding(
                "alembic.no-lock-timeout",
                Level.WARNING,
                f"Nothing limits how long a revision waits for a lock in the database"
                f" {name}. All other queries on the table queue behind it meanwhile.",
                "ALEMBIC_TABLE_LOCK_TIMEOUT = 5",
            )
        if settings.statement_timeout is None and limits.statement is None:
            yield Finding(
                "alembic.no-statement-timeout",
                Level.INFO,
                f"Nothing limits how long a statement of a revision holds its locks in"
                f" the database {name}.",
                "ALEMBIC_STATEMENT_TIMEOUT = 600",
            )
