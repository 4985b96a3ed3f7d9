"""Time limits of the statements of a revision."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import math
import types
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

from flaskware_alembic._databases.database import is_pooled
from flaskware_alembic._settings import AlembicSettings
from flaskware_core import backoff

_DAY = 24 * 60 * 60


@dc.dataclass(frozen=True)
class Timeouts:
    """Time limits in seconds; ``None`` leaves the connection as it is.

    :param lock: How long to wait for a lock.
    :param statement: How long a statement may take.
    """

    lock: float | None = None
    statement: float | None = None

    @classmethod
    def of(cls, module: types.ModuleType, settings: AlembicSettings) -> Timeouts:
        """Return the limits of a revision, or else of the settings."""
        return cls(
            getattr(module, "lock_timeout", settings.table_lock_timeout),
            getattr(module, "statement_timeout", settings.statement_timeout),
        )

    def __bool__(self) -> bool:
        return self.lock is not None or self.statement is not None


class TimeoutKeeper:
    """Time limits of a connection, with those that it had before."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name
        self._before: dict[str, t.Any] = {}
        self._local: dict[str, t.Any] = {}
        # Behind a pooler, what is set for a session stays on a connection that others
        # get, and the next transaction may have another.
        self._is_local = is_pooled(connection)
        connection.rollback()
        if self._is_local:
            event.listen(connection, "begin", self._begin)

    def _begin(self, connection: sa.Connection) -> None:
        """Set the limits for one transaction."""
        for name, value in self._local.items():
            connection.execute(
                sa.text("SELECT set_config(:name, :value, true)"),
                {"name": name, "value": str(value)},
            )

    def set(self, timeouts: Timeouts) -> None:
        """Set them for all statements that follow; no transaction may be open."""
        if self._is_local:
            self._local = dict(self._variables(timeouts))
            return
        if timeouts or self._before:
            values = dict(self._before)
            values.update(self._variables(timeouts))
            for name, value in values.items():
                if name not in self._before:
                    self._before[name] = self._read(name)
                self._write(name, value)
            self._connection.commit()

    def restore(self) -> None:
        """Put the earlier limits back."""
        if self._is_local:
            event.remove(self._connection, "begin", self._begin)
        if not self._before or self._connection.invalidated:
            return
        with contextlib.suppress(sa_exc.DBAPIError):
            self._connection.rollback()
            for name, value in self._before.items():
                self._write(name, value)
            self._connection.commit()

    def _variables(self, timeouts: Timeouts) -> cabc.Iterator[tuple[str, t.Any]]:
        lock, statement = timeouts.lock, timeouts.statement
        if self._dialect == "postgresql":
            if lock is not None:
                yield "lock_timeout", f"{round(lock * 1000)}ms"
            if statement is not None:
                yield "statement_timeout", f"{round(statement * 1000)}ms"
        elif self._dialect in {"mysql", "mariadb"}:
            if lock is not None:
                # Whole seconds, at least one, is what they take.
                yield "lock_wait_timeout", max(1, round(lock))
                yield "innodb_lock_wait_timeout", max(1, round(lock))
            if statement is not None and self._is_mariadb():
                yield "max_statement_time", statement
        elif self._dialect == "sqlite" and lock is not None:
            yield "busy_timeout", round(lock * 1000)

    def _is_mariadb(self) -> bool:
        return bool(getattr(self._connection.dialect, "is_mariadb", False))

    def _read(self, name: str) -> t.Any:
        read = {"postgresql": "SHOW {}", "sqlite": "PRAGMA {}"}
        statement = read.get(self._dialect, "SELECT @@SESSION.{}").format(name)
        return self._connection.exec_driver_sql(statement).scalar()

    def _write(self, name: str, value: t.Any) -> None:
        if self._dialect == "postgresql":
            self._connection.execute(
                sa.text("SELECT set_config(:name, :value, false)"),
                {"name": name, "value": str(value)},
            )
        elif self._dialect == "sqlite":
            self._connection.exec_driver_sql(f"PRAGMA {name} = {int(value)}")
        else:
            self._connection.execute(
                sa.text(f"SET SESSION {name} = :value"), {"value": value}
            )


def server_limits(connection: sa.Connection) -> Timeouts:
    """Return the limits that the server sets; infinite where there are no such locks.

    MariaDB and MySQL wait for a table for a day or longer by default.
    """
    name = connection.dialect.name
    if name == "postgresql":
        read = "SELECT setting FROM pg_settings WHERE name = :name"
        lock, statement = (
            float(connection.scalar(sa.text(read), {"name": variable}) or 0) / 1000
            for variable in ("lock_timeout", "statement_timeout")
        )
    elif name in {"mysql", "mariadb"}:
        found = connection.exec_driver_sql("SELECT @@lock_wait_timeout").scalar()
        wait = float(found or 0)
        lock, statement = (0.0 if wait >= _DAY else wait), math.inf
        if getattr(connection.dialect, "is_mariadb", False):
            found = connection.exec_driver_sql("SELECT @@max_statement_time").scalar()
            statement = float(found or 0)
    else:
        lock = statement = math.inf
    return Timeouts(lock or None, statement or None)


def pause_before(attempt: int) -> float:
    """Return the pause before another attempt, in seconds.

    :param attempt: The number of the attempt that failed, from 1.
    """
    return backoff(attempt, first=0.5, longest=30.0, spread=0)
