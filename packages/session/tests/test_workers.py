"""Sessions in the workers of a real gunicorn."""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import contextlib
import http.cookiejar
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork"),
]

APP = """
import os
import flask
from flaskware_core import check_connections
from flaskware_session import Sessions

app = flask.Flask("workers", instance_path={folder!r})
app.config["TESTING"] = True
sessions = Sessions(app, store={url!r}, store_timeout=20, budget=60, namespace={name!r})
# With --preload this connects before the fork.
check_connections(app)

@app.get("/login/<user>")
def login(user):
    sessions.login(user)
    return "ok"

@app.get("/count")
def count():
    flask.session.increment("n")
    return "ok"

@app.get("/read")
def read():
    return {{"user": sessions.user_id, "n": flask.session.get("n"), "pid": os.getpid()}}
"""
_BROWSERS, _PAGES = 6, 5
_KINDS = {
    "gevent": ["-k", "gevent"],
    "gevent, preload": ["-k", "gevent", "--preload"],
    "threads, preload": ["-k", "gthread", "--threads", "8", "--preload"],
}


@pytest.fixture
def address(
    request: pytest.FixtureRequest, store_url: str, tmp_path: Path
) -> cabc.Iterator[str]:
    """The address of two workers of a kind."""
    kind = str(request.param)
    code = APP.format(folder=str(tmp_path), url=store_url, name=tmp_path.name)
    (tmp_path / "workers_app.py").write_text(code)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}"]
    command += [*_KINDS[kind], "--log-level", "error", "workers_app:app"]
    with subprocess.Popen(command, cwd=tmp_path) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("address", _KINDS, indirect=True)
@pytest.mark.parametrize(
    "store_url", ["sqlite", "redis", "memcached", "postgresql"], indirect=True
)
def test_each_browser_keeps_its_own_session_and_every_count(address: str) -> None:
    def browse(number: int) -> tuple[str, int, int]:
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        browser = urllib.request.build_opener(cookies)

        def get(path: str) -> bytes:
            with browser.open(address + path, timeout=120) as answer:
                return bytes(answer.read())

        get(f"/login/u{number}")
        # Two at once, as a page's own requests.
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(get, ["/count"] * _PAGES))

        found = json.loads(get("/read"))
        return found["user"], found["n"], found["pid"]

    with concurrent.futures.ThreadPoolExecutor(_BROWSERS) as pool:
        found = list(pool.map(browse, range(_BROWSERS)))
    users = [(user, count) for user, count, _ in found]
    assert users == [(f"u{number}", _PAGES) for number in range(_BROWSERS)]
