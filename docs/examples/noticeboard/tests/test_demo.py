"""The command that serves the demo, as a newcomer meets it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import noticeboard
from flaskware_core import examine
from noticeboard.extensions import alembic


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "noticeboard", *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_the_check_goes_through_every_step():
    done = run("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 of 10 steps went as they should" in done.stdout


def test_it_is_checked_in_production_too(request):
    from flaskware_core.testing import Services
    from flaskware_core.testing import ServiceUnavailable

    with Services() as services:
        try:
            services.get("postgresql")
            services.get("redis")
        except ServiceUnavailable as error:
            if request.config.getoption("--require-services"):
                pytest.fail(str(error))
            pytest.skip(str(error))
    done = run("--check", "--production")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 of 10 steps went as they should" in done.stdout


def test_a_stop_by_a_signal_ends_it_and_its_workers():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "noticeboard", "--port", str(port)],
        stdout=subprocess.PIPE, text=True,
    ) as served:  # fmt: skip
        assert served.stdout is not None
        for line in served.stdout:
            if "look at" in line:
                break
        served.terminate()
        assert served.wait(30) == 0


def test_a_port_in_use_is_told_with_another():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert done.returncode == 1
    assert f"port {port} is in use" in done.stderr
    assert f"-- --port {port + 1}" in done.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FLASK_SESSION_STORE": "rediss//nowhere"}, "SESSION_STORE"),
        ({"FLASK_SESSION_STOER": "memory://"}, "did you mean SESSION_STORE?"),
        ({"FLASK_SQLALCHEMY_ECHO": "perhaps"}, "SQLALCHEMY_ECHO"),
        (
            {"FLASK_SQLALCHEMY_DATABASE_URI":
             "postgresql+psycopg://me:hunter2@127.0.0.1:1/x"},
            "SQLALCHEMY_DATABASE_URI",
        ),
        ({"FLASK_SESSION_STORE": "redis://:hunter2@127.0.0.1:1/0"}, "SESSION_STORE"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_told_without_a_traceback(environment, expected):
    done = run("--check", **environment)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_models_and_migrations_agree(app):
    with app.app_context():
        assert len(alembic.upgrade()) == 0
        alembic.check()


def test_every_setting_is_shown_with_its_source(tmp_path):
    environment = {
        "FLASK_SESSION_STORE": "redis://:hunter2@127.0.0.1:1/0",
        "FLASK_SQLALCHEMY_BINDS__audit": "sqlite:///other.db",
        "PYTHONPATH": str(Path(noticeboard.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "noticeboard", "config", "show",
         "--json"],
        env={**os.environ, **environment}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in done.stdout
    found = {item["key"]: item for item in json.loads(done.stdout)}
    prefixes = {key.partition("_")[0] for key in found}
    assert prefixes == {
        "FLASKWARE", "SQLALCHEMY", "ALEMBIC", "FORMS", "SECURE", "SESSION"
    }  # fmt: skip
    sources = {key: (item["source"], item["place"]) for key, item in found.items()}
    assert sources["SESSION_STORE"] == ("environment", "FLASK_SESSION_STORE")
    assert sources["SESSION_NAMESPACE"] == ("default", "")
    bind = ("environment", "FLASK_SQLALCHEMY_BINDS__audit")
    assert sources["SQLALCHEMY_BINDS"] == bind
    kind, place = sources["SQLALCHEMY_DATABASE_URI"]
    assert kind == "app.config"
    assert f"{noticeboard.__file__}:" in place


def test_the_doctor_finds_no_error_in_the_demo(app):
    app.testing = False
    with app.app_context():
        found = examine(app).findings
    assert [f.id for f in found if f.level.value == "error"] == []
