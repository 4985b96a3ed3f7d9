"""Sessions in PostgreSQL beside statements that are written by hand with psycopg.

python benchmarks/postgresql.py [postgresql+psycopg://postgres@127.0.0.1/postgres]

In one process and in turns: a request whose view executes one SELECT by hand (read), or
a SELECT and an UPDATE (write), and a request that does the same by a session; then the
store alone beside the bare statements. The durability is the same: both wait until a
write is on disk. It ends with what the server says of the writes: the share of updates
that left the indexes alone (HOT), and the bytes of WAL for each.
"""

from __future__ import annotations

import argparse
import collections.abc as cabc
import dataclasses as dc
import functools
import itertools
import os
import statistics
import tempfile
import time
import typing as t

import flask
import psycopg
import sqlalchemy as sa

from flaskware_session import Sessions
from flaskware_session import SQLAlchemyStore

_URL = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
_ROUNDS, _CALLS, _UPDATES = 15, 60, 300
_COLUMNS = (
    "key, data, version, created, last_seen, expires, user_id, address, agent, issued,"
    " idle, until, kind, proofs"
)
_SELECT = f"SELECT {_COLUMNS} FROM flaskware_session WHERE key = %s AND expires > %s"
_UPDATE = (
    "UPDATE flaskware_session SET data = %s, version = %s, last_seen = %s, expires = %s"
    " WHERE key = %s AND version = %s AND expires > %s"
)


class ByHand:
    """A row that is read and written as one would without any library."""

    def __init__(self, dsn: str, key: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.key = key

    def read(self) -> tuple[t.Any, ...]:
        now = int(time.time() * 1000)
        row = self.connection.execute(_SELECT, (self.key, now)).fetchone()
        assert row is not None
        return row

    def write(self, row: tuple[t.Any, ...]) -> None:
        now = int(time.time() * 1000)
        values = (row[1], row[2] + 1, now, now + 10**9)
        where = (self.key, row[2], now)
        assert self.connection.execute(_UPDATE, values + where).rowcount == 1


def add_views(app: flask.Flask, by_hand: ByHand) -> None:
    """Add a page of each kind."""
    numbers = itertools.count()

    @app.get("/read")
    def read() -> str:
        return str(flask.session["cart"])

    @app.get("/write")
    def write() -> str:
        flask.session["number"] = next(numbers)
        return "ok"

    @app.get("/hand/read")
    def hand_read() -> str:
        return str(by_hand.read()[1])

    @app.get("/hand/write")
    def hand_write() -> str:
        by_hand.write(by_hand.read())
        return "ok"


def compare(
    mine: cabc.Callable[[], object], by_hand: cabc.Callable[[], object]
) -> tuple[float, float, float, float]:
    """Wall and CPU time of the best rounds in microseconds: mine, then by hand."""
    rounds: list[tuple[float, ...]] = []
    for _ in range(_ROUNDS):
        found: tuple[float, ...] = ()
        for call in (mine, by_hand):
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(_CALLS):
                call()
            found += (time.perf_counter() - wall, time.process_time() - cpu)
        rounds.append(found)
    best = [min(one) / _CALLS * 1e6 for one in zip(*rounds, strict=True)]
    return t.cast("tuple[float, float, float, float]", tuple(best))


def show(name: str, found: tuple[float, float, float, float]) -> None:
    wall, cpu, hand_wall, hand_cpu = found
    print(
        f"{name:14} {wall:6.0f} µs beside {hand_wall:6.0f} µs: {wall / hand_wall:.2f}"
        f"   CPU {cpu:5.0f} µs beside {hand_cpu:5.0f} µs: {cpu / hand_cpu:.2f}"
    )


def writes(store: SQLAlchemyStore, key: str) -> None:
    """Print how the server stored a number of updates."""

    def ask(statement: str) -> t.Any:
        with store.engine.connect() as connection:
            return connection.execute(sa.text(statement)).one()

    counts = (
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
        " WHERE relname = 'flaskware_session'"
    )
    # Counts arrive a second later.
    time.sleep(1.5)
    before = ask(counts)
    for _ in range(_UPDATES):
        now = int(time.time() * 1000)
        found = store.read(key, now, 10**9)
        assert found is not None
        assert store.update(dc.replace(found, version=found.version + 1), now).saved
    store.close()
    time.sleep(1.5)
    after = ask(counts)
    sizes = [
        ask(
            "EXPLAIN (ANALYZE, WAL, FORMAT JSON) UPDATE flaskware_session"
            f" SET version = version + 1, expires = expires + 1 WHERE key = '{key}'"
        )[0][0]["Plan"].get("WAL Bytes", 0)
        for _ in range(50)
    ]
    done, hot = after[0] - before[0], after[1] - before[1]
    print(f"updates {done}, HOT {hot}; WAL {statistics.median(sizes):.0f} bytes each")


def main() -> None:
    """Measure in a database of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url", nargs="?", default=_URL)
    server = sa.make_url(parser.parse_args().url)
    name = f"flaskware_bench_{os.getpid()}"
    admin = sa.create_engine(
        server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    try:
        measure(server.set(database=name))
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


def measure(url: sa.URL) -> None:
    """Print every comparison."""
    text = url.render_as_string(hide_password=False)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    folder = tempfile.mkdtemp()
    app = flask.Flask("bench", instance_path=folder)
    sessions = Sessions(app, store=text, cookie_policy="plain")
    store = SQLAlchemyStore(text)
    store.create_table()
    client = app.test_client()

    @app.get("/begin")
    def begin() -> str:
        sessions.login("ann")
        flask.session["cart"] = [1, 2, 3]
        return "ok"

    by_hand = ByHand(plain, "")
    add_views(app, by_hand)
    client.get("/begin")
    client.get("/read")
    now = int(time.time() * 1000)
    (record,) = store.for_user("ann", now)
    key = f"{record.key[:-1]}_"
    assert store.create(dc.replace(record, key=key, user_id="by hand"), now)
    by_hand.key = key

    def write() -> None:
        moment = int(time.time() * 1000)
        found = store.read(record.key, moment, 10**9)
        assert found is not None
        store.update(dc.replace(found, version=found.version + 1), moment)

    for path in ("/read", "/write"):
        get = functools.partial(client.get, path)
        show(
            f"request {path[1:]}",
            compare(get, functools.partial(client.get, f"/hand{path}")),
        )
    read = functools.partial(store.read, record.key, now, 10**9)
    show("store read", compare(read, by_hand.read))
    show("store write", compare(write, lambda: by_hand.write(by_hand.read())))
    writes(store, record.key)
    lazy = SQLAlchemyStore(text, synchronous_commit=False)

    def write_lazily() -> None:
        moment = int(time.time() * 1000)
        found = lazy.read(record.key, moment, 10**9)
        assert found is not None
        changed = dc.replace(found, version=found.version + 1, last_seen=moment)
        assert lazy.update(changed, moment).saved

    show("not awaited", compare(write_lazily, lambda: by_hand.write(by_hand.read())))
    lazy.close()
    by_hand.connection.close()
    sessions.state_of(app).manager.store.close()


if __name__ == "__main__":
    main()
