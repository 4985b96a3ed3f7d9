"""Predicates for PostgreSQL: does a change rewrite, check or wait?"""

from __future__ import annotations

import dataclasses as dc
import re

from flaskware_alembic._sql.change import Change

from .rule import RuleContext

# Functions that are the same for the whole statement, and types that look like one.
_STABLE = {
    "abs", "array", "bit", "cast", "char", "character", "coalesce", "concat",
    "current_setting", "current_time", "current_timestamp", "date_trunc", "daterange",
    "decimal", "int4range", "int8range", "interval", "json_build_array",
    "json_build_object", "jsonb_build_array", "jsonb_build_object", "localtime",
    "localtimestamp", "lower", "make_date", "make_interval", "md5", "now", "numeric",
    "numrange", "statement_timestamp", "time", "timestamp", "timezone", "to_json",
    "to_jsonb", "to_timestamp", "transaction_timestamp", "tsrange", "tstzrange",
    "upper", "varchar", "varying",
}  # fmt: skip
_CALL = re.compile(r"([a-z_][\w.]*)\s*\(", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_MOMENTS = {"interval", "time", "timestamp", "timestamp with time zone"}
_TEXTS = {"varchar", "text", "character varying"}
_ALIASES = {
    "bool": "boolean", "decimal": "numeric", "float4": "real",
    "float8": "double precision", "int": "integer", "int2": "smallint",
    "int4": "integer", "int8": "bigint", "serial": "integer", "bigserial": "bigint",
    "timestamp without time zone": "timestamp",
    "timestamptz": "timestamp with time zone",
}  # fmt: skip

# The first words of types that are no domains.
_BUILT_IN = {
    *_TEXTS, *_ALIASES, "array", "bigint", "bit", "boolean", "bytea", "char",
    "character", "date", "double", "float", "inet", "integer", "interval", "json",
    "jsonb", "numeric", "real", "smallint", "time", "timestamp", "uuid", "varbit",
}  # fmt: skip


def has_volatile_default(change: Change, _: RuleContext) -> bool:
    """True if a new column's default differs for each row."""
    default = _QUOTED.sub("", change.column.default or "")
    is_new_number = change.column.is_serial or change.column.is_identity
    return (
        change.kind == "add_column"
        and not is_new_number
        and any(
            name.lower().removeprefix("pg_catalog.") not in _STABLE
            for name in _CALL.findall(default)
        )
    )


def rewrites_type(change: Change, context: RuleContext) -> bool:
    """True if PostgreSQL rewrites the table to change the type."""
    if change.kind != "alter_type":
        return False
    past, new = context.past(change), change.column.type
    old = change.old_type
    if old is None and (declared := past.column(change.table, change.name)):
        old = declared.type
    if past.is_constrained(new):
        return True
    return not old or not _is_same_on_disk(_named(old), _named(new))


def _named(type_: str) -> str:
    """A type by the name that SQLAlchemy has for it."""
    type_ = re.sub(r"^(time\w*)(\(\d+\))( with.*)", r"\1\3\2", type_)
    name, brackets, rest = type_.partition("(")
    return _ALIASES.get(name.strip(), name.strip()) + brackets + rest


def _is_same_on_disk(old: str, new: str) -> bool:
    if old == new:
        return True
    kind_of_old, size_of_old = parts_of(old)
    kind_of_new, size_of_new = parts_of(new)
    if kind_of_old in _TEXTS and kind_of_new in _TEXTS:
        return not size_of_new or bool(size_of_old and size_of_old <= size_of_new)
    if kind_of_old == kind_of_new == "numeric":
        if not size_of_new:
            return True
        same_scale = size_of_old[1:] == size_of_new[1:]
        return bool(size_of_old) and same_scale and size_of_old <= size_of_new
    if kind_of_old == kind_of_new in _MOMENTS or kind_of_old == kind_of_new == "varbit":
        # Without a size it is the largest.
        return not size_of_new or bool(size_of_old and size_of_old <= size_of_new)
    return (old, new) == ("cidr", "inet")


def validates_at_once(change: Change, context: RuleContext) -> bool:
    return (
        change.kind == "validate_constraint"
        and change.in_transaction
        and any(
            earlier.kind in {"add_check", "add_foreign_key", "set_not_null"}
            and context.same(earlier, change)
            and change.name in {earlier.name, earlier.other}
            and earlier.in_transaction
            for earlier in context.before(change)
        )
    )


def checks_rows(change: Change, context: RuleContext) -> bool:
    """True if NOT NULL is set without a valid constraint that says the same."""
    if change.kind != "set_not_null" or change.is_flagged:
        return False
    known = context.past(change).column(change.table, change.name)
    if known is not None and not known.nullable:
        return False
    facts = context.facts.table(change.table)
    if facts is not None and change.name in facts.filled:
        return False
    before = list(context.so_far(change))
    # A constraint is validated in this deploy, and it is one of this column if the
    # deploy made it.
    return not any(
        earlier.kind == "validate_constraint"
        and context.same(earlier, change)
        and all(
            _says_not_null(made, change)
            for made in before
            if made.kind == "add_check"
            and context.same(made, change)
            and made.name == earlier.name
        )
        for earlier in before
    )


def checks_key(change: Change, context: RuleContext) -> bool:
    """True if a column of an index that becomes the primary key may be NULL."""
    if change.kind != "add_primary_key" or not change.is_flagged:
        return False
    columns = context.past(change).indexed(change.other)
    return not columns or any(info.nullable for info in columns)


def is_of_domain(change: Change, context: RuleContext) -> bool:
    """True if a new column has a domain that checks its values."""
    info = change.column
    if change.kind != "add_column" or info.is_constrained:
        return info.is_constrained
    word = re.match(r"\w*", info.type)
    is_known = word is not None and word[0] in _BUILT_IN
    return not is_known and context.past(change).is_constrained(info.type)


def checks_partition(change: Change, context: RuleContext) -> bool:
    """True if rows are checked to attach a partition."""
    if change.kind != "attach_partition":
        return False
    attached = dc.replace(change, table=change.name)
    is_new = any(
        earlier.kind == "create_table" and context.same(earlier, attached)
        for earlier in context.so_far(change)
    )
    facts = context.facts.table(change.table)
    has_default = (facts is not None and facts.has_default) or any(
        earlier.kind == "add_partition"
        and earlier.other == "default"
        and context.same(earlier, change)
        for earlier in context.past(change).changes
    )
    return has_default or not is_new


def _says_not_null(check: Change, change: Change) -> bool:
    condition = re.sub(r'["()\s]+', " ", check.condition or "").strip().lower()
    return f"{(change.name or '').lower()} is not null" in condition


def is_fragile(change: Change, _: RuleContext) -> bool:
    kinds = {"create_index", "create_table", "add_column", "drop_index", "drop_table"}
    return change.kind in kinds and not change.in_transaction and not change.is_robust


def parts_of(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the name of a column's type, and the sizes in its brackets."""
    match = re.match(r"([a-z ]+?)\s*(?:\(([\d, ]+)\))?$", text)
    if match is None:
        return text, ()
    return match[1], tuple(int(n) for n in (match[2] or "").split(",") if n.strip())
