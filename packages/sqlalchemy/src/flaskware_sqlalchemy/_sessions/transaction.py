"""Blocks that commit, or undo what they did, and are tried again where that helps."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import inspect
import random
import time
import types
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

from flaskware_sqlalchemy._engines.deadlock import errno
from flaskware_sqlalchemy._engines.deadlock import ERRNOS
from flaskware_sqlalchemy._engines.deadlock import NO_SAVEPOINT
from flaskware_sqlalchemy._engines.sqlite import WRITING
from flaskware_sqlalchemy._engines.timeout import limit_transaction
from flaskware_sqlalchemy._errors import TransactionBegun

from .session import RoutedSession

_P = t.ParamSpec("_P")
_R = t.TypeVar("_R")

FIRST_DELAY = 0.02
"""How many seconds the first new try is put off at most; each later one twice."""

LONGEST_DELAY = 2.0
"""How many seconds a new try is put off at most."""

# PostgreSQL: serialization_failure, deadlock_detected, and the classes and states in
# which it ended the connection itself. https://www.postgresql.org/docs/current/
# errcodes-appendix.html
_SQLSTATES = {"40001", "40P01", "57P01", "57P02", "57P03"}
_SQLITE_BUSY = 5


def is_passing(error: BaseException) -> bool:
    """Whether the same work may succeed if it is simply done again."""
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
    if errno(error) == NO_SAVEPOINT:
        # To end a deadlock, the server undoes the transaction with its savepoints. An
        # inner block then fails a second time, and the first error tells why.
        return any(is_passing(earlier) for earlier in _before(error))
    return errno(error) in ERRNOS


def _before(error: BaseException) -> cabc.Iterator[BaseException]:
    """The errors that were being handled when this one was raised, the last first."""
    earlier = error.__cause__ or error.__context__
    while earlier is not None:
        yield earlier
        earlier = earlier.__cause__ or earlier.__context__


def delay(number: int) -> float:
    """How many seconds to wait before a new try, by chance, so that two do not meet.

    :param number: Of the try that failed, from 1.
    """
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (number - 1))
    return random.uniform(longest / 2, longest)


class Block:
    """One pass through a transaction, or through a savepoint inside of one.

    :param level: The isolation level, as SQLAlchemy names it.
    :param timeout: How many seconds a statement may take.
    """

    def __init__(
        self,
        session: RoutedSession,
        *,
        level: str | None = None,
        timeout: float | None = None,
    ) -> None:
        self.session = session
        self.is_inner = session.in_block
        self._level = level
        self._timeout = timeout
        self._is_committing = False
        self._savepoint: orm.SessionTransaction | None = None
        if self.is_inner and (level is not None or timeout is not None):
            raise TransactionBegun(
                "An isolation level and a timeout are those of a whole transaction, and"
                " this block is inside of another one. Give them to the outer block."
            )

    def begin(self) -> None:
        """Begin; a transaction that has only read so far is ended before."""
        session = self.session
        if self.is_inner:
            self._savepoint = session.begin_nested()
            return
        is_fresh = self._end_reads()
        if not is_fresh and (self._level is not None or self._timeout is not None):
            raise TransactionBegun(
                "The session has written already, or has changes that wait to be: its"
                " transaction can have no other isolation level or timeout. Commit"
                " before the block, or begin it earlier."
            )
        session.in_block = True
        if is_fresh and (self._level is not None or session.router.has_sqlite):
            session.use_options(**{"isolation_level": self._level, WRITING: True})
        if self._timeout is not None:
            event.listen(session, "after_begin", self._limit)

    def end(self, error: BaseException | None) -> None:
        """Commit, or roll back on an error."""
        if self.is_inner:
            savepoint = t.cast("orm.SessionTransaction", self._savepoint)
            if error is not None:
                _undo(savepoint, error)
                return
            try:
                savepoint.commit()
            except BaseException:
                # Where its flush fails, it is still there, and keeps the session from
                # going on.
                savepoint.rollback()
                raise
            return
        try:
            if error is None:
                self.session.flush()
                self._is_committing = True
                self.session.commit()
        except BaseException:
            self.session.rollback()
            raise
        else:
            if error is not None:
                self.session.rollback()
        finally:
            self._leave()

    def can_repeat(self, error: BaseException) -> bool:
        """Whether the block may be run again after an error.

        Not a savepoint, because what failed is the transaction around it, and not
        where the connection was lost during a commit, which may have succeeded.
        """
        if self.is_inner or not is_passing(error):
            return False
        lost = isinstance(error, sa_exc.DBAPIError) and error.connection_invalidated
        return not (self._is_committing and lost)

    def _end_reads(self) -> bool:
        """Whether the next statement will begin a transaction."""
        session = self.session
        if not session.in_transaction() or not session.has_connection:
            return True
        if session.wrote or session.new or session.dirty or session.deleted:
            return False
        if self._level or self._timeout or session.router.has_sqlite:
            # On SQLite one that has read cannot write once another process has.
            session.commit()
            return True
        return False

    def _limit(
        self,
        session: orm.Session,  # noqa: ARG002
        transaction: object,  # noqa: ARG002
        connection: sa.Connection,
    ) -> None:
        limit_transaction(connection, t.cast("float", self._timeout))

    def _leave(self) -> None:
        self.session.in_block = False
        self.session.use_options(**{"isolation_level": None, WRITING: None})
        if self._timeout is not None:
            event.remove(self.session, "after_begin", self._limit)


def _undo(savepoint: orm.SessionTransaction, error: BaseException) -> None:
    try:
        savepoint.rollback()
    except sa_exc.DBAPIError:
        # A deadlock has ended the savepoint too, and tells more than its absence.
        if not is_passing(error):
            raise


class Transaction(contextlib.AbstractContextManager[orm.Session, None]):
    """A transaction, as a block and as a decorator.

    Made by :meth:`SQLAlchemy.transaction`.
    """

    def __init__(self, make: cabc.Callable[[], Block], retries: int) -> None:
        self._make = make
        self._retries = retries
        self._entered: list[Block] = []

    def __enter__(self) -> orm.Session:
        block = self._make()
        block.begin()
        self._entered.append(block)
        return block.session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        block = self._entered.pop()
        try:
            block.end(error)
        except Exception as failed:
            note_single_pass(block, failed, self._retries)
            raise
        if error is not None:
            note_single_pass(block, error, self._retries)

    def __call__(self, function: cabc.Callable[_P, _R]) -> cabc.Callable[_P, _R]:
        if inspect.iscoroutinefunction(function):
            raise TypeError(
                f"{function.__qualname__} is a coroutine function: write"
                " `@db.async_transaction()`."
            )

        @functools.wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            number = 1
            while True:
                block = self._make()
                block.begin()
                try:
                    try:
                        result = function(*args, **kwargs)
                    except BaseException as error:
                        block.end(error)
                        raise
                    block.end(None)
                except Exception as error:
                    if number > self._retries or not block.can_repeat(error):
                        raise
                else:
                    return result
                time.sleep(delay(number))
                number += 1

        return run


def note_single_pass(block: Block, error: BaseException, retries: int) -> None:
    """Say at an error that another try may have helped why there was none."""
    if retries and block.can_repeat(error):
        error.add_note(
            "The body of a `with` block cannot be run a second time. Move it to a"
            " function with the decorator `@db.transaction(retries=…)`."
        )
