"""Requests that meet a renewal, a sign-in or each other keep what they wrote."""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import functools
import threading
import typing as t

import flask
import flask.testing
import pytest

from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

from .conftest import flash
from .conftest import session

Build = cabc.Callable[..., flask.Flask]
Client = flask.testing.FlaskClient
RENEWAL = 3600


class Shop(t.NamedTuple):
    """An app whose sessions are renewed each hour."""

    app: flask.Flask
    clock: FakeClock

    def client(self, cookie: str | None = None) -> Client:
        client = self.app.test_client()
        if cookie is not None:
            client.set_cookie("session", cookie)
        return client


@pytest.fixture
def shop(build: Build, store_url: str) -> Shop:
    clock = FakeClock()
    # However long it takes on a machine that does much else.
    sessions = Sessions(
        store=store_url,
        clock=clock,
        renewal_timeout=RENEWAL,
        store_timeout=60,
        budget=600,
    )
    app = build(sessions)
    meet = threading.Barrier(2, timeout=60)

    @app.get("/flash/<text>")
    def show(text: str) -> str:
        flash(text)
        meet.wait()
        return "ok"

    @app.get("/sign-in/<user_id>")
    def sign_in(user_id: str) -> str:
        session.get("cart")
        meet.wait()
        sessions.login(user_id)
        return "ok"

    @app.get("/nested")
    def nested() -> str:
        session["settings"] = {"_permanent": True}
        return "ok"

    return Shop(app, clock)


def cookie_of(client: Client) -> str:
    cookie = client.get_cookie("session")
    assert cookie is not None
    return str(cookie.value)


def at_once(*calls: cabc.Callable[[], t.Any]) -> list[t.Any]:
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


def read(client: Client) -> t.Any:
    return client.get("/read").json


def test_pages_of_five_requests_that_meet_a_renewal_lose_nothing(shop: Shop) -> None:
    client = shop.client()
    client.get("/login/ann")
    for page in range(20):
        shop.clock.advance(seconds=RENEWAL + 1)
        cookie = cookie_of(client)

        def write(number: int, page: int = page, cookie: str = cookie) -> Client:
            one = shop.client(cookie)
            assert one.get(f"/set/p{page}-{number}/1").status_code == 200
            return one

        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            tabs = list(pool.map(write, range(5)))
        # Whichever answer comes last decides what the browser goes on with.
        client = next((tab for tab in tabs if cookie_of(tab) != cookie), client)
        assert cookie_of(client) != cookie
        assert read(client)["user"] == "ann"
    data = read(client)["data"]
    assert data.keys() == {f"p{page}-{n}" for page in range(20) for n in range(5)}


def test_an_old_id_works_until_the_new_one_has_been_seen(shop: Shop) -> None:
    client = shop.client()
    client.get("/login/ann")
    old = cookie_of(client)
    for _ in range(3):
        shop.clock.advance(seconds=RENEWAL + 1)
        # The answer with the new id is lost on the way.
        lost = shop.client(old)
        assert lost.get("/set/a/1").status_code == 200
        assert cookie_of(lost) != old
    client = shop.client(old)
    assert client.get("/set/b/2").status_code == 200
    assert read(client) == {"data": {"a": "1", "b": "2"}, "user": "ann", "new": False}
    new = shop.client(cookie_of(lost))
    assert read(new)["user"] == "ann"
    shop.clock.advance(minutes=5)
    assert read(shop.client(old))["user"] is None
    assert read(new)["data"] == {"a": "1", "b": "2"}


def test_of_ids_handed_out_at_once_the_browser_may_keep_any(shop: Shop) -> None:
    client = shop.client()
    client.get("/login/ann")
    tabs = [shop.client(cookie_of(client)) for _ in range(5)]
    for tab in tabs:
        assert tab.get("/regenerate").status_code == 200
    # Requests that began before the last answer came carry an earlier one.
    for tab in tabs[:4]:
        assert read(tab)["user"] == "ann"
    shop.clock.advance(seconds=RENEWAL + 1)
    assert read(tabs[4])["user"] == "ann"
    shop.clock.advance(minutes=1)
    assert read(shop.client(cookie_of(client)))["user"] is None


def test_a_logout_ends_the_session_by_every_id_that_it_had(shop: Shop) -> None:
    client = shop.client()
    client.get("/login/ann")
    ids = [cookie_of(client)]
    for _ in range(2):
        shop.clock.advance(seconds=RENEWAL + 1)
        client.get("/set/a/1")
        ids.append(cookie_of(client))
    shop.client(ids[-2]).get("/logout")
    for one in ids:
        assert read(shop.client(one)) == {"data": {}, "user": None, "new": True}


def test_two_tabs_that_sign_in_at_once_both_keep_the_cart(shop: Shop) -> None:
    for turn in range(5):
        client = shop.client()
        client.get("/set/cart/apples")
        tabs = [shop.client(cookie_of(client)) for _ in range(2)]
        path = f"/sign-in/ann{turn}"
        at_once(*(functools.partial(tab.get, path) for tab in tabs))
        for tab in tabs:
            assert cookie_of(tab) != cookie_of(client)
            assert read(tab)["user"] == f"ann{turn}"
            assert read(tab)["data"] == {"cart": "apples"}
        assert read(client) == {"data": {}, "user": None, "new": True}


def test_two_flashes_at_once_both_arrive(shop: Shop) -> None:
    for start in ("", "/set/a/1"):
        client = shop.client()
        client.get("/login/ann")
        if start:
            client.get(start)
        cookie = cookie_of(client)
        at_once(
            functools.partial(shop.client(cookie).get, "/flash/one"),
            functools.partial(shop.client(cookie).get, "/flash/two"),
        )
        flashes = read(shop.client(cookie))["data"]["_flashes"]
        assert sorted(text for _, text in flashes) == ["one", "two"]


def test_a_nested_key_called_permanent_changes_nothing(shop: Shop) -> None:
    client = shop.client()
    client.get("/login/ann")
    for path in ("/nested", "/set/a/1"):
        for line in client.get(path).headers.getlist("Set-Cookie"):
            assert "Max-Age" not in line
            assert "Expires" not in line
        shop.clock.advance(seconds=RENEWAL + 1)
    [line] = client.get("/read").headers.getlist("Set-Cookie")
    assert "Max-Age" not in line
