"""Operations that the generators of this room yield, for a driver to carry out.

Each is a plain value. The answer to it is sent into the generator; an outage of the
store is thrown into it.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flaskware_session._records.record import Record


class Read(t.NamedTuple):
    """:meth:`Store.read`."""

    key: str
    now: int
    interval: int


class Create(t.NamedTuple):
    """:meth:`Store.create`."""

    record: Record
    now: int


class Update(t.NamedTuple):
    """:meth:`Store.update`."""

    record: Record
    now: int


class Replace(t.NamedTuple):
    """:meth:`Store.replace`."""

    old_key: str
    record: Record
    now: int


class Amend(t.NamedTuple):
    """:meth:`AmendingStore.amend`; the answer is ``None`` in another store."""

    key: str
    now: int
    change: cabc.Callable[[Record], Record | None]


class Delete(t.NamedTuple):
    """:meth:`Store.delete`."""

    key: str
    version: int | None = None


class LimitUser(t.NamedTuple):
    """:meth:`Store.limit_user`."""

    user_id: str
    most: int
    now: int
    keep: str


class Ask(t.NamedTuple):
    """Ask the store what no breaker guards, such as for a user's sessions.

    :param question: Calls a method of the store and returns its answer.
    """

    question: cabc.Callable[[t.Any], t.Any]


class IsCrowded(t.NamedTuple):
    """Answer whether the store has no room for more sessions of visitors."""


class Queue(t.NamedTuple):
    """Wait until no other write of this session is queued; hold the place to the end.

    The driver gives up after a bounded time and goes on.
    """

    key: str


class Call(t.NamedTuple):
    """Call a function that may block, and answer with what it returns."""

    function: cabc.Callable[[], t.Any]


class Notify(t.NamedTuple):
    """Send a signal, and write a line to the log.

    :param signal: Its name.
    :param log: A format of the log with the handle of the session as its argument.
    """

    signal: str
    details: dict[str, t.Any]
    log: str | None = None


StoreOperation: t.TypeAlias = (
    Read | Create | Update | Amend | Replace | Delete | LimitUser
)
Operation: t.TypeAlias = StoreOperation | Ask | IsCrowded | Queue | Call | Notify

T = t.TypeVar("T")

Steps: t.TypeAlias = cabc.Generator[Operation, t.Any, T]
"""A generator that a driver runs; it returns a ``T``."""
