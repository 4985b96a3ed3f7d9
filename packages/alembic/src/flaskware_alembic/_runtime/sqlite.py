"""Transactions of SQLite that apply a revision as a whole or not at all."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import typing as t

import sqlalchemy as sa
from alembic.operations import batch
from sqlalchemy import event

from flaskware_alembic._autogenerate.scratch import generated_read
from flaskware_alembic._errors import MigrationError


@contextlib.contextmanager
def whole_revisions(connection: sa.Connection) -> cabc.Generator[None]:
    """Prepare a connection that nothing was done with yet.

    DDL of SQLite is transactional, but the driver opens no transaction for it. And a
    table that is rebuilt is dropped, which with foreign keys on deletes the rows that
    refer to it; they can be turned off only outside of a transaction.
    """
    # With an async driver, the first only runs statements, and the second knows its
    # settings.
    adapted = t.cast("t.Any", connection.connection.dbapi_connection)
    raw = t.cast("t.Any", connection.connection.driver_connection)
    had_keys = bool(_run(adapted, "PRAGMA foreign_keys"))
    if had_keys:
        _outside_transaction(adapted, raw, "PRAGMA foreign_keys = OFF")

    def begin(_: object, __: object, statement: str, *___: object) -> None:
        # Just before the first statement, since a listener of the app's own may have
        # begun.
        is_begin = statement.lstrip()[:5].upper() == "BEGIN"
        if not is_begin and not raw.in_transaction and _driver_commits(raw):
            _run(adapted, "BEGIN")

    event.listen(connection, "before_cursor_execute", begin)
    try:
        yield
    finally:
        connection.rollback()
        if had_keys:
            _outside_transaction(adapted, raw, "PRAGMA foreign_keys = ON")


class ReferenceCheck:
    """Compares the broken references before and after a revision."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._before = self._broken()
        # Alembic leaves transactions alone that it finds open.
        connection.rollback()

    def __call__(self, name: str) -> None:
        """Refuse references that a revision broke; the transaction is still open.

        :raises MigrationError: naming the tables.
        """
        after = self._broken()
        worse = sorted(
            f"{table} -> {parent}"
            for (table, parent), count in after.items()
            if count > self._before[table, parent]
        )
        if worse:
            raise MigrationError(
                f"Revision {name} leaves rows that refer to nothing"
                f" ({', '.join(worse)}). Delete or fix them in the revision."
            )
        self._before = after

    def _broken(self) -> collections.Counter[tuple[str, str]]:
        rows = self._connection.exec_driver_sql("PRAGMA foreign_key_check")
        return collections.Counter((row[0], row[2]) for row in rows)


def _run(adapted: t.Any, statement: str) -> t.Any:
    """Run a statement beside SQLAlchemy, and return the first value it gives."""
    cursor = adapted.cursor()
    try:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    finally:
        cursor.close()
    return row[0] if row else None


def _driver_commits(raw: t.Any) -> bool:
    """True if `commit` of the driver ends a transaction begun by hand.

    It does not in either kind of autocommit: no isolation level, and `autocommit=True`
    of Python 3.12, whose attribute is -1 where it is not used.
    """
    return raw.isolation_level is not None and getattr(raw, "autocommit", -1) == -1


def _outside_transaction(adapted: t.Any, raw: t.Any, statement: str) -> None:
    # autocommit=False of Python 3.12 has a transaction open at any time.
    is_always_open = getattr(raw, "autocommit", None) is False
    if is_always_open:
        raw.autocommit = True
    _run(adapted, statement)
    if is_always_open:
        raw.autocommit = False


class _BatchWithoutGenerated(batch.ApplyBatchImpl):
    """A batch that copies no values of generated columns, which SQLite refuses.

    Alembic copies every column that it finds.
    """

    def __init__(self, *args: t.Any, **kw: t.Any) -> None:
        super().__init__(*args, **kw)
        for column in self.table.columns:
            if column.computed is not None:
                self.column_transfers[column.name] = {}


@contextlib.contextmanager
def generated_left_out() -> cabc.Generator[None]:
    """Let batches of Alembic copy tables with generated columns.

    It counts for the whole process; the environment of Alembic does so, too.
    """
    module: t.Any = batch
    original = module.ApplyBatchImpl
    module.ApplyBatchImpl = _BatchWithoutGenerated
    try:
        with generated_read():
            yield
    finally:
        module.ApplyBatchImpl = original
