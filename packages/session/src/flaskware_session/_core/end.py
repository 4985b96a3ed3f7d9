"""Ending a session, whatever key it has by now."""

from __future__ import annotations

import collections.abc as cabc

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import Record

from . import operations as ops
from .operations import Steps
from .policy import SessionPolicy
from .visit import Cookie
from .visit import Visit


def end(visit: Visit, policy: SessionPolicy) -> Steps[None]:
    """Remove a session from the store at once; the visit holds nothing afterwards.

    :raises StoreUnavailable: if the store does not answer, or did not before.
    """
    record, user_id, sent_id = visit.record, visit.user_id, visit.sent_id
    # Before the trip: a store that fails must not leave the user signed in.
    visit.signed_out()
    if visit.outage is not None:
        raise visit.outage
    try:
        if record is not None:
            visit.cookie = Cookie.DELETE
            ended = yield from end_record(record, sent_id, policy)
        elif sent_id is not None:
            # An id whose record cannot be understood is forgotten as well.
            visit.cookie = Cookie.DELETE
            ended = yield ops.Delete(policy.keys.of(sent_id))
        else:
            return
    except StoreUnavailable as error:
        visit.failed(error)
        raise
    if ended:
        yield ops.Notify("session-revoked", {"count": 1, "user_id": user_id})


def end_record(record: Record, token: str | None, policy: SessionPolicy) -> Steps[bool]:
    """Remove a session under whatever key it has now; return whether it was there.

    :param record: As it was read, which may be long ago.
    :param token: The id that it was read with.
    """
    # A store knows for a minute what an id was replaced by.
    if (yield ops.Delete(record.key)):
        return True
    for key in policy.keys.all_of(token):
        if key != record.key and (yield ops.Delete(key)):
            return True
    if record.user_id is None:
        return False
    ended = False
    for found in (yield ops.ForUser(record.user_id, policy.now())):
        if _is_same(found, record):
            ended |= yield ops.Delete(found.key)
    return ended


def key_now(record: Record, found: cabc.Iterable[Record]) -> str:
    """Return the key that a session has, of the sessions of its user.

    :param record: As it was read, which may be long ago.
    """
    keys = [other.key for other in found if _is_same(other, record)]
    return keys[0] if keys and record.key not in keys else record.key


def _is_same(record: Record, other: Record) -> bool:
    # A session keeps these as it gets new ids; another sign-in has another moment.
    return (record.created, record.address, record.agent) == (
        other.created,
        other.address,
        other.agent,
    )
