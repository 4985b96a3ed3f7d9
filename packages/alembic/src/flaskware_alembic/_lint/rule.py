"""Rules for changes of a schema that is in use.

Sources: for the locks of PostgreSQL, the chapter "Explicit Locking" of its manual; for
``ALTER TABLE`` on MySQL and MariaDB, their chapters "Online DDL Operations" and "InnoDB
Online DDL"; for SQLite, its page on ``ALTER TABLE``.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_alembic._sql.change import Change
from flaskware_alembic._sql.change import ColumnInfo
from flaskware_alembic._transitions.constraint import name_of_check
from flaskware_alembic._transitions.constraint import quoted
from flaskware_core import Level

from .facts import Facts
from .schema import Past

Dialect: t.TypeAlias = t.Literal["postgresql", "mysql", "sqlite"]
EVERY: tuple[Dialect, ...] = ("postgresql", "mysql", "sqlite")

NAMES: dict[Dialect, str] = {
    "postgresql": "PostgreSQL",
    "mysql": "MySQL, MariaDB",
    "sqlite": "SQLite",
}
READS = "AccessExclusiveLock"
"""The lock of PostgreSQL that blocks even readers."""

WRITES = "ShareLock"
KEYS = "ShareRowExclusiveLock"
ONLINE = "ShareUpdateExclusiveLock"


@dc.dataclass(frozen=True)
class RuleContext:
    """Context of a change that a rule may look at.

    :param dialect: MariaDB counts as ``"mysql"``.
    :param changes: All of the revision.
    :param deploy: Those of the revisions before it that are deployed with it.
    :param contracts: Whether it completes an earlier revision.
    :param history: Returns those of every revision before it.
    :param facts: The database, where it was asked.
    """

    dialect: str
    changes: tuple[Change, ...]
    deploy: tuple[Change, ...] = ()
    contracts: bool = False
    history: cabc.Callable[[], tuple[Change, ...]] = tuple
    facts: Facts = Facts()  # noqa: RUF009 frozen

    def is_new(self, change: Change) -> bool:
        """True if the same deploy made the table, so that nobody uses it."""
        is_new = False
        for earlier in self.so_far(change):
            if earlier.kind == "create_table" and self.same(earlier, change):
                is_new = not earlier.is_robust
            elif earlier.kind == "drop_table" and self.same(earlier, change):
                is_new = False
            elif earlier.kind == "rename_table" and change.table is not None:
                renamed = dc.replace(earlier, table=earlier.other)
                is_new = is_new or (self.same(renamed, change) and self.is_new(earlier))
            elif (
                # PostgreSQL and SQLite drop an index without naming its table.
                change.table is None
                and change.kind == "drop_index"
                and earlier.kind == "create_index"
                and earlier.name == change.name
            ):
                is_new = self.is_new(earlier)
        return is_new

    def is_new_part(self, change: Change) -> bool:
        """True if the same deploy added the column, so that no released code has it."""
        return any(
            earlier.kind == "add_column"
            and earlier.name == change.name
            and self.same(earlier, change)
            for earlier in self.so_far(change)
        )

    def is_dropped(self, change: Change) -> bool:
        """True if the revision drops the table later on, which is said of that."""
        after = self.changes[self._at(change) + 1 :]
        return any(
            later.kind == "drop_table" and self.same(later, change) for later in after
        )

    def drops_part(self, change: Change) -> bool:
        """True if the transaction drops a column of the table, too."""
        return any(
            other.kind == "drop_column"
            and self.same(other, change)
            and other.in_transaction
            and change.in_transaction
            for other in self.changes
        )

    def _at(self, change: Change) -> int:
        found = (at for at, one in enumerate(self.changes) if one is change)
        return next(found, len(self.changes))

    def same(self, one: Change, other: Change) -> bool:
        """True if two changes are known to be of one table."""
        return self._key(one.table) == self._key(other.table) is not None

    def _key(self, table: str | None) -> str | None:
        if table is None:
            return None
        own = {"postgresql": "public", "sqlite": "main"}.get(self.dialect)
        key = table.removeprefix(f"{own}.")
        # PostgreSQL alone tells names apart by upper and lower case.
        return key if self.dialect == "postgresql" else key.lower()

    def past(self, change: Change) -> Past:
        """Return what is known of the schema that a change meets."""
        own = tuple(self.before(change))
        return Past(own, self.history, self._key, self.facts)

    def before(self, change: Change) -> cabc.Iterator[Change]:
        """Yield the changes that the revision made before."""
        for earlier in self.changes:
            if earlier is change:
                return
            yield earlier

    def so_far(self, change: Change) -> cabc.Iterator[Change]:
        """Yield the changes that the deploy made before."""
        for earlier in self.deploy:
            if earlier is change:
                return
            yield earlier
        yield from self.before(change)


Applies: t.TypeAlias = cabc.Callable[[Change, RuleContext], bool]


@dc.dataclass(frozen=True)
class Rule:
    """One danger.

    :param id: Stable: waivers and reports name it.
    :param reason: Why it is one, in a sentence or two.
    :param applies: Whether a change is it.
    :param safe: The safe form, as code of a revision or as advice.
    :param lock: The lock that PostgreSQL takes on the table meanwhile.
    :param on_new: Whether it also counts for a table that the deploy made.
    :param on_new_part: Whether it also counts for a column that the deploy added.
    :param grows: Whether it takes the longer, the more rows there are.
    """

    id: str
    dialects: tuple[Dialect, ...]
    level: Level
    reason: str
    applies: Applies
    safe: cabc.Callable[[Change], str]
    lock: str | None = None
    on_new: bool = False
    on_new_part: bool = True
    grows: bool = False

    def counts_for(self, change: Change, context: RuleContext) -> bool:
        """Return whether a change breaks it."""
        return (
            context.dialect in self.dialects
            and self.applies(change, context)
            and (self.on_new or not context.is_new(change))
            and (self.on_new or not context.is_dropped(change))
            and (self.on_new_part or not context.is_new_part(change))
        )

    @property
    def databases(self) -> str:
        """The databases that it is for, by their common names."""
        return ", ".join(NAMES[dialect] for dialect in self.dialects)


def kind(*kinds: str, **wanted: object) -> Applies:
    """A change of some kind, with some attributes being what is said."""

    def applies(change: Change, _: RuleContext) -> bool:
        return change.kind in kinds and all(
            getattr(change, name) == value for name, value in wanted.items()
        )

    return applies


def column(*kinds: str, **wanted: object) -> Applies:
    """A change that has a column with some attributes."""

    def applies(change: Change, _: RuleContext) -> bool:
        return change.kind in kinds and any(
            all(getattr(info, name) == value for name, value in wanted.items())
            for info in change.columns
        )

    return applies


def of_type(matches: cabc.Callable[[ColumnInfo], bool]) -> Applies:
    """A change that gives a column a type."""

    def applies(change: Change, _: RuleContext) -> bool:
        kinds = {"create_table", "add_column", "alter_type"}
        return change.kind in kinds and any(matches(info) for info in change.columns)

    return applies


def advice(text: str) -> cabc.Callable[[Change], str]:
    """A safe form that is not one operation; ``{table}`` and the like are filled in.

    ``{sql_table}`` and ``{sql_name}`` are quoted as PostgreSQL has it.
    """

    def safe(change: Change) -> str:
        table = (change.table or "the_table").rpartition(".")[2]
        check = name_of_check(table, change.name or "the_name")
        words = {
            "table": change.table or "the_table",
            "name": change.name or "the_name",
            "other": change.other or "the_new_name",
            "columns": ", ".join(info.name for info in change.columns),
            "quoted": ", ".join(f'"{info.name}"' for info in change.columns),
            "type": change.column.type or "the_type",
            "sql_table": _in_sql(change.table or "the_table"),
            "sql_name": _in_sql(change.name or "the_name"),
            "check": check,
            "sql_check": quoted(check),
        }
        return text.format_map(words).strip()

    return safe


def _in_sql(name: str) -> str:
    return ".".join(quoted(part) for part in name.split("."))


AUTOCOMMIT = "with op.get_context().autocommit_block():\n    "


def online(*operations: str) -> cabc.Callable[[Change], str]:
    """Operations that each commit at once."""
    return advice(AUTOCOMMIT + "\n    ".join(operations))
