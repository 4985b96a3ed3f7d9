"""Refusal of a thread's wait for a lock of SQLite that the thread itself holds.

SQLite has one writer. A second transaction of the same thread would wait for the first,
which goes on only after the wait: such as a task that Celery runs in the request.
"""

from __future__ import annotations

import threading
import typing as t

import sqlalchemy as sa
from sqlalchemy import event

from flaskware_sqlalchemy._errors import WaitForItself

_OWNER = "flaskware_sqlalchemy_owner"
_PATIENCE = "flaskware_sqlalchemy_busy_timeout"


class _Begun(t.NamedTuple):
    """A transaction that this thread has begun.

    :param info: That of the pooled connection, whose owner each transaction changes.
    :param changes: How many rows the connection had changed before.
    """

    dbapi: t.Any
    info: dict[str, t.Any]
    owner: object
    changes: int
    writes: bool

    @property
    def has_lock(self) -> bool:
        """True if the transaction is still open, and has written."""
        import sqlite3  # late: the driver of the connection has imported it

        if self.info.get(_OWNER) is not self.owner:
            return False
        try:
            is_open, changes = self.dbapi.in_transaction, self.dbapi.total_changes
        except sqlite3.ProgrammingError:  # it is closed
            return False
        return bool(is_open and (self.writes or changes != self.changes))


class OwnLocks(threading.local):
    """The transactions of one thread on one engine."""

    def __init__(self) -> None:
        self._begun: list[_Begun] = []

    def begin(self, connection: sa.Connection, dbapi: t.Any, *, writes: bool) -> None:
        """Note a transaction that begins; it waits for none of this thread's own."""
        info = t.cast("dict[str, t.Any]", connection.info)
        others = [one for one in self._begun if one.dbapi is not dbapi and one.has_lock]
        if others and _PATIENCE not in info:
            info[_PATIENCE] = dbapi.execute("PRAGMA busy_timeout").fetchone()[0]
            dbapi.execute("PRAGMA busy_timeout = 0")
        elif not others:
            restore_patience(dbapi, info)
        info[_OWNER] = owner = object()
        begun = _Begun(dbapi, info, owner, dbapi.total_changes, writes)
        self._begun = [*others, begun]


def restore_patience(dbapi: t.Any, info: dict[str, t.Any]) -> None:
    """Have a connection wait for other writers again."""
    patience = info.pop(_PATIENCE, None)
    if patience is not None and dbapi is not None:
        dbapi.execute(f"PRAGMA busy_timeout = {patience}")


def name_own_waits(engine: sa.Engine) -> None:
    """Raise :class:`WaitForItself` where a thread would wait for its own lock."""

    def convert(context: sa.ExceptionContext) -> BaseException | None:
        connection = context.connection
        if connection is None or "is locked" not in str(context.original_exception):
            return None
        return WaitForItself() if _PATIENCE in connection.info else None

    def give_back(dbapi: t.Any, record: t.Any) -> None:
        restore_patience(dbapi, record.info)

    event.listen(engine, "handle_error", convert)
    event.listen(engine, "checkin", give_back)
