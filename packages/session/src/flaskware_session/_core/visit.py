"""One request's use of a session: content read, content now, and the intent."""

from __future__ import annotations

import collections.abc as cabc
import enum
import typing as t

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.changes import Changes
from flaskware_session._records.codec import Content
from flaskware_session._records.codec import decode
from flaskware_session._records.codec import encode
from flaskware_session._records.codec import IMMUTABLE
from flaskware_session._records.codec import pack
from flaskware_session._records.codec import WRITES
from flaskware_session._records.record import Record
from flaskware_session._records.record import Timeouts
from flaskware_session._records.token import is_moved

PERMANENT = "_permanent"
"""The key that Flask keeps ``session.permanent`` under."""


class Intent(enum.IntEnum):
    """Effect of saving. Each member includes those before it."""

    KEEP = 0
    """Store the content if it differs from what was read."""
    UPDATE = 1
    """Store it although nothing differs."""
    RENEW = 2
    """Hand out a new id; the old id is good until the new id has been seen."""
    SIGN_IN = 3
    """Start a new session with the content. The old id shows nothing."""
    RESTART = 4
    """Start new content as well: nothing that was stored is merged into it."""


class Cookie(enum.Enum):
    """Effect of the response on the browser's cookie."""

    LEAVE = enum.auto()
    SET = enum.auto()
    DELETE = enum.auto()


class View(t.Protocol):
    """Something that shows the content, and writes back what was changed in it."""

    def flush(self, session: cabc.MutableMapping[str, t.Any]) -> None:
        """Check the content, and write back what was changed elsewhere.

        :raises SessionMismatch: naming the key whose value does not fit.
        """
        ...


class Visit:
    """Content that one request has read of a session, and its intent.

    Between saves, the content is the stored content with this request's changes.

    :param sent_ids: The ids in the request that have the right form.
    :param is_sent: Whether the headers of the response are made, so that no cookie
        can be added.
    """

    def __init__(
        self, sent_ids: cabc.Sequence[str] = (), *, is_sent: bool = False
    ) -> None:
        self.sent_ids = sent_ids
        self.is_sent = is_sent
        self.sent_id: str | None = None
        """The id of the request that opened a session."""
        self.found_key: str | None = None
        """The last key of a sent id that the store held something under."""
        self.record: Record | None = None
        """The record that the store holds, as far as this request knows."""
        self.items: dict[str, str] | None = None
        """Its content, encoded by key; ``None`` if nobody has needed that yet."""
        self.id: str | None = None
        """The id that the browser is to send from now on."""
        self.is_unreadable = False
        """True if the content of the sent session could not be understood."""
        self.is_due = False
        """True if it is time for a new id."""
        self.is_first_seen = False
        """True if the store does not know yet that the browser has this id."""
        self.is_over = False
        """True if the session has ended meanwhile, so that a change was not stored."""
        self.timeouts: Timeouts | None = None
        """Timeouts to store with the session, if they change."""
        self.carried: str | None = None
        """Content that the browser's cookie carries, in place of a stored session."""
        self.copied: Record | None = None
        """The persistent session of a sent id that was replaced long ago."""
        self.forget_foreign: cabc.Callable[[], None] | None = None
        """Removes the session of another extension that this session was taken from."""
        self.data: dict[str, t.Any] = {}
        self.user_id: str | None = None
        self.address = ""
        self.agent = ""
        self.intent = Intent.KEEP
        self.is_touched = False
        """True if a value was set, deleted, or handed out and can change inside."""
        self.is_reordered = False
        """True if equal content may have its keys in another order."""
        self.counted: dict[str, float] = {}
        """By how much keys were incremented, and not set since."""
        self.views: dict[type, View] = {}
        self.cookie = Cookie.LEAVE
        self.outage: StoreUnavailable | None = None
        self.waited = 0.0
        """Time that the request has waited for the store so far, in seconds."""

    @property
    def is_moved(self) -> bool:
        """True if the session was taken over from another extension."""
        return self.sent_id is not None and is_moved(self.sent_id)

    @property
    def is_new(self) -> bool:
        """True if the browser has brought no session."""
        return self.record is None and self.carried is None

    @property
    def is_due_to_save(self) -> bool:
        """True if there may be something to store."""
        return bool(
            self.is_touched
            or self.intent
            or self.views
            or self.is_due
            or self.is_first_seen
        )

    @property
    def starts_over(self) -> bool:
        """True if the session to store is new, with an age of its own."""
        return self.intent >= Intent.SIGN_IN

    @property
    def is_changed(self) -> bool:
        """True if the content differs from what was read."""
        if not self.is_touched:
            return False
        if self.record is None:
            return pack(self.data).text != (self.carried or "{}")
        return self.differs(pack(self.data))

    def differs(self, content: Content) -> bool:
        """Return whether content differs from what was read."""
        read = self._known().data
        if content.text == read:
            return False
        # The texts of equal contents differ only in these cases.
        if self.is_reordered or f'"{WRITES}":' in read:
            return content.items != self.items_read()
        return True

    def is_empty(self, items: cabc.Mapping[str, str]) -> bool:
        """Return whether nothing is lost if this content is not stored."""
        return self.user_id is None and not items.keys() - {PERMANENT}

    def items_read(self) -> dict[str, str]:
        """Return the content that was read, encoded by key."""
        if self.items is None:
            self.items = items_of(self._known())
        return self.items

    def changes(self, items: cabc.Mapping[str, str]) -> Changes:
        """Return what leads from the content that was read to these items."""
        base = {} if self.intent is Intent.RESTART else self.items_read()
        return Changes.between(base, items, self.counted)

    def opened(self, record: Record, data: dict[str, t.Any], id: str) -> None:
        """Take what the store holds."""
        self.record, self.data, self.id = record, data, id
        self.user_id = record.user_id
        self.address, self.agent = record.address, record.agent

    def carry(self, text: str) -> None:
        """Have the browser's cookie carry the content, as the store has no room."""
        if text != self.carried or self.intent is not Intent.KEEP:
            self.carried, self.cookie = text, Cookie.SET
        self.settled()
        self.is_touched = not IMMUTABLE.issuperset(map(type, self.data.values()))

    def require(self, intent: Intent) -> None:
        """Have the next save do at least this."""
        self.intent = max(self.intent, intent)

    def sign_in(self, user_id: str, *, address: str, agent: str) -> None:
        """Bind the session to a user; the content of another user is dropped."""
        if self.user_id not in {None, user_id}:
            self.clear()
        self.user_id, self.address, self.agent = user_id, address, agent
        self.require(Intent.SIGN_IN)

    def forget(self, key: str) -> None:
        """Drop a key, also where the content cannot be changed otherwise."""
        dict.pop(self.data, key)
        self.is_touched = self.is_reordered = True
        self.counted.pop(key, None)

    def make_permanent(self, value: bool) -> None:
        """Set whether the browser keeps the cookie when it is closed."""
        if value != bool(self.data.get(PERMANENT, False)):
            self.data[PERMANENT] = value
            self.is_touched = True
            self.counted.pop(PERMANENT, None)

    def clear(self) -> None:
        """Start a new session without content and user."""
        self.data.clear()
        self.counted.clear()
        self.views.clear()
        self.user_id = None
        self.is_touched = True
        self.intent = Intent.RESTART

    def stored(
        self,
        record: Record,
        items: dict[str, str],
        *,
        new_id: str | None = None,
        before: Record | None = None,
    ) -> None:
        """Note that the store holds this record now.

        :param items: Its content, encoded by key.
        :param new_id: If the browser is to have another id.
        :param before: The record that it replaces, if it is the same session.
        """
        self.carried = None
        if new_id is not None:
            self.id, self.cookie = new_id, Cookie.SET
        # The cookie of a known id changes only with how long the browser keeps it.
        elif before is not None and _outlives(before) != _outlives(record):
            self.cookie = Cookie.SET
        self.record, self.items = record, items
        self.is_over = self.is_due = self.is_first_seen = False
        self.timeouts = None
        self.settled()
        # The view may go on to change what it has been handed.
        self.is_touched = not IMMUTABLE.issuperset(map(type, self.data.values()))

    def merged(self) -> None:
        """Hold what others have stored too; what is the same stays as it is.

        Otherwise what they added would be taken for deleted at the next save.
        """
        mine, theirs = self.data, decode(self._known().data) or {}
        old, new = encode(mine), encode(theirs)
        for key in old.keys() - new.keys():
            del mine[key]
        for key in new:
            if old.get(key) != new[key]:
                mine[key] = theirs[key]
        self.is_reordered = True

    def reloaded(self, record: Record) -> None:
        """Hold what others have stored, and nothing of this request's changes."""
        self.record, self.items = record, None
        self.data = decode(record.data) or {}
        self.views.clear()
        self.settled()

    def settled(self) -> None:
        """Note that nothing is left to be stored."""
        self.intent = Intent.KEEP
        self.is_touched = self.is_reordered = False
        self.counted.clear()

    def ended(self) -> None:
        """Note that this request has removed the session, which was empty."""
        self.record = self.items = self.id = self.carried = None
        self.is_due = self.is_first_seen = False
        self.cookie = Cookie.DELETE
        self.settled()

    def signed_out(self) -> None:
        """Hold nothing, whatever becomes of the stored session."""
        self.data = {}
        self.views.clear()
        self.record = self.items = self.id = self.user_id = self.carried = None
        self.is_due = self.is_first_seen = False
        self.settled()

    def failed(self, error: StoreUnavailable) -> None:
        """Note that the store does not answer: the cookie must stay as it is."""
        self.outage = error
        self.cookie = Cookie.LEAVE

    def _known(self) -> Record:
        return t.cast("Record", self.record)


def items_of(record: Record) -> dict[str, str]:
    """Return the content of a record, encoded by key."""
    return encode(decode(record.data) or {})


def _outlives(record: Record) -> tuple[bool, int]:
    # A nested key of that name looks the same as the key itself.
    is_permanent = PERMANENT in record.data and items_of(record).get(PERMANENT)
    return is_permanent == "true", record.until if is_permanent == "true" else 0
