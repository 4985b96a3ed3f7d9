"""One request through a test client: session untouched, read, written.

Beside them stands what the wire alone costs: bare Flask and one or two trips to Redis
by a plain socket, with commands made beforehand and answers that nobody looks at.
"""

from __future__ import annotations

import atexit
import collections.abc as cabc
import contextlib
import functools
import itertools
import os
import socket
import tempfile
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

import flask

BASELINE = "bare Flask"

_REDIS = os.environ.get("FLASKWARE_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
_POSTGRESQL = os.environ.get(
    "FLASKWARE_TEST_POSTGRESQL_URL",
    "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
)
_PATHS = {"untouched": "/untouched", "read": "/read", "write": "/write"}
# About as much as what is stored of the session that is timed.
_WIRE_BYTES = 150


def cases() -> dict[str, cabc.Callable[[], object]]:
    """Zero-argument callables, one request each; what is missing is left out."""
    folder = Path(tempfile.mkdtemp(prefix="flaskware-bench-"))
    found: dict[str, cabc.Callable[[], object]] = {}
    bare = _app(folder / "bare").test_client()
    found[BASELINE] = functools.partial(bare.get, "/untouched")
    with contextlib.suppress(ImportError, OSError):
        found |= _wire(_app(folder / "wire"))
    for name, prepare in _kinds(folder).items():
        with contextlib.suppress(ImportError, OSError):
            app = _app(folder / name.replace(" ", "_"))
            prepare(app)
            client = app.test_client()
            if client.get("/write").status_code != 200:
                continue
            for use, path in _PATHS.items():
                found[f"{name}: {use}"] = functools.partial(client.get, path)
    return found


def _kinds(folder: Path) -> dict[str, cabc.Callable[[flask.Flask], object]]:
    return {
        "Flask's cookie session": lambda app: None,
        "flaskware-session, memory": lambda app: _flaskware(app, "memory://"),
        "flaskware-session, SQLite": lambda app: _flaskware(app, "sqlite:///s.db"),
        "flaskware-session, Redis": lambda app: _flaskware(app, _redis()),
        "flaskware-session, PostgreSQL": lambda app: _flaskware(app, _postgresql()),
        "Flask-Session, SQLite": _flask_session_sqlite,
        "Flask-Session, Redis": _flask_session_redis,
    }


def _wire(app: flask.Flask) -> dict[str, cabc.Callable[[], object]]:
    url = urlsplit(_redis())
    wire = socket.create_connection((url.hostname, url.port or 6379))
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = f"flaskware-bench-{os.getpid()}:wire"
    get, put = (
        f"GET {name}\r\n".encode(),
        f"SET {name} {'x' * _WIRE_BYTES}\r\n".encode(),
    )

    def trip(command: bytes) -> None:
        wire.sendall(command)
        wire.recv(4096)

    @app.get("/one")
    def one() -> str:
        trip(get)
        return "ok"

    @app.get("/two")
    def two() -> str:
        trip(get)
        trip(put)
        return "ok"

    client = app.test_client()
    client.get("/two")
    return {
        "a plain socket, one trip to Redis": functools.partial(client.get, "/one"),
        "a plain socket, two trips to Redis": functools.partial(client.get, "/two"),
    }


def _app(folder: Path) -> flask.Flask:
    folder.mkdir()
    app = flask.Flask("bench", instance_path=str(folder))
    app.config["SECRET_KEY"] = "k3y-0f-a-benchmark:0123456789abcdef"
    numbers = itertools.count()

    @app.get("/untouched")
    def untouched() -> str:
        return "ok"

    @app.get("/read")
    def read() -> str:
        return str(flask.session.get("user_id"))

    @app.get("/write")
    def write() -> str:
        flask.session["user_id"] = 7
        flask.session["cart"] = [1, 2, 3]
        flask.session["number"] = next(numbers)
        return "ok"

    return app


def _flaskware(app: flask.Flask, store: str) -> None:
    from flaskware_session import Sessions

    Sessions(app, store=store, namespace=f"flaskware-bench-{os.getpid()}")


def _postgresql() -> str:
    import sqlalchemy as sa

    from flaskware_session import SQLAlchemyStore
    from flaskware_session import StoreUnavailable

    name = f"flaskware_bench_{os.getpid()}"
    server = sa.make_url(_POSTGRESQL)
    engine = sa.create_engine(
        server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )

    def execute(statement: str) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    try:
        execute(f'CREATE DATABASE "{name}"')
    except sa.exc.OperationalError as error:
        raise OSError(str(error)) from None
    atexit.register(execute, f'DROP DATABASE "{name}" WITH (FORCE)')
    url = server.set(database=name).render_as_string(hide_password=False)
    store = SQLAlchemyStore(url)
    try:
        store.create_table()
    except StoreUnavailable as error:
        raise OSError(error.reason) from None
    store.close()
    return url


def _redis() -> str:
    import redis

    with redis.Redis.from_url(_REDIS) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            raise OSError(str(error)) from None
    atexit.register(_clean)
    return _REDIS


def _clean() -> None:
    import redis

    with redis.Redis.from_url(_REDIS) as client:
        for key in client.scan_iter(match=f"flaskware-bench-{os.getpid()}:*"):
            client.delete(key)


def _flask_session_sqlite(app: flask.Flask) -> None:
    import flask_session
    import flask_sqlalchemy

    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///s.db"
    db = flask_sqlalchemy.SQLAlchemy(app)
    app.config.update(SESSION_TYPE="sqlalchemy", SESSION_SQLALCHEMY=db)
    flask_session.Session(app)


def _flask_session_redis(app: flask.Flask) -> None:
    import flask_session
    import redis

    client: t.Any = redis.Redis.from_url(_redis())
    prefix = f"flaskware-bench-{os.getpid()}:peer:"
    app.config.update(
        SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_KEY_PREFIX=prefix
    )
    flask_session.Session(app)
