"""Users who stay signed in when the browser is closed, and copies of their cookies."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import flask
import flask.testing
import pytest

from flaskware_session import session_copied
from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

Build = cabc.Callable[..., flask.Flask]
Client = flask.testing.FlaskClient
DAYS = 30


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(build: Build, store_url: str, clock: FakeClock) -> flask.Flask:
    sessions = Sessions(store=store_url, clock=clock, idle_timeout=1800)
    app = build(sessions)

    @app.get("/remember/<user_id>")
    def remember(user_id: str) -> str:
        sessions.login(user_id, remember=dt.timedelta(days=DAYS))
        return "ok"

    @app.get("/devices")
    def devices() -> list[str]:
        return [info.handle for info in sessions.for_user("ann")]

    return app


def user(client: Client) -> str | None:
    found: str | None = client.get("/read").json["user"]
    return found


def copy(client: Client, app: flask.Flask) -> Client:
    """Return a client with a copy of another's cookie."""
    other = app.test_client()
    cookie = client.get_cookie("session")
    assert cookie is not None
    other.set_cookie("session", cookie.value)
    return other


def max_age(response: flask.testing.TestResponse) -> int | None:
    [header] = response.headers.getlist("Set-Cookie")
    parts = [part for part in header.split("; ") if part.startswith("Max-Age")]
    return int(parts[0].partition("=")[2]) if parts else None


def test_a_user_stays_signed_in_for_as_long_as_that_says(
    app: flask.Flask, clock: FakeClock
) -> None:
    client = app.test_client()
    assert max_age(client.get("/remember/ann")) == DAYS * 86400
    for _ in range(4):
        clock.advance(days=7)
        assert user(client) == "ann"
    clock.advance(days=2, minutes=1)
    assert user(client) is None


def test_a_sign_in_without_it_is_over_when_the_browser_is_closed(
    app: flask.Flask, clock: FakeClock
) -> None:
    client = app.test_client()
    client.get("/remember/ann")
    assert max_age(client.get("/login/ann")) is None
    clock.advance(minutes=31)
    assert user(client) is None


@pytest.mark.parametrize("is_thief_first", [False, True])
def test_a_copy_of_the_cookie_ends_the_session_for_both(
    app: flask.Flask, clock: FakeClock, is_thief_first: bool
) -> None:
    copied: list[dict[str, t.Any]] = []

    def note(sender: object, **details: t.Any) -> None:
        copied.append(details)

    session_copied.connect(note, app)
    client, other_device = app.test_client(), app.test_client()
    client.get("/remember/ann")
    other_device.get("/remember/ann")
    thief = copy(client, app)
    first, second = (thief, client) if is_thief_first else (client, thief)
    clock.advance(minutes=61)
    assert user(first) == "ann"  # gets a new id,
    assert user(first) == "ann"  # and has it
    handles = set(first.get("/devices").json)
    clock.advance(minutes=30)
    assert not copied
    assert user(second) is None
    assert user(first) is None
    assert user(other_device) == "ann"
    [found] = copied
    assert found["user_id"] == "ann"
    assert {found["handle"]} == handles - set(other_device.get("/devices").json)


def test_requests_under_way_and_lost_answers_are_no_copy(
    app: flask.Flask, clock: FakeClock
) -> None:
    client = app.test_client()
    client.get("/remember/ann")
    for _ in range(3):
        clock.advance(minutes=61)
        lost = copy(client, app)
        assert user(lost) == "ann"  # the answer with the new id never arrives
        clock.advance(minutes=30)
        assert user(client) == "ann"
    late = copy(client, app)
    clock.advance(minutes=61)
    for _ in range(2):
        assert user(client) == "ann"
    clock.advance(minutes=5)
    assert user(late) is None  # too late for the grace, and still no alarm
    assert user(client) == "ann"


def test_an_old_cookie_beside_the_right_one_is_no_copy(
    app: flask.Flask, clock: FakeClock
) -> None:
    client = app.test_client()
    client.get("/remember/ann")
    old = client.get_cookie("session")
    assert old is not None
    clock.advance(minutes=61)
    for _ in range(2):
        assert user(client) == "ann"
    clock.advance(minutes=30)
    new = client.get_cookie("session")
    assert new is not None
    assert new.value != old.value
    both = app.test_client(use_cookies=False)
    header = {"Cookie": f"session={old.value}; session={new.value}"}
    assert both.get("/read", headers=header).json["user"] == "ann"
    assert user(client) == "ann"


@pytest.mark.parametrize("wrong", [0, -1, 401 * 86400, dt.timedelta(0)])
def test_a_time_that_no_browser_keeps_is_refused(
    build: Build, wrong: dt.timedelta | float
) -> None:
    sessions = Sessions(store="memory://")
    app = build(sessions)
    with app.test_request_context(), pytest.raises(ValueError, match="up to 400 days"):
        sessions.login("ann", remember=wrong)
