"""Reports in a table that every process of an app shares."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import hashlib
import json
import threading
import typing as t
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import SQLAlchemyError

from flaskware_core import ForkGuard

from .report import Report
from .store import Batch
from .store import Ledger
from .store import Loss
from .store import ReportGroup
from .store import ReportStoreError
from .store import surplus

_METADATA = sa.MetaData()
_TABLE = sa.Table(
    "flaskware_secure_reports",
    _METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("disposition", sa.String(8), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("blocked", sa.String(300), nullable=False),
    sa.Column("document", sa.String(300), nullable=False),
    sa.Column("source", sa.String(300), nullable=False),
    sa.Column("line", sa.Integer, nullable=False),
    sa.Column("sample", sa.String(300), nullable=False),
    sa.Column("code_hash", sa.String(64), nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    # Seconds since 1970, which no database converts between time zones.
    sa.Column("first_seen", sa.Double, nullable=False),
    sa.Column("last_seen", sa.Double, nullable=False),
    # Both as JSON: at most 16 tags, and 10 addresses of 300 characters.
    sa.Column("clients", sa.Text, nullable=False),
    sa.Column("pages", sa.Text, nullable=False),
    mysql_charset="utf8mb4",
)
_LEDGER = sa.Table(
    "flaskware_secure_ledger",
    _METADATA,
    # "trial", "unread", "lost evicted" and so on; or the hash of a watched policy.
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.Double),
    mysql_charset="utf8mb4",
)
_BATCHES = "batches"
_TRIAL = "trial"
_UNREAD = "unread"
_LOST = "lost "
_FIELDS = tuple(field.name for field in dc.fields(Report))


class TableReports:
    """Reports in the table ``flaskware_secure_reports``; see ``table_reports``."""

    def __init__(self, engine: sa.Engine | str, max_groups: int = 500) -> None:
        self._own = isinstance(engine, str)
        self.engine = sa.create_engine(engine) if isinstance(engine, str) else engine
        self._max = max_groups
        self._ready = False
        self._lock = threading.Lock()
        self._fork = ForkGuard()

    def add(self, batch: Batch) -> None:
        """Add a batch to the groups and the ledger, in one transaction.

        :raises ReportStoreError: if the database does not answer.
        """
        with self._begun() as connection:
            # Every process begins with this row, so that two batches never wait for
            # each other in a circle, nor overwrite what the other has merged.
            _count_up(connection, _BATCHES, 1)
            _merge_groups(connection, batch.groups)
            evicted = self._evict(connection)
            added = batch.ledger.merged(Ledger(lost={"evicted": evicted}))
            _merge_ledger(connection, added)

    def groups(self) -> list[ReportGroup]:
        """Return what was reported, most frequent first.

        :raises ReportStoreError: if the database does not answer.
        """
        query = sa.select(_TABLE).order_by(_TABLE.c["count"].desc(), _TABLE.c.key)
        with self._begun() as connection:
            return [_group(row) for row in connection.execute(query).mappings()]

    def ledger(self) -> Ledger:
        """Return the ledger, which no number of reports displaces.

        :raises ReportStoreError: if the database does not answer.
        """
        query = sa.select(_LEDGER.c.name, _LEDGER.c["count"], _LEDGER.c.seen)
        with self._begun() as connection:
            rows = {name: (n, at) for name, n, at in connection.execute(query)}
        nothing = (0, None)
        return Ledger(
            last_trial=rows.get(_TRIAL, nothing)[1],
            lost={
                t.cast("Loss", name.removeprefix(_LOST)): count
                for name, (count, _) in rows.items()
                if name.startswith(_LOST) and count
            },
            last_unread=rows.get(_UNREAD, nothing)[1],
        )

    def clear(self) -> None:
        """Forget every group, and the numbers of losses, but no time of the ledger.

        :raises ReportStoreError: if the database does not answer.
        """
        lost = _LEDGER.c.name.startswith(_LOST)
        with self._begun() as connection:
            _count_up(connection, _BATCHES, 1)
            connection.execute(_TABLE.delete())
            connection.execute(_LEDGER.update().where(lost).values(count=0))

    def watched_since(self, policy: str, now: float) -> float:
        """Return when a report-only policy was first in force in any process.

        :raises ReportStoreError: if the database does not answer.
        """
        key = hashlib.sha256(policy.encode()).hexdigest()
        query = sa.select(_LEDGER.c.seen).where(_LEDGER.c.name == key)
        with self._begun() as connection:
            since: float | None = connection.execute(query).scalar_one_or_none()
        if since is not None:
            return since
        with self._begun() as connection:
            _count_up(connection, _BATCHES, 1)
            since = connection.execute(query).scalar_one_or_none()
            if since is None:
                _count_up(connection, key, 0, seen=now)
            return now if since is None else since

    def close(self) -> None:
        """Close the connections if this object made the engine."""
        if self._own:
            self.engine.dispose()

    def _evict(self, connection: sa.Connection) -> int:
        """Delete the groups that make room; return the number of their reports."""
        size = sa.select(sa.func.count()).select_from(_TABLE)
        if connection.execute(size).scalar_one() <= self._max:
            return 0
        columns = _TABLE.c.key, _TABLE.c.clients, _TABLE.c.last_seen
        weighed = [
            (key, tuple(json.loads(clients)), last_seen)
            for key, clients, last_seen in connection.execute(sa.select(*columns))
        ]
        gone = _TABLE.c.key.in_(surplus(weighed, self._max))
        total = sa.select(sa.func.sum(_TABLE.c["count"])).where(gone)
        evicted = int(connection.execute(total).scalar_one())
        connection.execute(_TABLE.delete().where(gone))
        return evicted

    @contextlib.contextmanager
    def _begun(self) -> cabc.Generator[sa.Connection]:
        if self._fork.in_child():
            if self._own:
                self.engine.dispose(close=False)
            self._lock = threading.Lock()
            self._fork.leave()
        try:
            with self._lock:
                if not self._ready:
                    _create(self.engine)
                    self._ready = True
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise ReportStoreError(
                "The table of reports cannot be reached: "
                f"{type(error).__name__} on {self.engine.url!r}."
            ) from error


def _create(engine: sa.Engine) -> None:
    for table in _METADATA.sorted_tables:
        try:
            table.create(engine, checkfirst=True)
        except SQLAlchemyError:
            # A worker that starts at the same moment may have made it first, and may
            # not have come to the next table yet.
            if not sa.inspect(engine).has_table(table.name):
                raise
    # Of two processes that insert the first row at once, one has found it there.
    with contextlib.suppress(IntegrityError), engine.begin() as connection:
        if not _has_row(connection, _BATCHES):
            connection.execute(_LEDGER.insert().values(name=_BATCHES, count=0))


def _has_row(connection: sa.Connection, name: str) -> bool:
    query = sa.select(_LEDGER.c.name).where(_LEDGER.c.name == name)
    return connection.execute(query).first() is not None


def _count_up(
    connection: sa.Connection, name: str, count: int, *, seen: float | None = None
) -> None:
    """Add to a row of the ledger; insert it if need be."""
    values: dict[str, object] = {"count": _LEDGER.c["count"] + count}
    if seen is not None:
        # Processes write late, so the time in the table may be the later.
        later = _LEDGER.c.seen > seen
        values["seen"] = sa.case((later, _LEDGER.c.seen), else_=seen)
    row = _LEDGER.c.name == name
    # Not by rowcount: MariaDB counts the rows that changed.
    if name == _BATCHES or _has_row(connection, name):
        connection.execute(_LEDGER.update().where(row).values(values))
    else:
        new = {"name": name, "count": count, "seen": seen}
        connection.execute(_LEDGER.insert().values(new))


def _merge_ledger(connection: sa.Connection, ledger: Ledger) -> None:
    for name, seen in ((_TRIAL, ledger.last_trial), (_UNREAD, ledger.last_unread)):
        if seen is not None:
            _count_up(connection, name, 1, seen=seen)
    for reason, count in ledger.lost.items():
        if count:
            _count_up(connection, f"{_LOST}{reason}", count)


def _merge_groups(
    connection: sa.Connection, groups: cabc.Sequence[ReportGroup]
) -> None:
    if not groups:
        return
    keys = [group.report.key for group in groups]
    query = sa.select(_TABLE).where(_TABLE.c.key.in_(keys))
    known = {
        row["key"]: _group(row) for row in connection.execute(query).mappings().all()
    }
    new: list[dict[str, object]] = []
    old: list[dict[str, object]] = []
    for key, group in zip(keys, groups, strict=True):
        found = known.get(key)
        merged = group if found is None else found.merged(group)
        changing = {
            "count": merged.count,
            "first_seen": merged.first_seen,
            "last_seen": merged.last_seen,
            "clients": json.dumps(merged.clients),
            "pages": json.dumps(merged.pages),
        }
        if found is None:
            fixed = {name: getattr(group.report, name) for name in _FIELDS}
            new.append({"key": key, **fixed, **changing})
        else:
            old.append({"its_key": key, **changing})
    if new:
        connection.execute(_TABLE.insert(), new)
    if old:
        changed = _TABLE.update().where(_TABLE.c.key == sa.bindparam("its_key"))
        connection.execute(changed, old)


def _group(row: sa.RowMapping) -> ReportGroup:
    return ReportGroup(
        Report(**{name: row[name] for name in _FIELDS}),
        row["count"],
        row["first_seen"],
        row["last_seen"],
        tuple(json.loads(row["clients"])),
        tuple(json.loads(row["pages"])),
    )


def open_table(url: str, max_groups: int, folder: str) -> TableReports:
    """Return the store in the table of the database that a URL names.

    :param folder: The folder of a SQLite file with a relative path.
    :raises ValueError: if the URL is not valid.
    :raises ImportError: if its driver is not installed.
    """
    try:
        parsed = sa.make_url(url)
        name = parsed.database
        if parsed.get_backend_name() == "sqlite" and name and name != ":memory:":
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            parsed = parsed.set(database=str(path))
        table = TableReports(parsed.render_as_string(hide_password=False), max_groups)
    except ArgumentError as error:
        raise ValueError(type(error).__name__) from None
    return table
