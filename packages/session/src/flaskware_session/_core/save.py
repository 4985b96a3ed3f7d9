"""Storing a session: created, updated, under a new id, or not any more."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flaskware_session._errors import SessionConflict
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.changes import Changes
from flaskware_session._records.changes import is_made
from flaskware_session._records.changes import new_mark
from flaskware_session._records.codec import Content
from flaskware_session._records.codec import join
from flaskware_session._records.codec import pack
from flaskware_session._records.record import Record
from flaskware_session._records.record import Written
from flaskware_session._records.text import alias_of
from flaskware_session._records.token import handle_of
from flaskware_session._records.token import new_token

from . import operations as ops
from .end import end_record
from .load import find_rekeyed
from .operations import Steps
from .policy import SessionPolicy
from .visit import Intent
from .visit import items_of
from .visit import Visit

# Of the writers that meet, one succeeds each time.
_MAX_RETRIES = 100

_WriteOnce: t.TypeAlias = cabc.Callable[[Record, Content], Steps[Written]]


def save(visit: Visit, policy: SessionPolicy) -> Steps[None]:
    """Store what a visit changed.

    :raises StoreUnavailable: with nothing stored and the cookie to be left alone.
    :raises SessionConflict: where the policy is to raise, with nothing stored.
    :raises SessionTooLarge: naming the largest key.
    :raises UnstorableValue: naming the key.
    """
    if visit.outage is not None:
        return
    try:
        if visit.record is None:
            yield from _save_new(visit, policy)
        elif visit.is_view and not visit.starts_over:
            if visit.intent is Intent.RENEW or visit.is_changed:
                yield _drop(visit)
        elif visit.intent >= Intent.RENEW:
            yield from _renew(visit, policy, visit.record)
        elif visit.is_touched or visit.intent is Intent.UPDATE:
            yield from _update(visit, policy)
    except StoreUnavailable as error:
        visit.failed(error)
        raise


def _save_new(visit: Visit, policy: SessionPolicy) -> Steps[None]:
    if visit.intent is Intent.RESTART and visit.sent_id is not None:
        # The id may lead to a session that could not be read any more, or not yet.
        yield ops.Delete(policy.keys.of(visit.sent_id))
    yield from _create(visit, policy, pack(visit.data))


def _create(visit: Visit, policy: SessionPolicy, content: Content) -> Steps[None]:
    if visit.is_empty(content.items):
        return
    _refuse_new_id(visit)
    token, now = new_token(), policy.now()
    record = _record_for(visit, policy, token, content, version=1, now=now)
    if not (yield ops.Create(record, now)):
        raise StoreUnavailable("the key of a new session belongs to something else")
    yield from _limit(visit, policy, record)
    visit.stored(record, content.items, new_id=token)
    yield _notice("session-created", record)


def _renew(visit: Visit, policy: SessionPolicy, base: Record) -> Steps[None]:
    content, token, id = pack(visit.data), new_token(), visit.id
    if visit.is_empty(content.items):
        yield from end_record(base, id, policy)
        visit.ended()
        return
    _refuse_new_id(visit)
    # Only a mere new id leaves the old id for a while. Anyone who had that before
    # the user signed in must see nothing of what comes after, and cannot end it.
    grace = None if visit.starts_over else policy.lifetime.grace

    def write_once(base: Record, content: Content) -> Steps[Written]:
        version, now = base.version + 1, policy.now()
        record = _record_for(visit, policy, token, content, version=version, now=now)
        alias = None
        if grace is not None:
            alias = alias_of(base, record.key, now=now, grace=grace)
        written: Written = yield ops.Replace(base.key, record, now, alias)
        if written.saved:
            yield from _limit(visit, policy, record)
            visit.stored(record, content.items, new_id=token)
            yield _notice("session-renewed", record)
        return written

    is_merged = visit.intent is not Intent.RESTART
    if (yield from _write(visit, policy, write_once, content, is_merged=is_merged)):
        return
    if not visit.starts_over:
        yield _drop(visit)
        return
    # A sign-in or a fresh start succeeds also where the old session was revoked
    # meanwhile, and then without its content. Where it has another id by now, that
    # ends.
    if not (yield from end_record(base, id, policy)):
        items = visit.changes(content.items).applied_to({})
        content = Content(items, join(items))
    yield from _create(visit, policy, content)
    if visit.record is not None:
        visit.merged()


def _update(visit: Visit, policy: SessionPolicy) -> Steps[None]:
    content = pack(visit.data)
    # Mostly a value that can change was only read.
    if visit.intent is Intent.KEEP and not visit.differs(content):
        return
    mark = _mark_for(visit, policy, content)

    def write_once(base: Record, content: Content) -> Steps[Written]:
        if visit.is_empty(content.items) and (yield ops.Delete(base.key, base.version)):
            visit.ended()
            return Written(saved=True)
        record = policy.record_after(base, content, mark)
        written: Written = yield ops.Update(record, record.last_seen)
        if written.saved:
            visit.stored(record, content.items, before=base)
        elif written.current is not None and is_made(mark, written.current):
            # By an attempt whose answer was lost: to count again would be wrong.
            record = written.current
            visit.stored(record, items_of(record), before=base)
            visit.merged()
            return Written(saved=True)
        return written

    if not (yield from _write(visit, policy, write_once, content)):
        yield _drop(visit)


def _mark_for(visit: Visit, policy: SessionPolicy, content: Content) -> str | None:
    if not visit.counted and policy.on_conflict == "last-wins":
        return None
    changes = visit.changes(content.items)
    return None if changes.may_repeat(policy.on_conflict) else new_mark()


def _write(
    visit: Visit,
    policy: SessionPolicy,
    write_once: _WriteOnce,
    content: Content,
    *,
    is_merged: bool = True,
) -> Steps[bool]:
    """Write until no other request was faster; ``False`` if the session is gone.

    After a conflict the request's own changes are made again on the content that
    the other request stored.
    """
    base, id, changes = t.cast("Record", visit.record), visit.id, None
    current = base
    for retries in range(_MAX_RETRIES + 1):
        written = yield from write_once(current, content)
        if written.saved:
            if retries and visit.record is not None:
                visit.merged()
            return True
        found = written.current
        if found is None:
            # Another process may have a newer pepper.
            found = yield from find_rekeyed(current.key, id, policy)
        if found is None or found.is_alias:
            return False
        current = found
        if retries == 0:
            if is_merged:
                changes = visit.changes(content.items)
                keys = changes.conflicts_with(items_of(current))
                yield _conflict(base, keys)
            # In a queue a request meets only the first attempts of others and other
            # processes; without a queue, the slowest of many can lose every time.
            yield ops.Queue(base.key)
        else:
            yield ops.Pause(min(retries - 1, 10) / 1000)
        if changes is not None:
            items = _reapply(visit, policy, changes, current)
            content = Content(items, join(items))
    raise StoreUnavailable(f"the session changed {_MAX_RETRIES} times meanwhile")


def _reapply(
    visit: Visit, policy: SessionPolicy, changes: Changes, current: Record
) -> dict[str, str]:
    try:
        return changes.applied_to(items_of(current), policy.on_conflict)
    except SessionConflict:
        # The session is now what is stored, so that the app can try again.
        visit.reloaded(current)
        raise


def _limit(visit: Visit, policy: SessionPolicy, record: Record) -> Steps[None]:
    user_id, most = record.user_id, policy.max_per_user
    if most is None or user_id is None or not visit.starts_over:
        return
    ended = yield ops.LimitUser(user_id, most, policy.now(), keep=record.key)
    if ended:
        yield ops.Notify("session-revoked", {"count": ended, "user_id": user_id})


def _record_for(
    visit: Visit,
    policy: SessionPolicy,
    token: str,
    content: Content,
    *,
    version: int,
    now: int,
) -> Record:
    policy.check_size(content)
    old = None if visit.starts_over else visit.record
    created = now if old is None else old.created
    return Record(
        key=policy.keys.of(token),
        data=content.text,
        version=version,
        created=created,
        last_seen=now,
        expires=policy.lifetime.expires(created, now),
        user_id=visit.user_id,
        address=visit.address,
        agent=visit.agent,
        issued=now,
    )


def _refuse_new_id(visit: Visit) -> None:
    if visit.is_sent:
        raise RuntimeError(
            "The response has begun, so that the browser cannot be given the id of a"
            " session any more. Call `session.save()` in the view, before it returns"
            " the response that is streamed."
        )


def _drop(visit: Visit) -> ops.Notify:
    # The cookie stays as it is: the browser may hold the next session's by now.
    visit.settled()
    handle = handle_of(t.cast("Record", visit.record).key)
    return ops.Notify(
        "session-conflict",
        {"handle": handle, "keys": [], "dropped": True},
        "Session %s ended meanwhile: a change was dropped",
    )


def _conflict(base: Record, keys: list[str]) -> ops.Notify:
    details = {"handle": handle_of(base.key), "keys": keys, "dropped": False}
    return ops.Notify("session-conflict", details)


def _notice(signal: str, record: Record) -> ops.Notify:
    details = {"handle": handle_of(record.key), "user_id": record.user_id}
    return ops.Notify(signal, details)
