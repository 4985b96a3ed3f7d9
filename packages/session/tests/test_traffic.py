from __future__ import annotations

import collections.abc as cabc

import flask
import flask.testing
import pytest

from flaskware_session import MemoryStore
from flaskware_session import Sessions
from flaskware_session.testing import CountingStore
from flaskware_session.testing import FakeClock

from .conftest import session

Build = cabc.Callable[..., flask.Flask]
ONLY_FLASK = pytest.mark.flask_only("Quart reads a session before the view")


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(MemoryStore())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(
    build: Build, store: CountingStore, clock: FakeClock
) -> flask.testing.FlaskClient:
    client = build(Sessions(store=store, clock=clock)).test_client()
    client.get("/set/a/1")
    assert store.trips == ["create"]
    # A visitor's session is kept for longer once somebody came back with it.
    client.get("/read")
    assert store.trips == ["create", "read", "update"]
    store.trips.clear()
    return client


@pytest.mark.parametrize(
    ("path", "trips"),
    [
        pytest.param("/untouched", [], marks=ONLY_FLASK),
        ("/static/none.css", []),
        pytest.param("/nowhere", [], marks=ONLY_FLASK),
        ("/read", ["read"]),
        ("/set/a/1", ["read"]),
        ("/set/a/2", ["read", "update"]),
        ("/login/ann", ["read", "replace"]),
        ("/regenerate", ["read", "update"]),
        ("/clear", ["read", "delete"]),
        ("/logout", ["read", "delete"]),
    ],
)
def test_a_request_makes_these_trips_and_no_more(
    client: flask.testing.FlaskClient,
    store: CountingStore,
    path: str,
    trips: list[str],
) -> None:
    client.get(path)
    assert store.trips == trips


def test_a_due_touch_rides_along_with_the_read(
    client: flask.testing.FlaskClient, store: CountingStore, clock: FakeClock
) -> None:
    clock.advance(days=20)
    client.get("/read")
    clock.advance(days=20)
    assert client.get("/read").json["data"] == {"a": "1"}
    assert store.trips == ["read", "read"]


@pytest.mark.parametrize("path", ["/read", "/clear", "/regenerate", "/logout"])
def test_a_visitor_without_a_session_costs_no_trip(
    build: Build, store: CountingStore, path: str
) -> None:
    response = build(Sessions(store=store)).test_client().get(path)
    assert store.trips == []
    assert "Set-Cookie" not in response.headers


@ONLY_FLASK
def test_making_every_session_permanent_costs_nothing_where_there_is_none(
    build: Build, store: CountingStore
) -> None:
    app = build(Sessions(store=store))

    @app.before_request
    def permanent() -> None:
        session.permanent = True

    client = app.test_client()
    for path in ("/untouched", "/read"):
        assert "Set-Cookie" not in client.get(path).headers
    assert store.trips == []
    assert "Max-Age" in client.get("/set/a/1").headers["Set-Cookie"]
    client.get("/untouched")
    assert store.trips == ["create"]
    client.get("/read")
    assert store.trips == ["create", "read", "update"]


def test_a_session_that_is_emptied_again_is_not_stored(
    build: Build, store: CountingStore
) -> None:
    app = build(Sessions(store=store))

    @app.get("/in-and-out")
    def in_and_out() -> str:
        session["a"] = 1
        del session["a"]
        return "ok"

    assert "Set-Cookie" not in app.test_client().get("/in-and-out").headers
    assert store.trips == []


@pytest.mark.parametrize(
    ("path", "scripts"),
    [
        pytest.param("/untouched", 0, marks=ONLY_FLASK),
        pytest.param("/nowhere", 0, marks=ONLY_FLASK),
        ("/read", 1),
        ("/set/a/2", 2),
    ],
)
def test_redis_gets_one_command_a_trip(
    build: Build, redis_url: str, path: str, scripts: int
) -> None:
    import redis

    client = build(Sessions(store=redis_url)).test_client()
    client.get("/set/a/1")
    client.get("/set/a/0")  # the server knows the scripts now
    number = redis_url.rpartition("/")[2]
    seen: list[str] = []
    with (
        redis.Redis.from_url(redis_url, single_connection_client=True) as bell,
        redis.Redis.from_url(redis_url) as admin,
        admin.monitor() as monitor,
    ):
        bell.ping()
        monitor.next_command()
        client.get(path)
        bell.echo("the end")
        for line in monitor.listen():
            if "the end" in line["command"]:
                break
            if str(line["db"]) == number and line["client_type"] != "lua":
                seen.append(line["command"].split()[0])
    assert seen == ["EVALSHA"] * scripts


@ONLY_FLASK
def test_redis_counts_no_other_commands_than_these(
    build: Build, own_redis: str
) -> None:
    import redis

    client = build(Sessions(store=own_redis)).test_client()
    with redis.Redis.from_url(own_redis) as admin:

        def calls() -> int:
            stats = admin.info("commandstats")
            # What a script does inside is counted as well, under names of its own; the
            # test before shows that nothing else is sent.
            sent = {"cmdstat_evalsha", "cmdstat_eval"}
            return sum(one["calls"] for name, one in stats.items() if name in sent)

        client.get("/set/a/0")  # the server knows the scripts now
        client.get("/set/a/1")
        seen = {}
        for path in ("/untouched", "/nowhere", "/static/x.css", "/read", "/set/a/2"):
            before = calls()
            client.get(path)
            seen[path] = calls() - before
        before = calls()
        client.application.test_client().get("/set/a/1")
        new = calls() - before
    assert list(seen.values()) == [0, 0, 0, 1, 2]
    assert new == 1
