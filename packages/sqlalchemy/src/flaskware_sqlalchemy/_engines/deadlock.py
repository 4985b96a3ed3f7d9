"""What MySQL and MariaDB say after they have ended a transaction by themselves."""

from __future__ import annotations

import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

# Lock wait timeout, deadlock, and MariaDB's "record has changed".
ERRNOS = {1020, 1205, 1213}
# What was to be rolled back to does not exist.
NO_SAVEPOINT = 1305

_ended: weakref.WeakKeyDictionary[sa.Connection, sa_exc.DBAPIError]
_ended = weakref.WeakKeyDictionary()


def errno(error: sa_exc.DBAPIError) -> int | None:
    """The number that the server gives an error."""
    arguments: tuple[t.Any, ...] = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def prepare(engine: sa.Engine) -> None:
    """Let an error about a savepoint tell of the deadlock that took it away.

    Python itself notes which error was being handled when another was raised; not so
    with the asynchronous drivers, where another greenlet raises the second one.
    """
    if engine.dialect.name in {"mysql", "mariadb"}:
        event.listen(engine, "handle_error", _note)


def _note(context: sa.ExceptionContext) -> None:
    connection, error = context.connection, context.sqlalchemy_exception
    if connection is None or not isinstance(error, sa_exc.DBAPIError):
        return
    number = errno(error)
    if number in ERRNOS:
        # A copy: the error itself has frames that keep the connection.
        orig = t.cast("BaseException", error.orig)
        copy = type(orig)(*orig.args)
        _ended[connection] = type(error)(error.statement, None, copy)
    elif number == NO_SAVEPOINT and context.original_exception.__context__ is None:
        context.original_exception.__context__ = _ended.get(connection)
