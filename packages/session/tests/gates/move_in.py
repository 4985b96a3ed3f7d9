"""Move sessions of another extension in, six first requests of each user at once.

python tests/gates/move_in.py redis --users 99

Flask-Session, or Flask itself, stores the sessions; then each user's browser loads a
page of six requests with the old cookie, and another page with what they answered. A
user who is not signed in on either is signed out. Writes of all requests must be there.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import json
import logging
import sys
import tempfile
import time
import typing as t
import warnings
from pathlib import Path

import flask
from places import CANNOT_RUN
from places import Missing
from places import opened

from flaskware_core.testing import serving
from flaskware_session import Sessions

SOURCES = ("redis", "sqlalchemy", "file", "memcached", "flask")
PARALLEL = 6
KEY = "k3y-0f-a-test:0123456789abcdef-XYZ"


class Jar(dict[str, str]):
    """The cookies of one browser."""

    def header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.items())


def add_views(app: flask.Flask) -> None:
    session = flask.session

    @app.get("/in/<user>")
    def sign_in(user: str) -> str:
        session["user"] = user
        session["cart"] = [1]
        return user

    @app.get("/w/<key>")
    def write(key: str) -> dict[str, t.Any]:
        session[key] = 1
        return {"user": session.get("user")}

    @app.get("/all")
    def everything() -> dict[str, t.Any]:
        return dict(session)


def old_app(
    kind: str, url: str, folder: Path, stack: contextlib.ExitStack
) -> flask.Flask:
    app = flask.Flask("old", instance_path=str(folder))
    app.config["SECRET_KEY"] = KEY
    app.config["SESSION_PERMANENT"] = False
    if kind != "flask":
        import flask_session

        app.config |= _old_config(kind, url, folder, stack, app)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            flask_session.Session(app)
    add_views(app)
    return app


def _old_config(
    kind: str, url: str, folder: Path, stack: contextlib.ExitStack, app: flask.Flask
) -> dict[str, t.Any]:
    if kind == "redis":
        import redis

        client = stack.enter_context(redis.Redis.from_url(url))
        return {"SESSION_TYPE": "redis", "SESSION_REDIS": client}
    if kind == "memcached":
        from pymemcache.client.base import PooledClient

        host, port = url.removeprefix("memcached://").split(":")
        cache: t.Any = PooledClient((host, int(port)))
        stack.callback(cache.close)
        return {"SESSION_TYPE": "memcached", "SESSION_MEMCACHED": cache}
    if kind == "file":
        return {
            "SESSION_TYPE": "filesystem",
            "SESSION_FILE_DIR": str(folder / "old"),
            "SESSION_FILE_THRESHOLD": 10_000,
        }
    import flask_sqlalchemy

    app.config["SQLALCHEMY_DATABASE_URI"] = url
    return {
        "SESSION_TYPE": "sqlalchemy",
        "SESSION_SQLALCHEMY": flask_sqlalchemy.SQLAlchemy(app),
    }


def source_of(kind: str, url: str) -> str:
    return "flask" if kind == "flask" else f"flask-session+{url}"


def visit(address: str, path: str, jar: Jar) -> tuple[int, t.Any]:
    import http.client
    from http.cookies import SimpleCookie

    connection = http.client.HTTPConnection(address.partition("//")[2], timeout=90)
    with contextlib.closing(connection):
        headers = {"Cookie": jar.header()} if jar else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        text = response.read()
    for line in response.headers.get_all("Set-Cookie") or []:
        for name, morsel in SimpleCookie(line).items():
            if morsel["max-age"] == "0":
                jar.pop(name, None)
            else:
                jar[name] = morsel.value
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text.decode()


def page(
    pool: concurrent.futures.Executor, address: str, jar: Jar, name: str
) -> list[tuple[int, t.Any]]:
    """Load a page of parallel requests; each writes a key of its own."""
    paths = [f"/w/{name}{number}" for number in range(PARALLEL)]
    return list(pool.map(lambda path: visit(address, path, jar), paths))


def run(
    kind: str, users: int, folder: Path, stack: contextlib.ExitStack
) -> dict[str, t.Any]:
    old_kind = {"sqlalchemy": "postgresql", "flask": "memory"}.get(kind, kind)
    place = stack.enter_context(opened(old_kind))
    url = f"file:///{folder}/old" if kind == "file" else place.url
    old = old_app(kind, url, folder, stack)
    new_place = stack.enter_context(opened("sqlite"))
    new = flask.Flask("new", instance_path=str(folder))
    new.config["SECRET_KEY"] = KEY
    Sessions(
        *(new,),
        store=new_place.url,
        cookie_policy="plain",
        move_from=[source_of(kind, url)],
        store_timeout=20,
        budget=60,
    )
    add_views(new)
    jars = [Jar() for _ in range(users)]
    with serving(old) as address:
        for number, jar in enumerate(jars):
            assert visit(address, f"/in/user{number}", jar)[0] == 200
    if kind == "file":
        # They are pickled, which no request reads.
        convert = ["session", "convert", "--trust-the-store"]
        assert new.test_cli_runner().invoke(args=convert).exit_code == 0
    statuses = collections.Counter[int]()
    signed_out = lost = 0
    pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(PARALLEL))
    with serving(new) as address:
        for number, jar in enumerate(jars):
            user = f"user{number}"
            answers = page(pool, address, jar, "a") + page(pool, address, jar, "b")
            statuses.update(status for status, _ in answers)
            status, data = visit(address, "/all", jar)
            statuses[status] += 1
            seen = [body.get("user") for status, body in answers if status == 200]
            is_in = status == 200 and data.get("user") == user and {*seen} == {user}
            signed_out += not is_in
            wanted = {f"{a}{n}" for a in "ab" for n in range(PARALLEL)} | {"cart"}
            lost += len(wanted - set(data)) if is_in else 0
    return {
        "source": kind,
        "users": users,
        "signed out": signed_out,
        "lost": lost,
        "statuses": statuses,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("--users", type=int, default=99)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            found = run(options.source, options.users, Path(folder), stack)
    except Missing as error:
        print(error)
        sys.exit(CANNOT_RUN)
    print(json.dumps(found | {"seconds": round(time.monotonic() - started, 1)}))
    is_good = not found["signed out"] and not found["lost"]
    sys.exit(0 if is_good and set(found["statuses"]) == {200} else 1)


if __name__ == "__main__":
    main()
