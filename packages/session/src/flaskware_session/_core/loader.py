"""Reading a session, whatever the store and the framework."""

from __future__ import annotations

import dataclasses as dc
import json
import logging
import typing as t

from flaskware_session import _signals as signals
from flaskware_session._drive.asking import Asking
from flaskware_session._drive.asking import Spent
from flaskware_session._records.codec import decode
from flaskware_session._records.codec import encode
from flaskware_session._records.codec import join
from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import Record
from flaskware_session._records.token import handle_of
from flaskware_session._records.token import Keys
from flaskware_session._records.token import new_token

if t.TYPE_CHECKING:
    from flaskware_session._takeover.flask_session import OldSession

logger = logging.getLogger("flaskware_session")

# For how long a request that came with an id of another extension may still write.
_MOVED_GRACE = 60_000
# For how long a request that was under way with an old id can still end the session.
_ALIAS_LIFE = 60_000


class Loaded(t.NamedTuple):
    """What was found for a request.

    :param data: The decoded content.
    :param token: The id to answer to; ``None`` where the browser has a newer one.
    :param is_read_only: Whether changes must be dropped.
    :param is_moved: Whether the browser is to be given the id.
    """

    record: Record
    data: dict[str, t.Any]
    token: str | None
    is_read_only: bool = False
    is_moved: bool = False


class Loader:
    """Finds the session of an id."""

    def __init__(self, asking: Asking, lifetime: Lifetime, keys: Keys) -> None:
        self._asking = asking
        self._lifetime = lifetime
        self._keys = keys

    def load(self, token: str, spent: Spent) -> Loaded | None:
        """Find a session; one trip, unless its id or pepper was just replaced.

        :raises StoreUnavailable: if the store does not answer.
        """
        record = self._read(self._keys.of(token), spent)
        if record is None:
            for old_key in self._keys.older_of(token):
                record = self._rekeyed(old_key, token, spent)
                if record is not None:
                    break
            else:
                return None
        if record.is_alias:
            return self._followed(record, spent)
        data = decode(record.data)
        if data is None:
            _tell_unreadable(record)
            return None
        return Loaded(record, data, token)

    def take_over(self, old: OldSession, spent: Spent) -> Loaded | None:
        """Make a session of one that another extension stored, once.

        :raises StoreUnavailable: with the old one left as it is.
        """
        asking, token, now = self._asking, new_token(), self._asking.now()
        record = Record(
            key=self._keys.of(token),
            data=join(encode(old.data)),
            version=1,
            created=now,
            last_seen=now,
            expires=self._lifetime.expires(now, now),
            issued=now,
        )
        # What is left in place of the old id says that it was used. It outlives the
        # old cookie, so that this cannot bring back what was logged out since.
        claim = Record(
            key=self._keys.of(f"old session {old.id}"),
            data=_alias_text(record.key, None),
            version=0,
            created=now,
            last_seen=now,
            expires=now + max(self._lifetime.absolute, old.longest),
            issued=now,
        )
        asking.ask(spent, "write", asking.store.create, record, now)
        if asking.ask(spent, "write", asking.store.create, claim, now):
            old.forget()
            return Loaded(record, old.data, token, is_moved=True)
        asking.ask(spent, "delete", asking.store.delete, record.key)
        found = self._read(claim.key, spent)
        return None if found is None else self._followed(found, spent)

    def elsewhere(self, key: str, token: str | None, spent: Spent) -> Record | None:
        """Find a session that was under a key and is now under another pepper's.

        :raises StoreUnavailable: if the store does not answer.
        """
        for other in self._keys.all_of(token):
            record = None if other == key else self._read(other, spent)
            if record is not None and not record.is_alias:
                return record
        return None

    def _read(self, key: str, spent: Spent) -> Record | None:
        asking = self._asking
        return asking.ask(
            spent, "read", asking.store.read, key, asking.now(), self._lifetime
        )

    def _rekeyed(self, old_key: str, token: str, spent: Spent) -> Record | None:
        record = self._read(old_key, spent)
        if record is None or record.is_alias:
            return record
        asking, now = self._asking, self._asking.now()
        moved = dc.replace(record, key=self._keys.of(token), version=record.version + 1)
        written = asking.ask(spent, "write", asking.store.replace, old_key, moved, now)
        # Where another request was faster, it has done this.
        return moved if written.saved else self._read(moved.key, spent)

    def _followed(self, alias: Record, spent: Spent) -> Loaded | None:
        try:
            link = json.loads(alias.data)
            key, text = str(link["next"]), link["data"]
        except (ValueError, TypeError, LookupError):
            _tell_unreadable(alias)
            return None
        age = self._asking.now() - alias.created
        if age > _MOVED_GRACE if text is None else age >= self._lifetime.grace:
            return None
        # Where the session has ended since, it has ended for the old id too.
        record = self._read(key, spent)
        while record is not None and record.successor is not None:
            record = self._read(record.successor, spent)
        if record is None:
            return None
        if text is not None:
            record = dc.replace(record, data=str(text))
        data = decode(record.data)
        if data is None:
            return None
        return Loaded(record, data, None, is_read_only=text is not None)


def alias_of(record: Record, new_key: str, *, now: int, grace: int) -> Record:
    """What stays under an id that was replaced: a view of the session as it was.

    It can be seen for the grace; for longer it tells a store which session to end.
    """
    return Record(
        key=record.key,
        data=_alias_text(new_key, record.data if grace else ""),
        version=0,
        created=now,
        last_seen=now,
        expires=now + max(grace, _ALIAS_LIFE),
        # Outside of the content, which may be encrypted before the store gets it.
        address=new_key,
        issued=now,
    )


def _alias_text(key: str, data: str | None) -> str:
    return json.dumps({"next": key, "data": data})


def _tell_unreadable(record: Record) -> None:
    handle = handle_of(record.key)
    logger.warning("Session %s cannot be understood: ignored", handle)
    signals.notify(signals.session_unreadable, handle=handle)
