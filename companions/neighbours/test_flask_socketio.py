"""Flask-SocketIO: events use the session and the database of the page."""

from __future__ import annotations

import family
import flask
import pytest
from flask_socketio import SocketIO

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


def connect(app, extensions, client, **options):
    """Return a channel of a signed-in client, and what its events have seen."""
    socketio = SocketIO(app, async_mode="threading", **options)
    seen = []

    @socketio.on("add")
    def add(name):
        with extensions.db.transaction() as session:
            session.add(family.User(name=name))
        flask.session.increment("events")
        seen.append(extensions.sessions.user_id)

    @socketio.on("who")
    def who():
        seen.append(extensions.sessions.user_id)

    client.post("/sign-in", data={"user": "7"}, headers=SAME_ORIGIN)
    return socketio.test_client(app, flask_test_client=client), seen


def test_events_share_the_session_of_the_page(made, client):
    app, extensions = made
    channel, seen = connect(app, extensions, client, manage_session=False)
    for name in ("Ann", "Bob"):
        channel.emit("add", name)
    assert seen == ["7", "7"]
    assert client.get("/names").json == {"names": ["Ann", "Bob"], "user": "7"}


def test_a_sign_out_counts_for_the_next_event(made, client):
    app, extensions = made
    channel, seen = connect(app, extensions, client, manage_session=False)
    with app.app_context():
        extensions.sessions.revoke_user("7")
    channel.emit("add", "Ann")
    assert seen == [None]


def test_without_the_line_the_error_says_what_to_write(made, client):
    app, extensions = made

    channel, _ = connect(app, extensions, client)
    with pytest.raises(RuntimeError, match="manage_session=False"):
        channel.emit("who")
