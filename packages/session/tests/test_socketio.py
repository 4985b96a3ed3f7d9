"""Flask-SocketIO beside the extension."""

from __future__ import annotations

import typing as t

import flask
import pytest
from flask_socketio import SocketIO

from flaskware_session import Sessions

pytestmark = pytest.mark.flask_only("Flask-SocketIO knows Flask alone")


@pytest.fixture(params=[True, False], ids=["managed", "shared"])
def manage_session(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_events_share_the_session_or_say_how(manage_session: bool) -> None:
    app = flask.Flask(__name__)
    app.secret_key = "a secret key of some length"
    sessions = Sessions(app, store="memory://")
    options = {} if manage_session else {"manage_session": False}
    socketio: t.Any = SocketIO(app, async_mode="threading", **options)
    seen: list[str | None] = []

    @app.get("/in")
    def sign_in() -> str:
        sessions.login("ann")
        return "in"

    @app.get("/count")
    def count() -> str:
        return str(flask.session.get("count"))

    @socketio.on("who")
    def who() -> None:
        flask.session["count"] = flask.session.get("count", 0) + 1
        seen.append(sessions.user_id)

    client = app.test_client()
    client.get("/in")
    channel = socketio.test_client(app, flask_test_client=client)
    if manage_session:
        with pytest.raises(RuntimeError, match="manage_session=False"):
            channel.emit("who")
        return
    channel.emit("who")
    channel.emit("who")
    assert seen == ["ann", "ann"]
    assert client.get("/count").text == "2"
    with app.app_context():
        sessions.revoke_user("ann")
    channel.emit("who")
    assert seen[-1] is None
