"""Checks, compared by their conditions."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import re

import sqlalchemy as sa
from alembic.operations import ops

from .enums import ExtraOperation
from .enums import moved
from .renames import OnRename
from .renames import renamed_pairs
from .scratch import check_name
from .scratch import CHECK_PREFIX
from .scratch import checks_of
from .scratch import same_words
from .scratch import Scratch
from .scratch import TableText
from .scratch import text_of


def unnamed_checks(
    tables: cabc.Iterable[sa.Table],
    scratch: Scratch,
    renames: cabc.Mapping[str, str],
) -> dict[str, tuple[list[str], list[str]]]:
    """Return the conditions without a name, declared and present, by table of SQLite.

    A batch copies a table without them, so that it is given them.

    :param renames: Keys of renamed tables, the new by the old.
    """
    before = {new: old for old, new in renames.items()}
    found: dict[str, tuple[list[str], list[str]]] = {}
    for table in tables:
        name = before.get(table.key, table.key).rpartition(".")[2]
        declared, there = scratch.declared(table), scratch.present(name, table.schema)
        if declared is None or there is None:
            continue
        conditions = {text for name, text in there.checks if name is not None}
        becomes = [
            condition
            for name, condition in declared.checks
            if (name is None or _is_unnamed(table, name))
            and condition not in conditions
        ]
        was = [condition for name, condition in there.checks if name is None]
        if becomes or was:
            found[table.name] = (becomes, was)
    return found


def _is_unnamed(table: sa.Table, name: str) -> bool:
    """True for a name that only the copy of a table gives."""
    numbers = [at for at, c in enumerate(checks_of(table)) if c.name is None]
    return name in {check_name(at) for at in numbers}


def with_checks(code: str, checks: cabc.Mapping[str, list[str]]) -> str:
    """Return code whose batches of SQLite keep the checks without a name."""
    for table, conditions in checks.items():
        listed = "".join(f"sa.CheckConstraint({text!r}), " for text in conditions)
        given = f", table_args=({listed.rstrip()})" if conditions else ""
        start = f"op.batch_alter_table({table!r}"
        code = code.replace(start, f"{start}{given}")
    return code


class Checks:
    """The checks that one table declares.

    :param is_early: Whether checks are dropped before all else, with columns that go;
        not where the table has its name only later.
    """

    def __init__(
        self, table: sa.Table, dialect: sa.Dialect, *, as_batch: bool, is_early: bool
    ) -> None:
        self._early = {"first": is_early, "first_back": not is_early}
        self._table = table
        self._dialect = dialect
        self._as_batch = as_batch
        self._of_types: dict[str, sa.CheckConstraint] = {}
        self._taken: set[str] = set()
        for constraint in table.constraints:
            if isinstance(constraint, sa.CheckConstraint) and getattr(
                constraint, "_type_bound", False
            ):
                name = self._name(constraint)
                if name is not None:
                    self._of_types[name] = constraint

    def _name(self, constraint: sa.CheckConstraint) -> str | None:
        if constraint.name is None:
            return None
        name: str | None = self._dialect.identifier_preparer.format_constraint(
            constraint
        )
        return None if name is None else name.strip('"`')

    def compare(
        self,
        there: TableText,
        declared: TableText | None,
        renamed: OnRename | None,
        added: cabc.Container[str],
    ) -> cabc.Iterator[ExtraOperation]:
        """Return the differences in the database.

        :param declared: The conditions in its words, where it has given them.
        :param added: The columns that the revision adds.
        """
        left = [*there.checks]
        self._taken = {name for name, _ in left if name is not None}
        # MariaDB keeps that of a JSON column under the name of the column.
        own = {column.name for column in self._table.columns}
        by_name = dict(declared.checks) if declared is not None else {}
        unnamed: list[tuple[str, str]] = []
        for at, check in enumerate(checks_of(self._table)):
            name = self._name(check)
            written = text_of(check.sqltext, self._dialect)
            condition = by_name.get(check_name(at))
            if name is None:
                unnamed.append((written, condition or written))
                continue
            was = [item for item in left if item[0] == name]
            left = [item for item in left if item[0] != name]
            if not was:
                yield self._added(name, written)
            elif condition is not None and not self._is_same(was[0][1], condition):
                yield from self._replaced(name, was[0][1], written)
        left = [item for item in left if item[0] not in self._of_types]
        if declared is not None:
            left = self._without_types(left, declared)
        yield from self._unnamed(left, unnamed, is_sure=declared is not None)
        for name, condition in left:
            # A check that could not be compared may be declared.
            if name is None or name in own or (unnamed and declared is None):
                continue
            add, drop = self._code(name, condition)
            yield ExtraOperation(
                f"remove check {name} of {self._table.key}",
                drop, add, **self._early,
            )  # fmt: skip
        yield from self._values(there, added, renamed)

    def _values(
        self,
        there: TableText,
        added: cabc.Container[str],
        renamed: OnRename | None,
    ) -> cabc.Iterator[ExtraOperation]:
        """Compare the values of enums that a check keeps."""
        conditions = {name: text for name, text in there.checks if name is not None}
        for name, check in sorted(self._of_types.items()):
            (column, *_) = check.columns
            if name not in conditions:
                if self._as_batch and column.name in added:
                    # A batch of SQLite drops a column without its check.
                    _, drop = self._code(name, "")
                    yield ExtraOperation("", "", drop)
                continue
            old, values = (
                _values_in(condition, self._dialect)
                for condition in (
                    conditions[name],
                    text_of(check.sqltext, self._dialect),
                )
            )
            if set(old) != set(values):
                yield self._changed(name, old, values, renamed)

    def _without_types(
        self, left: list[tuple[str | None, str]], declared: TableText
    ) -> list[tuple[str | None, str]]:
        """Return checks without those that types without a name bring."""
        left = [*left]
        for name, condition in declared.checks:
            if name is not None and (
                name in self._of_types or name.startswith(CHECK_PREFIX)
            ):
                continue
            for item in left:
                if self._is_same(item[1], condition):
                    left.remove(item)
                    break
        return left

    def _unnamed(
        self,
        left: list[tuple[str | None, str]],
        unnamed: list[tuple[str, str]],
        *,
        is_sure: bool,
    ) -> cabc.Iterator[ExtraOperation]:
        """Compare checks without a name by their conditions; take what is the same."""
        missing: list[str] = []
        for written, condition in unnamed:
            same = [item for item in left if self._is_same(item[1], condition)]
            if same:
                left.remove(same[0])
            elif is_sure or not left:
                missing.append(written)
        gone = [condition for name, condition in left if name is None]
        if self._as_batch:
            # A batch of SQLite keeps those that it is given: see `unnamed_checks`.
            if missing or gone:
                schema = (
                    f", schema={self._table.schema!r}" if self._table.schema else ""
                )
                code = (
                    f"with op.batch_alter_table({self._table.name!r}{schema},"
                    " recreate='always') as batch_op:\n    pass"
                )
                shown = [f"add ({text})" for text in missing]
                shown += [f"remove ({text})" for text in gone]
                yield ExtraOperation(
                    f"{', '.join(shown)} as checks of {self._table.key}", code, code
                )
            return
        for written in missing:
            # Any name will do, and a downgrade needs it.
            yield self._added(self._free(), written)

    def _free(self) -> str:
        """Return a name for a check without one, and take it."""
        self._taken |= {
            name for name in map(self._name, checks_of(self._table)) if name
        }
        numbers = (f"{self._table.name}_check_{n}" for n in itertools.count(1))
        name = next(name for name in numbers if name not in self._taken)
        self._taken.add(name)
        return name

    def _is_same(self, one: str, other: str) -> bool:
        return same_words(one, other, self._dialect)

    def _added(self, name: str, condition: str) -> ExtraOperation:
        add, drop = self._code(name, condition)
        return ExtraOperation(f"add check {name} of {self._table.key}", add, drop)

    def _replaced(
        self, name: str, was: str, becomes: str
    ) -> cabc.Iterator[ExtraOperation]:
        # Its columns may come or go in between.
        add, drop = self._code(name, becomes)
        add_old, _ = self._code(name, was)
        yield ExtraOperation(
            f"change check {name} of {self._table.key}: {was} -> {becomes}",
            drop, add_old, **self._early,
        )  # fmt: skip
        yield ExtraOperation("", add, drop)

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
        declared = text_of(self._of_types[name].sqltext, self._dialect)
        add, drop = self._code(name, declared)
        condition = text_of(
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
        called = f"op.f({name!r})"
        table = self._table
        schema = f", schema={table.schema!r}" if table.schema else ""
        if self._as_batch:
            batch = (
                f"with op.batch_alter_table({table.name!r}{schema}) as batch_op:\n    "
            )
            add = f"batch_op.create_check_constraint({called}, sa.text({condition!r}))"
            drop = f"batch_op.drop_constraint({called}, type_='check')"
            return batch + add, batch + drop
        arguments = f"{table.name!r}, sa.text({condition!r}){schema}"
        dropped = f"{called}, {table.name!r}, type_='check'{schema}"
        return (
            f"op.create_check_constraint({called}, {arguments})",
            f"op.drop_constraint({dropped})",
        )


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
