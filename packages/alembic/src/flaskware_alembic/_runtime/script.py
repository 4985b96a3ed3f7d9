"""Alembic's environment, and the SQL of a move instead of the move."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import io
import re
import threading
import typing as t

import alembic.util
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import Direction
from flaskware_alembic._revisions.tree import Tree

from .position import Heads
from .position import Move
from .position import Position

# `alembic.op` and `alembic.context` belong to the whole process.
_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def environment(
    tree: Tree, moves: cabc.Callable[..., cabc.Iterable[Move]], **options: t.Any
) -> cabc.Generator[EnvironmentContext]:
    """Open the environment that Alembic would run an env.py in."""
    context = EnvironmentContext(Config(), tree.scripts, fn=moves, **options)
    with _one_at_a_time, context as entered:
        yield entered


def sql_of(
    position: Position, target: str, direction: Direction, start: str | None = None
) -> str:
    """Return the SQL of a move.

    :param start: The revision to start from; the database is asked if ``None``.
    :raises MigrationError: if a revision reads from the database.
    """
    tree, output = position.tree, io.StringIO()
    if start is None:
        heads = position.current()
    else:
        heads = () if start == "base" else (tree.info(start).id,)

    def moves(heads: Heads, _: MigrationContext) -> list[Move]:
        return position.moves(target, direction, heads)

    with environment(tree, moves, as_sql=True, starting_rev=heads) as context:
        context.configure(
            dialect_name=position.database.engine.dialect.name,
            output_buffer=output,
            literal_binds=True,
            **position.options,
        )
        try:
            with context.begin_transaction():
                context.run_migrations(**tree.arguments())
        except alembic.util.CommandError as error:
            raise MigrationError(
                f"The SQL for {position.database.name!r} cannot be written without a"
                f" database: {error}"
            ) from error
    return output.getvalue()


def sql_by_revision(
    position: Position, target: str, direction: Direction
) -> dict[str, str]:
    """Return the SQL of a move by revision; none where it needs the database."""
    try:
        text = sql_of(position, target, direction)
    except MigrationError:
        return {}
    found: dict[str, str] = {}
    header = re.compile(r"(?m)^-- Running (?:upgrade|downgrade) (.*)$")
    parts = header.split(text)
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        before, _, after = title.partition("->")
        ids = before if direction == "downgrade" else after
        for id in re.findall(r"[^\s,]+", ids):
            found[id] = _as_transaction(body)
    return found


def _as_transaction(body: str) -> str:
    """Return the SQL of a revision with the start of its own transaction."""
    # The start of the next transaction stands at the end.
    body = body.strip().removesuffix("BEGIN;").strip()
    if not body.endswith("COMMIT;"):
        return body
    # An autocommit block at either end leaves an empty transaction.
    return re.sub(r"(?m)^BEGIN;\s+COMMIT;\s*", "", f"BEGIN;\n\n{body}").strip()
