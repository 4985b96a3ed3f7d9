"""Reasons for what autogenerate detects, or does not detect."""

from __future__ import annotations

import collections.abc as cabc

import sqlalchemy as sa

from flaskware_alembic._autogenerate.operations import changes_of
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import Explanation
from flaskware_alembic._results import index_advice
from flaskware_alembic._runtime.migrator import Migrator


def explain(migrators: cabc.Iterable[Migrator]) -> list[Explanation]:
    """Return the reasons for the result of a comparison, for each database."""
    return [explanation for m in migrators for explanation in _about(m)]


def _about(m: Migrator) -> cabc.Iterator[Explanation]:
    bind, metadata = m.database.bind, m.database.metadata
    if metadata is None:
        yield Explanation(
            "no-metadata",
            bind,
            f"Nothing is known of the models of the database {m.database.name!r}.",
            "Give it: Alembic(db, metadata={...}) by the names of the engines.",
        )
        return
    tables = set(metadata.tables) - m.claimed
    with m.database.connect() as connection:
        inspector = sa.inspect(connection)
        there = set(inspector.get_table_names())
    kept = {name for name in there if name.startswith(m.settings.version_table)}
    there -= kept
    if not tables:
        yield Explanation(
            "no-models",
            bind,
            "No model is declared: the modules with the models were not imported when"
            " the metadata was read, or they use another base.",
            "Import them where the app is made: `from . import models`. Alembic"
            " must be given the metadata of their base.",
        )
        return
    yield from _about_state(m, tables, there, is_versioned=m.versions.name in kept)


def _about_state(
    m: Migrator, tables: set[str], there: set[str], *, is_versioned: bool
) -> cabc.Iterator[Explanation]:
    bind = m.database.bind
    current = m.position.current() if is_versioned else ()
    known = {name.rpartition(".")[2] for name in tables}
    made = known & there
    if made and not current:
        yield Explanation(
            "made-by-create-all",
            bind,
            f"The database has tables of the models, and no revision: {_names(made)}."
            f" `db.create_all()` made them, so that nothing is"
            " left to detect.",
            "Remove create_all(), empty the database (or use another), and run:"
            " flask db migrate. To keep this database, stamp it afterwards: flask db"
            " stamp.",
        )
    if unknown := m.position.unknown(current):
        yield Explanation(
            "ahead",
            bind,
            f"The database holds {', '.join(unknown)}, which the code does not have.",
            "Deploy the code that has it, or bring its file here.",
        )
        return
    if pending := m.position.pending(current):
        yield Explanation(
            "pending",
            bind,
            f"Not applied yet: {_names(info.id for info in pending)}. A"
            " comparison would find their changes again.",
            "Run: flask db upgrade, with --contract if it holds one back.",
        )
        return
    for info in m.backfills.unfinished_infos():
        yield Explanation(
            "backfill-unfinished",
            bind,
            f"The backfill {info}.",
            "Run: flask db backfill",
        )
    for name in m.invalid_indexes():
        yield Explanation(
            "invalid-index",
            bind,
            f"The index {name} was not built to the end, and no query uses it. A"
            " comparison counts it as present.",
            index_advice([name]),
        )
    if others := sorted(there - known - m.made() - m.claimed):
        yield Explanation(
            "not-ours",
            bind,
            "The database has tables that are neither in the models nor made by a"
            f" revision: {_names(others)}.",
            "Nothing compares or drops them. To drop one, write a revision that does:"
            ' flask db revision -m "drop ..."',
        )
    try:
        changes = changes_of(m.comparison)
    except MigrationError as error:
        yield Explanation("unusable", bind, error.message, "Fix what it names.")
        return
    if changes:
        yield Explanation(
            "changes",
            bind,
            f"The models have changed: {'; '.join(changes)}.",
            'Run: flask db migrate -m "what changed"',
        )
        return
    yield Explanation(
        "same",
        bind,
        "The tables of the models are in the database as they are declared:"
        f" {_names(known)}.",
        "If a model is missing from that list, its module was not imported. Compared"
        f" are tables, columns, types ({_word(m.settings.compare_type)}), server"
        f" defaults ({_word(m.settings.compare_server_default)}), indexes, unique and"
        " foreign keys, CHECK constraints and the values of enums; not triggers,"
        " functions and views.",
    )


def _word(flag: bool) -> str:
    return "on" if flag else "off: ALEMBIC_COMPARE_..."


def _names(names: cabc.Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return ", ".join(listed[:8]) + more
