"""Comparison beyond Alembic's: the conditions of checks, and enums."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import sqlalchemy as sa
from alembic.operations import ops

from .enums import enums_of
from .enums import ExtraOperation
from .enums import moved
from .renames import OnRename
from .renames import renamed_pairs


def extras_of(
    connection: sa.Connection,
    tables: cabc.Iterable[sa.Table],
    upgrade: ops.UpgradeOps,
    *,
    as_batch: bool,
    renamed: OnRename | None = None,
    renames: cabc.Mapping[str, str] | None = None,
) -> list[ExtraOperation]:
    """The checks and enums that are different.

    :param upgrade: The operations that Alembic found.
    :param renamed: Asked which values of an enum were renamed.
    :param renames: Keys of renamed tables, the new by the old.
    """
    tables = list(tables)
    before = {new: old for old, new in (renames or {}).items()}
    found: list[ExtraOperation] = []
    inspector = sa.inspect(connection)
    for table in tables:
        name = before.get(table.key, table.key).rpartition(".")[2]
        if inspector.has_table(name, table.schema):
            there = inspector.get_check_constraints(name, table.schema)
            checks = {str(c["name"]): c["sqltext"] for c in there if c["name"]}
            checker = _Checks(table, connection.dialect, as_batch=as_batch)
            found.extend(checker.compare(checks, renamed))
    if connection.dialect.name == "postgresql":
        found.extend(enums_of(connection, tables, upgrade, renamed))
    return found


class _Checks:
    """The checks that one table declares."""

    def __init__(self, table: sa.Table, dialect: sa.Dialect, *, as_batch: bool) -> None:
        self._table = table
        self._dialect = dialect
        self._as_batch = as_batch
        self._declared: dict[str, str] = {}
        self._of_types: dict[str, sa.CheckConstraint] = {}
        for constraint in table.constraints:
            if not isinstance(constraint, sa.CheckConstraint):
                continue
            name = dialect.identifier_preparer.format_constraint(constraint)
            if name is None:
                continue
            name = name.strip('"`')
            self._declared[name] = _text_of(constraint.sqltext, dialect)
            if getattr(constraint, "_type_bound", False):
                self._of_types[name] = constraint

    def compare(
        self, there: cabc.Mapping[str, str], renamed: OnRename | None
    ) -> cabc.Iterator[ExtraOperation]:
        """Return the differences in the database."""
        key, declared = self._table.key, self._declared
        # MariaDB keeps that of a JSON column under the name of the column.
        own = {column.name for column in self._table.columns}
        # Alembic adds and drops those of a type with their column.
        for name in sorted(set(declared) - set(there) - set(self._of_types)):
            add, drop = self._code(name, declared[name])
            yield ExtraOperation(f"add check {name} of {key}", add, drop)
        for name in sorted(set(there) - set(declared) - own):
            add, drop = self._code(name, there[name])
            yield ExtraOperation(f"remove check {name} of {key}", drop, add)
        for name in sorted(set(there) & set(self._of_types)):
            was, values = (
                _values_in(condition, self._dialect)
                for condition in (there[name], declared[name])
            )
            if set(was) != set(values):
                yield self._changed(name, was, values, renamed)

    def _changed(
        self, name: str, was: list[str], values: list[str], renamed: OnRename | None
    ) -> ExtraOperation:
        """The values of an enum that a check keeps."""
        (column, *_) = self._of_types[name].columns
        label = f"{self._table.name}.{column.name}"
        gone = [value for value in was if value not in values]
        come = [value for value in values if value not in was]
        names = renamed_pairs(label, gone, come, renamed)
        preparer = self._dialect.identifier_preparer
        place = preparer.format_table(self._table), preparer.quote(column.name)
        add, drop = self._code(name, self._declared[name])
        condition = _text_of(
            sa.column(column.name).in_([sa.literal(value) for value in was]),
            self._dialect,
        )
        add_old, _ = self._code(name, condition)
        back = {new: old for old, new in names.items()}
        return ExtraOperation(
            f"change values of {label}: {', '.join(was)} -> {', '.join(values)}",
            "\n".join([drop, *moved(*place, names), add]),
            "\n".join([drop, *moved(*place, back), add_old]),
        )

    def _code(self, name: str, condition: str) -> tuple[str, str]:
        """Return the code that adds a check, and the code that drops it."""
        table = self._table
        schema = f", schema={table.schema!r}" if table.schema else ""
        if self._as_batch:
            batch = (
                f"with op.batch_alter_table({table.name!r}{schema}) as batch_op:\n    "
            )
            add = (
                f"batch_op.create_check_constraint(op.f({name!r}),"
                f" sa.text({condition!r}))"
            )
            drop = f"batch_op.drop_constraint(op.f({name!r}), type_='check')"
            return batch + add, batch + drop
        arguments = f"{table.name!r}, sa.text({condition!r}){schema}"
        dropped = f"op.f({name!r}), {table.name!r}, type_='check'{schema}"
        return (
            f"op.create_check_constraint(op.f({name!r}), {arguments})",
            f"op.drop_constraint({dropped})",
        )


def _text_of(clause: t.Any, dialect: sa.Dialect) -> str:
    options = {"literal_binds": True, "include_table": False}
    return str(clause.compile(dialect=dialect, compile_kwargs=options))


def _values_in(condition: str, dialect: sa.Dialect) -> list[str]:
    """The texts in a condition, which each database writes in a way of its own."""
    if dialect.name in {"mysql", "mariadb"}:
        condition = re.sub(r"\\(.)", lambda m: m[1].replace("'", "''"), condition)
    found = re.findall(r"'((?:[^']|'')*)'", condition)
    return [text.replace("''", "'") for text in found]


def keep_types_plain(upgrade: ops.UpgradeOps) -> None:
    """Change a column for a longer value of its enum, but not its check, twice."""
    for part in upgrade.ops:
        for op in getattr(part, "ops", ()):
            if isinstance(op, ops.AlterColumnOp):
                kind = op.modify_type
                if isinstance(kind, sa.Enum) and not kind.native_enum:
                    op.modify_type = sa.String(kind.length)
