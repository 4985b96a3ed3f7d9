"""The app that the gates visit: a shop with a cart, forms and a sign-in.

Nothing but the public API, so that a gate holds for any inside.
"""

from __future__ import annotations

import collections.abc as cabc
import mmap
import os
import secrets
import struct
import time
import typing as t
from pathlib import Path

import flask

from flaskware_session import Sessions

RENEWAL = 3600


class SharedClock:
    """The real time, and what a file of eight bytes says to add; for all processes."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(struct.pack("d", 0.0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)

    def __call__(self) -> float:
        return time.time() + float(struct.unpack("d", self._memory[:])[0])

    def advance(self, seconds: float) -> None:
        ahead = self() - time.time() + seconds
        self._memory[:] = struct.pack("d", ahead)


def make_shop(
    store: t.Any, clock: cabc.Callable[[], float], folder: Path, **settings: t.Any
) -> tuple[flask.Flask, Sessions]:
    """Make the app.

    :param folder: The instance folder.
    :param settings: By field, over the ones that suit a busy machine.
    """
    app = flask.Flask("shop", instance_path=str(folder))
    app.config["SECRET_KEY"] = "k3y-0f-a-test:0123456789abcdef-XYZ"
    usual: dict[str, t.Any] = {
        "cookie_policy": "plain",
        "renewal_timeout": RENEWAL,
        # Long, as two cores may do much else; a gate must not count that.
        "store_timeout": 20,
        "budget": 60,
        "max_bytes": 1 << 20,
    }
    sessions = Sessions(app, store=store, clock=clock, **(usual | settings))
    _add_writes(app, sessions)
    _add_pages(app, sessions)
    return app, sessions


class _Who:
    """What each answer says: the user, and the process that made it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def __call__(self) -> dict[str, t.Any]:
        return {"user": self._sessions.user_id, "pid": os.getpid()}


def _add_writes(app: flask.Flask, sessions: Sessions) -> None:
    session, who = t.cast("t.Any", flask.session), _Who(sessions)

    @app.before_request
    def signed_in_only() -> None:
        # As any shop does: a write of somebody who is not signed in is refused.
        if flask.request.path.startswith("/w/") and sessions.user_id is None:
            flask.abort(flask.make_response(who(), 403))

    @app.get("/w/set/<key>")
    def set_key(key: str) -> dict[str, t.Any]:
        session[key] = 1
        return who()

    @app.get("/w/count/<key>")
    def count(key: str) -> dict[str, t.Any]:
        session.increment("count")
        return who()

    @app.get("/w/flash/<key>")
    def flash(key: str) -> dict[str, t.Any]:
        flask.flash(key)
        return who()

    @app.get("/w/append/<key>")
    def append(key: str) -> dict[str, t.Any]:
        session.setdefault("list", []).append(key)
        return who()

    @app.get("/w/renew/<key>")
    def renew(key: str) -> dict[str, t.Any]:
        sessions.regenerate()
        session[key] = 1
        return who()

    @app.get("/w/save/<key>")
    def save(key: str) -> dict[str, t.Any]:
        session[key] = 1
        session.save()
        return who()


def _add_pages(app: flask.Flask, sessions: Sessions) -> None:
    session, who = t.cast("t.Any", flask.session), _Who(sessions)

    @app.get("/in/<user_id>")
    def sign_in(user_id: str) -> dict[str, t.Any]:
        sessions.login(user_id)
        # Two lists where nothing was are ambiguous, and so the later one wins.
        session["list"] = ["first"]
        return who()

    @app.get("/out")
    def sign_out() -> dict[str, t.Any]:
        sessions.logout()
        return who()

    @app.get("/me")
    def me() -> dict[str, t.Any]:
        return who()

    @app.get("/all")
    def everything() -> dict[str, t.Any]:
        return who() | {"data": dict(session)}

    @app.get("/cart/<item>")
    def put_into_cart(item: str) -> dict[str, t.Any]:
        session.setdefault("cart", []).append(item)
        return who()

    @app.get("/form")
    def form() -> str:
        if "csrf_token" not in session:
            session["csrf_token"] = secrets.token_hex()
        return str(session["csrf_token"])

    @app.post("/form")
    def sent() -> tuple[str, int]:
        given = flask.request.form["csrf_token"]
        return ("ok", 200) if session.get("csrf_token") == given else ("no", 400)
