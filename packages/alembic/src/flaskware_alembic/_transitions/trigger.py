"""Triggers that keep columns the same while old and new code write them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import textwrap
import typing as t

from .constraint import Dialect
from .constraint import execute
from .constraint import quoted
from .constraint import short

Event: t.TypeAlias = t.Literal["insert", "update"]


class Branch(t.NamedTuple):
    """The values that a trigger gives a row.

    :param condition: When it does it, as SQL; always if it is empty.
    :param values: The SQL of the new value of each column.
    """

    condition: str
    values: dict[str, str]


@dc.dataclass(frozen=True)
class Trigger:
    """A trigger before each INSERT and UPDATE, as code of a revision.

    :param insert: Of which the first that applies is done, as of ``update``.
    """

    dialect: Dialect
    table: str
    name: str
    insert: tuple[Branch, ...]
    update: tuple[Branch, ...]

    def create(self, *, again: bool = False) -> list[str]:
        """Return the code that makes it.

        :param again: For a downgrade, which no rule looks at.
        """
        table = quoted(self.table, self.dialect)
        if self.dialect == "mariadb":
            # Both can be repeated, since nothing can be rolled back there.
            return [
                execute(
                    f"CREATE OR REPLACE TRIGGER {self._own(event)}\n"
                    f"BEFORE {event.upper()} ON {table} FOR EACH ROW\nBEGIN\n"
                    f"{textwrap.indent(self._body(branches), '    ')}\nEND"
                )
                for event, branches in self._events()
            ]
        name = quoted(self._name)
        reason = "# lint: allow create-trigger: both sides must be the same at once"
        return [
            execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
                f"BEGIN\n{textwrap.indent(self._both(), '    ')}\n    RETURN NEW;\nEND"
                "\n$$"
            ),
            *([] if again else [reason]),
            execute(
                f"CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON {table}"
                f" FOR EACH ROW EXECUTE FUNCTION {name}()"
            ),
        ]

    def drop(self) -> list[str]:
        """Return the code that drops it."""
        if self.dialect == "mariadb":
            return [
                execute(f"DROP TRIGGER IF EXISTS {self._own(event)}")
                for event, _ in self._events()
            ]
        name = quoted(self._name)
        return [
            execute(f"DROP TRIGGER {name} ON {quoted(self.table)}"),
            execute(f"DROP FUNCTION {name}()"),
        ]

    @property
    def _name(self) -> str:
        return short(self.name)

    def _own(self, event: Event) -> str:
        return quoted(short(f"{self.name}_{event}"), self.dialect)

    def _events(self) -> list[tuple[Event, tuple[Branch, ...]]]:
        # In the reverse order, an UPDATE between the two would not be copied, to a
        # column that is not NULL any more and so is not filled later.
        return [("update", self.update), ("insert", self.insert)]

    def _both(self) -> str:
        """Return the body of the function of PostgreSQL."""
        if self.insert == self.update:
            return self._body(self.insert)
        update, insert = (
            textwrap.indent(self._body(branches), "    ")
            for _, branches in self._events()
        )
        return f"IF TG_OP = 'INSERT' THEN\n{insert}\nELSE\n{update}\nEND IF;"

    def _body(self, branches: tuple[Branch, ...]) -> str:
        lines: list[str] = []
        other = "ELSEIF" if self.dialect == "mariadb" else "ELSIF"
        if not branches[0].condition:
            return self._assigned(branches[0])
        for branch in branches:
            word = "IF" if not lines else other
            start = f"{word} {branch.condition} THEN" if branch.condition else "ELSE"
            lines += [start, textwrap.indent(self._assigned(branch), "    ")]
        return "\n".join([*lines, "END IF;"])

    def _assigned(self, branch: Branch) -> str:
        parts = [
            (f"NEW.{quoted(name, self.dialect)}", value)
            for name, value in branch.values.items()
        ]
        if self.dialect == "mariadb":
            return f"SET {', '.join(f'{name} = {value}' for name, value in parts)};"
        return "\n".join(f"{name} := {value};" for name, value in parts)


def changed(names: cabc.Iterable[str], dialect: Dialect) -> str:
    """Return the condition that an UPDATE gives one of some columns another value."""
    return " OR ".join(
        differ(f"NEW.{name}", f"OLD.{name}", dialect)
        for name in (quoted(name, dialect) for name in names)
    )


def differ(one: str, other: str, dialect: Dialect) -> str:
    """Return the condition that two values of one type are not the same.

    It holds for values that a collation takes for equal, such as "a" and "A", and
    for types that have no comparison, such as json.
    """
    if dialect == "mariadb":
        return f"NOT (BINARY {one} <=> BINARY {other})"
    return f"ROW({one})::record *<> ROW({other})::record"


def all_null(names: cabc.Iterable[str], prefix: str, dialect: Dialect) -> str:
    """Return the condition that some columns are all NULL."""
    return " AND ".join(f"{prefix}{quoted(name, dialect)} IS NULL" for name in names)
