from __future__ import annotations

import collections.abc as cabc
import secrets
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import flask
import pytest
from werkzeug.local import LocalProxy

from flaskware_core import current_session
from flaskware_core.testing import make_app
from flaskware_session import ServerSession
from flaskware_session import Sessions
from flaskware_session import SQLAlchemyStore

session: ServerSession = t.cast("ServerSession", LocalProxy(current_session))
"""The session of the request, in either framework."""


def flash(message: str) -> None:
    """Same as Flask's; that of Quart is a coroutine function."""
    session["_flashes"] = [*session.get("_flashes", []), ("message", message)]


# To make a database for each test takes longer than the test: of the two servers the
# quick tests ask one.
STORES = [
    *("memory", "sqlite", "file", "redis", "memcached", "postgresql"),
    pytest.param("mariadb", marks=pytest.mark.slow),
]


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, one of each kind in turn."""
    kind = str(request.param)
    local = {
        "memory": "memory://",
        "sqlite": f"sqlite:///{tmp_path}/s.db",
        "file": f"file:///{tmp_path}/sessions",
    }
    if kind in local:
        return local[kind]
    url = str(request.getfixturevalue(f"{kind}_url"))
    if kind in {"postgresql", "mariadb"}:
        store = SQLAlchemyStore(url)
        store.create_table()
        store.close()
    return url


@pytest.fixture
def socket_folder() -> cabc.Iterator[Path]:
    """A folder for a Unix socket.

    The path of a socket has a limit of 108 bytes, which ``tmp_path`` can exceed.
    """
    with tempfile.TemporaryDirectory(dir=Path("/", "tmp")) as folder:
        yield Path(folder)


@pytest.fixture
def own_redis(
    request: pytest.FixtureRequest, tmp_path: Path, socket_folder: Path
) -> cabc.Iterator[str]:
    """The URL of a Redis that nobody else uses; a parameter is its maxmemory-policy."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed")
    path = socket_folder / "r.sock"
    policy = getattr(request, "param", "noeviction")
    command = [binary, "--port", "0", "--unixsocket", str(path), "--save", ""]
    command += ["--dir", str(tmp_path)]
    command += ["--maxmemory-policy", policy]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not path.exists():
            assert process.poll() is None, "redis-server ended"
            time.sleep(0.01)
        yield f"unix://{path}"
        process.kill()


@pytest.fixture
def build(tmp_path: Path) -> cabc.Iterator[cabc.Callable[..., flask.Flask]]:
    """Makes an app with the views of :func:`add_views`; its stores are closed."""
    namespace = f"test-{secrets.token_hex(8)}"
    made: list[tuple[Sessions, flask.Flask]] = []

    def build(sessions: Sessions | None = None, **config: object) -> flask.Flask:
        sessions = sessions or Sessions()
        # A memcached has no databases, so that tests can only differ by names.
        config.setdefault("SESSION_NAMESPACE", namespace)
        app = make_app(sessions, instance_path=tmp_path, **config)
        made.append((sessions, app))
        add_views(app, sessions)
        return app

    yield build
    for sessions, app in made:
        sessions.state_of(app).manager.store.close()


def add_views(app: flask.Flask, sessions: Sessions) -> None:
    @app.get("/untouched")
    def untouched() -> str:
        return "ok"

    @app.get("/read")
    def read() -> dict[str, object]:
        return {"data": dict(session), "user": sessions.user_id, "new": session.new}

    @app.get("/set/<key>/<value>")
    def set_key(key: str, value: str) -> str:
        session[key] = value
        return "ok"

    @app.get("/login/<user_id>")
    def login(user_id: str) -> str:
        sessions.login(user_id)
        return "ok"

    @app.get("/logout")
    def logout() -> str:
        sessions.logout()
        return "ok"

    @app.get("/clear")
    def clear() -> str:
        session.clear()
        return "ok"

    @app.get("/regenerate")
    def regenerate() -> str:
        sessions.regenerate()
        return "ok"
