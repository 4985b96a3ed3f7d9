"""Facts that a database has of its tables: sizes, partitions, columns and checks."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic._sql.change import ColumnInfo
from flaskware_alembic._transitions.constraint import quoted

# Rewriting as much takes a fraction of a second.
_SMALL = 8 * 2**20
# A table that somebody has locked is not waited for.
_PATIENCE = "SET LOCAL lock_timeout = '2s'"


@dc.dataclass(frozen=True)
class TableFacts:
    """A table as it is in a database.

    :param rows: An estimate of the server; ``None`` if it has none.
    :param size: In bytes, with indexes and partitions.
    :param filled: The columns that a valid CHECK keeps from being NULL.
    """

    rows: int | None
    size: int
    columns: cabc.Mapping[str, ColumnInfo]
    filled: frozenset[str] = frozenset()
    is_partitioned: bool = False
    has_default: bool = False

    @property
    def is_small(self) -> bool:
        """True if going through it takes a moment."""
        return self.size <= _SMALL

    def __str__(self) -> str:
        size = f"{self.size / 2**20:.0f} MB" if self.size >= 2**20 else "under 1 MB"
        return size if self.rows is None else f"about {self.rows} rows, {size}"


@dc.dataclass(frozen=True)
class Facts:
    """Tables of a database, by the names that changes have for them.

    :param domains: The names of the domains that check their values.
    :param version: Of the server, or of SQLite; empty if it was not asked.
    :param is_mariadb: Whether it is MariaDB, which has versions of its own.
    """

    tables: cabc.Mapping[str, TableFacts] = dc.field(
        default_factory=dict[str, TableFacts]
    )
    domains: frozenset[str] = frozenset()
    version: tuple[int, ...] = ()
    is_mariadb: bool = False

    def table(self, name: str | None) -> TableFacts | None:
        """Return a table, ``None`` if it is not in the database."""
        return None if name is None else self.tables.get(name)

    def column(self, table: str | None, name: str | None) -> ColumnInfo | None:
        """Return a column, ``None`` if it is not in the database."""
        found = self.table(table)
        return None if found is None else found.columns.get(name or "")


def read_facts(connection: sa.Connection, names: cabc.Collection[str]) -> Facts:
    """Return the facts of some tables, none if the database does not give them.

    :param names: With a schema where a change names it.
    """
    dialect = connection.dialect
    function = _READERS.get(dialect.name)
    server = Facts(
        version=tuple(
            part for part in dialect.server_version_info or () if isinstance(part, int)
        ),
        is_mariadb=bool(getattr(dialect, "is_mariadb", False)),
    )
    if function is None:
        return server
    try:
        with connection.begin():
            found = function(connection, names)
    except sa_exc.DBAPIError:
        # A locked table, or a role that may not look.
        return server
    return dc.replace(server, tables=found.tables, domains=found.domains)


def _of_postgresql(connection: sa.Connection, names: cabc.Collection[str]) -> Facts:
    connection.exec_driver_sql(_PATIENCE)
    found: dict[str, TableFacts] = {}
    for name in names:
        place = ".".join(quoted(part) for part in name.split("."))
        oid = connection.scalar(
            sa.text("SELECT CAST(to_regclass(:place) AS oid)"), {"place": place}
        )
        if oid is None:
            continue

        def ask(query: str, oid: t.Any = oid) -> cabc.Sequence[t.Any]:
            return connection.execute(sa.text(query), {"oid": oid}).all()

        ((kind, rows, size, has_default),) = ask(_SIZE)
        definitions = [row[0] for row in ask(_CHECKS)]
        matches = (re.fullmatch(_IS_SET, text) for text in definitions)
        found[name] = TableFacts(
            max(int(rows or 0), 0),
            int(size or 0),
            {
                column: ColumnInfo(column, type_, not required, is_constrained=domain)
                for column, type_, required, domain in ask(_COLUMNS)
            },
            frozenset(match[1].strip('"') for match in matches if match),
            is_partitioned=kind == "p",
            has_default=bool(has_default),
        )
    domains = connection.scalars(sa.text(_DOMAINS)).all()
    return Facts(found, frozenset(domains))


_SIZE = """
    SELECT CAST(c.relkind AS text),
        CASE c.relkind WHEN 'p' THEN (
            SELECT sum(p.reltuples) FROM pg_partition_tree(c.oid) t
            JOIN pg_class p ON p.oid = t.relid WHERE t.isleaf
        ) ELSE c.reltuples END,
        CASE c.relkind WHEN 'p' THEN (
            SELECT sum(pg_total_relation_size(t.relid)) FROM pg_partition_tree(c.oid) t
        ) ELSE pg_total_relation_size(c.oid) END,
        EXISTS (SELECT FROM pg_partitioned_table
            WHERE partrelid = c.oid AND partdefid <> 0)
    FROM pg_class c WHERE c.oid = :oid
"""
_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        t.typtype = 'd' AND (t.typnotnull
            OR EXISTS (SELECT FROM pg_constraint WHERE contypid = t.oid))
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
"""
_CHECKS = """
    SELECT pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = :oid AND contype = 'c' AND convalidated
"""
_IS_SET = r'CHECK \(\((\w+|"[^"]+") IS NOT NULL\)\)'
_DOMAINS = """
    SELECT typname FROM pg_type t WHERE typtype = 'd' AND (typnotnull
        OR EXISTS (SELECT FROM pg_constraint WHERE contypid = t.oid))
"""


def _of_mysql(connection: sa.Connection, names: cabc.Collection[str]) -> Facts:
    found: dict[str, TableFacts] = {}
    for name in names:
        schema, _, table = name.rpartition(".")
        place = {"schema": schema or None, "table": table}
        row = connection.execute(sa.text(_MY_SIZE), place).first()
        if row is None:
            continue
        columns = connection.execute(sa.text(_MY_COLUMNS), place).all()
        found[name] = TableFacts(
            int(row[0] or 0),
            int(row[1] or 0),
            {
                column: ColumnInfo(
                    column,
                    type_
                    if charset in {None, "utf8mb4"}
                    # The words that a statement has for it.
                    else f"{type_} character set {charset}",
                    nullable == "YES",
                    is_serial="auto_increment" in extra,
                )
                for column, type_, charset, nullable, extra in columns
            },
            is_partitioned="partitioned" in (row[2] or ""),
        )
    return Facts(found)


_MY_SIZE = """
    SELECT table_rows, data_length + index_length, create_options
    FROM information_schema.tables WHERE table_name = :table
    AND table_schema = coalesce(:schema, database()) AND table_type = 'BASE TABLE'
"""
_MY_COLUMNS = """
    SELECT column_name, column_type, character_set_name, is_nullable, extra
    FROM information_schema.columns WHERE table_name = :table
    AND table_schema = coalesce(:schema, database())
"""


def _of_sqlite(connection: sa.Connection, names: cabc.Collection[str]) -> Facts:
    quote = connection.dialect.identifier_preparer.quote_identifier
    found: dict[str, TableFacts] = {}
    for name in names:
        schema, _, table = name.rpartition(".")
        place = quote(schema or "main")

        def ask(pragma: str, place: str = place) -> cabc.Sequence[t.Any]:
            return connection.exec_driver_sql(f"PRAGMA {place}.{pragma}").all()

        columns = ask(f"table_xinfo({quote(table)})")
        if not columns:
            continue
        # Few copies of SQLite know the size of a table, which is part of the file.
        size = ask("page_count")[0][0] * ask("page_size")[0][0]
        rows: int | None = None
        if size <= _SMALL:
            query = f"SELECT count(*) FROM {place}.{quote(table)}"  # noqa: S608
            rows = int(connection.exec_driver_sql(query).scalar_one())
        found[name] = TableFacts(
            rows,
            size,
            {
                row[1]: ColumnInfo(row[1], str(row[2]).lower(), not row[3])
                for row in columns
            },
        )
    return Facts(found)


_READERS: dict[str, cabc.Callable[[sa.Connection, cabc.Collection[str]], Facts]] = {
    "postgresql": _of_postgresql,
    "mysql": _of_mysql,
    "mariadb": _of_mysql,
    "sqlite": _of_sqlite,
}
