"""Taking over a session that another extension has stored."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.codec import pack
from flaskware_session._records.record import Record
from flaskware_session._records.text import alias_text
from flaskware_session._records.token import new_token

from . import operations as ops
from .load import follow
from .load import load
from .load import open_visit
from .operations import Steps
from .policy import SessionPolicy
from .visit import Cookie
from .visit import Visit


@dc.dataclass(frozen=True)
class ForeignSession:
    """A session of another extension that is to be taken over.

    :param id: Names the session, and nothing else; it is only hashed.
    :param forget: Removes it from where it was; it never raises.
    :param longest: For how long the browser could send it again, in milliseconds.
    """

    id: str = dc.field(repr=False)
    data: dict[str, t.Any] = dc.field(repr=False)
    forget: cabc.Callable[[], None] = dc.field(repr=False)
    longest: int


def load_or_take_over(
    visit: Visit,
    policy: SessionPolicy,
    find_foreign: cabc.Callable[[], ForeignSession | None],
) -> Steps[None]:
    """Fill a visit from the store, or from another extension's.

    :param find_foreign: Finds the other extension's session of the request.
    :raises StoreUnavailable: if a store does not answer; the foreign session is then
        left as it is.
    """
    yield from load(visit, policy)
    if visit.record is not None or visit.outage is not None or visit.is_sent:
        return
    try:
        foreign: ForeignSession | None = yield ops.Call(find_foreign)
        if foreign is not None:
            yield from _take_over(visit, policy, foreign)
    except StoreUnavailable as error:
        visit.failed(error)
        if not policy.anonymous_on_outage:
            raise


def _take_over(
    visit: Visit, policy: SessionPolicy, foreign: ForeignSession
) -> Steps[None]:
    token, now = new_token(), policy.now()
    expires = policy.lifetime.expires(now, now)
    text = pack(foreign.data).text
    record = Record(policy.keys.of(token), text, 1, now, now, expires, issued=now)
    # The claim says that the old id was used. It outlives the old cookie, which
    # therefore cannot bring back a session that was logged out since.
    claim = Record(
        policy.keys.of(f"old session {foreign.id}"),
        alias_text(record.key, None),
        version=0,
        created=now,
        last_seen=now,
        expires=now + max(policy.lifetime.absolute, foreign.longest),
        issued=now,
    )
    yield ops.Create(record, now)
    if (yield ops.Create(claim, now)):
        yield ops.Call(foreign.forget)
        visit.cookie = Cookie.SET
        open_visit(visit, policy, record, foreign.data, token)
    else:
        yield ops.Delete(record.key)
        other = yield ops.Read(claim.key, policy.now(), policy.lifetime)
        if other is not None:
            yield from follow(visit, policy, other)
