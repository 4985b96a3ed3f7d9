from __future__ import annotations

import collections.abc as cabc
import typing as t

from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written


@t.runtime_checkable
class Store(t.Protocol):
    """Where sessions are kept. Implement this to keep them elsewhere.

    Each method is one atomic step, and one trip where there is a network. It may be
    called by several threads at once, and after a fork in the child. ``now`` is the
    time to judge by; an expired record counts as gone everywhere. Where the store
    cannot answer within a bounded time, raise :class:`StoreUnavailable`; a record
    that cannot be understood counts as gone.

    ``flaskware_session.testing.StoreSuite`` tests an implementation.
    """

    def read(self, key: str, now: int, interval: int) -> Record | None:
        """Return a record, and note the use where ``Record.touched`` says so.

        :param interval: How often at most a read is noted, in milliseconds.
        """
        ...

    def create(self, record: Record, now: int) -> bool:
        """Store a new record and list it under its user, if it has one.

        :return: Whether it is stored: not where the key has a record already.
        """
        ...

    def update(self, record: Record, now: int) -> Written:
        """Store a record in place of the record that has its key.

        Only if the stored version is ``record.version - 1``; nothing is created.
        The user of a record never changes this way.
        """
        ...

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        """Remove the record of ``old_key`` and store ``record``, both or none.

        Only if the old version is ``record.version - 1``; or if the old record is gone
        and ``record`` is there, as after an attempt whose answer was lost.
        """
        ...

    def delete(self, key: str, *, version: int | None = None) -> bool:
        """Remove a session's record; say whether there was one.

        :param version: Remove it only if it has this version.
        """
        ...

    def for_user(self, user_id: str, now: int) -> list[Record]:
        """Return a user's records, the last seen first, by an index."""
        ...

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        """Remove a user's records; count them.

        :param keep: The key of a record that stays.
        """
        ...

    def delete_users(
        self, user_ids: cabc.Collection[str], *, keep: str | None = None
    ) -> int:
        """Remove the records of several users; count them.

        By default one user after the other, and so not one step.

        :param keep: The key of a record that stays.
        """
        return sum(self.delete_user(user_id, keep=keep) for user_id in user_ids)

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """Remove a user's records beyond so many, the longest unseen first.

        :param keep: The key of a record that is counted and always stays.
        :return: How many were removed.
        """
        ...

    def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        """Return a part of the sessions in which a user is signed in.

        In any order. A record that is there from the first call to the last is in one
        of the parts, or in several; others may be in none.

        :param cursor: Empty at first, and then that of the last part.
        :param limit: About how many sessions to look at.
        """
        ...

    def prune(self, now: int, limit: int) -> int:
        """Remove at most ``limit`` expired records; count them."""
        ...

    def stats(self, now: int) -> StoreStats:
        """Count what is stored."""
        ...

    def ping(self) -> None:
        """Raise :class:`StoreUnavailable` if the store does not answer."""
        ...

    def close(self) -> None:
        """Give back connections; they are opened again when needed."""
        ...


@t.runtime_checkable
class BoundedStore(t.Protocol):
    """A store that has room for so much and no more, such as a server's memory."""

    def fullness(self) -> float | None:
        """Return the share of its room that is taken, from 0 to 1.

        :return: ``None`` if it has no limit.
        """
        ...


@t.runtime_checkable
class AmendingStore(t.Protocol):
    """A store that can keep others from a record while a change is made to it.

    It is asked to where a request met other writers twice. In a store without this,
    such a request tries again until nobody else was faster.
    """

    def amend(
        self, key: str, now: int, change: cabc.Callable[[Record], Record | None]
    ) -> Written | None:
        """Store a changed record, with nobody else in between.

        :param change: Returns the next version, or ``None`` to leave the record as it
            is. An error that it raises ends the step, with nothing stored. It may be
            called again where the store has to begin again.
        :return: ``None`` where the store cannot do this.
        """
        ...
