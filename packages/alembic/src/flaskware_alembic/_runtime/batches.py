"""The rows of a table in batches, in the order of a key."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import decimal
import json
import typing as t
import uuid

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic._backfill import Backfill
from flaskware_alembic._backfill import Batch
from flaskware_alembic._errors import MigrationError

Key: t.TypeAlias = tuple[t.Any, ...]


class Batches:
    """The table of a backfill, read from the database."""

    def __init__(self, connection: sa.Connection, backfill: Backfill) -> None:
        """Read the table; leaves no transaction open.

        :raises MigrationError: if there is no such table, or it has no key.
        """
        self._backfill = backfill
        self._table = _reflect(connection, backfill)
        self._columns = _key_of(self._table, backfill)
        self._is_postgresql = connection.dialect.name == "postgresql"
        self.total = _estimate(connection, self._table)
        connection.rollback()

    def after(self, connection: sa.Connection, key: Key | None) -> Batch:
        """Return the rows that come next; the batch is empty at the end."""
        columns, size = self._columns, self._backfill.batch
        select = sa.select(*columns).order_by(*columns)
        if key is not None:
            select = select.where(self._is_after(columns, key))
        # The keys between are not needed, and would take longer than the rest.
        found = connection.execute(select.limit(1).offset(size - 1)).all()
        if not found:
            found = connection.execute(select.limit(size)).all()
            size = len(found)
        last = tuple(found[-1]) if found else None
        where: sa.ColumnElement[bool] = sa.false()
        if last is not None:
            where = ~self._is_after(columns, last)
            if key is not None:
                where = sa.and_(self._is_after(columns, key), where)
        return Batch(self._table, columns, where, last, size, connection)

    def _is_after(
        self, columns: tuple[sa.Column[t.Any], ...], key: Key
    ) -> sa.ColumnElement[bool]:
        """Return the condition that a row comes after a key."""
        if len(columns) == 1:
            is_greater: sa.ColumnElement[bool] = columns[0] > key[0]
            return is_greater
        if self._is_postgresql:
            literals = (
                sa.literal(v, c.type) for c, v in zip(columns, key, strict=True)
            )
            return sa.tuple_(*columns) > sa.tuple_(*literals)
        # Other databases use an index only for this form.
        head, rest = columns[0], self._is_after(columns[1:], key[1:])
        is_later: sa.ColumnElement[bool] = sa.or_(head > key[0], rest)
        return sa.and_(head >= key[0], is_later)


def _reflect(connection: sa.Connection, backfill: Backfill) -> sa.Table:
    try:
        return sa.Table(
            backfill.table,
            sa.MetaData(),
            schema=backfill.schema,
            autoload_with=connection,
            resolve_fks=False,
        )
    except sa_exc.NoSuchTableError as error:
        raise MigrationError(
            f"The backfill {backfill.name!r} is for a table {backfill.table!r},"
            " which the database does not have."
        ) from error


def _key_of(table: sa.Table, backfill: Backfill) -> tuple[sa.Column[t.Any], ...]:
    try:
        columns = tuple(table.c[name] for name in backfill.key)
    except KeyError as error:
        raise MigrationError(
            f"The backfill {backfill.name!r} is ordered by {error}, which"
            f" {table.name!r} does not have."
        ) from error
    columns = columns or tuple(table.primary_key.columns)
    if not columns:
        raise MigrationError(
            f"The table {table.name!r} has no primary key to order by. Name unique"
            f" columns: @backfill({table.name!r}, key=[...])."
        )
    return columns


def _estimate(connection: sa.Connection, table: sa.Table) -> int | None:
    """Return how many rows the database believes it has, without counting them."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        quoted = connection.dialect.identifier_preparer.format_table(table)
        statement = sa.text(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = CAST(:name AS regclass)"
        )
        found = connection.scalar(statement, {"name": quoted})
        return None if found is None or found < 0 else int(found)
    if dialect in {"mysql", "mariadb"}:
        statement = sa.text(
            "SELECT table_rows FROM information_schema.tables"
            " WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name"
        )
        values = {"schema": table.schema, "name": table.name}
        found = connection.scalar(statement, values)
        return None if found is None else int(found)
    return connection.scalar(sa.select(sa.func.count()).select_from(table))


_Tag: t.TypeAlias = tuple[
    type, cabc.Callable[[t.Any], str], cabc.Callable[[str], t.Any]
]
_TAGS: dict[str, _Tag] = {
    "uuid": (uuid.UUID, str, uuid.UUID),
    "datetime": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
}


def encode(key: cabc.Iterable[object]) -> str:
    """Return a key as text.

    :raises MigrationError: if a value has a type that cannot be written.
    """

    def plain(value: object) -> object:
        if isinstance(value, str | int | float):
            return value
        for tag, (kind, write, _) in _TAGS.items():
            if isinstance(value, kind):
                return {tag: write(value)}
        raise MigrationError(
            f"A key of type {type(value).__name__} cannot be recorded. Order by other"
            " columns: @backfill(..., key=[...])."
        )

    return json.dumps([plain(value) for value in key])


def decode(text: str) -> Key:
    """Return the key that :func:`encode` wrote."""

    def value(item: t.Any) -> t.Any:
        if isinstance(item, dict):
            ((tag, written),) = t.cast("dict[str, str]", item).items()
            return _TAGS[tag][2](written)
        return item

    return tuple(value(item) for item in json.loads(text))
