"""Rules of one app for its sessions, and the records that they lead to."""

from __future__ import annotations

import dataclasses as dc
import time

from flaskware_session._errors import SessionTooLarge
from flaskware_session._records.changes import ConflictPolicy
from flaskware_session._records.changes import with_mark
from flaskware_session._records.codec import Content
from flaskware_session._records.codec import WRITES
from flaskware_session._records.record import Clock
from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import Record
from flaskware_session._records.token import Keys


@dc.dataclass(frozen=True)
class SessionPolicy:
    """Rules of one app for its sessions.

    :param max_bytes: The largest encoded content, in bytes.
    :param anonymous_on_outage: Go on with an empty session where the store does not
        answer, instead of raising.
    :param max_per_user: How many sessions a user may have; ``None`` for any number.
    :param permanent: Whether a new session is permanent.
    :param clock: Returns the time in seconds since 1970.
    """

    lifetime: Lifetime
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

    def record_after(self, base: Record, content: Content, mark: str | None) -> Record:
        """Return the next version of a record, as it is used now.

        :param mark: Names the write, if it must not be made twice.
        :raises SessionTooLarge: naming the largest key.
        """
        self.check_size(content)
        text, now = content.text, self.now()
        if mark is not None or f'"{WRITES}":' in base.data:
            text = with_mark(text, base.data, mark, now)
        return Record(
            base.key,
            text,
            base.version + 1,
            base.created,
            now,
            self.lifetime.expires(base.created, now),
            base.user_id,
            base.address,
            base.agent,
            base.issued,
        )
