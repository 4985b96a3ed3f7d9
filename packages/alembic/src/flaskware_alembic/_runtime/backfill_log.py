"""The backfills of a database: their progress, and running them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import logging
import time
import types
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic._backfill import Backfill
from flaskware_alembic._databases.errors import is_passing
from flaskware_alembic._databases.errors import reason_of
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import RevisionFailed
from flaskware_alembic._results import BackfillInfo
from flaskware_alembic._results import BackfillState
from flaskware_alembic._results import Direction
from flaskware_alembic._results import OnProgress
from flaskware_alembic._revisions.revision import location_of
from flaskware_alembic._revisions.revision import SourceScript
from flaskware_alembic._settings import AlembicSettings

from .batches import Batches
from .batches import decode
from .batches import encode
from .holders import running_statements
from .position import Position
from .replicas import Replicas
from .timeouts import pause_before

_RETRIES = 6
_PAUSE = 0.5
_log = logging.getLogger("flaskware.alembic")

Due: t.TypeAlias = tuple[str, Backfill]
"""A backfill with the id of its revision."""


class BackfillLog:
    """The backfills of a tree, and a table beside its versions with their progress.

    :param settings: Say when no batch starts.
    """

    def __init__(self, position: Position, settings: AlembicSettings) -> None:
        self._position = position
        self._settings = settings
        self._tree = position.tree
        self._database = position.database

    @functools.cached_property
    def _table(self) -> sa.Table:
        return sa.Table(
            f"{self._position.versions.name}_backfill",
            sa.MetaData(),
            sa.Column("revision", sa.String(255), primary_key=True),
            sa.Column("name", sa.String(255), primary_key=True),
            sa.Column("rows", sa.BigInteger, nullable=False, default=0),
            sa.Column("position", sa.Text),
            sa.Column("is_done", sa.Boolean, nullable=False, default=False),
            schema=self._position.versions.schema,
        )

    def create(self) -> None:
        """Make the table if the tree has backfills."""
        # Not in the transaction of a revision: MySQL would end it.
        if self._tree.backfills:
            with self._database.connect() as connection:
                self._create(connection)

    def infos(self) -> list[BackfillInfo]:
        """Return the progress of the backfills of applied revisions."""
        if not self._tree.backfills:
            return []
        with self._database.connect() as connection:
            heads = self._position.current_on(connection)
            applied = self._position.applied(heads)
            connection.rollback()
            return self._infos(
                connection, [due for due in self._tree.backfills if due[0] in applied]
            )

    def unfinished_infos(self) -> tuple[BackfillInfo, ...]:
        """Return the progress of those that are not done.

        A file is imported only if one of its backfills is not.
        """
        if not self._tree.may_fill:
            return ()
        with self._database.connect() as connection:
            rows = self._rows(connection)
            open_ids = {id for (id, _), row in rows.items() if not row.is_done}
            heads = self._position.current_on(connection) if open_ids else ()
            connection.rollback()
        found = self._tree.backfills_of(open_ids & self._position.applied(heads))
        infos = (self._info(id, fill, rows.get((id, fill.name))) for id, fill in found)
        unfinished = {BackfillState.PENDING, BackfillState.RUNNING}
        return tuple(info for info in infos if info.state in unfinished)

    def unfinished(self) -> list[Due]:
        """Return the backfills of applied revisions that are not done."""
        names = {(info.revision, info.name) for info in self.unfinished_infos()}
        return [due for due in self._tree.backfills if (due[0], due[1].name) in names]

    def due_before(self, connection: sa.Connection, script: SourceScript) -> list[Due]:
        """Return those that must run before a revision and are not done."""
        id = script.revision
        found = [(id, backfill) for backfill in script.backfills if backfill.before]
        infos = self._infos(connection, found) if found else []
        return [
            due
            for due, info in zip(found, infos, strict=True)
            if info.state is not BackfillState.DONE
        ]

    def note(
        self,
        connection: sa.Connection,
        script: SourceScript,
        direction: Direction,
    ) -> None:
        """Note what a move of a revision leaves to do, in the transaction there is."""
        id, backfills = script.revision, script.backfills
        if not backfills:
            return
        if direction == "downgrade":
            if sa.inspect(connection).has_table(self._table.name, self._table.schema):
                delete = sa.delete(self._table).where(self._table.c.revision == id)
                connection.execute(delete)
            return
        for backfill in backfills:
            if not backfill.before:
                self._add(connection, id, backfill)

    def run(
        self, due: cabc.Collection[Due], on_progress: OnProgress | None = None
    ) -> list[BackfillInfo]:
        """Run some backfills, each from where it stopped.

        :raises MigrationError: if a table has no key to order by.
        :raises RevisionFailed: naming the file and line that raised.
        """
        if not due:
            return []
        with self._database.connect() as connection:
            self._create(connection)
            return [
                self._run(connection, id, backfill, on_progress) for id, backfill in due
            ]

    def _run(
        self,
        connection: sa.Connection,
        id: str,
        backfill: Backfill,
        on_progress: OnProgress | None,
    ) -> BackfillInfo:
        try:
            (info,) = self._infos(connection, [(id, backfill)])
            if info.state is BackfillState.NOT_RECORDED:
                with connection.begin():
                    self._add(connection, id, backfill)
            batches = Batches(connection, backfill)
            started, first = time.monotonic(), info.rows
            replicas = self._replicas()
            while info.state is not BackfillState.DONE:
                self._wait_for_others(connection, replicas)
                info = self._apply_next(connection, id, backfill, batches)
                info = dc.replace(info, total=batches.total)
                left = _seconds_left(info, first, time.monotonic() - started)
                info = dc.replace(info, seconds_left=left)
                if on_progress is not None:
                    on_progress(info)
                if backfill.pause and info.state is not BackfillState.DONE:
                    time.sleep(backfill.pause)
            return info
        except MigrationError:
            raise
        except Exception as error:
            revision = self._tree.info(id)
            raise RevisionFailed(
                f"The backfill {backfill.name} of revision {id} in the database"
                f" {self._database.name!r} failed at"
                f" {location_of(error, revision.path)}:"
                f" {type(error).__name__}: {reason_of(error)}. The batches before this"
                " one are done; `flask db backfill` goes on.",
                revision=revision,
            ) from error

    def _wait_for_others(
        self, connection: sa.Connection, replicas: Replicas | None
    ) -> None:
        while (why := self._reason_to_wait(connection, replicas)) is not None:
            connection.rollback()
            _log.info("The backfill pauses: %s.", why)
            time.sleep(_PAUSE)
        connection.rollback()

    def _reason_to_wait(
        self, connection: sa.Connection, replicas: Replicas | None
    ) -> str | None:
        most = self._settings.backfill_max_running
        if most is not None and (count := running_statements(connection)) > most:
            return f"{count} statements run for others"
        return None if replicas is None else replicas.behind(connection)

    def _replicas(self) -> Replicas | None:
        settings = self._settings
        if settings.backfill_max_lag is None:
            return None
        urls = tuple(url.get_secret_value() for url in settings.backfill_replicas)
        return Replicas(settings.backfill_max_lag, urls)

    def _apply_next(
        self, connection: sa.Connection, id: str, backfill: Backfill, batches: Batches
    ) -> BackfillInfo:
        for attempt in range(1, _RETRIES + 1):
            try:
                with connection.begin():
                    return self._apply(connection, id, backfill, batches)
            except sa_exc.DBAPIError as error:
                if not is_passing(error) or attempt == _RETRIES:
                    raise
                time.sleep(pause_before(attempt))
        raise AssertionError

    def _apply(
        self, connection: sa.Connection, id: str, backfill: Backfill, batches: Batches
    ) -> BackfillInfo:
        log = self._table
        mine = (log.c.revision == id) & (log.c.name == backfill.name)
        # Locked until the batch is committed: nobody else does the same rows.
        row = connection.execute(sa.select(log).where(mine).with_for_update()).one()
        after = None if row.position is None else decode(row.position)
        batch = batches.after(connection, after)
        values = {
            "is_done": len(batch) < backfill.batch,
            "position": row.position if batch.last is None else encode(batch.last),
            "rows": row.rows + len(batch),
        }
        if batch:
            backfill(connection, batch)
        connection.execute(sa.update(log).where(mine).values(**values))
        return self._info(id, backfill, types.SimpleNamespace(**values))

    def _create(self, connection: sa.Connection) -> None:
        self._table.create(connection, checkfirst=True)
        connection.commit()

    def _add(self, connection: sa.Connection, id: str, backfill: Backfill) -> None:
        values = {"revision": id, "name": backfill.name}
        connection.execute(sa.insert(self._table).values(values))

    def _infos(
        self, connection: sa.Connection, found: cabc.Iterable[Due]
    ) -> list[BackfillInfo]:
        """Return the progress of some; leaves no transaction open."""
        rows = self._rows(connection)
        connection.rollback()
        return [self._info(id, fill, rows.get((id, fill.name))) for id, fill in found]

    def _rows(self, connection: sa.Connection) -> dict[tuple[str, str], t.Any]:
        if not sa.inspect(connection).has_table(self._table.name, self._table.schema):
            return {}
        result = connection.execute(sa.select(self._table))
        return {(row.revision, row.name): row for row in result}

    def _info(self, id: str, backfill: Backfill, row: t.Any) -> BackfillInfo:
        state, rows = BackfillState.NOT_RECORDED, 0
        if row is not None:
            rows = row.rows
            state = BackfillState.RUNNING if row.position else BackfillState.PENDING
            state = BackfillState.DONE if row.is_done else state
        bind = self._database.bind
        return BackfillInfo(id, backfill.name, backfill.table, bind, state, rows)


def _seconds_left(info: BackfillInfo, first: int, seconds: float) -> float | None:
    """Return how long the rest takes at the pace so far, if the total is known."""
    done = info.rows - first
    if info.total is None or not 0 < info.rows <= info.total or done <= 0:
        return None
    return seconds * (info.total - info.rows) / done
