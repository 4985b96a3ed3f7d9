"""Dangers on PostgreSQL, version 12 and later."""

from __future__ import annotations

import re

from flaskware_core import Level

from ._change import Change
from ._rules import advice
from ._rules import column
from ._rules import Dialect
from ._rules import KEYS
from ._rules import kind
from ._rules import ONLINE
from ._rules import online
from ._rules import READS
from ._rules import Rule
from ._rules import Scene
from ._rules import WRITES
from ._types import parts_of
from ._types import TEXTS

_PG: tuple[Dialect, ...] = ("postgresql",)
# What may stand in a default without a value for each row: constants, and functions
# that are the same for the whole statement.
_STABLE = re.compile(
    r"^('(?:[^']|'')*'|[\d.+-]+|true|false|null|now\(\)|current_\w+|localtime\w*"
    r"|statement_timestamp\(\)|transaction_timestamp\(\)|array\[\]|'[^']*'::.*)"
    r"(::[\w \[\]()]+)?$",
    re.IGNORECASE,
)
_TAKES_LOCK = {
    "add_check",
    "add_column",
    "add_exclude",
    "add_foreign_key",
    "add_primary_key",
    "add_unique",
    "alter_type",
    "create_trigger",
    "drop_column",
    "drop_constraint",
    "drop_not_null",
    "drop_table",
    "rename_column",
    "rename_table",
    "rewrite_table",
    "set_default",
    "set_not_null",
    "truncate",
    "validate_constraint",
}


def has_volatile_default(change: Change, _: Scene) -> bool:
    """Whether a new column's default is another value for each row."""
    default = (change.column.default or "").strip()
    if default.startswith("(") and default.endswith(")"):
        default = default[1:-1]
    is_new_number = change.column.is_serial or change.column.is_identity
    return (
        change.kind == "add_column"
        and bool(default)
        and not is_new_number
        and not _STABLE.match(default)
    )


def rewrites_type(change: Change, _: Scene) -> bool:
    """Whether a change of type makes PostgreSQL write the table anew."""
    if change.kind != "alter_type":
        return False
    old, new = change.old_type, change.column.type
    return old is None or not _is_same_on_disk(old, new)


def _is_same_on_disk(old: str, new: str) -> bool:
    if old == new:
        return True
    kind_of_old, size_of_old = parts_of(old)
    kind_of_new, size_of_new = parts_of(new)
    if kind_of_old in TEXTS and kind_of_new in TEXTS:
        return not size_of_new or bool(size_of_old and size_of_old <= size_of_new)
    if kind_of_old == kind_of_new == "numeric":
        if not size_of_new:
            return True
        same_scale = size_of_old[1:] == size_of_new[1:]
        return bool(size_of_old) and same_scale and size_of_old <= size_of_new
    return False


def _validates_at_once(change: Change, scene: Scene) -> bool:
    return (
        change.kind == "validate_constraint"
        and change.in_transaction
        and any(
            earlier.kind in {"add_check", "add_foreign_key"}
            and (earlier.table, earlier.name) == (change.table, change.name)
            and earlier.in_transaction
            for earlier in scene.before(change)
        )
    )


def _checks_rows(change: Change, scene: Scene) -> bool:
    """Whether NOT NULL is set with no valid constraint that says the same."""
    if change.kind != "set_not_null":
        return False
    # A constraint was validated in this revision, outside of its transaction.
    return not any(
        earlier.kind == "validate_constraint" and earlier.table == change.table
        for earlier in scene.before(change)
    )


def _waits_forever(change: Change, scene: Scene) -> bool:
    if scene.has_timeout or change.kind not in _TAKES_LOCK or scene.is_new(change):
        return False
    first = next(c for c in scene.changes if c.kind in _TAKES_LOCK)
    return change is first and all(
        earlier.kind != "set_timeout" for earlier in scene.before(change)
    )


def _is_fragile(change: Change, _: Scene) -> bool:
    kinds = {"create_index", "create_table", "add_column", "drop_index", "drop_table"}
    return change.kind in kinds and not change.in_transaction and not change.is_robust


_INDEX = (
    'op.create_index("{name}", "{table}", [{quoted}], postgresql_concurrently=True,'
    " if_not_exists=True)"
)
_VALIDATE = "op.execute('ALTER TABLE {table} VALIDATE CONSTRAINT {name}')"

POSTGRESQL = (
    Rule(
        "index-not-concurrent",
        _PG,
        Level.ERROR,
        "Nobody can write to the table while the index is built.",
        kind("create_index", is_flagged=False),
        online(_INDEX),
        lock=WRITES,
        can_fix=True,
    ),
    Rule(
        "drop-index-not-concurrent",
        _PG,
        Level.WARNING,
        "It waits for all who read the table, and keeps out all who come after.",
        kind("drop_index", is_flagged=False),
        online(
            'op.drop_index("{name}", "{table}", postgresql_concurrently=True,'
            " if_exists=True)"
        ),
        lock=READS,
        can_fix=True,
    ),
    Rule(
        "concurrent-in-transaction",
        _PG,
        Level.ERROR,
        "PostgreSQL refuses CONCURRENTLY inside a transaction, and a revision is one.",
        lambda change, _: (
            change.kind in {"create_index", "drop_index", "reindex", "detach_partition"}
            and change.is_flagged
            and change.in_transaction
        ),
        online(_INDEX),
        on_new=True,
        can_fix=True,
    ),
    Rule(
        "foreign-key-validates",
        _PG,
        Level.ERROR,
        "Every row is checked while nobody can write to either table.",
        kind("add_foreign_key", is_flagged=False),
        online(
            'op.create_foreign_key("{name}", "{table}", "{other}", [{quoted}], [...],'
            " postgresql_not_valid=True)",
            _VALIDATE,
        ),
        lock=KEYS,
        can_fix=True,
    ),
    Rule(
        "check-validates",
        _PG,
        Level.ERROR,
        "Every row is checked while nobody can read or write the table.",
        kind("add_check", is_flagged=False),
        online(
            'op.create_check_constraint("{name}", "{table}", ...,'
            " postgresql_not_valid=True)",
            _VALIDATE,
        ),
        lock=READS,
        can_fix=True,
    ),
    Rule(
        "validate-in-same-transaction",
        _PG,
        Level.ERROR,
        "The lock of adding the constraint is held while every row is checked, as if"
        " NOT VALID had not been said.",
        _validates_at_once,
        online("...  # NOT VALID", _VALIDATE),
        lock=READS,
    ),
    Rule(
        "unique-builds-index",
        _PG,
        Level.ERROR,
        "The index is built while nobody can read or write the table.",
        lambda change, _: change.kind == "add_unique" and not change.is_flagged,
        online(
            'op.create_index("{name}", "{table}", [{quoted}], unique=True,'
            " postgresql_concurrently=True, if_not_exists=True)",
            "op.execute('ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX"
            " {name}')",
        ),
        lock=READS,
        can_fix=True,
    ),
    Rule(
        "primary-key-builds-index",
        _PG,
        Level.ERROR,
        "The index is built, and each column checked for NULL, while nobody can read"
        " or write the table.",
        kind("add_primary_key", is_flagged=False),
        online(
            'op.create_index("{name}", "{table}", [{quoted}], unique=True,'
            " postgresql_concurrently=True, if_not_exists=True)",
            "op.execute('ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY USING"
            " INDEX {name}')",
        ),
        lock=READS,
    ),
    Rule(
        "exclusion-builds-index",
        _PG,
        Level.ERROR,
        "The index is built while nobody can read or write the table, and there is no"
        " concurrent way.",
        kind("add_exclude"),
        advice(
            "# Make a new table with the constraint, copy in batches (@backfill), and"
            " swap the two."
        ),
        lock=READS,
    ),
    Rule(
        "set-not-null",
        _PG,
        Level.ERROR,
        "Every row is checked while nobody can read or write the table.",
        _checks_rows,
        advice(
            "with op.get_context().autocommit_block():\n"
            "    op.execute('ALTER TABLE {table} ADD CONSTRAINT {name}_set CHECK"
            " ({name} IS NOT NULL) NOT VALID')\n"
            "    op.execute('ALTER TABLE {table} VALIDATE CONSTRAINT {name}_set')\n"
            'op.alter_column("{table}", "{name}", nullable=False)\n'
            'op.drop_constraint("{name}_set", "{table}")'
        ),
        lock=READS,
        can_fix=True,
    ),
    Rule(
        "drop-not-null",
        _PG,
        Level.WARNING,
        "Code that is still running may not expect an empty value.",
        kind("drop_not_null"),
        advice("# First deploy code that copes with None in {table}.{name}."),
        lock=READS,
    ),
    Rule(
        "volatile-default",
        _PG,
        Level.ERROR,
        "A default that differs for each row makes PostgreSQL write the whole table"
        " anew while nobody can read it.",
        has_volatile_default,
        advice(
            'op.add_column("{table}", sa.Column("{name}", ...))\n'
            'op.alter_column("{table}", "{name}", server_default=...)\n'
            "# and fill the rows that are there in batches (@backfill)."
        ),
        lock=READS,
    ),
    Rule(
        "add-serial-column",
        _PG,
        Level.ERROR,
        "A number for each row makes PostgreSQL write the whole table anew while"
        " nobody can read it.",
        lambda change, _: (
            change.kind == "add_column"
            and (change.column.is_serial or change.column.is_identity)
        ),
        advice(
            "# Add the column empty, fill it in batches (@backfill), then give it a"
            " sequence."
        ),
        lock=READS,
    ),
    Rule(
        "add-stored-column",
        _PG,
        Level.ERROR,
        "A generated column that is stored makes PostgreSQL write the whole table anew"
        " while nobody can read it.",
        column("add_column", is_stored=True),
        advice("# Add a plain column, fill it in batches, and keep it by a trigger."),
        lock=READS,
    ),
    Rule(
        "change-type",
        _PG,
        Level.ERROR,
        "PostgreSQL writes the whole table and its indexes anew while nobody can read"
        " it.",
        rewrites_type,
        advice(
            "# Expand: a new column of the type {type}, filled in batches (@backfill)"
            " while the code writes both.\n"
            "# Contract, a release later: drop {table}.{name}."
        ),
        lock=READS,
        can_fix=True,
    ),
    Rule(
        "rename-schema",
        _PG,
        Level.ERROR,
        "Code that is still running uses the old name, and fails from this moment.",
        kind("rename_schema"),
        advice("# Make a new schema, and move table by table."),
        on_new=True,
    ),
    Rule(
        "truncate-cascade",
        _PG,
        Level.ERROR,
        "It deletes every row of every table that refers to this one, too.",
        kind("truncate", cascades=True),
        advice("# Name each table that is to be emptied."),
        lock=READS,
    ),
    Rule(
        "rewrite-table",
        _PG,
        Level.ERROR,
        "The whole table is written anew while nobody can read it.",
        kind("rewrite_table"),
        advice("# Use pg_repack, or do it in a window."),
        lock=READS,
    ),
    Rule(
        "reindex-not-concurrent",
        _PG,
        Level.ERROR,
        "Nobody can write to the table while its indexes are built.",
        kind("reindex", is_flagged=False),
        online("op.execute('REINDEX TABLE CONCURRENTLY {table}')"),
        lock=WRITES,
    ),
    Rule(
        "refresh-not-concurrent",
        _PG,
        Level.WARNING,
        "Nobody can read the view while it is filled.",
        kind("refresh_view", is_flagged=False),
        advice("op.execute('REFRESH MATERIALIZED VIEW CONCURRENTLY {table}')"),
        lock=READS,
    ),
    Rule(
        "detach-not-concurrent",
        _PG,
        Level.WARNING,
        "It waits for all who read the partitioned table, and keeps out all who come"
        " after.",
        kind("detach_partition", is_flagged=False),
        online(
            "op.execute('ALTER TABLE {table} DETACH PARTITION {name} CONCURRENTLY')"
        ),
        lock=READS,
    ),
    Rule(
        "lock-table",
        _PG,
        Level.WARNING,
        "The table is locked until the revision is committed.",
        kind("lock_table"),
        advice("# Lock less, or set a lock_timeout and expect to try again."),
        lock=READS,
    ),
    Rule(
        "create-trigger",
        _PG,
        Level.WARNING,
        "It waits for all who write to the table, and keeps out who write after.",
        kind("create_trigger"),
        advice("# Set a lock_timeout, and do it in a revision of its own."),
        lock=KEYS,
    ),
    Rule(
        "no-lock-timeout",
        _PG,
        Level.INFO,
        "While this waits for its lock, all who want the table wait behind it, however"
        " long that takes.",
        _waits_forever,
        advice(
            "ALEMBIC_TABLE_LOCK_TIMEOUT = 5  # seconds, for every revision\n"
            "lock_timeout = 5  # in this one, below `depends_on`"
        ),
        on_new=True,
    ),
    Rule(
        "not-repeatable",
        _PG,
        Level.INFO,
        "Outside of a transaction a revision that failed is not undone, and this fails"
        " when it is run again.",
        _is_fragile,
        advice("# Add if_not_exists=True or if_exists=True."),
        on_new=True,
    ),
    Rule(
        "domain-constraint",
        _PG,
        Level.WARNING,
        "A constraint of a domain can later be changed only by checking every row of"
        " every table that uses it.",
        kind("create_domain", is_flagged=False),
        advice("# Use a plain type, with a CHECK on the table."),
        on_new=True,
    ),
    Rule(
        "alter-domain-constraint",
        _PG,
        Level.ERROR,
        "Every row of every table that uses the domain is checked while nobody can"
        " write to them.",
        kind("alter_domain", is_flagged=False),
        advice("# Add it NOT VALID, and validate it in a revision of its own."),
        on_new=True,
    ),
    Rule(
        "enum-order",
        _PG,
        Level.INFO,
        "A value without BEFORE or AFTER comes last, wherever it belongs, and that"
        " cannot be changed.",
        kind("add_enum_value", is_flagged=False),
        advice("op.execute(\"ALTER TYPE {name} ADD VALUE '...' AFTER '...'\")"),
        on_new=True,
    ),
    Rule(
        "validate-constraint",
        _PG,
        Level.INFO,
        "Every row is read, though others may read and write meanwhile.",
        lambda change, scene: (
            change.kind == "validate_constraint"
            and change.in_transaction
            and not _validates_at_once(change, scene)
        ),
        online(_VALIDATE),
        lock=ONLINE,
    ),
)
