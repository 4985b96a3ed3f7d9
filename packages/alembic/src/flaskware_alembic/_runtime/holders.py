"""Sessions that hold what a revision waited for."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic._databases.database import Database
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import LockHolder
from flaskware_alembic._sql.statement import changes_of_sql

# Sessions with a lock on one of some tables, the oldest transaction first. Without a
# table, those with a transaction that is open.
_POSTGRESQL = """
SELECT DISTINCT a.pid, a.usename, concat_ws(' ', nullif(a.application_name, ''),
       a.client_addr::text), a.xact_start::text, a.query, a.xact_start
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.locktype = 'relation' AND a.pid <> pg_backend_pid()
  AND a.datname = current_database() AND a.xact_start IS NOT NULL
  AND l.relation IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) name)
ORDER BY a.xact_start LIMIT 5
"""
_MYSQL = """
SELECT p.ID, p.USER, p.HOST, t.trx_started, coalesce(p.INFO, '')
FROM information_schema.INNODB_TRX t
JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id
WHERE p.ID <> connection_id() AND p.DB = database()
ORDER BY t.trx_started LIMIT 5
"""


def holders_of(database: Database, error: Exception) -> tuple[LockHolder, ...]:
    """Return the sessions that a statement waited for, as far as can be seen.

    It is asked when the wait is over: a session that ended meanwhile is missing.
    The transactions of MySQL and MariaDB do not show their tables: each that is open
    in the database may hold the lock.

    :param error: That of the statement.
    """
    dialect = database.engine.dialect.name
    try:
        if dialect == "postgresql":
            names = _tables_in(getattr(error, "statement", None) or "")
            return _ask(database, _POSTGRESQL, names=names) if names else ()
        if dialect in {"mysql", "mariadb"}:
            return _ask(database, _MYSQL)
    except (sa_exc.SQLAlchemyError, MigrationError):
        # The user may not look at others, and the first error matters more.
        pass
    return ()


def _ask(database: Database, query: str, **values: t.Any) -> tuple[LockHolder, ...]:
    with database.connect() as connection:
        rows = connection.execute(sa.text(query), values).all()
    return tuple(
        LockHolder(row[0], str(row[1]), str(row[2] or ""), str(row[3]), str(row[4]))
        for row in rows
    )


def _tables_in(statement: str) -> list[str]:
    names: set[str] = set()
    for change in changes_of_sql(statement, "postgresql"):
        names.update(filter(None, (change.table, change.other, *change.refers)))
    return sorted(names)


def running_statements(connection: sa.Connection) -> int:
    """Return how many statements run on the server for others; 0 where none can."""
    name = connection.dialect.name
    if name == "postgresql":
        return int(connection.scalar(sa.text(_RUNNING)) or 0)
    if name in {"mysql", "mariadb"}:
        status = "SHOW GLOBAL STATUS LIKE 'Threads_running'"
        # The statement that asks is among them.
        return int(connection.exec_driver_sql(status).one()[1]) - 1
    return 0


_RUNNING = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
