"""Isolation of tests: everything done to a database is undone at the end.

During a test, every connection that the pool of an engine makes is a stand-in for the
same real connection. That is in a transaction which is rolled back at the end. A
transaction of a stand-in is a savepoint of the real transaction.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import itertools
import re
import threading
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import pool

from .request_state import separate_sessions
from .router import Router

_BEGIN = re.compile(r"(BEGIN|START\s+TRANSACTION)\b", re.IGNORECASE)
_READ = re.compile(r"\s*\(*\s*(SELECT|SHOW|PRAGMA|SET|EXPLAIN|VALUES)\b", re.IGNORECASE)
_SAVEPOINT = re.compile(
    r"((?:ROLLBACK\s+TO\s+|RELEASE\s+)?SAVEPOINT)\s+([\w\"`]+)", re.IGNORECASE
)
_SETTING = re.compile(
    r"(?:SET (?:LOCAL|SESSION) )?(search_path|flaskware\.tenant|USE)\b", re.IGNORECASE
)
_DDL = re.compile(r"\s*(ALTER|CREATE|DROP|RENAME|TRUNCATE)\b", re.IGNORECASE)
_MYSQL = {"mysql", "mariadb"}


@dc.dataclass(eq=False)
class _Work:
    """A transaction of the code under test."""

    savepoint: str
    owner: StandIn
    must_undo: bool = False
    has_savepoints: bool = False
    has_others: bool = False
    """True if its savepoint contains committed changes of another transaction."""
    is_over: bool = False


class SharedConnection:
    """The one real connection of an isolated engine."""

    def __init__(self, real: t.Any, dialect: str) -> None:
        self.real = real
        self._dialect = dialect
        self.is_sqlite = dialect == "sqlite"
        # Threads take turns at statements, not at transactions: a thread that waits
        # for another to end may have a transaction open itself.
        self.lock = threading.RLock()
        self._stack: list[_Work] = []
        self._numbers = itertools.count(1)
        self._settings: dict[str, str] = {}
        self._usual: dict[str, str] = {}
        if dialect in {"sqlite", *_MYSQL} or getattr(real, "autocommit", None) is True:
            self._run("BEGIN")

    def stand_in(self) -> StandIn:
        """Make a connection that stands in for the real connection."""
        return StandIn(self, next(self._numbers))

    def prepare(self, owner: StandIn, statement: t.Any) -> t.Any:
        """Return the statement to run instead; ``None`` if nothing is left to do."""
        # Drivers also take bytes, or objects of their own: these may be writes.
        is_text = isinstance(statement, str)
        text: str = statement.strip().rstrip(";") if is_text else ""
        if _BEGIN.match(text):
            return None
        if text.upper() in {"COMMIT", "ROLLBACK"}:
            (self.commit if text.upper() == "COMMIT" else self.rollback)(owner)
            return None
        if self._dialect in _MYSQL and _DDL.match(text):
            raise RuntimeError(
                "MySQL and MariaDB commit when a table is made, changed or dropped, so"
                " that cannot be undone. Do it outside the test's isolation, in a"
                " fixture that runs before it."
            )
        work = owner.work or self._begin(owner)
        if match := _SETTING.match(text):
            name = match[1].lower()
            self._keep_usual(name)
            owner.settings[name] = self._settings[name] = text
            return text
        if match := _SAVEPOINT.fullmatch(text):
            # Two connections use the same names.
            name = match[2].strip('"`')
            work.has_savepoints = True
            return f"{match[1]} {name}_{owner.number}"
        self._set_settings(owner)
        if not _READ.match(text):
            if not work.must_undo and not work.has_savepoints:
                work = self._put_last(work)
            work.must_undo = True
        return statement

    def _keep_usual(self, name: str) -> None:
        if name in self._usual:
            return
        if name == "flaskware.tenant":
            self._usual[name] = f"SET LOCAL {name} TO ''"
            return
        is_mysql = name == "use"
        cursor = self.real.cursor()
        cursor.execute("SELECT DATABASE()" if is_mysql else "SHOW search_path")
        usual = cursor.fetchone()[0]
        cursor.close()
        self._usual[name] = (
            f"USE `{usual}`" if is_mysql else f"SET LOCAL search_path TO {usual}"
        )

    def _set_settings(self, owner: StandIn) -> None:
        """Set the schema and the tenant of a stand-in, if another has set its own."""
        for name, usual in self._usual.items():
            wanted = owner.settings.get(name, usual)
            if wanted != self._settings.get(name):
                self._run(wanted)
                self._settings[name] = wanted

    def failed(self, owner: StandIn) -> None:
        """Note a failed statement: PostgreSQL takes no other until a rollback."""
        if owner.work is not None:
            owner.work.must_undo = True

    def commit(self, owner: StandIn) -> None:
        """Keep what a stand-in did, until the test ends."""
        with self.lock:
            work, owner.work, owner.settings = owner.work, None, {}
            if work is not None:
                work.is_over = True
                self._release()

    def rollback(self, owner: StandIn) -> None:
        """Undo what a stand-in did in its transaction."""
        with self.lock:
            work, owner.work, owner.settings = owner.work, None, {}
            if work is None:
                return
            later = self._stack[self._stack.index(work) + 1 :]
            if not work.must_undo:
                work.is_over = True  # it only read: nothing is undone
            elif work.has_others or any(other.must_undo for other in later):
                work.is_over = True
                raise RuntimeError(
                    "In a test's isolation all connections share one transaction. So"
                    " this one cannot be rolled back: another began after it and has"
                    " written. Commit or roll back the first before the second begins,"
                    " or test this code without isolation and empty its tables."
                )
            else:
                self._run(f"ROLLBACK TO SAVEPOINT {work.savepoint}")
                self._settings.clear()  # PostgreSQL sets them back too
                for other in later:
                    other.owner.work = None  # it begins again at its next statement
                del self._stack[self._stack.index(work) + 1 :]
                work.is_over, work.must_undo = True, False
            self._release()

    def _begin(self, owner: StandIn) -> _Work:
        work = _Work(f"flaskware_{next(self._numbers)}", owner)
        self._run(f"SAVEPOINT {work.savepoint}")
        self._stack.append(work)
        owner.work = work
        return work

    def _put_last(self, work: _Work) -> _Work:
        """Begin work that has only read again, after the later writes of others."""
        if self._stack[-1] is work and not work.has_others:
            return work
        work.is_over = True
        self._release()
        return self._begin(work.owner)

    def _release(self) -> None:
        while self._stack and self._stack[-1].is_over:
            work = self._stack.pop()
            self._run(f"RELEASE SAVEPOINT {work.savepoint}")
            if self._stack and (work.must_undo or work.has_others):
                self._stack[-1].has_others = True

    def _run(self, statement: str) -> None:
        cursor = self.real.cursor()
        try:
            cursor.execute(statement)
        finally:
            cursor.close()


class StandIn:
    """A DBAPI connection (PEP 249) whose transactions are savepoints of another's."""

    _OWN = frozenset({"shared", "number", "work", "is_autocommit", "settings"})

    def __init__(self, shared: SharedConnection, number: int) -> None:
        self.shared = shared
        self.number = number
        self.work: _Work | None = None
        self.settings: dict[str, str] = {}
        """The statements that set its schema and its tenant, by what they set."""
        self.is_autocommit = False

    def cursor(self, *args: t.Any, **kwargs: t.Any) -> StandInCursor:
        return StandInCursor(self, self.shared.real.cursor(*args, **kwargs))

    def execute(self, statement: str, *args: t.Any, **kwargs: t.Any) -> t.Any:
        return self.cursor().execute(statement, *args, **kwargs)

    def commit(self) -> None:
        self.shared.commit(self)

    def rollback(self) -> None:
        self.shared.rollback(self)

    def close(self) -> None:
        self.shared.rollback(self)

    def terminate(self) -> None:
        self.close()

    def ping(self, *_: object) -> None:
        """Do nothing: the real connection is open, and may be busy."""

    def set_isolation_level(self, level: object) -> None:
        # A level is that of the real connection's transaction.
        self.is_autocommit = str(level).lower() in {"autocommit", "0"}  # psycopg2's

    def __getattr__(self, name: str) -> t.Any:
        value = getattr(self.shared.real, name)
        if name == "autocommit" and callable(value):
            return self._set_autocommit  # PyMySQL's is a method
        return value

    def _set_autocommit(self, wanted: object) -> None:
        self.is_autocommit = bool(wanted)

    def __setattr__(self, name: str, value: object) -> None:
        # Other attributes are levels and modes; the real connection keeps its own.
        if name in self._OWN:
            super().__setattr__(name, value)
        elif name == "autocommit":
            self.is_autocommit = bool(value)
        elif name == "isolation_level" and self.shared.is_sqlite:
            self.is_autocommit = value is None


class StandInCursor:
    """A cursor of a :class:`StandIn`."""

    def __init__(self, owner: StandIn, real: t.Any) -> None:
        self.__dict__.update(_owner=owner, _real=real)

    def execute(self, statement: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        return self._run("execute", statement, *args, **kwargs)

    def executemany(self, statement: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        return self._run("executemany", statement, *args, **kwargs)

    def _run(
        self, method: str, statement: t.Any, *args: t.Any, **kwargs: t.Any
    ) -> t.Any:
        owner: StandIn = self._owner
        with owner.shared.lock:
            prepared = owner.shared.prepare(owner, statement)
            if prepared is None:
                return self
            try:
                getattr(self._real, method)(prepared, *args, **kwargs)
            except Exception:
                owner.shared.failed(owner)
                raise
            if owner.is_autocommit:
                owner.commit()
        return self

    async def _async_soft_close(self) -> None:
        # SQLAlchemy's asynchronous sessions call this method of cursors. Only those
        # of asynchronous drivers have it; the others have nothing to wait for.
        if hasattr(self._real, "_async_soft_close"):
            await self._real._async_soft_close()  # noqa: SLF001

    def __iter__(self) -> cabc.Iterator[t.Any]:
        return iter(self._real)

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._real.close()

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)


@contextlib.contextmanager
def isolated(router: Router) -> cabc.Generator[None]:
    """Undo, at the end of the block, everything done to the databases of an app.

    :raises RuntimeError: if they are isolated already.
    """
    if router.is_isolated:
        raise RuntimeError(
            "The databases of this app are already isolated. `flaskware_isolation ="
            " true` in the pytest configuration isolates each test, so remove"
            " `test_isolation()` from the test or the fixture."
        )
    with contextlib.ExitStack() as stack:
        for engine in router.engines.values():
            stack.enter_context(isolated_engine(engine))
        # A context that is already active keeps its own sessions for afterwards.
        stack.enter_context(separate_sessions())
        router.is_isolated = True
        try:
            yield
        finally:
            router.is_isolated = False


@contextlib.contextmanager
def isolated_engine(engine: sa.Engine) -> cabc.Generator[None]:
    """Give an engine connections whose work is rolled back at the end."""
    kept = engine.pool
    raw = engine.raw_connection()
    try:
        shared = SharedConnection(raw.dbapi_connection, engine.dialect.name)

        def connect(*_: object) -> StandIn:
            return shared.stand_in()

        if engine.dialect.driver == "psycopg2":
            # Its dialect passes new connections to functions in C, which accept no
            # stand-in. They have already set up the real connection.
            engine.pool = pool.QueuePool(t.cast("t.Any", connect), max_overflow=-1)
        else:
            engine.pool = kept.recreate()
        event.listen(engine, "do_connect", connect)
        try:
            yield
        finally:
            event.remove(engine, "do_connect", connect)
            engine.pool.dispose()
            engine.pool = kept
    finally:
        raw.rollback()
        raw.close()
