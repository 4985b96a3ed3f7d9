"""Indexes, compared by their definitions."""

from __future__ import annotations

import typing as t
import warnings

import sqlalchemy as sa
from alembic import autogenerate
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import exc as sa_exc

from .enums import execute
from .enums import ExtraOperation
from .scratch import index_name
from .scratch import indexes_of
from .scratch import same_words
from .scratch import Scratch
from .scratch import TableText


def add_skipped_indexes(
    context: MigrationContext, upgrade: ops.UpgradeOps, table: sa.Table
) -> None:
    """Add the indexes of a new table that Alembic leaves out on SQLite."""
    key = (table.schema, table.name)
    if context.dialect.name != "sqlite" or not any(
        isinstance(op, ops.CreateTableOp) and (op.schema, op.table_name) == key
        for op in upgrade.ops
    ):
        return
    made = {
        str(op.index_name)
        for part in upgrade.ops
        for op in (part, *getattr(part, "ops", ()))
        if isinstance(op, ops.CreateIndexOp)
    }
    for index in indexes_of(table, context.dialect):
        if index.name is not None and _name_of(index, context.dialect) not in made:
            upgrade.ops.append(ops.CreateIndexOp.from_index(index))


def settle_indexes(
    context: MigrationContext,
    upgrade: ops.UpgradeOps,
    part: ops.ModifyTableOps,
    table: sa.Table,
    there: TableText,
    scratch: Scratch,
) -> None:
    """Compare indexes by their definitions: expressions, conditions, methods."""
    dialect = context.dialect
    # Each exclusion constraint of PostgreSQL has an index, which it owns.
    part.ops[:] = [
        op
        for op in part.ops
        if not isinstance(op, ops.DropIndexOp) or op.index_name not in there.exclusions
    ]
    declared = scratch.declared(table)
    if dialect.name not in {"postgresql", "sqlite"} or declared is None:
        return
    dropped = {op.column_name for op in part.ops if isinstance(op, ops.DropColumnOp)}
    for at, index in enumerate(indexes_of(table, dialect)):
        becomes = declared.indexes.get(index_name(at))
        if (
            index.name is not None
            and becomes is not None
            and not dropped & {item.name for item in index.columns}
        ):
            _settle_index(dialect, upgrade, part, index, there, becomes)
    if dialect.name == "sqlite":
        connection = t.cast("sa.Connection", context.connection)
        names = {_name_of(x, dialect) for x in table.indexes if x.name}
        for name in sorted(_expressions(connection, table, there) - names):
            drop = DropIndexThereOp.of(name, table, there.indexes[name], dialect)
            upgrade.ops.insert(0, drop)


def _settle_index(
    dialect: sa.Dialect,
    upgrade: ops.UpgradeOps,
    part: ops.ModifyTableOps,
    index: sa.Index,
    there: TableText,
    becomes: str,
) -> None:
    name = _name_of(index, dialect)
    mine = [op for op in part.ops if is_of(op, name)]
    was = there.indexes.get(name)
    if was is not None and same_words(was, becomes, dialect):
        part.ops[:] = [op for op in part.ops if op not in mine]
    elif not mine:
        # Beside the changes of the table, which a batch of SQLite does at its end. It
        # cannot copy an index of an expression, which goes before.
        if was is not None:
            table = t.cast("sa.Table", index.table)
            upgrade.ops.insert(0, DropIndexThereOp.of(name, table, was, dialect))
        upgrade.ops.append(ops.CreateIndexOp.from_index(index))


def _expressions(
    connection: sa.Connection, table: sa.Table, there: TableText
) -> set[str]:
    """Return the indexes of a table of SQLite that SQLAlchemy does not see."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa_exc.SAWarning)
        seen = sa.inspect(connection).get_indexes(table.name, table.schema)
    return set(there.indexes) - {str(index["name"]) for index in seen}


def kept_indexes(
    connection: sa.Connection,
    table: sa.Table,
    there: TableText,
    upgrade: ops.UpgradeOps,
) -> tuple[list[ExtraOperation], list[ExtraOperation]]:
    """Drop indexes of expressions before a batch copies their table, and make them.

    :returns: The operations before all else, and the operations after.
    """
    early: list[ExtraOperation] = []
    late: list[ExtraOperation] = []
    gone = [
        op
        for op in upgrade.ops
        if isinstance(op, DropIndexThereOp) and op.table_name == table.name
    ]
    made = [
        op
        for op in upgrade.ops
        if isinstance(op, ops.CreateIndexOp) and op.table_name == table.name
    ]
    upgrade.ops[:] = [op for op in upgrade.ops if op not in gone and op not in made]
    for op in made:
        create = sa.schema.CreateIndex(op.to_index()).compile(
            dialect=connection.dialect
        )
        drop = f"op.drop_index({op.index_name!r}, table_name={table.name!r})"
        phrase = f"add index {op.index_name} of {table.name}"
        late.append(ExtraOperation(phrase, execute(str(create)), drop))
    dropped = {str(op.index_name) for op in gone}
    for name in sorted(_expressions(connection, table, there) | dropped):
        old = DropIndexThereOp.of(name, table, there.indexes[name], connection.dialect)
        drop = f"op.drop_index({name!r}, table_name={table.name!r})"
        make = execute(old.sql)
        phrase = f"remove index {name} of {table.name}" if name in dropped else ""
        early.append(ExtraOperation(phrase, drop, make, first=True, first_back=False))
        if name not in dropped:
            late.append(ExtraOperation("", make, drop))
    return early, late


class DropIndexThereOp(ops.DropIndexOp):
    """A dropped index that a downgrade makes again as the database had it.

    :param sql: The statement that makes it.
    """

    def __init__(self, *args: t.Any, sql: str = "", **kw: t.Any) -> None:
        super().__init__(*args, **kw)
        self.sql = sql

    @classmethod
    def of(
        cls, name: str, table: sa.Table, definition: str, dialect: sa.Dialect
    ) -> DropIndexThereOp:
        """Make it of a name and a definition."""
        using = " USING " if dialect.name == "postgresql" else " "
        quote = dialect.identifier_preparer
        unique = "UNIQUE " if definition.startswith("UNIQUE ") else ""
        sql = (
            f"CREATE {unique}INDEX {quote.quote(name)} ON"
            f" {quote.format_table(table)}{using}{definition.removeprefix('UNIQUE ')}"
        )
        return cls(name, table.name, schema=table.schema, sql=sql)

    def reverse(self) -> MakeIndexOp:
        """Make it again."""
        return MakeIndexOp(
            self.index_name, self.table_name, [], schema=self.schema, sql=self.sql
        )


class MakeIndexOp(ops.CreateIndexOp):
    """An index that is made by a statement in the words of the database."""

    def __init__(self, *args: t.Any, sql: str, **kw: t.Any) -> None:
        super().__init__(*args, **kw)
        self.sql = sql


@autogenerate.renderers.dispatch_for(MakeIndexOp)
def _render_index(_: t.Any, operation: MakeIndexOp) -> str:
    return execute(operation.sql)


def _name_of(index: sa.Index, dialect: sa.Dialect) -> str:
    name = str(dialect.identifier_preparer.format_index(index))
    return name.strip('"`')


def is_of(op: object, name: str) -> bool:
    return (
        isinstance(op, (ops.CreateIndexOp, ops.DropIndexOp)) and op.index_name == name
    )
