"""Reading and saving a session, whatever the store and the framework."""

from __future__ import annotations

import collections.abc as cabc
import logging
import random
import threading
import time
import typing as t

from ._codec import decode
from ._codec import encode
from ._codec import join
from ._errors import SessionTooLarge
from ._errors import StoreUnavailable
from ._record import Clock
from ._record import Lifetime
from ._record import Record
from ._record import Written
from ._session import PERMANENT
from ._session import ServerSession
from ._store import Store
from ._token import handle_of
from ._token import key_of
from ._token import new_token

logger = logging.getLogger("flaskware_session")

# Of the writers that meet, one succeeds each time.
_MAX_ATTEMPTS = 100
# Threads of one process whose writes met wait for each other, in one of this many
# queues, by session. The time is a bound for a queue whose store does not answer.
_QUEUES = 64
_QUEUE_TIMEOUT = 5.0


class SessionManager:
    """Reads and saves the sessions of one app.

    :param store: Replaced by another one only while tests are isolated.
    :param anonymous_on_outage: Go on with an empty session where the store does not
        answer, instead of raising.
    """

    def __init__(
        self,
        store: Store,
        lifetime: Lifetime,
        *,
        clock: Clock = time.time,
        max_bytes: int = 65536,
        anonymous_on_outage: bool = False,
    ) -> None:
        self.store = store
        self.lifetime = lifetime
        self.anonymous_on_outage = anonymous_on_outage
        self._clock = clock
        self._max_bytes = max_bytes
        self._queues = [threading.Lock() for _ in range(_QUEUES)]

    def now(self) -> int:
        """The time in milliseconds since 1970."""
        return int(self._clock() * 1000)

    def load(self, session: ServerSession) -> dict[str, t.Any]:
        """Fill a session from the store; at most one trip.

        :raises StoreUnavailable: once. After that the session is empty and stays
            so, that an error page which looks at it can be shown.
        """
        session._data = {}
        token = session._read_token()
        if token is None:
            return session._data
        try:
            record = self.store.read(key_of(token), self.now(), self.lifetime)
        except StoreUnavailable as error:
            session._outage = error
            logger.error("The session store failed to read: %s", error.reason)
            if self.anonymous_on_outage:
                return session._data
            raise
        data = None if record is None else decode(record.data)
        if record is None or data is None:
            if record is not None:
                handle = handle_of(record.key)
                logger.warning("Session %s cannot be understood: ignored", handle)
            return session._data
        session._record, session._token = record, token
        session._user_id = record.user_id
        session._address, session._agent = record.address, record.agent
        session._data = data
        return data

    def is_changed(self, session: ServerSession) -> bool:
        """Whether the content differs from what was read."""
        if not session._suspect or session._data is None:
            return False
        stored = {} if session._record is None else _items(session._record)
        return stored != encode(session._data)

    def bind(
        self, session: ServerSession, user_id: str, *, address: str, agent: str
    ) -> None:
        """Sign a user in: a new id and age, the content of an anonymous session.

        :raises StoreUnavailable: if the session could not be read.
        """
        session._loaded()
        if session._outage is not None:
            raise session._outage
        if session._user_id not in {None, user_id}:
            session.clear()
        session._user_id = user_id
        session._address, session._agent = address, agent
        session._renewed = session._fresh = True

    def end(self, session: ServerSession) -> None:
        """Remove a session from the store at once; the object starts empty."""
        token = session._token if session._record else session._read_token()
        # Before the trip: a store that fails must not leave the user signed in here.
        session._data = {}
        session._record = session._token = session._user_id = None
        _settle(session)
        if token is not None:
            session._cookie = "delete"
            try:
                self.store.delete(key_of(token))
            except StoreUnavailable as error:
                session._outage = error
                session._cookie = None
                logger.error("The session store failed to delete: %s", error.reason)
                raise

    def save(self, session: ServerSession) -> None:
        """Store what changed, and note on the session what its cookie needs.

        :raises StoreUnavailable: with nothing stored and the cookie to be left alone.
        :raises SessionTooLarge: naming the largest key.
        :raises UnstorableValue: naming the key.
        """
        if session._data is None or session._outage is not None:
            return
        try:
            if session._record is None:
                self._save_new(session, encode(session._data))
            elif session._renewed:
                self._save_renewed(session, session._record)
            elif session._suspect or session._forced:
                self._save_changed(session, session._record)
        except StoreUnavailable as error:
            session._outage = error
            session._cookie = None
            logger.error("The session store failed to write: %s", error.reason)
            raise

    def _save_new(self, session: ServerSession, items: dict[str, str]) -> None:
        if _is_empty(session, items):
            return
        token, now = new_token(), self.now()
        record = self._record_for(session, token, items, version=1, now=now)
        self.store.create(record, now)
        _stored(session, record, token)

    def _save_renewed(self, session: ServerSession, base: Record) -> None:
        items = encode(session._data or {})
        if _is_empty(session, items):
            self.store.delete(base.key)
            _forget(session)
            return
        changes = _Changes.between({} if session._cleared else _items(base), items)
        token = new_token()
        old_key = base.key

        def attempt(base: Record, items: dict[str, str], now: int) -> Written:
            record = self._record_for(
                session, token, items, version=base.version + 1, now=now
            )
            written = self.store.replace(old_key, record, now)
            if written.saved:
                _stored(session, record, token)
            return written

        merge = None if session._cleared else changes
        if self._attempt(attempt, base, items, merge):
            return
        # Who signs in, or starts afresh, does so also where the old session was
        # revoked meanwhile, and then without its content. A mere new id does not.
        if session._fresh:
            self._save_new(session, changes.applied_to({}))
        else:
            _drop(session, base)

    def _save_changed(self, session: ServerSession, base: Record) -> None:
        items = encode(session._data or {})
        changes = _Changes.between(_items(base), items)
        if not changes and not session._forced:
            return

        def attempt(base: Record, items: dict[str, str], now: int) -> Written:
            if _is_empty(session, items) and self.store.delete(
                base.key, version=base.version
            ):
                _forget(session)
                return Written(saved=True)
            record = self._renew(base, items, now)
            written = self.store.update(record, now)
            if written.saved:
                _stored(session, record, session._token, before=base)
            return written

        if not self._attempt(attempt, base, items, changes):
            _drop(session, base)

    def _attempt(
        self,
        attempt: cabc.Callable[[Record, dict[str, str], int], Written],
        base: Record,
        items: dict[str, str],
        changes: _Changes | None,
    ) -> bool:
        """Write until no other request was faster; ``False`` if the record is gone.

        After a conflict the request's own changes are made again on the content that
        the other one stored.
        """
        written = attempt(base, items, self.now())
        if written.saved or written.current is None:
            return written.saved
        # In a queue a thread meets only the first attempts of others and other
        # processes; without one, the slowest of many can lose every time.
        queue = self._queues[hash(base.key) % _QUEUES]
        queued = queue.acquire(timeout=_QUEUE_TIMEOUT)
        try:
            for number in range(_MAX_ATTEMPTS):
                base = written.current
                if changes is not None:
                    items = changes.applied_to(_items(base))
                written = attempt(base, items, self.now())
                if written.saved or written.current is None:
                    return written.saved
                time.sleep(random.uniform(0, min(number, 10) / 1000))
        finally:
            if queued:
                queue.release()
        raise StoreUnavailable(f"the session changed {_MAX_ATTEMPTS} times meanwhile")

    def _record_for(
        self,
        session: ServerSession,
        token: str,
        items: dict[str, str],
        *,
        version: int,
        now: int,
    ) -> Record:
        old = None if session._fresh else session._record
        created = now if old is None else old.created
        return Record(
            key=key_of(token),
            data=self._text(items),
            version=version,
            created=created,
            last_seen=now,
            expires=self.lifetime.expires(created, now),
            user_id=session._user_id,
            address=session._address,
            agent=session._agent,
        )

    def _renew(self, base: Record, items: dict[str, str], now: int) -> Record:
        return Record(
            key=base.key,
            data=self._text(items),
            version=base.version + 1,
            created=base.created,
            last_seen=now,
            expires=self.lifetime.expires(base.created, now),
            user_id=base.user_id,
            address=base.address,
            agent=base.agent,
        )

    def _text(self, items: dict[str, str]) -> str:
        text = join(items)
        # The encoding is pure ASCII, so characters are bytes.
        if len(text) > self._max_bytes:
            largest = max(items, key=lambda key: len(items[key]))
            raise SessionTooLarge(
                f"The session would hold {len(text)} bytes, more than"
                f" SESSION_MAX_BYTES = {self._max_bytes}. The largest key is"
                f" {largest!r} with {len(items[largest])} bytes: keep it elsewhere"
                " and its id here, or raise the limit."
            )
        return text


class _Changes:
    """What one request changed: values set, and keys deleted."""

    def __init__(self, changed: dict[str, str], deleted: frozenset[str]) -> None:
        self._changed = changed
        self._deleted = deleted

    @classmethod
    def between(cls, old: dict[str, str], new: dict[str, str]) -> t.Self:
        changed = {key: text for key, text in new.items() if old.get(key) != text}
        return cls(changed, frozenset(old.keys() - new.keys()))

    def __bool__(self) -> bool:
        return bool(self._changed or self._deleted)

    def applied_to(self, items: dict[str, str]) -> dict[str, str]:
        kept = {key: text for key, text in items.items() if key not in self._deleted}
        return kept | self._changed


def _is_empty(session: ServerSession, items: dict[str, str]) -> bool:
    """Whether nothing would be lost by not storing a session."""
    return session._user_id is None and not items.keys() - {PERMANENT}


def _items(record: Record) -> dict[str, str]:
    return encode(decode(record.data) or {})


def _stored(
    session: ServerSession,
    record: Record,
    token: str | None,
    *,
    before: Record | None = None,
) -> None:
    """Note that the session is what the store holds now."""
    # The cookie of a known id changes only with how long the browser keeps it.
    if before is None or _is_permanent(before) != _is_permanent(record):
        session._cookie = "set"
    session._record, session._token = record, token
    _settle(session)


def _settle(session: ServerSession) -> None:
    session._suspect = session._forced = False
    session._renewed = session._fresh = session._cleared = False


def _is_permanent(record: Record) -> bool:
    return '"_permanent":true' in record.data


def _forget(session: ServerSession) -> None:
    session._record = session._token = None
    session._cookie = "delete"
    _settle(session)


def _drop(session: ServerSession, base: Record) -> None:
    # The cookie stays as it is: the browser may hold the next session's by now.
    handle = handle_of(base.key)
    logger.info("Session %s ended meanwhile: a change was dropped", handle)
    _settle(session)
