"""Effects of a statement that its text does not show: locks, and rewritten tables.

Each database is asked itself. No rule of `flask db lint` is used, so that the two can
be held against each other.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import re
import time
import typing as t

import sqlalchemy as sa
from sqlalchemy import event

from flaskware_alembic._databases.database import commits_each_statement
from flaskware_alembic._results import Blocks
from flaskware_alembic._sql.statement import changes_of_sql


class Lock(t.NamedTuple):
    """A lock on a table, in the words of the database, and what waits for it."""

    table: str
    mode: str
    blocks: Blocks


@dc.dataclass(frozen=True)
class Seen:
    """The effects of a statement; false if there is none.

    :param locks: Those that no earlier statement of the transaction took; ``None`` if
        not known.
    :param rewritten: Tables and indexes that were rewritten.
    :param has_ended: Whether its transaction is over.
    :param wasted: Seconds of the statement that only observing took.
    """

    locks: tuple[Lock, ...] | None
    rewritten: tuple[str, ...] = ()
    has_ended: bool = False
    wasted: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.locks or self.rewritten)


class Observer(t.Protocol):
    """Watches the statements of one connection."""

    def on(self) -> contextlib.AbstractContextManager[None]:
        """Observe an engine."""
        ...

    def before(self, connection: sa.Connection, statement: str) -> None:
        """Look at the database before a statement."""
        ...

    def after(self, connection: sa.Connection, statement: str) -> Seen:
        """Return what a statement did."""
        ...

    def failed(self, connection: sa.Connection | None) -> None:
        """Take the failure of a statement."""
        ...

    def ended(self) -> None:
        """Take the end of a transaction."""
        ...


def observer_of(engine: sa.Engine) -> Observer:
    """Return the observer for a database."""
    name = engine.dialect.name
    if name == "postgresql":
        return _PostgreSQL(engine)
    if name in {"mysql", "mariadb"}:
        return _MySQL(engine)
    return _SQLite()


def _ask(connection: sa.Connection, query: str) -> list[tuple[t.Any, ...]]:
    """Ask in the transaction of a revision, unseen by listeners of the engine."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(query)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def _send(connection: sa.Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


# PostgreSQL

# The statements that wait for each lock, the strongest first.
_MODES: dict[str, Blocks] = {
    "AccessExclusiveLock": "reads and writes",
    "ExclusiveLock": "writes",
    "ShareRowExclusiveLock": "writes",
    "ShareLock": "writes",
    "ShareUpdateExclusiveLock": "nothing",
    "RowExclusiveLock": "nothing",
    "RowShareLock": "nothing",
    "AccessShareLock": "nothing",
}
_STRENGTH = {mode: at for at, mode in enumerate(reversed(_MODES))}
# A second connection does not see what the transaction made, which nobody waits for.
# A query locks each index of its table while it is planned.
_LOCKS = """
SELECT DISTINCT CAST(CAST(coalesce(i.indrelid, c.oid) AS regclass) AS text), l.mode
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON
  i.indexrelid = c.oid
WHERE l.pid = {pid} AND l.granted AND l.locktype = 'relation'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND c.relkind IN ('r', 'p', 'm', 'v', 'i', 'I')
"""
_FILES = """
SELECT c.oid, CAST(CAST(c.oid AS regclass) AS text), c.relfilenode
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'i') AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
"""
_ALONE = re.compile(
    r"\b(CONCURRENTLY|VACUUM|CLUSTER\s*;?\s*$|REINDEX\s+(?:DATABASE|SCHEMA|SYSTEM))\b",
    re.IGNORECASE,
)
_CONTROL = re.compile(
    r"\s*(?:BEGIN|START|COMMIT|ROLLBACK|END|ABORT|SAVEPOINT|RELEASE)\b", re.IGNORECASE
)


class _PostgreSQL:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._second: sa.Connection | None = None
        self._files: dict[int, int] | None = None
        self._held: dict[str, str] = {}
        self._has_begun = False

    @contextlib.contextmanager
    def on(self) -> cabc.Generator[None]:
        with self._engine.connect() as connection:
            self._second = connection.execution_options(isolation_level="AUTOCOMMIT")
            try:
                yield
            finally:
                self._second = None

    def before(self, connection: sa.Connection, statement: str) -> None:
        if self._files is None:
            self._files = {oid: file for oid, _, file in _ask(connection, _FILES)}
        is_free = commits_each_statement(connection)
        may_begin = not (_ALONE.search(statement) or _CONTROL.match(statement))
        if is_free and may_begin:
            # Its locks are gone at its end otherwise, before anybody has looked.
            _send(connection, "BEGIN")
            self._has_begun = True

    def after(self, connection: sa.Connection, statement: str) -> Seen:
        is_free = commits_each_statement(connection)
        if is_free and not self._has_begun:
            locks = _documented(statement)
        else:
            locks = self._new_locks(connection)
        rewritten = self._rewritten(connection)
        if self._has_begun:
            self._has_begun = False
            _send(connection, "COMMIT")
        return Seen(locks, rewritten, has_ended=is_free)

    def failed(self, connection: sa.Connection | None) -> None:
        if self._has_begun and connection is not None:
            self._has_begun = False
            _send(connection, "ROLLBACK")

    def ended(self) -> None:
        self._held = {}
        self._files = None

    def _new_locks(self, connection: sa.Connection) -> tuple[Lock, ...]:
        ((pid,),) = _ask(connection, "SELECT pg_backend_pid()")
        second = t.cast("sa.Connection", self._second)
        strongest: dict[str, str] = {}
        for table, mode in _ask(second, _LOCKS.format(pid=int(pid))):
            known = strongest.get(table)
            if mode in _STRENGTH and (
                known is None or _STRENGTH[mode] > _STRENGTH[known]
            ):
                strongest[table] = mode
        found: list[Lock] = []
        for table, mode in sorted(strongest.items()):
            before = self._held.get(table)
            if before is None or _STRENGTH[mode] > _STRENGTH[before]:
                self._held[table] = mode
                found.append(Lock(table, mode, _MODES[mode]))
        return tuple(found)

    def _rewritten(self, connection: sa.Connection) -> tuple[str, ...]:
        before, names = self._files or {}, list[str]()
        self._files = {}
        for oid, name, file in _ask(connection, _FILES):
            self._files[oid] = file
            if oid in before and before[oid] != file:
                names.append(name)
        return tuple(sorted(names))


def _documented(statement: str) -> tuple[Lock, ...]:
    """Return the lock of a statement that may not be in a transaction.

    Its locks are gone when it ends. PostgreSQL documents them: those with CONCURRENTLY
    and VACUUM let reads and writes go on.
    """
    if re.search(r"\bVACUUM\b.*\bFULL\b", statement, re.IGNORECASE | re.DOTALL):
        mode = "AccessExclusiveLock"
    else:
        mode = "ShareUpdateExclusiveLock"
    tables = {
        change.table or change.name
        for change in changes_of_sql(statement, "postgresql")
    }
    return tuple(
        Lock(name, mode, _MODES[mode]) for name in sorted(filter(None, tables))
    )


# MySQL and MariaDB

# The first that a server accepts is how it would do the statement by itself: each
# that it refuses costs nothing.
_WAYS: tuple[tuple[str, str, Blocks, bool], ...] = (
    ("INSTANT", "", "nothing", False),
    ("NOCOPY", "NONE", "nothing", False),
    ("INPLACE", "NONE", "nothing", True),
    ("NOCOPY", "SHARED", "writes", False),
    ("INPLACE", "SHARED", "writes", True),
    ("COPY", "NONE", "nothing", True),
    ("COPY", "SHARED", "writes", True),
)
# ER_ALTER_OPERATION_NOT_SUPPORTED, the same with a reason, ER_UNKNOWN_ALTER_ALGORITHM
# and ER_PARSE_ERROR.
_OTHER_WAY = {1845, 1846, 1800, 1064}
_ALTER = re.compile(r"\s*ALTER\s+(?:ONLINE\s+)?(?:IGNORE\s+)?TABLE\b", re.IGNORECASE)
_CREATE_INDEX = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNIQUE\s+|FULLTEXT\s+|SPATIAL\s+)?INDEX\b",
    re.IGNORECASE,
)
_DROP_INDEX = re.compile(
    r"\s*DROP\s+INDEX\s+(?P<name>(?:IF\s+EXISTS\s+)?\S+)\s+ON\s+(?P<table>\S+)\s*",
    re.IGNORECASE,
)
_SAYS_HOW = re.compile(
    r"\b(?:ALGORITHM|LOCK)\s*=|\bNOWAIT\b|\bWAIT\s+\d", re.IGNORECASE
)
_ROWS = {"insert", "update", "delete"}
_MOMENTS = {"drop_table", "rename_table", "truncate"}


class _MySQL:
    """Finds out how the server does a statement by asking for the cheapest way first.

    The locks themselves are seldom to be seen: the instruments of the performance
    schema are off by default, and a changed schema is committed at once.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._way: tuple[str, str, Blocks, bool] | None = None
        self._wasted = 0.0
        self._held: set[str] = set()

    @contextlib.contextmanager
    def on(self) -> cabc.Generator[None]:
        event.listen(self._engine, "do_execute", self._execute)
        try:
            yield
        finally:
            event.remove(self._engine, "do_execute", self._execute)

    def before(self, connection: sa.Connection, statement: str) -> None:  # noqa: ARG002
        self._way, self._wasted = None, 0.0

    def _execute(
        self, cursor: t.Any, statement: str, parameters: t.Any, _: object
    ) -> bool | None:
        for way in _WAYS if not parameters else ():
            text = _by(statement, way[0], way[1])
            if text is None:
                return None
            started = time.perf_counter()
            try:
                cursor.execute(text, parameters)
            except self._engine.dialect.loaded_dbapi.Error as error:
                self._wasted += time.perf_counter() - started
                if error.args[:1] and error.args[0] in _OTHER_WAY:
                    continue
                # The statement itself fails, and says so in its own words.
                return None
            self._way = way
            return True
        return None

    def after(self, connection: sa.Connection, statement: str) -> Seen:  # noqa: ARG002
        return dc.replace(self._seen(statement), wasted=self._wasted)

    def _seen(self, statement: str) -> Seen:
        changes = changes_of_sql(statement, "mysql")
        tables = sorted({change.table for change in changes if change.table})
        if self._way is not None:
            algorithm, lock, blocks, rewrites = self._way
            mode = f"ALGORITHM={algorithm}{f', LOCK={lock}' if lock else ''}"
            locks = tuple(Lock(table, mode, blocks) for table in tables)
            return Seen(locks, tuple(tables) if rewrites else (), has_ended=True)
        kinds = {change.kind for change in changes}
        if kinds <= {"create_table"}:
            return Seen((), has_ended=bool(kinds))
        if kinds <= _ROWS:
            is_change = bool(kinds & {"update", "delete"})
            rows: Blocks = "writes to these rows" if is_change else "nothing"
            new = [table for table in tables if table not in self._held]
            self._held.update(tables)
            return Seen(tuple(Lock(table, "row locks", rows) for table in new))
        if kinds <= _MOMENTS:
            mode = "metadata lock, exclusive"
            held = tuple(Lock(table, mode, "reads and writes") for table in tables)
            return Seen(held, has_ended=True)
        return Seen(None, has_ended=True)

    def failed(self, connection: sa.Connection | None) -> None:  # noqa: ARG002
        self._way = None

    def ended(self) -> None:
        self._way, self._held = None, set()


def _by(statement: str, algorithm: str, lock: str) -> str | None:
    """Return a statement that demands a way; ``None`` where there is no choice."""
    text = statement.rstrip().rstrip(";")
    if _SAYS_HOW.search(text):
        return None
    options = [f"ALGORITHM={algorithm}", *([f"LOCK={lock}"] if lock else [])]
    match = _DROP_INDEX.fullmatch(text)
    if match is not None:
        # Not every version takes the options there.
        text = f"ALTER TABLE {match['table']} DROP INDEX {match['name']}"
    if _ALTER.match(text):
        return f"{text}, {', '.join(options)}"
    if _CREATE_INDEX.match(text):
        return f"{text} {' '.join(options)}"
    return None


# SQLite

_PAGES = "SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"


class _SQLite:
    """SQLite locks its file as a whole; a table that is made again begins elsewhere."""

    def __init__(self) -> None:
        self._pages: dict[str, int] | None = None
        self._is_locked = False

    @contextlib.contextmanager
    def on(self) -> cabc.Generator[None]:
        yield

    def before(self, connection: sa.Connection, statement: str) -> None:  # noqa: ARG002
        if self._pages is None:
            self._pages = {str(name): page for name, page in _ask(connection, _PAGES)}

    def after(self, connection: sa.Connection, statement: str) -> Seen:
        locks: tuple[Lock, ...] = ()
        raw: t.Any = connection.connection.driver_connection
        is_read = re.match(r"\s*(?:SELECT|PRAGMA|EXPLAIN)\b", statement, re.IGNORECASE)
        if not is_read and not self._is_locked:
            self._is_locked = bool(getattr(raw, "in_transaction", False))
            ((mode,),) = _ask(connection, "PRAGMA journal_mode")
            # Without a WAL, reads wait for the commit, too.
            locks = (Lock("", f"write lock (journal mode {mode})", "writes"),)
        pages = self._pages or {}
        now = {str(name): page for name, page in _ask(connection, _PAGES)}
        rewritten = tuple(
            name for name in sorted(now) if name in pages and pages[name] != now[name]
        )
        for name in rewritten:
            pages[name] = now[name]
        return Seen(locks, rewritten)

    def failed(self, connection: sa.Connection | None) -> None:
        pass

    def ended(self) -> None:
        self._pages, self._is_locked = None, False
