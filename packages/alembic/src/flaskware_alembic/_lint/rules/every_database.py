"""Dangers on every database: what breaks the code that still runs."""

from __future__ import annotations

from flaskware_alembic._lint.rule import advice
from flaskware_alembic._lint.rule import EVERY
from flaskware_alembic._lint.rule import kind
from flaskware_alembic._lint.rule import READS
from flaskware_alembic._lint.rule import Rule
from flaskware_alembic._lint.rule import RuleContext
from flaskware_alembic._sql.change import Change
from flaskware_core import Level

_LONGEST = {"postgresql": 63, "mysql": 64}


def _is_required(change: Change, _: RuleContext) -> bool:
    info = change.column
    return (
        change.kind == "add_column"
        and not info.nullable
        and info.default is None
        and not (info.is_serial or info.is_identity or info.is_stored)
    )


def _is_too_long(change: Change, context: RuleContext) -> bool:
    longest = _LONGEST.get(context.dialect)
    names = [change.name or "", (change.table or "").rpartition(".")[2]]
    if change.kind.startswith("rename"):
        names.append(change.other or "")
    names.extend(info.name for info in change.columns)
    return longest is not None and any(len(n.encode()) > longest for n in names)


def _drops_constraint(change: Change, context: RuleContext) -> bool:
    # One of this deploy only helped it along.
    return change.kind == "drop_constraint" and not any(
        earlier.kind.startswith("add_")
        and earlier.name == change.name
        and context.same(earlier, change)
        for earlier in context.so_far(change)
    )


def _names_twice(change: Change, _: RuleContext) -> bool:
    names = [info.name for info in change.columns]
    return change.kind in {"create_table", "update"} and len(names) > len(set(names))


def _is_replaced(change: Change, context: RuleContext) -> bool:
    return change.kind == "create_table" and any(
        earlier.kind == "drop_table" and context.same(earlier, change)
        for earlier in context.before(change)
    )


def _changes_rows(change: Change, context: RuleContext) -> bool:
    # The statements of a revision on one table are one change of its rows.
    return change.kind in {"update", "delete"} and not any(
        earlier.kind in {"update", "delete"} and context.same(earlier, change)
        for earlier in context.before(change)
    )


ANY = (
    Rule(
        "drop-column",
        EVERY,
        Level.WARNING,
        "Code that is still running names the column in every SELECT and INSERT, and"
        " fails from this moment; its data is gone.",
        kind("drop_column"),
        advice(
            "# 1. Deploy code whose model has no column {name}.\n"
            "# 2. Then drop it, with the reason why nothing uses it:\n"
            'op.drop_column("{table}", "{name}")  # lint: allow drop-column: unused'
            " since ..."
        ),
        lock=READS,
        on_new_part=False,
    ),
    Rule(
        "drop-table",
        EVERY,
        Level.WARNING,
        "Code that is still running fails from this moment, and the data is gone.",
        kind("drop_table"),
        advice(
            "# 1. Deploy code without the model.\n"
            "# 2. Rename or back up the table; then drop it, with the reason:\n"
            'op.drop_table("{table}")  # lint: allow drop-table: unused since ...'
        ),
        lock=READS,
    ),
    Rule(
        "recreate-table",
        EVERY,
        Level.ERROR,
        "Dropping and recreating a table in one revision loses its rows.",
        _is_replaced,
        advice('# Alter it:\nop.alter_column("{table}", ...)'),
        on_new=True,
    ),
    Rule(
        "rename-column",
        EVERY,
        Level.ERROR,
        "Code that is still running uses the old name, and fails from this moment.",
        kind("rename_column"),
        advice(
            "# Expand: add {other}, write both, copy in batches (@backfill).\n"
            'op.add_column("{table}", sa.Column("{other}", ...))\n'
            "# Contract, a release later, in a revision of its own:\n"
            'op.drop_column("{table}", "{name}")'
        ),
        lock=READS,
        on_new_part=False,
    ),
    Rule(
        "rename-table",
        EVERY,
        Level.ERROR,
        "Code that is still running uses the old name, and fails from this moment.",
        kind("rename_table"),
        advice(
            "# Keep the old name for the code that still runs, until a later"
            " revision drops it:\n"
            'op.rename_table("{table}", "{other}")\n'
            "op.execute('CREATE VIEW {table} AS SELECT * FROM {other}')"
        ),
        lock=READS,
    ),
    Rule(
        "add-required-column",
        EVERY,
        Level.ERROR,
        "A table with rows refuses a new NOT NULL column without a default; MySQL and"
        " MariaDB fill in an empty value instead. Running code sends no value either.",
        _is_required,
        advice(
            "# Expand: without NOT NULL.\n"
            'op.add_column("{table}", sa.Column("{name}", ..., nullable=True))\n'
            "# Contract, in a revision of its own: fill it in batches (@backfill),\n"
            "# then require it:\n"
            'op.alter_column("{table}", "{name}", nullable=False)'
        ),
    ),
    Rule(
        "truncate",
        EVERY,
        Level.ERROR,
        "Deletes every row; on PostgreSQL and MariaDB it also blocks readers.",
        kind("truncate", cascades=False),
        advice("# Delete in batches, in a @backfill, what is really to go."),
        lock=READS,
    ),
    Rule(
        "drop-database",
        EVERY,
        Level.ERROR,
        "Deletes everything in the database.",
        kind("drop_database"),
        advice("# Leave that to the operator of the server."),
        on_new=True,
    ),
    Rule(
        "data-change",
        EVERY,
        Level.WARNING,
        "One statement locks every row that it changes until the revision commits, and"
        " tables altered before stay locked as long.",
        _changes_rows,
        advice(
            '@backfill("{table}", batch=1000)\n'
            "def fill(connection, batch):\n"
            "    statement = sa.update(batch.table).where(batch.where)\n"
            "    connection.execute(statement.values(...))"
        ),
        lock="RowExclusiveLock",
        grows=True,
    ),
    Rule(
        "transaction-statement",
        EVERY,
        Level.ERROR,
        "The revision already runs in a transaction. If you end it by hand and the rest"
        " fails, half of the revision stays applied.",
        kind("transaction"),
        advice(
            "with op.get_context().autocommit_block():\n"
            "    ...  # what must not be in a transaction"
        ),
        on_new=True,
    ),
    Rule(
        "wide-index",
        EVERY,
        Level.INFO,
        "A non-unique index of more than three columns is large, slows every write, and"
        " is rarely used in full.",
        lambda change, _: (
            change.kind == "create_index"
            and not change.is_unique
            and len(change.columns) > 3
        ),
        advice("# Index the one or two columns that narrow the search most."),
        on_new=True,
    ),
    Rule(
        "identifier-too-long",
        EVERY,
        Level.ERROR,
        "The database shortens the name, or refuses it.",
        _is_too_long,
        advice("# A name of at most 63 bytes; 64 on MySQL and MariaDB."),
        on_new=True,
    ),
    Rule(
        "duplicate-column",
        EVERY,
        Level.ERROR,
        "A column is named twice, so the database refuses the statement.",
        _names_twice,
        advice("# Name each column once."),
        on_new=True,
    ),
    Rule(
        "drop-view",
        EVERY,
        Level.WARNING,
        "Code that is still running and reads the view fails from this moment.",
        kind("drop_object", other="view"),
        advice(
            "# 1. Deploy code that does not read it.\n"
            "op.execute('DROP VIEW {name}')  # lint: allow drop-view: unused since ..."
        ),
        on_new=True,
    ),
    Rule(
        "drop-index",
        EVERY,
        Level.INFO,
        "Queries that used the index read the whole table from now on. A unique index"
        " no longer prevents duplicates.",
        kind("drop_index"),
        advice("# First see, in the statistics of the database, that nothing uses it."),
    ),
    Rule(
        "drop-constraint",
        EVERY,
        Level.INFO,
        "Rows that the constraint refused may be written from now on, and code that is"
        " still running may rely on it.",
        _drops_constraint,
        advice(
            "# First deploy code that does not rely on it:\n"
            'op.drop_constraint("{name}", "{table}")'
        ),
        lock=READS,
    ),
    Rule(
        "drop-default",
        EVERY,
        Level.WARNING,
        "Code that is still running and leaves the column out writes NULL from this"
        " moment, or fails where that is not allowed.",
        kind("drop_default"),
        advice(
            "# First deploy code that gives {table}.{name} a value; then drop the"
            " default."
        ),
        lock=READS,
        on_new_part=False,
    ),
    Rule(
        "set-default",
        EVERY,
        Level.INFO,
        "Running code that leaves the column out writes the new value from now on."
        " Existing rows keep the old value.",
        kind("set_default"),
        advice("# First deploy code that copes with both values in {table}.{name}."),
        lock=READS,
        on_new_part=False,
    ),
    Rule(
        "raw-sql",
        EVERY,
        Level.WARNING,
        "No rule understands this statement, so its locks are unknown.",
        kind("other"),
        advice(
            "# Read it; then waive it with what you found:\n# lint: allow raw-sql: ..."
        ),
        on_new=True,
    ),
)
