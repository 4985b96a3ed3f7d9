"""Data of a database in short: the rows of each table, and a sum of each column."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import sqlalchemy as sa

from .tables import TableInfo
from .tables import tables_of

_AT_ONCE = 5000
_MODULUS = 2**64


@dc.dataclass(frozen=True)
class Sum:
    """The data of a column.

    :param total: A checksum of the values with their keys, in any order of rows.
    :param filled: How many are not NULL.
    """

    total: int
    filled: int


@dc.dataclass(frozen=True)
class TableData:
    """The data of a table.

    :param key: The columns that tell its rows apart; none if nothing does.
    :param keys: A hash of the key of each row.
    :param rows: How many it has, or how many of the earlier rows it still has.
    :param added: Rows that it did not have before.
    """

    name: str
    columns: cabc.Mapping[str, Sum]
    key: tuple[str, ...]
    keys: cabc.Set[int]
    rows: int
    added: int = 0


Picture: t.TypeAlias = dict[str, TableData]


@dc.dataclass(frozen=True)
class Names:
    """Names that tables and columns had before, by the names that they have now."""

    tables: cabc.Mapping[str, str] = dc.field(default_factory=dict[str, str])
    columns: cabc.Mapping[tuple[str, str], str] = dc.field(
        default_factory=dict[tuple[str, str], str]
    )


def picture_of(
    connection: sa.Connection,
    *,
    without: str,
    before: Picture | None = None,
    names: Names | None = None,
) -> Picture:
    """Read all rows, and sum them up, to be compared later.

    :param without: Leave out tables whose names start so.
    :param before: An earlier picture: sum up only the rows that are in it.
    :param names: The names that are other than in the earlier picture.
    :returns: The data by table, with the names of the earlier picture.
    """
    names = names or Names()
    found: Picture = {}
    for table in tables_of(connection):
        if table.name.rpartition(".")[2].startswith(without):
            continue
        old = names.tables.get(table.name, table.name)
        was = before.get(old) if before is not None else None
        found[old] = _data_of(connection, table, old, was, names)
    connection.rollback()
    return found


def _data_of(
    connection: sa.Connection,
    table: TableInfo,
    name: str,
    was: TableData | None,
    names: Names,
) -> TableData:
    old = [names.columns.get((name, column), column) for column in table.columns]
    key = was.key if was is not None else table.key
    if not set(key) <= set(old):
        key = ()
    places = [old.index(column) for column in key]
    known = was.keys if was is not None and key and was.key == key else None
    totals, filled = [0] * len(old), [0] * len(old)
    keys: set[int] = set()
    rows = added = 0
    for row in _rows(connection, table):
        id = hash(tuple(row[place] for place in places)) if key else 0
        if known is not None and id not in known:
            added += 1
            continue
        rows += 1
        if key:
            keys.add(id)
        for place, value in enumerate(row):
            if value is not None:
                filled[place] += 1
                totals[place] += hash((id, value))
    sums = (Sum(total % _MODULUS, n) for total, n in zip(totals, filled, strict=True))
    columns = dict(zip(old, sums, strict=True))
    return TableData(name, columns, key, keys, rows, added)


def _rows(
    connection: sa.Connection, table: TableInfo
) -> cabc.Iterator[tuple[str | bytes | None, ...]]:
    """Yield each row as texts, which stay the same if a type becomes wider."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    columns = [quote(column) for column in table.columns]
    if connection.dialect.name == "postgresql":
        columns = [f"CAST({column} AS text)" for column in columns]
    if not columns:
        return
    query = f"SELECT {', '.join(columns)} FROM {table.sql}"  # noqa: S608
    result = connection.execution_options(yield_per=_AT_ONCE).exec_driver_sql(
        query.replace("%", "%%") if connection.dialect.paramstyle in _PERCENT else query
    )
    for row in result:
        yield tuple(
            value if value is None or isinstance(value, bytes) else str(value)
            for value in row
        )


_PERCENT = {"format", "pyformat"}
