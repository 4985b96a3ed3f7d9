"""Comparison beyond Alembic's, in the words of the database."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from .checks import Checks
from .columns import settle_casts
from .columns import settle_computed
from .columns import settle_identities
from .enums import enums_of
from .enums import execute
from .enums import ExtraOperation
from .indexes import add_skipped_indexes
from .indexes import kept_indexes
from .indexes import settle_indexes
from .renames import OnRename
from .scratch import Scratch
from .scratch import SCRATCH_NAME
from .scratch import TableText


def settle(
    context: MigrationContext,
    upgrade: ops.UpgradeOps,
    tables: cabc.Iterable[sa.Table],
    scratch: Scratch,
) -> None:
    """Correct what Alembic found by what the database says of the same tables."""
    inspector = sa.inspect(context.connection)
    for table in tables:
        there = scratch.present(table.name, table.schema)
        if there is None:
            add_skipped_indexes(context, upgrade, table)
            continue
        part = _part_of(upgrade, table)
        settle_identities(context, part, table, inspector)
        settle_computed(context, upgrade, part, table, inspector, scratch)
        settle_casts(context, part, table, there, scratch)
        settle_indexes(context, upgrade, part, table, there, scratch)
        if not part.ops:
            upgrade.ops.remove(part)


def _part_of(upgrade: ops.UpgradeOps, table: sa.Table) -> ops.ModifyTableOps:
    for part in upgrade.ops:
        if isinstance(part, ops.ModifyTableOps) and (part.schema, part.table_name) == (
            table.schema,
            table.name,
        ):
            return part
    part = ops.ModifyTableOps(table.name, [], schema=table.schema)
    upgrade.ops.append(part)
    return part


def extras_of(
    connection: sa.Connection,
    tables: cabc.Iterable[sa.Table],
    upgrade: ops.UpgradeOps,
    scratch: Scratch,
    *,
    as_batch: bool,
    renamed: OnRename | None = None,
    renames: cabc.Mapping[str, str] | None = None,
) -> list[ExtraOperation]:
    """The schemas, sequences, keys, checks and enums that are different.

    :param upgrade: The operations that Alembic found.
    :param renamed: Asked which values of an enum were renamed.
    :param renames: Keys of renamed tables, the new by the old.
    """
    tables = list(tables)
    before = {new: old for old, new in (renames or {}).items()}
    found: list[ExtraOperation] = [*schemas_of(connection, tables)]
    found.extend(sequences_of(connection, tables))
    for table in tables:
        name = before.get(table.key, table.key).rpartition(".")[2]
        there = scratch.present(name, table.schema)
        if there is None:
            continue
        before_table = len(found)
        names = {
            op.column_name: op.modify_name
            for op in _operations_on(upgrade, table, name)
            if isinstance(op, ops.AlterColumnOp) and op.modify_name
        }
        found.extend(_key_of(connection, table, name, names, as_batch=as_batch))
        checks = Checks(
            table, connection.dialect, as_batch=as_batch, is_early=name == table.name
        )
        added = {
            op.column.name
            for op in _operations_on(upgrade, table, name)
            if isinstance(op, ops.AddColumnOp)
        }
        declared = scratch.declared(table)
        found.extend(checks.compare(there, declared, renamed, added))
        if declared is not None:
            found.extend(_exclusions(table, connection.dialect, there, declared))
        is_copied = len(found) > before_table or any(
            not isinstance(op, (ops.CreateIndexOp, ops.DropIndexOp))
            for op in _operations_on(upgrade, table, name)
        )
        if as_batch and is_copied and name == table.name:
            early, late = kept_indexes(connection, table, there, upgrade)
            found[:0] = early
            found.extend(late)
    if connection.dialect.name == "postgresql":
        found.extend(enums_of(connection, tables, upgrade, renamed))
    return found


def _operations_on(
    upgrade: ops.UpgradeOps, table: sa.Table, name: str
) -> list[ops.MigrateOperation]:
    return [
        op
        for part in upgrade.ops
        if isinstance(part, ops.ModifyTableOps)
        and part.schema == table.schema
        and part.table_name in {table.name, name}
        for op in part.ops
    ]


def schemas_of(
    connection: sa.Connection, tables: cabc.Iterable[sa.Table]
) -> cabc.Iterator[ExtraOperation]:
    """The schemas that the models name and PostgreSQL does not have."""
    if connection.dialect.name != "postgresql":
        return
    there = set(sa.inspect(connection).get_schema_names())
    for schema in sorted({str(x.schema) for x in tables if x.schema} - there):
        quoted_name = connection.dialect.identifier_preparer.quote_schema(schema)
        yield ExtraOperation(
            f"add schema {schema}",
            execute(f"CREATE SCHEMA IF NOT EXISTS {quoted_name}"),
            execute(f"DROP SCHEMA {quoted_name}"),
            first=True,
            first_back=False,
        )


def sequences_of(
    connection: sa.Connection, tables: cabc.Iterable[sa.Table]
) -> cabc.Iterator[ExtraOperation]:
    """The sequences that columns name and the database does not have."""
    dialect = connection.dialect
    if not dialect.supports_sequences:
        return
    inspector = sa.inspect(connection)
    seen: set[tuple[str | None, str]] = set()
    for table in tables:
        for sequence in filter(None, map(_sequence_of, table.columns)):
            key = (sequence.schema, sequence.name)
            if key in seen or inspector.has_sequence(sequence.name, sequence.schema):
                continue
            seen.add(key)
            create = sa.schema.CreateSequence(sequence).compile(dialect=dialect)
            drop = sa.schema.DropSequence(sequence).compile(dialect=dialect)
            yield ExtraOperation(
                f"add sequence {sequence.name}",
                execute(str(create)),
                execute(str(drop)),
                first=True,
                first_back=False,
            )


def _sequence_of(column: sa.Column[t.Any]) -> sa.Sequence | None:
    if isinstance(column.default, sa.Sequence) and not column.default.optional:
        return column.default
    argument = getattr(column.server_default, "arg", None)
    sequence = getattr(argument, "sequence", None)
    return sequence if isinstance(sequence, sa.Sequence) else None


def _key_of(
    connection: sa.Connection,
    table: sa.Table,
    name: str,
    names: cabc.Mapping[str, str],
    *,
    as_batch: bool,
) -> cabc.Iterator[ExtraOperation]:
    """A primary key of other columns, which Alembic does not compare."""
    there = sa.inspect(connection).get_pk_constraint(name, table.schema)
    was = [names.get(column, column) for column in there["constrained_columns"]]
    becomes = [column.name for column in table.primary_key.columns]
    if set(was) == set(becomes):
        return
    schema = f", schema={table.schema!r}" if table.schema else ""
    is_mysql = connection.dialect.name in {"mysql", "mariadb"}
    usual = f"pk_{table.name}" if is_mysql or as_batch else f"{table.name}_pkey"
    named = str(there.get("name") or usual)
    # MySQL calls every primary key so.
    gone_name = "PRIMARY" if is_mysql else named
    convention = "" if there.get("name") else f", naming_convention={{'pk': {named!r}}}"

    def code(gone: list[str], come: list[str]) -> str:
        place = f"{table.name!r}, " if not as_batch else ""
        end = schema if not as_batch else ""
        caller = "batch_op" if as_batch else "op"
        lines: list[str] = []
        if gone:
            lines.append(
                f"{caller}.drop_constraint({gone_name!r}, {place}type_='primary'{end})"
            )
        if come:
            lines.append(
                f"{caller}.create_primary_key({named!r}, {place}{come!r}{end})"
            )
        if as_batch:
            start = f"with op.batch_alter_table({table.name!r}{schema}"
            lines.insert(0, f"{start}, recreate='always'{convention}) as batch_op:")
        return ("\n    " if as_batch else "\n").join(lines)

    yield ExtraOperation(
        f"change primary key of {table.key}: {', '.join(was) or 'none'} ->"
        f" {', '.join(becomes) or 'none'}",
        code(was, becomes),
        code(becomes, was),
    )


def _exclusions(
    table: sa.Table, dialect: sa.Dialect, there: TableText, declared: TableText
) -> cabc.Iterator[ExtraOperation]:
    """The exclusion constraints of PostgreSQL, by their definitions."""
    left = dict(there.exclusions)
    missing = dict(declared.exclusions)
    for name, definition in declared.exclusions.items():
        same = [
            other
            for other, text in left.items()
            if text == definition and (other == name or _is_own_name(name))
        ]
        if same:
            del left[same[0]], missing[name]
    place = dialect.identifier_preparer.format_table(table)
    quote = dialect.identifier_preparer.quote

    def add(name: str, definition: str) -> str:
        called = "" if _is_own_name(name) else f"CONSTRAINT {quote(name)} "
        return execute(f"ALTER TABLE {place} ADD {called}{definition}")

    def drop(name: str) -> str:
        name = name.replace(SCRATCH_NAME, table.name)
        return execute(f"ALTER TABLE {place} DROP CONSTRAINT {quote(name)}")

    for name, definition in left.items():
        yield ExtraOperation(
            f"remove exclusion {name} of {table.key}",
            drop(name),
            add(name, definition),
            # Before a column of it goes, and after the column has come back.
            first=True,
            first_back=False,
        )
    for name, definition in missing.items():
        shown = name.replace(SCRATCH_NAME, table.name)
        yield ExtraOperation(
            f"add exclusion {shown} of {table.key}", add(name, definition), drop(name)
        )


def _is_own_name(name: str) -> bool:
    """True for a name that PostgreSQL made of the name of the copy."""
    return name.startswith(SCRATCH_NAME)
