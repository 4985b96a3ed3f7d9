"""Filling rows in batches, outside of the transaction that changes the schema."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime as dt
import decimal
import enum
import json
import time
import types
import typing as t
import uuid

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic._databases.database import Database
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._runtime.timeouts import is_passing
from flaskware_alembic._runtime.timeouts import pause_before

_RETRIES = 6


@dc.dataclass(frozen=True)
class Batch:
    """Some rows of a table, next to each other in the order of its key.

    :param table: The table, as it is in the database now.
    :param columns: The columns of the key.
    :param where: The condition that exactly these rows meet.
    :param keys: The key of each row.
    """

    table: sa.Table
    columns: tuple[sa.Column[t.Any], ...]
    where: sa.ColumnElement[bool]
    keys: tuple[tuple[t.Any, ...], ...]

    def __len__(self) -> int:
        return len(self.keys)


BatchFunction: t.TypeAlias = cabc.Callable[[sa.Connection, Batch], object]


@dc.dataclass(frozen=True)
class Backfill:
    """What :func:`backfill` makes of a function."""

    function: BatchFunction
    table: str
    batch: int
    pause: float
    key: tuple[str, ...]
    before: bool
    schema: str | None

    @property
    def name(self) -> str:
        """The name of the function."""
        return str(getattr(self.function, "__name__", "backfill"))

    def __call__(self, connection: sa.Connection, batch: Batch) -> object:
        return self.function(connection, batch)


def backfill(
    table: str,
    *,
    batch: int = 1000,
    pause: float = 0.0,
    key: cabc.Iterable[str] = (),
    before: bool = False,
    schema: str | None = None,
) -> cabc.Callable[[BatchFunction], Backfill]:
    """Make a function of a revision file fill a table in batches.

    It is called for one batch after another, in the order of the key, each in a
    transaction of its own in which it is also noted how far it came. So a batch is
    done once, whatever is killed when. It runs after the ``upgrade`` of its revision
    was committed, and before the next revision.

    :param batch: How many rows at once.
    :param pause: How long to wait after each batch, in seconds.
    :param key: Unique columns to go by; the primary key if none are named.
    :param before: Run before the ``upgrade`` of the revision instead.
    """
    if batch < 1 or pause < 0:
        raise ValueError("A batch has one row at least, and a pause is not negative.")

    def decorate(function: BatchFunction) -> Backfill:
        return Backfill(function, table, batch, pause, tuple(key), before, schema)

    return decorate


class BackfillState(enum.Enum):
    """How far a backfill came."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    NOT_RECORDED = "not recorded"
    """Its revision is applied, but not by this extension."""


@dc.dataclass(frozen=True)
class BackfillInfo:
    """A backfill of an applied revision.

    :param rows: How many rows it went through.
    :param total: How many the table has, as far as the database knows.
    """

    revision: str
    name: str
    table: str
    bind: str | None
    state: BackfillState
    rows: int = 0
    total: int | None = None

    def __str__(self) -> str:
        # What the database believes may be old; what it turned out to be is told.
        total = None if self.state is BackfillState.DONE else self.total
        of = f" of about {total}" if total is not None and total >= self.rows else ""
        return (
            f"{self.revision} {self.name}: {self.state.value}, {self.rows}{of} rows of"
            f" {self.table}"
        )


OnProgress: t.TypeAlias = cabc.Callable[[BackfillInfo], None]


def backfills_in(module: types.ModuleType) -> list[Backfill]:
    """The backfills of a revision, in the order of its file."""
    return [value for value in vars(module).values() if isinstance(value, Backfill)]


class BackfillLog:
    """How far each backfill of a database came, in a table of that database."""

    def __init__(self, database: Database, name: str, schema: str | None) -> None:
        self._database = database
        self._table = sa.Table(
            name,
            sa.MetaData(),
            sa.Column("revision", sa.String(255), primary_key=True),
            sa.Column("name", sa.String(255), primary_key=True),
            sa.Column("rows", sa.BigInteger, nullable=False, default=0),
            sa.Column("position", sa.Text),
            sa.Column("is_done", sa.Boolean, nullable=False, default=False),
            schema=schema,
        )

    def create(self, connection: sa.Connection) -> None:
        """Make the table if there is none."""
        self._table.create(connection, checkfirst=True)
        connection.commit()

    def exists(self, connection: sa.Connection) -> bool:
        """Whether anything was ever noted; leaves no transaction open."""
        there = sa.inspect(connection).has_table(self._table.name, self._table.schema)
        connection.rollback()
        return there

    def note(self, connection: sa.Connection, revision: str, name: str) -> None:
        """Note that one is to run, in the transaction there is."""
        connection.execute(sa.insert(self._table).values(revision=revision, name=name))

    def forget(self, connection: sa.Connection, revision: str) -> None:
        """Drop what was noted of a revision, in the transaction there is."""
        connection.execute(
            sa.delete(self._table).where(self._table.c.revision == revision)
        )

    def infos(
        self,
        connection: sa.Connection,
        backfills: cabc.Iterable[tuple[str, Backfill]],
    ) -> list[BackfillInfo]:
        """How far some came; leaves no transaction open."""
        rows: dict[tuple[str, str], t.Any] = {}
        if self.exists(connection):
            found = connection.execute(sa.select(self._table))
            rows = {(row.revision, row.name): row for row in found}
            connection.rollback()
        return [
            self._info(revision, backfill, rows.get((revision, backfill.name)))
            for revision, backfill in backfills
        ]

    def run(
        self,
        connection: sa.Connection,
        revision: str,
        backfill: Backfill,
        on_progress: OnProgress | None = None,
    ) -> BackfillInfo:
        """Go on with one from where it came to.

        :raises MigrationError: if the table has no key to go by.
        """
        table = self._reflect(connection, backfill)
        columns = _key_of(table, backfill)
        total = _estimate(connection, table)
        connection.rollback()
        while True:
            info = self._step(connection, revision, backfill, table, columns)
            info = dc.replace(info, total=total)
            if on_progress is not None:
                on_progress(info)
            if info.state is BackfillState.DONE:
                return info
            if backfill.pause:
                time.sleep(backfill.pause)

    def _info(self, revision: str, backfill: Backfill, row: t.Any) -> BackfillInfo:
        state, rows = BackfillState.NOT_RECORDED, 0
        if row is not None:
            rows = row.rows
            state = BackfillState.RUNNING if row.position else BackfillState.PENDING
            state = BackfillState.DONE if row.is_done else state
        bind = self._database.bind
        return BackfillInfo(revision, backfill.name, backfill.table, bind, state, rows)

    def _step(
        self,
        connection: sa.Connection,
        revision: str,
        backfill: Backfill,
        table: sa.Table,
        columns: tuple[sa.Column[t.Any], ...],
    ) -> BackfillInfo:
        for attempt in range(1, _RETRIES + 1):
            try:
                with connection.begin():
                    return self._one(connection, revision, backfill, table, columns)
            except sa_exc.DBAPIError as error:
                if not is_passing(error) or attempt == _RETRIES:
                    raise
                time.sleep(pause_before(attempt))
        raise AssertionError

    def _one(
        self,
        connection: sa.Connection,
        revision: str,
        backfill: Backfill,
        table: sa.Table,
        columns: tuple[sa.Column[t.Any], ...],
    ) -> BackfillInfo:
        log = self._table
        mine = (log.c.revision == revision) & (log.c.name == backfill.name)
        row = connection.execute(sa.select(log).where(mine)).one()
        after = None if row.position is None else _decode(row.position)
        select = sa.select(*columns).order_by(*columns).limit(backfill.batch)
        if after is not None:
            select = select.where(_is_after(columns, after, connection))
        keys = tuple(tuple(found) for found in connection.execute(select))
        values: dict[str, t.Any] = {"is_done": True}
        if keys:
            where = ~_is_after(columns, keys[-1], connection)
            if after is not None:
                where = sa.and_(_is_after(columns, after, connection), where)
            backfill(connection, Batch(table, columns, where, keys))
            is_last = len(keys) < backfill.batch
            values = {
                "position": _encode(keys[-1]),
                "rows": row.rows + len(keys),
                "is_done": is_last,
            }
        connection.execute(sa.update(log).where(mine).values(**values))
        done = connection.execute(sa.select(log).where(mine)).one()
        return self._info(revision, backfill, done)

    def _reflect(self, connection: sa.Connection, backfill: Backfill) -> sa.Table:
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
            f"The backfill {backfill.name!r} goes by {error}, which {table.name!r} does"
            " not have."
        ) from error
    columns = columns or tuple(table.primary_key.columns)
    if not columns:
        raise MigrationError(
            f"The table {table.name!r} has no primary key to go by. Name unique columns"
            f" in @backfill({table.name!r}, key=[...])."
        )
    return columns


def _is_after(
    columns: tuple[sa.Column[t.Any], ...],
    values: tuple[t.Any, ...],
    connection: sa.Connection,
) -> sa.ColumnElement[bool]:
    """Whether a row comes after a key, in the order of the key."""
    if len(columns) == 1:
        is_greater: sa.ColumnElement[bool] = columns[0] > values[0]
        return is_greater
    if connection.dialect.name == "postgresql":
        literals = (sa.literal(v, c.type) for c, v in zip(columns, values, strict=True))
        return sa.tuple_(*columns) > sa.tuple_(*literals)
    # The others use an index for this form only.
    head, rest = columns[0], _is_after(columns[1:], values[1:], connection)
    is_later: sa.ColumnElement[bool] = sa.or_(head > values[0], rest)
    return sa.and_(head >= values[0], is_later)


def _estimate(connection: sa.Connection, table: sa.Table) -> int | None:
    """How many rows there are, as far as the database knows without counting."""
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


def _encode(values: cabc.Iterable[object]) -> str:
    def plain(value: object) -> object:
        if isinstance(value, str | int | float):
            return value
        for tag, (kind, write, _) in _TAGS.items():
            if isinstance(value, kind):
                return {tag: write(value)}
        raise MigrationError(
            f"A key of {type(value).__name__} cannot be noted. Go by other columns:"
            " @backfill(..., key=[...])."
        )

    return json.dumps([plain(value) for value in values])


def _decode(text: str) -> tuple[t.Any, ...]:
    def value(item: t.Any) -> t.Any:
        if isinstance(item, dict):
            ((tag, written),) = t.cast("dict[str, str]", item).items()
            return _TAGS[tag][2](written)
        return item

    return tuple(value(item) for item in json.loads(text))
