"""Old and new code that write a table while it is migrated, and an account of it.

``python -m tests.traffic`` in the folder of the package runs both through every step
for a while, on PostgreSQL and MariaDB, and prints what was written, read and lost.
"""

from __future__ import annotations

import argparse
import collections.abc as cabc
import contextlib
import dataclasses as dc
import random
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic import replaces
from flaskware_core.testing import Services
from flaskware_core.testing import temporary_database

from .conftest import Project

Value: t.TypeAlias = t.Any
Row: t.TypeAlias = dict[str, Value]
# What a server asks to try again: deadlocks, waits for locks, and a table that was
# altered since the transaction began, or since psycopg prepared a query of it.
PASSING = {"40001", "40P01", "55P03", "0A000", 1205, 1213, 1412, 1615}


@dc.dataclass(frozen=True)
class Code:
    """The code of a deploy: the columns that it maps, and the values in them.

    :param to_row: Returns the columns of a value.
    :param to_value: Returns the value of the columns.
    """

    columns: tuple[sa.Column[t.Any], ...]
    to_row: cabc.Callable[[Value], Row]
    to_value: cabc.Callable[[Row], Value]

    def declare(self, project: Project) -> None:
        """Make its models the models of the app."""
        project.metadata.clear()
        # A column has one table.
        copies = [column._copy() for column in self.columns]
        project.add_table("note", *copies, sa.Column("other", sa.Integer))

    @property
    def table(self) -> sa.TableClause:
        names = ["id", *(column.name for column in self.columns), "other"]
        return sa.table("note", *(sa.column(name) for name in names))

    def write(self, connection: sa.Connection, id: int, value: Value) -> None:
        """Insert a row, or write to it if it is there."""
        table = self.table
        row = self.to_row(value)
        update = sa.update(table).where(table.c.id == id).values(row)
        there = sa.select(table.c.id).where(table.c.id == id)
        if connection.scalar(there) is None:
            connection.execute(sa.insert(table).values(id=id, **row))
        else:
            connection.execute(update)

    def touch(self, connection: sa.Connection, id: int, number: int) -> None:
        """Write to another column of a row."""
        table = self.table
        update = sa.update(table).where(table.c.id == id).values(other=number)
        connection.execute(update)

    def read(self, connection: sa.Connection) -> dict[int, Value]:
        """Return all values by the ids of their rows."""
        rows = connection.execute(sa.select(self.table)).mappings()
        return {row["id"]: self.to_value(dict(row)) for row in rows}


@dc.dataclass(frozen=True)
class Case:
    """A change of the models.

    :param make: Returns a value that code may write.
    :param differs: Whether old code writes what new code cannot.
    """

    old: Code
    new: Code
    make: cabc.Callable[[random.Random], Value]


def _one(column: sa.Column[t.Any], to: t.Any = None, back: t.Any = None) -> Code:
    name = column.name
    return Code(
        (column,),
        lambda value: {name: value if to is None else to(value)},
        lambda row: row[name] if back is None else back(row[name]),
    )


def _text(rng: random.Random) -> str:
    # Values that a collation takes for equal, or that end in spaces.
    return rng.choice(["a", "A", "a ", "ä", "", f"{rng.random():.3f}"])


CASES: dict[str, Case] = {
    "rename": Case(
        _one(sa.Column("body", sa.String(20), nullable=False)),
        _one(sa.Column("text", sa.String(20), nullable=False, info=replaces("body"))),
        _text,
    ),
    "rename nullable": Case(
        _one(sa.Column("body", sa.String(20))),
        _one(sa.Column("text", sa.String(20), info=replaces("body"))),
        lambda rng: rng.choice([None, _text(rng)]),
    ),
    "rename with default": Case(
        _one(sa.Column("n", sa.Integer, nullable=False, server_default="7")),
        _one(
            sa.Column(
                "m", sa.Integer, nullable=False, server_default="7", info=replaces("n")
            )
        ),
        lambda rng: rng.choice([7, 7, rng.randrange(9)]),
    ),
    "not null": Case(
        # What the old code writes as NULL is the default of the new code.
        _one(
            sa.Column("s", sa.String(20)),
            lambda value: None if value == "a:b" else value,
            lambda value: "a:b" if value is None else value,
        ),
        _one(sa.Column("s", sa.String(20), nullable=False, default="a:b")),
        lambda rng: rng.choice(["a:b", _text(rng)]),
    ),
    "not null with default": Case(
        _one(
            sa.Column("n", sa.Integer),
            lambda value: None if value == 7 else value,
            lambda value: 7 if value is None else value,
        ),
        _one(sa.Column("n", sa.Integer, nullable=False, server_default="7")),
        lambda rng: rng.choice([7, 7, rng.randrange(9)]),
    ),
    "wider number": Case(
        _one(sa.Column("n", sa.Integer, nullable=False, server_default="7")),
        _one(sa.Column("n", sa.BigInteger, nullable=False, server_default="7")),
        lambda rng: rng.choice([7, rng.randrange(2**31)]),
    ),
    "wider nullable number": Case(
        _one(sa.Column("n", sa.SmallInteger)),
        _one(sa.Column("n", sa.BigInteger)),
        lambda rng: rng.choice([None, rng.randrange(2**15)]),
    ),
}


class Lost(AssertionError):
    """A value is not the one that was written last."""


class Deploys:
    """Two deploys of a change, forth and back, with the code that may run between.

    :param project: An app with an empty database.
    """

    def __init__(self, project: Project, case: Case) -> None:
        self.project = project
        self.case = case
        self.expanded = self.contracted = ""

    def prepare(self) -> None:
        """Make the table as the old code has it, and write the revisions."""
        alembic = self.project.alembic
        self.case.old.declare(self.project)
        alembic.revision("first")
        alembic.upgrade()
        self.case.new.declare(self.project)
        notes: list[str] = []
        written = alembic.revision("change", on_note=notes.append)
        assert notes == []
        assert len(written) == 2
        self.expanded, self.contracted = (info.id for info in written)

    def steps(self) -> cabc.Iterator[tuple[str, cabc.Callable[[], object], list[Code]]]:
        """Yield each step with the code that may run when it is done.

        What may run before and after it runs meanwhile.
        """
        alembic, old, new = self.project.alembic, self.case.old, self.case.new
        for _ in range(2):
            yield "expand", alembic.upgrade, [old, new]
            yield "contract", lambda: alembic.upgrade(contract=True), [new]
            yield "expand again", lambda: alembic.downgrade(self.expanded), [old, new]
            yield "take back", lambda: alembic.downgrade("-1"), [old]
        yield "expand", alembic.upgrade, [old, new]
        yield "contract", lambda: alembic.upgrade(contract=True), [new]


class Worker(threading.Thread):
    """A process of the app: it writes rows of its own and reads them again.

    :param ids: Of the rows, which no other worker writes.
    """

    def __init__(
        self, engine: sa.Engine, code: Code, case: Case, ids: range, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.engine, self.code, self.case, self.ids = engine, code, case, ids
        self.random = random.Random(seed)
        self.values: dict[int, Value] = {}
        self.writes = self.reads = self.retries = 0
        self.error: BaseException | None = None
        self.is_stopped = threading.Event()

    def run(self) -> None:
        try:
            while not self.is_stopped.is_set():
                self._work()
        except BaseException as error:  # noqa: BLE001
            self.error = error

    def _work(self) -> None:
        id, number = self.random.choice(self.ids), self.random.randrange(99)
        value = self.case.make(self.random)
        is_touched = id in self.values and self.random.random() < 0.2

        def write(connection: sa.Connection) -> None:
            if is_touched:
                self.code.touch(connection, id, number)
            else:
                self.code.write(connection, id, value)

        self._try(write)
        self.writes += 1
        if not is_touched:
            self.values[id] = value
        found: dict[int, Value] = {}
        self._try(lambda connection: found.update(self.code.read(connection)))
        self.reads += 1
        for key, wanted in self.values.items():
            if found.get(key, Lost) != wanted:
                raise Lost(f"row {key} is {found.get(key)!r}, not {wanted!r}")

    def _try(self, work: cabc.Callable[[sa.Connection], None]) -> None:
        while True:
            try:
                with self.engine.connect() as connection:
                    try:
                        work(connection)
                        connection.commit()
                    except sa_exc.NotSupportedError:
                        # Its prepared queries are of the table as it was.
                        connection.invalidate()
                        raise
            except sa_exc.DBAPIError as error:
                original: t.Any = error.orig
                code = getattr(original, "sqlstate", None) or original.args[0]
                if code not in PASSING:
                    raise
                self.retries += 1
            else:
                return

    def stop(self) -> None:
        """End it, as a deploy does.

        :raises BaseException: what it met.
        """
        self.is_stopped.set()
        self.join()
        if self.error is not None:
            raise self.error


@dc.dataclass
class Account:
    """What was done while a table was migrated."""

    steps: int = 0
    writes: int = 0
    reads: int = 0
    retries: int = 0
    rows: int = 0

    def add(self, worker: Worker) -> None:
        """Count what a worker did."""
        self.writes += worker.writes
        self.reads += worker.reads
        self.retries += worker.retries


class Traffic:
    """The workers of the code that is deployed."""

    def __init__(self, project: Project, case: Case, workers: int) -> None:
        self.project, self.case, self.workers = project, case, workers
        self.account = Account()
        self._values: dict[int, Value] = {}
        self._running: list[tuple[Code, list[Worker]]] = []
        self._free = iter(range(1, 10_000_000, 20))

    def start(self, code: Code) -> None:
        """Deploy some code."""
        made: list[Worker] = []
        for _ in range(self.workers):
            first = next(self._free)
            ids, engine = range(first, first + 20), self.project.engine
            made.append(Worker(engine, code, self.case, ids, first))
            made[-1].start()
        self._running.append((code, made))

    def keep(self, codes: list[Code]) -> None:
        """End what is not among some code, as a deploy does before it goes on."""
        kept = [running for running in self._running if running[0] in codes]
        gone = [running for running in self._running if running[0] not in codes]
        self._running = kept
        for _, workers in gone:
            for worker in workers:
                worker.stop()
                self.account.add(worker)
                self._values.update(worker.values)

    def deploy(self, codes: list[Code]) -> None:
        """Start what does not run yet."""
        running = [code for code, _ in self._running]
        for code in codes:
            if code not in running:
                self.start(code)

    def compare(self, code: Code) -> None:
        """Make sure that some code reads what was written.

        :raises Lost: naming the rows.
        """
        with self.project.engine.connect() as connection:
            found = code.read(connection)
        values = self._values.items()
        wrong = {id: (found.get(id), v) for id, v in values if found.get(id, Lost) != v}
        if wrong:
            raise Lost(f"{len(wrong)} rows are not as written: {wrong}")
        self.account.rows = len(self._values)

    def abandon(self) -> None:
        """Let every worker end."""
        for _, workers in self._running:
            for worker in workers:
                worker.is_stopped.set()


def run(project: Project, case: Case, *, seconds: float, workers: int = 2) -> Account:
    """Take a table through every step while code writes to it.

    :param seconds: How long the code runs between two steps.
    :raises Lost: if a value is not as it was written.
    """
    deploys, traffic = Deploys(project, case), Traffic(project, case, workers)
    deploys.prepare()
    try:
        traffic.deploy([case.old])
        time.sleep(seconds)
        for _, step, after in deploys.steps():
            traffic.keep(after)
            step()
            traffic.deploy(after)
            time.sleep(seconds)
            for code in after:
                traffic.compare(code)
            traffic.account.steps += 1
        traffic.keep([])
        traffic.compare(case.new)
    finally:
        traffic.abandon()
    return traffic.account


def main() -> None:
    """Run every case on both databases, and print the account."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="between two steps")
    parser.add_argument("cases", nargs="*", default=[*CASES])
    given = parser.parse_args()
    failed = 0
    with contextlib.closing(Services()) as services:
        for kind in ("postgresql", "mariadb"):
            for name in given.cases:
                with (
                    temporary_database(services.get(kind)) as url,
                    tempfile.TemporaryDirectory() as folder,
                ):
                    project = Project(Path(folder), url)
                    try:
                        with project.app.app_context():
                            found = run(project, CASES[name], seconds=given.seconds)
                        print(
                            f"{kind:<11}{name:<23}{found.steps} steps,"
                            f" {found.writes} writes, {found.reads} reads,"
                            f" {found.retries} tried again, {found.rows} rows, 0 lost",
                            flush=True,
                        )
                    except Lost as error:
                        failed += 1
                        print(f"{kind:<11}{name:<23}{error}", flush=True)
                    finally:
                        project.engine.dispose()
    if failed:
        sys.exit(f"{failed} cases lost writes")


if __name__ == "__main__":
    main()
