"""Dangers on MySQL, MariaDB and SQLite."""

from __future__ import annotations

import re

from flaskware_alembic._lint.rule import advice
from flaskware_alembic._lint.rule import column
from flaskware_alembic._lint.rule import Dialect
from flaskware_alembic._lint.rule import kind
from flaskware_alembic._lint.rule import Rule
from flaskware_alembic._lint.rule import RuleContext
from flaskware_alembic._sql.change import Change
from flaskware_core import Level

_MY: tuple[Dialect, ...] = ("mysql",)
_LITE: tuple[Dialect, ...] = ("sqlite",)
_ALTERS = {
    "add_check", "add_exclude", "add_foreign_key", "add_primary_key", "add_unique",
    "alter_type", "drop_constraint", "drop_default", "drop_not_null", "set_default",
    "set_not_null",
}  # fmt: skip


def _copies_type(change: Change, _: RuleContext) -> bool:
    """True if the table is copied: unless a VARCHAR grows within its length bytes."""
    if change.kind != "alter_type":
        return False
    old = re.fullmatch(r"varchar\((\d+)\)", change.old_type or "")
    new = re.fullmatch(r"varchar\((\d+)\)", change.column.type)
    if change.old_type == change.column.type:
        return False
    if _appends_value(change.old_type or "", change.column.type):
        return False
    if old is None or new is None or int(new[1]) < int(old[1]):
        return True
    # Up to 255 bytes have one byte of length; utf8mb4 has up to four a character.
    return (int(old[1]) * 4 > 255) != (int(new[1]) * 4 > 255)


def _appends_value(old: str, new: str) -> bool:
    """True if an ENUM only gets values after its present values."""
    return old.startswith("enum(") and new.startswith(f"{old[:-1]},")


def _has_expression(change: Change, _: RuleContext) -> bool:
    default = change.column.default or ""
    return (
        change.kind == "add_column"
        and "(" in default
        and not re.match(r"(?i)^\(?(current_timestamp|now|localtime)", default)
    )


def _cannot_be_altered(change: Change, _: RuleContext) -> bool:
    return change.kind in _ALTERS and not change.in_batch


def _cannot_be_added(change: Change, _: RuleContext) -> bool:
    info = change.column
    default = (info.default or "").strip("()").lower()
    return (
        change.kind == "add_column"
        and not change.rebuilds
        and (
            info.is_unique
            or info.is_key
            or info.is_stored
            or (not info.nullable and default in {"", "null"})
            or default.startswith("current_")
            or (info.default or "").startswith("(")
        )
    )


def _rebuilds(change: Change, context: RuleContext) -> bool:
    # A batch copies the table once, whatever is in it.
    return change.rebuilds and not any(
        earlier.rebuilds and earlier.batch == change.batch
        for earlier in context.before(change)
    )


OTHER = (
    Rule(
        "foreign-key-copies-table",
        _MY,
        Level.ERROR,
        "With foreign_key_checks on, the table is copied while nobody can write to"
        " either of the two.",
        kind("add_foreign_key"),
        advice(
            "# In a window; or check the rows first, and add it without a copy:\n"
            "op.execute('SET SESSION foreign_key_checks = 0')\n"
            'op.create_foreign_key("{name}", "{table}", "{other}", [{quoted}], [...])\n'
            "op.execute('SET SESSION foreign_key_checks = 1')"
        ),
    ),
    Rule(
        "change-type-copies-table",
        _MY,
        Level.ERROR,
        "The table is copied while nobody can write to it.",
        _copies_type,
        advice(
            "# Expand: a new column of the type {type}, filled in batches (@backfill)"
            " while the code writes both.\n"
            "# Contract, a release later: drop {table}.{name}."
        ),
    ),
    Rule(
        "check-copies-table",
        _MY,
        Level.ERROR,
        "Every row is checked by copying the table while nobody can write to it.",
        kind("add_check"),
        advice("# In a window, or with gh-ost or pt-online-schema-change."),
    ),
    Rule(
        "primary-key-copies-table",
        _MY,
        Level.ERROR,
        "Rows are stored in the order of the primary key, so every row is rewritten.",
        lambda change, _: (
            change.kind == "add_primary_key"
            or (change.kind == "drop_constraint" and change.other == "primary")
        ),
        advice("# Make a new table with the key, copy in batches, swap the two."),
    ),
    Rule(
        "auto-increment-copies-table",
        _MY,
        Level.ERROR,
        "Numbers every row while nobody can write to the table.",
        column("add_column", is_serial=True),
        advice("# Make a new table with the key, copy in batches, swap the two."),
    ),
    Rule(
        "stored-column-copies-table",
        _MY,
        Level.ERROR,
        "The table is copied while nobody can write to it.",
        column("add_column", is_stored=True),
        advice("# A VIRTUAL column, with an index where one is needed."),
    ),
    Rule(
        "default-expression-copies-table",
        _MY,
        Level.ERROR,
        "An expression as default is evaluated for each row, by copying the table.",
        _has_expression,
        advice("# Add the column without, fill it in batches, then set the default."),
    ),
    Rule(
        "not-null-rebuilds-table",
        _MY,
        Level.WARNING,
        "The table is rebuilt, and it fails on the first row that is NULL.",
        kind("set_not_null"),
        advice(
            "# First fill the rows in batches (@backfill), in a revision of its own:\n"
            'op.alter_column("{table}", "{name}", nullable=False, existing_type=...)'
        ),
    ),
    Rule(
        "table-rebuilt",
        _MY,
        Level.ERROR,
        "Rewrites the whole table. A change of the character set also blocks writes"
        " meanwhile.",
        kind("rewrite_table"),
        advice("# In a window, or with gh-ost or pt-online-schema-change."),
    ),
    Rule(
        "drop-partition",
        _MY,
        Level.ERROR,
        "Deletes every row of the partition, and no transaction can restore them.",
        kind("drop_partition"),
        advice("# First back up what is really to go."),
    ),
    Rule(
        "reference-in-column",
        _MY,
        Level.WARNING,
        "MySQL before 9.0 ignores REFERENCES in a column definition, so there is no"
        " foreign key. MariaDB creates it.",
        lambda change, _: (
            change.kind == "add_column"
            and change.column.has_reference
            and change.text is not None
        ),
        advice(
            'op.create_foreign_key("...", "{table}", "the_other", ["{name}"], ["id"])'
        ),
        on_new=True,
    ),
    Rule(
        "special-index-locks",
        _MY,
        Level.ERROR,
        "A FULLTEXT or SPATIAL index is built while nobody can write to the table.",
        lambda change, _: (
            change.kind == "create_index" and change.other in {"fulltext", "spatial"}
        ),
        advice("# In a window."),
    ),
    Rule(
        "sqlite-rebuild",
        _LITE,
        Level.WARNING,
        "SQLite cannot do it in place: the whole table is copied while nobody can"
        " write to the database.",
        _rebuilds,
        advice(
            "# Put all changes of {table} into one batch, so that it is copied once,"
            " and free twice its size on the disk."
        ),
    ),
    Rule(
        "sqlite-needs-batch",
        _LITE,
        Level.ERROR,
        "SQLite has no such ALTER TABLE, so the revision fails.",
        _cannot_be_altered,
        advice('with op.batch_alter_table("{table}") as batch_op:\n    batch_op...'),
        on_new=True,
    ),
    Rule(
        "sqlite-cannot-add",
        _LITE,
        Level.ERROR,
        "SQLite cannot add a column that is unique, a key, computed and stored, or"
        " NOT NULL without a constant default.",
        _cannot_be_added,
        advice(
            'with op.batch_alter_table("{table}", recreate="always") as batch_op:\n'
            '    batch_op.add_column(sa.Column("{name}", ...))'
        ),
        on_new=True,
    ),
    Rule(
        "sqlite-drop-column",
        _LITE,
        Level.INFO,
        "Rewrites every row while nobody can write to the database.",
        lambda change, _: change.kind == "drop_column" and not change.rebuilds,
        advice("# Fine for a table that is not large."),
    ),
)
