"""Changes of a schema, the same for every way to write them.

An operation of Alembic's and a statement of SQL become the same changes, so that a
rule is written once.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import sqlalchemy as sa
from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import ops
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateColumn
from sqlalchemy.schema import CreateTable

Kind: t.TypeAlias = t.Literal[
    "add_check", "add_column", "add_enum_value", "add_exclude", "add_foreign_key",
    "add_partition", "add_primary_key", "add_unique", "alter_composite",
    "alter_database",
    "alter_domain", "alter_extension", "alter_generated", "alter_identity",
    "alter_policy", "alter_role", "alter_routine", "alter_sequence", "alter_system",
    "alter_type", "alter_view", "attach_partition", "change_owner", "create_domain",
    "create_index",
    "create_policy", "create_rule", "create_table", "create_trigger", "delete",
    "detach_partition",
    "disable_trigger", "drop_column", "drop_constraint", "drop_database",
    "drop_default", "drop_index", "drop_not_null", "drop_object", "drop_partition",
    "drop_table", "harmless", "insert", "lock_table", "move_object", "no_inherit",
    "other", "refresh_view", "reindex", "rename_column", "rename_constraint",
    "rename_object",
    "rename_schema", "rename_table", "replace_object", "replica_identity", "revoke",
    "rewrite_table", "row_security", "set_default", "set_not_null", "set_timeout",
    "transaction", "truncate", "update", "validate_constraint",
]  # fmt: skip


@dc.dataclass(frozen=True)
class ColumnInfo:
    """A column as a change declares it.

    :param type: In the words of the dialect, in lower case.
    :param default: The server's, as SQL.
    :param is_constrained: Its type is a domain that checks its values.
    :param is_part: An index has only the beginning of its values.
    """

    name: str
    type: str = ""
    nullable: bool = True
    default: str | None = None
    is_key: bool = False
    is_serial: bool = False
    is_identity: bool = False
    is_stored: bool = False
    has_reference: bool = False
    is_unique: bool = False
    is_constrained: bool = False
    is_part: bool = False


@dc.dataclass(frozen=True)
class Change:
    """One change of a schema.

    :param table: The changed table, with its schema if that is given.
    :param name: The column, index or constraint.
    :param other: The table that a foreign key refers to, the new name, or the word
        that makes it another change, such as ``"fulltext"`` for an index.
    :param columns: The columns that it declares, or of an index by name only.
    :param is_flagged: It says CONCURRENTLY, NOT VALID or USING INDEX, whichever keeps
        its kind from holding a lock for long.
    :param condition: The condition of a check.
    :param refers: The tables that the foreign keys of a new table refer to.
    :param is_checked: It gives a domain a constraint.
    :param is_partitioned: The new table consists of partitions.
    :param is_whole: It repeats the whole column, and not its type alone.
    :param is_robust: It says IF EXISTS or IF NOT EXISTS.
    :param text: The SQL, where it was given as such.
    :param line: The line of the revision's file.
    :param in_transaction: It is undone if what follows it in the revision fails.
    :param rebuilds: It is part of a batch that may copy the whole table.
    :param batch: Which batch it is part of.
    """

    kind: Kind
    table: str | None = None
    name: str | None = None
    other: str | None = None
    columns: tuple[ColumnInfo, ...] = ()
    old_type: str | None = None
    condition: str | None = None
    refers: tuple[str, ...] = ()
    is_unique: bool = False
    is_flagged: bool = False
    is_checked: bool = False
    is_whole: bool = False
    is_partitioned: bool = False
    is_robust: bool = False
    cascades: bool = False
    text: str | None = None
    line: int | None = None
    in_transaction: bool = True
    rebuilds: bool = False
    batch: int | None = None

    @property
    def in_batch(self) -> bool:
        """True if it is part of a batch."""
        return self.batch is not None

    @property
    def column(self) -> ColumnInfo:
        """The column that is added or altered."""
        return self.columns[0] if self.columns else ColumnInfo(self.name or "")

    def __str__(self) -> str:
        if self.text is not None:
            text = " ".join(self.text.split())
            return text if len(text) <= 80 else f"{text[:77]}..."
        words = self.kind.replace("_", " ")
        what = ".".join(filter(None, (self.table, self.name)))
        if self.name is None and self.columns and self.kind != "create_table":
            what += f" ({', '.join(info.name for info in self.columns)})"
        return f"{words} {what}".rstrip()


def changes_of_operation(
    operation: ops.MigrateOperation, dialect: sa.Dialect
) -> list[Change]:
    """Return the changes of an operation; :func:`changes_of_sql` reads raw SQL."""
    for kind, read in _READERS.items():
        if isinstance(operation, kind):
            return list(read(operation, dialect))
    return [Change("other", text=type(operation).__name__)]


def column_info(column: sa.Column[t.Any], dialect: sa.Dialect) -> ColumnInfo:
    """Return the declaration of a column."""
    default = column.server_default
    is_integer = isinstance(column.type, sa.Integer)
    is_serial = (
        column.primary_key
        and is_integer
        and column.autoincrement in {True, "auto"}
        and default is None
        and not column.foreign_keys
    )
    return ColumnInfo(
        column.name,
        type_text(column.type, dialect),
        bool(column.nullable),
        default_text(default, dialect),
        is_key=column.primary_key,
        is_serial=is_serial and column.identity is None,
        is_identity=column.identity is not None,
        is_stored=column.computed is not None and _is_stored(column, dialect),
        has_reference=bool(column.foreign_keys),
        is_unique=bool(column.unique),
        is_constrained=_is_constrained(column.type, dialect),
    )


def _is_constrained(type_: t.Any, dialect: sa.Dialect) -> bool:
    if isinstance(type_, sa.types.TypeDecorator):
        type_ = t.cast("t.Any", type_).load_dialect_impl(dialect)
    is_domain = isinstance(type_, postgresql.DOMAIN)
    return is_domain and bool(type_.not_null or type_.check is not None)


def type_text(type_: object, dialect: sa.Dialect) -> str:
    """A type in the words of a dialect, in lower case."""
    instance = type_() if isinstance(type_, type) else type_
    try:
        return str(t.cast("t.Any", instance).compile(dialect)).lower()
    except sa_exc.CompileError:
        return str(instance).lower()


def default_text(default: object, dialect: sa.Dialect) -> str | None:
    """A server's default as SQL, ``None`` where there is none."""
    if default is None or default is False:
        return None
    argument = getattr(default, "arg", default)
    if isinstance(argument, str):
        return "'" + argument.replace("'", "''") + "'"
    if isinstance(argument, sa.ClauseElement):
        return str(
            argument.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        )
    return None


def _is_stored(column: sa.Column[t.Any], dialect: sa.Dialect) -> bool:
    (copy,) = table_of(column).columns
    text = str(CreateColumn(copy).compile(dialect=dialect)).upper()
    return "STORED" in text or "PERSISTENT" in text


def table_of(column: sa.Column[t.Any]) -> sa.Table:
    """Return a table with a copy of a column, and with what comes of that."""
    # A column has one table; the public copy() is deprecated in favor of this.
    return sa.Table("t", sa.MetaData(), column._copy())  # noqa: SLF001


def _key(name: str | None, schema: str | None) -> str | None:
    return f"{schema}.{name}" if schema else name


def _add_column(op: t.Any, dialect: sa.Dialect) -> cabc.Iterator[Change]:
    table = _key(op.table_name, op.schema)
    info = column_info(op.column, dialect)
    robust = bool(getattr(op, "if_not_exists", None))
    yield Change("add_column", table, info.name, columns=(info,), is_robust=robust)
    inline = bool(getattr(op, "inline_references", None))
    for foreign in op.column.foreign_keys:
        target = str(foreign.target_fullname).rpartition(".")[0]
        yield Change(
            "add_foreign_key",
            table,
            None,
            target,
            columns=(info,),
            is_flagged=inline and is_empty(info, dialect.name),
        )
    if _has_check(op.column, dialect):
        # A CHECK of a type is added to the table, and one of the column with it.
        inline = any(isinstance(c, sa.CheckConstraint) for c in op.column.constraints)
        flagged = inline and dialect.name in {"mysql", "mariadb"}
        yield Change("add_check", table, None, is_flagged=flagged)
    if op.column.unique:
        yield Change("add_unique", table, None, columns=(info,))
    elif op.column.index:
        yield Change("create_index", table, None, columns=(info,))


def _has_check(column: sa.Column[t.Any], dialect: sa.Dialect) -> bool:
    table = table_of(column)
    parts = [*table.constraints, *table.columns[0].constraints]
    if not any(isinstance(part, sa.CheckConstraint) for part in parts):
        return False
    # Some types have a CHECK on some databases alone.
    made = CreateTable(table, include_foreign_key_constraints=[])
    is_known = not isinstance(column.type, sa.types.NullType)
    return not is_known or "CHECK (" in str(made.compile(dialect=dialect))


def is_empty(info: ColumnInfo, dialect: str) -> bool:
    """Return whether a new column is NULL in each row, which PostgreSQL knows."""
    made = info.is_serial or info.is_identity or info.is_stored
    return dialect == "postgresql" and info.default is None and not made


def _alter_column(op: t.Any, dialect: sa.Dialect) -> cabc.Iterator[Change]:
    kind: Kind
    table, name = _key(op.table_name, op.schema), op.column_name
    old = None if op.existing_type is None else type_text(op.existing_type, dialect)
    if op.modify_type is not None:
        info = ColumnInfo(name, type_text(op.modify_type, dialect))
        yield Change("alter_type", table, name, columns=(info,), old_type=old)
    if op.modify_nullable is not None:
        kind = "drop_not_null" if op.modify_nullable else "set_not_null"
        yield Change(kind, table, name, old_type=old)
    if op.modify_server_default is not False:
        default = op.modify_server_default
        text = default_text(default, dialect)
        is_identity = isinstance(default, sa.Identity)
        kind = "drop_default" if text is None else "set_default"
        info = ColumnInfo(name, "", default=text)
        yield Change(
            "alter_identity" if is_identity else kind, table, name, columns=(info,)
        )
    if op.modify_name is not None:
        yield Change("rename_column", table, name, op.modify_name, old_type=old)


def _index_columns(columns: cabc.Iterable[object]) -> tuple[ColumnInfo, ...]:
    return tuple(ColumnInfo(str(getattr(c, "name", c))) for c in columns)


def _create_index(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change(
        "create_index",
        _key(op.table_name, op.schema),
        op.index_name,
        str(op.kw.get("mysql_prefix") or "") or None,
        columns=_index_columns(op.columns),
        is_unique=bool(op.unique),
        is_flagged=bool(op.kw.get("postgresql_concurrently")),
        is_robust=bool(op.if_not_exists),
    )


def _drop_index(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change(
        "drop_index",
        _key(op.table_name, op.schema),
        op.index_name,
        is_flagged=bool(op.kw.get("postgresql_concurrently")),
        is_robust=bool(op.if_exists),
    )


def _foreign_key(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change(
        "add_foreign_key",
        _key(op.source_table, op.kw.get("source_schema")),
        op.constraint_name,
        _key(op.referent_table, op.kw.get("referent_schema")),
        columns=_index_columns(op.local_cols),
        is_flagged=bool(op.kw.get("postgresql_not_valid")),
    )


def _check(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change(
        "add_check",
        _key(op.table_name, op.schema),
        op.constraint_name,
        condition=str(op.condition),
        is_flagged=bool(op.kw.get("postgresql_not_valid")),
    )


def _unique(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change(
        "add_unique",
        _key(op.table_name, op.schema),
        op.constraint_name,
        columns=_index_columns(op.columns),
    )


def _primary_key(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change(
        "add_primary_key",
        _key(op.table_name, op.schema),
        op.constraint_name,
        columns=_index_columns(op.columns),
    )


def _drop_constraint(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change(
        "drop_constraint",
        _key(op.table_name, op.schema),
        op.constraint_name,
        op.constraint_type,
    )


def _create_table(op: t.Any, dialect: sa.Dialect) -> cabc.Iterator[Change]:
    table: sa.Table = op.to_table()
    yield Change(
        "create_table",
        table.key,
        columns=tuple(column_info(column, dialect) for column in table.columns),
        refers=tuple(
            str(key.target_fullname).rpartition(".")[0] for key in table.foreign_keys
        ),
        is_robust=bool(getattr(op, "if_not_exists", None)),
        is_partitioned="postgresql_partition_by" in op.kw,
    )


def _drop_table(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    robust = bool(getattr(op, "if_exists", None))
    yield Change("drop_table", _key(op.table_name, op.schema), is_robust=robust)


def _drop_column(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change("drop_column", _key(op.table_name, op.schema), op.column_name)


def _rename_table(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    table = _key(op.table_name, op.schema)
    yield Change("rename_table", table, None, op.new_table_name)


def _bulk_insert(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    schema = getattr(op.table, "schema", None)
    yield Change("insert", _key(op.table.name, schema))


def _exclude(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change("add_exclude", _key(op.table_name, op.schema), op.constraint_name)


def _comment(op: t.Any, _: sa.Dialect) -> cabc.Iterator[Change]:
    yield Change("harmless", _key(op.table_name, op.schema))


_Reader: t.TypeAlias = cabc.Callable[..., cabc.Iterator[Change]]
_READERS: dict[type[ops.MigrateOperation], _Reader] = {
    CreateExcludeConstraintOp: _exclude, ops.AddColumnOp: _add_column,
    ops.AlterColumnOp: _alter_column, ops.BulkInsertOp: _bulk_insert,
    ops.CreateCheckConstraintOp: _check, ops.CreateForeignKeyOp: _foreign_key,
    ops.CreateIndexOp: _create_index, ops.CreatePrimaryKeyOp: _primary_key,
    ops.CreateTableCommentOp: _comment, ops.CreateTableOp: _create_table,
    ops.CreateUniqueConstraintOp: _unique, ops.DropColumnOp: _drop_column,
    ops.DropConstraintOp: _drop_constraint, ops.DropIndexOp: _drop_index,
    ops.DropTableCommentOp: _comment, ops.DropTableOp: _drop_table,
    ops.RenameTableOp: _rename_table,
}  # fmt: skip
