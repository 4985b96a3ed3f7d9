"""How a million sessions compare with a thousand: read, write, prune, and the disk.

python benchmarks/million.py sqlite
python benchmarks/million.py postgresql+psycopg://postgres@127.0.0.1/an_empty_database

The times are of the store itself, the best of several rounds; a database is filled by
its own bulk statements and left empty.
"""

from __future__ import annotations

import argparse
import collections.abc as cabc
import dataclasses as dc
import hashlib
import random
import sqlite3
import tempfile
import time
from pathlib import Path

from flaskware_session import Record
from flaskware_session import SQLAlchemyStore
from flaskware_session import SQLiteStore
from flaskware_session import Store

DATA = '{"user_id":7,"cart":[1,2,3],"csrf_token":"0123456789abcdef0123456789abcdef01"}'
IDLE, INTERVAL = 3_600_000, 60_000
NOW = 1_700_000_000_000
# As many as one batch of pruning removes, several times over, have expired.
EXPIRED = 2_000
ROUNDS, CALLS = 15, 40


def record(number: int, *, expired: bool = False) -> Record:
    """The session of a number; one in three is signed in."""
    key = hashlib.sha256(f"{expired}{number}".encode()).hexdigest()
    expires = NOW - 1 if expired else NOW + 3_000_000
    user = f"user{number}" if number % 3 == 0 else None
    return Record(
        *(f"{'u' if user else 'v'}{key[:11]}{key}", DATA, 1, NOW, NOW, expires, user),
        *("192.0.2.7", "Browser", NOW, IDLE, NOW + 10 * IDLE, "", key[:43]),
    )


def everything(count: int) -> cabc.Iterator[Record]:
    yield from (record(number) for number in range(count))
    yield from (record(number, expired=True) for number in range(EXPIRED))


def fill_sqlite(path: Path, count: int) -> None:
    connection = sqlite3.connect(path)
    rows = ((*dc.astuple(one), "session") for one in everything(count))
    marks = ", ".join("?" * 15)
    connection.executemany(f"INSERT INTO flaskware_session VALUES ({marks})", rows)
    connection.commit()
    connection.close()


def fill_postgresql(store: SQLAlchemyStore, count: int) -> int:
    """Fill the table and return its size on disk, in bytes."""
    raw = store.engine.raw_connection()
    with raw.cursor() as cursor:
        cursor.execute("TRUNCATE flaskware_session")
        with cursor.copy("COPY flaskware_session FROM STDIN") as copy:
            for one in everything(count):
                row = [*dc.astuple(one), "session"]
                row[1] = row[1].encode()
                row[6] = None if row[6] is None else row[6].encode()
                copy.write_row(row)
        cursor.execute("ANALYZE flaskware_session")
        cursor.execute("SELECT pg_total_relation_size('flaskware_session')")
        size = int(cursor.fetchone()[0])
    raw.close()
    return size


def measure(store: Store, count: int) -> dict[str, float]:
    """Seconds a call, by what is called."""
    chosen = random.Random(1)

    def read() -> None:
        assert store.read(record(chosen.randrange(count)).key, NOW, INTERVAL)

    versions: dict[str, int] = {}

    def write() -> None:
        one = record(chosen.randrange(count))
        version = versions.get(one.key, 1) + 1
        versions[one.key] = version
        assert store.update(dc.replace(one, version=version), NOW).saved

    found = {"read": best(read), "write": best(write)}
    started, batches = time.perf_counter(), 0
    while store.prune(NOW, 200):
        batches += 1
    assert batches == EXPIRED // 200
    found["prune 200"] = (time.perf_counter() - started) / batches
    return found


def best(call: cabc.Callable[[], None]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append((time.perf_counter() - started) / CALLS)
    return min(rounds)


def run(url: str, count: int, folder: Path) -> tuple[dict[str, float], int]:
    if url == "sqlite":
        path = folder / f"{count}.db"
        store = SQLiteStore(path, timeout=30)
        store.ping()
        fill_sqlite(path, count)
        size = path.stat().st_size
        found = measure(store, count)
        store.close()
        return found, size
    table = SQLAlchemyStore(url, timeout=300)
    table.create_table()
    size = fill_postgresql(table, count)
    found = measure(table, count)
    fill_postgresql(table, 0)
    table.close()
    return found, size


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    url = parser.parse_args().url
    with tempfile.TemporaryDirectory() as folder:
        few, _ = run(url, 1_000, Path(folder))
        many, size = run(url, 1_000_000, Path(folder))
    for name in few:
        ratio = many[name] / few[name]
        times = f"{few[name] * 1e6:7.0f} µs {many[name] * 1e6:7.0f} µs"
        print(f"{name:10} {times} {ratio:.2f}")
    print(f"on disk    {size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
