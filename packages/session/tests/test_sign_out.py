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
    app = build(Sessions(store=store_url, store_timeout=20), SESSION_MAX_PER_USER=1)

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


def test_who_ends_the_other_devices_stays_signed_in_under_a_new_id(
    build: Build, store_url: str
) -> None:
    """As where a tab of the same browser renews the id meanwhile."""
    sessions = Sessions(store=store_url)
    app = build(sessions)
    tab, other, phone = (app.test_client() for _ in range(3))

    @app.get("/end-others")
    def end_others() -> str:
        assert sessions.user_id == "ann"
        other.get("/regenerate")
        return str(sessions.revoke_user("ann", keep_current=True))

    phone.get("/login/ann")
    tab.get("/login/ann")
    copy_cookie(tab, other)
    assert tab.get("/end-others").text == "1"
    assert other.get("/read").json["user"] == "ann"
    assert phone.get("/read").json["user"] is None
