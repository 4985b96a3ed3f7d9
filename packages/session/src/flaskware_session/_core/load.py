"""Reading a session."""

from __future__ import annotations

import dataclasses as dc
import typing as t

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.codec import decode
from flaskware_session._records.record import Record
from flaskware_session._records.text import link_of
from flaskware_session._records.token import handle_of

from . import operations as ops
from .operations import Steps
from .policy import SessionPolicy
from .visit import Intent
from .visit import Visit

# For how long, in milliseconds, a request with an id of another extension may write.
_TAKEN_OVER_GRACE = 60_000


def load(visit: Visit, policy: SessionPolicy) -> Steps[None]:
    """Fill a visit from the store; one trip, unless an id or a pepper was replaced.

    :raises StoreUnavailable: if the store does not answer, unless the policy is to go
        on with an empty session.
    """
    token = visit.sent_id
    if token is None:
        return
    record: Record | None
    try:
        record = yield ops.Read(policy.keys.of(token), policy.now(), policy.lifetime)
        if record is None:
            record = yield from _find_older(token, policy)
        if record is None:
            return
        if record.is_alias:
            yield from follow(visit, policy, record)
            return
        data = decode(record.data)
        if data is None:
            yield _unreadable(record)
        else:
            open_visit(visit, policy, record, data, token)
    except StoreUnavailable as error:
        visit.failed(error)
        if not policy.anonymous_on_outage:
            raise


def open_visit(
    visit: Visit,
    policy: SessionPolicy,
    record: Record,
    data: dict[str, t.Any],
    token: str | None,
) -> None:
    """Have a visit hold a session, and renew its id if that is due."""
    visit.opened(record, data, token)
    renewal = policy.lifetime.renewal
    # A new id that the browser cannot be given any more waits.
    if renewal is None or visit.is_sent:
        return
    if policy.now() - record.issued >= renewal:
        visit.require(Intent.RENEW)


def find_rekeyed(
    key: str, token: str | None, policy: SessionPolicy
) -> Steps[Record | None]:
    """Find a session that was under a key and is now under another pepper's."""
    for other in policy.keys.all_of(token):
        if other != key:
            record = yield ops.Read(other, policy.now(), policy.lifetime)
            if record is not None and not record.is_alias:
                return t.cast("Record", record)
    return None


def follow(visit: Visit, policy: SessionPolicy, alias: Record) -> Steps[None]:
    """Have a visit hold the session whose id was replaced."""
    link = link_of(alias)
    if link is None:
        yield _unreadable(alias)
        return
    key, text = link
    age = policy.now() - alias.created
    if age > _TAKEN_OVER_GRACE if text is None else age >= policy.lifetime.grace:
        return
    # Where the session has ended since, it has ended for the old id too.
    record: Record | None = yield ops.Read(key, policy.now(), policy.lifetime)
    while record is not None and record.successor is not None:
        record = yield ops.Read(record.successor, policy.now(), policy.lifetime)
    if record is None:
        return
    if text is not None:
        record = dc.replace(record, data=text)
    data = decode(record.data)
    if data is None:
        return
    if text is None:
        open_visit(visit, policy, record, data, None)
    else:
        visit.opened(record, data, None, is_view=True)


def _find_older(token: str, policy: SessionPolicy) -> Steps[Record | None]:
    for old_key in policy.keys.older_of(token):
        record = yield from _rekey(old_key, token, policy)
        if record is not None:
            return record
    return None


def _rekey(old_key: str, token: str, policy: SessionPolicy) -> Steps[Record | None]:
    record: Record | None = yield ops.Read(old_key, policy.now(), policy.lifetime)
    if record is None or record.is_alias:
        return record
    key, now = policy.keys.of(token), policy.now()
    moved = dc.replace(record, key=key, version=record.version + 1)
    written = yield ops.Replace(old_key, moved, now)
    # Where another request was faster, it has done this.
    if written.saved:
        return moved
    return t.cast("Record | None", (yield ops.Read(key, policy.now(), policy.lifetime)))


def _unreadable(record: Record) -> ops.Notify:
    return ops.Notify(
        "session-unreadable",
        {"handle": handle_of(record.key)},
        "Session %s cannot be understood: ignored",
    )
