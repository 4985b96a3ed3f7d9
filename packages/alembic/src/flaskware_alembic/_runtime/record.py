"""The schema as revisions made it, written down beside the version table.

Each move adds what it changed, found by reading the schema before and after it. So a
change by hand is in the database and not in the record, before and after any upgrade.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import hashlib
import json
import logging
import typing as t
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import mysql

from flaskware_alembic._databases.database import commits_each_statement
from flaskware_alembic._databases.errors import reason_of
from flaskware_alembic._results import Direction
from flaskware_alembic._revisions.checksum import checksum_of
from flaskware_alembic._schemas.reader import read_schema
from flaskware_alembic._schemas.schema import digests_of
from flaskware_alembic._schemas.schema import fingerprint
from flaskware_alembic._schemas.schema import Item
from flaskware_alembic._schemas.schema import Schema
from flaskware_alembic._settings import AlembicSettings

from .catalog import catalog_mark
from .position import Position

_log = logging.getLogger("flaskware.alembic")

SUFFIX = "_record"
_LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_REVISION = "revision"
_Digests: t.TypeAlias = dict[Item, str]
Texts: t.TypeAlias = dict[Item, str | None]
"""The texts that a tree made; ``None`` for what it dropped of another tree."""


@dc.dataclass(frozen=True)
class Applied:
    """An applied revision, as the record has it.

    :param checksum: Of its file; ``None`` while it is being applied.
    :param fingerprint: Of all that is recorded after it.
    :param before: The schema before it, as long as it is not done.
    """

    checksum: str | None = None
    fingerprint: str | None = None
    before: cabc.Mapping[str, str] | None = None


class Record:
    """The record of one tree in one database."""

    def __init__(self, position: Position, settings: AlembicSettings) -> None:
        self._position = position
        self._settings = settings
        self._dialect = position.database.engine.dialect.name
        self._before: _Digests | None = None
        self._own: dict[Item, str | None] = {}
        self._applied: dict[str, Applied] = {}
        self._is_same = False

    @property
    def is_kept(self) -> bool:
        """True if the database has a record."""
        known = {"postgresql", "mysql", "mariadb", "sqlite"}
        return self._settings.record and self._dialect in known

    def table(self, name: str | None = None) -> sa.Table:
        """Return the table of the record, or that of another tree."""
        versions = self._position.versions
        return sa.Table(
            name or f"{versions.name}{SUFFIX}",
            sa.MetaData(),
            # The names have no length that every database takes as a key.
            sa.Column("id", sa.String(64), primary_key=True),
            sa.Column("kind", sa.String(30), nullable=False),
            sa.Column("part_of", sa.Text, nullable=False),
            sa.Column("name", sa.Text, nullable=False),
            sa.Column("definition", _LONG),
            schema=versions.schema,
        )

    def present(
        self, connection: sa.Connection, *, in_order: bool = False
    ) -> Schema | None:
        """Return the schema of the database, without version tables."""
        database = self._position.database
        tables = database.metadata.tables.values() if database.metadata else ()
        schemas = {*self._settings.schemas, *(x.schema for x in tables if x.schema)}
        prefix = self._position.versions.prefix
        return read_schema(
            connection, schemas=schemas, without=prefix, in_order=in_order
        )

    # During a run

    def begin(self, connection: sa.Connection) -> None:
        """Look at the database before a run; leaves no transaction open."""
        self.table().create(connection, checkfirst=True)
        connection.commit()
        texts, self._applied = self.read(connection)
        self._own = digests_of(texts, self._dialect)
        notes = [a.before for a in self._applied.values() if a.before is not None]
        if notes:
            self._before = {
                Item(*json.loads(key)): value for key, value in notes[0].items()
            }
        else:
            schema = self._read(connection)
            self._before = None if schema is None else schema.digests
        connection.rollback()

    def note(self, connection: sa.Connection, id: str) -> None:
        """Keep the schema before a revision whose beginning may stay when it fails."""
        was = self._applied.get(id, Applied())
        if was.before is not None or self._before is None:
            return
        before = {item.key: value for item, value in self._before.items()}
        self._write_applied(connection, id, dc.replace(was, before=before))

    def noting(
        self, context: t.Any, function: cabc.Callable[..., object], id: str
    ) -> cabc.Callable[..., None]:
        """Return the function of a revision that begins with :meth:`note`."""

        def run(**arguments: t.Any) -> None:
            self.note(context.connection, id)
            function(**arguments)

        return run

    def watching(
        self, context: t.Any, function: cabc.Callable[..., object], id: str
    ) -> cabc.Callable[..., None]:
        """Return the function of a revision that sees whether the schema changed."""
        # A run that was cut off may have changed the schema.
        is_begun = self._applied.get(id, Applied()).before is not None

        def run(**arguments: t.Any) -> None:
            before = None if is_begun else catalog_mark(context.connection)
            function(**arguments)
            self._is_same = before is not None and before == catalog_mark(
                context.connection
            )

        return run

    def add(
        self, connection: sa.Connection, id: str, path: Path, direction: Direction
    ) -> None:
        """Add what a revision changed, in its transaction."""
        is_same, self._is_same = self._is_same and self._before is not None, False
        if not is_same and not self._add_changes(connection):
            return
        for other, was in list(self._applied.items()):
            # A move that was begun before, and does not go on.
            if was.before is not None and other != id:
                self._write_applied(connection, other, dc.replace(was, before=None))
        if direction == "downgrade":
            self._delete(connection, [Item(_REVISION, "", id)])
            self._applied.pop(id, None)
            return
        applied = Applied(checksum_of(path), fingerprint(self._own))
        self._write_applied(connection, id, applied)

    def _add_changes(self, connection: sa.Connection) -> bool:
        """Add what is other than before; return whether it can be known."""
        after = self._read(connection) if self._before is not None else None
        if after is None or self._before is None:
            self.forget(connection)
            self._before = None
            return False
        changed: Texts = {}
        for item in {**self._before, **after.digests}:
            if self._before.get(item) != after.digests.get(item):
                changed[item] = after.texts.get(item)
        self._write(connection, changed)
        self._before = after.digests
        return True

    def forget(self, connection: sa.Connection) -> None:
        """Forget all: what was done by hand, or by another program, is not known."""
        connection.execute(sa.delete(self.table()))
        self._own, self._applied = {}, {}

    def replace(
        self,
        connection: sa.Connection,
        texts: cabc.Mapping[Item, str],
        files: cabc.Mapping[str, Path],
    ) -> None:
        """Record a schema and the files of applied revisions as they are now."""
        self.table().create(connection, checkfirst=True)
        self.forget(connection)
        self._write(connection, dict(texts))
        made = fingerprint(self._own)
        for id, path in files.items():
            self._write_applied(connection, id, Applied(checksum_of(path), made))
        connection.commit()

    # Reading it

    def read(
        self, connection: sa.Connection, name: str | None = None
    ) -> tuple[Texts, dict[str, Applied]]:
        """Return what is recorded: the texts, and the applied revisions.

        :param name: The table of another tree.
        """
        table = self.table(name)
        texts: Texts = {}
        applied: dict[str, Applied] = {}
        if not sa.inspect(connection).has_table(table.name, table.schema):
            return texts, applied
        for _, kind, part_of, known, text in connection.execute(sa.select(table)):
            if kind == _REVISION:
                applied[known] = Applied(**json.loads(text))
            else:
                texts[Item(kind, part_of, known)] = text
        return texts, applied

    def others(self, connection: sa.Connection) -> list[Texts]:
        """Return what the other trees of the database recorded."""
        versions = self._position.versions
        own = self.table().name
        names = sa.inspect(connection).get_table_names(versions.schema)
        return [
            self.read(connection, name)[0]
            for name in names
            if name.startswith(versions.prefix)
            and name.endswith(SUFFIX)
            and name != own
        ]

    def _read(self, connection: sa.Connection) -> Schema | None:
        """Return the schema; ``None`` if it cannot be read, which stops no revision."""
        try:
            if self._dialect != "postgresql" or commits_each_statement(connection):
                return self.present(connection)
            with connection.begin_nested():
                return self.present(connection)
        except sa_exc.DBAPIError as error:
            _log.warning(
                "The schema of the database %r cannot be read, so it is not recorded"
                " for `flask db drift`: %s",
                self._position.database.name,
                reason_of(error),
            )
            return None

    def _write(self, connection: sa.Connection, changed: Texts) -> None:
        gone = [item for item, text in changed.items() if text is None]
        # Of another tree, or there before the first revision.
        kept = {item: text for item, text in changed.items() if text is not None}
        kept_gone: Texts = {item: None for item in gone if item not in self._own}
        self._delete(connection, list(changed))
        self._insert(connection, {**kept, **kept_gone})
        for item in gone:
            self._own.pop(item, None)
        self._own |= digests_of({**kept, **kept_gone}, self._dialect)

    def _write_applied(
        self, connection: sa.Connection, id: str, applied: Applied
    ) -> None:
        item = Item(_REVISION, "", id)
        self._delete(connection, [item])
        self._insert(connection, {item: json.dumps(dc.asdict(applied))})
        self._applied[id] = applied

    def _insert(self, connection: sa.Connection, texts: Texts) -> None:
        rows = [
            {
                "id": _id(item),
                "kind": item.kind,
                "part_of": item.table,
                "name": item.name,
                "definition": text,
            }
            for item, text in texts.items()
        ]
        if rows:
            connection.execute(sa.insert(self.table()), rows)

    def _delete(self, connection: sa.Connection, items: cabc.Iterable[Item]) -> None:
        table, ids = self.table(), [_id(item) for item in items]
        # A statement takes so many parameters on every database.
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            connection.execute(sa.delete(table).where(table.c.id.in_(some)))


def _id(item: Item) -> str:
    return hashlib.sha256(item.key.encode()).hexdigest()
