from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc

from flaskware_core import ForkGuard
from flaskware_session._records.record import Record
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._stores.protocol import Store

from .driver import driver_arguments
from .driver import outage_of
from .driver import pool_arguments
from .driver import repeats_of
from .steps import Isolation
from .steps import Step
from .steps import Steps
from .table import metadata

_T = t.TypeVar("_T")


class SQLAlchemyStore(Store):
    """Keeps sessions in a table of any database that SQLAlchemy knows.

    Over connections of its own, so that no transaction of the app is ever committed or
    held open by it; each step is one statement that commits itself. The table is not
    made at start: ``flask session create-table`` or a migration does that.

    On PostgreSQL one statement reads a session and notes a due use; another database
    needs a second statement, at most once per touch interval.

    :param url: As SQLAlchemy takes it.
    :param timeout: How long to wait for a connection and for an answer, in seconds,
        where the driver can (psycopg, PyMySQL, mysqlclient).
    :param pool_size: How many connections a process keeps open.
    """

    def __init__(
        self, url: str | sa.URL, *, timeout: float = 1.0, pool_size: int = 5
    ) -> None:
        parsed = sa.make_url(url)
        self._engine = sa.create_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            connect_args=driver_arguments(parsed.get_driver_name(), timeout),
            **pool_arguments(parsed, pool_size, timeout),
        )
        dialect = self._engine.dialect
        # A driver of MySQL would send a ROLLBACK after each statement, though it has
        # committed by itself. SQLAlchemy before 2.0.43 does not look at this.
        if dialect.name in {"mysql", "mariadb"}:
            dialect.skip_autocommit_rollback = True
        self._steps = Steps(dialect.name)
        self._fork = ForkGuard()

    @property
    def engine(self) -> sa.Engine:
        """Engine that it connects by; for migrations."""
        return self._engine

    def create_table(self) -> None:
        """Make the table if it is not there.

        :raises StoreUnavailable: if the database does not answer, or forbids it.
        """
        self._with_connection(metadata.create_all)

    def read(self, key: str, now: int, interval: int) -> Record | None:
        return self._run(lambda: self._steps.read(key, now, interval))

    def create(self, record: Record, now: int) -> bool:
        return self._run(lambda: self._steps.create(record, now))

    def update(self, record: Record, now: int) -> Written:
        return self._run(lambda: self._steps.update(record, now))

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        return self._run(lambda: self._steps.replace(old_key, record, now))

    def delete(self, key: str, *, version: int | None = None) -> bool:
        return self._run(lambda: self._steps.delete(key, version))

    def for_user(self, user_id: str, now: int) -> list[Record]:
        return self._run(lambda: self._steps.for_user(user_id, now))

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        return self._run(
            lambda: self._steps.delete_user(user_id, keep), self._steps.locking
        )

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """See :meth:`Store.limit_user`; one transaction."""
        return self._run(
            lambda: self._steps.limit_user(user_id, count, now, keep),
            self._steps.locking,
        )

    def prune(self, now: int, limit: int) -> int:
        return self._run(lambda: self._steps.prune(now, limit))

    def stats(self, now: int) -> StoreStats:
        return self._run(lambda: self._steps.stats(now))

    def ping(self) -> None:
        """See :meth:`Store.ping`; the table must be there."""
        self._run(self._steps.ping)

    def close(self) -> None:
        self._leave_to_parent()
        self._engine.dispose()

    def _run(
        self, begin: cabc.Callable[[], Step[_T]], isolation: Isolation | None = None
    ) -> _T:
        return self._with_connection(
            lambda connection: _drive(connection, begin()), isolation
        )

    def _with_connection(
        self,
        work: cabc.Callable[[sa.Connection], _T],
        isolation: Isolation | None = None,
    ) -> _T:
        self._leave_to_parent()
        attempts = 0
        while True:
            try:
                return self._once(work, isolation)
            except exc.DBAPIError as error:
                attempts += 1
                if attempts > repeats_of(error):
                    raise outage_of(error) from error
            except (exc.SQLAlchemyError, OSError) as error:
                raise outage_of(error) from error

    def _once(
        self, work: cabc.Callable[[sa.Connection], _T], isolation: Isolation | None
    ) -> _T:
        with self._engine.connect() as connection:
            if isolation is None:
                return work(connection)
            connection = connection.execution_options(isolation_level=isolation)
            with connection.begin():
                return work(connection)

    def _leave_to_parent(self) -> None:
        # The connections that the child of a fork inherited belong to its parent.
        if self._fork.in_child():
            self._engine.dispose(close=False)
            self._fork.leave()


def _drive(connection: sa.Connection, step: Step[_T]) -> _T:
    try:
        statement, values = next(step)
        while True:
            try:
                result = connection.execute(statement, values)
            except exc.DBAPIError as error:
                statement, values = step.throw(error)
            else:
                statement, values = step.send(result)
    except StopIteration as stop:
        return t.cast("_T", stop.value)
