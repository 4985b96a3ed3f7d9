"""Reports in a table that every process of an app shares."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import hashlib
import threading
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import SQLAlchemyError

from .report import Report
from .store import ReportGroup
from .store import ReportStoreError

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
    sa.Column("count", sa.BigInteger, nullable=False),
    # Seconds since 1970, which no database converts between time zones.
    sa.Column("first_seen", sa.Double, nullable=False),
    sa.Column("last_seen", sa.Double, nullable=False, index=True),
    mysql_charset="utf8mb4",
)
_WATCHED = "watched"
_FIELDS = tuple(field.name for field in dc.fields(Report))


class TableReports:
    """Reports in the table ``flaskware_secure_reports``; see ``table_reports``."""

    def __init__(self, engine: sa.Engine | str, max_groups: int = 500) -> None:
        self._own = isinstance(engine, str)
        self.engine = sa.create_engine(engine) if isinstance(engine, str) else engine
        self._max = max_groups
        self._ready = False
        self._lock = threading.Lock()

    def add(self, report: Report, now: float) -> None:
        """Count a report in the group of its violation.

        :raises ReportStoreError: if the database does not answer.
        """
        values = {name: getattr(report, name) for name in _FIELDS}
        with self._connected() as connection:
            if not _counted(connection, report.key, now):
                _insert(connection, report.key, now, 1, values)
                self._prune(connection)

    def groups(self) -> list[ReportGroup]:
        """Return what was reported, most frequent first.

        :raises ReportStoreError: if the database does not answer.
        """
        query = (
            sa.select(_TABLE)
            .where(_TABLE.c.kind != _WATCHED)
            .order_by(_TABLE.c.count.desc(), _TABLE.c.key)
        )
        with self._connected() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            ReportGroup(
                Report(**{name: row[name] for name in _FIELDS}),
                row["count"],
                row["first_seen"],
                row["last_seen"],
            )
            for row in rows
        ]

    def clear(self) -> None:
        """Forget every report.

        :raises ReportStoreError: if the database does not answer.
        """
        with self._connected() as connection:
            connection.execute(_TABLE.delete().where(_TABLE.c.kind != _WATCHED))

    def watched_since(self, policy: str, now: float) -> float:
        """Return when a report-only policy was first in force in any process.

        :raises ReportStoreError: if the database does not answer.
        """
        key = hashlib.sha256(policy.encode()).hexdigest()
        query = sa.select(_TABLE.c.first_seen).where(_TABLE.c.key == key)
        with self._connected() as connection:
            since = connection.execute(query).scalar_one_or_none()
            if since is None:
                values = dict.fromkeys(_FIELDS, "")
                _insert(
                    connection, key, now, 0, {**values, "kind": _WATCHED, "line": 0}
                )
            return now if since is None else since

    def close(self) -> None:
        """Close the connections if this object made the engine."""
        if self._own:
            self.engine.dispose()

    def _prune(self, connection: sa.Connection) -> None:
        real = _TABLE.c.kind != _WATCHED
        count = connection.execute(
            sa.select(sa.func.count()).select_from(_TABLE).where(real)
        ).scalar_one()
        if count <= self._max:
            return
        oldest = connection.scalars(
            sa.select(_TABLE.c.key)
            .where(real)
            .order_by(_TABLE.c.last_seen)
            .limit(count - self._max)
        ).all()
        connection.execute(_TABLE.delete().where(_TABLE.c.key.in_(oldest)))

    @contextlib.contextmanager
    def _connected(self) -> cabc.Generator[sa.Connection]:
        try:
            with self._lock:
                if not self._ready:
                    _create(self.engine)
                    self._ready = True
            with self.engine.connect() as connection:
                # Each statement commits by itself: two transactions that count the
                # same report would wait for each other on MariaDB.
                connection.execution_options(isolation_level="AUTOCOMMIT")
                yield connection
        except SQLAlchemyError as error:
            raise ReportStoreError(
                "The table of reports cannot be reached: "
                f"{type(error).__name__} on {self.engine.url!r}."
            ) from error


def _create(engine: sa.Engine) -> None:
    try:
        _METADATA.create_all(engine)
    except SQLAlchemyError:
        # A worker that starts at the same moment may have made it first.
        if not sa.inspect(engine).has_table(_TABLE.name):
            raise


def _counted(connection: sa.Connection, key: str, now: float) -> bool:
    more = (
        _TABLE.update()
        .where(_TABLE.c.key == key)
        .values(count=_TABLE.c["count"] + 1, last_seen=now)
    )
    return connection.execute(more).rowcount > 0


def _insert(
    connection: sa.Connection,
    key: str,
    now: float,
    count: int,
    values: dict[str, object],
) -> None:
    row = {**values, "key": key, "count": count, "first_seen": now, "last_seen": now}
    try:
        connection.execute(_TABLE.insert().values(row))
    except IntegrityError:
        # Another process inserted it between our two statements.
        _counted(connection, key, now)


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
