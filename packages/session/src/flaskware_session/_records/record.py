"""Records of sessions as a store keeps them, and their public descriptions."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime as dt
import logging
import typing as t

from flaskware_core import active_app
from flaskware_session._signals import notify

from .device import content_of
from .device import device_in
from .device import factors_in
from .device import Scalar
from .device import SIGN_IN
from .token import handle_of

logger = logging.getLogger("flaskware.session")

FOREVER = 253_402_300_800_000
"""Later than any time. As the interval of a read, it notes none."""

UNSEEN = "unseen"
"""Kind of a visitor's session that no request has come back with."""

PERSISTENT = "persistent"
"""Kind of a session whose user is to stay signed in when the browser is closed."""

CARRIED = "carried"
"""Kind of a visitor's session whose content a cookie has carried before."""

Clock: t.TypeAlias = cabc.Callable[[], float]
"""Returns the time in seconds since 1970, as :func:`time.time` does."""


@dc.dataclass(frozen=True, slots=True)
class Record:
    """One session as it is stored. All times are milliseconds since 1970.

    :param key: Names the session in the store; see ``_records/token.py``. It stays as
        long as the session does.
    :param data: The encoded content; a store does not look inside.
    :param version: Counts the changes of the record, from 1.
    :param expires: When the session ends unless it is used before.
    :param user_id: The user who is signed in, or ``None``.
    :param address: The client's address when it signed in.
    :param issued: When the session got the id that it has.
    :param idle: The longest pause between two requests, in milliseconds.
    :param until: When the session ends at the latest.
    :param kind: Empty where its timeouts are those of the app; otherwise a short name
        for what set them.
    :param proofs: Hashes of the secrets that open it.
    """

    key: str = dc.field(repr=False)
    data: str = dc.field(repr=False)
    version: int
    created: int
    last_seen: int
    expires: int
    user_id: str | None = None
    address: str = dc.field(default="", repr=False)
    agent: str = ""
    issued: int = 0
    idle: int = 0
    until: int = 0
    kind: str = ""
    proofs: str = dc.field(default="", repr=False)

    def touched(self, now: int, interval: int) -> Record | None:
        """Return the record with a use noted; ``None`` if that is not due yet.

        :param interval: How often at most a request that only reads is noted, in
            milliseconds; more often where the session may pause for a short time only,
            and never if it is ``FOREVER``.
        """
        if interval >= FOREVER or now - self.last_seen < min(interval, self.idle // 4):
            return None
        expires = min(now + self.idle, self.until)
        return dc.replace(self, last_seen=now, expires=expires)


def checked(key: str, values: cabc.Sequence[object]) -> Record | None:
    """Make a record of what a store holds; ``None`` if it cannot be one.

    All that comes from a store goes through here: another program, an operator or a
    fault of the disk may have put anything there.

    :param values: In the order of the fields after the key.
    """
    if tuple(map(type, values)) not in _TYPES:
        return foreign(key, "it has values of other types")
    record = Record(key, *t.cast("t.Any", values))
    times = (record.created, record.last_seen, record.expires, record.issued)
    numbers = (*times, record.idle, record.until, record.version - 1)
    if min(numbers) < 0 or max(numbers) >= FOREVER:
        return foreign(key, "it has numbers out of range")
    # Only such texts can be compared in constant time.
    if len(record.proofs) >= _MOST or not record.proofs.isascii():
        return foreign(key, "it has no hashes of secrets")
    return record


def foreign(key: str, reason: str) -> Record | None:
    """Report what is stored under the key of a session and is none.

    :param reason: Why not.
    :return: No record.
    """
    handle = handle_of(key)
    logger.warning("Session %s cannot be understood, %s: ignored", handle, reason)
    # A store may be used without an app as well.
    if active_app() is not None:
        notify("session-unreadable", handle=handle, reason=reason)
    return None


_TYPES = frozenset(
    (str, int, int, int, int, user, str, str, int, int, int, str, str)
    for user in (str, type(None))
)
_MOST = 4096


@dc.dataclass(frozen=True, slots=True)
class Lifetime:
    """Timeouts of a session, in milliseconds.

    :param idle: The longest pause between two requests.
    :param absolute: The longest time from its creation, whatever happens.
    :param touch_interval: How often at most a request that only reads is noted.
    :param renewal: After how long an id is replaced; ``None`` for never.
    :param grace: How long the old id is good for after the new id was first seen.
    """

    idle: int
    absolute: int
    touch_interval: int
    renewal: int | None = None
    grace: int = 0


OWN = "own"
"""Kind of a session whose timeouts were set for it alone."""


class Timeouts(t.NamedTuple):
    """Timeouts of one session, in place of those of the app, in milliseconds.

    :param kind: A short name for what set them; see :class:`Record`.
    """

    kind: str
    idle: int
    absolute: int


@dc.dataclass(frozen=True, slots=True)
class Written:
    """Outcome of a conditional write.

    :param saved: Whether the store holds the new record now.
    :param current: If not saved, what the store holds; ``None`` if the session is
        gone, in which case it must stay gone.
    """

    saved: bool
    current: Record | None = None


class Scanned(t.NamedTuple):
    """A part of the sessions of all users.

    :param records: Maybe none, although there are more.
    :param cursor: Where to go on; ``None`` if that was the last part.
    """

    records: list[Record]
    cursor: str | None


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
    :param user_id: The user who is signed in.
    :param label: The name that ``Sessions.set_device`` gave it, or an empty text.
    :param data: The other values that were set there.
    :param factors: When the user last gave each proof, ``"sign-in"`` among them; see
        ``Sessions.confirm_factor``.
    """

    handle: str
    created: dt.datetime
    last_seen: dt.datetime
    address: str
    agent: str
    is_current: bool
    user_id: str = ""
    label: str = ""
    data: dict[str, Scalar] = dc.field(default_factory=dict[str, Scalar])
    factors: dict[str, dt.datetime] = dc.field(default_factory=dict[str, dt.datetime])

    @classmethod
    def of(cls, record: Record, *, is_current: bool) -> t.Self:
        """Return the public description of a record."""
        content = content_of(record.data)
        label, data = device_in(content)
        factors = {SIGN_IN: record.created, **factors_in(content)}
        return cls(
            handle=handle_of(record.key),
            created=time_of(record.created),
            last_seen=time_of(record.last_seen),
            address=record.address,
            agent=record.agent,
            is_current=is_current,
            user_id=record.user_id or "",
            label=label,
            data=data,
            factors={name: time_of(moment) for name, moment in factors.items()},
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


def time_of(milliseconds: int) -> dt.datetime:
    """Return a moment given in milliseconds since 1970."""
    return dt.datetime.fromtimestamp(milliseconds / 1000, tz=dt.UTC)
