from __future__ import annotations

import collections.abc as cabc

import flask
import flask.testing
import pytest

from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

Build = cabc.Callable[..., flask.Flask]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(build: Build, store_url: str, clock: FakeClock) -> flask.testing.FlaskClient:
    sessions = Sessions(
        store=store_url, clock=clock, idle_timeout=600, absolute_timeout=3600
    )
    client = build(sessions).test_client()
    client.get("/login/ann")
    return client


def test_a_session_ends_after_the_idle_timeout(
    client: flask.testing.FlaskClient, clock: FakeClock
) -> None:
    clock.advance(seconds=599)
    assert client.get("/read").json["user"] == "ann"
    clock.advance(seconds=600)
    assert client.get("/read").json["user"] is None


def test_use_that_is_not_noted_yet_still_counts_at_the_next_interval(
    client: flask.testing.FlaskClient, clock: FakeClock
) -> None:
    for _ in range(30):
        clock.advance(seconds=61)
        assert client.get("/read").json["user"] == "ann"


@pytest.mark.parametrize("path", ["/read", "/set/a/{}", "/regenerate"])
def test_no_use_outlives_the_absolute_timeout(
    client: flask.testing.FlaskClient, clock: FakeClock, path: str
) -> None:
    for number in range(11):
        clock.advance(seconds=300)
        client.get(path.format(number))
    assert client.get("/read").json["user"] == "ann"
    clock.advance(seconds=299)
    assert client.get("/read").json["user"] == "ann"
    clock.advance(seconds=1)
    assert client.get("/read").json["user"] is None


def test_signing_in_again_starts_the_absolute_timeout_anew(
    client: flask.testing.FlaskClient, clock: FakeClock
) -> None:
    for _ in range(11):
        clock.advance(seconds=300)
        client.get("/read")
    client.get("/login/ann")
    clock.advance(seconds=500)
    assert client.get("/read").json["user"] == "ann"


def test_an_expired_session_is_not_written(
    client: flask.testing.FlaskClient, clock: FakeClock
) -> None:
    sessions: Sessions = client.application.extensions["session"]

    with client.session_transaction() as session:
        session["a"] = 1
        clock.advance(seconds=601)
    assert client.get("/read").json["user"] is None
    with client.application.app_context():
        assert sessions.for_user("ann") == []


def test_a_short_idle_timeout_is_kept_alive_by_use(
    build: Build, store_url: str, clock: FakeClock
) -> None:
    client = build(
        Sessions(store=store_url, clock=clock, idle_timeout=30)
    ).test_client()
    client.get("/login/ann")
    for _ in range(10):
        clock.advance(seconds=20)
        assert client.get("/read").json["user"] == "ann"
