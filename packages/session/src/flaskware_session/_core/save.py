"""Storing a session: created, updated, under a new id, or not any more."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

from flaskware_session._errors import SessionConflict
from flaskware_session._errors import SessionEnded
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records import proofs
from flaskware_session._records.changes import Changes
from flaskware_session._records.changes import is_made
from flaskware_session._records.changes import new_mark
from flaskware_session._records.codec import Content
from flaskware_session._records.codec import join
from flaskware_session._records.codec import pack
from flaskware_session._records.record import Record
from flaskware_session._records.record import UNSEEN
from flaskware_session._records.record import Written
from flaskware_session._records.token import handle_of
from flaskware_session._records.token import is_moved
from flaskware_session._records.token import new_token
from flaskware_session._records.token import proof_of
from flaskware_session._records.token import with_new_secret

from . import operations as ops
from .end import bury
from .end import end_record
from .load import find_rekeyed
from .load import is_ended
from .load import SETTLED
from .operations import Steps
from .policy import SessionPolicy
from .visit import Cookie
from .visit import Intent
from .visit import items_of
from .visit import Visit

# Of the writers that meet, one succeeds each time.
_MAX_RETRIES = 100
_MAX_TENDS = 3

_WriteOnce: t.TypeAlias = cabc.Callable[[Record, Content], Steps[Written]]


def save(visit: Visit, policy: SessionPolicy) -> Steps[None]:
    """Store what a visit changed.

    :raises StoreUnavailable: with nothing stored and the cookie to be left alone.
    :raises SessionConflict: where the policy is to raise, with nothing stored.
    :raises SessionEnded: if the session has ended meanwhile, with nothing stored.
    :raises SessionTooLarge: naming the largest key.
    :raises UnstorableValue: naming the key.
    """
    if visit.outage is not None:
        return
    if visit.is_over and not visit.starts_over:
        if visit.data:
            raise SessionEnded(sorted(visit.data))
        return
    try:
        if visit.record is None:
            yield from _create(visit, policy, pack(visit.data))
        elif visit.starts_over:
            yield from _start_over(visit, policy, visit.record)
        else:
            yield from _update(visit, policy, visit.record)
    except StoreUnavailable as error:
        visit.failed(error)
        raise


def _create(visit: Visit, policy: SessionPolicy, content: Content) -> Steps[None]:
    if visit.is_empty(content.items):
        if visit.carried is not None:
            visit.ended()
        return
    _refuse_new_id(visit)
    if visit.user_id is None and (yield ops.IsCrowded()):
        policy.check_size(content)
        visit.carry(content.text)
        return
    token, now = new_token(visit.user_id), policy.now()
    record = _new_record(visit, policy, token, content, version=1, now=now)
    if not (yield ops.Create(record, now)):
        raise StoreUnavailable("the key of a new session belongs to something else")
    yield from _limit(visit, policy, record)
    visit.stored(record, content.items, new_id=token)
    yield _notice("session-created", record)


def _start_over(visit: Visit, policy: SessionPolicy, base: Record) -> Steps[None]:
    """Sign in, or begin a new session in place of an emptied session.

    A client that has only the old id must see nothing of the new session, and cannot
    end it.
    """
    content, id = pack(visit.data), visit.sent_id
    if visit.forget_foreign is not None:
        yield ops.Call(visit.forget_foreign)
    if visit.is_empty(content.items):
        yield from end_record(base, id, policy)
        visit.ended()
        return
    _refuse_new_id(visit)
    token, is_merged = new_token(visit.user_id), visit.intent is not Intent.RESTART

    def write_once(base: Record, content: Content) -> Steps[Written]:
        version, now = base.version + 1, policy.now()
        record = _new_record(visit, policy, token, content, version=version, now=now)
        written: Written = yield ops.Replace(base.key, record, now)
        if written.saved:
            yield from _limit(visit, policy, record)
            visit.stored(record, content.items, new_id=token)
            yield _notice("session-renewed", record)
        return written

    last: Record | None = base
    if is_moved(base.key):
        last = yield from bury(base, policy)
    elif (yield from _write(visit, policy, write_once, content, is_merged=is_merged)):
        return
    else:
        last = None
    if is_merged and (last is not None or base.user_id is not None):
        # Where the old session was revoked meanwhile, its content is gone with it. That
        # of a visitor has mostly been taken along by a sign-in in another tab.
        items = {} if last is None else items_of(last)
        items = visit.changes(content.items).applied_to(items)
        content = Content(items, join(items))
    yield from _create(visit, policy, content)
    if visit.record is not None:
        visit.merged()


def _update(visit: Visit, policy: SessionPolicy, read: Record) -> Steps[None]:
    content = _content_to_store(visit)
    if content is None:
        # Mostly a value that can change was only read.
        if visit.is_due or visit.is_first_seen:
            yield from _tend(visit, policy, read)
        return
    is_renewed = visit.intent is Intent.RENEW
    if is_renewed:
        _refuse_new_id(visit)
    mark = _mark_for(visit, policy, content)
    proof = None if visit.sent_id is None else proof_of(visit.sent_id)
    can_renew = (is_renewed or visit.is_due) and not visit.is_sent
    token = with_new_secret(t.cast("str", visit.id)) if can_renew else None

    def write_once(base: Record, content: Content) -> Steps[Written]:
        is_needless = visit.is_empty(content.items) and not is_moved(base.key)
        if is_needless and (yield ops.Delete(base.key, base.version)):
            visit.ended()
            return Written(saved=True)
        # Another request may have renewed the id meanwhile, which is enough.
        new_id = token if is_renewed or base.issued == read.issued else None
        record = policy.record_after(
            base,
            content,
            mark,
            proofs=_proofs_after(base, policy, proof, new_id),
            is_new_id=new_id is not None,
            is_seen=proof is not None,
            timeouts=visit.timeouts,
        )
        written: Written = yield ops.Update(record, record.last_seen)
        if written.saved:
            visit.stored(record, content.items, new_id=new_id, before=base)
            if new_id is not None:
                yield _notice("session-renewed", record)
        elif written.current is not None and is_made(mark, written.current):
            # By an attempt whose answer was lost: to count again would be wrong.
            record = written.current
            is_offered = new_id is not None and proof_of(new_id) in record.proofs
            new_id = new_id if is_offered else None
            visit.stored(record, items_of(record), new_id=new_id, before=base)
            visit.merged()
            return Written(saved=True)
        return written

    if not (yield from _write(visit, policy, write_once, content)):
        yield from _dropped(visit, content)


def _content_to_store(visit: Visit) -> Content | None:
    if not (visit.is_touched or visit.intent):
        return None
    content = pack(visit.data)
    is_forced = visit.intent is not Intent.KEEP
    return content if is_forced or visit.differs(content) else None


def _tend(visit: Visit, policy: SessionPolicy, read: Record) -> Steps[None]:
    """Hand out the new id that is due, or note that the browser has it.

    Nothing is lost where this fails: the next request tries again.
    """
    if visit.sent_id is None or (visit.is_due and visit.is_sent):
        return
    token = with_new_secret(visit.sent_id) if visit.is_due else None
    visit.is_due = visit.is_first_seen = False
    base: Record | None = read
    with contextlib.suppress(StoreUnavailable):
        for _ in range(_MAX_TENDS):
            # Another request may have done it meanwhile.
            if base is None or (token is not None and base.issued != read.issued):
                return
            text = _proofs_after(base, policy, proof_of(visit.sent_id), token)
            if text == base.proofs and base.kind != UNSEEN:
                return
            is_new = token is not None
            record = policy.next_record(
                base, base.data, proofs=text, is_new_id=is_new, is_seen=True
            )
            written: Written = yield ops.Update(record, record.last_seen)
            if written.saved:
                if base is read:
                    visit.record = record
                if token is not None:
                    visit.id, visit.cookie = token, Cookie.SET
                    yield _notice("session-renewed", record)
                return
            base = written.current


def _proofs_after(
    base: Record, policy: SessionPolicy, proof: str | None, new_id: str | None
) -> str:
    text = base.proofs
    if proof is not None:
        now, grace = policy.now(), policy.lifetime.grace
        text = proofs.seen(text, proof, now=now, grace=grace)
        is_long_ago = new_id is not None and now - base.issued >= SETTLED
        if is_long_ago and text.startswith(proof):
            text = proofs.settled(text, now=now, grace=grace)
    return text if new_id is None else proofs.offered(text, proof_of(new_id))


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
        if found is None or is_ended(found):
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
        elif changes is not None and (
            yield from _amend(visit, policy, write_once, changes, current.key)
        ):
            visit.merged()
            return True
        # Without a pause: what was read would only grow old, and a writer that lost
        # is nearer to its next attempt than a request that has just begun.
        if changes is not None:
            items = _reapply(visit, policy, changes, current)
            content = Content(items, join(items))
    raise StoreUnavailable(f"the session changed {_MAX_RETRIES} times meanwhile")


def _amend(
    visit: Visit,
    policy: SessionPolicy,
    write_once: _WriteOnce,
    changes: Changes,
    key: str,
) -> Steps[bool]:
    """Write with nobody else in between, where the store can see to that."""
    rest: Steps[Written] | None = None

    def change(found: Record) -> Record | None:
        nonlocal rest
        if is_ended(found):
            return None
        items = _reapply(visit, policy, changes, found)
        rest = write_once(found, Content(items, join(items)))
        operation = next(rest)
        return operation.record if isinstance(operation, ops.Update) else None

    written: Written | None = yield ops.Amend(key, policy.now(), change)
    if written is None or not written.saved or rest is None:
        return False
    answer: object = written
    with contextlib.suppress(StopIteration):
        while True:
            answer = yield rest.send(answer)
    return True


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


def _new_record(
    visit: Visit,
    policy: SessionPolicy,
    token: str,
    content: Content,
    *,
    version: int,
    now: int,
) -> Record:
    return policy.new_record(
        token,
        content,
        version=version,
        created=now,
        now=now,
        user_id=visit.user_id,
        address=visit.address,
        agent=visit.agent,
        timeouts=visit.timeouts,
    )


def _refuse_new_id(visit: Visit) -> None:
    if visit.is_sent:
        raise RuntimeError(
            "The response has begun, so that the browser cannot be given the id of a"
            " session any more. Call `session.save()` in the view, before it returns"
            " the response that is streamed."
        )


def _dropped(visit: Visit, content: Content) -> Steps[None]:
    """Report that a change was not stored, as the session has ended."""
    handle = handle_of(t.cast("Record", visit.record).key)
    keys = visit.changes(content.items).keys
    # The cookie stays as it is: the browser may hold the next session's by now.
    visit.signed_out()
    visit.is_over = True
    yield ops.Notify(
        "session-conflict",
        {"handle": handle, "keys": keys, "dropped": True},
        "Session %s ended meanwhile: a change was dropped",
    )
    raise SessionEnded(keys)


def _conflict(base: Record, keys: list[str]) -> ops.Notify:
    details = {"handle": handle_of(base.key), "keys": keys, "dropped": False}
    return ops.Notify("session-conflict", details)


def _notice(signal: str, record: Record) -> ops.Notify:
    details = {"handle": handle_of(record.key), "user_id": record.user_id}
    return ops.Notify(signal, details)
