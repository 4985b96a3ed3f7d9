"""Reading a session."""

from __future__ import annotations

import dataclasses as dc
import typing as t

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.codec import decode
from flaskware_session._records.record import Record
from flaskware_session._records.text import link_of
from flaskware_session._records.token import handle_of

from .operations import Notify
from .operations import Read
from .operations import Replace
from .operations import Steps
from .policy import SessionPolicy
from .visit import Intent
from .visit import Visit

# For how long, in milliseconds, a request with an id of another extension may write.
_TAKEN_OVER_GRACE = 60_000


class Found(t.NamedTuple):
    """A session that is in the store.

    :param data: The decoded content.
    :param id: The id to answer to; ``None`` where the browser has a newer id.
    :param is_view: Whether changes must be dropped, as the id was replaced.
    """

    record: Record
    data: dict[str, t.Any]
    id: str | None
    is_view: bool = False


def load(visit: Visit, policy: SessionPolicy) -> Steps[None]:
    """Fill a visit from the store; one trip, unless an id or a pepper was replaced.

    :raises StoreUnavailable: if the store does not answer, unless the policy is to go
        on with an empty session.
    """
    if visit.sent_id is None:
        return
    try:
        found = yield from find(visit.sent_id, policy)
    except StoreUnavailable as error:
        visit.failed(error)
        if policy.anonymous_on_outage:
            return
        raise
    if found is not None:
        open_visit(visit, found, policy)


def open_visit(visit: Visit, found: Found, policy: SessionPolicy) -> None:
    """Have a visit hold a session that was found."""
    record, data, id, is_view = found
    visit.opened(record, data, id, is_view=is_view)
    # A new id that the browser cannot be given any more waits.
    if policy.lifetime.renewal is None or is_view or visit.is_sent:
        return
    if policy.now() - record.issued >= policy.lifetime.renewal:
        visit.require(Intent.RENEW)


def find(token: str, policy: SessionPolicy) -> Steps[Found | None]:
    """Find the session of an id."""
    record: Record | None
    record = yield Read(policy.keys.of(token), policy.now(), policy.lifetime)
    if record is None:
        for old_key in policy.keys.older_of(token):
            record = yield from _rekey(old_key, token, policy)
            if record is not None:
                break
        else:
            return None
    if record.is_alias:
        return (yield from follow(record, policy))
    data = decode(record.data)
    if data is None:
        yield _unreadable(record)
        return None
    return Found(record, data, token)


def find_rekeyed(
    key: str, token: str | None, policy: SessionPolicy
) -> Steps[Record | None]:
    """Find a session that was under a key and is now under another pepper's."""
    for other in policy.keys.all_of(token):
        if other != key:
            record = yield Read(other, policy.now(), policy.lifetime)
            if record is not None and not record.is_alias:
                return t.cast("Record", record)
    return None


def follow(alias: Record, policy: SessionPolicy) -> Steps[Found | None]:
    """Find the session whose id was replaced."""
    link = link_of(alias)
    if link is None:
        yield _unreadable(alias)
        return None
    key, text = link
    age = policy.now() - alias.created
    if age > _TAKEN_OVER_GRACE if text is None else age >= policy.lifetime.grace:
        return None
    # Where the session has ended since, it has ended for the old id too.
    record: Record | None = yield Read(key, policy.now(), policy.lifetime)
    while record is not None and record.successor is not None:
        record = yield Read(record.successor, policy.now(), policy.lifetime)
    if record is None:
        return None
    if text is not None:
        record = dc.replace(record, data=text)
    data = decode(record.data)
    if data is None:
        return None
    return Found(record, data, None, is_view=text is not None)


def _rekey(old_key: str, token: str, policy: SessionPolicy) -> Steps[Record | None]:
    record: Record | None = yield Read(old_key, policy.now(), policy.lifetime)
    if record is None or record.is_alias:
        return record
    key, now = policy.keys.of(token), policy.now()
    moved = dc.replace(record, key=key, version=record.version + 1)
    written = yield Replace(old_key, moved, now)
    # Where another request was faster, it has done this.
    if written.saved:
        return moved
    return t.cast("Record | None", (yield Read(key, policy.now(), policy.lifetime)))


def _unreadable(record: Record) -> Notify:
    return Notify(
        "session-unreadable",
        {"handle": handle_of(record.key)},
        "Session %s cannot be understood: ignored",
    )
