from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t

import blinker
import flask
import pytest
import redis
from flask.sansio.app import App

from flaskware_session import MemoryStore
from flaskware_session import session_conflict
from flaskware_session import session_created
from flaskware_session import session_outage
from flaskware_session import session_renewed
from flaskware_session import session_revoked
from flaskware_session import session_unreadable
from flaskware_session import Sessions

from .conftest import session

Build = cabc.Callable[..., flask.Flask]
SIGNALS = {
    "created": session_created,
    "renewed": session_renewed,
    "revoked": session_revoked,
    "conflict": session_conflict,
    "outage": session_outage,
    "unreadable": session_unreadable,
}


@pytest.fixture
def events() -> cabc.Iterator[list[tuple[str, dict[str, t.Any]]]]:
    seen: list[tuple[str, dict[str, t.Any]]] = []

    def listen(name: str, signal: blinker.Signal) -> t.Any:
        def note(sender: App, **details: t.Any) -> None:
            assert isinstance(sender, App)
            seen.append((name, details))

        return signal.connected_to(note)

    with contextlib.ExitStack() as stack:
        for name, signal in SIGNALS.items():
            stack.enter_context(listen(name, signal))
        yield seen


Events = list[tuple[str, dict[str, t.Any]]]


def test_a_session_s_life_is_told(build: Build, events: Events) -> None:
    sessions = Sessions(store="memory://")
    app = build(sessions)
    client = app.test_client()
    for path in ("/untouched", "/read", "/set/a/1", "/login/ann", "/regenerate"):
        client.get(path)
    client.get("/logout")
    app.test_client().get("/login/bob")
    with app.app_context():
        sessions.revoke_user("bob")
        sessions.revoke_user("nobody")
    names = [name for name, _ in events]
    assert names == ["created", "renewed", "renewed", "revoked", "created", "revoked"]
    assert events[0][1]["user_id"] is None
    assert events[1][1]["user_id"] == "ann"
    assert events[3][1] == {"count": 1, "user_id": "ann"}
    assert events[5][1] == {"count": 1, "user_id": "bob"}


@pytest.mark.parametrize(("other", "dropped"), [("/set/a/2", False), ("/logout", True)])
def test_a_conflict_and_a_dropped_change_are_told(
    build: Build, events: Events, other: str, dropped: bool
) -> None:
    app = build(Sessions(store="memory://"))
    client = app.test_client()

    @app.get("/slow")
    def slow() -> str:
        session["a"] = "3"
        rival = app.test_client()
        cookie = client.get_cookie("session")
        assert cookie is not None
        rival.set_cookie("session", cookie.value)
        rival.get(other)
        return "ok"

    client.get("/set/a/1")
    client.get("/slow")
    [details] = [details for name, details in events if name == "conflict"]
    assert details["dropped"] is dropped
    assert details["keys"] == ["a"]


def test_an_outage_is_told(build: Build, events: Events) -> None:
    client = build(Sessions(store="redis://127.0.0.1:1/0")).test_client()
    assert client.get("/set/a/1").status_code == 503
    [(name, details)] = events
    assert (name, details["operation"]) == ("outage", "write")


def test_a_record_that_cannot_be_understood_is_told(
    build: Build, events: Events
) -> None:
    store = MemoryStore()
    client = build(Sessions(store=store)).test_client()
    client.get("/set/a/1")
    [record] = store._records.values()
    store._records[record.key] = dc.replace(record, data="junk")
    assert client.get("/read").json["new"] is True
    assert [name for name, _ in events] == ["created", "unreadable"]
    assert "JSON" in events[1][1]["reason"]


def test_a_record_of_another_program_s_is_told(
    build: Build, events: Events, own_redis: str
) -> None:
    client = build(Sessions(store=own_redis)).test_client()
    client.get("/set/a/1")
    with redis.Redis.from_url(own_redis) as server:
        [name] = server.keys("*")
        server.set(name, "a text")
        assert client.get("/read").json["new"] is True
        server.delete(name)
        server.lpush(name, "a list")
        assert client.get("/read").json["new"] is True
    told = [details["reason"] for name, details in events if name == "unreadable"]
    assert told == ["it is no record"] * 2
