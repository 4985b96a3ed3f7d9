from __future__ import annotations

import asyncio
import collections.abc as cabc
import os
import threading
import time
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from flaskware_session import AsyncRedisStore
from flaskware_session import AsyncSQLAlchemyStore
from flaskware_session import AsyncStore
from flaskware_session import BlockingStore
from flaskware_session import Record
from flaskware_session import RedisStore
from flaskware_session import Sessions
from flaskware_session import Store
from flaskware_session import StoreUnavailable
from flaskware_session._migrations import tree
from flaskware_session._records.token import key_of
from flaskware_session._records.token import new_token
from flaskware_session._records.token import proof_of
from flaskware_session.testing import StoreSuite

from .conftest import session

Build = cabc.Callable[..., flask.Flask]


class TestAsyncRedisStore(StoreSuite):
    @pytest.fixture
    def store(self, redis_url: str) -> cabc.Iterator[Store]:
        store = BlockingStore(AsyncRedisStore(redis_url))
        yield store
        store.close()


class TestAsyncSQLAlchemyStore(StoreSuite):
    @pytest.fixture
    def store(self, postgresql_url: str) -> cabc.Iterator[Store]:
        coroutines = AsyncSQLAlchemyStore(postgresql_url)
        store = BlockingStore(coroutines)
        store.wait(coroutines.create_table())
        yield store
        store.close()


def test_a_table_that_is_not_there_is_made_by_the_command(
    build: Build, postgresql_url: str
) -> None:
    app = build(Sessions(store=AsyncSQLAlchemyStore(postgresql_url)))
    assert app.test_client().get("/set/a/1").status_code == 503
    done = app.test_cli_runner().invoke(args=["session", "create-table"])
    assert done.output == "The table is there.\n"
    client = app.test_client()
    client.get("/login/ann")
    client.get("/regenerate")
    assert client.get("/read").json["user"] == "ann"


@pytest.mark.parametrize("driver", ["sqlite+aiosqlite", "postgresql+asyncpg"])
def test_the_url_of_an_asynchronous_driver_is_a_store(
    build: Build, request: pytest.FixtureRequest, tmp_path: Path, driver: str
) -> None:
    url = f"{driver}:///{tmp_path}/s.db"
    if driver == "postgresql+asyncpg":
        plain = str(request.getfixturevalue("postgresql_url"))
        url = sa.make_url(plain).set(drivername=driver).render_as_string(False)
    sessions = Sessions(store=url)
    app = build(sessions)
    done = app.test_cli_runner().invoke(args=["session", "create-table"])
    assert done.output == "The table is there.\n"
    tab, phone = app.test_client(), app.test_client()
    for client in (tab, phone):
        client.get("/login/ann")
    tab.get("/set/a/1")
    tab.get("/regenerate")
    assert tab.get("/read").json["data"] == {"a": "1"}
    with app.app_context():
        assert len(sessions.for_user("ann")) == 2
        assert sessions.stats().sessions == 2
        brought = tree(app)
        assert brought is not None
        assert isinstance(brought["engine"], AsyncEngine)
        assert sessions.revoke_user("ann") == 2
        assert sessions.prune() == 0
    assert tab.get("/read").json["user"] is None


def loops() -> int:
    return sum(one.name == "flaskware-session" for one in threading.enumerate())


def test_an_app_works_with_a_store_of_coroutines(build: Build, redis_url: str) -> None:
    store = AsyncRedisStore(redis_url)
    assert isinstance(store, AsyncStore)
    app = build(Sessions(store=store))

    @app.get("/async")
    async def view() -> str:
        await asyncio.sleep(0)
        return str(session["a"])

    client = app.test_client()
    assert client.get("/set/a/1").status_code == 200
    client.get("/login/ann")
    assert client.get("/read").json["user"] == "ann"
    assert client.get("/async").text == "1"


def test_a_closed_one_leaves_no_thread(redis_url: str) -> None:
    before = loops()
    store = BlockingStore(AsyncRedisStore(redis_url))
    assert loops() == before
    store.ping()
    assert loops() == before + 1
    store.close()
    store.close()
    assert loops() == before


def test_the_same_records_are_read_without_a_bridge(redis_url: str) -> None:
    blocking = RedisStore(redis_url)
    token = new_token("ann")
    record = Record(
        key_of(token), '{"a":1}', 1, 1, 1, 10**12, "ann", issued=1, idle=10**11,
        until=10**12, proofs=proof_of(token),
    )  # fmt: skip
    blocking.create(record, 1)
    blocking.close()

    async def read() -> Record | None:
        store = AsyncRedisStore(redis_url)
        try:
            return await store.read(record.key, 1, 1)
        finally:
            await store.close()

    assert asyncio.run(read()) == record


def test_a_server_that_is_not_there_is_an_outage_in_time(build: Build) -> None:
    store = AsyncRedisStore("redis://127.0.0.1:1/0", timeout=0.5)
    client = build(Sessions(store=store)).test_client()
    start = time.monotonic()
    assert client.get("/set/a/1").status_code == 503
    assert time.monotonic() - start < 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_child_of_a_fork_makes_a_loop_of_its_own(redis_url: str) -> None:
    store = BlockingStore(AsyncRedisStore(redis_url))
    store.ping()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.ping()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    store.close()


def test_an_error_of_the_store_is_raised_where_it_is_waited_for() -> None:
    store = BlockingStore(AsyncRedisStore("redis://127.0.0.1:1/0"))
    with pytest.raises(StoreUnavailable):
        store.ping()
    store.close()
