from __future__ import annotations

import collections.abc as cabc

import flask

from flaskware_core.testing import isolation
from flaskware_session import Sessions

Build = cabc.Callable[..., flask.Flask]


def test_an_isolated_test_leaves_no_session_behind(
    build: Build, store_url: str
) -> None:
    sessions = Sessions(store=store_url)
    app = build(sessions)
    kept = app.test_client()
    kept.get("/login/ann")
    with isolation(app):
        client = app.test_client()
        client.get("/login/bob")
        assert client.get("/read").json["user"] == "bob"
        assert kept.get("/read").json["user"] is None
    with app.app_context():
        assert sessions.for_user("bob") == []
    assert kept.get("/read").json["user"] == "ann"


def test_an_isolated_test_needs_no_server(build: Build) -> None:
    app = build(Sessions(store="redis://127.0.0.1:1/0"))
    client = app.test_client()
    with isolation(app):
        assert client.get("/set/a/1").status_code == 200
    assert client.get("/read").status_code == 503
