from __future__ import annotations

import collections.abc as cabc
import os
import secrets
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flaskware_session import FileStore
from flaskware_session import MemcachedStore
from flaskware_session import MemoryStore
from flaskware_session import Record
from flaskware_session import RedisStore
from flaskware_session import SQLAlchemyStore
from flaskware_session import SQLiteStore
from flaskware_session import Store
from flaskware_session import StoreUnavailable
from flaskware_session.testing import CountingStore
from flaskware_session.testing import store_suite
from flaskware_session.testing import StoreSuite

INTERVAL = 10_000


TestMemoryStore = store_suite(MemoryStore)


class TestSQLiteStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> cabc.Iterator[Store]:
        store = SQLiteStore(tmp_path / "new folder" / "sessions.db")
        yield store
        store.close()


class TestRedisStore(StoreSuite):
    @pytest.fixture
    def store(self, redis_url: str) -> cabc.Iterator[Store]:
        store = RedisStore(redis_url)
        yield store
        store.close()


class TestSQLAlchemyStoreOnPostgreSQL(StoreSuite):
    @pytest.fixture
    def store(self, postgresql_url: str) -> cabc.Iterator[Store]:
        yield from made(SQLAlchemyStore(postgresql_url))


class TestSQLAlchemyStoreOnMariaDB(StoreSuite):
    @pytest.fixture
    def store(self, mariadb_url: str) -> cabc.Iterator[Store]:
        yield from made(SQLAlchemyStore(mariadb_url))


class TestSQLAlchemyStoreOnSQLite(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> cabc.Iterator[Store]:
        yield from made(SQLAlchemyStore(f"sqlite:///{tmp_path}/s.db"))


class TestMemcachedStore(StoreSuite):
    @pytest.fixture
    def store(self, memcached_url: str) -> cabc.Iterator[Store]:
        namespace = f"test-{secrets.token_hex(8)}"
        store = MemcachedStore(memcached_url, namespace=namespace)
        yield store
        store.close()


class TestFileStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FileStore:
        return FileStore(tmp_path / "new folder" / "sessions")


class TestCountingStore(StoreSuite):
    @pytest.fixture
    def store(self) -> CountingStore:
        return CountingStore(MemoryStore())


def made(store: SQLAlchemyStore) -> cabc.Iterator[Store]:
    store.create_table()
    yield store
    store.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> cabc.Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "s.db", timeout=0.2)
    yield store
    store.close()


def key_of(letter: str, user_id: str | None = None) -> str:
    return StoreSuite().make(user_id)[0].key[:12] + letter * 64


def record(
    letter: str = "a",
    *,
    now: int | None = None,
    user_id: str | None = None,
    **changes: object,
) -> Record:
    now = int(time.time() * 1000) if now is None else now
    values: dict[str, object] = {
        "key": key_of(letter, user_id),
        "data": "{}",
        "version": 1,
        "created": now,
        "last_seen": now,
        "expires": now + 60_000,
        "user_id": user_id,
        "idle": 60_000,
        "until": now + 300_000,
        "proofs": "p" * 43,
    }
    return Record(**(values | changes))  # type: ignore[arg-type]


def test_an_object_without_the_methods_is_not_a_store() -> None:
    assert isinstance(MemoryStore(), Store)
    assert not isinstance(object(), Store)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_sqlite_file_is_readable_by_its_owner_only(
    sqlite_store: SQLiteStore, tmp_path: Path
) -> None:
    sqlite_store.ping()
    assert stat.S_IMODE((tmp_path / "s.db").stat().st_mode) == 0o600


def test_sqlite_waits_a_bounded_time_for_a_writer(
    sqlite_store: SQLiteStore, tmp_path: Path
) -> None:
    sqlite_store.ping()
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(StoreUnavailable):
        sqlite_store.create(record(), 0)
    assert 0.1 < time.monotonic() - start < 20
    other.rollback()
    other.close()
    sqlite_store.create(record(), 0)


def test_a_due_touch_never_fails_a_read_while_the_file_is_locked(
    sqlite_store: SQLiteStore, tmp_path: Path
) -> None:
    stored = record()
    sqlite_store.create(stored, stored.created)
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    later = stored.created + 10_000
    assert sqlite_store.read(stored.key, later, INTERVAL) == stored
    other.rollback()
    other.close()


def test_a_file_that_is_no_database_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"something else" * 100)
    with pytest.raises(StoreUnavailable) as caught:
        SQLiteStore(tmp_path / "s.db").ping()
    assert "not a database" in caught.value.reason


def test_a_file_of_a_newer_version_is_left_alone(
    sqlite_store: SQLiteStore, tmp_path: Path
) -> None:
    sqlite_store.ping()
    sqlite_store.close()
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreUnavailable) as caught:
        sqlite_store.ping()
    assert "newer" in caught.value.reason


def test_sqlite_finds_a_user_and_what_expired_by_an_index(
    sqlite_store: SQLiteStore, tmp_path: Path
) -> None:
    sqlite_store.ping()
    other = sqlite3.connect(tmp_path / "s.db")
    for column in ("user_id", "expires"):
        plan = other.execute(
            f"EXPLAIN QUERY PLAN SELECT key FROM flaskware_session WHERE {column} <= ?",
            (1,),
        ).fetchall()
        assert "USING COVERING INDEX" in plan[0][-1] or "USING INDEX" in plan[0][-1]
    other.close()


def test_expired_rows_go_in_batches_as_sessions_are_made(
    sqlite_store: SQLiteStore,
) -> None:
    for number in range(250):
        sqlite_store.create(record(f"{number:064}", now=1000), 1000)
    later = 1000 + 60_000
    assert sqlite_store.stats(later).expired == 250
    sqlite_store.create(record("b", now=later), later)
    assert sqlite_store.stats(later).expired == 50
    sqlite_store.create(record("c", now=later), later)
    assert sqlite_store.stats(later).expired == 0
    assert sqlite_store.stats(later).sessions == 2


def test_sqlite_keeps_few_connections_after_many_threads(
    sqlite_store: SQLiteStore,
) -> None:
    barrier = threading.Barrier(20)

    def use() -> None:
        barrier.wait()
        with sqlite_store._connection():
            barrier.wait()

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sqlite_store._idle) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("store_url", ["sqlite", "redis"], indirect=True)
def test_a_child_of_a_fork_opens_its_own_connections(
    store_url: str, tmp_path: Path
) -> None:
    store: Store
    store = SQLiteStore(tmp_path / "s.db")
    if store_url.startswith("redis"):
        store = RedisStore(store_url)
    first = record()
    store.create(first, first.created)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            inherited = list(getattr(store, "_idle", ()))
            found = store.read(first.key, first.created, INTERVAL)
            assert not {*inherited} & {*getattr(store, "_idle", ())}
            store.create(record("c"), first.created)
            store.close()
            status = 0 if found == first else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert store.stats(first.created).sessions == 2
    store.close()


COUNT_UP = """
import dataclasses, sys, time
from flaskware_session import SQLiteStore
from flaskware_session import RedisStore

url, key = sys.argv[1:]
store = RedisStore(url) if url.startswith("redis") else SQLiteStore(url, timeout=10)
done = 0
while done < 25:
    now = int(time.time() * 1000)
    found = store.read(key, now, 10_000)
    number = str(int(found.data) + 1)
    newer = dataclasses.replace(found, version=found.version + 1, data=number)
    done += store.update(newer, now).saved
store.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("store_url", ["sqlite", "redis"], indirect=True)
def test_processes_that_update_one_record_lose_nothing(store_url: str) -> None:
    place = store_url.removeprefix("sqlite:///")
    store: Store = SQLiteStore(place) if place != store_url else RedisStore(place)
    stored = record(data="0")
    store.create(stored, stored.created)
    command = [sys.executable, "-c", COUNT_UP, place, stored.key]
    workers = [subprocess.Popen(command) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0, 0]
    found = store.read(stored.key, stored.created, INTERVAL)
    store.close()
    assert found is not None
    assert (found.data, found.version) == ("100", 101)


MAKE_ONE = """
import sys
from flaskware_session import Record, SQLiteStore

path, number = sys.argv[1:]
record = Record("v" * 12 + number.zfill(64), "{}", 1, 0, 0, 10**13, proofs="p")
SQLiteStore(path, timeout=10).create(record, 0)
"""


@pytest.mark.slow
def test_workers_that_start_at_once_make_the_table_once(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    workers = [
        subprocess.Popen([sys.executable, "-c", MAKE_ONE, path, str(number)])
        for number in range(6)
    ]
    assert {worker.wait(60) for worker in workers} == {0}
    store = SQLiteStore(path)
    assert store.stats(1).sessions == 6
    store.close()


def test_redis_forgets_a_session_by_itself(redis_url: str) -> None:
    import redis

    store = RedisStore(redis_url, namespace="myapp")
    stored = record(user_id="ann")
    store.create(stored, stored.created)
    start = f"myapp:{{{stored.key[:12]}}}"
    with redis.Redis.from_url(redis_url) as client:
        for name in (f"s:{stored.key}", "u", "e"):
            assert 55_000 < client.pttl(f"{start}:{name}") <= 60_000
        store.delete_user("ann", keep=stored.key)
        for name in (f"s:{stored.key}", "u", "e"):
            assert 55_000 < client.pttl(f"{start}:{name}") <= 60_000
        store.delete_user("ann")
        assert client.keys("*") == []
    store.close()


def test_a_session_that_ends_earlier_does_not_shorten_the_index(redis_url: str) -> None:
    store = RedisStore(redis_url)
    long = record(user_id="ann")
    store.create(long, long.created)
    short = record("b", user_id="ann", expires=long.created + 20)
    store.create(short, long.created)
    time.sleep(0.05)
    now = int(time.time() * 1000)
    assert store.for_user("ann", now) == [long]
    store.close()


def test_a_due_touch_that_finds_no_room_never_fails_a_read(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    store = FileStore(tmp_path)
    stored = record()
    store.create(stored, stored.created)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        found = store.read(stored.key, stored.created + 10_000, INTERVAL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found == stored


def test_a_foreign_key_in_redis_is_no_session(redis_url: str) -> None:
    import redis

    store = RedisStore(redis_url)
    keys = {letter: key_of(letter) for letter in "abcde"}
    names = {letter: f"session:{{{key[:12]}}}:s:{key}" for letter, key in keys.items()}
    numbers = f"1\n1\n{10**13}\n1\n{10**13}"
    with redis.Redis.from_url(redis_url) as client:
        client.set(names["a"], "a text")
        client.hset(names["b"], "data", "of another type")
        client.set(names["c"], f"\n{numbers}\n\n1\n1\n\nx\n\n{{}}")
        client.set(names["d"], f"\n{numbers}\n\n1\n1\n\nx\n\n\n".encode() + b"\xff")
        client.set(names["e"], f"\n{numbers}\n\n1\n1\n\nx\n\n\n{{}}")
    found = [store.read(key, 0, INTERVAL) for key in keys.values()]
    assert found[:-1] == [None] * 4
    assert found[-1] is not None
    store.close()


def test_a_foreign_key_in_place_of_a_user_s_index_is_set_aside(redis_url: str) -> None:
    import redis

    store = RedisStore(redis_url)
    one, two = record(user_id="ann"), record("b", user_id="ann")
    index = f"session:{{{one.key[:12]}}}:u"
    with redis.Redis.from_url(redis_url) as client:
        client.set(index, "a text")
        assert store.create(one, one.created)
        assert client.get(f"{index}:foreign") == b"a text"
        assert store.for_user("ann", one.created) == [one]
        client.delete(index)
        client.set(index, "another")
        assert store.delete(one.key)
        assert store.read(one.key, one.created, INTERVAL) is None
        assert store.create(two, two.created)
        assert store.limit_user("ann", 1, two.created, keep=two.key) == 0
        client.set(index, "a third")
        store.delete_user("ann", keep=two.key)
        assert store.read(two.key, two.created, INTERVAL) == two
        # It cannot be counted, and has ended.
        store.delete_user("ann")
        assert store.read(two.key, two.created, INTERVAL) is None
    store.close()


def test_a_redis_that_is_full_still_tells_who_is_signed_in(own_redis: str) -> None:
    import redis

    store = RedisStore(own_redis)
    stored = record(user_id="ann")
    store.create(stored, stored.created)
    with redis.Redis.from_url(own_redis) as client:
        client.config_set("maxmemory", "1")
        later = stored.created + 10_000
        assert store.read(stored.key, later, INTERVAL) == stored
        with pytest.raises(StoreUnavailable) as caught:
            store.create(record("b"), later)
        assert "maxmemory" in caught.value.reason
        assert store.delete(stored.key)
        assert store.for_user("ann", later) == []
    store.close()


def test_a_former_primary_of_redis_is_not_taken_for_one(own_redis: str) -> None:
    import redis

    store = RedisStore(own_redis)
    stored = record(user_id="ann")
    store.create(stored, stored.created)
    with redis.Redis.from_url(own_redis) as client:
        client.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreUnavailable) as caught:
            store.read(stored.key, stored.created + 10_000, INTERVAL)
        assert "ReadOnlyError" in caught.value.reason
    store.close()


def test_a_repeated_replacement_is_done_once(redis_url: str) -> None:
    store = RedisStore(redis_url)
    old = record()
    store.create(old, old.created)
    new = record("b", version=2)
    assert store.replace(old.key, new, old.created).saved
    assert store.replace(old.key, new, old.created).saved
    assert store.stats(old.created).sessions == 1
    store.close()


def test_redis_scripts_are_sent_again_after_a_restart(redis_url: str) -> None:
    import redis

    store = RedisStore(redis_url)
    stored = record()
    store.create(stored, stored.created)
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
        assert store.read(stored.key, stored.created, INTERVAL) == stored
    store.close()


def test_a_redis_that_is_not_there_is_told_in_time() -> None:
    store = RedisStore("redis://:s3cr3t@127.0.0.1:1/0", timeout=0.5)
    start = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        store.read(key_of("a"), 0, INTERVAL)
    assert time.monotonic() - start < 20
    assert "s3cr3t" not in caught.value.reason


def test_a_redis_that_hangs_is_told_in_time() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        store = RedisStore(f"redis://127.0.0.1:{port}/0", timeout=0.3)
        start = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.ping()
        assert time.monotonic() - start < 20
        store.close()


@pytest.mark.parametrize("column", ["data", "version", "last_seen", "user_id"])
def test_a_row_of_sqlite_with_values_of_other_types_counts_as_gone(
    sqlite_store: SQLiteStore, tmp_path: Path, column: str
) -> None:
    one = record(user_id="ann")
    sqlite_store.create(one, one.created)
    with sqlite3.connect(tmp_path / "s.db") as other:
        other.execute(f"UPDATE flaskware_session SET {column} = x'ff'")
    other.close()
    assert sqlite_store.read(one.key, one.created, INTERVAL) is None
    assert sqlite_store.for_user("ann", one.created) == []
    assert sqlite_store.delete(one.key)
