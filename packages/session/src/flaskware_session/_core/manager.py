"""Reading and saving a session, whatever the store and the framework."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import logging
import random
import threading
import time
import typing as t

from flaskware_session import _signals as signals
from flaskware_session._drive.asking import Asking
from flaskware_session._errors import SessionConflict
from flaskware_session._errors import SessionTooLarge
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.changes import Changes
from flaskware_session._records.changes import ConflictPolicy
from flaskware_session._records.codec import decode
from flaskware_session._records.codec import encode
from flaskware_session._records.codec import join
from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import Record
from flaskware_session._records.record import Written
from flaskware_session._records.token import handle_of
from flaskware_session._records.token import Keys
from flaskware_session._records.token import new_token
from flaskware_session._records.write_marks import is_made
from flaskware_session._records.write_marks import new_mark
from flaskware_session._records.write_marks import with_mark
from flaskware_session._stores.protocol import Store
from flaskware_session._web.session import ServerSession

from .ending import end_session
from .loader import alias_of
from .loader import Loader
from .noting import forget
from .noting import is_empty
from .noting import is_gone
from .noting import items_of
from .noting import refuse_new_id
from .noting import settle
from .noting import show
from .noting import stored

logger = logging.getLogger("flaskware_session")

# Of the writers that meet, one succeeds each time.
_MAX_ATTEMPTS = 100
# Threads of one process whose writes met wait for each other, in one of this many
# queues, by session.
_QUEUES = 64


@dc.dataclass(frozen=True)
class Rules:
    """What an app wants of its sessions beside their lifetime.

    :param anonymous_on_outage: Go on with an empty session where the store does not
        answer, instead of raising.
    :param max_per_user: How many sessions a user may have; ``None`` for any number.
    :param permanent: Whether a new session is.
    """

    max_bytes: int = 65536
    anonymous_on_outage: bool = False
    on_conflict: ConflictPolicy = "last-wins"
    max_per_user: int | None = None
    permanent: bool = False


class SessionManager:
    """Reads and saves the sessions of one app."""

    def __init__(
        self, asking: Asking, lifetime: Lifetime, rules: Rules, keys: Keys
    ) -> None:
        self.asking = asking
        self.lifetime = lifetime
        self.rules = rules
        self._keys = keys
        self._loader = Loader(asking, lifetime, keys)
        self._queues = [threading.Lock() for _ in range(_QUEUES)]

    @property
    def store(self) -> Store:
        """Where sessions are kept."""
        return self.asking.store

    def now(self) -> int:
        """The time in milliseconds since 1970."""
        return self.asking.now()

    def load(self, session: ServerSession) -> dict[str, t.Any]:
        """Fill a session from the store; at most one trip, but for rare cases.

        :raises StoreUnavailable: once. After that the session is empty and stays
            so, that an error page which looks at it can be shown.
        """
        session._data = {}
        token = session._read_token()
        try:
            found = None if token is None else self._loader.load(token, session._spent)
            if found is None and session._read_old and not session._is_sent:
                old = session._read_old()
                if old is not None:
                    found = self._loader.take_over(old, session._spent)
        except StoreUnavailable as error:
            session._outage = error
            if self.rules.anonymous_on_outage:
                return session._data
            raise
        if found is None:
            return session._data
        record, session._data, session._token, session._read_only, is_moved = found
        session._record = record
        session._user_id = record.user_id
        session._address, session._agent = record.address, record.agent
        if is_moved:
            session._cookie = "set"
        renewal = self.lifetime.renewal
        if renewal is not None and self.now() - record.issued >= renewal:
            # A new id that the browser cannot be told any more waits.
            session._renewed = not (session._read_only or session._is_sent)
        return session._data

    def is_changed(self, session: ServerSession) -> bool:
        """Whether the content differs from what was read."""
        if not session._suspect or session._data is None:
            return False
        items, record = encode(session._data), session._record
        if record is None:
            return bool(items)
        # Mostly the texts are the same; those that differ may name other writes.
        return join(items) != record.data and items != items_of(record)

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
        """Remove a session from the store at once; the object starts empty.

        :raises StoreUnavailable: with the session as it was, but empty here.
        """
        try:
            session._loaded()
            if session._outage is not None:
                raise session._outage
            record, token = session._record, session._read_token()
            # An id whose record cannot be understood is forgotten as well.
            key = self._keys.of(token) if record is None and token else None
            key = key if record is None else record.key
        finally:
            # Before the trip: a store that fails must not leave the user signed in.
            user_id = session._user_id
            session._data = {}
            session._views.clear()
            session._record = session._token = session._user_id = None
            settle(session)
        if key is None:
            return
        session._cookie = "delete"
        try:
            if record is None:
                ended = self._ask(session, "delete", self.store.delete, key)
            else:
                ended = self._end(session, record, token)
        except StoreUnavailable as error:
            session._outage = error
            session._cookie = None
            raise
        if ended:
            signals.notify(signals.session_revoked, count=1, user_id=user_id)

    def save(self, session: ServerSession) -> None:
        """Store what changed, and note on the session what its cookie needs.

        :raises StoreUnavailable: with nothing stored and the cookie to be left alone.
        :raises SessionConflict: where the app asked for it, with nothing stored.
        :raises SessionTooLarge: naming the largest key.
        :raises UnstorableValue: naming the key.
        """
        if session._data is None or session._outage is not None:
            return
        session._flush_views()
        try:
            if session._record is None:
                if session._cleared:
                    self._end_unread(session)
                self._save_new(session, encode(session._data))
            elif session._read_only and not session._fresh:
                if self.is_changed(session) or session._renewed:
                    self._drop(session, session._record)
            elif session._renewed:
                self._save_renewed(session, session._record)
            elif session._suspect or session._forced:
                self._save_changed(session, session._record)
        except StoreUnavailable as error:
            session._outage = error
            session._cookie = None
            raise

    def _ask(
        self,
        session: ServerSession,
        operation: str,
        function: cabc.Callable[..., t.Any],
        *args: t.Any,
        **kwargs: t.Any,
    ) -> t.Any:
        return self.asking.ask(session._spent, operation, function, *args, **kwargs)

    def _end_unread(self, session: ServerSession) -> None:
        # An id may lead to a session that could not be read any more, or not yet.
        token = session._read_token()
        if token is not None:
            self._ask(session, "delete", self.store.delete, self._keys.of(token))

    def _end(self, session: ServerSession, record: Record, token: str | None) -> bool:
        return end_session(self.asking, self._keys, record, token, session._spent)

    def _save_new(self, session: ServerSession, items: dict[str, str]) -> None:
        if is_empty(session, items):
            return
        refuse_new_id(session)
        token, now = new_token(), self.now()
        record = self._record_for(session, token, items, version=1, now=now)
        if not self._ask(session, "write", self.store.create, record, now):
            raise StoreUnavailable("the key of a new session belongs to something else")
        self._limit(session, record)
        stored(session, record, token)
        signals.notify(
            signals.session_created,
            handle=handle_of(record.key),
            user_id=record.user_id,
        )

    def _save_renewed(self, session: ServerSession, base: Record) -> None:
        items = encode(session._data or {})
        if is_empty(session, items):
            self._end(session, base, session._token)
            forget(session)
            return
        refuse_new_id(session)
        changes = Changes.between(
            {} if session._cleared else items_of(base), items, session._counted
        )
        token = new_token()
        # Only a mere new id leaves the old one for a while: who had that before the
        # user signed in must see nothing of what comes after, and cannot end it.
        grace = None if session._fresh else self.lifetime.grace

        def attempt(base: Record, items: dict[str, str], now: int) -> Written:
            record = self._record_for(
                session, token, items, version=base.version + 1, now=now
            )
            alias = None
            if grace is not None:
                alias = alias_of(base, record.key, now=now, grace=grace)
            written: Written = self._ask(
                session, "write", self.store.replace, base.key, record, now, alias=alias
            )
            if written.saved:
                self._limit(session, record)
                stored(session, record, token)
                signals.notify(
                    signals.session_renewed,
                    handle=handle_of(record.key),
                    user_id=record.user_id,
                )
            return written

        merge = None if session._cleared else changes
        if self._attempt(session, attempt, base, items, merge):
            return
        if not session._fresh:
            self._drop(session, base)
            return
        # Who signs in, or starts afresh, does so also where the old session was
        # revoked meanwhile, and then without its content; or has another id by now,
        # and then that ends.
        was_alive = self._end(session, base, session._token)
        self._save_new(session, items if was_alive else changes.applied_to({}))

    def _save_changed(self, session: ServerSession, base: Record) -> None:
        items = encode(session._data or {})
        # Mostly a value that can change was only read.
        if join(items) == base.data and not session._forced:
            return
        changes = Changes.between(items_of(base), items, session._counted)
        if not changes and not session._forced:
            return
        mark = None if changes.may_repeat(self.rules.on_conflict) else new_mark()

        def attempt(base: Record, items: dict[str, str], now: int) -> Written:
            if is_empty(session, items) and self._ask(
                session, "delete", self.store.delete, base.key, version=base.version
            ):
                forget(session)
                return Written(saved=True)
            record = self._renew(base, items, now, mark)
            written: Written = self._ask(
                session, "write", self.store.update, record, now
            )
            if is_made(mark, written.current):
                # By an attempt whose answer was lost: to count again would be wrong.
                record = t.cast("Record", written.current)
                written = Written(saved=True)
                show(session, record)
            if written.saved:
                stored(session, record, session._token, before=base)
            return written

        if not self._attempt(session, attempt, base, items, changes):
            self._drop(session, base)

    def _attempt(
        self,
        session: ServerSession,
        attempt: cabc.Callable[[Record, dict[str, str], int], Written],
        base: Record,
        items: dict[str, str],
        changes: Changes | None,
    ) -> bool:
        """Write until no other request was faster; ``False`` if the record is gone.

        After a conflict the request's own changes are made again on the content that
        the other one stored.
        """
        written = self._tried(session, attempt, base, items)
        if written.saved or is_gone(written):
            return written.saved
        if changes is not None and written.current is not None:
            keys = changes.conflicts_with(items_of(written.current))
            signals.notify(
                signals.session_conflict,
                handle=handle_of(base.key),
                keys=keys,
                dropped=False,
            )
        # In a queue a thread meets only the first attempts of others and other
        # processes; without one, the slowest of many can lose every time.
        queue = self._queues[hash(base.key) % _QUEUES]
        queued = queue.acquire(timeout=self.asking.budget)
        try:
            for number in range(_MAX_ATTEMPTS):
                current = t.cast("Record", written.current)
                if changes is not None:
                    items = self._replayed(session, changes, current)
                written = self._tried(session, attempt, current, items)
                if written.saved and session._record is not None:
                    show(session, session._record)
                if written.saved or is_gone(written):
                    return written.saved
                time.sleep(random.uniform(0, min(number, 10) / 1000))
        finally:
            if queued:
                queue.release()
        raise StoreUnavailable(f"the session changed {_MAX_ATTEMPTS} times meanwhile")

    def _tried(
        self,
        session: ServerSession,
        attempt: cabc.Callable[[Record, dict[str, str], int], Written],
        base: Record,
        items: dict[str, str],
    ) -> Written:
        written = attempt(base, items, self.now())
        if written.saved or written.current is not None:
            return written
        # Another process may have a newer pepper.
        found = self._loader.elsewhere(base.key, session._token, session._spent)
        return Written(saved=False, current=found)

    def _replayed(
        self, session: ServerSession, changes: Changes, current: Record
    ) -> dict[str, str]:
        theirs = items_of(current)
        try:
            return changes.applied_to(theirs, self.rules.on_conflict)
        except SessionConflict:
            # The session is now what is stored, so that the app can try again.
            session._record = current
            session._data = decode(current.data) or {}
            session._views.clear()
            settle(session)
            raise

    def _limit(self, session: ServerSession, record: Record) -> None:
        most = self.rules.max_per_user
        if most is None or record.user_id is None or not session._fresh:
            return
        ended = self._ask(
            session,
            "write",
            self.store.limit_user,
            record.user_id,
            most,
            self.now(),
            keep=record.key,
        )
        if ended:
            signals.notify(signals.session_revoked, count=ended, user_id=record.user_id)

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
            key=self._keys.of(token),
            data=self._text(items),
            version=version,
            created=created,
            last_seen=now,
            expires=self.lifetime.expires(created, now),
            user_id=session._user_id,
            address=session._address,
            agent=session._agent,
            issued=now,
        )

    def _renew(
        self, base: Record, items: dict[str, str], now: int, mark: str | None
    ) -> Record:
        return dc.replace(
            base,
            data=with_mark(self._text(items), base.data, mark, now),
            version=base.version + 1,
            last_seen=now,
            expires=self.lifetime.expires(base.created, now),
        )

    def _text(self, items: dict[str, str]) -> str:
        text, most = join(items), self.rules.max_bytes
        # The encoding is pure ASCII, so characters are bytes.
        if len(text) > most:
            largest = max(items, key=lambda key: len(items[key]))
            raise SessionTooLarge(
                f"The session would hold {len(text)} bytes, more than"
                f" SESSION_MAX_BYTES = {most}. The largest key is"
                f" {largest!r} with {len(items[largest])} bytes: keep it elsewhere"
                " and its id here, or raise the limit."
            )
        return text

    def _drop(self, session: ServerSession, base: Record) -> None:
        # The cookie stays as it is: the browser may hold the next session's by now.
        handle = handle_of(base.key)
        logger.info("Session %s ended meanwhile: a change was dropped", handle)
        settle(session)
        signals.notify(signals.session_conflict, handle=handle, keys=[], dropped=True)
