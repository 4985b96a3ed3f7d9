"""Reading a session."""

from __future__ import annotations

import dataclasses as dc
import typing as t

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records import proofs
from flaskware_session._records.codec import decode
from flaskware_session._records.record import FOREVER
from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import PERSISTENT
from flaskware_session._records.record import Record
from flaskware_session._records.record import UNSEEN
from flaskware_session._records.token import handle_of
from flaskware_session._records.token import proof_of

from . import operations as ops
from .operations import Steps
from .policy import SessionPolicy
from .visit import Visit

# After how long a persistent session gets a new id, in milliseconds, unless the app has
# a renewal timeout.
_ROTATION = 3_600_000

SETTLED = 600_000
"""No answer is under way for longer, in milliseconds: the browser then has the last id
that it was handed out."""


def load(visit: Visit, policy: SessionPolicy) -> Steps[None]:
    """Fill a visit from the store; one trip, unless an id or a pepper was replaced.

    :raises StoreUnavailable: if the store does not answer, unless the policy is to go
        on with an empty session.
    """
    try:
        # A browser may hold several cookies of the name, for other paths and domains.
        for token in visit.sent_ids:
            if (yield from load_from(visit, policy, token)):
                visit.copied = None
                return
        if visit.copied is not None:
            yield from _end_copied(visit.copied)
    except StoreUnavailable as error:
        visit.failed(error)
        if not policy.anonymous_on_outage:
            raise


def load_from(visit: Visit, policy: SessionPolicy, token: str) -> Steps[bool]:
    """Fill a visit from the session of an id; return whether the id opens one."""
    record: Record | None
    record = yield ops.Read(policy.keys.of(token), policy.now(), policy.interval)
    if record is None:
        record = yield from _find_older(token, policy)
    if record is None:
        return False
    visit.found_key = record.key
    proof, now = proof_of(token), policy.now()
    if is_ended(record):
        return False
    if not proofs.admits(record.proofs, proof, now):
        is_copied = record.kind == PERSISTENT and now - record.issued >= SETTLED
        visit.copied = record if is_copied else visit.copied
        return False
    lifetime = policy.lifetime_of(record.user_id)
    if _is_outlived(record, lifetime, now):
        return False
    visit.sent_id = token
    data = decode(record.data)
    if data is None:
        visit.is_unreadable = True
        yield unreadable(record)
        return True
    visit.opened(record, data, token)
    renewal = lifetime.renewal or (_ROTATION if record.kind == PERSISTENT else FOREVER)
    if now - record.issued >= renewal:
        visit.is_due = True
    elif record.kind == UNSEEN or proofs.is_pending(record.proofs, proof):
        visit.is_first_seen = True
    return True


def _end_copied(record: Record) -> Steps[None]:
    """End a session an id of which is in use twice.

    Nobody has its name but who had an id of it. The browser that has the newest id has
    not sent an older id for long: somebody has a copy of the cookie, and the store
    cannot know which of the two is the user.
    """
    if not (yield ops.Delete(record.key)):
        return
    details = {"handle": handle_of(record.key), "user_id": record.user_id}
    yield ops.Notify(
        "session-copied", details, "Session %s has ended: a copy of its cookie was used"
    )
    yield ops.Notify("session-revoked", {"count": 1, "user_id": record.user_id})


def is_ended(record: Record) -> bool:
    """Return whether a record only remembers that a session was moved and has ended."""
    return not record.proofs


def _is_outlived(record: Record, lifetime: Lifetime, now: int) -> bool:
    return not record.kind and now >= record.created + lifetime.absolute


def goes_on(record: Record, token: str | None, policy: SessionPolicy) -> Steps[bool]:
    """Return whether a session that was read has not ended; this is no use of it.

    :param token: The id that it was read with.
    :raises StoreUnavailable: if the store does not answer.
    """
    now = policy.now()
    for key in dict.fromkeys((record.key, *policy.keys.all_of(token))):
        found: Record | None = yield ops.Read(key, now, FOREVER)
        if found is not None:
            lifetime = policy.lifetime_of(found.user_id)
            return not (is_ended(found) or _is_outlived(found, lifetime, now))
    return False


def find_rekeyed(
    key: str, token: str | None, policy: SessionPolicy
) -> Steps[Record | None]:
    """Find a session that was under a key and is now under another pepper's."""
    for other in policy.keys.all_of(token):
        if other != key:
            record = yield ops.Read(other, policy.now(), policy.interval)
            if record is not None:
                return t.cast("Record", record)
    return None


def _find_older(token: str, policy: SessionPolicy) -> Steps[Record | None]:
    for old_key in policy.keys.older_of(token):
        record = yield from _rekey(old_key, token, policy)
        if record is not None:
            return record
    return None


def _rekey(old_key: str, token: str, policy: SessionPolicy) -> Steps[Record | None]:
    record: Record | None = yield ops.Read(old_key, policy.now(), policy.interval)
    if record is None:
        return record
    key, now = policy.keys.of(token), policy.now()
    moved = dc.replace(record, key=key, version=record.version + 1)
    written = yield ops.Replace(old_key, moved, now)
    # Where another request was faster, it has done this.
    if written.saved:
        return moved
    return t.cast("Record | None", (yield ops.Read(key, policy.now(), policy.interval)))


def unreadable(record: Record) -> ops.Notify:
    """Report that the content of a record cannot be understood."""
    reason = "its content is no JSON of a session"
    if not record.data:
        reason = "its content cannot be decrypted"
    return ops.Notify(
        "session-unreadable",
        {"handle": handle_of(record.key), "reason": reason},
        f"Session %s cannot be understood, {reason}: ignored",
    )
