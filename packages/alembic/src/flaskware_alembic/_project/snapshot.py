"""A snapshot of the schema after the last revision, as SQL beside the revisions."""

from __future__ import annotations

import dataclasses as dc
import re
from pathlib import Path

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import RevisionFileError
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._runtime.migrator import Migrator
from flaskware_alembic._schemas.ddl import load
from flaskware_alembic._schemas.ddl import Writer
from flaskware_alembic._schemas.schema import digest
from flaskware_alembic._schemas.schema import Schema

from .drift import accept
from .drift import drift_of

NAME = "structure.sql"
# A line of its own, so that nothing has to be parsed to load it.
_BETWEEN = ";\n\n-- next\n"
_HEAD = "-- The schema after revision {ids}, on {dialect}.\n-- Made by: {command}\n\n"
_COMMAND = "flask db snapshot"
_PARTITION = re.compile(r"CREATE (?:UNLOGGED )?TABLE (\S+) PARTITION OF ")


@dc.dataclass(frozen=True)
class Snapshot:
    """A snapshot.

    :param ids: The revisions that the database was at.
    """

    ids: tuple[str, ...]
    dialect: str
    statements: tuple[str, ...]

    @property
    def text(self) -> str:
        """The content of its file."""
        head = _HEAD.format(
            ids=", ".join(self.ids), dialect=self.dialect, command=_COMMAND
        )
        return f"{head}{_BETWEEN.join(self.statements)};\n"

    @classmethod
    def read(cls, path: Path) -> Snapshot:
        """Return the snapshot of a file.

        :raises RevisionFileError: if it is none.
        """
        head, _, body = path.read_text("utf-8").partition("\n\n")
        start, comma, dialect = head.partition("\n")[0].rpartition(", on ")
        ids = start.removeprefix("-- The schema after revision ")
        if not comma or ids == start:
            raise RevisionFileError(
                f"{path} is no snapshot: its first line names no revision. Write it"
                f" again: {_COMMAND}",
                paths=(path,),
            )
        statements = body.rstrip().removesuffix(";").split(_BETWEEN)
        return cls(tuple(ids.split(", ")), dialect.rstrip("."), tuple(statements))


def path_of(migrator: Migrator) -> Path:
    """Return the file of the snapshot, whether or not it is there."""
    return migrator.tree.folder / NAME


def write_snapshot(migrator: Migrator) -> Path:
    """Write the schema of a database that is as its revisions made it.

    :raises MigrationError: if it is not, or if it cannot be written down.
    """
    drift, name = drift_of(migrator), migrator.database.name
    pending = migrator.position.pending(migrator.position.current())
    if drift or drift.unrecorded or not drift.is_known or pending:
        why = "; ".join(drift.phrases) or (
            f"revision {pending[0]} is pending" if pending else "it has no full record"
        )
        raise MigrationError(
            f"The database {name!r} is not what its revisions make: {why}. Run the"
            " command on a database that `flask db upgrade` made."
        )
    snapshot, unknown = _taken(migrator)
    if unknown:
        raise MigrationError(
            f"A snapshot cannot have what is in the database {name!r}:"
            f" {', '.join(unknown)}."
        )
    path = path_of(migrator)
    path.write_text(snapshot.text, "utf-8")
    return path


def is_outdated(migrator: Migrator) -> bool:
    """True if there is a snapshot that is not what the revisions make.

    One for another kind of database is not looked at, nor while it may differ: as long
    as a revision is pending, or the database was changed by hand.
    """
    path, position = path_of(migrator), migrator.position
    if not path.is_file():
        return False
    drift, heads = drift_of(migrator), position.current()
    is_whole = drift.is_known and not drift.unrecorded and not drift
    if position.unknown(heads) or position.pending(heads) or not is_whole:
        return False
    found = Snapshot.read(path)
    taken, _ = _taken(migrator)
    return found.dialect == taken.dialect and not _is_same(found, taken)


def _is_same(found: Snapshot, taken: Snapshot) -> bool:
    """Return whether both differ only in partitions that came or went with time."""
    if found.ids != taken.ids:
        return False
    there, wanted = (
        [digest(statement, each.dialect) for statement in each.statements]
        for each in (found, taken)
    )
    gone = [
        match[1]
        for statement, its in zip(found.statements, there, strict=True)
        if its not in wanted and (match := _PARTITION.match(statement))
    ]
    kept = [
        its
        for statement, its in zip(found.statements, there, strict=True)
        if not any(
            re.search(rf"(?<!\w){re.escape(name)}(?!\w)", statement) for name in gone
        )
    ]
    return kept == wanted


def load_snapshot(migrator: Migrator) -> list[RevisionInfo]:
    """Make the schema of a snapshot in an empty database.

    :returns: The revisions that the database then is at.
    :raises MigrationError: if the database is not empty, or is of another kind.
    """
    path, position = path_of(migrator), migrator.position
    if not path.is_file():
        raise MigrationError(f"There is no {path}. Write it: {_COMMAND}")
    snapshot, dialect = Snapshot.read(path), _dialect(migrator)
    if snapshot.dialect != dialect:
        raise MigrationError(
            f"{path} is for {snapshot.dialect}, and the database"
            f" {migrator.database.name!r} is {dialect}."
        )
    if position.current():
        raise MigrationError(
            f"The database {migrator.database.name!r} has revisions already. Run:"
            " flask db upgrade"
        )
    for id in snapshot.ids:
        position.info(id)
    with migrator.database.engine.begin() as connection:
        load(connection, snapshot.statements)
    for id in snapshot.ids:
        migrator.move(id, "stamp")
    accept(migrator)
    return [position.info(id) for id in snapshot.ids]


def _dialect(migrator: Migrator) -> str:
    name = migrator.database.engine.dialect.name
    return "mysql" if name == "mariadb" else name


def _taken(migrator: Migrator) -> tuple[Snapshot, tuple[str, ...]]:
    """Return the snapshot of a database, and what it cannot have."""
    record, position = migrator.record, migrator.position
    with migrator.database.connect() as connection:
        present = record.present(connection, in_order=True)
        made, _ = record.read(connection)
        heads = position.current_on(connection)
        connection.rollback()
    texts = {
        item: text
        for item, text in (present.texts.items() if present else ())
        if made.get(item) is not None
    }
    dialect = _dialect(migrator)
    first, rest = Writer(migrator.database.engine.dialect).creation(
        Schema(texts, dialect)
    )
    unknown = present.unknown if present else ()
    return Snapshot(tuple(heads), dialect, (*first, *rest)), unknown
