from __future__ import annotations

import typing as t

import pytest

from flaskware_core import CircuitBreaker
from flaskware_session import MemoryStore
from flaskware_session import StoreUnavailable
from flaskware_session._core.operations import Read
from flaskware_session._core.operations import Steps
from flaskware_session._core.visit import Visit
from flaskware_session._drive.sync import StoreClient
from flaskware_session._errors import StoreBusy
from flaskware_session.testing import CountingStore


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def fail() -> t.NoReturn:
    raise StoreUnavailable("down")


def call(breaker: CircuitBreaker, function: t.Any, *args: object) -> object:
    with breaker:
        return function(*args)


def test_after_failures_in_a_row_the_store_is_not_asked_for_a_moment() -> None:
    clock, calls = Clock(), []
    breaker = CircuitBreaker(StoreUnavailable, threshold=3, pause=2, clock=clock)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            call(breaker, fail)
    assert breaker.is_open
    with pytest.raises(StoreUnavailable) as caught:
        call(breaker, calls.append, 1)
    assert caught.value.reason == "it failed 3 times in a row and is not asked for 2 s"
    assert calls == []
    clock.time = 2
    call(breaker, calls.append, 2)
    assert calls == [2]
    assert not breaker.is_open


def test_one_call_finds_out_while_the_others_wait() -> None:
    clock = Clock()
    breaker = CircuitBreaker(StoreUnavailable, threshold=1, pause=2, clock=clock)
    with pytest.raises(StoreUnavailable):
        call(breaker, fail)
    clock.time = 2

    def trial() -> None:
        with pytest.raises(StoreUnavailable):
            call(breaker, lambda: None)

    call(breaker, trial)
    assert call(breaker, lambda: 7) == 7


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = CircuitBreaker(StoreUnavailable, threshold=2)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            call(breaker, fail)
        call(breaker, lambda: None)
    assert not breaker.is_open


def test_another_error_is_not_an_outage() -> None:
    breaker = CircuitBreaker(StoreUnavailable, threshold=1)
    with pytest.raises(ZeroDivisionError):
        call(breaker, lambda: 1 // 0)
    assert not breaker.is_open


def test_a_request_that_has_used_up_its_time_asks_no_more() -> None:
    store = CountingStore(MemoryStore())
    client = StoreClient(store, limit=2)
    visit = Visit(None)

    def read() -> Steps[object]:
        return (yield Read("k", 1, 1))

    client.run(read(), visit)
    assert visit.waited > 0
    visit.waited = 2
    with pytest.raises(StoreUnavailable) as caught:
        client.run(read(), visit)
    assert "SESSION_BUDGET" in caught.value.reason
    assert store.trips == ["read"]


def test_a_process_without_a_free_connection_says_nothing_about_the_store() -> None:
    breaker = CircuitBreaker(StoreUnavailable, threshold=1)

    def find_no_connection() -> None:
        raise StoreBusy("each connection is in use")

    with pytest.raises(StoreUnavailable):
        call(breaker, find_no_connection)
    assert not breaker.is_open
