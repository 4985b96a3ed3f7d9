"""Tables: what a request did, what the store answers; what is written, the cookie."""

from __future__ import annotations

import dataclasses as dc
import typing as t

import pytest

from flaskware_session import Record
from flaskware_session import SessionConflict
from flaskware_session import SessionEnded
from flaskware_session import SessionTooLarge
from flaskware_session import StoreUnavailable
from flaskware_session import Written
from flaskware_session._core.operations import Replace
from flaskware_session._core.operations import Update
from flaskware_session._core.save import save
from flaskware_session._core.visit import Cookie
from flaskware_session._core.visit import Intent
from flaskware_session._core.visit import Visit
from flaskware_session._records.proofs import admits
from flaskware_session._records.token import proof_of

from .core_script import Act
from .core_script import CONFLICT
from .core_script import DOWN
from .core_script import GONE
from .core_script import KEY
from .core_script import NEW_TOKEN
from .core_script import NEWER
from .core_script import NOW
from .core_script import OLD_KEY
from .core_script import PENDING
from .core_script import play
from .core_script import policy_of
from .core_script import SAVED
from .core_script import STORED
from .core_script import TOKEN
from .core_script import visit_of
from .core_script import VISITOR


def put(key: str, value: object) -> Act:
    def act(visit: Visit) -> None:
        visit.data[key] = value
        visit.is_touched = True

    return act


def delete(key: str) -> Act:
    def act(visit: Visit) -> None:
        del visit.data[key]
        visit.is_touched = visit.is_reordered = True

    return act


def count(visit: Visit) -> None:
    visit.data["a"] += 1
    visit.counted["a"] = 1
    visit.is_touched = True


def keep(visit: Visit) -> None: ...


def hand_out(visit: Visit) -> None:
    visit.is_touched = True


def force(visit: Visit) -> None:
    visit.require(Intent.UPDATE)


def renew(visit: Visit) -> None:
    visit.require(Intent.RENEW)


def sign_in(visit: Visit) -> None:
    visit.sign_in("ann", address="::1", agent="x")


def sign_in_other(visit: Visit) -> None:
    visit.sign_in("bob", address="::1", agent="x")


def clear(visit: Visit) -> None:
    visit.clear()


def both(*acts: Act) -> Act:
    def act(visit: Visit) -> None:
        for one in acts:
            one(visit)

    return act


def due(visit: Visit) -> None:
    visit.is_due = True


change, restart = put("a", 2), both(clear, put("c", 3))
LEAVE, SET, DELETE = Cookie.LEAVE, Cookie.SET, Cookie.DELETE
Row = tuple[Act, list[object], list[str], Cookie]

MET = ["session-conflict", "queue"]
DROPPED = "session-conflict a dropped"
CREATED, RENEWED = "session-created", "session-renewed"
MET_NEW_ID = Written(False, dc.replace(NEWER, issued=NOW))
MINE, MERGED = '{"a":2}', '{"a":2,"b":2}'

# Of a session that is signed in and holds {"a": 1}.
KNOWN: dict[str, Row] = {
    "keep": (keep, [], [], LEAVE),
    "keep, a value was handed out": (hand_out, [], [], LEAVE),
    "keep, the same was set": (put("a", 1), [], [], LEAVE),
    "keep, deleted and set again": (both(delete("a"), put("a", 1)), [], [], LEAVE),
    "update, saved": (change, [SAVED], [f"update {MINE}"], LEAVE),
    "update, permanent": (
        put("_permanent", True),
        [SAVED],
        ['update {"a":1,"_permanent":true}'],
        SET,
    ),
    "update, forced": (force, [SAVED], ['update {"a":1}'], LEAVE),
    "update, emptied": (delete("a"), [SAVED], ["update {}"], LEAVE),
    "update, conflict": (
        change,
        [CONFLICT, SAVED],
        [f"update {MINE}", *MET, f"update {MERGED}"],
        LEAVE,
    ),
    "update, conflict on a key": (
        put("b", 3),
        [CONFLICT, SAVED],
        ['update {"a":1,"b":3}', "session-conflict b", "queue", 'update {"a":1,"b":3}'],
        LEAVE,
    ),
    "update, three conflicts": (
        change,
        [CONFLICT, CONFLICT, CONFLICT, SAVED],
        [
            *(f"update {MINE}", *MET, f"update {MERGED}", "amend"),
            *(f"update {MERGED}", "amend", f"update {MERGED}"),
        ],
        LEAVE,
    ),
    "update, gone": (
        change,
        [GONE, None],
        [f"update {MINE}", "read old key", DROPPED],
        LEAVE,
    ),
    "update, conflict, then gone": (
        change,
        [CONFLICT, GONE, None],
        [f"update {MINE}", *MET, f"update {MERGED}", "read old key", DROPPED],
        LEAVE,
    ),
    "update, rekeyed": (
        change,
        [GONE, dc.replace(NEWER, key=OLD_KEY), SAVED],
        [f"update {MINE}", "read old key", *MET, f"update {MERGED}"],
        LEAVE,
    ),
    "renew, saved": (renew, [SAVED], ['update {"a":1}', RENEWED], SET),
    "renew, changed": (both(change, renew), [SAVED], [f"update {MINE}", RENEWED], SET),
    "renew, conflict": (
        renew,
        [CONFLICT, SAVED],
        ['update {"a":1}', *MET, 'update {"a":1,"b":2}', RENEWED],
        SET,
    ),
    "renew, gone": (
        renew,
        [GONE, None],
        ['update {"a":1}', "read old key", "session-conflict dropped"],
        LEAVE,
    ),
    "due, saved": (due, [SAVED], ['update {"a":1}', RENEWED], SET),
    "due, changed": (both(change, due), [SAVED], [f"update {MINE}", RENEWED], SET),
    "due, another has renewed it": (due, [MET_NEW_ID], ['update {"a":1}'], LEAVE),
    "due, changed, another has renewed it": (
        both(change, due),
        [MET_NEW_ID, SAVED],
        [f"update {MINE}", *MET, f"update {MERGED}"],
        LEAVE,
    ),
    "due, only touched": (
        due,
        [CONFLICT, SAVED],
        ['update {"a":1}', 'update {"a":1,"b":2}', RENEWED],
        SET,
    ),
    "due, gone": (due, [GONE], ['update {"a":1}'], LEAVE),
    "due, an outage": (due, [DOWN], ['update {"a":1}'], LEAVE),
    "sign in, saved": (sign_in, [SAVED], ['replace {"a":1}', RENEWED], SET),
    "sign in, conflict": (
        sign_in,
        [CONFLICT, SAVED],
        ['replace {"a":1}', *MET, 'replace {"a":1,"b":2}', RENEWED],
        SET,
    ),
    "sign in, gone": (
        both(put("c", 3), sign_in),
        [GONE, None, True],
        ['replace {"a":1,"c":3}', "read old key", 'create {"c":3}', CREATED],
        SET,
    ),
    "another user, saved": (sign_in_other, [SAVED], ["replace {}", RENEWED], SET),
    "restart, emptied": (clear, [True], ["delete key"], DELETE),
    "restart, saved": (restart, [SAVED], ['replace {"c":3}', RENEWED], SET),
    "restart, conflict": (
        restart,
        [CONFLICT, SAVED],
        ['replace {"c":3}', "queue", 'replace {"c":3}', RENEWED],
        SET,
    ),
    "restart, gone": (
        restart,
        [GONE, None, True],
        ['replace {"c":3}', "read old key", 'create {"c":3}', CREATED],
        SET,
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_session(name: str) -> None:
    act, answers, lines, cookie = KNOWN[name]
    visit = visit_of()
    act(visit)
    played = play(save(visit, policy_of()), *answers)
    is_dropped = bool(lines) and lines[-1].endswith("dropped")
    assert played.lines == lines
    assert isinstance(played.error, SessionEnded) == is_dropped
    assert visit.cookie is cookie
    if SAVED in answers or is_dropped:
        assert visit.intent is Intent.KEEP
    if is_dropped:
        assert (visit.data, visit.user_id) == ({}, None)


# Of a session of nobody that holds {"a": 1}.
NOBODY: dict[str, Row] = {
    "emptied": (delete("a"), [True], ["delete key v3"], DELETE),
    "emptied, conflict": (
        delete("a"),
        [False, CONFLICT, SAVED],
        ["delete key v3", "update {}", *MET, 'update {"b":2}'],
        LEAVE,
    ),
    "emptied, conflict with the same": (
        delete("a"),
        [False, Written(False, dc.replace(NEWER, data='{"a":1}')), True],
        ["delete key v3", "update {}", *MET, "delete key v4"],
        DELETE,
    ),
    "renew, emptied": (both(delete("a"), renew), [True], ["delete key v3"], DELETE),
    "sign in": (sign_in, [SAVED], ['replace {"a":1}', RENEWED], SET),
    "sign in, another tab has": (
        both(put("c", 3), sign_in),
        [GONE, None, True],
        [
            *('replace {"a":1,"c":3}', "read old key", 'create {"a":1,"c":3}'),
            CREATED,
        ],
        SET,
    ),
}


@pytest.mark.parametrize("name", NOBODY)
def test_a_session_of_nobody(name: str) -> None:
    act, answers, lines, cookie = NOBODY[name]
    visit = visit_of(VISITOR)
    act(visit)
    played = play(save(visit, policy_of()), *answers)
    assert (played.lines, played.error) == (lines, None)
    assert visit.cookie is cookie


NEW: dict[str, Row] = {
    "keep": (keep, [], [], LEAVE),
    "only permanent": (put("_permanent", True), [], [], LEAVE),
    "change": (change, [True], [f"create {MINE}", CREATED], SET),
    "sign in": (sign_in, [True], ["create {}", CREATED], SET),
    "restart": (restart, [True], ['create {"c":3}', CREATED], SET),
    "restart, emptied": (clear, [], [], LEAVE),
}


@pytest.mark.parametrize("name", NEW)
def test_a_new_session(name: str) -> None:
    act, answers, lines, cookie = NEW[name]
    visit = visit_of(None)
    act(visit)
    played = play(save(visit, policy_of()), *answers)
    assert (played.lines, played.error) == (lines, None)
    assert visit.cookie is cookie


def test_a_new_id_that_is_seen_becomes_the_only_one() -> None:
    visit = visit_of(PENDING, NEW_TOKEN)
    visit.is_first_seen = True
    first, late = play(save(visit, policy_of()), SAVED), visit_of(PENDING)
    seen = first.operations[0]
    assert isinstance(seen, Update)
    assert seen.record.proofs.startswith(proof_of(NEW_TOKEN) + " ")
    assert admits(seen.record.proofs, proof_of(TOKEN), NOW + 9_999)
    assert not admits(seen.record.proofs, proof_of(TOKEN), NOW + 10_000)
    assert (visit.cookie, visit.is_due_to_save) == (LEAVE, False)
    # Another request of the same page makes its change on the living session.
    change(late)
    conflict = Written(saved=False, current=seen.record)
    last = play(save(late, policy_of()), conflict, SAVED).operations[-1]
    assert isinstance(last, Update)
    assert last.record.proofs == seen.record.proofs
    assert last.record.data == MINE


def test_an_answer_that_was_lost_is_followed_by_another_offer() -> None:
    record = PENDING
    for _ in range(40):
        visit = visit_of(record)
        renew(visit)
        update = play(save(visit, policy_of()), SAVED).operations[0]
        assert isinstance(update, Update)
        record = update.record
        assert admits(record.proofs, proof_of(TOKEN), NOW + 10**9)
        assert admits(record.proofs, proof_of(str(visit.id)), NOW + 10**9)
    assert len(record.proofs) < 1000


OUTAGES: list[tuple[Record | None, Act, list[object]]] = [
    (None, change, [DOWN]),
    (None, restart, [DOWN]),
    (STORED, change, [DOWN]),
    (STORED, change, [CONFLICT, DOWN]),
    (STORED, change, [GONE, DOWN]),
    (STORED, renew, [DOWN]),
    (STORED, renew, [CONFLICT, DOWN]),
    (STORED, sign_in, [DOWN]),
    (STORED, sign_in, [SAVED, DOWN]),
    (STORED, sign_in, [GONE, None, DOWN]),
    (STORED, clear, [DOWN]),
    (STORED, clear, [False, DOWN]),
    (VISITOR, delete("a"), [DOWN]),
    (VISITOR, delete("a"), [False, DOWN]),
]


@pytest.mark.parametrize(("record", "act", "answers"), OUTAGES)
def test_an_outage_at_any_step_leaves_the_cookie_and_the_intent(
    record: Record | None, act: Act, answers: list[object]
) -> None:
    visit = visit_of(record)
    act(visit)
    intent = visit.intent
    played = play(save(visit, policy_of(max_per_user=1)), *answers)
    assert played.error is DOWN
    assert (visit.outage, visit.cookie, visit.intent) == (DOWN, LEAVE, intent)
    assert play(save(visit, policy_of())).operations == []


def test_to_raise_stores_nothing_and_shows_what_is_stored() -> None:
    visit = visit_of()
    put("b", 3)(visit)
    policy = policy_of(on_conflict="raise")
    played = play_raising(visit, policy, CONFLICT)
    assert played.keys == ["b"]
    assert (visit.data, visit.record) == ({"a": 1, "b": 2}, NEWER)
    assert visit.intent is Intent.KEEP
    assert not visit.is_changed


def play_raising(visit: Visit, policy: t.Any, *answers: object) -> SessionConflict:
    with pytest.raises(SessionConflict) as caught:
        play(save(visit, policy), *answers)
    return caught.value


def test_a_count_is_made_again_on_what_is_stored() -> None:
    visit = visit_of()
    count(visit)
    more = Written(saved=False, current=dc.replace(NEWER, data='{"a":7}'))
    played = play(save(visit, policy_of()), more, SAVED)
    last = played.operations[-1]
    assert isinstance(last, Update)
    assert last.record.data.startswith('{"a":8,"~w":')
    assert visit.data == {"a": 8}


def test_a_count_whose_answer_was_lost_is_not_made_twice() -> None:
    visit = visit_of()
    count(visit)
    steps = save(visit, policy_of())
    first = steps.send(None)
    assert isinstance(first, Update)
    later = dc.replace(first.record, version=5)
    with pytest.raises(StopIteration):
        steps.send(Written(saved=False, current=later))
    assert (visit.record, visit.data) == (later, {"a": 2})
    assert not visit.is_touched


def test_a_write_that_always_meets_another_gives_up() -> None:
    visit = visit_of()
    change(visit)
    played = play(save(visit, policy_of()), *[CONFLICT] * 101)
    assert isinstance(played.error, StoreUnavailable)
    assert "100 times" in played.error.reason


@pytest.mark.parametrize("act", [put("a", "x" * 100), both(put("a", "x" * 100), renew)])
@pytest.mark.parametrize("record", [STORED, None])
def test_what_is_too_large_is_not_written(act: Act, record: Record | None) -> None:
    visit = visit_of(record)
    act(visit)
    played = play(save(visit, policy_of(max_bytes=50)))
    assert isinstance(played.error, SessionTooLarge)
    assert (played.operations, visit.cookie) == ([], LEAVE)


@pytest.mark.parametrize("act", [renew, sign_in, restart])
def test_a_new_id_is_refused_once_the_response_has_begun(act: Act) -> None:
    visit = visit_of()
    visit.is_sent = True
    act(visit)
    played = play(save(visit, policy_of()))
    assert isinstance(played.error, RuntimeError)
    assert played.operations == []


def test_a_maximum_is_for_who_signs_in() -> None:
    for act, line in ((sign_in, ["limit ann 2", "session-revoked"]), (renew, [])):
        visit = visit_of()
        act(visit)
        answers = [SAVED, 1] if line else [SAVED]
        played = play(save(visit, policy_of(max_per_user=2)), *answers)
        assert played.lines[1:] == [*line, RENEWED]


def test_a_renewal_keeps_the_age_and_a_sign_in_begins_a_new_one() -> None:
    ages: list[int] = []
    for act in (renew, sign_in, restart):
        visit = visit_of()
        act(visit)
        played = play(save(visit, policy_of()), SAVED)
        write = played.operations[0]
        assert isinstance(write, Update if act is renew else Replace)
        assert (write.record.key == KEY) == (act is renew)
        assert visit.id not in {None, TOKEN}
        ages.append(write.record.created - STORED.created)
    assert ages == [0, 1000, 1000]


def test_who_signs_in_after_a_revocation_holds_what_is_stored() -> None:
    visit = visit_of()
    both(put("c", 3), sign_in)(visit)
    play(save(visit, policy_of()), GONE, None, True)
    assert visit.data == {"c": 3}
    assert not visit.is_changed
