"""The values of enums: types of PostgreSQL, and columns of MySQL and MariaDB."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

import sqlalchemy as sa
from alembic import autogenerate
from alembic.operations import ops
from sqlalchemy.dialects import postgresql

from .renames import OnRename
from .renames import renamed_pairs

_Key: t.TypeAlias = tuple[str, str]
"""Schema and name."""


@dc.dataclass(frozen=True)
class ExtraOperation:
    """A difference that Alembic does not see, with the code that takes it away.

    :param first: Whether the upgrade comes before what changes tables.
    :param first_back: Whether the downgrade does.
    """

    phrase: str
    upgrade: str
    downgrade: str
    first: bool = False
    first_back: bool = True


def enum_type(kind: t.Any, dialect: sa.Dialect) -> postgresql.ENUM | None:
    """Return the enum of PostgreSQL for a declared type, if it is one there."""
    if isinstance(kind, sa.ARRAY):
        return enum_type(t.cast("t.Any", kind).item_type, dialect)
    found = kind.dialect_impl(dialect)
    if isinstance(found, sa.types.TypeDecorator):
        return enum_type(t.cast("t.Any", found).impl_instance, dialect)
    return found if isinstance(found, postgresql.ENUM) and found.name else None


def code_of_type(enum: postgresql.ENUM) -> str:
    """An enum as it stands in a table; the type is made and dropped apart from it."""
    schema = f", schema={enum.schema!r}" if enum.schema else ""
    values = "".join(f"{value!r}, " for value in enum.enums)
    return (
        f"postgresql.ENUM({values}name={str(enum.name)!r}{schema}, create_type=False)"
    )


# Types of PostgreSQL


@dc.dataclass(frozen=True)
class _Use:
    """A column of an enum.

    :param default: SQL of its default, if it has one.
    """

    table: str
    column: str
    is_array: bool
    default: str | None


def enums_of(
    connection: sa.Connection,
    tables: cabc.Iterable[sa.Table],
    upgrade: ops.UpgradeOps,
    renamed: OnRename | None,
) -> cabc.Iterator[ExtraOperation]:
    """The types that are to be made, changed or dropped."""
    there = _Types(connection)
    dialect = connection.dialect
    declared: dict[_Key, postgresql.ENUM] = {}
    uses: dict[_Key, list[_Use]] = {}
    # The columns that are an enum no more, by schema, table and name.
    others: set[tuple[str, str, str]] = set()
    gone = set(_dropped(upgrade, there.schema))
    for table in tables:
        schema = table.schema or there.schema
        for column in table.columns:
            enum = enum_type(column.type, dialect)
            if enum is None:
                others.add((schema, table.name, column.name))
                continue
            schema_of_enum = t.cast("str | None", t.cast("t.Any", enum).schema)
            key = (schema_of_enum or there.schema, str(enum.name))
            declared[key] = enum
            uses.setdefault(key, []).append(
                _Use(
                    there.name((schema, table.name)),
                    dialect.identifier_preparer.quote(column.name),
                    isinstance(column.type, sa.ARRAY),
                    default_of(column, dialect),
                )
            )
    for key, enum in declared.items():
        name = there.name(key)
        values = list(enum.enums)
        if key not in there.values:
            yield ExtraOperation(
                f"add enum {enum.name}",
                _create(name, values),
                execute(f"DROP TYPE {name}"),
                first=True,
                first_back=False,
            )
        else:
            yield from there.changed(key, values, uses[key], renamed)
    for key in sorted(set(there.values) - set(declared)):
        columns = there.columns(key)
        if columns and columns <= gone | others:
            name = there.name(key)
            yield ExtraOperation(
                f"remove enum {key[1]}",
                execute(f"DROP TYPE {name}"),
                _create(name, there.values[key]),
            )


def _dropped(
    upgrade: ops.UpgradeOps, default: str
) -> cabc.Iterator[tuple[str, str, str]]:
    for part in upgrade.ops:
        if isinstance(part, ops.DropTableOp):
            for column in part.to_table().columns:
                yield (part.schema or default, part.table_name, column.name)
        elif isinstance(part, ops.ModifyTableOps):
            for op in part.ops:
                if isinstance(op, ops.DropColumnOp):
                    yield (part.schema or default, part.table_name, op.column_name)


def default_of(column: sa.Column[t.Any], dialect: sa.Dialect) -> str | None:
    """Return a declared default as SQL."""
    default = column.server_default
    if not isinstance(default, sa.DefaultClause):
        return None
    return default_sql(default, dialect)


def default_sql(default: sa.DefaultClause, dialect: sa.Dialect) -> str:
    """Return a default as SQL."""
    if isinstance(default.arg, str):
        return quoted(default.arg)
    clause = t.cast("sa.ColumnElement[t.Any]", default.arg)
    return str(clause.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


# Columns whose type is an enum or a list of one. Columns of partitions change with
# their table.
_USES = """
SELECT en.nspname, e.typname, n.nspname, c.relname, a.attname, t.oid <> e.oid,
       pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type e ON e.oid IN (t.oid, t.typelem) AND e.typtype = 'e'
JOIN pg_namespace en ON en.oid = e.typnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""


class _Types:
    """The enums that a database has."""

    def __init__(self, connection: sa.Connection) -> None:
        inspector: t.Any = sa.inspect(connection)
        self.schema: str = inspector.default_schema_name
        self.values: dict[_Key, list[str]] = {
            (enum["schema"], enum["name"]): enum["labels"]
            for enum in inspector.get_enums(schema="*")
        }
        self._preparer = connection.dialect.identifier_preparer
        self._rows = connection.exec_driver_sql(_USES).all()

    def name(self, key: _Key) -> str:
        """Return the name of a type in SQL."""
        schema, name = key
        quoted_name = self._preparer.quote(name)
        if schema == self.schema:
            return quoted_name
        return f"{self._preparer.quote_schema(schema)}.{quoted_name}"

    def columns(self, key: _Key) -> set[tuple[str, str, str]]:
        """The columns that have a type, each with schema and table."""
        return {(row[2], row[3], row[4]) for row in self._rows if row[:2] == key}

    def _uses(self, key: _Key) -> list[_Use]:
        return [
            _Use(
                self.name((row[2], row[3])),
                self._preparer.quote(row[4]),
                row[5],
                row[6],
            )
            for row in self._rows
            if row[:2] == key
        ]

    def changed(
        self, key: _Key, values: list[str], uses: list[_Use], renamed: OnRename | None
    ) -> cabc.Iterator[ExtraOperation]:
        """Return the code that changes the values of a type."""
        name, was = self.name(key), self.values[key]
        gone = [value for value in was if value not in values]
        come = [value for value in values if value not in was]
        for old, new in renamed_pairs(key[1], gone, come, renamed).items():
            rename = f"ALTER TYPE {name} RENAME VALUE"
            yield ExtraOperation(
                f"rename value {old} of enum {key[1]} to {new}",
                execute(f"{rename} {quoted(old)} TO {quoted(new)}"),
                execute(f"{rename} {quoted(new)} TO {quoted(old)}"),
                first=True,
            )
            was = [new if value == old else value for value in was]
            gone.remove(old)
        if gone:
            old, there = self.name((key[0], f"{key[1]}_old")), self._uses(key)
            yield ExtraOperation(
                f"remove values {', '.join(gone)} of enum {key[1]}",
                _rebuilt(name, old, values, there, uses),
                _rebuilt(name, old, was, uses, there),
                first=True,
            )
        else:
            yield from _added(name, key[1], values, was)


def _added(
    name: str, label: str, values: list[str], was: list[str]
) -> cabc.Iterator[ExtraOperation]:
    for at, value in enumerate(values):
        if value in was:
            continue
        before = f"AFTER {quoted(values[at - 1])}"
        place = before if at else f"BEFORE {quoted(was[0])}"
        add = execute(
            f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {quoted(value)} {place}"
        )
        yield ExtraOperation(
            f"add value {value} of enum {label}",
            f"with op.get_context().autocommit_block():\n    {add}",
            f"# PostgreSQL keeps the value {value!r} of {name}.",
            first=True,
        )


def _rebuilt(
    name: str, old: str, values: list[str], now: list[_Use], then: list[_Use]
) -> str:
    """Put a type with other values in the place of one.

    :param then: The columns with their future defaults, where known.
    """
    defaults = {(use.table, use.column): use.default for use in then}
    lines = [
        execute(f"ALTER TYPE {name} RENAME TO {old.rpartition('.')[2]}"),
        _create(name, values),
    ]
    for use in now:
        column = f"ALTER TABLE {use.table} ALTER COLUMN {use.column}"
        many = "[]" if use.is_array else ""
        default = defaults.get((use.table, use.column), use.default)
        # A default is of the old type, and is not converted.
        if use.default is not None:
            lines.append(execute(f"{column} DROP DEFAULT"))
        using = f"{use.column}::text{many}::{name}{many}"
        lines.append(execute(f"{column} TYPE {name}{many} USING {using}"))
        if default is not None:
            lines.append(execute(f"{column} SET DEFAULT {default}"))
    return "\n".join([*lines, execute(f"DROP TYPE {old}")])


def _create(name: str, values: cabc.Iterable[str]) -> str:
    listed = ", ".join(quoted(value) for value in values)
    return execute(f"CREATE TYPE {name} AS ENUM ({listed})")


# Columns of MySQL and MariaDB


class RenameValuesOp(ops.AlterColumnOp):
    """A column whose enum has renamed values, and which keeps its rows.

    :param names: The new values by the old.
    """

    def __init__(self, *args: t.Any, names: dict[str, str], **kw: t.Any) -> None:
        super().__init__(*args, **kw)
        self.names = names
        # reverse() makes another operation of these.
        self.kw["names"] = {new: old for old, new in names.items()}


@autogenerate.renderers.dispatch_for(RenameValuesOp)
def _render_values(context: t.Any, operation: RenameValuesOp) -> list[str]:
    old, new = (
        t.cast("sa.Enum", kind)
        for kind in (operation.existing_type, operation.modify_type)
    )
    both = sa.Enum(*dict.fromkeys((*old.enums, *new.enums)), name=new.name)
    preparer = context.migration_context.dialect.identifier_preparer
    table = preparer.quote(operation.table_name)
    if operation.schema:
        table = f"{preparer.quote_schema(operation.schema)}.{table}"
    column = preparer.quote(operation.column_name)
    return [
        _altered(context, operation, operation.existing_type, both),
        *moved(table, column, operation.names),
        _altered(context, operation, both, operation.modify_type),
    ]


def _altered(
    context: t.Any, operation: ops.AlterColumnOp, was: t.Any, becomes: t.Any
) -> str:
    alter = ops.AlterColumnOp(
        operation.table_name,
        operation.column_name,
        schema=operation.schema,
        existing_type=was,
        existing_nullable=operation.existing_nullable,
        existing_server_default=t.cast("t.Any", operation.existing_server_default),
        existing_comment=operation.existing_comment,
        modify_type=becomes,
    )
    code: str = autogenerate.renderers.dispatch(alter)(context, alter)
    return code


def rename_values(
    upgrade: ops.UpgradeOps, renamed: OnRename | None, tables: cabc.Mapping[str, str]
) -> None:
    """Keep what rows have in a column whose enum has other values."""
    for part in upgrade.ops:
        if not isinstance(part, ops.ModifyTableOps):
            continue
        for at, op in enumerate(part.ops):
            if not isinstance(op, ops.AlterColumnOp):
                continue
            was, becomes = op.existing_type, op.modify_type
            if not (isinstance(was, sa.Enum) and isinstance(becomes, sa.Enum)):
                continue
            gone = [value for value in was.enums if value not in becomes.enums]
            come = [value for value in becomes.enums if value not in was.enums]
            table = tables.get(part.table_name, part.table_name)
            names = renamed_pairs(f"{table}.{op.column_name}", gone, come, renamed)
            if names:
                part.ops[at] = RenameValuesOp(
                    op.table_name,
                    op.column_name,
                    schema=op.schema,
                    names=names,
                    existing_type=was,
                    existing_nullable=op.existing_nullable,
                    existing_server_default=op.existing_server_default,
                    existing_comment=op.existing_comment,
                    modify_type=becomes,
                    modify_nullable=op.modify_nullable,
                    modify_server_default=op.modify_server_default,
                )


def moved(table: str, column: str, names: cabc.Mapping[str, str]) -> list[str]:
    """Return the code that gives rows the new values; names are as in SQL."""
    return [
        execute(
            f"UPDATE {table} SET {column} = {quoted(new)}"  # noqa: S608
            f" WHERE {column} = {quoted(old)}"
        )
        for old, new in names.items()
    ]


def quoted(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"


def execute(sql: str) -> str:
    """The code that runs a statement."""
    # A single colon starts a parameter in the text of SQLAlchemy.
    text = re.sub(r"(?<!:):(?!:)", r"\\:", sql)
    return f"op.execute({text!r})"
