"""Errors after which the same transaction may succeed, such as a deadlock."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

# PostgreSQL: serialization_failure, deadlock_detected, and the states in which the
# server itself ended the connection. https://www.postgresql.org/docs/current/
# errcodes-appendix.html
_SQLSTATES = {"40001", "40P01", "57P01", "57P02", "57P03"}
_SQLITE_BUSY = 5
# MySQL and MariaDB: lock wait timeout, deadlock, and "record has changed".
_ERRNOS = {1020, 1205, 1213}
# The savepoint to roll back to does not exist.
_NO_SAVEPOINT = 1305

_ended: weakref.WeakKeyDictionary[sa.Connection, sa_exc.DBAPIError]
_ended = weakref.WeakKeyDictionary()


def is_passing(error: BaseException) -> bool:
    """Return True if the same work may succeed when it is done again."""
    if not isinstance(error, sa_exc.DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    cause: t.Any = error.orig
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state in _SQLSTATES or str(state).startswith("08"):
        return True
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return bool(code & 0xFF == _SQLITE_BUSY)  # its variants are in higher bits
    if _errno(error) == _NO_SAVEPOINT:
        # To end a deadlock, the server undoes the transaction with its savepoints. An
        # inner block then fails a second time; the first error is the reason.
        return any(is_passing(earlier) for earlier in _causes(error))
    return _errno(error) in _ERRNOS


def keep_deadlocks(engine: sa.Engine) -> None:
    """Link an error about a missing savepoint to the deadlock that removed it.

    Python itself notes the error that was being handled when another was raised. It
    cannot with asynchronous drivers, where another greenlet raises the second error.
    """
    if engine.dialect.name in {"mysql", "mariadb"}:
        event.listen(engine, "handle_error", _note)


def _note(context: sa.ExceptionContext) -> None:
    connection, error = context.connection, context.sqlalchemy_exception
    if connection is None or not isinstance(error, sa_exc.DBAPIError):
        return
    number = _errno(error)
    if number in _ERRNOS:
        # A copy: the error itself has frames that keep the connection.
        orig = t.cast("BaseException", error.orig)
        copy = type(orig)(*orig.args)
        _ended[connection] = type(error)(error.statement, None, copy)
    elif number == _NO_SAVEPOINT and context.original_exception.__context__ is None:
        context.original_exception.__context__ = _ended.get(connection)


def _errno(error: sa_exc.DBAPIError) -> int | None:
    """Return the number that the server gives an error."""
    arguments: tuple[t.Any, ...] = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _causes(error: BaseException) -> cabc.Iterator[BaseException]:
    """Yield the errors that were being handled when this was raised, the last first."""
    earlier = error.__cause__ or error.__context__
    while earlier is not None:
        yield earlier
        earlier = earlier.__cause__ or earlier.__context__
