from __future__ import annotations

import collections.abc as cabc
from pathlib import Path

import flask
import pytest

from flaskware_core.testing import make_app
from flaskware_session import Sessions


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, one of each kind in turn."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/s.db"


@pytest.fixture
def build(tmp_path: Path) -> cabc.Iterator[cabc.Callable[..., flask.Flask]]:
    """Makes an app with the views of :func:`add_views`; its stores are closed."""
    made: list[tuple[Sessions, flask.Flask]] = []

    def build(sessions: Sessions | None = None, **config: object) -> flask.Flask:
        sessions = sessions or Sessions()
        app = make_app(sessions, instance_path=tmp_path, **config)
        made.append((sessions, app))
        add_views(app, sessions)
        return app

    yield build
    for sessions, app in made:
        sessions.state_of(app).manager.store.close()


def add_views(app: flask.Flask, sessions: Sessions) -> None:
    session = flask.session

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
