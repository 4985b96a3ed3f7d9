"""Schema that a change meets, as far as the changes before it say."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc

from flaskware_alembic._sql.change import Change
from flaskware_alembic._sql.change import ColumnInfo

from .facts import Facts

_DECLARES = {"create_table", "add_column", "alter_type"}
_NULLABLE = {"set_not_null": False, "drop_not_null": True}


@dc.dataclass(frozen=True)
class Past:
    """Changes before another change, gone through from the newest.

    :param own: Those of the same revision, the oldest first.
    :param history: Returns those of the revisions before it, if that has to be known.
    :param key: Returns the name under which two tables are the same.
    :param facts: The database before them, where it was asked.
    """

    own: cabc.Sequence[Change]
    history: cabc.Callable[[], cabc.Sequence[Change]]
    key: cabc.Callable[[str | None], str | None]
    facts: Facts = Facts()  # noqa: RUF009 frozen

    @property
    def changes(self) -> cabc.Iterator[Change]:
        """The changes, the newest first."""
        yield from reversed(self.own)
        yield from reversed(self.history())

    def column(self, table: str | None, name: str | None) -> ColumnInfo | None:
        """Return a column as it is before the change, ``None`` if that is unknown."""
        place, asked = self.key(table), (table, name)
        type_: str | None = None
        nullable: bool | None = None
        for change in self.changes:
            if change.kind == "rename_table" and self.key(change.other) == place:
                place = self.key(change.table)
            if place is None or self.key(change.table) != place:
                continue
            if change.kind == "drop_table":
                return None
            if change.kind == "rename_column" and change.other == name:
                name = change.name
            if change.name == name and nullable is None:
                nullable = _NULLABLE.get(change.kind)
            info = next((info for info in change.columns if info.name == name), None)
            if info is None or change.kind not in _DECLARES:
                continue
            type_ = info.type if type_ is None else type_
            if change.kind != "alter_type" or change.is_whole:
                known = info.nullable if nullable is None else nullable
                return dc.replace(info, type=type_, nullable=known)
        found = self.facts.column(*asked) or self.facts.column(table, name)
        if found is None:
            return None
        known = found.nullable if nullable is None else nullable
        return dc.replace(found, type=type_ or found.type, nullable=known)

    def is_partitioned(self, table: str | None) -> bool:
        """Return whether a table is known to consist of partitions."""
        if (facts := self.facts.table(table)) is not None:
            return facts.is_partitioned
        return any(
            change.kind == "create_table"
            and change.is_partitioned
            and self.key(change.table) == self.key(table) is not None
            for change in self.changes
        )

    def table_of(self, index: str | None) -> str | None:
        """Return the table of an index, ``None`` if it is unknown."""
        made = (c for c in self.changes if c.kind == "create_index" and c.name == index)
        return next((change.table for change in made), None)

    def indexed(self, index: str | None) -> list[ColumnInfo]:
        """Return the columns of an index, none if one of them is unknown."""
        for change in self.changes:
            if change.kind == "create_index" and change.name == index:
                found = [self.column(change.table, c.name) for c in change.columns]
                return [] if None in found else [info for info in found if info]
        return []

    def is_constrained(self, type_: str) -> bool:
        """Return whether a type is a domain that checks its values."""
        return _bare(type_) in self.facts.domains or any(
            change.kind in {"create_domain", "alter_domain"}
            and change.is_checked
            and _bare(change.name or "") == _bare(type_)
            for change in self.changes
        )


def _bare(name: str) -> str:
    return name.replace('"', "").removeprefix("public.")
