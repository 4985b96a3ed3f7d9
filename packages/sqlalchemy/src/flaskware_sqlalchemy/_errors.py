from __future__ import annotations

import collections.abc as cabc
import typing as t

from sqlalchemy import exc as sa_exc

from flaskware_core import Unavailable


class UnknownBind(LookupError):
    """A model or a call names a database that is not configured.

    :param key: The name that was used.
    :param known: The names that are configured.
    """

    def __init__(self, key: str | None, known: cabc.Iterable[str | None]) -> None:
        self.key = key
        names = ", ".join(repr(name) for name in known if name is not None)
        if key is None:
            super().__init__(
                "There is no default database, only SQLALCHEMY_BINDS with"
                f" {names}. Set SQLALCHEMY_DATABASE_URI, or name one of these:"
                " `__bind_key__` in the model, `bind_key=` in the call, or"
                ' `bind_arguments={"bind": db.engines["…"]}` for raw SQL.'
            )
            return
        super().__init__(
            f"There is no database {key!r}: SQLALCHEMY_BINDS has {names or 'no names'}."
            f' Write SQLALCHEMY_BINDS = {{"{key}": "<URL>"}}, or correct the name'
            " (`__bind_key__` of a model, or the argument of the call)."
        )


class MixedBinds(ValueError):
    """One statement has parts of two databases, and no connection reaches both.

    :param keys: The names of the databases; ``None`` is the default database.
    """

    def __init__(self, keys: cabc.Iterable[str | None]) -> None:
        self.keys = sorted(keys, key=lambda key: key or "")
        names = " and ".join(repr(key or "default") for key in self.keys)
        super().__init__(
            f"The statement has tables of the databases {names}, and a statement runs"
            " on one. Read from the first, and use the result in a statement for the"
            " second; or give the models the same `__bind_key__`."
        )


class PageNotFound(LookupError):
    """A page does not exist."""


class PageMalformed(ValueError):
    """The number or the size of a page is not a number."""


class CursorInvalid(ValueError):
    """A cursor was not made here, or not for this statement."""


class TransactionBegun(RuntimeError):
    """A transaction has already begun, so a block cannot set its options or retry."""


class SessionShared(RuntimeError):
    """Two threads use one session at once."""


class ReadOnlySession(RuntimeError):
    """A statement would write in a session or a transaction that only reads."""


class SecretRefused(TypeError, sa_exc.DontWrapMixin):
    """A value for a secret column has the wrong type.

    SQLAlchemy would add all parameters to the message, and so the secret.
    """


class LockTaken(TimeoutError):
    """Another transaction has an advisory lock, longer than could be waited."""


class WaitForItself(RuntimeError):
    """A thread would wait for a lock of SQLite that it holds in another session."""

    def __init__(self) -> None:
        super().__init__(
            "Another session of this thread has written to the same SQLite database and"
            " is not committed yet, so this statement would wait for it forever. Commit"
            " it first, or use the same session. A task that runs in this process is"
            " sent after the commit: `db.on_commit(lambda: task.delay(…))`."
        )


class SchemaUnusable(RuntimeError):
    """A statement in a block of ``db.schemas()`` would use the default schema."""


class AsyncDriverMissing(RuntimeError):
    """There is no asynchronous driver for a database."""


class NPlusOneError(RuntimeError):
    """One line loads the same relationship of one object after another."""


class OnCommitError(ExceptionGroup[Exception]):
    """Functions of ``db.on_commit`` failed after the commit, which stays.

    Its ``exceptions`` are the error of each. The other functions were called.
    """


class DatabaseUnavailable(sa_exc.OperationalError, sa_exc.InterfaceError, Unavailable):
    """A database server did not answer; a request that needs it ends with 503.

    It is also the error that SQLAlchemy raises, for code that handles that.

    :param reason: Message of the driver. For logs: it is not part of the page.
    :param error: The error of the driver or of SQLAlchemy.
    """

    code: t.Any = 503
    description = "The database does not answer. Please try again in a moment."

    def __init__(self, reason: str, error: BaseException | None = None) -> None:
        statement, params, orig, is_lost = None, None, error, False
        if isinstance(error, sa_exc.DBAPIError):
            statement, params, orig = error.statement, error.params, error.orig
            is_lost = error.connection_invalidated
        orig = orig or ConnectionError(reason)
        super().__init__(statement, params, orig, connection_invalidated=is_lost)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason

    def __reduce__(self) -> tuple[t.Any, ...]:
        return type(self), (self.reason,)
