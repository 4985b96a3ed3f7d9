from __future__ import annotations

import asyncio
import collections.abc as cabc
import datetime as dt
import typing as t

import flask
import flask.testing
import pytest

from flaskware_core.testing import make_app
from flaskware_session import NotFresh
from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

Build = cabc.Callable[..., flask.Flask]
Client = flask.testing.FlaskClient


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def token(client: Client) -> str:
    cookie = client.get_cookie("session")
    assert cookie is not None
    return str(cookie.value)


def with_token(client: Client, value: str) -> Client:
    other = client.application.test_client()
    other.set_cookie("session", value)
    return other


@pytest.fixture
def client(build: Build, store_url: str, clock: FakeClock) -> Client:
    sessions = Sessions(store=store_url, clock=clock, renewal_timeout=600)
    client = build(sessions).test_client()
    client.get("/login/ann")
    client.get("/set/a/1")
    return client


def test_an_id_is_renewed_when_it_is_due_and_the_session_goes_on(
    client: Client, clock: FakeClock
) -> None:
    first = token(client)
    clock.advance(minutes=9)
    assert "Set-Cookie" not in client.get("/read").headers
    clock.advance(minutes=2)
    assert client.get("/read").json["user"] == "ann"
    assert token(client) != first
    assert client.get("/read").json["data"] == {"a": "1"}


def test_the_old_id_is_the_same_session_until_the_new_one_was_seen(
    client: Client, clock: FakeClock
) -> None:
    late = with_token(client, token(client))
    clock.advance(minutes=11)
    client.get("/read")
    clock.advance(minutes=5)
    assert late.get("/set/b/late").status_code == 200
    client.get("/set/a/2")
    clock.advance(seconds=9)
    response = late.get("/read")
    expected = {"a": "2", "b": "late"}
    assert response.json == {"data": expected, "user": "ann", "new": False}
    assert "Set-Cookie" not in response.headers
    assert client.get("/read").json["data"] == expected
    clock.advance(seconds=2)
    assert late.get("/read").json == {"data": {}, "user": None, "new": True}
    assert client.get("/read").json["data"] == expected


@pytest.mark.parametrize("end", ["/logout", "/login/bob", "/clear"])
def test_once_the_session_has_ended_the_old_id_shows_nothing(
    client: Client, clock: FakeClock, end: str
) -> None:
    late = with_token(client, token(client))
    clock.advance(minutes=11)
    client.get("/read")
    client.get(end)
    assert late.get("/read").json == {"data": {}, "user": None, "new": True}


def test_a_logout_with_the_old_id_ends_the_session(
    client: Client, clock: FakeClock
) -> None:
    late = with_token(client, token(client))
    clock.advance(minutes=11)
    client.get("/read")
    late.get("/logout")
    assert client.get("/read").json["user"] is None


def test_who_had_the_id_before_a_sign_in_sees_nothing_afterwards(
    build: Build, clock: FakeClock, store_url: str
) -> None:
    client = build(Sessions(store=store_url, clock=clock)).test_client()
    client.get("/set/a/1")
    planted = with_token(client, token(client))
    client.get("/login/ann")
    assert planted.get("/read").json == {"data": {}, "user": None, "new": True}


def test_without_grace_the_old_id_ends_once_the_new_one_was_seen(build: Build) -> None:
    client = build(Sessions(store="memory://", renewal_grace=0)).test_client()
    client.get("/login/ann")
    late = with_token(client, token(client))
    client.get("/regenerate")
    assert late.get("/read").json["user"] == "ann"
    client.get("/read")
    assert late.get("/read").json["user"] is None


@pytest.mark.parametrize(
    ("preset", "idle", "absolute", "renewal"),
    [
        ("owasp", 15 * 60, 8 * 3600, 3600),
        ("nist-aal2", 3600, 24 * 3600, None),
        ("nist-aal3", 15 * 60, 12 * 3600, None),
    ],
)
def test_a_preset_sets_the_timeouts_that_are_not_set(
    preset: t.Any, idle: int, absolute: int, renewal: int | None
) -> None:
    def lifetime(**config: t.Any) -> tuple[int, int, int | None]:
        sessions = Sessions(store="memory://", preset=preset, **config)
        found = sessions.state_of(make_app(sessions)).manager.lifetime
        due = None if found.renewal is None else found.renewal // 1000
        return found.idle // 1000, found.absolute // 1000, due

    assert lifetime() == (idle, absolute, renewal)
    assert lifetime(idle_timeout=60, renewal_timeout=dt.timedelta(minutes=5)) == (
        60,
        absolute,
        300,
    )


def test_a_sensitive_view_wants_a_recent_sign_in(
    build: Build, clock: FakeClock
) -> None:
    sessions = Sessions(store="memory://", clock=clock)
    app = build(sessions)

    @app.get("/password")
    @sessions.require_fresh(minutes=10)
    def password() -> str:
        return "change it"

    @app.get("/delete")
    @sessions.require_fresh(minutes=10)
    async def delete() -> str:
        await asyncio.sleep(0)
        return "deleted"

    @app.errorhandler(NotFresh)
    def again(error: NotFresh) -> tuple[str, int]:
        return "sign in again", 401

    client = app.test_client()
    assert client.get("/password").status_code == 401
    client.get("/login/ann")
    client.get("/set/a/1")
    for path in ("/password", "/delete"):
        assert client.get(path).status_code == 200
    clock.advance(minutes=11)
    for path in ("/password", "/delete"):
        response = client.get(path)
        assert (response.status_code, response.text) == (401, "sign in again")
    client.get("/login/ann")
    assert client.get("/password").status_code == 200
    assert client.get("/read").json["data"] == {"a": "1"}


def test_a_sign_in_beyond_the_maximum_ends_the_longest_unseen(
    build: Build, store_url: str, clock: FakeClock
) -> None:
    sessions = Sessions(store=store_url, clock=clock, max_per_user=2)
    app = build(sessions)
    devices = [app.test_client() for _ in range(3)]
    for device in devices:
        device.get("/login/ann")
        clock.advance(minutes=1)
    users = [device.get("/read").json["user"] for device in devices]
    assert users == [None, "ann", "ann"]
    devices[2].get("/login/ann")
    assert devices[1].get("/read").json["user"] == "ann"
    with app.app_context():
        assert len(sessions.for_user("ann")) == 2
