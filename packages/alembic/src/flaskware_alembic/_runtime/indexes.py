"""Indexes of PostgreSQL that were not finished.

``CREATE INDEX CONCURRENTLY`` that fails or is killed leaves an index that no query
uses. ``IF NOT EXISTS`` does not replace it.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import re
import typing as t

import sqlalchemy as sa
from sqlalchemy import event

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._sql.statement import changes_of_sql

# The session of another user shows only its database.
OURS = "flaskware_alembic_ours"
"""The option of a statement that no revision sends, among those of a revision."""

_INVALID = sa.text("""
    SELECT n.nspname AS schema, t.relname AS table, c.relname AS name,
        CASE WHEN n.nspname = current_schema() THEN ''
            ELSE quote_ident(n.nspname) || '.' END || quote_ident(c.relname) AS sql,
        pg_table_is_visible(t.oid) AS is_visible,
        (SELECT min(p.pid) FROM pg_stat_progress_create_index p
            WHERE p.datname = current_database()
            AND COALESCE(p.index_relid, c.oid) = c.oid) AS builder
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relkind = 'i'
    ORDER BY 1, 2, 3
""")


@dc.dataclass(frozen=True)
class InvalidIndex:
    """An index that no query uses.

    :param sql: Its name as SQL needs it.
    :param is_visible: Whether its table is found without the schema.
    :param builder: The session that builds it at this moment.
    """

    schema: str
    table: str
    name: str
    sql: str
    is_visible: bool
    builder: int | None

    @property
    def keys(self) -> set[str]:
        """The names that models may have for its table."""
        keys = {f"{self.schema}.{self.table}"}
        return keys | {self.table} if self.is_visible else keys


def invalid_indexes(connection: sa.Connection) -> list[InvalidIndex]:
    """Return those of a database; none on other databases than PostgreSQL."""
    if connection.dialect.name != "postgresql":
        return []
    rows = connection.execute(_INVALID, execution_options={OURS: True})
    return [InvalidIndex(*row) for row in rows]


_SPACE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)+"
_MAKES_INDEX = re.compile(
    rf"\bCREATE{_SPACE}(?:UNIQUE{_SPACE})?INDEX\b", re.DOTALL | re.IGNORECASE
)


@contextlib.contextmanager
def invalid_dropped(connection: sa.Connection) -> cabc.Generator[None]:
    """Drop an invalid index before an index of the same name is made."""
    if connection.dialect.name != "postgresql":
        yield
        return

    def before(
        connection: sa.Connection, _cursor: object, statement: str, *_: t.Any
    ) -> None:
        # Reading each statement in full would be slow where there are many.
        if not _MAKES_INDEX.search(statement):
            return
        for change in changes_of_sql(statement, "postgresql"):
            if change.kind == "create_index" and change.name and change.table:
                # A percent sign is doubled on its way to most drivers.
                table, name = change.table, change.name.replace("%%", "%")
                _drop_invalid(connection, table, name, online=change.is_flagged)

    event.listen(connection, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", before)


def _drop_invalid(
    connection: sa.Connection, table: str, name: str, *, online: bool
) -> None:
    for index in invalid_indexes(connection):
        if index.name != name or table not in index.keys:
            continue
        if index.builder is not None:
            raise MigrationError(
                f"The index {index.sql} is being built by the PostgreSQL session"
                f" {index.builder} at this moment. Try again when it is done, or end"
                f" it: SELECT pg_terminate_backend({index.builder})"
            )
        how = "CONCURRENTLY " if online else ""
        quoted = index.sql.replace(":", r"\:")
        connection.execute(sa.text(f"DROP INDEX {how}{quoted}"))
