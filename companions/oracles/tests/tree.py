"""Changes of a statement as the parser of PostgreSQL has them, in our words."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from pglast import enums

Found: t.TypeAlias = tuple[str, str | None]
"""The kind of a change, and its table."""

_ALTERED = {
    "AT_AddColumn": "add_column",
    "AT_DropColumn": "drop_column",
    "AT_DropNotNull": "drop_not_null",
    "AT_SetNotNull": "set_not_null",
    "AT_AlterColumnType": "alter_type",
    "AT_DropConstraint": "drop_constraint",
    "AT_ValidateConstraint": "validate_constraint",
    "AT_AttachPartition": "attach_partition",
    "AT_DetachPartition": "detach_partition",
}
_CONSTRAINTS = {
    "CONSTR_CHECK": "add_check",
    "CONSTR_PRIMARY": "add_primary_key",
    "CONSTR_UNIQUE": "add_unique",
    "CONSTR_FOREIGN": "add_foreign_key",
    "CONSTR_EXCLUSION": "add_exclude",
    "CONSTR_NOTNULL": "set_not_null",
}
_ROWS = {
    "InsertStmt": "insert",
    "UpdateStmt": "update",
    "DeleteStmt": "delete",
    "MergeStmt": "update",
}
COMPARED = {
    *_ALTERED.values(), *_CONSTRAINTS.values(), *_ROWS.values(), "create_table",
    "create_index", "drop_table", "drop_index", "rename_table", "rename_column",
    "truncate", "set_default", "drop_default",
}  # fmt: skip


# A foreign table is altered in the words for a table.
_LIKE_TABLES = {enums.ObjectType.OBJECT_TABLE, enums.ObjectType.OBJECT_FOREIGN_TABLE}


def changes(statement: t.Any) -> cabc.Iterator[Found]:
    """Yield the changes of a statement that can be compared."""
    name = type(statement).__name__
    if name == "ExplainStmt":
        if any(_is_on(option) for option in statement.options or ()):
            yield from changes(statement.query)
        return
    with_ = getattr(statement, "withClause", None)
    for cte in with_.ctes if with_ is not None else ():
        yield from changes(cte.ctequery)
    reader = _READERS.get(name)
    if reader is not None:
        yield from reader(statement)


def _is_on(option: t.Any) -> bool:
    value = getattr(option.arg, "sval", getattr(option.arg, "boolval", True))
    is_off = value is False or str(value).lower() in {"off", "false", "0"}
    return option.defname in {"analyze", "analyse"} and not is_off


def _table(relation: t.Any) -> str | None:
    if relation is None:
        return None
    parts = [relation.catalogname, relation.schemaname, relation.relname]
    return ".".join(part for part in parts if part)


def _names(objects: t.Any) -> cabc.Iterator[str]:
    for item in objects:
        yield ".".join(part.sval for part in item)


def _create(statement: t.Any) -> cabc.Iterator[Found]:
    yield "create_table", _table(statement.relation)


def _create_foreign(statement: t.Any) -> cabc.Iterator[Found]:
    yield "create_table", _table(statement.base.relation)


def _create_as(statement: t.Any) -> cabc.Iterator[Found]:
    if statement.objtype == enums.ObjectType.OBJECT_TABLE:
        yield "create_table", _table(statement.into.rel)


def _index(statement: t.Any) -> cabc.Iterator[Found]:
    yield "create_index", _table(statement.relation)


def _drop(statement: t.Any) -> cabc.Iterator[Found]:
    if statement.removeType == enums.ObjectType.OBJECT_TABLE:
        for name in _names(statement.objects):
            yield "drop_table", name
    elif statement.removeType == enums.ObjectType.OBJECT_INDEX:
        yield "drop_index", None


def _rename(statement: t.Any) -> cabc.Iterator[Found]:
    kind = enums.ObjectType(statement.renameType)
    is_table = statement.relationType in _LIKE_TABLES
    if kind in _LIKE_TABLES:
        yield "rename_table", _table(statement.relation)
    elif kind == enums.ObjectType.OBJECT_COLUMN and is_table:
        yield "rename_column", _table(statement.relation)


def _alter(statement: t.Any) -> cabc.Iterator[Found]:
    if statement.objtype not in _LIKE_TABLES:
        return
    table = _table(statement.relation)
    for command in statement.cmds:
        subtype = enums.AlterTableType(command.subtype).name
        if subtype == "AT_AddConstraint":
            kind = enums.ConstrType(command.def_.contype).name
            if kind in _CONSTRAINTS:
                yield _CONSTRAINTS[kind], table
        elif subtype == "AT_ColumnDefault":
            yield ("set_default" if command.def_ else "drop_default"), table
        elif subtype in _ALTERED:
            yield _ALTERED[subtype], table


def _rows(statement: t.Any) -> cabc.Iterator[Found]:
    yield _ROWS[type(statement).__name__], _table(statement.relation)


def _truncate(statement: t.Any) -> cabc.Iterator[Found]:
    for relation in statement.relations:
        yield "truncate", _table(relation)


def _select(statement: t.Any) -> cabc.Iterator[Found]:
    into = statement.intoClause
    if into is not None:
        yield "create_table", _table(into.rel)


_READERS: dict[str, cabc.Callable[[t.Any], cabc.Iterator[Found]]] = {
    "CreateStmt": _create,
    "CreateForeignTableStmt": _create_foreign,
    "CreateTableAsStmt": _create_as,
    "IndexStmt": _index,
    "DropStmt": _drop,
    "RenameStmt": _rename,
    "AlterTableStmt": _alter,
    "InsertStmt": _rows,
    "UpdateStmt": _rows,
    "DeleteStmt": _rows,
    "MergeStmt": _rows,
    "TruncateStmt": _truncate,
    "SelectStmt": _select,
}
