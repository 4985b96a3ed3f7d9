from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import os
import pickle
import typing as t
import uuid
from pathlib import Path

import cachelib
import flask
import flask.testing
import flask_session
import flask_sqlalchemy
import pymemcache
import pytest
import redis
import sqlalchemy as sa
from markupsafe import Markup

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_session import Sessions

from .conftest import session

Build = cabc.Callable[..., flask.Flask]
Client = flask.testing.FlaskClient
KEY = "k3y-0f-a-test:0123456789abcdef-XYZ"


def visit(app: flask.Flask, data: dict[str, t.Any]) -> str:
    """Let another extension store a session; returns its cookie."""

    @app.get("/begin")
    def begin() -> str:
        session.update(data)
        return "ok"

    client = app.test_client()
    assert client.get("/begin").status_code == 200
    cookie = client.get_cookie("session")
    assert cookie is not None
    return str(cookie.value)


def old_app(tmp_path: Path, **config: t.Any) -> flask.Flask:
    app = flask.Flask("old", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY=KEY, TESTING=True, **config)
    return app


def with_cookie(app: flask.Flask, value: str) -> Client:
    client = app.test_client()
    client.set_cookie("session", value)
    return client


def token(client: Client) -> str:
    cookie = client.get_cookie("session")
    return "" if cookie is None else str(cookie.value)


VALUES = {
    "user_id": 7,
    "pair": (1, "two"),
    "raw": b"\x00\xff",
    "id": uuid.UUID(int=5),
    "at": dt.datetime(2024, 5, 6, tzinfo=dt.UTC),
    "html": Markup("<b>"),
}


def test_a_session_of_flask_s_cookie_is_taken_over(
    build: Build, store_url: str, tmp_path: Path
) -> None:
    old = visit(old_app(tmp_path), VALUES)
    app = build(Sessions(store=store_url, move_from=["flask"]))

    @app.get("/values")
    def values() -> str:
        assert VALUES.items() <= session.items()
        return str(session.get("b"))

    client = with_cookie(app, old)
    assert client.get("/values").text == "None"
    assert token(client) not in {"", old}
    client.get("/set/b/2")
    assert client.get("/values").text == "2"


def test_a_cookie_of_flask_does_not_bring_back_what_was_logged_out(
    build: Build, tmp_path: Path
) -> None:
    old = visit(old_app(tmp_path), {"user_id": 7})
    app = build(Sessions(store="memory://", move_from=["flask"]))
    client = with_cookie(app, old)
    client.get("/read")
    client.get("/logout")
    assert with_cookie(app, old).get("/read").json["data"] == {}


def test_two_first_requests_at_once_share_one_session(
    build: Build, tmp_path: Path
) -> None:
    old = visit(old_app(tmp_path), {"user_id": 7})
    sessions = Sessions(store="memory://", move_from=["flask"])
    app = build(sessions)
    first, second = with_cookie(app, old), with_cookie(app, old)
    first.get("/set/a/1")
    assert second.get("/set/b/2").status_code == 200
    assert token(second) == old
    assert first.get("/read").json["data"] == {"user_id": 7, "a": "1", "b": "2"}
    with app.app_context():
        assert sessions.stats().sessions == 1


@pytest.mark.parametrize("damage", ["forged", "other key", "expired", "empty"])
def test_a_cookie_that_flask_would_not_take_is_not_taken_over(
    build: Build, tmp_path: Path, damage: str
) -> None:
    source = old_app(tmp_path)
    if damage == "other key":
        source.secret_key = "another"
    old = visit(source, {"_permanent": True} if damage == "empty" else {"user_id": 7})
    if damage == "forged":
        old = old[:-4] + "AAAA"
    config = {"PERMANENT_SESSION_LIFETIME": -1} if damage == "expired" else {}
    sessions = Sessions(store="memory://", move_from=["flask"], idle_timeout=60)
    client = with_cookie(build(sessions, **config), old)
    data = client.get("/read").json["data"]
    assert data == ({"_permanent": True} if damage == "empty" else {})


def test_the_old_cookie_is_removed_where_the_new_one_has_another_name(
    build: Build, tmp_path: Path
) -> None:
    old = visit(old_app(tmp_path), {"user_id": 7})
    app = build(Sessions(store="memory://", move_from=["flask"]))
    client = app.test_client()
    client.set_cookie("session", old, domain="shop.example")
    answer = client.get("/read", base_url="https://shop.example")
    assert answer.json["data"] == {"user_id": 7}
    names = {
        line.partition("=")[0]: line for line in answer.headers.getlist("Set-Cookie")
    }
    assert set(names) == {"__Host-session", "session"}
    assert "Max-Age=0" in names["session"]


def test_without_the_setting_nothing_is_taken_over(
    build: Build, tmp_path: Path
) -> None:
    old = visit(old_app(tmp_path), {"user_id": 7})
    client = with_cookie(build(Sessions(store="memory://")), old)
    assert client.get("/read").json["data"] == {}


@pytest.fixture(params=["redis", "sqlalchemy", "memcached"])
def peer(
    request: pytest.FixtureRequest, tmp_path: Path
) -> cabc.Iterator[tuple[dict[str, t.Any], str, str]]:
    """Flask-Session's config, our source for it, and its prefix."""
    stack = contextlib.ExitStack()
    prefix = f"peer-{os.urandom(4).hex()}:"
    if request.param == "redis":
        url = str(request.getfixturevalue("redis_url"))
        client = redis.Redis.from_url(url)
        stack.callback(client.close)
        config = {"SESSION_TYPE": "redis", "SESSION_REDIS": client}
    elif request.param == "memcached":
        url = str(request.getfixturevalue("memcached_url"))
        place = url.removeprefix("memcached://").partition(":")
        # By default it does not wait until the server has what it is sent.
        address = (place[0], int(place[2]))
        cache = pymemcache.Client(address, default_noreply=False)
        stack.callback(cache.close)
        config = {"SESSION_TYPE": "memcached", "SESSION_MEMCACHED": cache}
    else:
        url = f"sqlite:///{tmp_path}/old.db"
        config = {"SESSION_TYPE": "sqlalchemy", "SQLALCHEMY_DATABASE_URI": url}
    with stack:
        yield config, f"flask-session+{url}", prefix


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("form", ["msgpack", "json"])
def test_a_session_of_flask_session_is_taken_over_once(
    build: Build,
    tmp_path: Path,
    peer: tuple[dict[str, t.Any], str, str],
    form: str,
) -> None:
    config, source, prefix = peer
    old = begin(
        tmp_path, config, {"user_id": 7, "cart": [1]}, prefix,
        SESSION_SERIALIZATION_FORMAT=form,
    )  # fmt: skip
    sessions = Sessions(store="memory://", move_from=[source], key_prefix=prefix)
    app = build(sessions)
    client = with_cookie(app, old)
    data = client.get("/read").json["data"]
    assert data == {"user_id": 7, "cart": [1], "_permanent": True}
    assert token(client) not in {"", old}
    client.get("/logout")
    assert with_cookie(app, old).get("/read").json["data"] == {}


def begin(
    tmp_path: Path,
    config: dict[str, t.Any],
    data: dict[str, t.Any],
    prefix: str,
    **more: t.Any,
) -> str:
    app = old_app(tmp_path, **config, SESSION_KEY_PREFIX=prefix, **more)
    if config["SESSION_TYPE"] == "sqlalchemy":
        app.config["SESSION_SQLALCHEMY"] = flask_sqlalchemy.SQLAlchemy(app)
    flask_session.Session(app)
    cookie = visit(app, data)
    if config["SESSION_TYPE"] == "sqlalchemy":
        with app.app_context():
            app.config["SESSION_SQLALCHEMY"].engine.dispose()
    return cookie


@pytest.mark.filterwarnings("ignore:.*use_signer:DeprecationWarning")
def test_a_signed_cookie_of_flask_session_is_taken_over(
    build: Build, tmp_path: Path, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        config = {"SESSION_TYPE": "redis", "SESSION_REDIS": client}
        old = begin(tmp_path, config, {"a": 1}, "session:", SESSION_USE_SIGNER=True)
    source = f"flask-session+{redis_url}"
    app = build(
        Sessions(store="memory://", move_from=[source]), SESSION_USE_SIGNER=True
    )
    assert with_cookie(app, old[:-2] + "AA").get("/read").json["data"] == {}
    assert with_cookie(app, old).get("/read").json["data"]["a"] == 1


class Bomb:
    """What must never run by itself."""

    ran: t.ClassVar[list[int]] = []

    def __reduce__(self) -> t.Any:
        return Bomb.ran.append, (1,)


def test_a_pickle_is_never_read_in_a_request(
    build: Build, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    sid = "A" * 43
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"session:{sid}", pickle.dumps({"a": Bomb()}))
    source = f"flask-session+{redis_url}"
    app = build(Sessions(store="memory://", move_from=[source]))
    assert with_cookie(app, sid).get("/read").json["data"] == {}
    assert Bomb.ran == []
    assert "flask session convert" in caplog.text


def convert(app: flask.Flask, *arguments: str, code: int = 0) -> str:
    done = app.test_cli_runner().invoke(args=["session", "convert", *arguments])
    assert done.exit_code == code, done.output
    return str(done.output)


def test_pickles_are_converted_offline_and_with_consent(
    build: Build, tmp_path: Path, redis_url: str
) -> None:
    sid, other = "A" * 43, "B" * 43
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"session:{sid}", pickle.dumps({"at": VALUES["at"]}), ex=500)
        client.set(f"session:{other}", pickle.dumps({"a": {1}}))
    cache = cachelib.FileSystemCache(str(tmp_path / "files"))
    cache.set(f"session:{'C' * 43}", {"pair": (1, 2)}, timeout=500)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/old.db")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE sessions (session_id TEXT, data BLOB, expiry DATETIME)"
        )
        connection.exec_driver_sql(
            "INSERT INTO sessions VALUES (?, ?, '2999-01-01 00:00:00.000000')",
            (f"session:{'D' * 43}", pickle.dumps({"d": 4})),
        )
    engine.dispose()
    urls = (redis_url, f"file:///{tmp_path}/files", f"sqlite:///{tmp_path}/old.db")
    sources = [f"flask-session+{url}" for url in urls]
    app = build(Sessions(store="memory://", move_from=sources))
    assert "--trust-the-store" in convert(app, code=2)
    output = convert(app, "--trust-the-store")
    assert output.startswith("3 converted.\n")
    assert "session['a'] holds" in output
    with redis.Redis.from_url(redis_url) as client:
        assert 400 < client.ttl(f"session:{sid}") <= 500

    @app.get("/at")
    def at() -> str:
        return str(session["at"] == VALUES["at"])

    assert with_cookie(app, sid).get("/at").text == "True"
    assert with_cookie(app, other).get("/read").json["data"] == {}
    assert with_cookie(app, "C" * 43).get("/read").json["data"] == {"pair": [1, 2]}
    assert with_cookie(app, "D" * 43).get("/read").json["data"] == {"d": 4}


def test_an_old_store_that_does_not_answer_is_an_outage(build: Build) -> None:
    source = "flask-session+redis://127.0.0.1:1/0"
    client = with_cookie(
        build(Sessions(store="memory://", move_from=[source])), "A" * 43
    )
    response = client.get("/read")
    assert (response.status_code, response.headers.get("Set-Cookie")) == (503, None)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("flask_session", "'flask', 'flask-login', or flask-session+"),
        ("redis://:hunter2@localhost", "'flask', 'flask-login', or flask-session+"),
        ("flask-session+redis://:hunter2@localhost:x/0", "a store of Flask-Session"),
        ("flask-session+nothing://:hunter2@x/y", "a store of Flask-Session"),
    ],
)
def test_a_source_that_is_wrong_is_refused(source: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_app(Sessions(store="memory://", move_from=[source]))
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_keys_of_flask_session_that_mean_the_same_are_read_and_others_explained(
    build: Build,
) -> None:
    app = build(
        Sessions(store="memory://"),
        SESSION_PERMANENT=True,
        SESSION_KEY_PREFIX="x:",
        SESSION_USE_SIGNER=False,
        SESSION_SQLALCHEMY_TABLE="sessions",
    )
    assert "Max-Age" in app.test_client().get("/set/a/1").headers["Set-Cookie"]
    assert "Set-Cookie" not in app.test_client().get("/read").headers
    with pytest.raises(ConfigError) as caught:
        make_app(Sessions(), SESSION_TYPE="redis", SESSION_REDIS=object())
    assert 'SESSION_MOVE_FROM = ["flask-session+redis://' in str(caught.value)
