"""Opening a session, one SELECT, and closing it, in a request."""

from __future__ import annotations

import collections.abc as cabc
import tempfile
import typing as t
from pathlib import Path

import flask
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm

from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy

BASELINE = "bare Flask"
_STATEMENT = sa.text("SELECT 1")


def _set_pragmas(dbapi: t.Any, record: object) -> None:
    dbapi.execute("PRAGMA foreign_keys = ON")
    dbapi.execute("PRAGMA journal_mode = WAL")


def _begin(connection: sa.Connection) -> None:
    dbapi = connection.connection.dbapi_connection
    if dbapi.isolation_level is not None:  # AUTOCOMMIT, as for VACUUM
        dbapi.execute("BEGIN")


def _bare(folder: Path) -> flask.Flask:
    return flask.Flask("bare")


def _sessionmaker(folder: Path) -> flask.Flask:
    """The same written by hand: a session of the app context, closed for good at its
    end, and SQLite with foreign keys, a write-ahead log, a busy timeout and
    real transactions. One database; no replicas, tenants, retries or insight.
    """
    app = flask.Flask("by_hand")
    engine = sa.create_engine(
        f"sqlite:///{folder}/by_hand.db", connect_args={"timeout": 10}
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    make = orm.sessionmaker(engine, close_resets_only=False)

    @app.teardown_appcontext
    def close(error: BaseException | None) -> None:
        session = flask.g.pop("session", None)
        if session is not None:
            session.close()

    def session() -> orm.Session:
        if "session" not in flask.g:
            flask.g.session = make()
        return flask.g.session

    app.extensions["session_of_context"] = session
    return app


def flaskware(folder: Path) -> flask.Flask:
    class Base(Model, orm.DeclarativeBase):
        pass

    app = flask.Flask("flaskware", instance_path=str(folder))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///flaskware.db"
    db = SQLAlchemy(app, model_class=Base)
    app.extensions["session_of_context"] = lambda: db.session
    return app


def _flask_sqlalchemy_begun(folder: Path) -> flask.Flask:
    """The peer doing the same: as it comes, its SELECT is in no transaction."""
    app = _flask_sqlalchemy(folder)
    with app.app_context():
        event.listen(app.extensions["sqlalchemy"].engine, "begin", _begin)
    return app


def _flask_sqlalchemy(folder: Path) -> flask.Flask:
    import flask_sqlalchemy

    app = flask.Flask("peer", instance_path=str(folder))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///peer.db"
    db = flask_sqlalchemy.SQLAlchemy(app)
    app.extensions["session_of_context"] = lambda: db.session
    return app


_APPS: dict[str, cabc.Callable[[Path], flask.Flask]] = {
    BASELINE: _bare,
    "sessionmaker by hand": _sessionmaker,
    "flaskware-sqlalchemy": flaskware,
    "Flask-SQLAlchemy": _flask_sqlalchemy,
    "Flask-SQLAlchemy, real transactions": _flask_sqlalchemy_begun,
}


def cases() -> dict[str, cabc.Callable[[], object]]:
    """One request each, on a SQLite file."""
    folder = Path(tempfile.mkdtemp(prefix="flaskware-bench-"))
    found: dict[str, cabc.Callable[[], object]] = {}
    for name, make in _APPS.items():
        try:
            app = make(folder)
        except ImportError:
            continue
        found[name] = request_of(app)
    return found


def request_of(app: flask.Flask) -> cabc.Callable[[], object]:
    session = app.extensions.get("session_of_context")

    def view() -> str:
        if session is not None:
            session().execute(_STATEMENT).scalar_one()
        return "ok"

    app.add_url_rule("/", "view", view)
    client = app.test_client()
    assert client.get("/").text == "ok"
    return lambda: client.get("/")
