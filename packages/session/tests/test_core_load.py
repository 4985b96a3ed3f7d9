"""Tables: what the store answers to a read or an end; what the request then holds."""

from __future__ import annotations

import dataclasses as dc

import pytest

from flaskware_session import Record
from flaskware_session import Written
from flaskware_session._core.end import end
from flaskware_session._core.load import load
from flaskware_session._core.operations import Update
from flaskware_session._core.takeover import ForeignSession
from flaskware_session._core.takeover import load_or_take_over
from flaskware_session._core.visit import Cookie
from flaskware_session._core.visit import Intent
from flaskware_session._core.visit import Visit
from flaskware_session._records.token import Keys
from flaskware_session._records.token import moved_token
from flaskware_session._records.token import proof_of

from .core_script import DOWN
from .core_script import GONE
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

DUE = dc.replace(STORED, issued=NOW - 300_000)
OLD = dc.replace(STORED, key=OLD_KEY)
UNREADABLE = dc.replace(STORED, data="[")
OTHER = dc.replace(STORED, proofs="x" * 43)
LEFT = dc.replace(STORED, proofs=f"{'x' * 43} {proof_of(TOKEN)}:{NOW + 1}")
LONG_LEFT = dc.replace(STORED, proofs=f"{'x' * 43} {proof_of(TOKEN)}:{NOW}")
ENDED_BEFORE = dc.replace(STORED, proofs="", data="")
OUTLIVED = dc.replace(STORED, created=NOW - 600_000)
UNSEEN = dc.replace(VISITOR, kind="unseen")

A, AB = {"a": 1}, {"a": 1, "b": 2}
Row = tuple[list[object], list[str], dict[str, int]]

LOADS: dict[str, Row] = {
    "found": ([STORED], ["read key"], A),
    "unknown": ([None, None], ["read key", "read old key"], {}),
    "unreadable": ([UNREADABLE], ["read key", "session-unreadable"], {}),
    "under an older pepper": (
        [None, OLD, SAVED],
        ["read key", "read old key", 'replace {"a":1}'],
        A,
    ),
    "under an older pepper, another was faster": (
        [None, OLD, GONE, NEWER],
        ["read key", "read old key", 'replace {"a":1}', "read key"],
        AB,
    ),
    "under an older pepper, ended meanwhile": (
        [None, OLD, GONE, None],
        ["read key", "read old key", 'replace {"a":1}', "read key"],
        {},
    ),
    "the secret is pending's predecessor": ([PENDING], ["read key"], A),
    "the secret is leaving": ([LEFT], ["read key"], A),
    "the secret has left": ([LONG_LEFT], ["read key"], {}),
    "another secret": ([OTHER], ["read key"], {}),
    "moved, and ended since": ([ENDED_BEFORE], ["read key"], {}),
    "older than the app allows": ([OUTLIVED], ["read key"], {}),
}


@pytest.mark.parametrize("name", LOADS)
def test_a_load(name: str) -> None:
    answers, lines, data = LOADS[name]
    visit = Visit([TOKEN])
    played = play(load(visit, policy_of()), *answers)
    assert (played.lines, played.error) == (lines, None)
    id = TOKEN if data else None
    assert (visit.data, visit.id, visit.cookie) == (data, id, Cookie.LEAVE)
    assert visit.user_id == ("ann" if data else None)
    assert visit.intent is Intent.KEEP
    assert not visit.is_due_to_save


def test_without_an_id_nothing_is_asked() -> None:
    visit = Visit()
    assert play(load(visit, policy_of())).operations == []
    assert visit.record is None


def test_of_several_ids_the_first_that_opens_a_session_is_used() -> None:
    policy = policy_of(keys=Keys())
    record = dc.replace(STORED, key=policy.keys.of(TOKEN))
    visit = Visit(["v" + "B" * 76, "v" + "C" * 76, TOKEN, "v" + "D" * 76])
    played = play(load(visit, policy), None, OTHER, record)
    assert len(played.operations) == 3
    assert (visit.sent_id, visit.data) == (TOKEN, A)


@pytest.mark.parametrize(
    "answers", [[DOWN], [None, DOWN], [None, OLD, DOWN], [None, OLD, GONE, DOWN]]
)
@pytest.mark.parametrize("lenient", [True, False])
def test_an_outage_is_raised_or_an_empty_session(
    answers: list[object], *, lenient: bool
) -> None:
    visit = Visit([TOKEN])
    policy = policy_of(anonymous_on_outage=lenient)
    assert play(load(visit, policy), *answers).error is (None if lenient else DOWN)
    assert (visit.outage, visit.record, visit.data) == (DOWN, None, {})


@pytest.mark.parametrize(
    ("record", "token", "is_due", "is_first_seen"),
    [
        (STORED, TOKEN, False, False),
        (DUE, TOKEN, True, False),
        (PENDING, TOKEN, False, False),
        (PENDING, NEW_TOKEN, False, True),
        (UNSEEN, TOKEN, False, True),
    ],
)
def test_what_is_due(
    record: Record, token: str, *, is_due: bool, is_first_seen: bool
) -> None:
    visit = Visit([token])
    play(load(visit, policy_of()), record)
    assert (visit.is_due, visit.is_first_seen) == (is_due, is_first_seen)
    assert visit.intent is Intent.KEEP


THEIRS = moved_token("theirs")
MOVED = Record(
    policy_of().keys.of(THEIRS), '{"a":1}', 1, NOW, NOW, NOW + 60_000, issued=NOW,
    idle=60_000, until=NOW + 600_000, proofs=proof_of(THEIRS),
)  # fmt: skip
HANDED_OUT = dc.replace(MOVED, version=2, proofs=f"{proof_of(THEIRS)} {'y' * 43}")
OURS_ONLY = dc.replace(MOVED, proofs="y" * 43)
BURIED = dc.replace(MOVED, proofs="")
MISSED = [None, None]


def foreign() -> ForeignSession:
    return ForeignSession("theirs", lambda: {"a": 1}, lambda: None)


@pytest.mark.parametrize(
    ("answers", "count", "data", "is_due"),
    [
        ([*MISSED, None], 3, {}, False),
        ([*MISSED, A, True, MOVED], 5, A, True),
        ([MOVED], 1, A, True),
        ([HANDED_OUT], 1, A, False),
        ([OURS_ONLY], 1, {}, False),
        ([BURIED], 1, {}, False),
    ],
    ids=["nothing", "taken", "not handed out", "handed out", "used since", "ended"],
)
def test_a_session_of_another_extension(
    answers: list[object], count: int, data: dict[str, int], *, is_due: bool
) -> None:
    visit = Visit()
    played = play(load_or_take_over(visit, policy_of(), [foreign()]), *answers)
    assert (len(played.operations), played.error) == (count, None)
    assert (visit.data, visit.is_due) == (data, is_due)


@pytest.mark.parametrize("answers", [[DOWN], [*MISSED, DOWN], [*MISSED, A, DOWN]])
def test_an_outage_leaves_a_session_of_another_extension(answers: list[object]) -> None:
    visit = Visit()
    played = play(load_or_take_over(visit, policy_of(), [foreign()]), *answers)
    assert (played.error, visit.outage) == (DOWN, DOWN)


def test_a_known_session_is_not_taken_over() -> None:
    visit = Visit([TOKEN])
    steps = load_or_take_over(visit, policy_of(), [foreign()])
    assert play(steps, STORED).lines == ["read key"]


def test_a_session_that_was_taken_over_leaves_a_record_of_its_end() -> None:
    visit = Visit()
    play(load_or_take_over(visit, policy_of(), [foreign()]), HANDED_OUT)
    newer = dc.replace(HANDED_OUT, version=3)
    played = play(end(visit, policy_of()), None, Written(False, newer), SAVED)
    last = played.operations[2]
    assert isinstance(last, Update)
    assert (last.record.proofs, last.record.data, last.record.version) == ("", "", 4)
    assert played.lines == ["call", "update ", "update ", "session-revoked"]


ENDED = "session-revoked"
ENDS: dict[str, tuple[Record | None, list[object], list[str]]] = {
    "there": (STORED, [True], ["delete key", ENDED]),
    "under another pepper": (
        dc.replace(STORED, key=OLD_KEY),
        [False, True],
        ["delete old key", "delete key", ENDED],
    ),
    "gone": (STORED, [False, False], ["delete key", "delete old key"]),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end(name: str) -> None:
    record, answers, lines = ENDS[name]
    visit = visit_of(record)
    visit.data["b"] = 2
    visit.require(Intent.RENEW)
    played = play(end(visit, policy_of()), *answers)
    assert (played.lines, played.error) == (lines, None)
    assert (visit.data, visit.user_id, visit.record) == ({}, None, None)
    assert (visit.cookie, visit.intent) == (Cookie.DELETE, Intent.KEEP)


@pytest.mark.parametrize(
    "answers",
    [[DOWN], [False, DOWN]],
)
def test_an_outage_at_an_end_leaves_the_cookie_and_nobody_signed_in(
    answers: list[object],
) -> None:
    visit = visit_of()
    played = play(end(visit, policy_of()), *answers)
    assert played.error is DOWN
    assert (visit.outage, visit.cookie, visit.user_id) == (DOWN, Cookie.LEAVE, None)


def test_an_end_after_an_outage_asks_nothing() -> None:
    visit = visit_of()
    visit.failed(DOWN)
    played = play(end(visit, policy_of()))
    assert (played.operations, played.error) == ([], DOWN)
    assert visit.data == {}
