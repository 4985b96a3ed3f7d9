"""A column that another column replaces, or several, while the table is written.

Between two revisions a trigger keeps the old and the new columns the same, so that
code that knows either of them can read and write the table.
"""

from __future__ import annotations

import dataclasses as dc

from .constraint import as_body
from .constraint import checked_not_null
from .constraint import Dialect
from .constraint import execute
from .constraint import in_autocommit
from .constraint import name_of_check
from .constraint import quoted
from .trigger import Branch
from .trigger import changed
from .trigger import differ
from .trigger import Trigger


@dc.dataclass(frozen=True)
class Contract:
    """The second of two revisions, which is applied by a later deploy.

    :param online: Code of statements that commit at once, before ``upgrade``.
    :param backfill: A function with ``@backfill``, for the first or the second
        revision, as it says itself.
    :param imports: Those that the code needs.
    :param blocked_by: Queries; a row that one of them finds must not be there.
    """

    message: str
    upgrade: str
    downgrade: str
    backfill: str = ""
    backfill_first: bool = True
    imports: tuple[str, ...] = ()
    blocked_by: tuple[str, ...] = ()
    online: str = ""

    @property
    def body(self) -> str:
        """All code of its upgrade."""
        return "\n    ".join(filter(None, [self.online, self.upgrade]))

    def __add__(self, other: Contract) -> Contract:
        # Statements that commit at once come first, so that it can be repeated.
        return Contract(
            f"{self.message}; {other.message}",
            f"{self.upgrade}\n    {other.upgrade}",
            f"{other.downgrade}\n    {self.downgrade}",
            f"{self.backfill}\n\n\n{other.backfill}",
            blocked_by=self.blocked_by + other.blocked_by,
            online="\n    ".join(filter(None, [self.online, other.online])),
        )


@dc.dataclass(frozen=True)
class Column:
    """A column of a transition, as code of a revision.

    :param default: Its server default.
    :param more: Further arguments, such as a comment.
    """

    name: str
    type: str
    nullable: bool
    default: str | None = None
    more: str = ""

    @property
    def added(self) -> str:
        """The code of the column as it is added."""
        # Without a default, what a process leaves out is known to be left out.
        return f"sa.Column({self.name!r}, {self.type}, nullable=True{self.more})"


@dc.dataclass(frozen=True)
class Replacement:
    """A column that another column replaces.

    :param keeps_name: Whether the new column gets the old name in the end, so that
        all code writes the old.
    """

    dialect: Dialect
    table: str
    old: Column
    new: Column
    keeps_name: bool = False

    @property
    def upgrade(self) -> str:
        """Code of the first revision."""
        added = f"op.add_column({self.table!r}, {self.new.added})"
        return "\n".join([added, *self._trigger.create()])

    @property
    def downgrade(self) -> str:
        """Code that undoes the first revision."""
        return "\n".join([*self._trigger.drop(), self._drop(self.new.name)])

    @property
    def contract(self) -> Contract:
        """The second revision, with the backfill of the first."""
        where = f"{self.table}.{self.old.name}"
        is_mariadb = self.dialect == "mariadb"
        up = self._contract_in_place() if is_mariadb else self._contract()
        down = self._expand_in_place() if is_mariadb else self._expand_again()
        return Contract(
            f"drop the old type of {where}"
            if self.keeps_name
            else f"drop {where}, now {self.new.name}",
            as_body(up),
            as_body(down),
            self._backfill(),
            blocked_by=(self._unequal(),),
            online=as_body(self._checked()),
        )

    # On PostgreSQL, where a transaction has all of it

    def _contract(self) -> list[str]:
        """Code that drops the old column, in one short transaction."""
        table, old, new = self.table, self.old, self.new
        lines: list[str] = []
        if not new.nullable:
            check = name_of_check(table, new.name)
            lines.append(self._alter(new, "nullable=False"))
            lines.append(f'op.drop_constraint({check!r}, {table!r}, type_="check")')
        if new.default is not None:
            lines.append(self._alter(new, f"server_default={new.default}"))
        renamed = self._rename(new.name, old.name) if self.keeps_name else []
        return [*lines, *self._trigger.drop(), self._drop(old.name), *renamed]

    def _checked(self) -> list[str]:
        """Code that checks every row before, so that NOT NULL reads none."""
        table, name = self.table, self.new.name
        if self.new.nullable or self.dialect == "mariadb":
            return []
        return in_autocommit(*checked_not_null(table, name, name_of_check(table, name)))

    def _expand_again(self) -> list[str]:
        """Code that restores the old column, with its values and the trigger."""
        table, old, new = self.table, self.old, self.new
        lines = self._rename(old.name, new.name) if self.keeps_name else []
        lines += [f"op.add_column({table!r}, {old.added})", self._copied_back()]
        if not old.nullable:
            lines.append(self._alter(old, "nullable=False"))
        if not new.nullable:
            lines.append(self._alter(new, "nullable=True"))
        if old.default is not None:
            lines.append(self._alter(old, f"server_default={old.default}"))
        if new.default is not None:
            lines.append(self._alter(new, "server_default=None"))
        return [*lines, *self._trigger.create(again=True)]

    # On MariaDB, where each statement is for itself and others write between them

    def _contract_in_place(self) -> list[str]:
        old, new = self.old, self.new
        lines: list[str] = []
        if not new.nullable:
            lines.append(
                "# lint: allow not-null-rebuilds-table: no row is NULL; writes go on"
            )
        if what := self._wanted(new):
            lines.append(self._alter(new, what))
        if self.keeps_name:
            reason = "both names are there before and after"
            lines += [f"# lint: allow rename-column: {reason}", *self._swapped()]
        if not old.nullable and old.default is None:
            # Nothing fills it from here until it is dropped.
            kept = new if self.keeps_name else old
            lines.append(self._alter(dc.replace(old, name=kept.name), "nullable=True"))
        dropped = new.name if self.keeps_name else old.name
        return [*lines, *self._trigger.drop(), self._drop(dropped)]

    def _expand_in_place(self) -> list[str]:
        old, new = self.old, self.new
        # After the names were swapped, the old column has the new name for a moment.
        added = dc.replace(old, name=new.name) if self.keeps_name else old
        lines = [
            f"op.add_column({self.table!r}, {added.added})",
            *self._trigger.create(again=True),
            self._copied_back(),
        ]
        if what := self._wanted(old):
            lines.append(self._alter(added, what))
        if self.keeps_name:
            lines += self._swapped()
        if not new.nullable or new.default is not None:
            # MODIFY without a default drops the default, too.
            lines.append(self._alter(new, "nullable=True"))
        return lines

    def _swapped(self) -> list[str]:
        """Code that swaps the names of both columns in one moment.

        The trigger is right before and after, so that no write is lost.
        """
        old, new = (quoted(c.name, self.dialect) for c in (self.old, self.new))
        return [
            execute(
                f"ALTER TABLE {quoted(self.table, self.dialect)}"
                f" RENAME COLUMN {old} TO {new}, RENAME COLUMN {new} TO {old}"
            ),
        ]

    def _wanted(self, column: Column) -> str:
        """Return what a column is to be that was added as nullable."""
        parts = [] if column.nullable else ["nullable=False"]
        if column.default is not None:
            parts.append(f"server_default={column.default}")
        return ", ".join(parts)

    # Parts of both

    @property
    def _trigger(self) -> Trigger:
        dialect, old, new = self.dialect, self.old.name, self.new.name
        theirs, ours = (f"NEW.{quoted(name, dialect)}" for name in (old, new))
        forward, back = {new: theirs}, {old: ours}
        name = f"{self.table}_{old}_sync"
        if self.keeps_name:
            always = (Branch("", forward),)
            return Trigger(dialect, self.table, name, always, always)
        return Trigger(
            dialect,
            self.table,
            name,
            (Branch(f"{ours} IS NULL", forward), Branch("", back)),
            (
                Branch(changed([new], dialect), back),
                Branch(f"{changed([old], dialect)} OR {ours} IS NULL", forward),
            ),
        )

    def _backfill(self) -> str:
        name, new = self.old.name, self.new.name
        return "\n".join(
            [
                f"@backfill({self.table!r}, batch=1000)",
                f"def fill_{new}(connection: sa.Connection, batch: Batch) -> None:",
                f"    # The trigger fills {new} in each row that is touched.",
                f"    old, new = batch.table.c[{name!r}], batch.table.c[{new!r}]",
                "    behind = new.is_(None) & old.is_not(None)",
                f"    statement = sa.update(batch.table).values({{{name!r}: old}})",
                "    connection.execute(statement.where(batch.where, behind))",
            ]
        )

    def _unequal(self) -> str:
        """Return the query that finds a row that the trigger did not come to."""
        old, new = (quoted(c.name, self.dialect) for c in (self.old, self.new))
        where = f"{new} IS NULL AND {old} IS NOT NULL"
        if self.old.type == self.new.type:
            where = differ(old, new, self.dialect)
        table = quoted(self.table, self.dialect)
        return f"SELECT 1 FROM {table} WHERE {where} LIMIT 1"  # noqa: S608

    def _copied_back(self) -> str:
        dialect = self.dialect
        names = [quoted(column.name, dialect) for column in (self.old, self.new)]
        if self.keeps_name and dialect == "mariadb":
            names.reverse()
        to, source = names
        return execute(
            f"UPDATE {quoted(self.table, dialect)} SET {to} = {source}"  # noqa: S608
            f" WHERE {source} IS NOT NULL"
        )

    def _alter(self, column: Column, what: str) -> str:
        arguments = f"{self.table!r}, {column.name!r}, existing_type={column.type}"
        comment = column.more.replace(" comment=", " existing_comment=")
        return f"op.alter_column({arguments}, {what}{comment})"

    def _drop(self, name: str) -> str:
        return f"op.drop_column({self.table!r}, {name!r})"

    def _rename(self, name: str, new: str) -> list[str]:
        column = dc.replace(self.new, name=name, more="")
        return [self._alter(column, f"new_column_name={new!r}")]
