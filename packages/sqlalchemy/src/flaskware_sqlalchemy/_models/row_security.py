"""Row-level security: tables of PostgreSQL whose rows belong to a tenant."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql

from flaskware_sqlalchemy._engines.tenant import ROW_SETTING

COLUMN = "flaskware_sqlalchemy_tenant"
"""The key in ``Table.info`` of the column that has the tenant."""

POLICY = "flaskware_tenant"


def row_security(
    model: type[t.Any] | sa.Table,
    column: orm.InstrumentedAttribute[t.Any] | sa.Column[t.Any],
) -> list[str]:
    """Let PostgreSQL show and store only the rows of the tenant of the transaction.

    ``create_all()`` then makes the policy with the table. Other databases do not have
    it.

    :param column: The column that has the tenant.
    :return: The statements, for a migration.
    """
    table = model if isinstance(model, sa.Table) else _table_of(model)
    name = str(column.key if isinstance(column, sa.Column) else column.expression.name)
    found = table.columns[name]
    statements = _statements(table, found)
    table.info[COLUMN] = name
    for statement in statements:
        text = statement.replace("%", "%%")
        # SQLAlchemy gives neither this class nor a dialect a type.
        ddl: t.Any = sa.DDL(text)  # type: ignore[no-untyped-call]
        event.listen(table, "after_create", ddl.execute_if(dialect="postgresql"))
    return statements


def _table_of(model: type[t.Any]) -> sa.Table:
    mapper: orm.Mapper[t.Any] = sa.inspect(model)
    return t.cast("sa.Table", mapper.local_table)


def _statements(table: sa.Table, column: sa.Column[t.Any]) -> list[str]:
    dialect: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    quoted = dialect.identifier_preparer.format_table(table)
    name = dialect.identifier_preparer.quote(column.name)
    kind = column.type.compile(dialect)
    # Without a tenant it is NULL, which no row equals: nothing is shown or stored.
    tenant = f"NULLIF(current_setting('{ROW_SETTING}', true), '')::{kind}"
    return [
        f"ALTER TABLE {quoted} ENABLE ROW LEVEL SECURITY",
        # Or the owner of the table, which an app often is, would see every row.
        f"ALTER TABLE {quoted} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {POLICY} ON {quoted} USING ({name} = {tenant})",
    ]


class RowSecurity(t.NamedTuple):
    """The state of a table in its database, as far as a tenant depends on it."""

    table: str
    exists: bool
    is_forced: bool
    has_policy: bool


def secured_tables(metadata: sa.MetaData) -> list[sa.Table]:
    """Return the tables that :func:`row_security` was called for."""
    return [table for table in metadata.tables.values() if COLUMN in table.info]


def forgotten_tables(metadata: sa.MetaData) -> list[str]:
    """Return tables with a column of a tenant's name, and without a policy."""
    names = {table.info[COLUMN] for table in secured_tables(metadata)}
    return [
        str(table.fullname)
        for table in metadata.tables.values()
        if COLUMN not in table.info and names & set(table.columns.keys())
    ]


def state_of_tables(
    connection: sa.Connection, tables: cabc.Iterable[sa.Table]
) -> cabc.Iterator[RowSecurity]:
    """Yield the state of tables in a database of PostgreSQL."""
    preparer = connection.dialect.identifier_preparer
    query = sa.text(
        "SELECT c.relrowsecurity AND c.relforcerowsecurity, EXISTS (SELECT 1"
        " FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = :policy)"
        " FROM pg_class c WHERE c.oid = to_regclass(:name)"
    )
    for table in tables:
        name = preparer.format_table(table)
        row = connection.execute(query, {"policy": POLICY, "name": name}).first()
        exists = row is not None
        yield RowSecurity(name, exists, bool(row and row[0]), bool(row and row[1]))


def passes_by(connection: sa.Connection) -> bool:
    """Return True if the policies do not hold for the user of a connection."""
    query = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    return bool(connection.scalar(sa.text(query)))
