from __future__ import annotations

import sqlalchemy as sa

from .driver import engine_arguments
from .driver import Link
from .rows import TableStore
from .table import InTable
from .table import make_table
from .table import TABLE


class SQLAlchemyStore(TableStore, InTable):
    """Keeps sessions in a table of any database that SQLAlchemy knows.

    Over connections of its own, so that no transaction of the app is ever committed or
    held open by it. The table is not made at start: ``flask session create-table`` or
    a migration does that. A request that reads is one statement, and at most once per
    touch interval a second statement notes the use.

    It works behind a pooler such as pgbouncer in transaction mode. Nothing is prepared
    there, and ``timeout`` bounds the wait for a connection only: set
    ``query_wait_timeout`` and ``query_timeout`` of the pooler.

    :param url: As SQLAlchemy takes it; its query reaches the driver.
    :param timeout: How long to wait for a connection and for an answer, in seconds,
        where the driver can (psycopg, PyMySQL, mysqlclient).
    :param pool_size: How many connections a process opens at most.
    :param table: The name of the table.
    :param schema: The schema that the table is in; by default, that of the connection.
    :param namespace: Keeps apart the sessions of apps that share the table.
    :param synchronous_commit: Whether PostgreSQL answers a change of content only once
        it is on disk. A sign-in, a sign-out and a new id are in any case.
    """

    def __init__(
        self,
        url: str | sa.URL,
        *,
        timeout: float = 1.0,
        pool_size: int = 10,
        table: str = TABLE,
        schema: str | None = None,
        namespace: str = "session",
        synchronous_commit: bool = True,
    ) -> None:
        parsed = sa.make_url(url)
        arguments = engine_arguments(parsed, pool_size=pool_size, timeout=timeout)
        self._engine = sa.create_engine(parsed, **arguments)
        super().__init__(
            Link(self._engine, timeout=timeout),
            make_table(table, schema),
            namespace=namespace,
            lazily=not synchronous_commit,
        )

    @property
    def engine(self) -> sa.Engine:
        """Engine that it connects by; for migrations."""
        return self._engine
