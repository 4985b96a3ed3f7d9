from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import subprocess
import sys
import typing as t

import flask
import flask.testing
import pytest

from flaskware_core import current_app_object
from flaskware_session import MemoryStore
from flaskware_session import SessionConflict
from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

from .conftest import session

Build = cabc.Callable[..., flask.Flask]
Client = flask.testing.FlaskClient
ONLY_FLASK = pytest.mark.flask_only("a stream of Quart has a context of its own")


def twin(client: Client) -> Client:
    other = client.application.test_client()
    cookie = client.get_cookie("session")
    assert cookie is not None
    other.set_cookie("session", cookie.value)
    return other


def race(
    build: Build, mine: cabc.Callable[[], object], other: str, **settings: t.Any
) -> tuple[flask.testing.TestResponse, Client]:
    """Run a view during which another request asks for a path and is answered."""
    app = build(Sessions(store=settings.pop("store", "memory://"), **settings))
    client = app.test_client()

    @app.get("/mine")
    def view() -> str:
        session.get("x")
        if other:
            assert twin(client).get(other).status_code == 200
        mine()
        return "ok"

    client.get("/set/a/1")
    return client.get("/mine"), client


def put(key: str, value: object) -> cabc.Callable[[], object]:
    return lambda: session.__setitem__(key, value)


def test_to_raise_answers_409_and_stores_nothing(build: Build) -> None:
    response, client = race(build, put("a", "3"), "/set/a/2", on_conflict="raise")
    assert response.status_code == 409
    assert client.get("/read").json["data"] == {"a": "2"}


@pytest.mark.parametrize("other", ["/set/b/2", "/set/a/3"])
def test_to_raise_lets_pass_what_does_not_contradict(build: Build, other: str) -> None:
    response, client = race(build, put("a", "3"), other, on_conflict="raise")
    assert response.status_code == 200
    assert client.get("/read").json["data"]["a"] == "3"


def test_a_view_may_handle_the_conflict_and_try_again(build: Build) -> None:
    def mine() -> None:
        session["a"] = "3"
        with pytest.raises(SessionConflict) as caught:
            session.save()
        assert caught.value.keys == ["a"]
        assert session["a"] == "2"
        session["a"] += "4"
        session.save()

    response, client = race(build, mine, "/set/a/2", on_conflict="raise")
    assert response.status_code == 200
    assert client.get("/read").json["data"] == {"a": "24"}


def test_a_function_merges_what_both_changed(build: Build) -> None:
    asked: list[tuple[object, ...]] = []

    def merge(key: str, base: t.Any, theirs: t.Any, mine: t.Any) -> t.Any:
        asked.append((key, base, theirs, mine))
        return f"{theirs}+{mine}"

    _, client = race(build, put("a", "3"), "/set/a/2", on_conflict=merge)
    assert client.get("/read").json["data"] == {"a": "2+3"}
    assert asked == [("a", "1", "2", "3")]


def test_a_deletion_is_not_merged(build: Build) -> None:
    def merge(key: str, base: t.Any, theirs: t.Any, mine: t.Any) -> t.Any:
        raise AssertionError("asked without two values")

    _, client = race(build, lambda: session.pop("a"), "/set/a/2", on_conflict=merge)
    assert client.get("/read").json["data"] == {}


def increment(key: str = "n", by: float = 1) -> float:
    return session.increment(key, by)


def test_counters_of_parallel_requests_count_right(
    build: Build, store_url: str
) -> None:
    app = build(Sessions(store=store_url, store_timeout=20, budget=60))
    app.add_url_rule("/count", "count", lambda: str(increment()))
    client = app.test_client()
    client.get("/set/a/1")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = pool.map(lambda _: twin(client).get("/count").status_code, range(60))
        assert set(codes) == {200}
    assert client.get("/read").json["data"] == {"a": "1", "n": 60}


COUNT = """
import sys, flask
from flaskware_session import Sessions

url, namespace, token = sys.argv[1:]
app = flask.Flask("counting")
app.testing = True
Sessions(app, store=url, namespace=namespace, store_timeout=20, budget=60)
app.add_url_rule("/count", "count", lambda: str(flask.session.increment("n")))
client = app.test_client()
client.set_cookie("session", token)
for _ in range(20):
    assert client.get("/count").status_code == 200
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "store_url",
    ["sqlite", "file", "redis", "memcached", "postgresql", "mariadb"],
    indirect=True,
)
def test_counters_of_processes_count_right(build: Build, store_url: str) -> None:
    app = build(Sessions(store=store_url))
    client = app.test_client()
    client.get("/set/a/1")
    cookie = client.get_cookie("session")
    assert cookie is not None
    names = [store_url, app.config["SESSION_NAMESPACE"], cookie.value]
    command = [sys.executable, "-c", COUNT, *names]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert client.get("/read").json["data"] == {"a": "1", "n": 60}


def test_a_number_that_was_set_is_not_counted(build: Build) -> None:
    def mine() -> None:
        increment("a", 0.5)
        session["a"] = 10
        increment("b", 2)
        increment("b", 3)

    app = build(Sessions(store=MemoryStore()))
    app.add_url_rule("/mine", "mine", lambda: str(mine()))
    client = app.test_client()
    with client.session_transaction() as opened:
        opened["a"] = 1
    assert client.get("/mine").status_code == 200
    assert client.get("/read").json["data"] == {"a": 10, "b": 5}


def test_what_is_no_number_is_not_counted_up(build: Build) -> None:
    app = build(Sessions(store="memory://"))
    app.add_url_rule("/mine", "mine", lambda: str(increment("a")))
    client = app.test_client()
    client.get("/set/a/1")
    with pytest.raises(TypeError):
        client.get("/mine")


@ONLY_FLASK
def test_saving_before_a_stream_stores_and_sends_the_cookie(build: Build) -> None:
    app = build(Sessions(store="memory://"))

    @app.get("/stream")
    def stream() -> flask.Response:
        session["a"] = 1
        session.save()

        def body() -> cabc.Iterator[str]:
            session["b"] = 2
            session.save()
            yield "done"

        return flask.Response(flask.stream_with_context(body()))

    client = app.test_client()
    assert "session=" in client.get("/stream").headers["Set-Cookie"]
    assert client.get("/read").json["data"] == {"a": 1, "b": 2}


@ONLY_FLASK
@pytest.mark.parametrize("was_read", [True, False])
def test_a_new_session_while_the_response_is_sent_is_refused(
    build: Build, was_read: bool
) -> None:
    app = build(Sessions(store="memory://"))
    told: list[str] = []

    @app.get("/stream")
    def stream() -> flask.Response:
        if was_read:
            session.get("a")

        def body() -> cabc.Iterator[str]:
            session["b"] = 2
            with pytest.raises(RuntimeError, match=r"session\.save\(\)") as caught:
                session.save()
            told.append(str(caught.value))
            yield "done"

        return flask.Response(flask.stream_with_context(body()))

    assert app.test_client().get("/stream").text == "done"
    assert told


@ONLY_FLASK
def test_a_session_that_is_first_read_in_a_stream_gets_its_new_id_later(
    build: Build,
) -> None:
    clock = FakeClock()
    app = build(Sessions(store="memory://", renewal_timeout=60, clock=clock))

    @app.get("/stream")
    def stream() -> flask.Response:
        def body() -> cabc.Iterator[str]:
            session["b"] = 2
            session.save()
            yield "done"

        return flask.Response(flask.stream_with_context(body()))

    client = app.test_client()
    client.get("/set/a/1")
    clock.advance(minutes=2)
    assert client.get("/stream").text == "done"
    response = client.get("/read")
    assert response.json["data"] == {"a": "1", "b": 2}
    assert "session=" in response.headers["Set-Cookie"]


@pytest.mark.parametrize("store_url", ["memory", "redis"], indirect=True)
def test_a_save_that_found_the_session_gone_stores_nothing(
    build: Build, store_url: str
) -> None:
    def mine() -> None:
        session["a"] = "3"
        session.save()
        session["b"] = "4"

    response, client = race(build, mine, "/logout", store=store_url)
    assert (response.status_code, response.headers.get("Set-Cookie")) == (409, None)
    assert client.get("/read").json["data"] == {}


@pytest.mark.parametrize("second", ["mine", "regenerated"])
def test_what_another_request_stored_survives_two_saves_of_one(
    build: Build, second: str
) -> None:
    def mine() -> None:
        kept = session.setdefault("list", [])
        session["c"] = 1
        session.save()
        assert session["b"] == "2"
        kept.append(1)
        if second == "regenerated":
            sessions = t.cast("Sessions", current_app_object().extensions["session"])
            sessions.regenerate()

    _, client = race(build, mine, "/set/b/2")
    expected = {"a": "1", "b": "2", "c": 1, "list": [1]}
    assert client.get("/read").json["data"] == expected
