"""Tables: what the store answers to a read or an end; what the request then holds."""

from __future__ import annotations

import dataclasses as dc

import pytest

from flaskware_session import Record
from flaskware_session._core.end import end
from flaskware_session._core.load import load
from flaskware_session._core.takeover import ForeignSession
from flaskware_session._core.takeover import load_or_take_over
from flaskware_session._core.visit import Cookie
from flaskware_session._core.visit import Intent
from flaskware_session._core.visit import Visit

from .core_script import ALIAS
from .core_script import DOWN
from .core_script import GONE
from .core_script import NEWER
from .core_script import NOW
from .core_script import OLD_KEY
from .core_script import OTHER_KEY
from .core_script import play
from .core_script import policy_of
from .core_script import SAVED
from .core_script import STORED
from .core_script import TOKEN
from .core_script import visit_of
from .core_script import VISITOR

LATER = dc.replace(NEWER, key=OTHER_KEY)
DUE = dc.replace(STORED, issued=NOW - 300_000)
OLD = dc.replace(STORED, key=OLD_KEY)
UNREADABLE = dc.replace(STORED, data="[")
LATE_ALIAS = dc.replace(ALIAS, created=NOW - 10_000)
CHAIN = dc.replace(ALIAS, key=OTHER_KEY, address="e" * 64)
TAKEN = dc.replace(ALIAS, data=f'{{"next":"{OTHER_KEY}","data":null}}')

A, AB = {"a": 1}, {"a": 1, "b": 2}
Row = tuple[list[object], list[str], dict[str, int], str | None]

LOADS: dict[str, Row] = {
    "found": ([STORED], ["read key"], A, TOKEN),
    "unknown": ([None, None], ["read key", "read old key"], {}, None),
    "unreadable": ([UNREADABLE], ["read key", "session-unreadable"], {}, None),
    "under an older pepper": (
        [None, OLD, SAVED],
        ["read key", "read old key", 'replace {"a":1}'],
        A,
        TOKEN,
    ),
    "under an older pepper, another was faster": (
        [None, OLD, GONE, NEWER],
        ["read key", "read old key", 'replace {"a":1}', "read key"],
        AB,
        TOKEN,
    ),
    "under an older pepper, ended meanwhile": (
        [None, OLD, GONE, None],
        ["read key", "read old key", 'replace {"a":1}', "read key"],
        {},
        None,
    ),
    "replaced": ([ALIAS, LATER], ["read key", "read other key"], A, None),
    "replaced twice": (
        [ALIAS, CHAIN, LATER],
        ["read key", "read other key", "read new key"],
        A,
        None,
    ),
    "replaced, ended since": ([ALIAS, None], ["read key", "read other key"], {}, None),
    "replaced, after the grace": ([LATE_ALIAS], ["read key"], {}, None),
    "replaced, unreadable": (
        [dc.replace(ALIAS, data="[")],
        ["read key", "session-unreadable"],
        {},
        None,
    ),
    "taken over": ([TAKEN, LATER], ["read key", "read other key"], AB, None),
}


@pytest.mark.parametrize("name", LOADS)
def test_a_load(name: str) -> None:
    answers, lines, data, id = LOADS[name]
    visit = Visit(TOKEN)
    played = play(load(visit, policy_of()), *answers)
    assert (played.lines, played.error) == (lines, None)
    assert (visit.data, visit.id, visit.cookie) == (data, id, Cookie.LEAVE)
    assert visit.user_id == ("ann" if data else None)
    assert visit.is_view == (name.startswith("replaced") and bool(data))
    assert visit.intent is Intent.KEEP


def test_without_an_id_nothing_is_asked() -> None:
    visit = Visit(None)
    assert play(load(visit, policy_of())).operations == []
    assert visit.record is None


@pytest.mark.parametrize(
    "answers",
    [[DOWN], [None, DOWN], [None, OLD, DOWN], [None, OLD, GONE, DOWN], [ALIAS, DOWN]],
)
@pytest.mark.parametrize("lenient", [True, False])
def test_an_outage_is_raised_or_an_empty_session(
    answers: list[object], *, lenient: bool
) -> None:
    visit = Visit(TOKEN)
    policy = policy_of(anonymous_on_outage=lenient)
    assert play(load(visit, policy), *answers).error is (None if lenient else DOWN)
    assert (visit.outage, visit.record, visit.data) == (DOWN, None, {})


@pytest.mark.parametrize(
    ("answers", "is_sent", "intent"),
    [
        ([DUE], False, Intent.RENEW),
        ([DUE], True, Intent.KEEP),
        ([ALIAS, dc.replace(DUE, key=OTHER_KEY)], False, Intent.KEEP),
    ],
)
def test_a_due_renewal(answers: list[object], is_sent: bool, intent: Intent) -> None:
    visit = Visit(TOKEN, is_sent=is_sent)
    play(load(visit, policy_of()), *answers)
    assert visit.intent is intent


FOREIGN = ForeignSession("theirs", {"a": 1}, lambda: None, 5)


@pytest.mark.parametrize(
    ("answers", "count", "data", "cookie"),
    [
        ([None], 1, {}, Cookie.LEAVE),
        ([FOREIGN, True, True, None], 4, A, Cookie.SET),
        ([FOREIGN, True, False, True, None], 5, {}, Cookie.LEAVE),
        ([FOREIGN, True, False, True, TAKEN, LATER], 6, AB, Cookie.LEAVE),
    ],
    ids=["nothing", "taken over", "claimed and ended", "claimed"],
)
def test_a_session_of_another_extension(
    answers: list[object], count: int, data: dict[str, int], cookie: Cookie
) -> None:
    visit = Visit(None)
    played = play(load_or_take_over(visit, policy_of(), lambda: None), *answers)
    assert (len(played.operations), played.error) == (count, None)
    assert (visit.data, visit.cookie) == (data, cookie)


@pytest.mark.parametrize("answers", [[DOWN], [FOREIGN, DOWN], [FOREIGN, True, DOWN]])
def test_an_outage_leaves_a_session_of_another_extension(answers: list[object]) -> None:
    visit = Visit(None)
    played = play(load_or_take_over(visit, policy_of(), lambda: None), *answers)
    assert (played.error, visit.outage) == (DOWN, DOWN)
    assert played.lines.count("call") == 1


def test_a_known_session_is_not_taken_over() -> None:
    visit = Visit(TOKEN)
    steps = load_or_take_over(visit, policy_of(), lambda: None)
    assert play(steps, STORED).lines == ["read key"]


ENDED = "session-revoked"
SAME, OTHER = dc.replace(STORED, key=OTHER_KEY), dc.replace(LATER, created=1)
ENDS: dict[str, tuple[Record | None, list[object], list[str]]] = {
    "there": (STORED, [True], ["delete key", ENDED]),
    "under another pepper": (
        STORED,
        [False, True],
        ["delete key", "delete old key", ENDED],
    ),
    "found by its user": (
        STORED,
        [False, False, [OTHER, SAME], True],
        ["delete key", "delete old key", "for ann", "delete other key", ENDED],
    ),
    "gone": (
        STORED,
        [False, False, [OTHER]],
        ["delete key", "delete old key", "for ann"],
    ),
    "gone, of nobody": (VISITOR, [False, False], ["delete key", "delete old key"]),
    "an id that leads nowhere": (None, [False], ["delete key"]),
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
    [[DOWN], [False, DOWN], [False, False, DOWN], [False, False, [SAME], DOWN]],
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
