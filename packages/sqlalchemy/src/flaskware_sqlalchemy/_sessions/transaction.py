"""Transactions as blocks and decorators, with retries."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import functools
import inspect
import time
import types
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

from flaskware_core import backoff
from flaskware_sqlalchemy._engines.deadlock import is_passing
from flaskware_sqlalchemy._engines.sqlite import WRITING
from flaskware_sqlalchemy._engines.timeout import limit_transaction
from flaskware_sqlalchemy._errors import TransactionBegun

from .session import RoutedSession

_P = t.ParamSpec("_P")
_R = t.TypeVar("_R")

FIRST_DELAY = 0.02
"""Seconds before the second attempt at most; each later delay is twice as long."""

LONGEST_DELAY = 2.0
"""Seconds before any attempt at most."""


def delay(number: int) -> float:
    """Return the seconds to wait after an attempt that failed.

    :param number: The number of that attempt, from 1.
    """
    return backoff(number, first=FIRST_DELAY, longest=LONGEST_DELAY)


class Block:
    """One pass through a transaction, or through a savepoint inside a transaction.

    :param level: The isolation level, as SQLAlchemy names it.
    :param timeout: Seconds that a statement may take.
    :param read_only: True if it must not write.
    :param may_repeat: True if a rollback may be followed by another pass.
    """

    def __init__(
        self,
        session: RoutedSession,
        *,
        level: str | None = None,
        timeout: float | None = None,
        read_only: bool = False,
        may_repeat: bool = False,
    ) -> None:
        self.session = session
        self.is_inner = session.in_block
        self._may_repeat = may_repeat
        self._level = level
        self._timeout = timeout
        self._read_only = read_only
        self._is_committing = False
        self._savepoint: orm.SessionTransaction | None = None
        if self.is_inner and (level is not None or timeout is not None):
            raise TransactionBegun(
                "An isolation level and a timeout are for a whole transaction, and this"
                " block is inside another block. Pass them to the outer block."
            )
        if self.is_inner and read_only and not session.is_read_only:
            raise TransactionBegun(
                "The outer block of this block writes. Pass `read_only` to the outer"
                " block, or begin this block outside of it."
            )

    def begin(self) -> None:
        """Begin, after ending a transaction that has only read so far."""
        session = self.session
        if self._may_repeat and not self.is_inner and session.has_changes:
            raise TransactionBegun(
                "The session has uncommitted changes from before this function, and a"
                " retry would undo them for good. Commit before the call, make the"
                " changes inside the function, or leave out `retries`."
            )
        if self.is_inner:
            self._savepoint = session.begin_nested()
            return
        is_fresh = self._end_reads()
        if not is_fresh and self._is_special:
            raise TransactionBegun(
                "The session has already written, or has unflushed changes, so its"
                " isolation level and timeout cannot change, and it cannot become"
                " read-only. Commit before the block, or begin the block earlier."
            )
        session.in_block = True
        if self._read_only:
            session.read_only(True)
        if is_fresh and (self._level is not None or session.router.has_sqlite):
            writing = None if self._read_only else True
            session.use_options(**{"isolation_level": self._level, WRITING: writing})
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
                # If its flush failed, the savepoint is still open and would block the
                # session.
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
            self.session.run_hooks()

    def end_single_pass(self, error: BaseException | None, retries: int) -> None:
        """End the body of a ``with`` block.

        An error that a retry might have cured gets a note why there was none.
        """
        try:
            self.end(error)
        except Exception as failed:
            error = failed
            raise
        finally:
            if error is not None and retries and self.can_repeat(error):
                error.add_note(
                    "The body of a `with` block cannot be run a second time. Move it"
                    " to a function with the decorator `@db.transaction(retries=…)`."
                )

    def can_repeat(self, error: BaseException) -> bool:
        """Return True if the block may be run again after an error.

        A savepoint may not: the transaction around it failed. Neither may a block
        whose connection was lost during the commit, which may have succeeded.
        """
        if self.is_inner or not is_passing(error):
            return False
        lost = isinstance(error, sa_exc.DBAPIError) and error.connection_invalidated
        return not (self._is_committing and lost)

    @property
    def _is_special(self) -> bool:
        """True if the transaction has options, which need a new transaction."""
        return self._read_only or self._level is not None or self._timeout is not None

    def _end_reads(self) -> bool:
        """End a transaction that only read. Return True if the next is new."""
        session = self.session
        if not session.in_transaction() or not session.has_connection:
            return True
        if session.has_changes:
            return False
        if self._is_special or session.router.has_sqlite:
            # On SQLite, a transaction that has read cannot write once others have.
            session.commit()
            return True
        return False

    def _limit(
        self, _session: object, _begun: object, connection: sa.Connection
    ) -> None:
        limit_transaction(connection, t.cast("float", self._timeout))

    def _leave(self) -> None:
        self.session.in_block = False
        self.session.use_options(**{"isolation_level": None, WRITING: None})
        if self._read_only:
            self.session.read_only(False)
        if self._timeout is not None:
            event.remove(self.session, "after_begin", self._limit)


def _undo(savepoint: orm.SessionTransaction, error: BaseException) -> None:
    try:
        savepoint.rollback()
    except sa_exc.DBAPIError:
        # A deadlock removed the savepoint too, and is the error worth reporting.
        if not is_passing(error):
            raise


@dc.dataclass(eq=False, repr=False)
class Transaction(contextlib.AbstractContextManager[orm.Session, None]):
    """A transaction, as a block and as a decorator.

    Made by :meth:`SQLAlchemy.transaction`.
    """

    _open_session: cabc.Callable[[], orm.Session]
    _retries: int
    _level: str | None
    _timeout: float | None
    _read_only: bool = False
    _entered: list[Block] = dc.field(default_factory=list["Block"])

    def __enter__(self) -> orm.Session:
        block = self._begin()
        self._entered.append(block)
        return block.session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._entered.pop().end_single_pass(error, self._retries)

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
                block = self._begin(may_repeat=self._retries > 0)
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

    def _begin(self, *, may_repeat: bool = False) -> Block:
        session = t.cast("RoutedSession", self._open_session())
        block = Block(
            session,
            level=self._level,
            timeout=self._timeout,
            read_only=self._read_only,
            may_repeat=may_repeat,
        )
        block.begin()
        return block
