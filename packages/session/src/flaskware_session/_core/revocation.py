"""Listing and ending sessions of users, beside the session of the request itself."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from operator import methodcaller

from flaskware_session._records.record import Record
from flaskware_session._records.record import SessionInfo
from flaskware_session._records.record import StoreStats
from flaskware_session._records.token import handle_of

from . import operations as ops
from .end import end
from .operations import Steps
from .policy import SessionPolicy
from .visit import Visit

_BATCH = 1000


def list_user(
    current: Visit | None, policy: SessionPolicy, user_id: str
) -> Steps[list[SessionInfo]]:
    """List the sessions of a user, the last seen first.

    :param current: The visit of the request, if there is one.
    """
    records: list[Record]
    records = yield ops.Ask(methodcaller("for_user", user_id, policy.now()))
    return _infos(records, current)


def list_part(
    current: Visit | None, policy: SessionPolicy, cursor: str, size: int
) -> Steps[tuple[list[SessionInfo], str | None]]:
    """List a part of the sessions of all users.

    :return: The part, and the cursor of the next part.
    """
    records, following = yield ops.Ask(methodcaller("scan", cursor, size, policy.now()))
    return _infos(records, current), following


def revoke(
    current: Visit | None, policy: SessionPolicy, handle: str, user_id: str
) -> Steps[bool]:
    """End a single session of a user; return whether there was such a session."""
    records: list[Record]
    records = yield ops.Ask(methodcaller("for_user", user_id, policy.now()))
    key = next((r.key for r in records if handle_of(r.key) == handle), None)
    if key is None:
        return False
    if current is not None and key == _key(current):
        yield from end(current, policy)
        return True
    ended = bool((yield ops.Ask(methodcaller("delete", key))))
    yield from _tell(int(ended), user_id)
    return ended


def revoke_user(
    current: Visit | None, policy: SessionPolicy, user_id: str, *, keep_current: bool
) -> Steps[int]:
    """End a user's sessions on all devices; return how many."""
    keep = None
    if current is not None and current.user_id == user_id:
        keep = _key(current)
    ended: int = yield ops.Ask(methodcaller("delete_user", user_id, keep=keep))
    yield from _tell(ended, user_id)
    if current is not None and keep is not None and not keep_current:
        yield from end(current, policy)
        return ended + 1
    return ended


def revoke_everybody(
    current: Visit | None,
    policy: SessionPolicy,
    *,
    keep_current: bool,
    progress: cabc.Callable[[int], object] | None,
) -> Steps[int]:
    """End the sessions of all users; return how many."""
    keep, total = _key(current), 0
    following: str | None = ""
    while following is not None:
        records, following = yield ops.Ask(
            methodcaller("scan", following, _BATCH, policy.now())
        )
        ended = yield from _revoke_part(records, keep)
        yield from _tell(ended, None)
        total += ended
        if progress is not None:
            progress(ended)
    is_user = current is not None and current.user_id is not None
    if current is not None and is_user and keep is not None and not keep_current:
        yield from end(current, policy)
        return total + 1
    return total


def prune(policy: SessionPolicy, limit: int) -> Steps[int]:
    """Remove expired sessions; return how many."""
    removed: int = yield ops.Ask(methodcaller("prune", policy.now(), limit))
    return removed


def count(policy: SessionPolicy) -> Steps[StoreStats]:
    """Count sessions and users."""
    stats: StoreStats = yield ops.Ask(methodcaller("stats", policy.now()))
    return stats


def _revoke_part(records: list[Record], keep: str | None) -> Steps[int]:
    keys = {record.key for record in records} - {keep}
    users = {record.user_id for record in records} - {None}
    ended: int = 0
    if users:
        user_ids = t.cast("set[str]", users)
        ended = yield ops.Ask(methodcaller("delete_users", user_ids, keep=keep))
    # The users' lists may have lost a session.
    for key in keys if ended < len(keys) else ():
        ended += yield ops.Ask(methodcaller("delete", key))
    return ended


def _tell(ended: int, user_id: str | None) -> Steps[None]:
    if ended:
        details = {"count": ended, "user_id": user_id}
        yield ops.Notify("session-revoked", details)


def _infos(records: list[Record], current: Visit | None) -> list[SessionInfo]:
    key = _key(current)
    return [SessionInfo.of(record, is_current=record.key == key) for record in records]


def _key(visit: Visit | None) -> str | None:
    record = None if visit is None else visit.record
    return None if record is None else record.key
