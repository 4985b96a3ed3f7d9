"""Timeouts of one session, of visitors, and of sessions that nobody came back with."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt

import flask
import pytest

from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

from .conftest import session

Build = cabc.Callable[..., flask.Flask]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_session_has_timeouts_of_its_own(
    build: Build, store_url: str, clock: FakeClock
) -> None:
    app = build(Sessions(store=store_url, clock=clock))

    @app.get("/short")
    def short() -> str:
        session.set_expiry(600, absolute=dt.timedelta(minutes=25))
        return "ok"

    client, other = app.test_client(), app.test_client()
    for one in (client, other):
        one.get("/login/ann")
    client.get("/short")
    for _ in range(2):
        clock.advance(minutes=9)
        assert client.get("/set/a/1").status_code == 200
        assert client.get("/read").json["user"] == "ann"
    clock.advance(minutes=8)
    assert client.get("/read").json["user"] is None
    assert other.get("/read").json["user"] == "ann"


def test_the_own_timeouts_end_with_a_sign_in(build: Build, clock: FakeClock) -> None:
    app = build(Sessions(store="memory://", clock=clock))

    @app.get("/short")
    def short() -> str:
        session.set_expiry(dt.timedelta(minutes=10))
        return "ok"

    client = app.test_client()
    for path in ("/set/a/1", "/short", "/login/ann"):
        client.get(path)
    clock.advance(minutes=30)
    assert client.get("/read").json["user"] == "ann"


@pytest.mark.parametrize("idle", [0, -1, float("nan"), float("inf"), dt.timedelta(0)])
def test_a_timeout_that_is_none_is_refused(build: Build, idle: float) -> None:
    with (
        build(Sessions(store="memory://")).test_request_context(),
        pytest.raises(ValueError, match="set_expiry"),
    ):
        session.set_expiry(idle)


def test_an_idle_timeout_is_the_shorter_one(build: Build) -> None:
    with (
        build(Sessions(store="memory://")).test_request_context(),
        pytest.raises(ValueError, match="longer"),
    ):
        session.set_expiry(600, absolute=300)


def test_a_visitor_s_session_may_end_earlier(
    build: Build, store_url: str, clock: FakeClock
) -> None:
    sessions = Sessions(store=store_url, clock=clock, visitor_timeout=1800)
    app = build(sessions)
    visitor, user = app.test_client(), app.test_client()
    visitor.get("/set/a/1")
    user.get("/login/ann")
    for _ in range(3):
        clock.advance(minutes=29)
        assert visitor.get("/read").json["data"] == {"a": "1"}
    clock.advance(minutes=31)
    assert visitor.get("/read").json["data"] == {}
    assert user.get("/read").json["user"] == "ann"


def test_a_session_that_nobody_came_back_with_ends_soon(
    build: Build, store_url: str, clock: FakeClock
) -> None:
    app = build(Sessions(store=store_url, clock=clock, unseen_timeout=600))
    once, twice = app.test_client(), app.test_client()
    for client in (once, twice):
        client.get("/set/a/1")
    clock.advance(minutes=9)
    assert twice.get("/read").json["data"] == {"a": "1"}
    clock.advance(minutes=30)
    assert twice.get("/read").json["data"] == {"a": "1"}
    assert once.get("/read").json["data"] == {}
