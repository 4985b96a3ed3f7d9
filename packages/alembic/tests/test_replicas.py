"""Backfills pause while a replica is behind: real replicas of both servers."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flaskware_core.testing import free_port
from flaskware_core.testing import ServiceUnavailable

from .test_backfill import values
from .test_backfill import write

Project: t.TypeAlias = t.Any
pytestmark = pytest.mark.slow


class Pair(t.NamedTuple):
    """Two servers, of which the second repeats what the first does.

    :param hold: The statement that ends that for a while.
    :param go_on: The statement that it goes on with.
    """

    url: str
    replica: str
    hold: str
    go_on: str


def user_of(name: str) -> dict[str, t.Any]:
    """The user that a server has to run as, if it refuses to run as root."""
    return {"user": name} if os.geteuid() == 0 else {}


def found(name: str, *more: str) -> str:
    """The path of a command, be it only for the administrator."""
    folders = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *more])
    path = shutil.which(name, path=folders)
    if path is None:
        raise ServiceUnavailable(f"{name} is not installed")
    return path


@contextlib.contextmanager
def folder(owner: str) -> cabc.Generator[Path]:
    """A folder that a server may write to, wherever pytest has its own."""
    path = Path(tempfile.mkdtemp(prefix="flaskware-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(path, owner)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running(url: str, *command: str, user: str) -> cabc.Generator[None]:
    """Run a server until the end, from when it answers."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user_of(user)
    )
    try:
        for _ in range(600):
            with contextlib.suppress(sa.exc.DBAPIError):
                send(url, "SELECT 1")
                break
            assert process.poll() is None, command
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


def send(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@contextlib.contextmanager
def postgresql_pair() -> cabc.Generator[Pair]:
    places = [str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")]
    initdb, server, copy = (
        found(name, *sorted(places)[-1:])
        for name in ("initdb", "postgres", "pg_basebackup")
    )
    ports = [free_port(), free_port()]
    urls = [
        f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres" for port in ports
    ]

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, **user_of("postgres"))

    def started(place: str, number: int) -> t.Any:
        options = ["-c", "fsync=off", "-c", "unix_socket_directories="]
        command = [server, "-D", place, "-p", str(ports[number]), *options]
        return running(urls[number], *command, user="postgres")

    with folder("postgres") as path, contextlib.ExitStack() as stack:
        first, second = str(path / "first"), str(path / "second")
        run(initdb, "-D", first, "-A", "trust", "-U", "postgres", "--no-sync")
        stack.enter_context(started(first, 0))
        where = ["-h", "127.0.0.1", "-p", str(ports[0]), "-U", "postgres"]
        run(copy, "-D", second, *where, "-R", "-c", "fast", "--no-sync")
        stack.enter_context(started(second, 1))
        hold, go_on = "SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()"
        yield Pair(*urls, hold, go_on)


@contextlib.contextmanager
def mariadb_pair() -> cabc.Generator[Pair]:
    install, server = found("mariadb-install-db"), found("mariadbd")
    ports = [free_port(), free_port()]
    urls = [f"mariadb+pymysql://root@127.0.0.1:{port}/" for port in ports]
    with folder("mysql") as path, contextlib.ExitStack() as stack:
        for number, (port, url) in enumerate(zip(ports, urls, strict=True), 1):
            place = path / str(number)
            prepare = [install, "--no-defaults", f"--datadir={place}"]
            prepare += ["--auth-root-authentication-method=normal", "--skip-test-db"]
            # Both programs write to the folder for temporary files, which is ours.
            own = {"env": {**os.environ, "TMPDIR": str(path)}, **user_of("mysql")}
            subprocess.run(prepare, check=True, capture_output=True, **own)
            command = [server, "--no-defaults", f"--datadir={place}", f"--port={port}"]
            command += [f"--socket={place}/socket", f"--server-id={number}"]
            command += [
                "--log-bin",
                "--bind-address=127.0.0.1",
                "--skip-name-resolve=0",
                f"--tmpdir={path}",
            ]
            stack.enter_context(running(url, *command, user="mysql"))
        send(
            urls[1],
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={ports[0]},"
            " master_user='root', master_use_gtid=slave_pos",
            "START SLAVE",
        )
        send(urls[0], "CREATE DATABASE app")
        hold, go_on = "STOP SLAVE SQL_THREAD", "START SLAVE SQL_THREAD"
        yield Pair(f"{urls[0]}app", urls[1], hold, go_on)


@pytest.mark.parametrize("pair", [postgresql_pair, mariadb_pair])
def test_a_backfill_pauses_while_a_replica_is_behind(
    make_project: t.Any, pair: t.Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pair() as servers:
        project = make_project(
            servers.url,
            ALEMBIC_BACKFILL_MAX_LAG=0.5,
            ALEMBIC_BACKFILL_REPLICAS=[servers.replica],
        )
        write(project, batch=5, more=", pause=0.3")
        filled: list[int] = []

        class Listener(logging.Handler):
            """Lets the replica go on once the backfill says that it pauses."""

            def emit(self, record: logging.LogRecord) -> None:
                if "pauses" in record.getMessage() and not filled:
                    filled.append(rows_with(project, 1))
                    send(servers.replica, servers.go_on)

        listener, logger = Listener(), logging.getLogger("flaskware.alembic")
        logger.addHandler(listener)
        try:
            with project.app.app_context(), caplog.at_level(logging.INFO, logger.name):
                project.alembic.upgrade("aa")
                send(servers.replica, servers.hold)
                project.alembic.upgrade()
        finally:
            logger.removeHandler(listener)
        said = [r.getMessage() for r in caplog.records if "pauses" in r.getMessage()]
        assert "the replica " in said[0]
        assert filled[0] < 25
        assert values(project) == {1}
        project.engine.dispose()


def rows_with(project: Project, number: int) -> int:
    query = sa.text("SELECT count(*) FROM item WHERE n = :n")
    with project.engine.connect() as connection:
        return int(connection.scalar(query, {"n": number}) or 0)
