"""What Alembic's comparison leaves out: checks, the values of enums, and renames."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import itertools
import re
import typing as t

import sqlalchemy as sa
from alembic import autogenerate
from alembic.operations import ops

OnRename: t.TypeAlias = cabc.Callable[[str, str, str], bool]
"""Asked with a table, an old and a new name, whether the one became the other."""


@dc.dataclass(frozen=True)
class Extra:
    """A difference, with the code that takes it away and brings it back.

    :param first: It must come before what changes tables, such as a new type.
    """

    phrase: str
    upgrade: str
    downgrade: str
    first: bool = False


def extras_of(
    connection: sa.Connection,
    tables: cabc.Iterable[sa.Table],
    *,
    as_batch: bool,
) -> list[Extra]:
    """The checks and enums that are different."""
    inspector = sa.inspect(connection)
    there = [t for t in tables if inspector.has_table(t.name, t.schema)]
    found = list(_checks(inspector, connection.dialect, there, as_batch=as_batch))
    if connection.dialect.name == "postgresql":
        found.extend(_enums(inspector, there))
    return found


class RenameColumnOp(ops.AlterColumnOp):
    """A renamed column, whose new name not every Alembic writes down itself."""


@autogenerate.renderers.dispatch_for(RenameColumnOp)
def _render_rename(context: t.Any, operation: RenameColumnOp) -> str:
    alter = ops.AlterColumnOp(
        operation.table_name,
        operation.column_name,
        schema=operation.schema,
        existing_type=operation.existing_type,
        existing_nullable=operation.existing_nullable,
    )
    code: str = autogenerate.renderers.dispatch(alter)(context, alter)
    return f"{code.rstrip()[:-1]}, new_column_name={operation.modify_name!r})"


def apply_renames(script: ops.MigrationScript, renamed: OnRename) -> None:
    """Make a column that goes and one that comes a renamed one, where it is that."""
    upgrade, downgrade = script.upgrade_ops, script.downgrade_ops
    if upgrade is None or downgrade is None:
        return
    for part in upgrade.ops:
        if not isinstance(part, ops.ModifyTableOps):
            continue
        for old, new in _candidates(part):
            if renamed(part.table_name, old, new):
                _rename(part, old, new)
                for back in downgrade.ops:
                    if (
                        isinstance(back, ops.ModifyTableOps)
                        and back.table_name == part.table_name
                    ):
                        _rename(back, new, old)


def _candidates(part: ops.ModifyTableOps) -> list[tuple[str, str]]:
    gone = [op for op in part.ops if isinstance(op, ops.DropColumnOp)]
    come = [op for op in part.ops if isinstance(op, ops.AddColumnOp)]
    return [
        (old.column_name, new.column.name)
        for old, new in itertools.product(gone, come)
        if _affinity(old.to_column()) is _affinity(new.column)
    ]


def _affinity(column: sa.Column[t.Any]) -> type:
    return column.type._type_affinity or type(column.type)


def _rename(part: ops.ModifyTableOps, old: str, new: str) -> None:
    dropped = next(
        op
        for op in part.ops
        if isinstance(op, ops.DropColumnOp) and op.column_name == old
    )
    added = next(
        op
        for op in part.ops
        if isinstance(op, ops.AddColumnOp) and op.column.name == new
    )
    column = dropped.to_column()
    part.ops[part.ops.index(added)] = RenameColumnOp(
        part.table_name,
        old,
        schema=part.schema,
        modify_name=new,
        existing_type=column.type,
        existing_nullable=column.nullable,
    )
    part.ops.remove(dropped)


# Checks


def _checks(
    inspector: sa.Inspector,
    dialect: sa.Dialect,
    tables: cabc.Iterable[sa.Table],
    *,
    as_batch: bool,
) -> cabc.Iterator[Extra]:
    for table in tables:
        declared, of_types = _declared_checks(table, dialect)
        there = {
            str(check["name"]): check["sqltext"]
            for check in inspector.get_check_constraints(table.name, table.schema)
            if check["name"]
        }
        # MariaDB keeps that of a JSON column under the name of the column.
        own = of_types | {column.name for column in table.columns}
        for name in sorted(set(declared) - set(there)):
            add, drop = _check_code(table, name, declared[name], as_batch=as_batch)
            yield Extra(f"add check {name} of {table.key}", add, drop)
        for name in sorted(set(there) - set(declared) - own):
            add, drop = _check_code(table, name, there[name], as_batch=as_batch)
            yield Extra(f"remove check {name} of {table.key}", drop, add)


def _declared_checks(
    table: sa.Table, dialect: sa.Dialect
) -> tuple[dict[str, str], set[str]]:
    declared: dict[str, str] = {}
    of_types: set[str] = set()
    for constraint in table.constraints:
        if not isinstance(constraint, sa.CheckConstraint):
            continue
        name = dialect.identifier_preparer.format_constraint(constraint)
        if name is None:
            continue
        name = name.strip('"`')
        if getattr(constraint, "_type_bound", False):
            of_types.add(name)
        else:
            declared[name] = str(
                constraint.sqltext.compile(
                    dialect=dialect,
                    compile_kwargs={"literal_binds": True, "include_table": False},
                )
            )
    return declared, of_types


def _check_code(
    table: sa.Table, name: str, condition: str, *, as_batch: bool
) -> tuple[str, str]:
    schema = f", schema={table.schema!r}" if table.schema else ""
    if as_batch:
        batch = f"with op.batch_alter_table({table.name!r}{schema}) as batch_op:\n    "
        add = (
            f"batch_op.create_check_constraint(op.f({name!r}), sa.text({condition!r}))"
        )
        drop = f"batch_op.drop_constraint(op.f({name!r}), type_='check')"
        return batch + add, batch + drop
    arguments = f"{table.name!r}, sa.text({condition!r}){schema}"
    return (
        f"op.create_check_constraint(op.f({name!r}), {arguments})",
        f"op.drop_constraint(op.f({name!r}), {table.name!r}, type_='check'{schema})",
    )


# Enums of PostgreSQL


def _enums(inspector: t.Any, tables: cabc.Iterable[sa.Table]) -> cabc.Iterator[Extra]:
    there: dict[str, list[str]] = {
        enum["name"]: enum["labels"] for enum in inspector.get_enums()
    }
    declared: dict[str, list[str]] = {}
    used: dict[str, list[sa.Column[t.Any]]] = {}
    for table in tables:
        for column in table.columns:
            if isinstance(column.type, sa.Enum) and _is_native(column.type):
                name = str(column.type.name)
                declared[name] = list(column.type.enums)
                used.setdefault(name, []).append(column)
    for name, values in declared.items():
        if name not in there:
            yield Extra(
                f"add enum {name}",
                _execute(f"CREATE TYPE {name} AS ENUM ({_listed(values)})"),
                _execute(f"DROP TYPE {name}"),
                first=True,
            )
        elif gone := [value for value in there[name] if value not in values]:
            yield Extra(
                f"remove values {', '.join(gone)} of enum {name}",
                _rebuilt(name, values, used[name]),
                _rebuilt(name, there[name], used[name]),
            )
        elif values != there[name]:
            yield from _added(name, values, there[name])


def _is_native(enum: sa.Enum) -> bool:
    return bool(enum.native_enum) and enum.name is not None


def _added(name: str, values: list[str], there: list[str]) -> cabc.Iterator[Extra]:
    for at, value in enumerate(values):
        if value in there:
            continue
        before = f"AFTER {_quoted(values[at - 1])}"
        place = before if at else f"BEFORE {_quoted(there[0])}"
        add = _execute(
            f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {_quoted(value)} {place}"
        )
        yield Extra(
            f"add value {value} of enum {name}",
            f"with op.get_context().autocommit_block():\n    {add}",
            f"# PostgreSQL keeps the value {value!r} of {name}.",
            first=True,
        )


def _rebuilt(name: str, values: list[str], columns: list[sa.Column[t.Any]]) -> str:
    old = f"{name}_old"
    lines = [
        _execute(f"ALTER TYPE {name} RENAME TO {old}"),
        _execute(f"CREATE TYPE {name} AS ENUM ({_listed(values)})"),
    ]
    lines.extend(
        _execute(
            f"ALTER TABLE {column.table.key} ALTER COLUMN {column.name}"
            f" TYPE {name} USING {column.name}::text::{name}"
        )
        for column in columns
    )
    return "\n".join([*lines, _execute(f"DROP TYPE {old}")])


def _listed(values: cabc.Iterable[str]) -> str:
    return ", ".join(_quoted(value) for value in values)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _execute(sql: str) -> str:
    # A single colon starts a parameter in the text of SQLAlchemy.
    text = re.sub(r"(?<!:):(?!:)", r"\\:", sql)
    return f"op.execute({text!r})"
