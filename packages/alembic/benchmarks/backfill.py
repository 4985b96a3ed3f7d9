"""A backfill of a hundred thousand rows against one plain UPDATE of them all.

On PostgreSQL where one can be had, else on SQLite. One UPDATE is faster, and holds each
row's lock from when it meets it to the end; a batch holds those of its own rows only.
"""

from __future__ import annotations

import atexit
import collections.abc as cabc
import contextlib
import itertools
import tempfile
import time

import flask
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_core.testing import Services
from flaskware_core.testing import ServiceUnavailable
from flaskware_core.testing import temporary_database

BASELINE = "one UPDATE"
ROWS = 100_000

_REVISION = """
import sqlalchemy as sa
from flaskware_alembic import backfill
revision = "r{size}"
down_revision = {down!r}
@backfill("note", batch={size})
def fill(connection, batch):
    note = batch.table
    connection.execute(sa.update(note).where(batch.where).values(n=note.c.n + 1))
def upgrade(): pass
def downgrade(): pass
"""
_SIZES = (1000, 10_000)
LONGEST: dict[int, float] = {}
"""The longest time of a batch, in seconds, by its size."""


def cases() -> dict[str, cabc.Callable[[], object]]:
    """Callables that each change every row, by the name of what does it."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = tempfile.mkdtemp(prefix="flaskware-bench-")
    try:
        service = stack.enter_context(contextlib.closing(Services())).get("postgresql")
        url = stack.enter_context(temporary_database(service))
    except ServiceUnavailable:
        url = f"sqlite:///{folder}/app.db"
    engine = sa.create_engine(url)
    stack.callback(engine.dispose)
    metadata = sa.MetaData()
    id = sa.Column("id", sa.Integer, primary_key=True)
    note = sa.Table("note", metadata, id, sa.Column("n", sa.Integer))
    metadata.create_all(engine)
    with engine.begin() as connection:
        rows = [{"id": number, "n": 0} for number in range(ROWS)]
        connection.execute(sa.insert(note), rows)
    app = flask.Flask("bench", root_path=folder)
    alembic = Alembic(app=app, engine=engine, metadata=metadata)
    with app.app_context():
        versions = alembic.directory(create=True)
        for down, size in zip((None, "r1000"), _SIZES, strict=True):
            text = _REVISION.format(size=size, down=down)
            (versions / f"r{size}.py").write_text(text)

    def update() -> None:
        with engine.begin() as connection:
            connection.execute(sa.update(note).values(n=note.c.n + 1))

    def fill(size: int) -> None:
        with app.app_context():
            alembic.stamp("base" if size == _SIZES[0] else "r1000")
            with engine.begin() as connection:
                if sa.inspect(connection).has_table("alembic_version_backfill"):
                    connection.exec_driver_sql("DELETE FROM alembic_version_backfill")
            began = [time.perf_counter()]
            alembic.upgrade(
                f"r{size}", on_progress=lambda _: began.append(time.perf_counter())
            )
            # From one batch's end to the next includes all that its locks are held.
            spans = [end - start for start, end in itertools.pairwise(began)]
            LONGEST[size] = max(spans[1:])

    return {
        BASELINE: update,
        "backfill, batches of 1000": lambda: fill(1000),
        "backfill, batches of 10000": lambda: fill(10_000),
    }


def main() -> None:
    """Print rows a second, and the longest that a row was locked."""
    for name, case in cases().items():
        started = time.perf_counter()
        case()
        seconds = time.perf_counter() - started
        print(f"{name}: {ROWS / seconds:.0f} rows/s, {seconds:.2f} s")
    for size, seconds in LONGEST.items():
        print(f"longest batch of {size}: {seconds * 1000:.0f} ms")


if __name__ == "__main__":
    main()
