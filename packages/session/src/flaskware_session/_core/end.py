"""Ending a session, whatever key it has by now."""

from __future__ import annotations

import dataclasses as dc

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import CARRIED
from flaskware_session._records.record import Record
from flaskware_session._records.record import Written
from flaskware_session._records.token import is_moved

from . import operations as ops
from .load import is_ended
from .operations import Steps
from .policy import SessionPolicy
from .visit import Cookie
from .visit import Visit

# For how long, in milliseconds, a cookie of another extension can be sent again: no
# browser keeps a cookie for more than 400 days.
_LONGEST_COOKIE = 400 * 24 * 3600 * 1000


def end(visit: Visit, policy: SessionPolicy) -> Steps[None]:
    """Remove a session from the store at once; the visit holds nothing afterwards.

    :raises StoreUnavailable: if the store does not answer, or did not before.
    """
    record, user_id, sent_id = visit.record, visit.user_id, visit.sent_id
    is_unreadable, forget = visit.is_unreadable, visit.forget_foreign
    is_carried = visit.carried is not None
    # Before the trip: a store that fails must not leave the user signed in.
    visit.signed_out()
    if visit.outage is not None:
        raise visit.outage
    try:
        if record is not None:
            visit.cookie = Cookie.DELETE
            if forget is not None:
                yield ops.Call(forget)
            ended = yield from end_record(record, sent_id, policy)
        elif is_carried:
            visit.cookie = Cookie.DELETE
            return
        elif is_unreadable and sent_id is not None:
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
    """Remove a session, also where it has the key of a newer pepper by now.

    :param token: The id that it was read with.
    :return: Whether it was there.
    """
    for key in dict.fromkeys((record.key, *policy.keys.all_of(token))):
        if is_moved(key):
            ended = (yield from bury(dc.replace(record, key=key), policy)) is not None
        else:
            ended = yield ops.Delete(key)
        if ended:
            return True
    return False


def bury(record: Record, policy: SessionPolicy) -> Steps[Record | None]:
    """End a session that was moved, and remember that it was.

    The cookie of the other extension, and its record, may still be there: without this
    they would bring the session back.

    :return: The last record of the session; ``None`` if it had ended before.
    """
    while not is_ended(record):
        now = policy.now()
        # A cookie that carried content is good for as long as a visitor may pause.
        longest = record.idle if record.kind == CARRIED else _LONGEST_COOKIE
        expires = now + longest
        ended = Record(
            record.key, "", record.version + 1, now, now, expires,
            issued=now, idle=longest, until=expires, kind=record.kind,
        )  # fmt: skip
        written: Written = yield ops.Update(ended, now)
        if written.saved:
            return record
        if written.current is None:
            return None
        record = written.current
    return None
