"""Taking over a session that another extension has stored.

The other extension's cookie stands for an id of ours, so that all requests that carry
it meet on one record: the first of them makes it, and the others find it. That cookie
opens the session until the browser has used the new cookie, and the old record stays
where it is until it expires.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.codec import pack
from flaskware_session._records.record import CARRIED
from flaskware_session._records.record import Record
from flaskware_session._records.token import moved_token
from flaskware_session._records.token import proof_of

from . import operations as ops
from .load import load
from .load import load_from
from .operations import Steps
from .policy import SessionPolicy
from .visit import Intent
from .visit import Visit


@dc.dataclass(frozen=True)
class ForeignSession:
    """A session of another extension, by the cookie that the browser sent.

    :param id: Names the session, and nothing else; it is only hashed.
    :param read: Returns its content, or ``None`` if there is none.
    :param forget: Removes it from where it is; it never raises.
    :param is_carried: Whether it is a session of ours that only the cookie carries.
    :param is_old: Whether that cookie is to be made again.
    """

    id: str = dc.field(repr=False)
    read: cabc.Callable[[], dict[str, t.Any] | None] = dc.field(repr=False)
    forget: cabc.Callable[[], None] = dc.field(repr=False)
    is_carried: bool = False
    is_old: bool = False


def load_or_take_over(
    visit: Visit, policy: SessionPolicy, foreign: cabc.Iterable[ForeignSession]
) -> Steps[None]:
    """Fill a visit from the store, or from another extension's.

    :param foreign: The other extensions' sessions that the request may have.
    :raises StoreUnavailable: if a store does not answer.
    """
    yield from load(visit, policy)
    if visit.outage is not None or visit.is_unreadable:
        return
    if visit.sent_id is not None and not visit.is_moved:
        return
    try:
        for session in foreign:
            if (yield from _take_over(visit, policy, session)):
                return
    except StoreUnavailable as error:
        visit.failed(error)
        if not policy.anonymous_on_outage:
            raise


def _take_over(
    visit: Visit, policy: SessionPolicy, session: ForeignSession
) -> Steps[bool]:
    token = moved_token(session.id)
    if visit.sent_id is not None:
        # The new cookie of a session that was moved: what it is to remove at its end.
        if policy.keys.of(token) == policy.keys.of(visit.sent_id):
            visit.forget_foreign = session.forget
            return True
        return False
    visit.found_key = None
    if not (yield from load_from(visit, policy, token)):
        # A key that was found is of a session that has ended, or goes on under its new
        # id only.
        if t.cast("str | None", visit.found_key) is not None:
            return False
        is_stored = yield from _store(visit, policy, session, token)
        if not is_stored or visit.carried is not None:
            return is_stored
    visit.forget_foreign = session.forget
    # The browser still has the other extension's cookie alone, unless another request
    # of the same page is about to bring it the new cookie.
    record = visit.record
    if record is not None and (
        record.version == 1 or policy.now() - record.issued >= policy.lifetime.grace
    ):
        visit.is_due = True
    return True


def _store(
    visit: Visit, policy: SessionPolicy, session: ForeignSession, token: str
) -> Steps[bool]:
    """Store another's session and open it, or leave it in the cookie that carries it.

    :return: Whether there is such a session.
    """
    if visit.is_sent and not session.is_carried:
        return False
    data: dict[str, t.Any] | None = yield ops.Call(session.read)
    if not data:
        return False
    if session.is_carried and (visit.is_sent or (yield ops.IsCrowded())):
        visit.data, visit.carried = data, pack(data).text
        if session.is_old and not visit.is_sent:
            visit.require(Intent.UPDATE)
        return True
    kind = CARRIED if session.is_carried else ""
    yield ops.Create(_moved(policy, token, data, kind), policy.now())
    return (yield from load_from(visit, policy, token))


def _moved(
    policy: SessionPolicy, token: str, data: dict[str, t.Any], kind: str
) -> Record:
    now, lifetime = policy.now(), policy.lifetime_of(None)
    return Record(
        policy.keys.of(token),
        pack(data).text,
        1,
        now,
        now,
        now + min(lifetime.idle, lifetime.absolute),
        issued=now,
        idle=lifetime.idle,
        until=now + lifetime.absolute,
        kind=kind,
        proofs=proof_of(token),
    )
