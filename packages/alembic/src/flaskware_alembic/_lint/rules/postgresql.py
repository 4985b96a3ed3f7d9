"""Dangers on PostgreSQL, version 12 and later."""

from __future__ import annotations

from flaskware_alembic._lint.predicates import checks_key
from flaskware_alembic._lint.predicates import checks_rows
from flaskware_alembic._lint.predicates import has_volatile_default
from flaskware_alembic._lint.predicates import is_fragile
from flaskware_alembic._lint.predicates import is_of_domain
from flaskware_alembic._lint.predicates import rewrites_type
from flaskware_alembic._lint.predicates import validates_at_once
from flaskware_alembic._lint.rule import advice
from flaskware_alembic._lint.rule import column
from flaskware_alembic._lint.rule import Dialect
from flaskware_alembic._lint.rule import KEYS
from flaskware_alembic._lint.rule import kind
from flaskware_alembic._lint.rule import ONLINE
from flaskware_alembic._lint.rule import online
from flaskware_alembic._lint.rule import READS
from flaskware_alembic._lint.rule import Rule
from flaskware_alembic._lint.rule import WRITES
from flaskware_core import Level

_PG: tuple[Dialect, ...] = ("postgresql",)
_INDEX = (
    'op.create_index("{name}", "{table}", [{quoted}], postgresql_concurrently=True,'
    " if_not_exists=True)"
)
_VALIDATE = "op.execute('ALTER TABLE {sql_table} VALIDATE CONSTRAINT {sql_name}')"

POSTGRESQL = (
    Rule(
        "index-not-concurrent",
        _PG,
        Level.ERROR,
        "Nobody can write to the table while the index is built.",
        lambda change, _: (
            change.kind == "create_index"
            and not change.is_flagged
            and change.other != "only"
        ),
        online(_INDEX),
        lock=WRITES,
        grows=True,
    ),
    Rule(
        "drop-index-not-concurrent",
        _PG,
        Level.WARNING,
        "Waits for running queries on the table and blocks new queries meanwhile.",
        lambda change, context: (
            change.kind == "drop_index"
            and not change.is_flagged
            # Which waits for the same lock.
            and not context.drops_part(change)
        ),
        online(
            'op.drop_index("{name}", "{table}", postgresql_concurrently=True,'
            " if_exists=True)"
        ),
        lock=READS,
    ),
    Rule(
        "concurrent-in-transaction",
        _PG,
        Level.ERROR,
        "PostgreSQL refuses CONCURRENTLY in a transaction, and a revision runs in one.",
        lambda change, _: (
            change.kind in {"create_index", "drop_index", "reindex", "detach_partition"}
            and change.is_flagged
            and change.in_transaction
            # It ends a DETACH that was cut off, and may be in a transaction.
            and change.other != "finalize"
        ),
        online(_INDEX),
        on_new=True,
    ),
    Rule(
        "vacuum-in-transaction",
        _PG,
        Level.ERROR,
        "PostgreSQL refuses VACUUM in a transaction, and a revision runs in one.",
        lambda change, _: (
            change.in_transaction
            and (change.text or "").lstrip().upper().startswith("VACUUM")
        ),
        advice("# Leave it to autovacuum, or send it by hand at a quiet time."),
        on_new=True,
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
        grows=True,
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
        grows=True,
    ),
    Rule(
        "validate-in-same-transaction",
        _PG,
        Level.ERROR,
        "Holds the lock of adding the constraint while it checks every row, as if NOT"
        " VALID were missing.",
        validates_at_once,
        online("...  # NOT VALID", _VALIDATE),
        lock=READS,
        grows=True,
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
            "op.execute('ALTER TABLE {sql_table} ADD CONSTRAINT {sql_name}"
            " UNIQUE USING INDEX {sql_name}')",
        ),
        lock=READS,
        grows=True,
    ),
    Rule(
        "primary-key-builds-index",
        _PG,
        Level.ERROR,
        "Builds the index, and checks each column for NULL, while nobody can read or"
        " write the table.",
        kind("add_primary_key", is_flagged=False),
        online(
            "# Each column must be NOT NULL before: see set-not-null.",
            'op.create_index("{name}", "{table}", [{quoted}], unique=True,'
            " postgresql_concurrently=True, if_not_exists=True)",
            "op.execute('ALTER TABLE {sql_table} ADD CONSTRAINT {sql_name}"
            " PRIMARY KEY USING INDEX {sql_name}')",
        ),
        lock=READS,
        grows=True,
    ),
    Rule(
        "primary-key-checks-null",
        _PG,
        Level.ERROR,
        "Makes each column of the index NOT NULL, and where one is not, checks every"
        " row while nobody can read or write the table.",
        checks_key,
        advice(
            "# First make each column of the index NOT NULL: see set-not-null.\n"
            "op.execute('ALTER TABLE {sql_table} ADD CONSTRAINT {sql_name} PRIMARY KEY"
            " USING INDEX {sql_name}')"
        ),
        lock=READS,
        grows=True,
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
        grows=True,
    ),
    Rule(
        "set-not-null",
        _PG,
        Level.ERROR,
        "Every row is checked while nobody can read or write the table.",
        checks_rows,
        advice(
            "# Fill what is NULL first, in batches (@backfill, before=True).\n"
            "with op.get_context().autocommit_block():\n"
            "    op.execute('ALTER TABLE {sql_table} DROP CONSTRAINT IF EXISTS"
            " {sql_check}')\n"
            "    op.execute('ALTER TABLE {sql_table} ADD CONSTRAINT {sql_check} CHECK"
            " ({sql_name} IS NOT NULL) NOT VALID')\n"
            "    op.execute('ALTER TABLE {sql_table} VALIDATE CONSTRAINT"
            " {sql_check}')\n"
            'op.alter_column("{table}", "{name}", nullable=False)\n'
            'op.drop_constraint("{check}", "{table}")'
        ),
        lock=READS,
        grows=True,
    ),
    Rule(
        "drop-not-null",
        _PG,
        Level.INFO,
        "Code that is still running may not expect an empty value.",
        kind("drop_not_null"),
        advice("# First deploy code that copes with None in {table}.{name}."),
        lock=READS,
        on_new_part=False,
    ),
    Rule(
        "volatile-default",
        _PG,
        Level.ERROR,
        "A default that differs for each row makes PostgreSQL rewrite the whole table"
        " while nobody can read it.",
        has_volatile_default,
        advice(
            'op.add_column("{table}", sa.Column("{name}", ...))\n'
            'op.alter_column("{table}", "{name}", server_default=...)\n'
            "# and fill the rows that are there in batches (@backfill)."
        ),
        lock=READS,
        grows=True,
    ),
    Rule(
        "add-serial-column",
        _PG,
        Level.ERROR,
        "A number for each row makes PostgreSQL rewrite the whole table while nobody"
        " can read it.",
        lambda change, _: (
            change.kind == "add_column"
            and (change.column.is_serial or change.column.is_identity)
        ),
        advice(
            "# Add the column empty, fill it in batches (@backfill), then give it a"
            " sequence."
        ),
        lock=READS,
        grows=True,
    ),
    Rule(
        "add-stored-column",
        _PG,
        Level.ERROR,
        "A stored generated column makes PostgreSQL rewrite the whole table while"
        " nobody can read it.",
        column("add_column", is_stored=True),
        advice("# Add a plain column, fill it in batches, and keep it by a trigger."),
        lock=READS,
        grows=True,
    ),
    Rule(
        "add-constrained-domain",
        _PG,
        Level.ERROR,
        "The type is a domain that checks its values, so PostgreSQL rewrites the whole"
        " table while nobody can read it.",
        is_of_domain,
        advice(
            "# Add the column with the plain type, and the CHECK on the table:\n"
            'op.add_column("{table}", sa.Column("{name}", ...))\n'
            'op.create_check_constraint("{check}", "{table}", ...,'
            " postgresql_not_valid=True)"
        ),
        lock=READS,
        grows=True,
    ),
    Rule(
        "change-type",
        _PG,
        Level.ERROR,
        "PostgreSQL rewrites the whole table and its indexes while nobody can read it.",
        rewrites_type,
        advice(
            "# Expand: a new column of the type {type}, filled in batches (@backfill)"
            " while the code writes both.\n"
            "# Contract, a release later: drop {table}.{name}."
        ),
        lock=READS,
        grows=True,
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
        "Also deletes every row of every table that refers to it.",
        kind("truncate", cascades=True),
        advice("# Name each table that is to be emptied."),
        lock=READS,
    ),
    Rule(
        "rewrite-table",
        _PG,
        Level.ERROR,
        "Rewrites the whole table while nobody can read it.",
        kind("rewrite_table"),
        advice("# Use pg_repack, REPACK (CONCURRENTLY) on PostgreSQL 19, or a window."),
        lock=READS,
        grows=True,
    ),
    Rule(
        "reindex-not-concurrent",
        _PG,
        Level.ERROR,
        "Nobody can write to the table while its indexes are built.",
        kind("reindex", is_flagged=False),
        online("op.execute('REINDEX TABLE CONCURRENTLY {sql_table}')"),
        lock=WRITES,
        grows=True,
    ),
    Rule(
        "refresh-not-concurrent",
        _PG,
        Level.WARNING,
        "Nobody can read the view while it is filled.",
        kind("refresh_view", is_flagged=False),
        advice("op.execute('REFRESH MATERIALIZED VIEW CONCURRENTLY {sql_table}')"),
        lock=READS,
        grows=True,
    ),
    Rule(
        "detach-not-concurrent",
        _PG,
        Level.WARNING,
        "Waits for running queries on the partitioned table and blocks new queries"
        " meanwhile.",
        kind("detach_partition", is_flagged=False),
        online(
            "# It leaves {name} a CHECK that says what its bounds were.",
            "op.execute('ALTER TABLE {sql_table} DETACH PARTITION {sql_name}"
            " CONCURRENTLY')",
        ),
        lock=READS,
    ),
    Rule(
        "lock-table",
        ("postgresql", "mysql"),
        Level.WARNING,
        "The table stays locked until the revision is committed, or as long as it"
        " says.",
        kind("lock_table"),
        advice("# Lock less, or set a lock_timeout and expect to try again."),
    ),
    Rule(
        "partition-locks-parent",
        _PG,
        Level.WARNING,
        "Waits for running queries on the partitioned table, blocks new queries"
        " meanwhile, and checks every row of the default partition, if there is one.",
        kind("add_partition"),
        advice(
            "op.execute('CREATE TABLE {sql_name} (LIKE {sql_table} INCLUDING ALL)')\n"
            "op.execute('ALTER TABLE {sql_table} ATTACH PARTITION {sql_name} FOR VALUES"
            " ...')"
        ),
        lock=READS,
    ),
    Rule(
        "create-rule",
        _PG,
        Level.WARNING,
        "Waits for running queries on the table and blocks new queries meanwhile; then"
        " it changes what statements of running code do.",
        kind("create_rule"),
        advice("# A trigger, which waits for running writes alone."),
        lock=READS,
    ),
    Rule(
        "create-trigger",
        _PG,
        Level.WARNING,
        "Waits for running writes to the table and blocks new writes meanwhile.",
        kind("create_trigger"),
        advice("# Set a lock_timeout, and do it in a revision of its own."),
        lock=KEYS,
    ),
    Rule(
        "not-repeatable",
        _PG,
        Level.INFO,
        "Outside of a transaction, a failed revision is not rolled back, and this"
        " statement fails when the revision is run again.",
        is_fragile,
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
        grows=True,
    ),
    Rule(
        "enum-order",
        _PG,
        Level.INFO,
        "A value without BEFORE or AFTER is always last, and its place cannot change.",
        kind("add_enum_value", is_flagged=False),
        advice("op.execute(\"ALTER TYPE {name} ADD VALUE '...' AFTER '...'\")"),
        on_new=True,
    ),
    Rule(
        "validate-constraint",
        _PG,
        Level.INFO,
        "Every row is read, though others may read and write meanwhile.",
        lambda change, context: (
            change.kind == "validate_constraint"
            and change.in_transaction
            and not validates_at_once(change, context)
        ),
        online(_VALIDATE),
        lock=ONLINE,
        grows=True,
    ),
)
