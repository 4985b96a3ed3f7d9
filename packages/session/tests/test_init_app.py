from __future__ import annotations

import collections.abc as cabc
import gc
import sqlite3
import subprocess
import sys
import typing as t
from pathlib import Path

import flask
import pytest

from flaskware_core import AlreadyInitialised
from flaskware_core import ConfigError
from flaskware_core import NotInitialised
from flaskware_core.testing import make_app
from flaskware_session import Sessions
from flaskware_session import SQLiteStore
from flaskware_session._web.edge import CookieNames

from .conftest import session

Build = cabc.Callable[..., flask.Flask]


def test_it_becomes_the_session_interface_of_the_app(tmp_path: Path) -> None:
    sessions = Sessions()
    app = make_app(sessions, instance_path=tmp_path)
    assert isinstance(app.session_interface, CookieNames)
    assert app.extensions["session"] is sessions
    assert "session" in app.cli.commands


def test_the_default_is_a_file_in_the_instance_folder(
    build: Build, tmp_path: Path
) -> None:
    app = build()
    assert list(tmp_path.iterdir()) == []
    app.test_client().get("/untouched")
    assert list(tmp_path.iterdir()) == []
    app.test_client().get("/set/a/1")
    assert (tmp_path / "sessions.db").is_file()


def test_no_secret_key_is_needed(build: Build) -> None:
    client = build(Sessions(store="memory://"), SECRET_KEY=None).test_client()
    client.get("/set/a/1")
    assert client.get("/read").json["data"] == {"a": "1"}


def test_initialising_twice_is_refused() -> None:
    sessions = Sessions(store="memory://")
    app = make_app(sessions)
    with pytest.raises(AlreadyInitialised, match="Sessions is already initialised"):
        sessions.init_app(app)


def test_beside_another_session_interface_it_is_refused() -> None:
    class Other(flask.sessions.SecureCookieSessionInterface):
        pass

    app = flask.Flask("x")
    app.session_interface = Other()
    with pytest.raises(ConfigError, match=r"app\.session_interface"):
        Sessions(app, store="memory://")
    assert "session" not in app.extensions


def test_an_interface_that_is_set_later_is_noticed() -> None:
    sessions = Sessions(store="memory://")
    app = make_app(sessions)
    app.session_interface = flask.sessions.SecureCookieSessionInterface()
    with app.test_request_context(), pytest.raises(RuntimeError, match="was replaced"):
        sessions.login(1)


def test_outside_of_a_request_the_error_says_what_to_write() -> None:
    sessions = Sessions(store="memory://")
    app = make_app(sessions)
    with pytest.raises(NotInitialised, match=r"client\.session_transaction"):
        sessions.for_user("ann")
    with app.app_context(), pytest.raises(RuntimeError, match="outside of a request"):
        sessions.logout()


def test_no_driver_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, flaskware_session\n"
        "print(sorted({'redis', 'sqlalchemy', 'quart'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_app_that_is_forgotten_leaves_no_connection_open(tmp_path: Path) -> None:
    sessions = Sessions()
    app = make_app(sessions, instance_path=tmp_path)
    app.add_url_rule("/", "index", lambda: str(session.setdefault("n", 1)))
    app.test_client().get("/")
    store = t.cast("SQLiteStore", sessions.state_of(app).manager.store)
    (connection,) = store._idle
    del app
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        connection.execute("SELECT 1")
