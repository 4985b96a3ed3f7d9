"""What ``flask.session`` does, on every store."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import logging
import pickle
import typing as t
import uuid

import flask
import pytest

from flaskware_core.testing import make_app
from flaskware_session import MemoryStore
from flaskware_session import ServerSession
from flaskware_session import Sessions
from flaskware_session import SessionTooLarge
from flaskware_session import StoreUnavailable
from flaskware_session import UnstorableValue
from flaskware_session.testing import CountingStore

from .conftest import session

Build = cabc.Callable[..., flask.Flask]


def test_what_is_set_is_there_in_the_next_request(build: Build, store_url: str) -> None:
    client = build(Sessions(store=store_url)).test_client()
    assert client.get("/read").json == {"data": {}, "user": None, "new": True}
    client.get("/set/a/1")
    client.get("/set/b/2")
    data = {"a": "1", "b": "2"}
    assert client.get("/read").json == {"data": data, "user": None, "new": False}


def test_types_that_json_lacks_come_back(build: Build, store_url: str) -> None:
    app = build(Sessions(store=store_url))
    data = {
        "id": uuid.UUID(int=7),
        "when": dt.datetime(2024, 5, 6, tzinfo=dt.UTC),
        "pair": (1, b"\x00\xff"),
    }
    client = app.test_client()
    with client.session_transaction() as session:
        session.update(data)
    with client.session_transaction() as session:
        assert dict(session) == data


def test_a_change_inside_a_list_is_stored(build: Build, store_url: str) -> None:
    app = build(Sessions(store=store_url))

    @app.get("/add")
    def add() -> list[int]:
        session.setdefault("cart", []).append(len(session["cart"]))
        return t.cast("list[int]", session["cart"])

    client = app.test_client()
    assert [client.get("/add").json for _ in range(3)] == [[0], [0, 1], [0, 1, 2]]


def test_a_change_through_values_is_stored(build: Build) -> None:
    app = build(Sessions(store="memory://"))
    client = app.test_client()
    with client.session_transaction() as session:
        session["cart"] = {"a": 1}
    with client.session_transaction() as session:
        for value in session.values():
            value["b"] = 2
    with client.session_transaction() as session:
        assert session["cart"] == {"a": 1, "b": 2}


def test_another_visitor_has_another_session(build: Build, store_url: str) -> None:
    app = build(Sessions(store=store_url))
    one, two = app.test_client(), app.test_client()
    one.get("/set/a/1")
    two.get("/set/a/2")
    assert one.get("/read").json["data"] == {"a": "1"}
    assert two.get("/read").json["data"] == {"a": "2"}


@pytest.mark.flask_only("flash() of Flask")
def test_flashed_messages_are_shown_once(build: Build) -> None:
    app = build(Sessions(store="memory://"))
    app.add_url_rule("/flash", "flash", lambda: flask.flash("Hi") or "ok")
    app.add_url_rule("/show", "show", lambda: flask.get_flashed_messages())
    client = app.test_client()
    client.get("/flash")
    assert client.get("/show").json == ["Hi"]
    assert client.get("/show").json == []


@pytest.mark.parametrize(
    ("use", "stored"),
    [
        (lambda s: s.pop("a"), {"b": [1]}),
        (lambda s: s.update(a=2, c=3), {"a": 2, "b": [1], "c": 3}),
        (lambda s: s.__delitem__("b"), {"a": 1}),
        (lambda s: s.setdefault("d", 4), {"a": 1, "b": [1], "d": 4}),
        (lambda s: s.popitem(), {"b": [1]}),
        (lambda s: s["b"].append(2), {"a": 1, "b": [1, 2]}),
        (lambda s: s.clear(), {}),
    ],
)
def test_each_way_to_change_a_session_is_stored(
    build: Build, use: cabc.Callable[[t.Any], object], stored: dict[str, object]
) -> None:
    app = build(Sessions(store="memory://"))
    client = app.test_client()
    with client.session_transaction() as session:
        session.update(a=1, b=[1])
    with client.session_transaction() as session:
        use(session)
        assert session.modified
    with client.session_transaction() as session:
        assert dict(session) == stored
        assert not session.modified


def test_modified_new_and_accessed_tell_what_happened(build: Build) -> None:
    app = build(Sessions(store="memory://"))

    @app.get("/tell")
    def tell() -> list[bool]:
        before = [session.modified, session.new]
        session["a"] = 1
        return [*before, session.modified, session.accessed]

    client = app.test_client()
    assert client.get("/tell").json == [False, True, True, True]
    # The same value again is no change.
    assert client.get("/tell").json == [False, False, False, True]


@pytest.mark.flask_only("Quart reads a session before the view")
def test_asking_for_modified_reads_nothing() -> None:
    store = CountingStore(MemoryStore())
    app = make_app(Sessions(store=store))
    with app.test_request_context(headers={"Cookie": f"session={'A' * 77}"}):
        assert not session.modified
        assert repr(session) == "<ServerSession, not read yet>"
    assert store.trips == []


@pytest.mark.parametrize(
    "look", [lambda s: "a" in s, len, bool, list, lambda s: s.get("a")]
)
def test_every_way_of_looking_counts_as_access(
    look: cabc.Callable[[object], object],
) -> None:
    store = CountingStore(MemoryStore())
    app = make_app(Sessions(store=store))
    with app.test_request_context(headers={"Cookie": f"session={'A' * 77}"}):
        look(session)
        assert session.accessed
    assert store.trips == ["read"]


def test_setting_modified_forces_a_write() -> None:
    store = CountingStore(MemoryStore())
    client = make_app(Sessions(store=store)).test_client()
    with client.session_transaction() as session:
        session["a"] = 1
    with client.session_transaction() as session:
        session.modified = True
    assert store.trips == ["create", "read", "update"]


def test_the_representation_shows_keys_and_no_values(build: Build) -> None:
    client = build(Sessions(store="memory://")).test_client()
    with client.session_transaction() as session:
        session["card"] = "4111"
        assert repr(session) == "<ServerSession, keys: 'card'>"
        assert isinstance(session, ServerSession)
        assert session.copy() == {"card": "4111"}


def test_a_session_that_is_too_large_names_its_largest_key(
    build: Build, store_url: str
) -> None:
    client = build(Sessions(store=store_url, max_bytes=100)).test_client()
    client.get("/set/small/1")
    with pytest.raises(SessionTooLarge) as caught:
        client.get(f"/set/large/{'x' * 100}")
    assert "SESSION_MAX_BYTES = 100. The largest key is 'large' with 102 bytes" in str(
        caught.value
    )
    assert client.get("/read").json["data"] == {"small": "1"}


def test_a_value_that_cannot_be_stored_is_named(build: Build) -> None:
    app = build(Sessions(store="memory://"))

    @app.get("/bad")
    def bad() -> str:
        session["lock"] = object()
        return "ok"

    with pytest.raises(UnstorableValue, match=r"session\['lock'\] holds"):
        app.test_client().get("/bad")


def test_a_corrupt_record_is_an_empty_session(
    build: Build, store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    import dataclasses as dc

    sessions = Sessions(store=store_url)
    app = build(sessions)
    client = app.test_client()
    client.get("/login/ann")
    with app.app_context():
        store, now = sessions.store, sessions.state.manager.now()
        record = store.for_user("ann", now)[0]
        store.update(dc.replace(record, data="\x80pickle", version=2), now)
    with caplog.at_level(logging.WARNING, "flaskware.session"):
        assert client.get("/read").json == {"data": {}, "user": None, "new": True}
    assert "cannot be understood" in caplog.text
    assert record.key not in caplog.text
    assert client.get("/set/a/1").status_code == 200
    assert client.get("/read").json["data"] == {"a": "1"}


def test_a_server_error_stores_nothing_unless_wanted(build: Build) -> None:
    for wanted in (False, True):
        app = build(Sessions(store="memory://", save_on_error=wanted))
        app.add_url_rule("/fail", view_func=lambda: (session.update(a=1) or "no", 500))
        client = app.test_client()
        client.get("/set/b/1")
        assert client.get("/fail").status_code == 500
        assert ("a" in client.get("/read").json["data"]) is wanted


@pytest.mark.parametrize(
    "error", [StoreUnavailable("no answer"), UnstorableValue("key", "holds a lock")]
)
def test_an_error_survives_a_process_pool(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_a_permanent_session_has_a_cookie_that_lasts(build: Build) -> None:
    app = build(Sessions(store="memory://", absolute_timeout=40 * 86400))

    @app.get("/permanent/<int:value>")
    def permanent(value: int) -> str:
        session.permanent = bool(value)
        assert session.permanent is bool(value)
        return session["a"]

    client = app.test_client()
    assert "Max-Age" not in client.get("/set/a/1").headers["Set-Cookie"]
    cookie = client.get("/permanent/1").headers["Set-Cookie"]
    assert int(cookie.partition("Max-Age=")[2].partition(";")[0]) > 39 * 86400
    assert "Set-Cookie" not in client.get("/set/a/2").headers
    assert "Max-Age" not in client.get("/permanent/0").headers["Set-Cookie"]


def test_a_session_is_updated_and_joined_like_a_dict(build: Build) -> None:
    app = build(Sessions(store="memory://"))

    @app.get("/join")
    def join() -> dict[str, object]:
        own = t.cast("t.Any", session)
        own |= {"b": 2}
        return {"left": own | {"c": 3}, "right": {"a": 0} | own}

    client = app.test_client()
    client.get("/set/a/1")
    expected = {"a": "1", "b": 2}
    assert client.get("/join").json == {"left": expected | {"c": 3}, "right": expected}
    assert client.get("/read").json["data"] == expected


def test_a_url_of_valkey_names_a_server_like_redis(
    build: Build, redis_url: str
) -> None:
    url = redis_url.replace("redis", "valkey", 1)
    client = build(Sessions(store=url)).test_client()
    client.get("/set/a/1")
    assert client.get("/read").json["data"] == {"a": "1"}
