"""Signing out, while another request gives the session a new id."""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import secrets
import threading
import typing as t

import flask
import flask.testing
import pytest

from flaskware_session import MemoryStore
from flaskware_session import Record
from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

from .conftest import session

Build = cabc.Callable[..., flask.Flask]
Client = flask.testing.FlaskClient


def twin(client: Client) -> Client:
    """Another client with the same cookie: a second tab."""
    other = client.application.test_client()
    copy_cookie(client, other)
    return other


def copy_cookie(client: Client, other: Client) -> None:
    cookie = client.get_cookie("session")
    assert cookie is not None
    other.set_cookie("session", cookie.value)


def add_slow_logout(
    app: flask.Flask, sessions: Sessions, meanwhile: cabc.Callable[[], object]
) -> None:
    @app.get("/slow-logout")
    def slow_logout() -> str:
        assert sessions.user_id == "ann"
        meanwhile()
        sessions.logout()
        return "ok"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"SESSION_RENEWAL_GRACE": 0},
        {"SESSION_ENCRYPTION_KEYS": [secrets.token_urlsafe(32)]},
    ],
    ids=["plain", "no-grace", "encrypted"],
)
@pytest.mark.parametrize("new_ids", [1, 2])
def test_a_sign_out_that_meets_a_new_id_ends_the_session(
    build: Build, store_url: str, settings: dict[str, t.Any], new_ids: int
) -> None:
    sessions = Sessions(store=store_url)
    app = build(sessions, **settings)
    tab = app.test_client()
    other = app.test_client()
    add_slow_logout(
        app, sessions, lambda: [other.get("/regenerate") for _ in range(new_ids)]
    )
    tab.get("/login/ann")
    copy_cookie(tab, other)
    old = twin(tab)
    tab.get("/slow-logout")
    for client in (tab, other, old):
        assert client.get("/read").json["user"] is None
    with app.app_context():
        assert sessions.for_user("ann") == []


def test_a_sign_out_that_outlasts_the_grace_ends_the_session(build: Build) -> None:
    clock = FakeClock()
    sessions = Sessions(store=MemoryStore(), clock=clock)
    app = build(sessions, SESSION_RENEWAL_GRACE=5)
    tab = app.test_client()
    other = app.test_client()

    def meanwhile() -> None:
        other.get("/regenerate")
        clock.advance(seconds=30)

    add_slow_logout(app, sessions, meanwhile)
    tab.get("/login/ann")
    copy_cookie(tab, other)
    tab.get("/slow-logout")
    assert other.get("/read").json["user"] is None


def test_who_had_the_id_before_a_sign_in_does_not_end_what_comes_after(
    build: Build,
) -> None:
    app = build(Sessions(store=MemoryStore()))
    user = app.test_client()
    user.get("/set/a/1")
    attacker = twin(user)
    user.get("/login/ann")
    attacker.get("/logout")
    assert user.get("/read").json["user"] == "ann"


class RenewedMeanwhile(MemoryStore):
    """A store in which something happens after a user's sessions were listed."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: cabc.Callable[[], object] = lambda: None

    def for_user(self, user_id: str, now: int) -> list[Record]:
        found = super().for_user(user_id, now)
        self.meanwhile()
        return found


def test_a_revocation_that_meets_a_new_id_ends_the_session(build: Build) -> None:
    store = RenewedMeanwhile()
    sessions = Sessions(store=store)
    app = build(sessions)
    device = app.test_client()
    device.get("/login/ann")
    with app.app_context():
        [info] = sessions.for_user("ann")
        store.meanwhile = lambda: device.get("/regenerate")
        assert sessions.revoke(info.handle, user_id="ann")
    assert device.get("/read").json["user"] is None


def test_of_sign_ins_at_once_exactly_the_maximum_is_left(
    build: Build, store_url: str
) -> None:
    sessions = Sessions(store=store_url, store_timeout=60, budget=600)
    app = build(sessions, SESSION_MAX_PER_USER=1)

    def sign_in(client: Client, start: threading.Barrier, user_id: str) -> None:
        start.wait(30)
        assert client.get(f"/login/{user_id}").status_code == 200

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for turn in range(15):
            clients = [app.test_client(), app.test_client()]
            start = threading.Barrier(2)
            tasks = [pool.submit(sign_in, c, start, f"u{turn}") for c in clients]
            for task in tasks:
                task.result()
            users = {client.get("/read").json["user"] for client in clients}
            assert users == {None, f"u{turn}"}


@pytest.mark.parametrize("minutes", [0, 5])
def test_who_ends_the_other_devices_stays_signed_in_under_a_new_id(
    build: Build, store_url: str, minutes: int
) -> None:
    """As where a tab of the same browser renews the id meanwhile."""
    clock = FakeClock()
    sessions = Sessions(store=store_url, clock=clock)
    app = build(sessions)
    tab, other, phone = (app.test_client() for _ in range(3))

    @app.get("/end-others")
    def end_others() -> str:
        assert sessions.user_id == "ann"
        other.get("/regenerate")
        clock.advance(minutes=minutes)
        return str(sessions.revoke_user("ann", keep_current=True))

    phone.get("/login/ann")
    clock.advance(seconds=1)
    tab.get("/login/ann")
    copy_cookie(tab, other)
    assert tab.get("/end-others").text == "1"
    assert other.get("/read").json["user"] == "ann"
    assert phone.get("/read").json["user"] is None


def test_a_sign_out_ends_the_session_however_long_its_request_took(
    build: Build,
) -> None:
    clock = FakeClock()
    sessions = Sessions(store=MemoryStore(), clock=clock)
    app = build(sessions)
    tab, other, phone = (app.test_client() for _ in range(3))

    def meanwhile() -> None:
        for _ in range(3):
            other.get("/regenerate")
            clock.advance(minutes=5)

    add_slow_logout(app, sessions, meanwhile)
    phone.get("/login/ann")
    clock.advance(seconds=1)
    tab.get("/login/ann")
    copy_cookie(tab, other)
    tab.get("/slow-logout")
    assert other.get("/read").json["user"] is None
    assert phone.get("/read").json["user"] == "ann"


def clear_and_say(sessions: Sessions) -> None:
    session.clear()
    session["message"] = "See you"


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda _: session.clear(), (None, {})),
        (clear_and_say, (None, {"message": "See you"})),
        (lambda sessions: sessions.login("bob"), ("bob", {})),
        (lambda sessions: sessions.login("ann"), ("ann", {"a": "1"})),
    ],
    ids=["clear", "message", "other user", "same user"],
)
def test_what_ends_a_session_ends_it_also_under_the_id_it_gets_meanwhile(
    build: Build,
    store_url: str,
    end: cabc.Callable[[Sessions], object],
    expected: tuple[str | None, dict[str, str]],
) -> None:
    sessions = Sessions(store=store_url)
    app = build(sessions)
    tab = app.test_client()
    other = app.test_client()

    @app.get("/end")
    def view() -> str:
        assert sessions.user_id == "ann"
        other.get("/regenerate")
        end(sessions)
        return "ok"

    tab.get("/login/ann")
    tab.get("/set/a/1")
    copy_cookie(tab, other)
    assert tab.get("/end").status_code == 200
    assert other.get("/read").json["user"] is None
    seen = tab.get("/read").json
    assert (seen["user"], seen["data"]) == expected
    with app.app_context():
        assert len(sessions.for_user("ann")) == (expected[0] == "ann")


def test_what_a_visitor_had_is_kept_by_a_sign_in_that_meets_a_new_id(
    build: Build,
) -> None:
    sessions = Sessions(store=MemoryStore())
    app = build(sessions)
    tab = app.test_client()
    other = app.test_client()

    @app.get("/slow-login")
    def slow_login() -> str:
        session["b"] = "2"
        other.get("/regenerate")
        sessions.login("ann")
        return "ok"

    tab.get("/set/a/1")
    copy_cookie(tab, other)
    tab.get("/slow-login")
    seen = tab.get("/read").json
    assert (seen["user"], seen["data"]) == ("ann", {"a": "1", "b": "2"})
    assert other.get("/read").json["data"] == {}


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("end", ["logout", "write"])
def test_a_pepper_that_is_rotated_meanwhile_changes_nothing(
    build: Build, store_url: str, end: str, *, signed_in: bool
) -> None:
    if store_url == "memory://":
        store = MemoryStore()
        builds = [Sessions(store=store), Sessions(store=store)]
    else:
        builds = [Sessions(store=store_url), Sessions(store=store_url)]
    sessions = builds[0]
    app = build(sessions, SESSION_PEPPERS=["old" * 6, "new" * 6])
    other = build(builds[1], SESSION_PEPPERS=["new" * 6, "old" * 6]).test_client()
    tab = app.test_client()

    @app.get("/slow")
    def slow() -> str:
        assert session["a"] == "1"
        copy_cookie(tab, other)
        assert other.get("/read").json["data"]["a"] == "1"
        if end == "write":
            session["b"] = "2"
        else:
            sessions.logout()
        return "ok"

    if signed_in:
        tab.get("/login/ann")
    tab.get("/set/a/1")
    tab.get("/slow")
    expected = {"a": "1", "b": "2"} if end == "write" else {}
    assert other.get("/read").json["data"] == expected


def test_clearing_with_an_id_replaced_twice_ends_the_session(
    build: Build, store_url: str
) -> None:
    sessions = Sessions(store=store_url)
    app = build(sessions)
    tab = app.test_client()
    tab.get("/login/ann")
    old = twin(tab)
    tab.get("/regenerate")
    tab.get("/regenerate")
    assert old.get("/read").json["user"] == "ann"
    old.get("/clear")
    assert tab.get("/read").json["user"] is None
