from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flaskware_alembic import LockTimeout
from flaskware_alembic._databases.database import Database
from flaskware_alembic._runtime.lock import deploy_lock

Project: t.TypeAlias = t.Any

APP = """
    import os, pathlib
    import flask, sqlalchemy as sa
    from flaskware_alembic import Alembic
    app = flask.Flask("app", root_path=str(pathlib.Path(__file__).parent))
    app.secret_key = "k3y-0f-a-test:0123456789abcdef-XYZ"
    app.config["ALEMBIC_LOCK_TIMEOUT"] = float(os.environ.get("WAIT", "600"))
    Alembic(
        metadata=sa.MetaData(), engine=sa.create_engine(os.environ["DB"]), app=app
    )
"""
SLOW = """
import time
op.create_table({table!r}, sa.Column("id", sa.Integer, primary_key=True))
time.sleep({seconds})
op.execute("INSERT INTO applied (revision) VALUES ({table!r})")
"""


@pytest.fixture
def processes(any_project: Project, tmp_path: Path, any_url: str) -> t.Any:
    """Starts `flask db upgrade` in processes of their own."""
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    running: list[subprocess.Popen[str]] = []

    def start(*args: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "app", "db", *args],
            cwd=tmp_path,
            env={**os.environ, "DB": any_url, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def write_slow(project: Project, seconds: float, count: int) -> None:
    project.write(
        "r0",
        None,
        'op.create_table("applied", sa.Column("revision", sa.String(10)))',
    )
    for number in range(1, count + 1):
        body = SLOW.format(table=f"t{number}", seconds=seconds)
        project.write(f"r{number}", f"r{number - 1}", body)


def applied(project: Project) -> list[str]:
    with project.engine.connect() as connection:
        rows = connection.scalars(sa.text("SELECT revision FROM applied"))
        return sorted(rows)


@pytest.mark.slow
def test_eight_processes_at_once_apply_each_revision_once(
    any_project: Project, processes: t.Any
) -> None:
    write_slow(any_project, 0.2, 3)
    started = [processes("upgrade") for _ in range(8)]
    outputs = [process.communicate(timeout=600) for process in started]
    assert [process.returncode for process in started] == [0] * 8, outputs
    assert applied(any_project) == ["t1", "t2", "t3"]
    did_something = [out for out, _ in outputs if "upgrade r" in out]
    assert len(did_something) == 1
    any_project.alembic.check(models=False)


DIES = """
import os, pathlib, time
op.create_table("t2", sa.Column("id", sa.Integer, primary_key=True))
marker = pathlib.Path({marker!r})
if not marker.exists():
    marker.with_suffix(".new").write_text(str(os.getpid()))
    marker.with_suffix(".new").rename(marker)
    time.sleep(600)
op.execute("INSERT INTO applied (revision) VALUES ('t2')")
"""


@pytest.mark.slow
def test_seven_processes_finish_what_the_eighth_was_killed_in(
    any_project: Project, processes: t.Any, tmp_path: Path
) -> None:
    marker = tmp_path / "in-revision"
    write_slow(any_project, 0.1, 3)
    any_project.write("r2", "r1", DIES.format(marker=str(marker)))
    # Where a database cannot roll back, a deploy says that it goes on.
    can_roll_back = any_project.engine.dialect.name != "mariadb"
    command = ["upgrade"] if can_roll_back else ["upgrade", "--resume"]
    started = {p.pid: p for p in (processes(*command) for _ in range(8))}
    wait_for(marker)
    killed = started.pop(int(marker.read_text()))
    killed.kill()
    assert killed.wait(60) == -signal.SIGKILL
    outputs = [process.communicate(timeout=600) for process in started.values()]
    assert [process.returncode for process in started.values()] == [0] * 7, outputs
    assert applied(any_project) == ["t1", "t2", "t3"]
    any_project.alembic.check(models=False)


def wait_for(marker: Path, process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 600
    while not marker.exists():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hold(project: Project, processes: t.Any) -> subprocess.Popen[str]:
    """Start an upgrade that stays in a revision; it holds the lock on return."""
    marker = project.folder.parent / "in-revision"
    body = f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\n"
    project.write("r0", None, f"{body}time.sleep(600)")
    process = processes("upgrade")
    wait_for(marker, process)
    return t.cast("subprocess.Popen[str]", process)


@pytest.mark.slow
def test_the_lock_is_free_when_its_holder_was_killed(
    any_project: Project, processes: t.Any
) -> None:
    holder = hold(any_project, processes)
    any_project.write("r0", None)
    holder.kill()
    holder.communicate()
    assert len(any_project.alembic.upgrade()) == 1


@pytest.mark.slow
def test_waiting_ends_after_the_time_and_names_the_holder(
    any_project: Project, processes: t.Any
) -> None:
    holder = hold(any_project, processes)
    late = processes("upgrade", WAIT="0.3")
    _, error = late.communicate(timeout=60)
    assert late.returncode == 7
    assert "Waiting for the" in error
    assert "ALEMBIC_LOCK_TIMEOUT" in error
    said = {
        "sqlite": f"the process {holder.pid}",
        "postgresql": "the PostgreSQL session",
        "mariadb": "the connection",
    }
    assert said[any_project.engine.dialect.name] in error


def test_a_thread_of_the_same_process_waits_too(any_project: Project) -> None:
    database = Database(None, any_project.engine, any_project.metadata)
    with (
        deploy_lock(database, table="alembic_version", timeout=0),
        pytest.raises(LockTimeout, match="0 seconds"),
        deploy_lock(database, table="alembic_version", timeout=0),
    ):
        pass
    with deploy_lock(database, table="alembic_version", timeout=0):
        pass


def test_the_head_is_looked_at_again_after_the_wait(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    database = Database(None, any_project.engine, any_project.metadata)
    seen: list[str] = []
    plans: list[t.Any] = []

    def upgrade() -> None:
        with any_project.app.app_context():
            plans.append(any_project.alembic.upgrade(on_wait=seen.append))

    with deploy_lock(database, table="alembic_version", timeout=0):
        thread = threading.Thread(target=upgrade)
        thread.start()
        while not seen:
            time.sleep(0.01)
        # What another process did meanwhile, which a second time would fail.
        with any_project.engine.begin() as connection:
            for statement in (
                "CREATE TABLE one (id INTEGER)",
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
                "INSERT INTO alembic_version VALUES ('aa')",
            ):
                connection.execute(sa.text(statement))
    thread.join(30)
    assert [len(plan) for plan in plans] == [0]
    assert len(seen) == 1


def test_a_lock_is_taken_beside_a_pool_of_one(
    postgresql_url: str, make_project: t.Any
) -> None:
    project = make_project(postgresql_url)
    project.engine.dispose()
    project.use(
        sa.create_engine(postgresql_url, pool_size=1, max_overflow=0, pool_timeout=1)
    )
    project.write_table("aa", None, "one")
    with project.app.app_context():
        assert len(project.alembic.upgrade()) == 1
