"""The guide on deploying: each of its files and steps is read from it and run."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t
import uuid
from pathlib import Path

import flask
import pytest
import redis
import requests
import sqlalchemy as sa
from werkzeug.middleware.proxy_fix import ProxyFix

import noticeboard
from flaskware_core.testing import free_port
from flaskware_core.testing import ServiceUnavailable
from noticeboard import create_app
from noticeboard.extensions import alembic
from noticeboard.extensions import db
from noticeboard.extensions import sessions
from noticeboard.models import Notice
from noticeboard.seed import PASSWORD
from noticeboard.seed import seed

GUIDE = Path(__file__).parents[3] / "guides" / "deploying.md"
PLACE = Path(sys.executable).parent


def block(heading: str, language: str) -> str:
    """Return the first block of code of a section of the guide."""
    section = GUIDE.read_text("utf-8").partition(f"\n## {heading}\n")[2]
    found = re.search(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ServiceUnavailable(f"{name} is not installed")
    return path


@contextlib.contextmanager
def gunicorn(folder: Path, *options: str, **environment: str) -> cabc.Iterator[t.Any]:
    """Serve the board in a folder of its own; yield the process and its address."""
    port = free_port()
    package = folder / "noticeboard"
    if not package.exists():
        shutil.copytree(Path(noticeboard.__file__).parent, package)
    instance = f'noticeboard:create_app(instance_path="{folder}")'
    with subprocess.Popen(
        [PLACE / "gunicorn", f"--bind=127.0.0.1:{port}", *options, instance],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder), **environment},
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def wait_for(check: cabc.Callable[[], object]) -> None:
    """Wait for another process; the test fails if that takes five minutes."""
    deadline = time.monotonic() + 300
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(address: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(f"{address}/livez", timeout=60).status_code == 200
    return False


def reload(folder: Path) -> subprocess.CompletedProcess[str]:
    """Do the steps of the guide."""
    steps = block("Reload", "sh")
    return subprocess.run(
        ["/bin/sh", "-e", "-c", steps], cwd=folder, check=False, text=True,
        capture_output=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_reload_by_the_guide_serves_the_new_code_and_loses_no_request(tmp_path: Path):
    options = ("--preload", "--pid=board.pid", "--workers=2", "--threads=4")
    with gunicorn(tmp_path, *options) as (process, address):
        wait_for(lambda: answers(address))
        errors, done = [], threading.Event()

        def ask() -> None:
            while not done.is_set():
                try:
                    requests.get(f"{address}/livez", timeout=60).raise_for_status()
                except requests.RequestException as error:
                    errors.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            add_a_page(tmp_path)
            reloaded = reload(tmp_path)
            assert reloaded.returncode == 0, reloaded.stderr
            process.wait(300)
            new = requests.get(f"{address}/new", timeout=60)
        finally:
            done.set()
            asking.join()
        assert new.text == "the new code"
        assert errors == []


def add_a_page(folder: Path, code: str = "return 'the new code'") -> None:
    path = folder / "noticeboard" / "__init__.py"
    text = path.read_text("utf-8")
    page = f"    @app.get('/new')\n    def new():\n        {code}\n\n    return app\n"
    path.write_text(text.replace("    return app\n", page), "utf-8")


@pytest.mark.slow
def test_the_old_code_goes_on_where_the_new_does_not_start(tmp_path: Path):
    with gunicorn(tmp_path, "--preload", "--pid=board.pid") as (process, address):
        wait_for(lambda: answers(address))
        (tmp_path / "noticeboard" / "__init__.py").write_text("1 / 0\n", "utf-8")
        assert reload(tmp_path).returncode == 124  # as `timeout` says it
        assert process.poll() is None
        assert answers(address)


@pytest.fixture
def board(postgresql_url: str, tmp_path: Path) -> cabc.Iterator[flask.Flask]:
    """A board with its notices and sessions in PostgreSQL."""
    app = create_app(
        instance_path=str(tmp_path),
        TESTING=True,
        SQLALCHEMY_DATABASE_URI=postgresql_url,
        SESSION_STORE=postgresql_url,
    )
    with app.app_context():
        alembic.upgrade()
        seed()
    yield app
    with app.app_context():
        db.engine.dispose()
        sessions.store.close()


def titles() -> list[str]:
    return sorted(db.session.scalars(sa.select(Notice.title)))


@pytest.mark.slow
def test_a_backup_brings_back_the_board_and_its_migrations(
    board: flask.Flask, postgresql_url: str, tmp_path: Path, post
):
    program("pg_restore")
    steps = block("Backup", "sh").splitlines(keepends=True)
    address = sa.make_url(postgresql_url).set(drivername="postgresql")
    environment = {
        **os.environ,
        "PATH": f"{PLACE}{os.pathsep}{os.environ['PATH']}",
        "DATABASE": address.render_as_string(hide_password=False),
        "FLASK_APP": f'noticeboard:create_app(instance_path="{tmp_path}")',
        "FLASK_SQLALCHEMY_DATABASE_URI": postgresql_url,
        "FLASK_SESSION_STORE": postgresql_url,
        "PYTHONPATH": str(Path(noticeboard.__file__).parents[1]),
    }

    def shell(step: str) -> None:
        command = ["/bin/sh", "-e", "-c", step]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)

    ada = board.test_client()
    post(ada, "/sign-in", email="ada@example.org", password=PASSWORD)
    shell(steps[0])
    with board.app_context():
        before = titles()
        sessions.revoke_user("1")
        assert not sessions.for_user("1")
        db.session.execute(sa.delete(Notice))
        db.session.commit()
        assert titles() == []
    with board.app_context():
        db.engine.dispose()  # the restore drops the tables under its connections
    shell(steps[1])
    assert ada.get("/devices/").status_code == 200  # as the guide warns
    shell("".join(steps[2:]))
    assert ada.get("/devices/").status_code != 200
    with board.app_context():
        assert titles() == before
        alembic.check()


REDIS = {
    "`appendonly yes`": ["--appendonly", "yes", "--save", ""],
    "snapshots alone": ["--appendonly", "no", "--save", "3600", "1"],
    "neither": ["--appendonly", "no", "--save", ""],
}
LEFT = {
    "loses the last second": {b"snapshot", b"later"},
    "loses nothing": {b"snapshot", b"later"},
    "goes back to the last of them": {b"snapshot"},
    "everybody is signed out": set(),
}


@contextlib.contextmanager
def redis_server(
    folder: Path, options: list[str], *, crashes: bool
) -> cabc.Iterator[redis.Redis]:
    """Run a Redis on the files of a folder; it crashes at the end, or is stopped."""
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--dir", str(folder)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    with contextlib.closing(redis.Redis(port=port)) as client:
        try:
            wait_for(lambda: process_of(client) == process.pid)
            yield client
            if not crashes:
                process.terminate()
                process.wait(120)
        finally:
            process.kill()
            process.wait(30)


def process_of(client: redis.Redis) -> int | None:
    try:
        return int(client.info("server")["process_id"])
    except redis.ConnectionError:
        return None


@pytest.mark.parametrize("row", REDIS)
@pytest.mark.parametrize("crashes", [True, False])
def test_redis_has_what_the_table_says(row: str, crashes: bool, tmp_path: Path):
    cells = rf"^\| {re.escape(row)} \| (.+) \| (.+) \|$"
    line = re.search(cells, GUIDE.read_text("utf-8"), re.MULTILINE)
    assert line is not None
    said = line[1] if crashes else line[2]
    with redis_server(tmp_path, REDIS[row], crashes=crashes) as client:
        client.set("snapshot", 1)
        if row == "snapshots alone":
            client.save()
        client.set("later", 1)
    with redis_server(tmp_path, REDIS[row], crashes=True) as client:
        assert set(client.keys()) == LEFT[said]


def test_systemd_takes_the_unit(tmp_path: Path):
    unit = block("A systemd unit", "ini").replace("/srv/board/.venv/bin", str(PLACE))
    (tmp_path / "board.service").write_text(unit, "utf-8")
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no",
         tmp_path / "board.service"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_command_of_the_unit_tells_systemd_when_it_listens(tmp_path: Path):
    unit = block("A systemd unit", "ini")
    assert "\nType=notify\n" in unit
    # An abstract socket, which "@" stands for: the path of a socket has a
    # limit of 108 bytes, which the folder of a test can exceed.
    name = f"flaskware-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        systemd.settimeout(300)
        with gunicorn(tmp_path, NOTIFY_SOCKET=f"@{name}") as (_, address):
            assert b"READY=1" in systemd.recv(4096)
            wait_for(lambda: answers(address))


def test_the_app_believes_what_the_proxy_of_the_guide_sets():
    values = {
        "$host": "www.example.org",
        "$remote_addr": "203.0.113.7",
        "$scheme": "https",
        "$request_id": "5f1a6c0d",
    }
    config = block("Headers and the proxy", "nginx")
    headers = {
        name: values[value]
        for name, value in re.findall(r"proxy_set_header (\S+) (\S+);", config)
    }
    app = flask.Flask("behind")
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)

    @app.get("/")
    def seen() -> dict[str, str | None]:
        request = flask.request
        return {"url": request.url, "address": request.remote_addr}

    assert app.test_client().get("/", headers=headers).json == {
        "url": "https://www.example.org/",
        "address": "203.0.113.7",
    }


def test_each_line_of_the_log_is_json_with_the_id_of_its_request(client, capsys):
    scope: dict[str, t.Any] = {"flask": flask}
    exec(block("Logging", "python"), scope)  # the code of the guide
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        scope["log_lines"]()
        headers = {"X-Request-ID": "5f1a", "Sec-Fetch-Site": "cross-site"}
        assert client.post("/sign-in", headers=headers).status_code == 403
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (refused,) = (line for line in lines if line["logger"] == "flaskware.secure")
    assert refused["request"] == "5f1a"
    assert refused["level"] == "WARNING"
