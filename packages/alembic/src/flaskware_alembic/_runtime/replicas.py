"""Replicas of a database, and how far they are behind.

gh-ost and pt-online-schema-change measure it by a row that they write again and again;
here the batches of a backfill are what is written.
"""

from __future__ import annotations

import collections
import time
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic._databases.errors import reason_of

# The replica of a logical subscription reads what it wants, and when.
_POSTGRESQL = """
SELECT concat_ws(' ', nullif(application_name, ''), client_addr::text),
  coalesce(extract(epoch FROM replay_lag), 0)::float8,
  replay_lsn < CAST(:long_ago AS pg_lsn)
FROM pg_stat_replication r
WHERE replay_lsn IS NOT NULL AND NOT EXISTS (SELECT FROM pg_replication_slots s
  WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
ORDER BY 1
"""


class Replicas:
    """The replicas that a backfill waits for.

    :param max_lag: How many seconds they may be behind.
    :param urls: Those of MySQL and MariaDB, which do not know how far they are.
    """

    def __init__(self, max_lag: float, urls: tuple[str, ...] = ()) -> None:
        self._max_lag = max_lag
        self._urls = urls
        self._written: collections.deque[tuple[float, str]] = collections.deque()
        self._long_ago: str | None = None

    def behind(self, connection: sa.Connection) -> str | None:
        """Return which replica is behind, and by how much; ``None`` if none is."""
        name = connection.dialect.name
        if name == "postgresql":
            return self._behind_postgresql(connection)
        if name in {"mysql", "mariadb"}:
            found = (self._behind_mysql(url) for url in self._urls)
            return next((what for what in found if what is not None), None)
        return None

    def _behind_postgresql(self, connection: sa.Connection) -> str | None:
        # `replay_lag` stands still where the replay does. So a replica is behind, too,
        # if it does not have what was written so many seconds ago.
        now = time.monotonic()
        at = connection.scalar(sa.text("SELECT pg_current_wal_insert_lsn()::text"))
        self._written.append((now, str(at)))
        while self._written and self._written[0][0] <= now - self._max_lag:
            self._long_ago = self._written.popleft()[1]
        values = {"long_ago": self._long_ago}
        statement = sa.text(_POSTGRESQL.replace("::", "\\:\\:"))
        for replica, seconds, is_late in connection.execute(statement, values):
            if is_late or seconds > self._max_lag:
                behind = max(seconds, self._max_lag if is_late else 0)
                return f"the replica {replica} is {behind:.0f} s or more behind"
        return None

    def _behind_mysql(self, url: str) -> str | None:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        where = engine.url.render_as_string(hide_password=True)
        try:
            with engine.connect() as connection:
                row = _status_of(connection)
        except sa_exc.DBAPIError as error:
            return f"the replica {where} does not answer: {reason_of(error)}"
        if row is None:
            return f"{where} is no replica"
        seconds = row.get("Seconds_Behind_Master", row.get("Seconds_Behind_Source"))
        if seconds is None:
            return f"the replica {where} stands still"
        if seconds > self._max_lag:
            return f"the replica {where} is {seconds} s behind"
        return None


def _status_of(connection: sa.Connection) -> dict[str, t.Any] | None:
    # MySQL 8.4 lacks the old statement, MariaDB before 10.5 the new statement.
    try:
        rows = connection.exec_driver_sql("SHOW REPLICA STATUS").mappings()
    except sa_exc.ProgrammingError:
        rows = connection.exec_driver_sql("SHOW SLAVE STATUS").mappings()
    row = rows.first()
    return None if row is None else dict(row)
