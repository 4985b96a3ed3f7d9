"""Columns, compared in the words of the database."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import sqlalchemy as sa
from alembic import autogenerate
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from .comparison import Hooks
from .enums import default_of
from .enums import default_sql
from .enums import execute
from .enums import ExtraOperation
from .indexes import is_of
from .renames import code_of_alteration
from .renames import parts_of
from .scratch import ColumnText
from .scratch import same_words
from .scratch import Scratch
from .scratch import TableText
from .scratch import text_of


def compared_by_the_database(
    context: MigrationContext, metadata: sa.MetaData, scratch: Scratch, hooks: Hooks
) -> None:
    """Let the database say whether a type or a default is another.

    Alembic asks its implementation of the dialect in every version, and only about
    defaults that are plain; its hook for users is also asked about others since 1.18,
    and fails on them.
    """
    impl = t.cast("t.Any", context.impl)
    comparison = _InItsWords(context, metadata, scratch, hooks)
    impl.compare_type = comparison.is_type_changed
    impl.compare_server_default = comparison.is_default_changed
    impl.autogen_column_reflect = comparison.reflect


class _InItsWords:
    """Comparison of columns in the words of the database."""

    def __init__(
        self,
        context: MigrationContext,
        metadata: sa.MetaData,
        scratch: Scratch,
        hooks: Hooks,
    ) -> None:
        impl = t.cast("t.Any", context.impl)
        self._context = context
        self._hooks = hooks
        self._dialect = context.dialect
        self._metadata = metadata
        self._scratch = scratch
        self._is_type_changed = impl.compare_type
        self._is_default_changed = impl.compare_server_default
        self._reflect = impl.autogen_column_reflect

    def is_type_changed(self, there: sa.Column[t.Any], declared: t.Any) -> bool:
        """True if a column has another type; takes what Alembic gives."""
        if self._hooks.compare_type is not None:
            answer = self._hooks.compare_type(
                self._context, there, declared, there.type, declared.type
            )
            if answer is not None:
                return answer
        was, becomes = self._both(there, declared)
        if was is None or becomes is None:
            return bool(self._is_type_changed(there, declared))
        if self._dialect.name == "postgresql":
            return was.type != becomes.type
        if _without_width(was.type) == _without_width(becomes.type):
            return False
        # SQLite keeps every spelling of a type, and Alembic knows many as one.
        if self._dialect.name == "sqlite":
            return bool(self._is_type_changed(there, declared))
        return True

    def is_default_changed(
        self,
        there: sa.Column[t.Any],
        declared: sa.Column[t.Any],
        becomes: str | None,
        was: str | None,
    ) -> bool:
        """True if a column has another default; takes what Alembic gives."""
        if self._hooks.compare_server_default is not None:
            answer = self._hooks.compare_server_default(
                self._context, there, declared, was, declared.server_default, becomes
            )
            if answer is not None:
                return answer
        is_postgresql = self._dialect.name == "postgresql"
        if is_postgresql and declared is declared.table.autoincrement_column:
            # Its sequence is made with the column.
            return False
        now, then = self._both(there, declared)
        if now is not None and then is not None:
            if _is_same(now.default, then.default, self._dialect):
                return False
            if is_postgresql:
                return True
        if is_postgresql:
            # Alembic lets the server compare the two, which raises for many.
            return _literal(was) != _literal(
                becomes if becomes is None else default_of(declared, self._dialect)
            )
        return bool(self._is_default_changed(there, declared, becomes, was))

    def reflect(self, inspector: t.Any, table: sa.Table, info: t.Any) -> None:
        """Hide what Alembic cannot compare; :func:`settle` compares it."""
        self._reflect(inspector, table, info)
        declared = self._metadata.tables.get(table.key)
        column = None if declared is None else declared.columns.get(info["name"])
        if column is None:
            return
        kinds = {_kind_of(column), _kind_there(info)}
        if "computed" in kinds or kinds == {"identity", "default"}:
            for key in ("computed", "identity", "default"):
                info.pop(key, None)

    def _both(
        self, there: sa.Column[t.Any], declared: sa.Column[t.Any]
    ) -> tuple[ColumnText | None, ColumnText | None]:
        table = self._scratch.present(there.table.name, there.table.schema)
        was = None if table is None else table.columns.get(there.name)
        return was, self._scratch.column(declared)


def _kind_of(column: sa.Column[t.Any]) -> str:
    default = column.server_default
    for kind, name in ((sa.Computed, "computed"), (sa.Identity, "identity")):
        if isinstance(default, kind):
            return name
    return "none" if default is None else "default"


def _kind_there(info: cabc.Mapping[str, t.Any]) -> str:
    for name in ("computed", "identity", "default"):
        if info.get(name) is not None:
            return name
    return "none"


def _is_same(one: str | None, other: str | None, dialect: sa.Dialect) -> bool:
    if one is None or other is None:
        return one is other
    return same_words(one, other, dialect)


def _without_width(text: str) -> str:
    """A type without the width of an integer, which is only about its display."""
    return re.sub(r"(?i)^((?:small|medium|big)?int(?:eger)?)\(\d+\)", r"\1", text)


def _literal(text: str | None) -> str | None:
    """The text at the start of a default, without the type that is said after it."""
    match = re.match(r"'(?:[^']|'')*'", text or "")
    return match[0] if match else text


class NewIdentityOp(ops.AlterColumnOp):
    """A column that becomes an identity: older versions of Alembic have to know it."""


@autogenerate.renderers.dispatch_for(NewIdentityOp)
def _render_identity(context: t.Any, operation: NewIdentityOp) -> str:
    is_new = isinstance(operation.modify_server_default, sa.Identity)
    more = "existing_server_default=None" if is_new else ""
    return code_of_alteration(context, operation, more)


def settle_identities(
    context: MigrationContext,
    part: ops.ModifyTableOps,
    table: sa.Table,
    inspector: sa.Inspector,
) -> None:
    there: dict[str, t.Any] | None = None
    for op in list(part.ops):
        if not isinstance(op, ops.AlterColumnOp):
            continue
        if context.dialect.name == "postgresql":
            # It means nothing there, and Alembic warns of it.
            op.kw.pop("autoincrement", None)
        column = table.columns.get(op.column_name)
        if column is None or op.modify_server_default is False:
            continue
        kind = _kind_of(column)
        if kind == "computed" or (
            kind == "identity" and context.dialect.name != "postgresql"
        ):
            # These are compared elsewhere, or exist on no such database.
            op.modify_server_default = False
        elif kind in {"identity", "default"} and context.dialect.name == "postgresql":
            there = there or {
                info["name"]: info
                for info in inspector.get_columns(table.name, table.schema)
            }
            old = _hidden(there[op.column_name], kind)
            if kind == "identity" and _kind_there(there[op.column_name]) != kind:
                at = part.ops.index(op)
                existing: t.Any = op.existing_server_default
                op = part.ops[at] = NewIdentityOp(
                    op.table_name,
                    op.column_name,
                    **parts_of(op),
                    existing_server_default=existing,
                    modify_server_default=op.modify_server_default,
                )
            if old is not None:
                # PostgreSQL has one of both, and the old is taken away first.
                away = ops.AlterColumnOp(
                    op.table_name,
                    op.column_name,
                    schema=op.schema,
                    existing_type=op.existing_type,
                    existing_nullable=op.existing_nullable,
                    existing_server_default=old,
                    modify_server_default=None,
                )
                part.ops.insert(part.ops.index(op), away)
        if not op.has_changes():
            part.ops.remove(op)


def _hidden(info: t.Any, kind: str) -> t.Any:
    """The default of a column that becomes an identity, or the reverse."""
    if kind == "default" and info.get("identity") is not None:
        return sa.Identity(**info["identity"])
    if kind == "identity" and info.get("default") is not None:
        return sa.DefaultClause(sa.text(info["default"]))
    return None


def settle_computed(
    context: MigrationContext,
    upgrade: ops.UpgradeOps,
    part: ops.ModifyTableOps,
    table: sa.Table,
    inspector: sa.Inspector,
    scratch: Scratch,
) -> None:
    """Replace columns whose expression is another; no database can alter it."""
    there = scratch.present(table.name, table.schema)
    if there is None:
        return
    for column in table.columns:
        was = there.columns.get(column.name)
        if was is None or (was.computed is None and _kind_of(column) != "computed"):
            continue
        becomes = scratch.column(column)
        if becomes is None:
            becomes = ColumnText("", None, _computed_of(column, context.dialect))
        if _is_same_computed(was, becomes, context.dialect):
            continue
        [info] = (
            info
            for info in inspector.get_columns(table.name, table.schema)
            if info["name"] == column.name
        )
        _replace(upgrade, part, table, column, _column_there(info))


def _computed_of(
    column: sa.Column[t.Any], dialect: sa.Dialect
) -> tuple[str, bool] | None:
    default = column.server_default
    if not isinstance(default, sa.Computed):
        return None
    return text_of(default.sqltext, dialect), bool(default.persisted)


def _is_same_computed(one: ColumnText, other: ColumnText, dialect: sa.Dialect) -> bool:
    if one.computed is None or other.computed is None:
        return one.computed is other.computed
    return one.computed[1] == other.computed[1] and same_words(
        one.computed[0], other.computed[0], dialect
    )


def _column_there(info: t.Any) -> sa.Column[t.Any]:
    arguments: list[t.Any] = []
    if info.get("computed"):
        arguments.append(sa.Computed(**info["computed"]))
    elif info.get("default") is not None:
        arguments.append(sa.DefaultClause(sa.text(info["default"])))
    kind = info["type"]
    return sa.Column(info["name"], kind, *arguments, nullable=info["nullable"])


def _replace(
    upgrade: ops.UpgradeOps,
    part: ops.ModifyTableOps,
    table: sa.Table,
    column: sa.Column[t.Any],
    old: sa.Column[t.Any],
) -> None:
    """Drop a column and add it again, with the indexes that go with it."""
    schema, name = table.schema, table.name
    others = [
        op
        for op in part.ops
        if not (isinstance(op, ops.AlterColumnOp) and op.column_name == column.name)
    ]
    # Of a declared column, SQLAlchemy makes a copy by no public name.
    added = column._copy()  # noqa: SLF001
    new, gone = (ops.AddColumnOp(name, item, schema=schema) for item in (added, old))
    drop = ops.DropColumnOp(name, column.name, schema=schema, _reverse=gone)
    indexes = [
        index
        for index in table.indexes
        if column.name in {item.name for item in index.columns}
        and not any(is_of(op, str(index.name)) for op in others)
    ]
    part.ops[:] = [
        *(ops.DropIndexOp.from_index(index) for index in indexes),
        *others,
        drop,
    ]
    # In one batch, SQLite would copy its values.
    made = [new, *(ops.CreateIndexOp.from_index(index) for index in indexes)]
    upgrade.ops.append(ops.ModifyTableOps(name, made, schema=schema))


class CastColumnOp(ops.AlterColumnOp):
    """A column whose values PostgreSQL casts only if `USING` says how.

    :param casts: The old type and the new, as SQL.
    """

    def __init__(self, *args: t.Any, casts: tuple[str, str], **kw: t.Any) -> None:
        super().__init__(*args, **kw)
        self.casts = casts
        # reverse() makes another operation of these.
        self.kw["casts"] = casts[::-1]


@autogenerate.renderers.dispatch_for(CastColumnOp)
def _render_cast(context: t.Any, operation: CastColumnOp) -> str:
    preparer = context.migration_context.dialect.identifier_preparer
    using = f"{preparer.quote(operation.column_name)}::{operation.casts[1]}"
    return code_of_alteration(context, operation, f"postgresql_using={using!r}")


def settle_casts(
    context: MigrationContext,
    part: ops.ModifyTableOps,
    table: sa.Table,
    there: TableText,
    scratch: Scratch,
) -> None:
    """Say how values are cast where PostgreSQL does not cast them by itself."""
    if context.dialect.name != "postgresql":
        return
    for op in list(part.ops):
        if not isinstance(op, ops.AlterColumnOp) or op.modify_type is None:
            continue
        was, column = there.columns[op.column_name], table.columns[op.column_name]
        made = scratch.column(column)
        becomes = made.type if made else column.type.compile(context.dialect)
        if scratch.casts(was.type, becomes):
            continue
        default = op.modify_server_default
        if default is False:
            default = column.server_default
        cast = CastColumnOp(
            op.table_name,
            op.column_name,
            **parts_of(op),
            casts=(was.type.split(" COLLATE ")[0], becomes.split(" COLLATE ")[0]),
        )
        steps: list[ops.MigrateOperation] = [cast]
        alter: dict[str, t.Any] = {"schema": op.schema}
        # A default is not cast, so that it is away meanwhile.
        existing: t.Any = op.existing_server_default
        if existing is not None and existing is not False:
            away = ops.AlterColumnOp(
                op.table_name,
                op.column_name,
                existing_type=op.existing_type,
                existing_server_default=existing,
                modify_server_default=None,
                **alter,
            )
            steps.insert(0, away)
        if isinstance(default, sa.DefaultClause):
            back = ops.AlterColumnOp(
                op.table_name,
                op.column_name,
                existing_type=op.modify_type,
                existing_server_default=None,
                modify_server_default=default,
                **alter,
            )
            steps.append(back)
        at = part.ops.index(op)
        part.ops[at : at + 1] = steps


FILL_IN = "flaskware: fill in"


def with_values(
    connection: sa.Connection, upgrade: ops.UpgradeOps
) -> list[ExtraOperation]:
    """Give rows a value in columns that become NOT NULL.

    A new column without a default gets one to be filled in, which goes once the rows
    have it; a column that is there gets its default where it has none.
    """
    dialect, found = connection.dialect, list[ExtraOperation]()
    # Under its old name it cannot be filled here.
    renames = [op for part in upgrade.ops for op in getattr(part, "ops", ())]
    for part in list(upgrade.ops):
        if not isinstance(part, ops.ModifyTableOps):
            continue
        full = sa.table(part.table_name, schema=part.schema)
        place = dialect.identifier_preparer.format_table(t.cast("t.Any", full))
        for op in list(part.ops):
            if isinstance(op, ops.AddColumnOp) and _is_required(op.column):
                if dialect.name == "sqlite" or _has_rows(connection, place):
                    _ask_for_value(upgrade, part, op)
            elif (
                isinstance(op, ops.AlterColumnOp)
                and op.modify_nullable is False
                and not any(getattr(other, "modify_name", None) for other in renames)
            ):
                default = op.modify_server_default
                if default is False:
                    default = op.existing_server_default
                if isinstance(default, sa.DefaultClause):
                    name = dialect.identifier_preparer.quote(op.column_name)
                    # A default of MySQL may say what an update does.
                    value = re.split(
                        r"(?i)\s+on update\s", default_sql(default, dialect)
                    )[0]
                    update = (
                        f"UPDATE {place} SET {name} = {value}"  # noqa: S608
                        f" WHERE {name} IS NULL"
                    )
                    found.append(ExtraOperation("", execute(update), "", first=True))
    return found


def _is_required(column: sa.Column[t.Any]) -> bool:
    return not (
        column.nullable or column.server_default is not None or column.primary_key
    )


def _has_rows(connection: sa.Connection, place: str) -> bool:
    query = sa.text(f"SELECT 1 FROM {place} LIMIT 1")  # noqa: S608
    return connection.execute(query).first() is not None


def _ask_for_value(
    upgrade: ops.UpgradeOps, part: ops.ModifyTableOps, add: ops.AddColumnOp
) -> None:
    # SQLAlchemy has no public name for a copy.
    column = add.column._copy()  # noqa: SLF001
    column.server_default = sa.DefaultClause(sa.text(FILL_IN))
    at = part.ops.index(add)
    away = ops.AlterColumnOp(
        part.table_name,
        column.name,
        schema=part.schema,
        existing_type=column.type,
        existing_nullable=False,
        modify_server_default=None,
    )
    part.ops[at] = ops.AddColumnOp(part.table_name, column, schema=part.schema)
    # In one batch, SQLite would copy the rows without it.
    later = ops.ModifyTableOps(part.table_name, [away], schema=part.schema)
    upgrade.ops.insert(upgrade.ops.index(part) + 1, later)


def drop_identities(
    container: ops.UpgradeOps | ops.DowngradeOps, dialect: sa.Dialect
) -> None:
    """Say that an identity goes, which Alembic writes down as a default that goes."""
    for part in container.ops:
        if not isinstance(part, ops.ModifyTableOps):
            continue
        full = t.cast("t.Any", sa.table(part.table_name, schema=part.schema))
        table = dialect.identifier_preparer.format_table(full)
        for op in list(part.ops):
            if not (
                isinstance(op, ops.AlterColumnOp)
                and op.modify_server_default is None
                and isinstance(op.existing_server_default, sa.Identity)
            ):
                continue
            name = dialect.identifier_preparer.quote(op.column_name)
            sql = f"ALTER TABLE {table} ALTER COLUMN {name} DROP IDENTITY"
            part.ops.insert(part.ops.index(op), ops.ExecuteSQLOp(sql))
            op.modify_server_default = op.existing_server_default = False
            if not op.has_changes():
                part.ops.remove(op)
