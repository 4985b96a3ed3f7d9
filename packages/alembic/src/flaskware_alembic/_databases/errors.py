"""Errors of database drivers: their reason, and whether a retry may help."""

from __future__ import annotations

import typing as t

from sqlalchemy import exc as sa_exc

# PostgreSQL: lock_not_available. MySQL, MariaDB: ER_LOCK_WAIT_TIMEOUT.
_LOCKED: set[object] = {"55P03", 1205}
# Serialization failures and deadlocks.
_PASSING: set[object] = {*_LOCKED, "40001", "40P01", 1213}


def reason_of(error: Exception) -> str:
    """Return the driver's message, in one line and without the statement."""
    original = error.orig if isinstance(error, sa_exc.DBAPIError) else error
    lines = [line.strip() for line in str(original).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def is_lock_timeout(error: BaseException | None) -> bool:
    """True if a statement waited for a lock for too long."""
    return _has_code(error, _LOCKED)


def is_passing(error: BaseException | None) -> bool:
    """True if a retry may help: a lock, a deadlock, a serialization failure."""
    return _has_code(error, _PASSING)


def is_refused_in_transactions(error: BaseException | None) -> bool:
    """True if PostgreSQL runs a statement only outside of a transaction."""
    return _has_code(error, {"25001"})


# PostgreSQL: undefined_column, undefined_table. MySQL, MariaDB: ER_BAD_FIELD_ERROR,
# ER_NO_SUCH_TABLE.
_MISSING: set[object] = {"42703", "42P01", 1054, 1146}


def is_missing(error: BaseException | None) -> bool:
    """True if a statement names a table or column that the database lacks."""
    if _has_code(error, _MISSING):
        return True
    original: t.Any = error.orig if isinstance(error, sa_exc.DBAPIError) else None
    # SQLite has one code for every error in SQL.
    is_sqlite = hasattr(original, "sqlite_errorname")
    return (is_sqlite and "no such " in str(original)) or (
        is_sqlite and "has no column named" in str(original)
    )


def _has_code(error: BaseException | None, wanted: set[object]) -> bool:
    original: t.Any = error.orig if isinstance(error, sa_exc.DBAPIError) else None
    # The SQLSTATE and the driver's own number, where there are any.
    codes: set[object] = {getattr(original, n, None) for n in ("sqlstate", "pgcode")}
    codes.update(getattr(original, "args", ())[:1])
    name = getattr(original, "sqlite_errorname", "") or ""
    return bool(codes & wanted) or name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
