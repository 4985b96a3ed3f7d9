"""Predicates for PostgreSQL: does a change rewrite, check or wait?"""

from __future__ import annotations

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
_MOMENTS = {"interval", "time", "timestamp", "timestamptz"}
_TEXTS = {"varchar", "text", "character varying"}


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


def rewrites_type(change: Change, _: RuleContext) -> bool:
    """True if PostgreSQL rewrites the table to change the type."""
    if change.kind != "alter_type":
        return False
    old, new = change.old_type, change.column.type
    return old is None or not _is_same_on_disk(old, new)


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
