"""Data that survives revisions, and data that does not."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses as dc

from flaskware_alembic._results import DataChange
from flaskware_alembic._results import Direction
from flaskware_alembic._sql.change import Change

from .picture import Names
from .picture import Picture
from .picture import Sum
from .picture import TableData

_FEWER_ROWS = {"delete", "truncate", "drop_partition", "detach_partition"}
_OTHER_VALUES = {"update", "insert"}


@dc.dataclass(frozen=True)
class Intent:
    """The changes of data that revisions declare, one way.

    :param tables: Tables that they drop.
    :param columns: Columns that they drop.
    :param fewer: Tables that they take rows from.
    :param others: Tables whose values they change.
    """

    tables: frozenset[str] = frozenset()
    columns: frozenset[tuple[str, str]] = frozenset()
    fewer: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    names: Names = dc.field(default_factory=Names)

    @classmethod
    def of(cls, changes: cabc.Iterable[Change], filled: cabc.Iterable[str]) -> Intent:
        """Return what some changes say.

        :param filled: Tables with a backfill.
        """
        reader = _Reader()
        for change in changes:
            if change.table is not None:
                reader.read(change, bare(change.table))
        kinds = reader.by_kind
        return cls(
            frozenset(kinds["drop_table"]),
            frozenset(reader.columns),
            frozenset(name for kind in _FEWER_ROWS for name in kinds[kind]),
            frozenset(map(bare, filled)).union(*(kinds[k] for k in _OTHER_VALUES)),
            Names(reader.tables, reader.column_names),
        )


class _Reader:
    """Reads changes, one after the other, with the names that tables had at first."""

    def __init__(self) -> None:
        self.by_kind = collections.defaultdict[str, set[str]](set)
        self.columns: set[tuple[str, str]] = set()
        self.tables: dict[str, str] = {}
        self.column_names: dict[tuple[str, str], str] = {}

    def read(self, change: Change, name: str) -> None:
        """Read a change of a table."""
        table = self.tables.get(name, name)
        self.by_kind[change.kind].add(table)
        if change.kind == "drop_column" and change.name:
            was = self.column_names.get((table, change.name), change.name)
            self.columns.add((table, was))
        elif change.kind == "rename_table" and change.other:
            other = bare(change.other)
            if table in self.by_kind["create_table"]:
                # A table that is made again takes the place of the old table.
                self.by_kind["drop_table"].discard(other)
            else:
                self.tables[other] = table
        elif change.kind == "rename_column" and change.other and change.name:
            was = self.column_names.pop((table, change.name), change.name)
            self.column_names[table, change.other] = was


def bare(table: str) -> str:
    """Return a name of a table without the schema that needs no name."""
    plain = table.replace('"', "").replace("`", "")
    return plain.removeprefix("public.").removeprefix("main.")


def lost_on(
    direction: Direction,
    before: Picture,
    after: Picture,
    intent: Intent,
    *,
    doubtful: bool,
) -> list[DataChange]:
    """Return what is no longer as it was.

    :param doubtful: Report values that changed though no statement says so; they may
        come back on the way down.
    """
    found: list[DataChange] = []
    way = "up" if direction == "upgrade" else "up and down"

    def add(table: str, column: str | None, what: str, *, expected: bool) -> None:
        found.append(DataChange(table, column, direction, what, expected))

    for name, was in before.items():
        now = after.get(name)
        if now is None:
            if was.rows:
                what = f"table {name} with {was.rows} rows is gone on the way {way}"
                add(name, None, what, expected=bare(name) in intent.tables)
            continue
        if now.rows < was.rows:
            gone = was.rows - now.rows
            says = bare(name) in intent.fewer
            why = "" if says else "; no statement names it"
            what = f"{gone} of {was.rows} rows of {name} are gone on the way {way}{why}"
            add(name, None, what, expected=says)
        for column, total in was.columns.items():
            what, says = _fate(name, column, was, now, total, intent)
            if what and (says or doubtful or column not in now.columns):
                add(name, column, f"{what} on the way {way}", expected=says)
    return found


def _fate(
    table: str, column: str, was: TableData, now: TableData, total: Sum, intent: Intent
) -> tuple[str, bool]:
    """Return what happened to a column in words, and whether a statement says so."""
    if column not in now.columns:
        new = [other for name, other in now.columns.items() if name not in was.columns]
        if not total.filled or (now.rows == was.rows and total in new):
            # Nothing was in it, or its data has another name.
            return "", False
        says = (bare(table), column) in intent.columns
        return f"column {table}.{column} with {total.filled} values is gone", says
    is_comparable = now.rows == was.rows and now.key == was.key
    if now.columns[column] == total or not is_comparable:
        # With other rows or keys, there is nothing to compare the sum with.
        return "", False
    says = bare(table) in intent.others
    return f"values of {table}.{column} changed", says


def new_and_gone(
    before: Picture, middle: Picture, end: Picture, intent: Intent
) -> list[DataChange]:
    """Return what the way up added with data, and the way down takes away."""
    found: list[DataChange] = []
    for name, now in middle.items():
        was, then = before.get(name), end.get(name)
        if then is None:
            if was is None and now.rows:
                what = f"the new table {name} with {now.rows} rows goes on the way down"
                says = bare(name) in intent.tables
                found.append(DataChange(name, None, "downgrade", what, says))
            continue
        for column, total in now.columns.items():
            is_new = was is not None and column not in was.columns
            if is_new and column not in then.columns and total.filled:
                what = f"the new column {name}.{column} with {total.filled} values goes"
                says = (bare(name), column) in intent.columns
                found.append(
                    DataChange(
                        name, column, "downgrade", f"{what} on the way down", says
                    )
                )
    return found


def kept(before: Picture, after: Picture) -> int:
    """Return how many columns have the same data in two pictures."""
    return sum(
        after[name].columns.get(column) == total
        for name, was in before.items()
        if name in after
        for column, total in was.columns.items()
    )
