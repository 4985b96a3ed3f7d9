"""Alembic's environment, and the SQL of a move instead of the move."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import io
import re
import typing as t
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._lint.recording import Connection
from flaskware_alembic._lint.recording import guarded
from flaskware_alembic._lint.recording import NeedsDatabase
from flaskware_alembic._lint.recording import one_at_a_time
from flaskware_alembic._lint.recording import reason_without_database
from flaskware_alembic._lint.recording import text_of
from flaskware_alembic._results import Direction
from flaskware_alembic._revisions.revision import location_of
from flaskware_alembic._revisions.tree import Tree

from .position import Heads
from .position import Move
from .position import Position


@contextlib.contextmanager
def environment(
    tree: Tree, moves: cabc.Callable[..., cabc.Iterable[Move]], **options: t.Any
) -> cabc.Generator[EnvironmentContext]:
    """Open the environment that Alembic would run an env.py in."""
    context = EnvironmentContext(Config(), tree.scripts, fn=moves, **options)
    with one_at_a_time, context as entered:
        yield entered


def sql_of(
    position: Position, target: str, direction: Direction, start: str | None = None
) -> str:
    """Return the SQL of a move; a comment stands for what needs the database.

    :param start: The revision to start from; the database is asked if ``None``.
    :raises MigrationError: if the database is half way through squashed revisions.
    """
    return "".join(_written(position, target, direction, start)[0])


def sql_by_revision(
    position: Position, target: str, direction: Direction
) -> dict[str, WrittenSQL]:
    """Return the SQL of a move by revision."""
    try:
        return _written(position, target, direction)[1]
    except MigrationError:
        # The revisions from there to here were squashed.
        return {}


class WrittenSQL(t.NamedTuple):
    """The SQL of a revision, or why it cannot be written.

    :param text: ``None`` where it needs the database.
    :param reason: Why it does.
    """

    text: str | None
    reason: str | None = None


def _written(
    position: Position, target: str, direction: Direction, start: str | None = None
) -> tuple[str, dict[str, WrittenSQL]]:
    tree, output = position.tree, io.StringIO()
    reasons: dict[str, str] = {}
    if start is None:
        heads = position.current()
    else:
        heads = () if start == "base" else (tree.info(start).id,)
    if squashed := [id for id in heads if id not in tree]:
        raise MigrationError(
            f"The SQL from revision {', '.join(squashed)} cannot be written: it was"
            f" squashed. Run: flask db {direction}"
        )

    def moves(heads: Heads, context: MigrationContext) -> cabc.Iterator[Move]:
        stand = _Writer(context)
        t.cast("t.Any", context.impl).connection = stand
        for move in position.moves(target, direction, heads):
            if direction != "stamp":
                move.migration_fn = _guard(move, output, reasons)
            yield move

    with (
        guarded(),
        environment(tree, moves, as_sql=True, starting_rev=heads) as context,
    ):
        context.configure(
            dialect_name=position.database.engine.dialect.name,
            output_buffer=output,
            literal_binds=True,
            **position.options,
        )
        position.hold_long_ids(context.get_context())
        with context.begin_transaction():
            context.run_migrations()
    text = output.getvalue()
    return text, dict(_split(text, direction, reasons))


def _guard(
    move: Move, output: io.StringIO, reasons: dict[str, str]
) -> cabc.Callable[..., None]:
    """Return the function of a revision that writes one line where it cannot go on."""
    original, id = move.migration_fn, str(move.revision.revision)

    @functools.wraps(original)
    def guard(**_: object) -> None:
        start = output.tell()
        try:
            original()
        except Exception as error:  # noqa: BLE001
            output.seek(start)
            output.truncate()
            reasons[id] = reason_without_database(error)
            place = location_of(error, Path(move.revision.path))
            # The script must not go on as if it was complete, so that it is no SQL.
            output.write(
                f"-- Revision {id} is not written here: {reasons[id]} ({place}).\n"
                "-- Its SQL depends on the database. Run: flask db upgrade\n"
                f"revision {id} is not written here;\n\n"
            )

    return guard


class _Writer(Connection):
    """Stands for the connection while SQL is written instead of sent."""

    def __init__(self, context: MigrationContext) -> None:
        super().__init__(context.dialect)
        self._context = context

    def send(self, statement: t.Any, *_: object, **__: object) -> t.Any:
        """Write a statement, unless its result is needed.

        :raises NeedsDatabase: for a query.
        """
        text = (
            statement
            if isinstance(statement, str)
            else text_of(statement, self._context.dialect)
        )
        if re.match(r"\s*(?:SELECT|WITH|SHOW|PRAGMA|EXPLAIN)\b", text, re.IGNORECASE):
            raise NeedsDatabase(f"it reads from the database: {_short(text)}")
        if text in {"COMMIT", "ROLLBACK"}:
            raise NeedsDatabase(f"it ends the transaction itself: {text}")
        self._context.impl.execute(statement)
        return _Unread(text)


class _Unread:
    """A result that nobody has, whose rows are asked for in vain."""

    def __init__(self, statement: str) -> None:
        self._statement = statement

    def __getattr__(self, name: str) -> t.Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NeedsDatabase(f"it needs the result of {_short(self._statement)}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _split(
    text: str, direction: Direction, reasons: cabc.Mapping[str, str]
) -> cabc.Iterator[tuple[str, WrittenSQL]]:
    header = re.compile(r"(?m)^-- Running (?:upgrade|downgrade) (.*)$")
    parts = header.split(text)
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        before, _, after = title.partition("->")
        ids = before if direction == "downgrade" else after
        for id in re.findall(r"[^\s,]+", ids):
            if id in reasons:
                yield id, WrittenSQL(None, reasons[id])
            else:
                yield id, WrittenSQL(_as_transaction(body))


def _as_transaction(body: str) -> str:
    """Return the SQL of a revision with the start of its own transaction."""
    # The start of the next transaction stands at the end.
    body = body.strip().removesuffix("BEGIN;").strip()
    if not body.endswith("COMMIT;"):
        return body
    # An autocommit block at either end leaves an empty transaction.
    return re.sub(r"(?m)^BEGIN;\s+COMMIT;\s*", "", f"BEGIN;\n\n{body}").strip()
