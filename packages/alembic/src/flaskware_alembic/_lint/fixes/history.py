"""History of a column that a revision replaces, read from those before it."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

import sqlalchemy as sa
from alembic.operations import ops

from flaskware_alembic._lint.recording import Recording
from flaskware_alembic._sql.change import table_of

History: t.TypeAlias = cabc.Callable[[], cabc.Iterable[Recording]]
_HARMLESS = {"insert", "update", "delete", "harmless", "set_timeout"}


@dc.dataclass(frozen=True)
class Past:
    """A column, as revisions made it.

    :param obstacle: Why another column cannot simply replace it.
    """

    nullable: bool = True
    has_default: bool = False
    obstacle: str | None = None


def past_of(history: cabc.Iterable[Recording], table: str, name: str) -> Past:
    """Return the history of a column; anything unknown is an obstacle."""
    past: Past | None = None
    for recording in history:
        if recording.broken_off is not None:
            return Past(obstacle="an earlier revision goes by what it reads")
        for change in recording.changes:
            if (
                change.text is not None
                and change.kind not in _HARMLESS
                and _mentions([change.text], table)
            ):
                return Past(obstacle=f"SQL of an earlier revision alters {table}")
        for recorded in recording.operations:
            past = _after(past, recorded.operation, table, name)
            if past is not None and past.obstacle is not None:
                return past
    return past or Past(obstacle=f"no earlier revision adds {table}.{name}")


def _after(
    past: Past | None, operation: ops.MigrateOperation, table: str, name: str
) -> Past | None:
    item = t.cast("t.Any", operation)
    if isinstance(operation, ops.CreateTableOp) and operation.table_name == table:
        made = operation.to_table()
        return _made(made, name) if name in made.c else past
    if isinstance(operation, ops.RenameTableOp | ops.DropTableOp):
        names = (item.table_name, getattr(item, "new_table_name", None))
        return (
            Past(obstacle=f"{table} was renamed or dropped") if table in names else past
        )
    if isinstance(operation, ops.CreateIndexOp | ops.AddConstraintOp):
        words = _words(operation)
        if _mentions(words, table) and _mentions(words, name):
            return Past(obstacle="it is part of an index or a constraint")
        return past
    if getattr(item, "table_name", None) != table:
        return past
    if isinstance(operation, ops.AddColumnOp) and operation.column.name == name:
        return _made(table_of(operation.column), name)
    if isinstance(operation, ops.AlterColumnOp):
        return _altered(past, item, name)
    return past


def _altered(past: Past | None, item: t.Any, name: str) -> Past | None:
    if name == item.modify_name:
        return Past(obstacle="it was renamed before")
    if past is None or item.column_name != name:
        return past
    if item.modify_nullable is not None:
        past = dc.replace(past, nullable=item.modify_nullable)
    if item.modify_server_default is not False:
        has_default = item.modify_server_default is not None
        past = dc.replace(past, has_default=has_default)
    return past


def _made(table: sa.Table, name: str) -> Past:
    column = table.c[name]
    parts = [*table.constraints, *table.indexes]
    if column.primary_key or column.foreign_keys:
        return Past(obstacle="it is a key")
    if column.identity is not None or column.computed is not None:
        return Past(obstacle="its values are made by the database")
    if column.unique or column.index or any(_is_part(p, column) for p in parts):
        return Past(obstacle="it is part of an index or a constraint")
    if column.comment:
        return Past(obstacle="it has a comment")
    return Past(bool(column.nullable), column.server_default is not None)


def _is_part(part: t.Any, column: sa.Column[t.Any]) -> bool:
    if isinstance(part, sa.CheckConstraint):
        return _mentions([str(part.sqltext)], column.name)
    return column.name in {c.name for c in part.columns} or (
        isinstance(part, sa.Index)
        and _mentions(map(str, part.expressions), column.name)
    )


def _words(operation: ops.MigrateOperation) -> list[str]:
    found: list[str] = []
    for value in vars(operation).values():
        values: cabc.Iterable[t.Any] = [value]
        if isinstance(value, dict):
            values = t.cast("dict[str, t.Any]", value).values()
        elif isinstance(value, list | tuple):
            values = t.cast("cabc.Iterable[t.Any]", value)
        found.extend(str(one) for one in values)
    return found


def _mentions(texts: cabc.Iterable[str], name: str) -> bool:
    # As a word; names of PostgreSQL are told apart in any case only when quoted.
    pattern = re.compile(rf"(?i)(?<!\w){re.escape(name)}(?!\w)")
    return any(pattern.search(text) for text in texts)
