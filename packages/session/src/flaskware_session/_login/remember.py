"""The "remember me" cookie of Flask-Login, bound to a session in the store.

Flask-Login's own cookie holds the user's id under a signature, so that nothing can end
it. Here the browser gets another value: an id of the session that is remembered, with a
secret of its own whose hash the session holds. The cookie is good for as long as that
session lives, and leads back to it: a browser that comes back with six requests at once
has one session, listed once, and a revocation leaves nothing.
"""

from __future__ import annotations

import collections.abc as cabc
import hmac
import typing as t

from flaskware_session._core import operations as ops
from flaskware_session._core.end import end_record
from flaskware_session._core.load import is_ended
from flaskware_session._core.operations import Steps
from flaskware_session._core.policy import SessionPolicy
from flaskware_session._core.visit import Visit
from flaskware_session._records.codec import decode
from flaskware_session._records.record import Record
from flaskware_session._records.record import Timeouts
from flaskware_session._records.token import is_token
from flaskware_session._records.token import proof_of

REMEMBERED = "_remembered"
"""The key of the session that holds the hash of the cookie's secret."""

KIND = "remembered"
"""Kind of the record of such a session; its timeouts are the cookie's."""


def is_cookie_of(data: cabc.Mapping[str, t.Any], value: str) -> bool:
    """Return whether the session with this content is remembered by a cookie."""
    proof = data.get(REMEMBERED)
    if not isinstance(proof, str) or not is_token(value):
        return False
    return hmac.compare_digest(proof.encode(), proof_of(value).encode())


def remember(visit: Visit, token: str, seconds: float, *, is_refreshed: bool) -> None:
    """Have a visit store that a cookie leads to its session, which lives as long.

    :param token: The cookie's value, but for the part that names the session.
    :param is_refreshed: Whether the cookie is sent again by each request.
    """
    visit.data[REMEMBERED] = proof_of(token)
    visit.is_touched = True
    idle = int(seconds * 1000)
    absolute = max(idle, _LONGEST) if is_refreshed else idle
    visit.timeouts = Timeouts(KIND, idle, absolute)


def resume(visit: Visit, policy: SessionPolicy, value: str) -> Steps[bool]:
    """Have a visit go on with the session that a cookie remembers.

    The content that an anonymous visitor has by now is added to it.

    :return: Whether there still is such a session.
    :raises StoreUnavailable: if the store does not answer.
    """
    if not is_token(value):
        return False
    for key in policy.keys.all_of(value):
        record: Record | None
        record = yield ops.Read(key, policy.now(), policy.interval)
        if record is not None and not is_ended(record):
            break
    else:
        return False
    data = decode(record.data)
    if data is None or record.user_id is None or not is_cookie_of(data, value):
        return False
    before, before_id, found = visit.record, visit.sent_id, dict(visit.data)
    if before is not None:
        yield from end_record(before, before_id, policy)
    visit.opened(record, data | found, value)
    visit.sent_id, visit.items = value, None
    visit.is_touched = visit.is_reordered = True
    visit.is_first_seen = False
    # Of several requests at once, the first gives the browser an id.
    visit.is_due = True
    return True


# In milliseconds: no browser keeps a cookie for more than 400 days.
_LONGEST = 400 * 24 * 3600 * 1000
