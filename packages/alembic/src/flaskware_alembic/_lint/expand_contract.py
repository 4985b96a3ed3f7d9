"""The two revisions that replace a column on PostgreSQL while it is written.

Between them a trigger keeps the old and the new column the same, so that code that
knows either of the two can read and write the table.
"""

from __future__ import annotations

import dataclasses as dc
import hashlib
import re
import typing as t


@dc.dataclass(frozen=True)
class Contract:
    """The second of two revisions, which is applied by a later deploy.

    :param backfill: A function with ``@backfill``, for the first or the second
        revision, as it says itself.
    :param imports: Those that the code needs.
    """

    message: str
    upgrade: str
    downgrade: str
    backfill: str = ""
    backfill_first: bool = True
    imports: tuple[str, ...] = ()


@dc.dataclass(frozen=True)
class Replacement:
    """A column that another column replaces.

    :param type: As code of a revision, and so are ``new_type`` and ``default``.
    :param keeps_name: Whether the new column gets the old name in the end.
    """

    table: str
    name: str
    new: str
    type: str
    new_type: str
    nullable: bool
    default: str | None
    keeps_name: bool

    @property
    def upgrade(self) -> str:
        """Code of the first revision."""
        # Without a default, what an old process leaves out is known to be left out.
        column = f"sa.Column({self.new!r}, {self.new_type}, nullable=True)"
        return "\n".join(
            [
                f"op.add_column({self.table!r}, {column})",
                self._make_function(),
                "# lint: allow create-trigger: both columns must be the same at once",
                self._make_trigger(),
            ]
        )

    @property
    def downgrade(self) -> str:
        """Code that undoes the first revision."""
        return "\n".join([*self._drop_trigger(), self._drop(self.new)])

    @property
    def contract(self) -> Contract:
        """The second revision, with the backfill of the first."""
        becomes = "changed its type" if self.keeps_name else f"became {self.new}"
        # The template indents the first line alone.
        up, down = (
            "\n    ".join("\n".join(lines).splitlines())
            for lines in (self._contract(), self._expand_again())
        )
        message = f"drop the old {self.table}.{self.name}, which {becomes}"
        return Contract(message, up, down, self._backfill())

    def _contract(self) -> list[str]:
        """Code that drops the old column, in one short transaction."""
        table, final = self.table, self.name if self.keeps_name else self.new
        if self.nullable:
            # This stops a deploy that applied the first revision without its backfill.
            check = short(f"{table}_{self.new}_is_filled")
            filled = f"{quoted(self.new)} IS NOT NULL OR {quoted(self.name)} IS NULL"
            before = in_autocommit(*checked(table, check, filled))
        else:
            check = name_of_check(table, self.new)
            before = in_autocommit(*checked_not_null(table, self.new, check))
            before.append(self._alter(self.new, self.new_type, "nullable=False"))
        if self.default is not None:
            default = f"server_default={self.default}"
            before.append(self._alter(self.new, self.new_type, default))
        renamed = self._rename(self.new, final) if self.keeps_name else []
        return [
            *before,
            f'op.drop_constraint({check!r}, {table!r}, type_="check")',
            *self._drop_trigger(),
            self._drop(self.name),
            *renamed,
        ]

    def _expand_again(self) -> list[str]:
        """Code that restores the old column, with its values and the trigger."""
        table, name, new = self.table, self.name, self.new
        column = f"sa.Column({name!r}, {self.type}, nullable=True)"
        lines = self._rename(name, new) if self.keeps_name else []
        lines += [
            f"op.add_column({table!r}, {column})",
            execute(
                f"UPDATE {quoted(table)} SET {quoted(name)} = {quoted(new)}"  # noqa: S608
                f" WHERE {quoted(new)} IS NOT NULL"
            ),
        ]
        if not self.nullable:
            lines.append(self._alter(name, self.type, "nullable=False"))
            lines.append(self._alter(new, self.new_type, "nullable=True"))
        if self.default is not None:
            default = f"server_default={self.default}"
            lines.append(self._alter(name, self.type, default))
            lines.append(self._alter(new, self.new_type, "server_default=None"))
        return [*lines, self._make_function(), self._make_trigger()]

    def _backfill(self) -> str:
        name, new = self.name, self.new
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

    def _alter(self, name: str, type_: str, what: str) -> str:
        table = self.table
        return f"op.alter_column({table!r}, {name!r}, existing_type={type_}, {what})"

    def _drop(self, name: str) -> str:
        return f"op.drop_column({self.table!r}, {name!r})"

    def _rename(self, name: str, new: str) -> list[str]:
        return [self._alter(name, self.new_type, f"new_column_name={new!r}")]

    @property
    def _trigger(self) -> str:
        return short(f"{self.table}_{self.name}_sync")

    def _make_function(self) -> str:
        old, new, trigger = map(quoted, (self.name, self.new, self._trigger))
        body = f"""
            CREATE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'INSERT' THEN
                    IF NEW.{new} IS NULL THEN
                        NEW.{new} := NEW.{old};
                    ELSE
                        NEW.{old} := NEW.{new};
                    END IF;
                ELSIF NEW.{new} IS DISTINCT FROM OLD.{new} THEN
                    NEW.{old} := NEW.{new};
                ELSIF NEW.{old} IS DISTINCT FROM OLD.{old} OR NEW.{new} IS NULL THEN
                    NEW.{new} := NEW.{old};
                END IF;
                RETURN NEW;
            END
            $$"""
        return f'op.execute(\n    """{re.sub("(?m)^ {4}", "", body)}"""\n)'

    def _make_trigger(self) -> str:
        table, trigger = quoted(self.table), quoted(self._trigger)
        return execute(
            f"CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION {trigger}()"
        )

    def _drop_trigger(self) -> list[str]:
        table, trigger = quoted(self.table), quoted(self._trigger)
        return [
            execute(f"DROP TRIGGER {trigger} ON {table}"),
            execute(f"DROP FUNCTION {trigger}()"),
        ]


def checked_not_null(table: str, name: str, check: str) -> list[str]:
    """Return code that ensures NOT NULL while the table is in use."""
    return checked(table, check, f"{quoted(name)} IS NOT NULL")


def checked(table: str, check: str, condition: str) -> list[str]:
    """Return code that checks every row while the table is in use; repeatable."""
    alter, constraint = f"ALTER TABLE {quoted(table)}", quoted(check)
    return [
        execute(f"{alter} DROP CONSTRAINT IF EXISTS {constraint}"),
        execute(f"{alter} ADD CONSTRAINT {constraint} CHECK ({condition}) NOT VALID"),
        execute(f"{alter} VALIDATE CONSTRAINT {constraint}"),
    ]


def in_autocommit(*lines: str) -> list[str]:
    """Lines that each commit at once."""
    block = "with op.get_context().autocommit_block():"
    return [block, *(f"    {line}" for line in lines)]


def violated_check(error: Exception) -> str | None:
    """Return the remedy for rows that break a checked constraint, by its name."""
    original = t.cast("t.Any", getattr(error, "orig", None))
    code = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if code != "23514":
        return None
    # asyncpg keeps them on the error itself, which SQLAlchemy's is raised from.
    details = getattr(original, "diag", None) or original.__cause__
    name, table = details.constraint_name, details.table_name
    kept = f"The constraint {name!r} stays if it was made before the rows were checked."
    if name.startswith(f"{table}_") and name.endswith("_is_set"):
        column = quoted(name[len(table) + 1 : -len("_is_set")])
        set_ = f"{quoted(table)} SET {column} = ... WHERE {column} IS NULL"
        return f"{kept} Fill what is NULL: UPDATE {set_}; and run the upgrade again."
    return f"{kept} Correct the rows that break it, and run the upgrade again."


def name_of_check(table: str, name: str) -> str:
    """The constraint that says that a column is not NULL."""
    return short(f"{table}_{name}_is_set")


def short(name: str) -> str:
    """A name that PostgreSQL does not cut, and that is no other's."""
    if len(name.encode()) <= 63:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[:54].decode(errors='ignore')}_{digest}"


def quoted(name: str) -> str:
    """A name as SQL of PostgreSQL."""
    return '"' + name.replace('"', '""') + '"'


def execute(sql: str) -> str:
    """A statement as code of a revision."""
    return f"op.execute({sql!r})"
