"""A backfill of many rows while writers run, against one UPDATE of them all.

python tests/gates/backfill.py postgresql --rows 10000000

Fails if a batch of the last tenth takes longer than twice one of the first, if a row
was not filled exactly once, or if the backfill takes longer than ``--most`` times the
UPDATE. Both run with the writers.
"""

from __future__ import annotations

import argparse
import collections.abc as cabc
import contextlib
import itertools
import random
import statistics
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import flask
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_core.testing.services import Services
from flaskware_core.testing.services import temporary_database

_REVISION = """
import sqlalchemy as sa
from flaskware_alembic import backfill
revision = "aa"
down_revision = None
@backfill("note", batch={size})
def fill(connection, batch):
    note = batch.table
    connection.execute(sa.update(note).where(batch.where).values(n=note.c.n + 1))
def upgrade(): pass
def downgrade(): pass
"""
_FLAT = 2.0


def make_rows(engine: sa.Engine, count: int) -> None:
    """Make the table, with ids that have gaps."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE note (id BIGINT PRIMARY KEY, n INTEGER NOT NULL,"
            " w INTEGER NOT NULL, text VARCHAR(80) NOT NULL)"
        )
        connection.exec_driver_sql("INSERT INTO note VALUES (0, 0, 0, 'a note')")
        made = 1
        while made < count:
            more = min(made, count - made)
            connection.exec_driver_sql(
                f"INSERT INTO note SELECT id + {made * 3}, 0, 0, text FROM note"
                f" ORDER BY id LIMIT {more}"
            )
            made += more
    with engine.connect() as connection:
        names = {"postgresql": "VACUUM ANALYZE note"}
        statement = names.get(connection.dialect.name, "ANALYZE TABLE note")
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql(statement)


@contextlib.contextmanager
def writers(
    engine: sa.Engine, rows: int, count: int
) -> cabc.Generator[cabc.Callable[[], int]]:
    """Change rows at random meanwhile; yields a function that counts the changes."""
    ended = threading.Event()
    counts = [0] * count

    def write(index: int) -> None:
        choice = random.Random(index)
        statement = sa.text("UPDATE note SET w = w + 1 WHERE id = :id")
        while not ended.wait(0.002):
            with engine.begin() as connection:
                connection.execute(statement, {"id": choice.randrange(rows) * 3})
            counts[index] += 1

    threads = [threading.Thread(target=write, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(counts)
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def fill(engine: sa.Engine, size: int) -> list[float]:
    """Run the backfill, and return the seconds of each batch."""
    folder = Path(tempfile.mkdtemp())
    (folder / "aa.py").write_text(_REVISION.format(size=size))
    app = flask.Flask("gate", root_path=str(folder))
    alembic = Alembic(
        app=app, engine=engine, metadata=sa.MetaData(), directory=str(folder)
    )
    ends = [time.perf_counter()]
    with app.app_context():
        alembic.upgrade(on_progress=lambda _: ends.append(time.perf_counter()))
    return [end - start for start, end in itertools.pairwise(ends)]


def run(url: str, options: t.Any) -> list[str]:
    """Run both, print the figures, and return what is wrong."""
    engine = sa.create_engine(url, pool_size=options.writers + 2)
    make_rows(engine, options.rows)
    with writers(engine, options.rows, options.writers) as written:
        started = time.perf_counter()
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE note SET n = n + 1")
        whole = time.perf_counter() - started
        waited = written()
    with writers(engine, options.rows, options.writers) as written:
        started = time.perf_counter()
        batches = fill(engine, options.batch)
        filled = time.perf_counter() - started
        meanwhile = written()
    tenth = max(1, len(batches) // 10)
    # The first waits for the pool and the plan.
    first = statistics.median(batches[1 : tenth + 1])
    last = statistics.median(batches[-tenth - 1 : -1])
    with engine.connect() as connection:
        query = "SELECT min(n), max(n), count(*) FROM note"
        least, most, count = connection.exec_driver_sql(query).one()
    engine.dispose()
    print(
        f"{options.database}: {options.rows} rows; one UPDATE {whole:.1f} s"
        f" ({waited} writes beside it), {len(batches)} batches of {options.batch}"
        f" {filled:.1f} s ({meanwhile} writes), ratio {filled / whole:.2f};"
        f" batch {first * 1000:.0f} ms at first, {last * 1000:.0f} ms at last,"
        f" {max(batches) * 1000:.0f} ms at most"
    )
    wrong: list[str] = []
    if (least, most, count) != (2, 2, options.rows):
        wrong.append(f"rows were filled {least - 1} to {most - 1} times")
    if last > _FLAT * first:
        wrong.append("the batches become slower")
    if filled > options.most * whole:
        wrong.append(f"more than {options.most} times the UPDATE")
    return wrong


def main() -> None:
    """Run on a database that is dropped afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", choices=["postgresql", "mariadb"])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--most", type=float, default=2.0)
    options = parser.parse_args()
    with contextlib.closing(Services()) as services:
        service = services.get(options.database)
        with temporary_database(service) as url:
            wrong = run(url, options)
    for line in wrong:
        print(f"wrong: {line}")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
