"""A column that becomes NOT NULL while the table is written.

Between two revisions a trigger gives a value to each row that is written with NULL, so
that new code reads none, and old code may go on writing it.
"""

from __future__ import annotations

import dataclasses as dc

from .constraint import as_body
from .constraint import checked_not_null
from .constraint import Dialect
from .constraint import in_autocommit
from .constraint import name_of_check
from .constraint import quoted
from .replacement import Column
from .replacement import Contract
from .trigger import Branch
from .trigger import Trigger


@dc.dataclass(frozen=True)
class Requirement:
    """A column that becomes NOT NULL.

    :param column: As it will be.
    :param was: As it is.
    :param value: The value instead of NULL, as SQL.
    """

    dialect: Dialect
    table: str
    was: Column
    column: Column
    value: str

    @property
    def upgrade(self) -> str:
        """Code of the first revision."""
        return "\n".join([*self._with_default(self.column), *self._trigger.create()])

    @property
    def downgrade(self) -> str:
        """Code that undoes the first revision; rows keep the value."""
        return "\n".join([*self._trigger.drop(), *self._with_default(self.was)])

    @property
    def contract(self) -> Contract:
        """The second revision, with the backfill of the first."""
        table, name = self.table, self.column.name
        check = name_of_check(table, name)
        online: list[str] = []
        up: list[str] = []
        if self.dialect == "postgresql":
            online = in_autocommit(*checked_not_null(table, name, check))
            dropped = [f'op.drop_constraint({check!r}, {table!r}, type_="check")']
        else:
            up.append(
                "# lint: allow not-null-rebuilds-table: no row is NULL; writes go on"
            )
            dropped = []
        up += [self._alter("nullable=False"), *dropped, *self._trigger.drop()]
        down = [self._alter("nullable=True"), *self._trigger.create(again=True)]
        where, of = quoted(name, self.dialect), quoted(table, self.dialect)
        return Contract(
            f"require {table}.{name}",
            as_body(up),
            as_body(down),
            self._backfill(),
            blocked_by=(f"SELECT 1 FROM {of} WHERE {where} IS NULL LIMIT 1",),  # noqa: S608
            online=as_body(online),
        )

    @property
    def _trigger(self) -> Trigger:
        name = quoted(self.column.name, self.dialect)
        branches = (Branch(f"NEW.{name} IS NULL", {self.column.name: self.value}),)
        trigger = f"{self.table}_{self.column.name}_fill"
        return Trigger(self.dialect, self.table, trigger, branches, branches)

    def _with_default(self, column: Column) -> list[str]:
        """Code that gives it another default, if it gets one."""
        if self.was.default == self.column.default:
            return []
        what = f"server_default={column.default}"
        arguments = f"{self.table!r}, {column.name!r}, existing_type={column.type}"
        return [f"op.alter_column({arguments}, existing_nullable=True, {what})"]

    def _alter(self, what: str) -> str:
        column = self.column
        arguments = f"{self.table!r}, {column.name!r}, existing_type={column.type}"
        # MariaDB needs everything of a column again.
        default = column.default
        kept = "" if default is None else f", existing_server_default={default}"
        comment = column.more.replace(" comment=", " existing_comment=")
        return f"op.alter_column({arguments}, {what}{kept}{comment})"

    def _backfill(self) -> str:
        name = self.column.name
        return "\n".join(
            [
                f"@backfill({self.table!r}, batch=1000)",
                f"def fill_{name}(connection: sa.Connection, batch: Batch) -> None:",
                f"    # The trigger fills {name} in each row that is touched.",
                f"    column = batch.table.c[{name!r}]",
                f"    statement = sa.update(batch.table).values({{{name!r}: column}})",
                "    statement = statement.where(batch.where, column.is_(None))",
                "    connection.execute(statement)",
            ]
        )
