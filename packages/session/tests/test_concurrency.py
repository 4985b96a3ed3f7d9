from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import logging

import flask
import flask.testing
import pytest

from flaskware_session import Sessions

from .conftest import session

Build = cabc.Callable[..., flask.Flask]
Client = flask.testing.FlaskClient


def twin(client: Client) -> Client:
    """Another client with the same cookie: a second tab."""
    other = client.application.test_client()
    cookie = client.get_cookie("session")
    assert cookie is not None
    other.set_cookie("session", cookie.value)
    return other


@pytest.fixture
def meanwhile(build: Build, store_url: str) -> tuple[Client, list[str]]:
    """A client, and the paths that are requested while ``/slow/<key>`` runs."""
    sessions = Sessions(store=store_url)
    app = build(sessions)
    client = app.test_client()
    paths: list[str] = []

    def others() -> None:
        other = twin(client)
        while paths:
            assert other.get(paths.pop(0)).status_code == 200

    @app.get("/slow/<key>")
    def slow(key: str) -> str:
        session.get("x")
        session[key] = "slow"
        others()
        return "ok"

    @app.get("/slow-delete")
    def slow_delete() -> str:
        session.pop("start")
        others()
        return "ok"

    @app.get("/slow-nested")
    def slow_nested() -> str:
        session.setdefault("list", []).append(1)
        others()
        return "ok"

    @app.get("/slow-regenerate")
    def slow_regenerate() -> str:
        sessions.regenerate()
        session["mine"] = "slow"
        others()
        return "ok"

    @app.get("/slow-login")
    def slow_login() -> str:
        sessions.login("ann")
        session["mine"] = "slow"
        others()
        return "ok"

    @app.get("/slow-clear")
    def slow_clear() -> str:
        session.clear()
        session["start"] = "1"
        others()
        return "ok"

    client.get("/set/start/1")
    return client, paths


Meanwhile = tuple[Client, list[str]]


def test_two_requests_that_change_different_keys_both_win(meanwhile: Meanwhile) -> None:
    client, paths = meanwhile
    paths += ["/set/b/fast"]
    client.get("/slow/a")
    data = client.get("/read").json["data"]
    assert data == {"start": "1", "a": "slow", "b": "fast"}


def test_of_two_that_change_the_same_key_the_later_wins(meanwhile: Meanwhile) -> None:
    client, paths = meanwhile
    paths += ["/set/a/fast"]
    client.get("/slow/a")
    assert client.get("/read").json["data"]["a"] == "slow"


def test_a_deletion_and_a_nested_change_keep_what_others_set(
    meanwhile: Meanwhile,
) -> None:
    client, paths = meanwhile
    paths += ["/set/b/fast"]
    client.get("/slow-nested")
    paths += ["/set/c/fast"]
    client.get("/slow-delete")
    data = client.get("/read").json["data"]
    assert data == {"b": "fast", "c": "fast", "list": [1]}


def test_emptying_a_session_keeps_what_another_request_set(
    meanwhile: Meanwhile,
) -> None:
    client, paths = meanwhile
    paths += ["/set/b/fast"]
    assert "Set-Cookie" not in client.get("/slow-delete").headers
    assert client.get("/read").json["data"] == {"b": "fast"}


def test_a_new_id_keeps_what_another_request_set(meanwhile: Meanwhile) -> None:
    client, paths = meanwhile
    paths += ["/set/b/fast"]
    client.get("/slow-regenerate")
    data = client.get("/read").json["data"]
    assert data == {"start": "1", "b": "fast", "mine": "slow"}


@pytest.mark.parametrize("end", ["/logout", "/clear", "/login/bob"])
def test_a_request_that_ends_later_never_brings_a_session_back(
    meanwhile: Meanwhile, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, paths = meanwhile
    old = twin(client)
    paths += [end]
    with caplog.at_level(logging.INFO, "flaskware.session"):
        response = client.get("/slow/a")
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert "a change was dropped" in caplog.text
    assert old.get("/read").json["data"] == {}


def test_a_change_that_meets_a_new_id_is_made(meanwhile: Meanwhile) -> None:
    client, paths = meanwhile
    paths += ["/regenerate"]
    response = client.get("/slow/a")
    assert "Set-Cookie" not in response.headers
    assert client.get("/read").json["data"] == {"start": "1", "a": "slow"}


def test_a_new_id_does_not_bring_a_session_back(meanwhile: Meanwhile) -> None:
    client, paths = meanwhile
    paths += ["/logout"]
    assert "Set-Cookie" not in client.get("/slow-regenerate").headers
    assert client.get("/read").json["data"] == {}


@pytest.mark.parametrize("meantime", ["/set/b/fast", "/logout"])
def test_a_cleared_session_has_only_what_was_set_afterwards(
    meanwhile: Meanwhile, meantime: str
) -> None:
    client, paths = meanwhile
    paths += [meantime]
    client.get("/slow-clear")
    assert client.get("/read").json["data"] == {"start": "1"}


def test_a_login_while_a_visitor_s_session_ends_keeps_what_the_request_has(
    meanwhile: Meanwhile,
) -> None:
    client, paths = meanwhile
    paths += ["/logout"]
    client.get("/slow-login")
    answer = client.get("/read").json
    assert answer == {
        "data": {"start": "1", "mine": "slow"},
        "user": "ann",
        "new": False,
    }


def test_of_200_parallel_requests_none_is_lost(build: Build, store_url: str) -> None:
    # However long it takes on a machine that does much else.
    sessions = Sessions(store=store_url, store_timeout=60, budget=600)
    client = build(sessions).test_client()
    client.get("/set/start/1")

    def request(number: int) -> int:
        return twin(client).get(f"/set/key{number}/{number}").status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(request, range(200))) == {200}
    data = client.get("/read").json["data"]
    assert len(data) == 201
    assert all(data[f"key{number}"] == str(number) for number in range(200))
