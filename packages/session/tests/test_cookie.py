from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import logging
import re

import flask
import flask.testing
import pytest

from flaskware_session import MemoryStore
from flaskware_session import Sessions
from flaskware_session.testing import CountingStore

from .conftest import session

Build = cabc.Callable[..., flask.Flask]
TOKEN = "[A-Za-z0-9_-]{77}"


def cookie(app: flask.Flask, url: str) -> str:
    return app.test_client().get("/set/a/1", base_url=url).headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("config", "url", "expected"),
    [
        ({}, "https://x.example", "__Host-session=*; Secure; HttpOnly; Path=/; Lax"),
        ({}, "http://localhost:5000", "session=*; HttpOnly; Path=/; Lax"),
        ({}, "http://127.0.0.1", "session=*; HttpOnly; Path=/; Lax"),
        ({}, "http://app.localhost:80", "session=*; HttpOnly; Path=/; Lax"),
        ({}, "http://[::1]:80", "session=*; HttpOnly; Path=/; Lax"),
        ({}, "http://x.example", "__Host-session=*; Secure; HttpOnly; Path=/; Lax"),
        ({"TESTING": True}, "http://x.example", "session=*; HttpOnly; Path=/; Lax"),
        ({"DEBUG": True}, "http://x.example", "session=*; HttpOnly; Path=/; Lax"),
        (
            {"SESSION_COOKIE_POLICY": "plain"},
            "https://x.example",
            "session=*; HttpOnly; Path=/; Lax",
        ),
        (
            {"SESSION_COOKIE_SECURE": True},
            "http://localhost",
            "__Host-session=*; Secure; HttpOnly; Path=/; Lax",
        ),
        (
            {"SESSION_COOKIE_DOMAIN": "x.example", "SESSION_COOKIE_NAME": "id"},
            "https://a.x.example",
            "__Secure-id=*; Domain=x.example; Secure; HttpOnly; Path=/; Lax",
        ),
        (
            {"APPLICATION_ROOT": "/shop"},
            "https://x.example/shop",
            "__Secure-session=*; Secure; HttpOnly; Path=/shop; Lax",
        ),
        (
            {"SESSION_COOKIE_PARTITIONED": True, "SESSION_COOKIE_SAMESITE": "None"},
            "http://localhost",
            "__Host-session=*; Secure; HttpOnly; Path=/; None; Partitioned",
        ),
        (
            {"SESSION_COOKIE_HTTPONLY": False, "SESSION_COOKIE_SAMESITE": "Strict"},
            "http://localhost",
            "session=*; Path=/; Strict",
        ),
    ],
)
def test_the_cookie_has_the_attributes_that_fit(
    build: Build, config: dict[str, object], url: str, expected: str
) -> None:
    app = build(Sessions(store="memory://"), **({"TESTING": False} | config))
    set_again = re.sub(TOKEN, "*", cookie(app, url)).replace("SameSite=", "")
    assert set_again == expected


def test_the_deleted_cookie_has_the_same_attributes(build: Build) -> None:
    app = build(
        Sessions(store="memory://"),
        SESSION_COOKIE_PARTITIONED=True,
        SESSION_COOKIE_SAMESITE="Strict",
    )
    client = app.test_client()
    client.get("/set/a/1", base_url="https://localhost")
    for path in ("/logout", "/clear"):
        client.get("/set/a/1", base_url="https://localhost")
        deleted = client.get(path, base_url="https://localhost").headers["Set-Cookie"]
        attributes = deleted.partition(";")[2]
        assert deleted.startswith("__Host-session=;")
        for attribute in (
            "Max-Age=0",
            "Secure",
            "HttpOnly",
            "Path=/",
            "SameSite=Strict",
            "Partitioned",
        ):
            assert attribute in attributes


def test_the_cookie_is_sent_only_when_something_changed(build: Build) -> None:
    client = build(Sessions(store="memory://")).test_client()
    first = client.get("/set/a/1")
    assert first.headers["Cache-Control"] == "no-store"
    for path in ("/read", "/set/a/1", "/set/a/2", "/untouched"):
        response = client.get(path)
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("setting", "signed_in", "anonymous"),
    [
        ("auto", "no-store", "private, no-cache"),
        ("private", "private, no-cache", "private, no-cache"),
        ("no-store", "no-store", "no-store"),
        (None, None, None),
    ],
)
def test_no_cache_keeps_a_page_that_read_the_session(
    build: Build, setting: str | None, signed_in: str | None, anonymous: str | None
) -> None:
    app = build(Sessions(store="memory://"), SESSION_CACHE_CONTROL=setting)
    client = app.test_client()
    assert "Cache-Control" not in client.get("/untouched").headers
    assert client.get("/read").headers.get("Cache-Control") == anonymous
    client.get("/login/ann")
    assert client.get("/read").headers.get("Cache-Control") == signed_in
    assert "Cache-Control" not in client.get("/untouched").headers
    assert client.get("/logout").headers["Cache-Control"] == "no-store"


def test_the_view_has_the_last_word_on_caching(build: Build) -> None:
    app = build(Sessions(store="memory://"))

    @app.get("/own")
    def own() -> tuple[str, dict[str, str]]:
        session["a"] = 1
        return "ok", {"Cache-Control": "private"}

    assert app.test_client().get("/own").headers["Cache-Control"] == "private"


@pytest.mark.parametrize(
    ("path", "varies"), [("/untouched", False), ("/read", True), ("/set/a/1", True)]
)
def test_what_depends_on_the_session_varies_by_cookie(
    build: Build, path: str, varies: bool
) -> None:
    response = build(Sessions(store="memory://")).test_client().get(path)
    assert ("Cookie" in response.vary) is varies


@pytest.mark.parametrize(
    "value", ["", "short", "A" * 42, "A" * 44, "A" * 42 + "!", "A" * 42 + "=", "é" * 43]
)
def test_a_cookie_without_the_form_of_an_id_costs_no_trip(
    build: Build, value: str
) -> None:
    store = CountingStore(MemoryStore())
    client = build(Sessions(store=store)).test_client()
    client.set_cookie("session", value)
    assert client.get("/read").json["data"] == {}
    assert store.trips == []


def test_an_id_that_was_not_issued_is_never_adopted(
    build: Build, store_url: str
) -> None:
    client = build(Sessions(store=store_url)).test_client()
    client.set_cookie("session", "A" * 43)
    assert "Set-Cookie" not in client.get("/read").headers
    client.get("/set/a/1")
    stored = client.get_cookie("session")
    assert stored is not None
    assert stored.value != "A" * 43
    assert client.get("/read").json["data"] == {"a": "1"}
    client.set_cookie("session", "A" * 43)
    assert client.get("/read").json["data"] == {}


def test_a_cookie_set_over_http_is_not_read_over_https(build: Build) -> None:
    client = build(Sessions(store="memory://")).test_client()
    client.get("/set/a/1", base_url="http://localhost")
    plain = client.get_cookie("session")
    assert plain is not None
    headers = {"Cookie": f"session={plain.value}"}
    fresh = flask.testing.FlaskClient(client.application, use_cookies=False)
    over_https = fresh.get("/read", base_url="https://localhost", headers=headers)
    assert over_https.json["data"] == {}
    assert fresh.get("/read", headers=headers).json["data"] == {"a": "1"}


def test_the_store_does_not_hold_the_id(build: Build) -> None:
    sessions = Sessions(store="memory://")
    app = build(sessions)
    client = app.test_client()
    client.get("/login/ann")
    stored = client.get_cookie("session")
    assert stored is not None
    with app.app_context():
        record = sessions.store.for_user("ann", 0)[0]
        handle = sessions.for_user("ann")[0].handle
    assert re.fullmatch("u[A-Za-z0-9_-]{11}[0-9a-f]{64}", record.key)
    held = "".join(map(str, dc.astuple(record)))
    assert stored.value not in held
    assert stored.value[34:] not in held
    assert handle not in record.key
    assert record.key not in repr(record)
    # Whoever read the store has nothing that opens a session.
    for guess in (
        record.key,
        f"{record.key}A",
        record.key[:34] + record.proofs,
        handle,
    ):
        client.set_cookie("session", guess)
        assert client.get("/read").json["user"] is None


def test_others_may_ask_the_interface_about_the_cookie(build: Build) -> None:
    app = build(Sessions(store="memory://"), SESSION_COOKIE_NAME="id")
    interface = app.session_interface
    assert interface.get_cookie_name(app) == "id"
    assert interface.get_cookie_samesite(app) == "Lax"
    assert interface.get_cookie_secure(app)


def test_a_secure_cookie_over_plain_http_is_told_once(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    app = build(Sessions(store="memory://"), TESTING=False)
    with caplog.at_level(logging.WARNING, "flaskware.session"):
        cookie(app, "http://shop.example")
        cookie(app, "http://other.example")
    assert len(caplog.records) == 1
    assert "'shop.example'" in caplog.text
    assert "ProxyFix" in caplog.text


def test_no_log_line_holds_an_id(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    client = build(Sessions(store="memory://"), TESTING=False).test_client()
    with caplog.at_level(logging.DEBUG):
        set_cookie = client.get("/set/a/1", base_url="http://x.example").headers
        client.get("/regenerate", base_url="http://x.example")
        client.get("/logout", base_url="http://x.example")
    found = re.search(TOKEN, set_cookie["Set-Cookie"])
    assert found is not None
    assert caplog.text
    assert found[0] not in caplog.text
