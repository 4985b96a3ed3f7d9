"""A revocation holds by right, also where a cache has lost the lists of sessions."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t
from urllib.parse import urlsplit

import flask
import flask.testing
import pytest
import redis
from pymemcache.client.base import Client

from flaskware_session import MemcachedStore
from flaskware_session import RedisStore
from flaskware_session import Sessions
from flaskware_session import Store
from flaskware_session.testing import StoreSuite

from .gates.places import free_port
from .gates.places import memcached_server
from .gates.places import Missing

Build = cabc.Callable[..., flask.Flask]
Forget = cabc.Callable[[str], None]
INTERVAL = 10_000


def user(client: flask.testing.FlaskClient) -> t.Any:
    return client.get("/read").json["user"]


@pytest.fixture(params=["redis", "memcached"])
def cache(request: pytest.FixtureRequest) -> cabc.Iterator[tuple[Store, Forget]]:
    """A store, and what makes its server forget a kind of keys, as by eviction."""
    tag = StoreSuite().make("ann")[0].key[:12]
    if request.param == "redis":
        url = str(request.getfixturevalue("redis_url"))
        store: Store = RedisStore(url)
        with redis.Redis.from_url(url) as client:

            def forget_name(kind: str) -> None:
                assert client.delete(f"session:{{{tag}}}:{kind}")

            yield store, forget_name
    else:
        url = str(request.getfixturevalue("small_memcached"))
        store = MemcachedStore(url)
        with contextlib.closing(client_of(url)) as cached:

            def forget(kind: str) -> None:
                assert cached.delete(f"session:{kind}:{tag}", noreply=False)

            yield store, forget
    store.close()


@pytest.fixture
def small_memcached() -> cabc.Iterator[str]:
    """The URL of a memcached of 2 MB that nobody else uses."""
    port = free_port()
    try:
        server = memcached_server(port, 2)
    except Missing as error:
        pytest.skip(str(error))
    server.start()
    yield f"memcached://127.0.0.1:{port}"
    server.kill()


def client_of(url: str) -> t.Any:
    parts = urlsplit(url)
    return Client((parts.hostname or "", parts.port or 0), no_delay=True)


def test_a_revocation_reaches_sessions_that_are_listed_no_more(
    cache: tuple[Store, Forget],
) -> None:
    store, forget = cache
    suite = StoreSuite()
    records = [suite.make("ann")[0] for _ in range(3)]
    now = suite.make()[1]
    for record in records:
        assert store.create(record, now)
    forget("u")
    assert store.for_user("ann", now) == []
    assert store.read(records[0].key, now, INTERVAL) == records[0]
    store.delete_user("ann", keep=records[0].key)
    found = [store.read(record.key, now, INTERVAL) for record in records]
    assert found == [records[0], None, None]
    assert store.for_user("ann", now) in ([], [records[0]])
    forget("e")
    assert store.read(records[0].key, now, INTERVAL) is None
    # Who signs in afterwards brings none of them back.
    assert store.create(suite.make("ann")[0], now)
    assert [store.read(one.key, now, INTERVAL) for one in records] == [None] * 3


@pytest.mark.slow
@pytest.mark.parametrize("own_redis", ["allkeys-lru"], indirect=True)
def test_no_session_outlives_a_revocation_in_a_redis_that_evicts(
    build: Build, own_redis: str
) -> None:
    app = build(Sessions(store=own_redis, visitor_share=None))
    with redis.Redis.from_url(own_redis) as client:
        client.config_set("maxmemory", "3mb")
        revoke_under_pressure(app)
        assert client.info("stats")["evicted_keys"] > 0


@pytest.mark.slow
def test_no_session_outlives_a_revocation_in_a_memcached_that_evicts(
    build: Build, small_memcached: str
) -> None:
    revoke_under_pressure(build(Sessions(store=small_memcached, visitor_share=None)))
    with contextlib.closing(client_of(small_memcached)) as client:
        assert client.stats()[b"evictions"] > 0


def revoke_under_pressure(app: flask.Flask) -> None:
    sessions = t.cast("Sessions", app.extensions["session"])
    devices: dict[str, list[flask.testing.FlaskClient]] = {}
    for number in range(30):
        name = f"user{number}"
        devices[name] = [app.test_client() for _ in range(3)]
        for device in devices[name]:
            assert device.get(f"/login/{name}").status_code == 200
    # With a share for visitors, nothing would be evicted.
    filler = "x" * 2000
    for _ in range(25):
        for _ in range(100):
            assert app.test_client().get(f"/set/a/{filler}").status_code == 200
        for several in devices.values():
            for device in several:
                user(device)
    alive = [(n, one) for n, several in devices.items() for one in several if user(one)]
    for name in devices:
        with app.app_context():
            sessions.revoke_user(name)
    assert alive
    assert [name for name, device in alive if user(device)] == []
