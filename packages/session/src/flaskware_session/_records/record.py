"""Records of sessions as a store keeps them, and their public descriptions."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime as dt
import typing as t

from .token import handle_of

Clock: t.TypeAlias = cabc.Callable[[], float]
"""Returns the time in seconds since 1970, as :func:`time.time` does."""


@dc.dataclass(frozen=True, slots=True)
class Record:
    """One session as it is stored. All times are milliseconds since 1970.

    :param key: The SHA-256 of the session's id, in hexadecimal.
    :param data: The encoded content; a store does not look inside.
    :param version: Counts the changes of ``data``, from 1; 0 for an alias.
    :param expires: When the session ends unless it is used before.
    :param user_id: The user who is signed in, or ``None``.
    :param address: The client's address when it signed in; in an alias, the key that
        the session has now.
    :param issued: When the session got the id that it has.
    """

    key: str = dc.field(repr=False)
    data: str = dc.field(repr=False)
    version: int
    created: int
    last_seen: int
    expires: int
    user_id: str | None = None
    # In an alias it is a key.
    address: str = dc.field(default="", repr=False)
    agent: str = ""
    issued: int = 0

    @property
    def is_alias(self) -> bool:
        """True if the session has another id by now.

        Such a record is for requests that were under way with the old id. It is never
        touched, updated or listed, and belongs to no user.
        """
        return self.version == 0

    @property
    def successor(self) -> str | None:
        """The key that the session of an alias has now; ``None`` for a session."""
        return self.address if self.is_alias else None


@dc.dataclass(frozen=True, slots=True)
class Lifetime:
    """Timeouts of a session, in milliseconds.

    :param idle: The longest pause between two requests.
    :param absolute: The longest time from its creation, whatever happens.
    :param touch_interval: How often at most a request that only reads is noted.
    :param renewal: After how long an id is replaced; ``None`` for never.
    :param grace: How long the old id can still be read with.
    """

    idle: int
    absolute: int
    touch_interval: int
    renewal: int | None = None
    grace: int = 0

    def expires(self, created: int, now: int) -> int:
        """Return when a session ends that is used now."""
        return min(now + self.idle, created + self.absolute)

    def touched(self, record: Record, now: int) -> Record | None:
        """Return the record with this use noted; ``None`` if that is not due yet."""
        if now - record.last_seen < self.touch_interval or record.is_alias:
            return None
        expires = self.expires(record.created, now)
        return dc.replace(record, last_seen=now, expires=expires)


@dc.dataclass(frozen=True, slots=True)
class Written:
    """Outcome of a conditional write.

    :param saved: Whether the store holds the new record now.
    :param current: If not saved, what the store holds; ``None`` if the session is
        gone, in which case it must stay gone.
    """

    saved: bool
    current: Record | None = None


@dc.dataclass(frozen=True, slots=True)
class StoreStats:
    """Counts of what a store holds.

    :param sessions: Sessions that have not expired.
    :param users: Different users who are signed in.
    :param expired: Sessions that have expired and are still to be removed.
    """

    sessions: int
    users: int
    expired: int = 0


@dc.dataclass(frozen=True, slots=True)
class SessionInfo:
    """A device on which a user is signed in.

    :param handle: Names the session in a page or a URL; see ``Sessions.revoke``.
    :param address: The client's address when it signed in.
    :param agent: The User-Agent of its browser at that time.
    :param is_current: Whether it is the session of this request.
    """

    handle: str
    created: dt.datetime
    last_seen: dt.datetime
    address: str
    agent: str
    is_current: bool

    @classmethod
    def of(cls, record: Record, *, is_current: bool) -> t.Self:
        """Return the public description of a record."""
        return cls(
            handle=handle_of(record.key),
            created=_time(record.created),
            last_seen=_time(record.last_seen),
            address=record.address,
            agent=record.agent,
            is_current=is_current,
        )


def last_seen_first(records: cabc.Iterable[Record], now: int) -> list[Record]:
    """Return the records that have not expired, the last seen first."""
    live = [record for record in records if record.expires > now]
    return sorted(live, key=lambda record: record.last_seen, reverse=True)


def over_limit(
    records: cabc.Iterable[Record], count: int, now: int, keep: str
) -> list[str]:
    """Return the keys of a user's records that a maximum leaves no room for.

    If another sign-in has ended the record to keep, it takes no room.
    """
    found = sorted(records, key=lambda r: (r.key == keep, r.last_seen, r.key))
    return [r.key for r in reversed(found) if r.expires > now][count:]


def _time(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, tz=dt.UTC)
