"""Statements of a revision, where the database commits each change at once.

MySQL and MariaDB cannot roll a changed schema back. So each statement is written down
before and after it, on the connection that runs it: a statement that changes rows is
in the same transaction as its line here, and a statement that changes the schema
commits all before it. The lines of a revision that is not applied show how far it came.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic._databases.database import VersionTable
from flaskware_alembic._errors import HalfApplied
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import Assumed
from flaskware_alembic._results import JournalEntry
from flaskware_alembic._sql.change import Change
from flaskware_alembic._sql.statement import changes_of_sql


class Journal:
    """The statements that were begun of a revision that is not applied.

    They are in a table beside the versions.
    """

    def __init__(self, versions: VersionTable) -> None:
        self._table = sa.Table(
            f"{versions.name}_journal",
            sa.MetaData(),
            sa.Column("revision", sa.String(255), primary_key=True),
            sa.Column("direction", sa.String(10), nullable=False),
            sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("statement", sa.Text, nullable=False),
            sa.Column("is_done", sa.Boolean, nullable=False),
            schema=versions.schema,
        )

    def entries(self, connection: sa.Connection) -> list[JournalEntry]:
        """Return the statements that were begun; leaves no transaction open."""
        found: list[JournalEntry] = []
        if sa.inspect(connection).has_table(self._table.name, self._table.schema):
            rows = connection.execute(
                sa.select(self._table).order_by("revision", "position")
            )
            found.extend(JournalEntry(*row) for row in rows)
        connection.rollback()
        return found

    def create(self, connection: sa.Connection) -> None:
        """Make the table if there is none."""
        self._table.create(connection, checkfirst=True)
        connection.commit()

    def drop(self, connection: sa.Connection) -> None:
        """Drop the table, once all that was begun is finished."""
        self._table.drop(connection, checkfirst=True)
        connection.commit()

    def forget(self, connection: sa.Connection, revision: str | None = None) -> None:
        """Drop the lines of one revision or of all, in the transaction there is."""
        statement = sa.delete(self._table)
        if revision is not None:
            statement = statement.where(self._table.c.revision == revision)
        connection.execute(statement)

    def settle(
        self,
        connection: sa.Connection,
        entries: cabc.Sequence[JournalEntry],
        *,
        assume: Assumed | None,
    ) -> list[JournalEntry]:
        """Find out which statements that were begun were done.

        :returns: The statements that were done.
        :raises HalfApplied: if the schema does not show it and nothing is assumed.
        """
        done: list[JournalEntry] = []
        for entry in entries:
            answer = entry.is_done or self._was_done(connection, entry, assume)
            if answer:
                done.append(dc.replace(entry, is_done=True))
        connection.rollback()
        kept = {(entry.revision, entry.position) for entry in done}
        for entry in entries:
            line = self._line_of(entry)
            if (entry.revision, entry.position) not in kept:
                connection.execute(sa.delete(self._table).where(line))
            elif not entry.is_done:
                connection.execute(
                    sa.update(self._table).where(line).values(is_done=True)
                )
        connection.commit()
        return done

    def recording(
        self,
        impl: t.Any,
        function: cabc.Callable[..., object],
        *,
        revision: str,
        direction: str,
        done: cabc.Sequence[JournalEntry],
    ) -> cabc.Callable[..., None]:
        """Return the function of a revision that writes down each of its statements.

        :param impl: The object with which Alembic sends statements.
        :param done: Statements that were done before, which are passed over.
        """

        def run(**arguments: t.Any) -> None:
            # Every statement of an operation passes this method, which has no public
            # hook that can leave one out.
            original = impl._exec  # noqa: SLF001
            position = -1

            def execute(construct: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
                nonlocal position
                position += 1
                text = _text_of(construct, impl.dialect)
                if position < len(done):
                    _refuse_other(done[position], text)
                    return None
                entry = JournalEntry(revision, direction, position, text, True)
                return self._written(
                    impl.connection, entry, original, construct, args, kwargs
                )

            impl._exec = execute  # noqa: SLF001
            try:
                function(**arguments)
            finally:
                del impl._exec  # noqa: SLF001

        return run

    def _written(
        self,
        connection: sa.Connection,
        entry: JournalEntry,
        execute: cabc.Callable[..., t.Any],
        construct: t.Any,
        args: t.Any,
        kwargs: t.Any,
    ) -> t.Any:
        changes_rows = _changes_rows(entry.statement)
        values = {**dc.asdict(entry), "is_done": changes_rows}
        connection.execute(sa.insert(self._table).values(values))
        line = self._line_of(entry)
        try:
            result = execute(construct, *args, **kwargs)
        except Exception:
            # Its own line went into the transaction that it committed, if it did.
            connection.exec_driver_sql("ROLLBACK")
            connection.execute(sa.delete(self._table).where(line))
            connection.exec_driver_sql("COMMIT")
            raise
        if not changes_rows:
            connection.execute(sa.update(self._table).where(line).values(is_done=True))
            # The statement committed all before it, so this commits nothing else.
            connection.exec_driver_sql("COMMIT")
        return result

    def _line_of(self, entry: JournalEntry) -> sa.ColumnElement[bool]:
        columns = self._table.c
        is_revision: sa.ColumnElement[bool] = columns.revision == entry.revision
        return is_revision & (columns.position == entry.position)

    def _was_done(
        self, connection: sa.Connection, entry: JournalEntry, assume: Assumed | None
    ) -> bool:
        inspector = sa.inspect(connection)
        answers = {
            _is_in_schema(change, inspector)
            for change in changes_of_sql(entry.statement, "mysql")
        }
        if answers == {True}:
            return True
        if answers == {False}:
            return False
        if assume is None:
            raise HalfApplied(
                f"Revision {entry.revision} was cut off in the middle of"
                f" `{entry.statement}`, and the schema does not show whether that was"
                " done. Look, then pass --assume done or --assume undone.",
                entries=(entry,),
            )
        return assume == "done"


def report(entries: cabc.Sequence[JournalEntry], name: str) -> HalfApplied:
    """Return the error for a half-applied revision, with all of its statements."""
    revision, direction = entries[0].revision, entries[0].direction
    lines = [
        f"  {'done' if entry.is_done else 'begun'}: {' '.join(entry.statement.split())}"
        for entry in entries
    ]
    command = "upgrade" if direction == "upgrade" else f"downgrade {revision}"
    return HalfApplied(
        f"The {direction} of revision {revision} in the database {name!r} was cut off"
        " half way, and the database cannot roll it back. These statements were"
        " sent:\n" + "\n".join(lines) + f"\nRun: flask db {command} --resume, which"
        " goes on after them. If you undid them by hand: flask db stamp with the"
        " revision the database is at.",
        entries=tuple(entries),
    )


def _text_of(construct: t.Any, dialect: sa.Dialect) -> str:
    if isinstance(construct, str):
        return construct
    if isinstance(construct, sa.schema.ExecutableDDLElement):
        # Alembic's own compilers refuse options, and DDL has no parameters.
        return str(construct.compile(dialect=dialect)).strip()
    try:
        compiled = construct.compile(
            dialect=dialect, compile_kwargs={"literal_binds": True}
        )
    except (sa_exc.CompileError, NotImplementedError):
        compiled = construct.compile(dialect=dialect)
    return str(compiled).strip()


def _changes_rows(statement: str) -> bool:
    kinds = {change.kind for change in changes_of_sql(statement, "mysql")}
    return kinds <= {"insert", "update", "delete"}


def _refuse_other(entry: JournalEntry, text: str) -> None:
    if " ".join(entry.statement.split()) != " ".join(text.split()):
        raise MigrationError(
            f"Revision {entry.revision} was changed where it had been applied: it"
            f" sent `{entry.statement}` and now says `{text}`. Put that back, and"
            " change what follows."
        )


def _is_in_schema(change: Change, inspector: sa.Inspector) -> bool | None:
    """True if the schema is as after a change; ``None`` where that cannot be seen."""
    if change.table is None:
        return None
    schema, _, table = change.table.rpartition(".")
    name, location = change.name, (table, schema or None)
    if change.kind in {"create_table", "drop_table"}:
        return inspector.has_table(*location) == (change.kind == "create_table")
    if change.kind == "rename_table":
        return inspector.has_table(str(change.other), location[1])
    if not inspector.has_table(*location):
        return None
    columns = {column["name"] for column in inspector.get_columns(*location)}
    indexes = {index["name"] for index in inspector.get_indexes(*location)}
    keys = {key["name"] for key in inspector.get_foreign_keys(*location)}
    checks = {check["name"] for check in inspector.get_check_constraints(*location)}
    seen: dict[str, bool] = {
        "add_column": name in columns,
        "drop_column": name not in columns,
        "rename_column": change.other in columns and name not in columns,
        "create_index": name in indexes,
        "drop_index": name not in indexes,
        "add_unique": name in indexes,
        "add_foreign_key": name in keys,
        "add_check": name in checks,
        "drop_constraint": name not in indexes | keys | checks,
    }
    return seen.get(change.kind) if name is not None else None
