from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import flask
import flask.testing
import pytest

from flaskware_core.testing import free_port
from flaskware_session import Sessions
from flaskware_session import SQLAlchemyStore

from .conftest import session

Build = cabc.Callable[..., flask.Flask]

pytestmark = pytest.mark.slow


class RedisServer:
    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        self._port = port
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip("redis-server is not installed")
        self._command = [binary, "--port", str(port), "--dir", str(folder)]
        self._command += ["--save", "", "--appendonly", "yes"]
        self._command += ["--appendfsync", "always"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        _wait_for(self._port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class PostgreSQLServer:
    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"
        found = [*Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
        if not found:
            pytest.skip("the programs of a PostgreSQL server are not installed")
        self._bin = found[-1].parent
        # PostgreSQL refuses to run as root.
        switch = shutil.which("runuser") or "/usr/sbin/runuser"
        self._user = [switch, "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._data = folder / "data"
        if self._user:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-U", "postgres", "-A", "trust", "-N")

    def start(self) -> None:
        options = f"-p {self._port} -h 127.0.0.1 -k {self._data} -c fsync=off"
        log = str(self._data / "log")
        self._run("pg_ctl", "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(self._bin / program), "-D", str(self._data)]
        subprocess.run(
            [*command, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise RuntimeError("the server did not start")


Server = RedisServer | PostgreSQLServer


@pytest.fixture(params=["redis", "postgresql"])
def server(request: pytest.FixtureRequest) -> cabc.Iterator[Server]:
    folder = Path("/tmp") / f"flaskware-{secrets.token_hex(6)}"
    folder.mkdir()
    kinds: dict[str, type[Server]]
    kinds = {"redis": RedisServer, "postgresql": PostgreSQLServer}
    try:
        server = kinds[request.param](folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answer_of(
    client: flask.testing.FlaskClient, path: str
) -> flask.testing.TestResponse:
    """The answer of a store that runs, however busy the machine is."""
    deadline = time.monotonic() + 60
    while (response := client.get(path)).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert response.status_code == 200
    return response


class Load:
    """Threads of signed-in visitors who count their own requests."""

    def __init__(self, app: flask.Flask, visitors: int) -> None:
        self._app = app
        self._stop = threading.Event()
        self.slowest = 0.0
        self.codes: set[int] = set()
        self.untouched: set[int] = set()
        self.cookies: list[str] = []
        self.counted = [0] * visitors
        self.clients = [app.test_client() for _ in range(visitors)]
        for number, client in enumerate(self.clients):
            answer_of(client, f"/login/user{number}")
        self.tokens = [self._token(client) for client in self.clients]
        self._threads = [
            threading.Thread(target=self._visit, args=(number,))
            for number in range(visitors)
        ]

    def __enter__(self) -> t.Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, number: int) -> None:
        client = self.clients[number]
        while not self._stop.is_set():
            started = time.monotonic()
            response = client.get("/count")
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.codes.add(response.status_code)
            self.counted[number] += response.status_code == 200
            self.cookies += response.headers.getlist("Set-Cookie")
            self.untouched.add(client.get("/untouched").status_code)

    @staticmethod
    def _token(client: flask.testing.FlaskClient) -> str:
        cookie = client.get_cookie("session")
        return "" if cookie is None else str(cookie.value)


@pytest.fixture
def app(build: Build, server: Server) -> flask.Flask:
    if server.url.startswith("postgresql"):
        store = SQLAlchemyStore(server.url)
        store.create_table()
        store.close()
    app = build(Sessions(store=server.url, store_timeout=0.5, budget=1))

    @app.get("/count")
    def count() -> str:
        return str(session.increment("n"))

    return app


def test_an_outage_under_load_loses_no_session_and_creates_none(
    app: flask.Flask, server: Server
) -> None:
    sessions = t.cast("Sessions", app.extensions["session"])
    with Load(app, visitors=6) as load:
        time.sleep(1)
        for _ in range(2):
            server.stop()
            time.sleep(1.5)
            server.start()
            time.sleep(2.5)
    assert load.codes == {200, 503}
    assert load.untouched == {200}
    assert load.cookies == []
    # Far more than the time a request may ask, for machines that do much else.
    assert load.slowest < 20
    for number, client in enumerate(load.clients):
        answer = answer_of(client, "/read").json
        assert answer["user"] == f"user{number}"
        assert load._token(client) == load.tokens[number]
        # What was answered with 200 is stored. An answer that was lost may be too.
        assert load.counted[number] <= answer["data"]["n"] <= load.counted[number] + 4
    with app.app_context():
        assert sessions.stats().sessions == 6


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="there is no such signal")
@pytest.mark.parametrize("server", ["redis"], indirect=True)
def test_a_store_that_hangs_costs_a_bounded_time(
    app: flask.Flask, server: Server
) -> None:
    assert isinstance(server, RedisServer)
    client = app.test_client()
    answer_of(client, "/login/ann")
    process = server._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        codes = [client.get("/count").status_code for _ in range(8)]
        sessions = t.cast("Sessions", app.extensions["session"])
        breaker = sessions.state_of(app).manager.client.guard.reads
        assert breaker.is_open
    finally:
        process.send_signal(signal.SIGCONT)
    assert set(codes) == {503}
    assert answer_of(client, "/read").json["user"] == "ann"
