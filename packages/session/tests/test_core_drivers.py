"""The same generators on stores that block and on stores of coroutines."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import dataclasses as dc
import inspect
import threading
import time
import typing as t

import flask
import pytest

from flaskware_session import AsyncRedisStore
from flaskware_session import AsyncSQLAlchemyStore
from flaskware_session import AsyncStore
from flaskware_session import MemoryStore
from flaskware_session import Record
from flaskware_session import RedisStore
from flaskware_session import session_outage
from flaskware_session import session_renewed
from flaskware_session import SessionEnded
from flaskware_session import Store
from flaskware_session import StoreUnavailable
from flaskware_session._core.end import end
from flaskware_session._core.load import load
from flaskware_session._core.operations import Call
from flaskware_session._core.operations import Queue
from flaskware_session._core.operations import Read
from flaskware_session._core.operations import Steps
from flaskware_session._core.policy import SessionPolicy
from flaskware_session._core.save import save
from flaskware_session._core.visit import Intent
from flaskware_session._core.visit import Visit
from flaskware_session._drive.aio import AsyncStoreClient
from flaskware_session._drive.sync import StoreClient

from .core_script import LIFETIME
from .core_script import policy_of

T = t.TypeVar("T")


class Runner(t.Protocol):
    """Either driver, in a form that blocks."""

    def __call__(self, steps: Steps[T], visit: Visit, /) -> T: ...


@pytest.fixture
def app() -> cabc.Iterator[flask.Flask]:
    app = flask.Flask("drivers")
    with app.app_context():
        yield app


KINDS = ["memory", "redis", "redis async", "sqlite async", "postgresql async"]


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest, tmp_path: t.Any) -> cabc.Iterator[Runner]:
    kind, _, is_async = str(request.param).partition(" ")
    if not is_async:
        url = "" if kind == "memory" else request.getfixturevalue("redis_url")
        store: Store = RedisStore(url) if url else MemoryStore()
        yield StoreClient(store, limit=30).run
        store.close()
        return
    if kind == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/s.db"
    else:
        url = str(request.getfixturevalue(f"{kind}_url"))
    make = AsyncRedisStore if kind == "redis" else AsyncSQLAlchemyStore
    with asyncio.Runner() as loop:
        async_store: AsyncStore = make(url, timeout=30)
        if isinstance(async_store, AsyncSQLAlchemyStore):
            loop.run(async_store.create_table())
        client = AsyncStoreClient(async_store, limit=30)
        yield lambda steps, visit: loop.run(client.run(steps, visit))
        loop.run(async_store.close())


@pytest.fixture
def policy() -> SessionPolicy:
    long = dc.replace(LIFETIME, idle=10**9, absolute=10**10, renewal=None)
    return policy_of(lifetime=long, clock=time.time)


def opened(run: Runner, policy: SessionPolicy, id: str | None) -> Visit:
    visit = Visit([] if id is None else [id])
    run(load(visit, policy), visit)
    return visit


def put(visit: Visit, key: str, value: object) -> None:
    visit.data[key] = value
    visit.is_touched = True


@pytest.mark.usefixtures("app")
def test_a_session_lives_and_ends(run: Runner, policy: SessionPolicy) -> None:
    first = opened(run, policy, None)
    put(first, "a", 1)
    run(save(first, policy), first)

    one, two = opened(run, policy, first.id), opened(run, policy, first.id)
    put(one, "b", 2)
    put(two, "c", 3)
    for visit in (one, two):
        run(save(visit, policy), visit)
    assert two.data == {"a": 1, "b": 2, "c": 3}
    assert two.waited > 0

    renewed: list[object] = []
    with session_renewed.connected_to(lambda _, **details: renewed.append(details)):
        two.require(Intent.RENEW)
        run(save(two, policy), two)
    assert len(renewed) == 1
    old = opened(run, policy, first.id)
    assert (old.id, old.data) == (first.id, two.data)

    run(end(old, policy), old)
    assert opened(run, policy, two.id).record is None
    put(two, "d", 4)
    with pytest.raises(SessionEnded):
        run(save(two, policy), two)
    assert opened(run, policy, two.id).record is None


@pytest.mark.usefixtures("app")
def test_a_function_that_may_block_is_called(run: Runner) -> None:
    def steps() -> Steps[object]:
        yield Queue("k")
        return (yield Call(threading.current_thread))

    assert isinstance(run(steps(), Visit()), threading.Thread)


class Down(MemoryStore):
    def read(self, key: str, now: int, interval: int) -> Record | None:
        raise StoreUnavailable("down")


class AsyncDown:
    async def read(self, key: str, now: int, interval: int) -> Record | None:
        raise StoreUnavailable("down")


def runner_of(store: object, limit: float) -> Runner:
    if not inspect.iscoroutinefunction(t.cast("t.Any", store).read):
        return StoreClient(t.cast("Store", store), limit=limit).run
    client = AsyncStoreClient(t.cast("AsyncStore", store), limit=limit)
    return lambda steps, visit: asyncio.run(client.run(steps, visit))


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("store", [Down(), AsyncDown()], ids=["blocking", "async"])
def test_an_outage_is_thrown_in_and_opens_the_breaker(store: object) -> None:
    run, visit, seen = runner_of(store, 3), Visit(["x"]), list[t.Any]()

    def read() -> Steps[str]:
        try:
            yield Read("k", 1, 1)
        except StoreUnavailable as error:
            return error.reason
        return "answered"

    with session_outage.connected_to(lambda _, **details: seen.append(details)):
        reasons = [run(read(), visit) for _ in range(6)]
    assert reasons[:5] == ["down"] * 5
    assert "5 times in a row" in reasons[5]
    assert [one["operation"] for one in seen] == ["read"] * 6
    visit.waited = 3
    assert "SESSION_BUDGET" in run(read(), visit)


class AsyncMemory:
    """A store of coroutines in which requests meet."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def __getattr__(self, name: str) -> t.Any:
        if not hasattr(self._store, name):
            raise AttributeError(name)

        async def method(*args: t.Any, **kwargs: t.Any) -> t.Any:
            await asyncio.sleep(0)
            return getattr(self._store, name)(*args, **kwargs)

        return method


@pytest.mark.usefixtures("app")
def test_tasks_that_meet_all_win(policy: SessionPolicy) -> None:
    client = AsyncStoreClient(t.cast("AsyncStore", AsyncMemory()), limit=30)

    async def count(id: str | None) -> Visit:
        visit = Visit([] if id is None else [id])
        await client.run(load(visit, policy), visit)
        visit.data["n"] = visit.data.get("n", 0) + 1
        visit.counted["n"] = 1
        visit.is_touched = True
        await client.run(save(visit, policy), visit)
        return visit

    async def all_of_them() -> Visit:
        first = await count(None)
        await asyncio.gather(*(count(first.id) for _ in range(20)))
        return await count(first.id)

    assert asyncio.run(all_of_them()).data == {"n": 22}
