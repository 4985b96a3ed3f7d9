"""Rules of one app for its sessions, and the records that they lead to."""

from __future__ import annotations

import dataclasses as dc
import time
import typing as t

from flaskware_session._errors import SessionTooLarge
from flaskware_session._records.changes import ConflictPolicy
from flaskware_session._records.changes import with_mark
from flaskware_session._records.codec import Content
from flaskware_session._records.codec import WRITES
from flaskware_session._records.record import Clock
from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import Record
from flaskware_session._records.record import Timeouts
from flaskware_session._records.record import UNSEEN
from flaskware_session._records.token import Keys
from flaskware_session._records.token import proof_of


@dc.dataclass(frozen=True)
class SessionPolicy:
    """Rules of one app for its sessions.

    :param lifetime: Timeouts of the sessions of users, and of visitors where those
        have none of their own.
    :param visitor: Timeouts of sessions that nobody is signed in to.
    :param unseen: For how long a visitor's session is kept that no request has come
        back with, in milliseconds; ``None`` for as long as any.
    :param max_bytes: The largest encoded content, in bytes.
    :param anonymous_on_outage: Go on with an empty session where the store does not
        answer, instead of raising.
    :param max_per_user: How many sessions a user may have; ``None`` for any number.
    :param permanent: Whether a new session is permanent.
    :param clock: Returns the time in seconds since 1970.
    """

    lifetime: Lifetime
    visitor: Lifetime | None = None
    unseen: int | None = None
    keys: Keys = dc.field(default_factory=Keys)
    max_bytes: int = 65536
    anonymous_on_outage: bool = False
    on_conflict: ConflictPolicy = "last-wins"
    max_per_user: int | None = None
    permanent: bool = False
    clock: Clock = time.time

    def now(self) -> int:
        """Return the time in milliseconds since 1970."""
        return int(self.clock() * 1000)

    def check_size(self, content: Content) -> None:
        """Refuse content that is too large.

        :raises SessionTooLarge: naming the largest key.
        """
        items, size = content.items, len(content.text)
        # The encoding is pure ASCII, so characters are bytes.
        if size > self.max_bytes:
            largest = max(items, key=lambda key: len(items[key]))
            raise SessionTooLarge(
                f"The session would hold {size} bytes, more than SESSION_MAX_BYTES ="
                f" {self.max_bytes}. The largest key is {largest!r} with"
                f" {len(items[largest])} bytes: keep it elsewhere and its id here, or"
                " raise the limit."
            )

    @property
    def interval(self) -> int:
        """Shortest time between two reads that are noted as use, in milliseconds."""
        return self.lifetime.touch_interval

    def new_record(
        self,
        token: str,
        content: Content,
        *,
        version: int,
        created: int,
        now: int,
        user_id: str | None,
        address: str,
        agent: str,
        timeouts: Timeouts | None,
    ) -> Record:
        """Return the record of a session that begins.

        :raises SessionTooLarge: naming the largest key.
        """
        self.check_size(content)
        lifetime = self.lifetime_of(user_id)
        kind, idle, absolute = timeouts or ("", lifetime.idle, lifetime.absolute)
        if timeouts is None and user_id is None and self.unseen is not None:
            kind, idle = UNSEEN, min(self.unseen, idle)
        return Record(
            key=self.keys.of(token),
            data=content.text,
            version=version,
            created=created,
            last_seen=now,
            expires=min(now + idle, created + absolute),
            user_id=user_id,
            address=address,
            agent=agent,
            issued=now,
            idle=idle,
            until=created + absolute,
            kind=kind,
            proofs=proof_of(token),
        )

    def lifetime_of(self, user_id: str | None) -> Lifetime:
        """Return the timeouts of a visitor's session, or of a user's."""
        return self.visitor if user_id is None and self.visitor else self.lifetime

    def record_after(
        self, base: Record, content: Content, mark: str | None, **changes: t.Any
    ) -> Record:
        """Return the next version of a record, with other content.

        :param mark: Names the write, if it must not be made twice.
        :param changes: See :meth:`next_record`.
        :raises SessionTooLarge: naming the largest key.
        """
        self.check_size(content)
        text = content.text
        if mark is not None or f'"{WRITES}":' in base.data:
            text = with_mark(text, base.data, mark, self.now())
        return self.next_record(base, text, **changes)

    def next_record(
        self,
        base: Record,
        text: str,
        *,
        proofs: str,
        is_new_id: bool = False,
        is_seen: bool = False,
        timeouts: Timeouts | None = None,
    ) -> Record:
        """Return the next version of a record, as it is used now.

        :param proofs: Hashes of the secrets that open it from now on.
        :param is_new_id: Whether the browser gets a new id.
        :param is_seen: Whether a browser has come back with the session.
        :param timeouts: If they change.
        """
        now, kind, idle, until = self.now(), base.kind, base.idle, base.until
        if kind == UNSEEN and is_seen:
            kind = ""
        if timeouts is not None:
            kind, idle, until = timeouts.kind, timeouts.idle, timeouts.absolute
            until += base.created
        elif not kind:
            # The configuration may have changed since the session began.
            lifetime = self.lifetime_of(base.user_id)
            idle, until = lifetime.idle, base.created + lifetime.absolute
        return Record(
            base.key,
            text,
            base.version + 1,
            base.created,
            now,
            min(now + idle, until),
            base.user_id,
            base.address,
            base.agent,
            now if is_new_id else base.issued,
            idle,
            until,
            kind,
            proofs,
        )
