"""Position of a database among its revisions, and the steps from there."""

from __future__ import annotations

import contextlib
import dataclasses as dc
import typing as t
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from flaskware_alembic._backfill import Backfill
from flaskware_alembic._databases.database import Database
from flaskware_alembic._databases.database import VersionTable
from flaskware_alembic._errors import DatabaseAhead
from flaskware_alembic._errors import RevisionFileError
from flaskware_alembic._results import Direction
from flaskware_alembic._results import Plan
from flaskware_alembic._results import PlanStep
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._revisions.tree import Tree

Heads: t.TypeAlias = tuple[str, ...]
Move: t.TypeAlias = t.Any
"""A step as Alembic has it."""

_USUAL_LENGTH = 32
_WIDE_LENGTH = 255


@dc.dataclass(frozen=True)
class Position:
    """A database, a tree of revisions, and the table that connects them."""

    database: Database
    tree: Tree
    versions: VersionTable

    @property
    def options(self) -> dict[str, t.Any]:
        """The options with which Alembic runs revisions."""
        return {
            "transaction_per_migration": True,
            "render_as_batch": self.database.is_sqlite,
            **self.versions.options,
        }

    @property
    def is_journaled(self) -> bool:
        """True if the database cannot roll a changed schema back."""
        return self.database.engine.dialect.name in {"mysql", "mariadb"}

    def current(self) -> Heads:
        """Return the ids in the version table, known to the code or not.

        :raises DatabaseUnreachable: if the database does not answer.
        """
        with self.database.connect() as connection:
            return self.current_on(connection)

    def current_on(self, connection: sa.Connection) -> Heads:
        """Return the same, read on an open connection."""
        context = MigrationContext.configure(connection, opts=self.versions.options)
        return tuple(sorted(context.get_current_heads()))

    def applied(self, heads: Heads) -> set[str]:
        """Return the ids of every revision of the code that some heads include."""
        known = [id for id in heads if id in self.tree]
        scripts = self.tree.scripts.iterate_revisions(tuple(known), "base")
        return {script.revision for script in scripts} if known else set()

    def pending(self, heads: Heads) -> tuple[RevisionInfo, ...]:
        """Return the revisions that are not applied, the next first."""
        with self.tree.held():
            moves = self.moves("heads", "upgrade", heads)
            return tuple(self.info(move.revision.revision) for move in moves)

    def unknown(self, heads: Heads) -> Heads:
        """Return the ids among some that the code does not have."""
        tree = self.tree
        return tuple(id for id in heads if id not in tree and id not in tree.archive)

    def refuse_unknown(self, heads: Heads) -> None:
        """Refuse to go on from a revision that the code does not have.

        :raises DatabaseAhead: naming the ids.
        """
        if unknown := self.unknown(heads):
            raise DatabaseAhead(
                f"The database {self.database.name!r} is ahead of this code: it holds"
                f" revision {', '.join(unknown)}, which is not in {self.tree.folder}."
                " Deploy the code that has it, or bring the file here.",
                revisions=unknown,
                bind=self.database.bind,
            )

    def moves(self, target: str, direction: Direction, heads: Heads) -> list[Move]:
        """Return the steps from some heads to a target.

        :raises DatabaseAhead: if the code does not have one of the heads.
        :raises UnknownRevision: if there is no such target.
        """
        self.refuse_unknown(heads)
        if direction == "upgrade" and any(id not in self.tree for id in heads):
            return self._moves_through_archive(target, heads)
        with self.tree.named_errors(target):
            found = _moves_of(self.tree.scripts, target, direction, heads)
        return self._bound(found, direction)

    def _moves_through_archive(self, target: str, heads: Heads) -> list[Move]:
        """Return the steps through squashed revisions, and on from there."""
        archive = self.tree.archive
        ends = tuple(head for head in archive.heads if head in self.tree)
        with archive.named_errors(target):
            through = _moves_of(archive.scripts, ends, "upgrade", heads)
        return [*self._bound(through, "upgrade"), *self.moves(target, "upgrade", ends)]

    def _bound(self, moves: list[Move], direction: Direction) -> list[Move]:
        """Let each function be called with the arguments that it takes."""
        for move in moves if direction != "stamp" else ():
            move.migration_fn = self.tree.bound(move.migration_fn)
        return moves

    def plan(self, target: str, direction: Direction) -> Plan:
        """Return the steps to a target at this moment."""
        heads = self.current()
        with self.tree.held():
            moves = self.moves(target, direction, heads)
            return Plan(tuple(self.step(move, direction) for move in moves))

    def step(
        self, move: Move, direction: Direction, seconds: float | None = None
    ) -> PlanStep:
        """Return a step of Alembic as a user sees it."""
        # A stamp down to base has no revision it goes to, only one it leaves.
        ids = move.to_revisions or move.from_revisions
        id = move.revision.revision if direction != "stamp" else ids[0]
        backfills: tuple[Backfill, ...] = ()
        if direction == "upgrade":
            # A plan says of a file that cannot be run why.
            with contextlib.suppress(RevisionFileError):
                backfills = tuple(move.revision.backfills)
        return PlanStep(self.info(id), direction, seconds, backfills=backfills)

    def hold_long_ids(self, context: MigrationContext) -> None:
        """Make the version table wide enough for the ids of the tree.

        Alembic makes it for 32 characters, and a longer id fails at the end of its
        revision; SQLite does not ask for the length.
        """
        longest = max((len(id) for id in self.tree.ids), default=0)
        if longest <= _USUAL_LENGTH:
            return
        # Alembic has no public name for the table that it makes.
        table: sa.Table = context._version  # noqa: SLF001
        table.c.version_num.type = sa.String(_WIDE_LENGTH)
        connection = context.connection
        if connection is None or context.as_sql or self.database.is_sqlite:
            return
        inspector = sa.inspect(connection)
        if not inspector.has_table(table.name, table.schema):
            return
        [column] = (
            column
            for column in inspector.get_columns(table.name, table.schema)
            if column["name"] == "version_num"
        )
        length: int | None = getattr(column["type"], "length", None)
        if length is not None and length < longest:
            context.impl.alter_column(
                table.name,
                "version_num",
                type_=sa.String(_WIDE_LENGTH),
                existing_type=column["type"],
                existing_nullable=False,
                schema=table.schema,
            )
            connection.commit()

    def tree_of(self, id: str) -> Tree:
        """Return the tree of a revision: this tree, or its archive."""
        return self.tree if id in self.tree else self.tree.archive

    def info(self, id: str) -> RevisionInfo:
        """Return a revision, squashed or not, by its full id."""
        return self.tree_of(id).info(id)


def _moves_of(
    scripts: ScriptDirectory, target: str | Heads, direction: Direction, heads: Heads
) -> list[Move]:
    destination: t.Any = target
    current: t.Any = heads
    # Alembic's commands make the steps of these; it has no public function for them.
    own: t.Any = scripts
    up, stamp, down = own._upgrade_revs, own._stamp_revs, own._downgrade_revs  # noqa: SLF001
    if direction == "upgrade":
        return list(up(destination, current))
    if direction == "stamp":
        return list(stamp(destination, current))
    try:
        return list(down(destination, current))
    except AttributeError as error:
        # Alembic asks each module for the function at this point.
        if error.name != "downgrade":
            raise
        path = Path(str(getattr(error.obj, "__file__", scripts.dir)))
        raise RevisionFileError(
            f"{path} has no function `downgrade`, so it cannot be taken back.",
            paths=(path,),
        ) from error
