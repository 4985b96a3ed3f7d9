"""A connection that is lost after the server has done what it was asked."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import socket
import threading
import typing as t
from urllib.parse import urlsplit

import flask
import flask.testing
import pytest

from flaskware_session import AsyncRedisStore
from flaskware_session import AsyncSQLAlchemyStore
from flaskware_session import AsyncStore
from flaskware_session import Sessions
from flaskware_session import SQLAlchemyStore

from .conftest import session

Build = cabc.Callable[..., flask.Flask]
Client = flask.testing.FlaskClient

# What a command that stores a change begins with, or has in it.
_WRITES = {
    "redis": b"EVALSHA",
    "memcached": b"cas ",
    "postgresql": b"UPDATE flaskware_session",
    "mariadb": b"UPDATE flaskware_session",
}
_ASYNC: dict[str, cabc.Callable[[str], AsyncStore]] = {
    "redis": AsyncRedisStore,
    "postgresql": AsyncSQLAlchemyStore,
}


class Proxy:
    """Passes on what it is sent, and loses the answer to one command when told to."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.lost = 0
        self._command = b""
        self._meanwhile: cabc.Callable[[], object] = lambda: None
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(
        self, command: bytes, meanwhile: cabc.Callable[[], object] = lambda: None
    ) -> None:
        """Lose the next answer to a command.

        :param meanwhile: Called when the command was carried out, before the
            connection is closed.
        """
        self._command, self._meanwhile = command, meanwhile

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                threading.Thread(
                    target=self._serve, args=(client, server), daemon=True
                ).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        is_hungry = threading.Event()

        def answers() -> None:
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    if is_hungry.is_set():
                        self.lost += 1
                        self._meanwhile()
                        break
                    client.sendall(data)
            for one in (client, server):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

        threading.Thread(target=answers, daemon=True).start()
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._command and self._command in data:
                    self._command = b""
                    is_hungry.set()
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)


def count() -> str:
    return str(t.cast("t.Any", session).increment("n"))


def share_cookie(client: Client, other: Client) -> None:
    cookie = client.get_cookie("session")
    assert cookie is not None
    other.set_cookie("session", cookie.value)


class Setting(t.NamedTuple):
    client: Client
    direct: Client
    proxy: Proxy
    command: bytes


@pytest.fixture(
    params=[
        *("redis", "memcached", "postgresql"),
        "redis async",
        "postgresql async",
        pytest.param("mariadb", marks=pytest.mark.slow),
    ]
)
def setting(request: pytest.FixtureRequest, build: Build) -> cabc.Iterator[Setting]:
    """An app that reaches its store through a proxy, and one that does so directly."""
    kind, _, is_async = str(request.param).partition(" ")
    url = str(request.getfixturevalue(f"{kind}_url"))
    if kind in {"postgresql", "mariadb"}:
        store = SQLAlchemyStore(url)
        store.create_table()
        store.close()
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy((parts.hostname, parts.port))
    through = url.replace(f":{parts.port}", f":{proxy.port}")
    store_of = _ASYNC[kind] if is_async else str
    # By default a store of one's own has this name.
    name = {"SESSION_NAMESPACE": "session"} if is_async else {}
    app = build(Sessions(store=store_of(through), store_timeout=5, budget=30), **name)
    other = build(Sessions(store=url), **name)
    for one in (app, other):
        one.add_url_rule("/count", "count", count)
    client = app.test_client()
    client.get("/set/a/1")
    direct = other.test_client()
    share_cookie(client, direct)
    # Connects, and has Redis know the scripts.
    assert client.get("/count").status_code == 200
    assert client.get("/regenerate").status_code == 200
    share_cookie(client, direct)
    yield Setting(client, direct, proxy, _WRITES[kind])
    proxy.close()


def test_what_was_counted_is_not_counted_again(setting: Setting) -> None:
    client, _, proxy, command = setting
    proxy.lose(command)
    assert client.get("/count").status_code == 200
    assert proxy.lost == 1
    assert client.get("/read").json["data"] == {"a": "1", "n": 2}


def test_what_was_counted_is_known_again_after_writes_of_others(
    setting: Setting,
) -> None:
    client, direct, proxy, command = setting

    def others() -> None:
        for path in ("/count", "/set/b/2", "/count", "/set/c/3"):
            assert direct.get(path).status_code == 200

    proxy.lose(command, others)
    assert client.get("/count").status_code == 200
    assert proxy.lost == 1
    expected = {"a": "1", "n": 4, "b": "2", "c": "3"}
    assert client.get("/read").json["data"] == expected
    assert client.get("/count").status_code == 200
    assert direct.get("/read").json["data"] == expected | {"n": 5}


@pytest.mark.parametrize("path", ["/regenerate", "/login/ann"])
def test_a_new_id_whose_answer_was_lost_is_the_session(
    setting: Setting, path: str
) -> None:
    client, direct, proxy, command = setting
    proxy.lose(command)
    assert client.get(path).status_code == 200
    assert proxy.lost == 1
    assert client.get("/read").json["data"] == {"a": "1", "n": 1}
    share_cookie(client, direct)
    assert direct.get("/set/b/2").status_code == 200
    assert client.get("/read").json["data"]["b"] == "2"
