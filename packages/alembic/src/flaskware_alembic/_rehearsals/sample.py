"""A copy of a schema with some rows, each with the rows that it refers to.

pg_dump and mariadb-dump copy a schema, too. They are programs that have to be there
in the version of the server, and neither takes some of the rows.
"""

# The statements are made of names that the database or SQLAlchemy quoted.
# ruff: noqa: S608

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa

from flaskware_alembic._results import Sample
from flaskware_alembic._schemas.ddl import load
from flaskware_alembic._schemas.ddl import Writer
from flaskware_alembic._schemas.reader import read_schema

from .tables import Reference
from .tables import TableInfo
from .tables import tables_of

_AT_ONCE = 200
_COUNTED = 1_000_000
_Row: t.TypeAlias = tuple[t.Any, ...]
_Rows: t.TypeAlias = dict[_Row, _Row]
"""Rows by what tells them apart."""

_READ_ONLY = {
    "postgresql": (
        "SET LOCAL lock_timeout = '5s'",
        "SET LOCAL statement_timeout = '60s'",
        "SET LOCAL datestyle = 'ISO'",
    ),
    "mysql": (
        "SET SESSION lock_wait_timeout = 5",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
}
_LOADING = {
    "postgresql": ("SET LOCAL datestyle = 'ISO'",),
    # A zero is no number to be made, and an old date may be zero.
    "mysql": ("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",),
}


def copy_rows(
    source: sa.Connection, target: sa.Connection, *, limit: int, whole: str
) -> tuple[list[Sample], list[str]]:
    """Make the schema of a database in an empty database, with a sample of its rows.

    :param limit: How many rows of a table to take; those that they refer to come
        with them.
    :param whole: The start of the names of tables that are copied as a whole.
    :returns: The samples, and notes on things that are not copied.
    """
    family = "postgresql" if source.dialect.name == "postgresql" else "mysql"
    if family == "postgresql":
        source = source.execution_options(isolation_level="REPEATABLE READ")
    for statement in _READ_ONLY[family]:
        source.exec_driver_sql(statement)
    schema = read_schema(source, schemas=_schemas(source, family), in_order=True)
    if schema is None:
        raise NotImplementedError(source.dialect.name)
    first, rest = Writer(source.dialect).creation(schema)
    taken = _Taken(source, tables_of(source), limit, whole)
    with target.begin():
        for statement in _LOADING[family]:
            target.exec_driver_sql(statement)
        if family == "postgresql":
            # The schema of names without one has its name from the app.
            own = source.dialect.identifier_preparer.quote_identifier(
                str(source.dialect.default_schema_name)
            )
            target.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {own}")
        load(target, first)
        if family == "mysql":
            # A row may come before the row that it refers to.
            target.exec_driver_sql("SET foreign_key_checks = 0")
        for table in taken.tables.values():
            _insert(target, table, taken.rows[table.name])
    with target.begin():
        load(target, rest)
        for statement in _values_after(source, family):
            target.execute(sa.text(statement))
    samples = [
        Sample(name, len(rows), taken.totals[name])
        for name, rows in taken.rows.items()
        if not name.rpartition(".")[2].startswith(whole)
    ]
    source.rollback()
    notes = [f"not copied: {', '.join(schema.unknown)}"] if schema.unknown else []
    return samples, notes


_SCHEMAS = """
SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
AND nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend
  WHERE classid = CAST('pg_namespace' AS regclass) AND objid = pg_namespace.oid
  AND deptype = 'e')
"""


def _schemas(connection: sa.Connection, family: str) -> list[str]:
    if family == "mysql":
        return []
    return list(connection.scalars(sa.text(_SCHEMAS)))


class _Taken:
    """Rows of each table, with those that they refer to."""

    def __init__(
        self,
        connection: sa.Connection,
        tables: cabc.Iterable[TableInfo],
        limit: int,
        whole: str,
    ) -> None:
        self._connection = connection
        self._quote = connection.dialect.identifier_preparer.quote_identifier
        self._is_postgresql = connection.dialect.name == "postgresql"
        self.tables = {table.name: table for table in tables}
        self.totals: dict[str, int] = {}
        self.rows: dict[str, _Rows] = {}
        for table in self.tables.values():
            is_whole = table.name.rpartition(".")[2].startswith(whole)
            self._take(table, None if is_whole else limit)
        self._complete()

    def _take(self, table: TableInfo, limit: int | None) -> None:
        """Take the first and the last rows by the key: old rows and new rows."""
        if limit is None or not table.key:
            end = "" if limit is None else f" LIMIT {limit + 1}"
            rows = self._ask(table, end)
        else:
            rows = self._ask(table, f"{self._order(table, 'ASC')} LIMIT {limit + 1}")
        total = len(rows)
        if limit is not None and total > limit:
            total = max(table.rows, self._count(table))
            if table.key:
                last = self._order(table, "DESC")
                half = limit // 2
                ends = self._ask(table, f"{last} LIMIT {half}")
                rows = [*rows[: limit - half], *ends]
            else:
                rows = rows[:limit]
        self.totals[table.name] = total
        self.rows[table.name] = {self._identity(table, row): row for row in rows}

    def _count(self, table: TableInfo) -> int:
        """Count the rows, up to a million; an estimate may be missing."""
        if table.rows > _COUNTED:
            return table.rows
        some = f"SELECT 1 AS one FROM {table.sql} LIMIT {_COUNTED}"
        query = sa.text(_plain(f"SELECT count(*) FROM ({some}) rows_of"))
        return int(self._connection.scalar(query) or 0)

    def _complete(self) -> None:
        """Take the rows that rows refer to, until no reference is open."""
        known: dict[tuple[str, tuple[str, ...]], set[_Row]] = {}
        is_open = True
        while is_open:
            is_open = False
            for table in self.tables.values():
                for reference in table.references:
                    parent = self.tables[reference.parent]
                    key = (parent.name, reference.to)
                    if key not in known:
                        known[key] = set(
                            _values(parent, reference.to, self._of(parent))
                        )
                    own = _values(table, reference.columns, self._of(table))
                    missing = set(own) - known[key]
                    if not missing:
                        continue
                    is_open = True
                    known[key] |= missing
                    for row in self._parents(parent, reference, sorted(missing)):
                        self.rows[parent.name][self._identity(parent, row)] = row
                    for other, columns in known:
                        if other == parent.name:
                            values = _values(parent, columns, self._of(parent))
                            known[other, columns] |= set(values)

    def _of(self, table: TableInfo) -> cabc.Iterable[_Row]:
        return self.rows[table.name].values()

    def _identity(self, table: TableInfo, row: _Row) -> _Row:
        if not table.key:
            # Two rows may be the same, and both are.
            return (len(self.rows.get(table.name, ())), id(row), *map(repr, row))
        places = [list(table.columns).index(column) for column in table.key]
        return tuple(row[place] for place in places)

    def _order(self, table: TableInfo, way: str) -> str:
        return " ORDER BY " + ", ".join(
            # Without the table, it would be the text that the query makes of it.
            f"{_plain(f'rows_of.{self._quote(column)}')} {way}"
            for column in table.key
        )

    def _ask(
        self, table: TableInfo, end: str, values: dict[str, t.Any] | None = None
    ) -> list[_Row]:
        if not table.columns:
            return []
        columns = [self._quote(column) for column in table.columns]
        if self._is_postgresql:
            columns = [f"CAST({column} AS text)" for column in columns]
        query = _plain(f"SELECT {', '.join(columns)} FROM {table.sql} rows_of") + end
        found = self._connection.execute(sa.text(query), values or {})
        return [tuple(row) for row in found]

    def _parents(
        self, parent: TableInfo, reference: Reference, wanted: list[_Row]
    ) -> cabc.Iterator[_Row]:
        places = ", ".join(self._quote(column) for column in reference.to)
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            values: dict[str, t.Any] = {}
            items: list[str] = []
            for at, row in enumerate(some):
                inside: list[str] = []
                for place, (column, value) in enumerate(
                    zip(reference.to, row, strict=True)
                ):
                    values[f"v{at}_{place}"] = value
                    inside.append(self._bound(f":v{at}_{place}", parent, column))
                items.append(f"({', '.join(inside)})")
            condition = _plain(f" WHERE ({places})") + f" IN ({', '.join(items)})"
            yield from self._ask(parent, condition, values)

    def _bound(self, parameter: str, table: TableInfo, column: str) -> str:
        if not self._is_postgresql:
            return parameter
        return _cast(parameter, table.columns[column])


def _values(
    table: TableInfo, columns: tuple[str, ...], rows: cabc.Iterable[_Row]
) -> cabc.Iterator[_Row]:
    """Yield the values of some columns, without those that refer to nothing."""
    names = list(table.columns)
    if not set(columns) <= set(names):
        # A computed column cannot be read back into a copy.
        return
    places = [names.index(column) for column in columns]
    for row in rows:
        values = tuple(row[place] for place in places)
        if None not in values:
            yield values


def _insert(target: sa.Connection, table: TableInfo, rows: _Rows) -> None:
    if not rows or not table.columns:
        return
    quote = target.dialect.identifier_preparer.quote_identifier
    names = _plain(", ".join(quote(column) for column in table.columns))
    parameters = [f":p{at}" for at in range(len(table.columns))]
    own = ""
    if target.dialect.name == "postgresql":
        own = " OVERRIDING SYSTEM VALUE"
        types = table.columns.values()
        parameters = [
            _cast(p, type_) for p, type_ in zip(parameters, types, strict=True)
        ]
    statement = sa.text(
        f"INSERT INTO {_plain(table.target)} ({names}){own}"
        f" VALUES ({', '.join(parameters)})"
    )
    target.execute(
        statement,
        [{f"p{at}": value for at, value in enumerate(row)} for row in rows.values()],
    )


def _cast(parameter: str, type_: str) -> str:
    # Drivers differ in the type of a text.
    return f"CAST(CAST({parameter} AS text) AS {_plain(type_)})"


def _plain(text: str) -> str:
    """Return SQL in which no colon starts a parameter."""
    return text.replace(":", "\\:")


_SEQUENCES = """
SELECT format('SELECT setval(%L, %s)', format('%I.%I', schemaname, sequencename),
  last_value) FROM pg_sequences WHERE last_value IS NOT NULL
"""
_VIEWS = """
SELECT format('REFRESH MATERIALIZED VIEW %I.%I', schemaname, matviewname)
FROM pg_matviews WHERE ispopulated
"""


def _values_after(connection: sa.Connection, family: str) -> list[str]:
    """Return the statements that bring sequences and views to where they are."""
    if family == "postgresql":
        found = [*connection.scalars(sa.text(_SEQUENCES))]
        return [_plain(text) for text in (*found, *connection.scalars(sa.text(_VIEWS)))]
    names = connection.exec_driver_sql("SHOW FULL TABLES").all()
    quote = connection.dialect.identifier_preparer.quote_identifier
    statements: list[str] = []
    for name, kind in names:
        if kind == "SEQUENCE":
            query = f"SELECT next_not_cached_value FROM {quote(name)}"
            value = connection.exec_driver_sql(query).scalar()
            statements.append(_plain(f"SELECT SETVAL({quote(name)}, {value}, 0)"))
    return statements
