"""Changes of a revision, recorded by calling it without a database."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import io
import sys
import threading
import types
import typing as t
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.operations import BatchOperations
from alembic.operations import Operations
from alembic.operations import ops
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine.mock import MockConnection

from flaskware_alembic._errors import RevisionFileError
from flaskware_alembic._sql.change import Change
from flaskware_alembic._sql.change import changes_of_operation
from flaskware_alembic._sql.statement import changes_of_sql

# SQLite can do these in place; a batch copies the table for all others.
_NATIVE_IN_SQLITE = {"add_column", "create_index", "drop_index", "rename_column"}


@dc.dataclass(frozen=True)
class Recorded:
    """An operation of Alembic's.

    :param table: The table of the batch that it is part of.
    """

    operation: ops.MigrateOperation
    in_transaction: bool
    table: tuple[str, str | None] | None = None


@dc.dataclass(frozen=True)
class Recording:
    """Changes that a revision would make.

    :param changes: In the order they are made.
    :param operations: The same as Alembic's own, as far as they are.
    :param broken_off: Why the rest could not be found out, ``None`` if all was.
    :param broken_at: The line where that was.
    :param was_asked: Whether it used the database beside its operations.
    """

    changes: tuple[Change, ...]
    operations: tuple[Recorded, ...] = ()
    broken_off: str | None = None
    broken_at: int | None = None
    was_asked: bool = False


def record(
    function: cabc.Callable[..., object] | None, path: Path, dialect: sa.Dialect
) -> Recording:
    """Call ``upgrade`` or ``downgrade`` of a revision without a database.

    Every query returns nothing, so a revision that depends on data may raise. The
    changes before that are kept.

    :param function: ``None`` if the revision has none.
    """
    if function is None:
        return Recording(())
    recorder = _Recorder(path, dialect)
    context = _Context(dialect, recorder)
    with guarded(context), Operations.context(context) as operations:
        _redirect(operations, recorder)
        try:
            function()
        except (Exception, SystemExit) as error:  # noqa: BLE001
            line = _line_of(error, path)
            reason = reason_without_database(error)
            return Recording(
                tuple(recorder.changes), (), reason, line, recorder.was_asked
            )
    return Recording(
        tuple(recorder.changes),
        tuple(recorder.operations),
        was_asked=recorder.was_asked,
    )


# `alembic.op` and `alembic.context` belong to the whole process.
one_at_a_time = threading.RLock()


@contextlib.contextmanager
def guarded(context: MigrationContext | None = None) -> cabc.Generator[None]:
    """Let a revision find ``alembic.context``, and print nothing into a report.

    :param context: The result of ``context.get_context()``; an environment of Alembic
        is open already if ``None``.
    """
    with one_at_a_time, contextlib.redirect_stdout(sys.stderr):
        if context is None:
            yield
            return
        environment = EnvironmentContext(Config(), t.cast("t.Any", None))
        # configure() would make another context of it.
        t.cast("t.Any", environment)._migration_context = context  # noqa: SLF001
        with environment:
            yield


class NeedsDatabase(Exception):
    """A revision does what only a database can answer; says what that is."""


def reason_without_database(error: BaseException) -> str:
    """Return why a revision could not be followed without a database."""
    if isinstance(error, NeedsDatabase):
        return str(error)
    if isinstance(error, sa_exc.NoInspectionAvailable):
        return "it inspects the schema of the database"
    if isinstance(error, RevisionFileError) and error.__cause__ is not None:
        return f"its file cannot be imported: {_in_short(error.__cause__)}"
    if isinstance(error, CommandError) and "table reflection" in str(error):
        return "it rebuilds a table that it reads from the database"
    return _in_short(error)


def _in_short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def tables_made(recordings: cabc.Iterable[Recording]) -> frozenset[str]:
    """Return the tables that revisions make, each with its schema if that is given."""
    names: set[str] = set()
    for recording in recordings:
        for change in recording.changes:
            if change.kind == "create_table" and change.table is not None:
                names.add(change.table)
            elif change.kind == "rename_table" and change.other is not None:
                names.add(change.other)
    # SQL may name the schema that needs no name, and another case of letters.
    bare = {name.removeprefix("public.").removeprefix("main.") for name in names}
    return frozenset(names | bare)


class _Recorder:
    def __init__(self, path: Path, dialect: sa.Dialect) -> None:
        self.changes: list[Change] = []
        self.operations: list[Recorded] = []
        self.dialect = dialect
        self.autocommit = False
        self.was_asked = False
        self.batches = 0
        self._path = str(path)

    def operation(
        self, operation: ops.MigrateOperation, batch: BatchOperations | None = None
    ) -> None:
        table = (batch.impl.table_name, batch.impl.schema) if batch else None
        self.operations.append(Recorded(operation, not self.autocommit, table))
        if isinstance(operation, ops.ExecuteSQLOp):
            self.sql(operation.sqltext)
            return
        changes = changes_of_operation(operation, self.dialect)
        self._add(changes, batch)

    def sql(self, statement: object) -> None:
        if isinstance(statement, str):
            text = statement
        else:
            text = text_of(t.cast("sa.ClauseElement", statement), self.dialect)
        self._add(changes_of_sql(text, self.dialect.name))

    def _add(
        self, changes: cabc.Iterable[Change], batch: BatchOperations | None = None
    ) -> None:
        line = self._line()
        is_sqlite = self.dialect.name == "sqlite"
        for change in changes:
            mode = batch.impl.recreate if batch is not None else "never"
            native = (
                change.kind in _NATIVE_IN_SQLITE and not change.column.has_reference
            )
            rebuilds = mode == "always" or (mode == "auto" and is_sqlite and not native)
            self.changes.append(
                dc.replace(
                    change,
                    line=line,
                    in_transaction=not self.autocommit,
                    rebuilds=rebuilds,
                    batch=None if batch is None else self.batches,
                )
            )

    def _line(self) -> int | None:
        # As cheap as it gets; the inspect module takes milliseconds to import.
        frame: types.FrameType | None = sys._getframe()  # noqa: SLF001
        while frame is not None:
            if frame.f_code.co_filename == self._path:
                return frame.f_lineno
            frame = frame.f_back
        return None


def text_of(statement: sa.ClauseElement, dialect: sa.Dialect) -> str:
    """Return a statement as SQL, with its values in it where they have a form."""
    try:
        compiled = statement.compile(
            dialect=dialect, compile_kwargs={"literal_binds": True}
        )
    except (sa_exc.CompileError, NotImplementedError):
        # A value that has no literal form, or that comes with the call.
        compiled = statement.compile(dialect=dialect)
    return str(compiled)


class _Context(MigrationContext):
    def __init__(self, dialect: sa.Dialect, recorder: _Recorder) -> None:
        super().__init__(
            dialect, None, {"as_sql": True, "output_buffer": io.StringIO()}
        )
        self._recorder = recorder
        self.connection = t.cast("t.Any", _Silent(dialect, recorder))
        # A revision that refuses to write SQL is asked as with a database.
        self.as_sql = False

    @contextlib.contextmanager
    def autocommit_block(self) -> cabc.Generator[None]:
        before, self._recorder.autocommit = self._recorder.autocommit, True
        try:
            yield
        finally:
            self._recorder.autocommit = before

    def execute(self, sql: t.Any, execution_options: t.Any = None) -> None:  # noqa: ARG002
        self._recorder.sql(sql)

    @property
    def bind(self) -> t.Any:
        return self.connection


def _redirect(operations: Operations, recorder: _Recorder) -> None:
    """Make what ``from alembic import op`` means record instead of do."""
    context = operations.migration_context
    original = operations.batch_alter_table

    def invoke(operation: t.Any) -> t.Any:
        recorder.operation(operation)
        if isinstance(operation, ops.CreateTableOp):
            return operation.to_table(context)
        return None

    @contextlib.contextmanager
    def batch_alter_table(
        table_name: str, *args: t.Any, **kwargs: t.Any
    ) -> cabc.Generator[BatchOperations]:
        # Entered for what it makes, and left alone: its end would do the work.
        batch = original(table_name, *args, **kwargs).__enter__()
        recorder.batches += 1
        yield _Batch(context, batch.impl, recorder)

    target = t.cast("t.Any", operations)
    target.invoke = invoke
    target.batch_alter_table = batch_alter_table
    target.get_bind = lambda: context.connection


class _Batch(BatchOperations):
    def __init__(
        self, context: MigrationContext, impl: t.Any, recorder: _Recorder
    ) -> None:
        super().__init__(context, impl=impl)
        self._recorder = recorder

    def invoke(self, operation: t.Any) -> t.Any:
        self._recorder.operation(operation, self)


class _Transaction:
    """A transaction of which nothing is kept, also for a session."""

    is_active = True

    def commit(self) -> None:
        """End it."""

    rollback = close = commit

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


# An error of Python about a call names the class and the method.
class Connection(MockConnection):
    """Stands where a revision expects a connection.

    SQLAlchemy's mock has what the making of types and tables uses.
    """

    def __init__(self, dialect: sa.Dialect) -> None:
        super().__init__(dialect, self.send)

    def send(self, statement: t.Any, *_: object, **__: object) -> t.Any:
        """Take a statement, and return its result."""
        raise NotImplementedError

    def execute(
        self, obj: t.Any, parameters: t.Any = None, execution_options: t.Any = None
    ) -> t.Any:
        """Take a statement, and return its result."""
        return self.send(obj, parameters, execution_options)

    exec_driver_sql = execute

    def scalar(self, statement: t.Any, *_: object, **__: object) -> t.Any:
        """Take a statement, and return one value."""
        return self.send(statement).scalar()

    def scalars(self, statement: t.Any, *_: object, **__: object) -> t.Any:
        """Take a statement, and return the values."""
        return self.send(statement).scalars()

    def begin_nested(self) -> _Transaction:
        """Begin nothing."""
        return _Transaction()

    begin = begin_nested

    def commit(self) -> None:
        """Take the end of a transaction."""
        self.send("COMMIT")

    def rollback(self) -> None:
        """Take the end of a transaction."""
        self.send("ROLLBACK")

    def close(self) -> None:
        """Close nothing."""

    def in_transaction(self) -> bool:
        """Return False: there is none."""
        return False

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> t.Any:
        # SQLAlchemy looks for some of its own, and goes on without them.
        if name.startswith("_"):
            raise AttributeError(name)
        raise NeedsDatabase(f"it asks the connection for `{name}`")


class _Silent(Connection):
    """A connection whose every result is empty."""

    def __init__(self, dialect: sa.Dialect, recorder: _Recorder) -> None:
        super().__init__(dialect)
        self._recorder = recorder
        recorder.was_asked = False

    def send(self, statement: t.Any, *_: object, **__: object) -> _Empty:
        """Record a statement."""
        if not isinstance(statement, sa.schema.ExecutableDDLElement):
            self._recorder.was_asked = True
        self._recorder.sql(statement)
        return _Empty()


class _Empty:
    """A result without rows."""

    rowcount = 0

    def __iter__(self) -> cabc.Iterator[t.Any]:
        return iter(())

    def fetchall(self) -> list[t.Any]:
        return []

    def first(self) -> None:
        return None

    def scalars(self) -> t.Self:
        return self

    def mappings(self) -> t.Self:
        return self

    fetchone = scalar = scalar_one_or_none = one_or_none = first

    def __getattr__(self, name: str) -> t.Any:
        if name == "all":
            return self.fetchall
        raise AttributeError(name)


def _line_of(error: BaseException, path: Path) -> int | None:
    from flaskware_alembic._revisions.revision import line_in

    return line_in(error, path)
