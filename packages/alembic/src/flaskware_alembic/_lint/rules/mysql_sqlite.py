"""Dangers on MySQL, MariaDB and SQLite."""

from __future__ import annotations

import re

from flaskware_alembic._lint.facts import Facts
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
_SINGLE_BYTES = {"character set latin1", "character set ascii", "charset latin1"}
_ALIASES = {
    "boolean": "tinyint", "bool": "tinyint", "dec": "decimal", "integer": "int",
    "integer unsigned": "int unsigned", "numeric": "decimal", "fixed": "decimal",
    "double precision": "double", "real": "double", "character": "char",
}  # fmt: skip
_LONG = {
    "blob", "json", "longblob", "longtext", "mediumblob", "mediumtext", "text",
    "tinyblob", "tinytext",
}  # fmt: skip
# Words of a default that is worked out once for all rows.
_CONSTANT = {
    "and", "as", "cast", "char", "concat", "curdate", "current_date", "current_time",
    "current_timestamp", "curtime", "date", "date_format", "decimal", "div", "false",
    "from_unixtime", "hex", "if", "ifnull", "interval", "json_array", "json_object",
    "localtime", "localtimestamp", "lower", "md5", "mod", "not", "now", "null", "or",
    "pi", "rand", "round", "sha1", "sha2", "signed", "true", "unhex", "unix_timestamp",
    "unsigned", "upper", "utc_date", "utc_timestamp",
}  # fmt: skip
_ALTERS = {
    "add_check", "add_exclude", "add_foreign_key", "add_primary_key", "add_unique",
    "alter_type", "drop_constraint", "drop_default", "drop_not_null", "set_default",
    "set_not_null",
}  # fmt: skip


def _copies_type(change: Change, context: RuleContext) -> bool:
    """True if the table is copied: unless only the longest length of a value grows."""
    if change.kind != "alter_type":
        return False
    new = change.column
    known = context.past(change).column(change.table, change.name)
    old = change.old_type or (known.type if known is not None else "")
    if new.is_serial and not (known is not None and known.is_serial):
        return True
    if _appends_value(old, new.type):
        return False
    return not old or not _grows_in_place(_named(old), _named(new.type))


def _grows_in_place(old: str, new: str) -> bool:
    if old == new:
        return True
    sizes = re.compile(r"(varchar|varbinary)\((\d+)\)(?: (.+))?")
    was, will = sizes.fullmatch(old), sizes.fullmatch(new)
    if was is None or will is None or was[1] != will[1] or was[3] != will[3]:
        return False
    if int(will[2]) < int(was[2]):
        return False
    is_single = was[1] == "varbinary" or (was[3] or "") in _SINGLE_BYTES
    # Up to 255 bytes have one byte of length; utf8mb4 has up to four a character. With
    # one byte for each character, MariaDB keeps the length so that it may grow.
    return is_single or (int(was[2]) * 4 > 255) == (int(will[2]) * 4 > 255)


def _named(type_: str) -> str:
    """A type as it is kept: numbers have no width, and some names are of another."""
    name, brackets, rest = type_.partition("(")
    name = _ALIASES.get(name.strip(), name.strip())
    if name.split(" ")[0].endswith("int"):
        return " ".join([name, *rest.partition(")")[2].split()])
    return name + brackets + rest


def _appends_value(old: str, new: str) -> bool:
    """True if an ENUM or SET only gets values after its present values."""
    return old.startswith(("enum(", "set(")) and new.startswith(f"{old[:-1]},")


def _changes_nullable(change: Change, context: RuleContext) -> bool:
    """True if a column becomes NOT NULL, or no longer is."""
    if change.kind == "set_not_null":
        known = context.past(change).column(change.table, change.name)
        return known is None or known.nullable
    if change.kind != "alter_type" or not change.is_whole:
        return False
    known = context.past(change).column(change.table, change.name)
    return known is not None and known.nullable is not change.column.nullable


def _has_expression(change: Change, _: RuleContext) -> bool:
    """True for a default that MariaDB works out for each row."""
    default = re.sub(r"'(?:[^'\\]|''|\\.)*'", "", change.column.default or "")
    words = re.findall(r"[a-z_]\w*", default.lower())
    return change.kind == "add_column" and not _CONSTANT.issuperset(words)


def _is_key_alone(change: Change, context: RuleContext) -> bool:
    """True if rows have no primary key until a later statement."""
    is_drop = change.kind == "drop_constraint" and change.other == "primary"
    return is_drop and not any(
        other.kind == "add_primary_key"
        and change.text is not None
        and (other.text, other.line) == (change.text, change.line)
        for other in context.changes
    )


def _is_long_key(change: Change, context: RuleContext) -> bool:
    """True for a UNIQUE that MariaDB keeps as a hash of long values."""
    if change.kind != "add_unique":
        return False
    past = context.past(change)
    known = [past.column(change.table, i.name) for i in change.columns if not i.is_part]
    types = {parts[0] for i in known if i and (parts := re.split(r"\W", i.type))}
    return change.other == "hash" or not _LONG.isdisjoint(types)


def _cannot_be_altered(change: Change, _: RuleContext) -> bool:
    return change.kind in _ALTERS and not change.in_batch


def _has_references(facts: Facts) -> bool:
    """True for a server that makes the key, by its version."""
    return facts.is_mariadb or facts.version >= (9,)


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
        grows=True,
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
        grows=True,
    ),
    Rule(
        "check-copies-table",
        _MY,
        Level.ERROR,
        "Every row is checked by copying the table while nobody can write to it.",
        kind("add_check", is_flagged=False),
        advice("# In a window, or with gh-ost or pt-online-schema-change."),
        grows=True,
    ),
    Rule(
        "primary-key-copies-table",
        _MY,
        Level.ERROR,
        "Rows are stored in the order of the primary key, so the table is copied while"
        " nobody can write to it.",
        _is_key_alone,
        advice(
            "# In one statement with the key that takes its place, which keeps writes"
            " going:\n"
            "op.execute('ALTER TABLE {table} DROP PRIMARY KEY, ADD PRIMARY KEY (...)')"
        ),
        grows=True,
    ),
    Rule(
        "primary-key-rebuilds-table",
        _MY,
        Level.WARNING,
        "Rows are stored in the order of the primary key, so every row is rewritten,"
        " though others may write meanwhile.",
        kind("add_primary_key"),
        advice("# At a quiet time, with room on the disk for the table once more."),
        grows=True,
    ),
    Rule(
        "auto-increment-copies-table",
        _MY,
        Level.ERROR,
        "Numbers every row while nobody can write to the table.",
        column("add_column", is_serial=True),
        advice("# Make a new table with the key, copy in batches, swap the two."),
        grows=True,
    ),
    Rule(
        "stored-column-copies-table",
        _MY,
        Level.ERROR,
        "The table is copied while nobody can write to it.",
        column("add_column", is_stored=True),
        advice("# A VIRTUAL column, with an index where one is needed."),
        grows=True,
    ),
    Rule(
        "default-expression-copies-table",
        _MY,
        Level.ERROR,
        "The default differs for each row, so the table is copied while nobody can"
        " write to it.",
        _has_expression,
        advice("# Add the column without, fill it in batches, then set the default."),
        grows=True,
    ),
    Rule(
        "not-null-rebuilds-table",
        _MY,
        Level.WARNING,
        "The table is rebuilt, and NOT NULL fails on the first row that is NULL.",
        _changes_nullable,
        advice(
            "# First fill the rows in batches (@backfill), in a revision of its own:\n"
            'op.alter_column("{table}", "{name}", nullable=False, existing_type=...)'
        ),
        grows=True,
    ),
    Rule(
        "table-rebuilt",
        _MY,
        Level.ERROR,
        "Copies the whole table while nobody can write to it.",
        lambda change, _: change.kind == "rewrite_table" and change.other != "online",
        advice("# In a window, or with gh-ost or pt-online-schema-change."),
        grows=True,
    ),
    Rule(
        "table-rebuilt-online",
        _MY,
        Level.WARNING,
        "Rewrites the whole table, though others may write meanwhile.",
        kind("rewrite_table", other="online"),
        advice("# At a quiet time, with room on the disk for the table once more."),
        grows=True,
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
        lambda change, context: (
            change.kind == "add_column"
            and change.column.has_reference
            and change.text is not None
            and not _has_references(context.facts)
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
        "A FULLTEXT or SPATIAL index, or a UNIQUE of long values, is built while nobody"
        " can write to the table.",
        lambda change, context: (
            (change.kind == "create_index" and change.other in {"fulltext", "spatial"})
            or _is_long_key(change, context)
        ),
        advice("# In a window."),
        grows=True,
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
        grows=True,
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
        grows=True,
    ),
)
