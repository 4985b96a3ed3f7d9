"""Differences of a database to what its revisions made, and to their files."""

from __future__ import annotations

import collections.abc as cabc
from pathlib import Path

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import Drift
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._results import SchemaChange
from flaskware_alembic._revisions.checksum import checksums_of
from flaskware_alembic._runtime.migrator import Migrator
from flaskware_alembic._runtime.record import Applied
from flaskware_alembic._runtime.record import Texts
from flaskware_alembic._schemas.schema import digests_of
from flaskware_alembic._schemas.schema import fingerprint
from flaskware_alembic._schemas.schema import Item
from flaskware_alembic._schemas.schema import Schema


def drift_of(migrator: Migrator) -> Drift:
    """Return how a database differs from what its revisions made."""
    bind, tree = migrator.database.bind, migrator.tree.name
    record = migrator.record
    if not record.is_kept:
        return Drift(bind, tree=tree)
    position = migrator.position
    with migrator.database.connect() as connection:
        heads = position.current_on(connection)
        texts, applied = record.read(connection)
        others = record.others(connection) if texts else []
        present = record.present(connection) if texts else None
        connection.rollback()
    ids = position.applied(heads)
    done = {id: a for id, a in applied.items() if a.checksum is not None}
    unrecorded = [id for id in ids if id not in done]
    is_known = not any(_follows(migrator, id, done) for id in unrecorded)
    is_known &= not any(a.before is not None for a in applied.values())
    dialect = migrator.database.engine.dialect.name
    return Drift(
        bind,
        tuple(_changes(texts, others, present)) if present and is_known else (),
        tuple(_edited(migrator, ids, done)),
        tuple(sorted((position.info(id) for id in unrecorded), key=lambda i: i.id)),
        is_known,
        fingerprint(digests_of(texts, dialect)) if done else None,
        tree,
    )


def accept(migrator: Migrator) -> Drift:
    """Record the schema and the revisions as they are now.

    :returns: The differences that are accepted.
    """
    found, record, position = drift_of(migrator), migrator.record, migrator.position
    if not record.is_kept:
        raise MigrationError(
            f"The database {migrator.database.name!r} has no record. Set ALEMBIC_RECORD"
            " = True, or use PostgreSQL, MySQL, MariaDB or SQLite."
        )
    with migrator.database.connect() as connection:
        heads = position.current_on(connection)
        texts, _ = record.read(connection)
        others = record.others(connection)
        present = record.present(connection)
        connection.rollback()
        metadata = migrator.database.metadata
        ours = (
            {item.table for item in texts}
            | migrator.made()
            | {table.key for table in (metadata.tables.values() if metadata else ())}
        )
        theirs = migrator.claimed | {
            item.table for other in others for item in other if item.kind == "table"
        }
        kept = {
            item: text
            for item, text in (present.texts.items() if present else ())
            if _bare(item.table) in ours - theirs
            or (not item.table and not any(item in other for other in others))
        }
        files: dict[str, Path] = {
            id: position.info(id).path for id in position.applied(heads)
        }
        record.replace(connection, kept, files)
    return found


def _bare(table: str) -> str:
    return table.replace('"', "")


def _follows(migrator: Migrator, id: str, recorded: cabc.Collection[str]) -> bool:
    """Return True if a revision comes after a recorded revision."""
    scripts = migrator.tree.scripts.iterate_revisions(id, "base")
    return any(script.revision in recorded for script in scripts)


def _edited(
    migrator: Migrator, ids: cabc.Collection[str], applied: dict[str, Applied]
) -> cabc.Iterator[RevisionInfo]:
    for id in sorted(ids & applied.keys()):
        info = migrator.position.info(id)
        if applied[id].checksum not in checksums_of(info.path):
            yield info


def _changes(
    recorded: Texts, others: cabc.Sequence[Texts], present: Schema
) -> cabc.Iterator[SchemaChange]:
    """Yield what differs, without what another tree made of it."""

    digests = [digests_of(each, present.dialect) for each in (recorded, *others)]
    tables = {i.table for i in recorded if i.kind == "table" and digests[0][i]}
    gone = {table for table in tables if Item("table", table, "") not in present.texts}
    for item, text in recorded.items():
        made = {each[item] for each in digests if item in each}
        if text is None or present.digests.get(item) in made:
            continue
        if item.table in gone and text.startswith("PARTITION OF "):
            # Partitions that come and go with time are data.
            continue
        if item.table not in gone or item.kind == "table":
            yield SchemaChange(*item, text, present.texts.get(item))
    for item, text in present.texts.items():
        known = item in recorded or any(item in other for other in others)
        if item.table in tables and not known and item.kind != "table":
            yield SchemaChange(*item, None, text)
