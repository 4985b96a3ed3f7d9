"""Functions that are called once the transaction of a session is committed."""

from __future__ import annotations

import collections.abc as cabc
import inspect
import types
import typing as t

from sqlalchemy import event
from sqlalchemy import orm
from sqlalchemy.util import await_only

from flaskware_sqlalchemy._errors import OnCommitError

Hook: t.TypeAlias = cabc.Callable[[], object]


class CommitHooks:
    """Functions that wait for the commit of a session, and those whose time has come.

    A function belongs to the transaction or savepoint in which it was added. A
    savepoint that is released hands its functions on; a rollback drops them.
    """

    def __init__(self, session: orm.Session) -> None:
        self._session = session
        self._waiting: list[tuple[orm.SessionTransaction, Hook]] = []
        self._committed: list[Hook] = []
        event.listen(session, "after_commit", self._on_commit)
        event.listen(session, "after_transaction_end", self._on_end)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, function: Hook) -> None:
        """Add a function for the commit of the innermost transaction or savepoint."""
        session = self._session
        if not session.in_transaction():
            session.begin()
        self._waiting.append((_innermost(session), function))

    def run(self) -> None:
        """Call the functions whose transaction is committed, in their order.

        :raises OnCommitError: if some failed, after all have been called.
        """
        functions, self._committed = self._committed, []
        errors: list[Exception] = []
        for function in functions:
            try:
                function()
            except Exception as error:  # noqa: BLE001 raised below
                errors.append(error)
        if errors:
            raise OnCommitError(
                f"The transaction is committed. After it, {len(errors)} of"
                f" {len(functions)} functions of db.on_commit() failed",
                errors,
            )

    def _on_commit(self, session: orm.Session) -> None:
        ended = _innermost(session)
        outer = ended.parent if ended.nested else None
        if outer is None:
            self._committed += [function for _, function in self._waiting]
            self._waiting = []
            return
        self._waiting = [
            (outer if owner is ended else owner, function)
            for owner, function in self._waiting
        ]

    def _on_end(self, _: orm.Session, ended: orm.SessionTransaction) -> None:
        self._waiting = [item for item in self._waiting if item[0] is not ended]


class Begun:
    """A transaction of ``session.begin()``, which calls the functions at its end.

    They are called after the ``with`` block: SQLAlchemy refuses any use of the session
    before that.
    """

    def __init__(
        self, transaction: orm.SessionTransaction, run: cabc.Callable[[], None]
    ) -> None:
        self._transaction = transaction
        self._run = run

    def __enter__(self) -> orm.SessionTransaction:
        return self._transaction.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._transaction.__exit__(kind, error, trace)
        self._run()

    def commit(self) -> None:
        self._transaction.commit()
        self._run()

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._transaction, name)


def synchronous(function: Hook) -> Hook:
    """Return a function after checking that nothing has to await it.

    :raises TypeError: if it is a coroutine function.
    """
    if inspect.iscoroutinefunction(function):
        raise TypeError(
            f"{function.__qualname__} is a coroutine function: write"
            " `db.async_on_commit(…)`, in a coroutine."
        )
    return function


def awaited(function: Hook) -> Hook:
    """Return a function that calls another, and waits for it if it is a coroutine."""

    def call() -> None:
        result = function()
        if inspect.isawaitable(result):
            await_only(result)

    return call


def _innermost(session: orm.Session) -> orm.SessionTransaction:
    return t.cast(
        "orm.SessionTransaction",
        session.get_nested_transaction() or session.get_transaction(),
    )
