"""Proof of a safe form: it does on a copy what the revision as it was does on another.

A copy each, since a form that fails half way may leave its copy changed.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic._databases.errors import is_refused_in_transactions
from flaskware_alembic._databases.errors import reason_of
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import Blocks
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._runtime.migrator import Migrator
from flaskware_alembic._schemas.reader import read_schema
from flaskware_alembic._schemas.schema import Item

from .guard import closed
from .place import copied
from .watch import Watch
from .watch import WatchedMigrator

_Digests: t.TypeAlias = dict[Item, str]
_RANKS: dict[str, int] = {
    blocks: rank for rank, blocks in enumerate(reversed(t.get_args(Blocks)))
}


@dc.dataclass(frozen=True)
class Outcome:
    """Effects of a form of a revision on a copy.

    :param how: The copied part, in words.
    :param start: The schema before it.
    :param up: The schema after it; ``None`` if it failed.
    :param down: The schema after it was taken back; ``None`` if that failed.
    :param error: The first failure.
    :param blocks: The statements that wait for its strongest lock on each table.
    :param rewritten: The tables and indexes that it rewrites while somebody waits.
    """

    how: str
    start: _Digests
    up: _Digests | None = None
    down: _Digests | None = None
    error: MigrationError | None = None
    blocks: cabc.Mapping[str, Blocks] = dc.field(default_factory=dict[str, Blocks])
    rewritten: frozenset[str] = frozenset()

    def objection_to(self, safe: Outcome) -> str | None:
        """Return why a safe form may not take the place of the form."""
        never_works = is_refused_in_transactions(_cause(self.error))
        if self.up is None and not never_works:
            return f"the revision fails as it is: {_reason(self.error)}"
        if safe.up is None:
            return f"the safe form fails: {_reason(safe.error)}"
        if self.up is None:
            # There is nothing else to compare with.
            return _other(safe.start, safe.down, "is not taken back to the start")
        if found := _other(self.up, safe.up, "ends in another schema"):
            return found
        if self.down is not None and safe.down is None:
            return f"the safe form cannot be taken back: {_reason(safe.error)}"
        if self.down is not None and (
            found := _other(self.down, safe.down, "is taken back to another schema")
        ):
            return found
        for table, blocks in safe.blocks.items():
            if _RANKS[blocks] > _RANKS[self.blocks.get(table, "nothing")]:
                return f"{blocks} of {table} wait for the safe form only"
        if more := safe.rewritten - self.rewritten:
            return f"the safe form rewrites {', '.join(sorted(more))}"
        return None


def _cause(error: MigrationError | None) -> BaseException | None:
    return None if error is None else error.__cause__


def _reason(error: MigrationError | None) -> str:
    cause = _cause(error)
    if isinstance(cause, sa_exc.DBAPIError):
        return reason_of(cause)
    return " ".join(str(error).split())


def _other(one: _Digests, other: _Digests | None, what: str) -> str | None:
    if other is None:
        return f"the safe form {what}"
    items = [i for i in {**one, **other} if one.get(i) != other.get(i)]
    if not items:
        return None
    names = ", ".join(sorted(map(str, items))[:3])
    return f"the safe form {what}: {names}{' ...' if len(items) > 3 else ''}"


def tried(
    m: Migrator,
    engines: cabc.Iterable[sa.Engine],
    revision: RevisionInfo,
    targets: cabc.Sequence[str],
    rows: int | None,
) -> Outcome:
    """Return the effects of the files as they are now on a copy of a database.

    :param engines: Those of the app, which are left alone.
    :param revision: The revision to begin with; the copy is moved to just before it.
    :param targets: The revisions to apply, each by a deploy of its own.
    :param rows: The rows of a table to copy; all that is possible if ``None``.
    :raises MigrationError: if it cannot be tried, and it is not its own fault.
    """
    if len(revision.down) > 1:
        raise MigrationError("It joins several revisions, and has no one before it.")
    before = revision.down[0] if revision.down else "base"
    prefix = m.versions.prefix
    with copied(m.database, whole=prefix, rows=rows) as copy:
        database = dc.replace(m.database, engine=copy.engine)
        watch = Watch(copy.engine, prefix)
        on = WatchedMigrator(
            database, m.tree, m.settings, m.claimed, m.hooks, watch=watch
        )

        def schema() -> _Digests:
            with copy.engine.connect() as connection:
                found = read_schema(connection, without=prefix)
                connection.rollback()
            return found.digests if found is not None else {}

        with closed([e for e in engines if e is not copy.engine]):
            _stand_before(on, revision, before)
            start = Outcome(copy.how, schema())
            try:
                with watch.on():
                    for target in targets:
                        on.move(target, "upgrade", on_step=watch.note, contract=True)
            except MigrationError as error:
                return dc.replace(start, error=error)
            blocks, rewritten = _effects(watch)
            done = dc.replace(start, up=schema(), blocks=blocks, rewritten=rewritten)
            try:
                on.move(before, "downgrade")
            except MigrationError as error:
                return dc.replace(done, error=error)
            return dc.replace(done, down=schema())


def _stand_before(on: Migrator, revision: RevisionInfo, before: str) -> None:
    """Move a copy to just before a revision, from wherever it is."""
    if revision.id in on.position.applied(on.position.current()):
        on.move(before, "downgrade")
    elif revision.down:
        # A contract waits for another deploy than that of its expansion.
        while (done := on.move(before, "upgrade", contract=True)).left:
            if not done.steps:
                break


def _effects(watch: Watch) -> tuple[dict[str, Blocks], frozenset[str]]:
    """Return the statements that wait for each table, and the tables rewritten."""
    found: dict[str, Blocks] = {}
    rewritten: set[str] = set()
    for statement in (s for step in watch.steps for s in step.statements):
        for lock in statement.locks or ():
            before = found.get(lock.table, "nothing")
            found[lock.table] = max(before, lock.blocks, key=_RANKS.__getitem__)
        # An earlier statement may have taken the lock, or it may not be known.
        is_online = {lock.blocks for lock in statement.locks or ()} == {"nothing"}
        if not is_online:
            rewritten.update(statement.rewritten)
    return found, frozenset(rewritten)
