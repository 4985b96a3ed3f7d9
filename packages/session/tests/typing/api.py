"""Every public signature as a type checker should see it. Never run."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
from typing import assert_type

import blinker
import flask
import pydantic
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from flaskware_session import Agent
from flaskware_session import async_session
from flaskware_session import AsyncRedisStore
from flaskware_session import AsyncServerSession
from flaskware_session import AsyncSessions
from flaskware_session import AsyncSQLAlchemyStore
from flaskware_session import AsyncStore
from flaskware_session import BlockingStore
from flaskware_session import Clock
from flaskware_session import DEVICE_TEXTS
from flaskware_session import DeviceTexts
from flaskware_session import FileStore
from flaskware_session import MemcachedStore
from flaskware_session import MemoryStore
from flaskware_session import NotFresh
from flaskware_session import parse_agent
from flaskware_session import Record
from flaskware_session import RedisStore
from flaskware_session import Scanned
from flaskware_session import ServerSession
from flaskware_session import session
from flaskware_session import session_conflict
from flaskware_session import session_copied
from flaskware_session import session_created
from flaskware_session import session_outage
from flaskware_session import session_renewed
from flaskware_session import session_revoked
from flaskware_session import session_unreadable
from flaskware_session import SessionConflict
from flaskware_session import SessionEnded
from flaskware_session import SessionInfo
from flaskware_session import SessionMismatch
from flaskware_session import SessionReadOnly
from flaskware_session import Sessions
from flaskware_session import SessionSettings
from flaskware_session import SessionState
from flaskware_session import SessionTooLarge
from flaskware_session import SQLAlchemyStore
from flaskware_session import SQLiteStore
from flaskware_session import Store
from flaskware_session import StoreRefused
from flaskware_session import StoreStats
from flaskware_session import StoreUnavailable
from flaskware_session import UnstorableValue
from flaskware_session import Written
from flaskware_session.testing import CountingStore
from flaskware_session.testing import FakeClock
from flaskware_session.testing import store_suite
from flaskware_session.testing import StoreSuite

app = flask.Flask(__name__)
clock: Clock = FakeClock(start=0.0)
sessions = Sessions(app, clock=clock, store="memory://", idle_timeout=3600)
sessions.init_app(app)

assert_type(sessions.settings, SessionSettings)
assert_type(sessions.state, SessionState)
assert_type(sessions.store, Store)
assert_type(sessions.user_id, str | None)


class Visit(t.TypedDict, total=False):
    count: int


class Basket(pydantic.BaseModel):
    items: list[str] = []


visit = sessions.typed(Visit)
assert_type(visit, Visit)
assert_type(visit.get("count", 0), int)
assert_type(sessions.typed(Basket).items, list[str])
assert_type(SessionMismatch("a", "problem").key, str)
sessions.login("7")
sessions.login(7)
sessions.login("7", remember=dt.timedelta(days=30))
sessions.login("7", remember=3600)
sessions.logout()
sessions.regenerate()
assert_type(sessions.is_fresh(minutes=5), bool)
assert_type(sessions.is_fresh(minutes=5, factor="mfa"), bool)
assert_type(sessions.factors, dict[str, dt.datetime])
sessions.confirm_factor()
sessions.confirm_factor("mfa")
sessions.set_device(label="Ann's phone", version=2, beta=True, old=None)
assert_type(sessions.issue_token("7"), str)
sessions.devices_page(app)
sessions.devices_page(
    app,
    url_prefix="/me/devices",
    confirm=lambda user_id, password: user_id == password,
    factor="password",
    minutes=5,
    texts=DEVICE_TEXTS,
)
sessions.devices_page(app, confirm="confirm", texts=DeviceTexts(title="My devices"))
assert_type(DEVICE_TEXTS, tuple[DeviceTexts, DeviceTexts, DeviceTexts, DeviceTexts])
assert_type(parse_agent("curl/8"), Agent)
assert_type(parse_agent("curl/8").program, str)
assert_type(parse_agent("curl/8").system, str)
assert_type(sessions.issue_token(7, label="Laptop"), str)


@sessions.require_fresh(minutes=5)
@sessions.require_fresh(minutes=5, factor="mfa")
def sensitive(name: str) -> int:
    return len(name)


assert_type(sensitive("x"), int)
assert_type(sessions.for_user("7"), list[SessionInfo])
assert_type(sessions.revoke("handle"), bool)
assert_type(sessions.revoke("handle", user_id=7), bool)
assert_type(sessions.for_everybody(size=100), cabc.Iterator[list[SessionInfo]])
assert_type(sessions.revoke_everybody(), int)
assert_type(sessions.revoke_everybody(keep_current=False, progress=print), int)
assert_type(sessions.revoke_user("7"), int)
assert_type(sessions.revoke_user(7, keep_current=False), int)
assert_type(sessions.prune(limit=100), int)
assert_type(sessions.create_table(), bool)
assert_type(sessions.unpickle_old().converted, int)
assert_type(sessions.unpickle_old().failed, list[str])
assert_type(sessions.stats(), StoreStats)


def show(info: SessionInfo, stats: StoreStats) -> None:
    assert_type(info.handle, str)
    assert_type(info.created, dt.datetime)
    assert_type(info.last_seen, dt.datetime)
    assert_type(info.address, str)
    assert_type(info.agent, str)
    assert_type(info.is_current, bool)
    assert_type(info.label, str)
    assert_type(info.data, dict[str, str | int | float | bool])
    assert_type(info.factors, dict[str, dt.datetime])
    assert_type(stats.sessions, int)
    assert_type(stats.users, int)
    assert_type(stats.expired, int)


def count() -> float:
    assert_type(session, ServerSession)
    return session.increment("visits")


def use(session: ServerSession) -> None:
    session["a"] = 1
    assert_type(session["a"], t.Any)
    assert_type(session.new, bool)
    assert_type(session.modified, bool)
    assert_type(session.copy(), dict[str, t.Any])
    session.modified = True
    session.permanent = True
    assert_type(session.increment("n", by=2), float)
    session.save()
    session.clear()


async def awaited(sessions: AsyncSessions) -> None:
    assert_type(await sessions.load(), AsyncServerSession)
    assert_type(async_session, AsyncServerSession)
    async_session["a"] = 1
    assert_type(async_session.increment("n"), float)
    await async_session.save()
    sessions.login(7, remember=dt.timedelta(days=30))
    assert_type(sessions.user_id, str | None)
    assert_type(await sessions.issue_token(7), str)
    assert_type(await sessions.for_user(7), list[SessionInfo])
    async for part in sessions.for_everybody(size=10):
        assert_type(part, list[SessionInfo])
    assert_type(await sessions.revoke("a"), bool)
    assert_type(await sessions.revoke_user(7, keep_current=False), int)
    assert_type(await sessions.revoke_everybody(progress=print), int)
    assert_type(await sessions.prune(limit=10), int)
    assert_type(await sessions.stats(), StoreStats)
    assert_type(await sessions.create_table(), bool)
    await sessions.unpickle_old()
    await sessions.logout()
    raise SessionReadOnly


def keep(store: Store, record: Record) -> None:
    assert_type(store.read(record.key, 0, 60_000), Record | None)
    assert_type(record.touched(0, 60_000), Record | None)
    written = store.update(record, 0)
    assert_type(written, Written)
    assert_type(written.saved, bool)
    assert_type(written.current, Record | None)
    assert_type(store.replace("key", record, 0), Written)
    assert_type(store.delete("key", version=1), bool)
    assert_type(store.for_user("7", 0), list[Record])
    assert_type(store.delete_user("7", keep=None), int)
    assert_type(store.delete_users(["7"], keep="key"), int)
    assert_type(store.scan("", 100, 0), Scanned)
    assert_type(store.scan("", 100, 0).records, list[Record])
    assert_type(store.scan("", 100, 0).cursor, str | None)
    assert_type(store.prune(0, 100), int)
    assert_type(store.stats(0), StoreStats)
    assert_type(store.limit_user("7", 3, 0, keep="key"), int)
    assert_type(store.create(record, 0), bool)
    store.ping()
    store.close()


memory: Store = MemoryStore()
file: Store = SQLiteStore("sessions.db", namespace="myapp", timeout=0.5)
redis_store = RedisStore("redis://localhost", namespace="myapp", timeout=0.5)
assert_type(redis_store.eviction_policy(), str | None)
in_redis: Store = redis_store
table = SQLAlchemyStore("postgresql+psycopg://localhost/x", timeout=0.5, pool_size=2)
table.create_table()
assert_type(table.engine, sa.Engine)
assert_type(table.table, sa.Table)
in_table: Store = table
in_schema: Store = SQLAlchemyStore(
    "postgresql+psycopg://localhost/x",
    table="sessions",
    schema="web",
    namespace="myapp",
    synchronous_commit=False,
)
in_memcached: Store = MemcachedStore("memcached://localhost", namespace="myapp")
in_folder: Store = FileStore("sessions", namespace="myapp", timeout=0.5)
coroutines: AsyncStore = AsyncRedisStore("redis://localhost", namespace="x")
in_async_table = AsyncSQLAlchemyStore("postgresql+psycopg://localhost/x", pool_size=2)
also_coroutines: AsyncStore = in_async_table
assert_type(in_async_table.engine, AsyncEngine)
bridge = BlockingStore(in_async_table)
assert_type(bridge.wait(in_async_table.create_table()), None)
waiting: Store = BlockingStore(coroutines)
Sessions(store=coroutines)
counting = CountingStore(memory)
counted: Store = counting
assert_type(counting.trips, list[str])
FakeClock().advance(seconds=1, minutes=2, days=3)
assert_type(StoreUnavailable("reason").reason, str)
assert_type(UnstorableValue("key", "problem").key, object)
assert_type(SessionConflict(["a"]).keys, list[str])
assert_type(session.set_expiry(60.5, absolute=dt.timedelta(1)), None)
assert_type(SessionEnded(["a"]).keys, list[str])
not_fresh = NotFresh("mfa", 10, is_bearer=True)
assert_type(not_fresh.factor, str)
assert_type(not_fresh.minutes, float | None)
for signal in (
    session_conflict,
    session_copied,
    session_created,
    session_outage,
    session_renewed,
    session_revoked,
    session_unreadable,
):
    assert_type(signal, blinker.NamedSignal)
too_large: ValueError = SessionTooLarge("message")
refused: ValueError = StoreRefused("message")
assert_type(store_suite(MemoryStore), type[StoreSuite])
settings: SessionSettings = SessionSettings(on_outage="anonymous")
