"""The mistakes of a first hour: each names what is wrong and says what to write."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.cli import FlaskGroup

HEAD = """
import flask
import typing as t
import sqlalchemy as sa
from flaskware_alembic import Alembic
from flaskware_forms import Bound, Forms, FormSpec, Ui
from flaskware_secure import SecureHeaders
from flaskware_session import Sessions
from flaskware_sqlalchemy import SQLAlchemy
from pydantic import BaseModel
from sqlalchemy.orm import Mapped, mapped_column

app = flask.Flask(__name__)
app.config["SECRET_KEY"] = "0123456789abcdef0123456789abcdef"
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///board.db"
"""

numbers = itertools.count()

# Per mistake: what follows the head, the command, and words of what is printed.
MISTAKES = {
    "a misspelled key": (
        """
app.config["SESSION_STOER"] = "memory://"
Sessions(app)
""",
        "routes",
        ["SESSION_STOER", "SESSION_STORE"],
    ),
    "misspelled keys of two extensions": (
        """
secure, sessions = SecureHeaders(), Sessions()
app.config.update(SESSION_STOER="memory://", SECURE_POLCY="x")
sessions.init_app(app)
secure.init_app(app)
""",
        "routes",
        ["SESSION_STOER", "SECURE_POLCY", "SECURE_POLICY"],
    ),
    "a URL of another library": (
        """
app.config["SQLALCHEMY_DATABASE_URI"] = "postgres://me@host/name"
SQLAlchemy(app)
""",
        "routes",
        ["SQLALCHEMY_DATABASE_URI", "postgresql+psycopg://"],
    ),
    "half a URL": (
        'Sessions(app, store="rediss:/localhost")',
        "routes",
        ["store=", "redis://localhost:6379/0"],
    ),
    "a driver that is not installed": (
        """
app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+pg8000://localhost/name"
SQLAlchemy(app)
""",
        "routes",
        ["SQLALCHEMY_DATABASE_URI", "pip install 'pg8000'"],
    ),
    "init_app forgotten, and a command": (
        """
db = SQLAlchemy()
Alembic(db, app)
""",
        "db upgrade",
        ["SQLAlchemy", "init_app(app)"],
    ),
    "init_app forgotten, and a command of one's own": (
        """
db = SQLAlchemy()
@app.cli.command()
def report():
    db.session.execute(sa.text('select 1'))
""",
        "report",
        ["SQLAlchemy", "init_app(app)", "_board.py:"],
    ),
    "no app": (
        'Sessions("app")',
        "routes",
        ["Sessions takes an app", "_board.py:"],
    ),
    "arguments in the wrong order": (
        "Alembic(app)",
        "routes",
        ["Alembic(db, app)"],
    ),
    "an extension twice": (
        """
SecureHeaders(app)
SecureHeaders(app)
""",
        "routes",
        ["SecureHeaders", "Remove the second call", "_board.py:"],
    ),
    "two extensions of one name": (
        """
app.extensions["session"] = object()
Sessions(app)
""",
        "routes",
        ["'session'", "not both"],
    ),
    "a database that is down": (
        """
app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg://localhost:1/x"
Alembic(SQLAlchemy(app), app)
""",
        "db upgrade",
        ["postgresql+psycopg://localhost:1/x", "Check that the server runs"],
    ),
    "a store that is down": (
        'Sessions(app, store="redis://localhost:1")',
        "session stats",
        ["SESSION_STORE does not answer"],
    ),
    "a model whose module is not imported": (
        "SQLAlchemy(app)",
        "doctor",
        ["sqlalchemy.no-models", "Import these modules"],
    ),
    "a key set too late": (
        """
SecureHeaders(app)
app.config["SECURE_POLICY"] = "basic"
""",
        "doctor",
        ["core.late-setting", "SECURE_POLICY", "_board.py:"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_without_a_traceback(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code, command, words = MISTAKES[mistake]
    # Flask imports the file as a module: a name of its own for each.
    name = f"mistake{next(numbers)}_board"
    (tmp_path / f"{name}.py").write_text(HEAD + code + "\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    done = CliRunner().invoke(FlaskGroup(), ["--app", name, *command.split()])
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert [word for word in words if word not in done.output] == [], done.output
