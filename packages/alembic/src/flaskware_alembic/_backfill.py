"""Declaration of a backfill, as a revision file writes it."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import types
import typing as t

import sqlalchemy as sa


@dc.dataclass(frozen=True)
class Batch:
    """Some rows of a table, next to each other in the order of its key.

    :param table: The table, as it is in the database now.
    :param columns: The columns of the key.
    :param where: The condition that exactly these rows meet.
    :param last: The key of the last row, ``None`` where there is none.
    :param size: How many rows there are.
    """

    table: sa.Table
    columns: tuple[sa.Column[t.Any], ...]
    where: sa.ColumnElement[bool]
    last: tuple[t.Any, ...] | None
    size: int
    _connection: sa.Connection = dc.field(repr=False)

    @functools.cached_property
    def keys(self) -> tuple[tuple[t.Any, ...], ...]:
        """The key of each row, read when it is asked for."""
        select = sa.select(*self.columns).where(self.where).order_by(*self.columns)
        return tuple(tuple(row) for row in self._connection.execute(select))

    def __len__(self) -> int:
        return self.size


BatchFunction: t.TypeAlias = cabc.Callable[[sa.Connection, Batch], object]


@dc.dataclass(frozen=True)
class Backfill:
    """A function that fills a table in batches, made by :func:`backfill`."""

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

    It is called with one batch after another, in the order of the key. Each batch has
    a transaction of its own, which also records the progress, so that each is applied
    exactly once, even if the process is killed. It runs after the ``upgrade`` of its
    revision was committed, and before the next revision.

    :param batch: The number of rows in a batch.
    :param pause: The pause after each batch, in seconds.
    :param key: Unique columns to order by; the primary key by default.
    :param before: Run before the ``upgrade`` of the revision instead.
    :raises ValueError: if ``batch`` is below one, or ``pause`` is negative.
    """
    if batch < 1 or pause < 0:
        raise ValueError("`batch` must be at least 1, and `pause` not negative.")

    def decorate(function: BatchFunction) -> Backfill:
        return Backfill(function, table, batch, pause, tuple(key), before, schema)

    return decorate


def backfills_in(module: types.ModuleType) -> list[Backfill]:
    """Return the backfills of a revision, in the order of its file."""
    return [value for value in vars(module).values() if isinstance(value, Backfill)]
