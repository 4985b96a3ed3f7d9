"""Jobs that each queue runs, in the test's process and in those of its workers.

``jobs_NAME.py`` declares them to a queue. Both processes make the app from the
environment, as a deployed app and its workers do.
"""

from __future__ import annotations

import os
import sys
import time
import typing as t
from pathlib import Path

import family
import sqlalchemy as sa
from processes import command
from processes import running

FOLDER = Path(os.environ["NEIGHBOUR_FOLDER"])
REDIS = os.environ["NEIGHBOUR_REDIS"]

app, extensions = family.create_app(FOLDER)
db = extensions.db


def add_user(name: str) -> None:
    """Add a user; fail after the row is written, if the name is "bad"."""
    with app.app_context(), db.transaction() as session:
        session.add(family.User(name=name))
        session.flush()
        if name == "bad":
            raise ValueError(name)


def sign_out(user_id: str) -> None:
    """End the sessions of a user."""
    with app.app_context():
        extensions.sessions.revoke_user(user_id)


def names() -> list[str]:
    """Return the name of each user."""
    with db.session_scope(app) as session:
        return sorted(session.scalars(sa.select(family.User.name)))


def wait_until(check: t.Callable[[], bool]) -> None:
    """Wait for what a worker does; the test fails if that takes five minutes."""
    deadline = time.monotonic() + 300
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def worker(name: str, *arguments: str) -> t.ContextManager[object]:
    """Run a worker by a command of this environment."""
    return running(sys.executable, command(name), *arguments)


def script(name: str) -> t.ContextManager[object]:
    """Run a script of this folder."""
    return running(sys.executable, name)


def work_through(
    send: t.Callable[..., object], send_sign_out: t.Callable, count: int = 20
) -> None:
    """Send jobs, some that fail, and wait until a worker has done the rest."""
    client = app.test_client()
    client.post("/sign-in", data={"user": "7"}, headers=SAME_ORIGIN)
    assert client.get("/names").json["user"] == "7"
    wanted = sorted(f"user {number}" for number in range(count))
    for number, name in enumerate(wanted):
        if number % 5 == 0:
            send("bad")
        send(name)
    wait_until(lambda: names() == wanted)
    send_sign_out("7")
    wait_until(lambda: client.get("/names").json["user"] is None)
    assert names() == wanted


SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
