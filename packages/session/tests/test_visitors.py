"""Sessions of visitors that their cookies carry."""

from __future__ import annotations

import base64
import collections.abc as cabc
import concurrent.futures
import logging
import secrets

import flask
import flask.testing
import pytest
import redis
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from flaskware_core.testing import make_app
from flaskware_session import AsyncRedisStore
from flaskware_session import BlockingStore
from flaskware_session import MemcachedStore
from flaskware_session import RedisStore
from flaskware_session import Sessions
from flaskware_session._drive import sync
from flaskware_session._drive.sync import Gauge
from flaskware_session.testing import FakeClock

from .conftest import session

Build = cabc.Callable[..., flask.Flask]
Client = flask.testing.FlaskClient
KEY = "k3y-0f-a-test:0123456789abcdef-XYZ"
OTHER_KEY = "an0th3r-k3y-0f-a-t3st:0123456789abcdef"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def data(client: Client) -> dict[str, str]:
    found: dict[str, str] = client.get("/read").json["data"]
    return found


def value(client: Client) -> str:
    cookie = client.get_cookie("session")
    return "" if cookie is None else str(cookie.value)


def with_value(app: flask.Flask, text: str) -> Client:
    client = app.test_client()
    client.set_cookie("session", text)
    return client


def stored(app: flask.Flask, sessions: Sessions) -> int:
    with app.app_context():
        return sessions.stats().sessions


def test_by_choice_no_visitor_is_stored_in_any_store(
    build: Build, store_url: str
) -> None:
    sessions = Sessions(store=store_url, visitor_share=0)
    app = build(sessions, SECRET_KEY=KEY)
    client = app.test_client()
    client.get("/set/a/1")
    assert client.get("/set/b/2").headers["Cache-Control"] == "no-store"
    assert data(client) == {"a": "1", "b": "2"}
    assert "Set-Cookie" not in client.get("/read").headers
    assert client.get("/read").json["new"] is False
    assert stored(app, sessions) == 0
    client.get("/login/ann")
    assert client.get("/read").json["user"] == "ann"
    assert data(client) == {"a": "1", "b": "2"}
    assert stored(app, sessions) == 1
    client.get("/logout")
    assert data(client) == {}
    assert stored(app, sessions) == 0


def test_what_is_emptied_or_ended_leaves_no_cookie(build: Build) -> None:
    app = build(Sessions(store="memory://", visitor_share=0), SECRET_KEY=KEY)

    @app.get("/empty")
    def empty() -> str:
        session.clear()
        return "ok"

    for path in ("/empty", "/logout"):
        client = app.test_client()
        client.get("/set/a/1")
        assert value(client)
        client.get(path)
        assert not value(client)


def test_a_cookie_that_is_read_is_made_again_before_it_ends(
    build: Build, clock: FakeClock
) -> None:
    sessions = Sessions(
        store="memory://", visitor_share=0, visitor_timeout=3600, clock=clock
    )
    client = build(sessions, SECRET_KEY=KEY).test_client()
    client.get("/set/a/1")
    for _ in range(3):
        clock.advance(minutes=50)
        assert data(client) == {"a": "1"}
    clock.advance(minutes=61)
    assert data(client) == {}


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_changed_cookie_opens_nothing(choice: st.DataObject) -> None:
    app = make_app(Sessions(store="memory://", visitor_share=0), SECRET_KEY=KEY)

    @app.get("/set")
    def set_it() -> str:
        session["a"] = "1"
        return "ok"

    @app.get("/read")
    def read() -> dict[str, object]:
        return {"data": dict(session)}

    client = app.test_client()
    client.get("/set")
    right = value(client)
    place = choice.draw(st.integers(0, len(right) - 1))
    letter = choice.draw(st.sampled_from("Aa0-_.~"))
    wrong = right[:place] + letter + right[place + 1 :]
    # The last letter of a text in base64 has bits that say nothing.
    if wrong != right and place < len(right) - 1:
        assert data(with_value(app, wrong)) == {}
    assert data(with_value(app, right)) == {"a": "1"}


def test_a_cookie_of_another_app_opens_nothing(build: Build) -> None:
    def make(key: str, namespace: str) -> flask.Flask:
        sessions = Sessions(store="memory://", visitor_share=0, namespace=namespace)
        return build(sessions, SECRET_KEY=key)

    client = make(KEY, "one").test_client()
    client.get("/set/a/1")
    assert data(with_value(make(KEY, "one"), value(client))) == {"a": "1"}
    assert data(with_value(make(KEY, "two"), value(client))) == {}
    assert data(with_value(make(OTHER_KEY, "one"), value(client))) == {}


def test_with_encryption_the_cookie_shows_nothing(build: Build) -> None:
    keys = ("A" * 43,)
    for used, is_shown in (((), True), (keys, False)):
        sessions = Sessions(
            store="memory://", visitor_share=0, encryption_keys=used, permanent=False
        )
        client = build(sessions, SECRET_KEY=KEY).test_client()
        client.get("/set/name/plain-text")
        assert data(client) == {"name": "plain-text"}
        payload = value(client).removeprefix("~").partition(".")[0]
        shown = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        assert (b"plain-text" in shown) is is_shown


@pytest.mark.parametrize(
    ("key", "size"), [(None, 1), (KEY, 5000)], ids=["no key", "too long"]
)
def test_what_no_cookie_can_carry_is_dropped_with_a_line_in_the_log(
    build: Build, caplog: pytest.LogCaptureFixture, key: str | None, size: int
) -> None:
    app = build(Sessions(store="memory://", visitor_share=0), SECRET_KEY=key)
    client = app.test_client()
    with caplog.at_level(logging.WARNING, "flaskware.session"):
        assert client.get(f"/set/a/{secrets.token_hex(size)}").status_code == 200
    assert "A visitor's session was dropped" in caplog.text
    assert data(client) == {}


@pytest.fixture
def small(own_redis: str) -> cabc.Callable[[float], None]:
    """Sets the limit of a Redis so that it is so full."""

    def fill(share: float) -> None:
        with redis.Redis.from_url(own_redis) as server:
            used = server.info("memory")["used_memory"]
            server.config_set("maxmemory", int(used / share))

    return fill


def test_visitors_of_a_full_redis_are_carried_and_move_in_when_there_is_room(
    build: Build,
    own_redis: str,
    small: cabc.Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sync, "_QUESTIONS", 1)
    sessions = Sessions(store=own_redis, store_timeout=60, budget=60)
    app = build(sessions, SECRET_KEY=KEY)
    before, visitor, user = (app.test_client() for _ in range(3))
    before.get("/set/a/1")
    small(0.8)
    visitor.get("/set/a/1")
    user.get("/login/ann")
    assert stored(app, sessions) == 2
    before.get("/set/b/2")
    assert data(before) == {"a": "1", "b": "2"}
    assert user.get("/read").json["user"] == "ann"
    assert data(visitor) == {"a": "1"}
    carried = value(visitor)
    small(0.2)

    def read(number: int) -> bool:
        client = with_value(app, carried)
        return data(client) == {"a": "1"} and value(client) != carried

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert any(pool.map(read, range(6)))
    assert stored(app, sessions) == 3
    client = with_value(app, carried)
    client.get("/set/c/3")
    assert stored(app, sessions) == 3
    client.get("/logout")
    assert data(with_value(app, carried)) == {}


def test_a_redis_says_how_full_it_is(
    own_redis: str, small: cabc.Callable[[float], None]
) -> None:
    path = own_redis.removeprefix("unix://").partition("?")[0]
    client = redis.Redis(unix_socket_path=path)
    stores = [
        RedisStore(own_redis),
        RedisStore(client),
        BlockingStore(AsyncRedisStore(own_redis)),
    ]
    assert [store.fullness() for store in stores] == [None, None, None]
    small(0.5)
    for store in stores:
        assert 0.4 < (store.fullness() or 0) < 0.7
        store.close()


def test_a_memcached_says_how_full_it_is(memcached_url: str) -> None:
    store = MemcachedStore(memcached_url)
    app = make_app(Sessions(store=store))
    app.add_url_rule("/", "home", lambda: session.update(a=1) or "ok")
    app.test_client().get("/")
    assert 0 < store.fullness() < 1
    store.close()


def test_a_store_is_asked_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "_SECONDS", float("inf"))
    one = Gauge(0.5)
    assert one.is_due
    one.note(0.6)
    answers = []
    while not one.is_due:
        answers.append(one.is_crowded())
    assert answers == [True] * 100
    one.note(None)
    assert not one.is_crowded()


@pytest.mark.parametrize(("share", "expected"), [(0, True), (None, False)])
def test_a_share_that_needs_no_question_asks_none(
    share: float | None, expected: bool
) -> None:
    one = Gauge(share)
    assert not one.is_due
    assert one.is_crowded() is expected
