"""Advisory locks: names that one transaction at a time holds."""

from __future__ import annotations

import hashlib
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

from flaskware_sqlalchemy._errors import LockTaken
from flaskware_sqlalchemy._errors import ReadOnlySession
from flaskware_sqlalchemy._errors import TransactionBegun

from .session import RoutedSession

_HELD = "flaskware_sqlalchemy_locks"
# MariaDB has no value for no limit; MySQL has -1.
_FOREVER = 365 * 24 * 3600
# PostgreSQL: `lock_timeout` is over.
_LOCK_NOT_AVAILABLE = "55P03"


def lock(session: RoutedSession, name: str, timeout: float | None) -> None:
    """Take a lock for the rest of the transaction of a block.

    :param timeout: Seconds to wait; ``None`` for no limit, 0 not to wait at all.
    :raises LockTaken: if another transaction has it for longer.
    """
    if not session.in_block:
        raise TransactionBegun(
            "db.advisory_lock() holds a lock until the transaction ends, so it needs a"
            " block: write it in `with db.transaction():`."
        )
    if session.is_read_only:
        raise ReadOnlySession(
            "An advisory lock orders writes, and this block only reads. Leave out the"
            " lock, or `read_only=True`."
        )
    connection = session.connection()
    dialect = connection.dialect.name
    if dialect == "postgresql":
        is_taken = _lock_postgresql(connection, name, timeout)
    elif dialect in {"mariadb", "mysql"}:
        is_taken = _lock_mysql(connection, name, timeout)
    elif dialect == "sqlite":
        is_taken = True  # the transaction of a block has the whole database
    else:
        raise NotImplementedError(f"{dialect} has no advisory locks that are known.")
    if not is_taken:
        raise LockTaken(
            f"Another transaction has the lock {name!r}, and did not end within"
            f" {timeout:g} seconds."
        )


def _lock_postgresql(
    connection: sa.Connection, name: str, timeout: float | None
) -> bool:
    key = int.from_bytes(_digest(name)[:8], signed=True)
    if timeout is None:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
        return True
    if timeout == 0:
        tried = sa.select(sa.func.pg_try_advisory_xact_lock(key))
        return bool(connection.scalar(tried))
    usual = connection.scalar(sa.select(sa.func.current_setting("lock_timeout")))
    try:
        # An error ends no more than the savepoint. A lock stays after its release.
        with connection.begin_nested():
            _set_timeout(connection, f"{max(1, round(timeout * 1000))}ms")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
            _set_timeout(connection, str(usual))
    except sa_exc.DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        state = state or getattr(error.orig, "pgcode", None)
        if state != _LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def _set_timeout(connection: sa.Connection, value: str) -> None:
    connection.execute(sa.select(sa.func.set_config("lock_timeout", value, True)))


def _lock_mysql(connection: sa.Connection, name: str, timeout: float | None) -> bool:
    # These locks belong to the connection, and their names to the whole server.
    engine = connection.engine
    text = f"{engine.url.database}:{name}"
    seconds = _FOREVER if timeout is None else timeout
    if not event.contains(engine, "checkin", _release):
        event.listen(engine, "checkin", _release)
    connection.info[_HELD] = True
    taken = sa.select(sa.func.get_lock(_digest(text).hex()[:40], seconds))
    return bool(connection.scalar(taken))


def _release(dbapi: t.Any, record: t.Any) -> None:
    """Release the locks of a connection, whose transaction has ended."""
    if record.info.pop(_HELD, None) is not None and dbapi is not None:
        cursor = dbapi.cursor()
        cursor.execute("SELECT RELEASE_ALL_LOCKS()")
        cursor.close()


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
