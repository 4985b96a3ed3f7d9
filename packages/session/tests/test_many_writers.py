from __future__ import annotations

import collections
import collections.abc as cabc
import json
import subprocess
import sys
from pathlib import Path

import flask
import pytest

from flaskware_session import Sessions
from flaskware_session import SQLAlchemyStore

Build = cabc.Callable[..., flask.Flask]
_PROCESSES, _THREADS = 4, 50
_SCRIPT = Path(__file__).with_name("many_writers.py")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_two_hundred_writers_of_one_session_all_get_through(
    build: Build, request: pytest.FixtureRequest, kind: str
) -> None:
    url = str(request.getfixturevalue(f"{kind}_url"))
    table = SQLAlchemyStore(url)
    table.create_table()
    table.close()
    sessions = Sessions(store=url, cookie_policy="plain", namespace="session")
    app = build(sessions, SESSION_NAMESPACE="session")
    client = app.test_client()
    client.get("/set/a/1")
    client.get("/read")
    cookie = client.get_cookie("session")
    assert cookie is not None
    workers = [
        subprocess.Popen(
            [sys.executable, str(_SCRIPT), url, cookie.value, str(n), str(_THREADS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(_PROCESSES)
    ]
    statuses: collections.Counter[str] = collections.Counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
    for worker in workers:
        assert worker.stdout is not None
        with worker:
            statuses.update(json.loads(worker.stdout.read()))
    assert statuses == {"200": _PROCESSES * _THREADS}
    kept = {key for key in client.get("/read").json["data"] if key[0] == "k"}
    assert len(kept) == _PROCESSES * _THREADS
