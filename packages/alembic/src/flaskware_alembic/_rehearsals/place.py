"""Databases that a rehearsal makes, and drops whatever happens."""

# The names in the statements are made by this module or quoted.

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import hashlib
import os
import secrets
import shutil
import sqlite3
import tempfile
import time
import typing as t
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.pool import NullPool

from flaskware_alembic._databases.database import Database
from flaskware_alembic._databases.database import is_pooled
from flaskware_alembic._databases.errors import reason_of
from flaskware_alembic._errors import DatabaseUnreachable
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import Sample
from flaskware_core import FileLock

from .guard import kept_inside
from .guard import place_of
from .sample import copy_rows

PREFIX = "flaskware_rehearsal_"
ROWS = 1000
# While a template is copied, nobody gets a connection to it.
_LARGE = 2**30
_PAUSES = (0.05, 0.1, 0.2, 0.4)
# A folder this old whose lock is free has lost its process.
_SECONDS_TO_LOCK = 60.0
_TRY_URL = "Rehearse on a server of your own: flask db rehearse --url ..."


@dc.dataclass(frozen=True)
class Copy:
    """A copy of a database.

    :param how: The copied part, in words.
    :param samples: The rows of each table, unless all was copied.
    """

    engine: sa.Engine
    how: str
    samples: tuple[Sample, ...] = ()
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def copied(
    database: Database, *, whole: str, rows: int | None = None, url: str | None = None
) -> cabc.Generator[Copy]:
    """Make a copy of a database, and drop it in the end.

    :param whole: The start of the names of tables that are always copied as a whole.
    :param rows: The rows of a table to copy; all that is possible if ``None``.
    :param url: The server to make it on; that of the database if ``None``.
    :raises MigrationError: if that is not possible.
    """
    name = database.engine.dialect.name
    makers: dict[str, t.Any] = {
        "postgresql": _PostgreSQL,
        "mysql": _MySQL,
        "mariadb": _MySQL,
    }
    if name == "sqlite":
        if url is not None:
            raise MigrationError(
                f"The database {database.name!r} is a file of SQLite, which is copied"
                " beside itself: leave out --url."
            )
        with _sqlite(database) as copy:
            yield copy
        return
    if name not in makers:
        raise MigrationError(f"A database of {name} cannot be rehearsed.")
    with makers[name](database, whole, rows, url).made() as copy:
        yield copy


# Servers


class _Server:
    """A server that a copy is made on.

    :param whole: The start of the names of tables that are copied as a whole.
    """

    def __init__(
        self, database: Database, whole: str, rows: int | None, url: str | None
    ) -> None:
        self.database, self._whole, self._rows = database, whole, rows
        origin = database.engine
        self.source = _engine_like(origin, origin.url)
        self.is_own = url is not None
        self.server = self.source
        if url is not None:
            self.server = _engine_at(url, origin)
        place = "/".join(map(str, place_of(origin.url)))
        digest = hashlib.sha256(place.encode()).hexdigest()[:8]
        self.group = f"{PREFIX}{digest}_"
        self.name = f"{self.group}{secrets.token_hex(3)}"
        self.notes: list[str] = []

    @contextlib.contextmanager
    def made(self) -> cabc.Generator[Copy]:
        """Make the copy, and drop it in the end."""
        origin = self.database.engine
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(self._connected())
            self.lock(connection, self.name)
            self._drop_leftovers(connection)
            how = self._create_under(stack, connection)
            engine = (
                _engine_like(origin, origin.url.set(database=self.name))
                if not self.is_own
                else sa.create_engine(
                    self.server.url.set(database=self.name), poolclass=NullPool
                )
            )
            stack.callback(engine.dispose)
            samples: list[Sample] = []
            if how is None:
                limit = ROWS if self._rows is None else self._rows
                how = f"the schema, with a sample of at most {limit} rows a table"
                samples = self._sampled(engine, limit)
            same = place_of(self.server.url)[:3] == place_of(self.source.url)[:3]
            if same:
                stack.enter_context(kept_inside(engine))
            yield Copy(engine, how, tuple(samples), tuple(self.notes))

    @contextlib.contextmanager
    def _connected(self) -> cabc.Generator[sa.Connection]:
        at = dc.replace(self.database, engine=self.server)
        with at.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def _create_under(
        self, stack: contextlib.ExitStack, connection: sa.Connection
    ) -> str | None:
        # Before it is there, for a key that interrupts its making.
        stack.callback(self.drop, connection, self.name)
        try:
            return self.create(connection)
        except sa_exc.DBAPIError as error:
            raise MigrationError(
                f"The copy of the database {self.database.name!r} cannot be made:"
                f" {reason_of(error)}. Give the user the right to make databases, or"
                f" name another server. {_TRY_URL}"
            ) from error

    def _drop_leftovers(self, connection: sa.Connection) -> None:
        for name in self.names(connection):
            if name != self.name and self.lock(connection, name):
                self.drop(connection, name)
                self.unlock(connection, name)
                self.notes.append(
                    f"dropped {name}, which a rehearsal left that was killed"
                )

    def _sampled(self, engine: sa.Engine, limit: int) -> list[Sample]:
        try:
            with self.source.connect() as source, engine.connect() as target:
                samples, notes = copy_rows(
                    source, target, limit=limit, whole=self._whole
                )
        except sa_exc.DBAPIError as error:
            statement = " ".join(str(error.statement or "").split())
            raise MigrationError(
                f"A sample of the database {self.database.name!r} cannot be copied:"
                f" {reason_of(error)}, in `{statement[:200]}`. Nothing was rehearsed."
            ) from error
        self.notes.extend(notes)
        return samples

    def names(self, connection: sa.Connection) -> list[str]:
        """Return the copies of the database that are there."""
        raise NotImplementedError

    def lock(self, connection: sa.Connection, name: str) -> bool:
        """Take the lock that says that a copy is in use."""
        raise NotImplementedError

    def unlock(self, connection: sa.Connection, name: str) -> None:
        """Give the lock back; the end of the connection does the same."""
        raise NotImplementedError

    def create(self, connection: sa.Connection) -> str | None:
        """Make the database.

        :returns: The copied content in words, ``None`` if the database is empty.
        """
        raise NotImplementedError

    def drop(self, connection: sa.Connection, name: str) -> None:
        """Drop a database, if it is there."""
        raise NotImplementedError


_IN_USE = "55006"
_NO_RIGHT = "42501"


class _PostgreSQL(_Server):
    def names(self, connection: sa.Connection) -> list[str]:
        query = sa.text(
            "SELECT datname FROM pg_database WHERE starts_with(datname, :s)"
        )
        return list(connection.scalars(query, {"s": self.group}))

    def lock(self, connection: sa.Connection, name: str) -> bool:
        if is_pooled(connection):
            raise MigrationError(
                f"The database {self.database.name!r} is behind a pooler, which does"
                " not know a copy. Give a direct connection: flask db rehearse --url"
            )
        query = sa.text("SELECT pg_try_advisory_lock(hashtext(:name))")
        return bool(connection.scalar(query, {"name": name}))

    def unlock(self, connection: sa.Connection, name: str) -> None:
        query = sa.text("SELECT pg_advisory_unlock(hashtext(:name))")
        connection.execute(query, {"name": name})

    def create(self, connection: sa.Connection) -> str | None:
        how = None
        if not self.is_own and self._rows is None:
            how = self._from_template(connection)
        if how is None:
            connection.exec_driver_sql(
                f"CREATE DATABASE {self.name} TEMPLATE template0 {self._locale()}"
            )
        if not self.is_own:
            for name in self._settings(connection):
                connection.exec_driver_sql(
                    f"ALTER DATABASE {self.name} SET {name} FROM CURRENT"
                )
        return how

    def _from_template(self, connection: sa.Connection) -> str | None:
        """Copy all of it at once, if nobody notices."""
        # Connections that this process does not use at the moment count as others.
        self.database.engine.dispose()
        others, size, name = connection.execute(sa.text(_ALONE)).one()
        for pause in _PAUSES if others else ():
            # The server takes a moment to notice that they are closed.
            time.sleep(pause)
            others, size, name = connection.execute(sa.text(_ALONE)).one()
            if not others:
                break
        if others or size > _LARGE:
            why = "another session is connected" if others else "it is large"
            self.notes.append(f"a sample, since {why}")
            return None
        quoted = connection.dialect.identifier_preparer.quote_identifier(name)
        try:
            connection.exec_driver_sql(f"CREATE DATABASE {self.name} TEMPLATE {quoted}")
        except sa_exc.DBAPIError as error:
            code = getattr(error.orig, "sqlstate", None) or getattr(
                error.orig, "pgcode", None
            )
            if code not in {_IN_USE, _NO_RIGHT}:
                raise
            self.notes.append(f"a sample, since {reason_of(error)}")
            return None
        return "the whole database"

    def _locale(self) -> str:
        """Return the encoding and the order of letters of the original."""
        with self.source.connect() as connection:
            row = connection.execute(sa.text(_LOCALE)).mappings().one()
        options = {"ENCODING": row["encoding"]}
        if not self.is_own:
            options |= {"LC_COLLATE": row["collate"], "LC_CTYPE": row["ctype"]}
            if row["provider"] == "i":
                options |= {"LOCALE_PROVIDER": "icu", "ICU_LOCALE": row["icu"]}
        values = {
            name: str(value).replace("'", "''") for name, value in options.items()
        }
        return " ".join(f"{name} '{value}'" for name, value in values.items())

    def _settings(self, connection: sa.Connection) -> list[str]:
        return list(connection.scalars(sa.text(_DATABASE_SETTINGS)))

    def drop(self, connection: sa.Connection, name: str) -> None:
        version = connection.scalar(sa.text("SHOW server_version_num"))
        force = " WITH (FORCE)" if int(str(version)) >= 130000 else ""
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}{force}")


_ALONE = """
SELECT (SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend'),
  pg_database_size(current_database()), current_database()
"""
# The columns have other names in other versions.
_LOCALE = """
SELECT pg_encoding_to_char(encoding) AS encoding, datcollate AS collate,
  datctype AS ctype, to_jsonb(d) ->> 'datlocprovider' AS provider,
  coalesce(to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale') AS icu
FROM pg_database d WHERE datname = current_database()
"""
_DATABASE_SETTINGS = """
SELECT split_part(setting, '=', 1) FROM pg_db_role_setting s
JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = current_database(),
unnest(s.setconfig) setting WHERE s.setrole = 0
"""


class _MySQL(_Server):
    def names(self, connection: sa.Connection) -> list[str]:
        query = sa.text(
            "SELECT schema_name FROM information_schema.schemata"
            " WHERE left(schema_name, :n) = :s"
        )
        values = {"n": len(self.group), "s": self.group}
        return list(connection.scalars(query, values))

    def lock(self, connection: sa.Connection, name: str) -> bool:
        query = sa.text("SELECT GET_LOCK(:name, 0)")
        return bool(connection.scalar(query, {"name": name}))

    def unlock(self, connection: sa.Connection, name: str) -> None:
        connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": name})

    def create(self, connection: sa.Connection) -> str | None:
        with self.source.connect() as source:
            charset, collation = source.exec_driver_sql(
                "SELECT default_character_set_name, default_collation_name"
                " FROM information_schema.schemata WHERE schema_name = database()"
            ).one()
        connection.exec_driver_sql(
            f"CREATE DATABASE {self.name} CHARACTER SET {charset} COLLATE {collation}"
        )
        return None

    def drop(self, connection: sa.Connection, name: str) -> None:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")


def _engine_at(url: str, origin: sa.Engine) -> sa.Engine:
    try:
        engine = sa.create_engine(url, poolclass=NullPool)
    except (sa_exc.ArgumentError, ImportError) as error:
        raise MigrationError(f"--url cannot be used: {error}.") from error
    families = [
        {"mariadb": "mysql"}.get(e.dialect.name, e.dialect.name)
        for e in (engine, origin)
    ]
    if families[0] != families[1]:
        raise MigrationError(
            f"The database is {origin.dialect.name}, and --url is of"
            f" {engine.dialect.name}. Name one database with --bind, or another URL."
        )
    return engine


def _engine_like(origin: sa.Engine, url: sa.URL) -> sa.Engine:
    """Return an engine for another database that connects as one does.

    The app's own ``connect_args``, and its functions for each new connection, count
    for the copy, too.
    """
    more: dict[str, t.Any] = {}

    def note(dialect: sa.Dialect, _: object, __: object, given: t.Any) -> None:
        _, usual = dialect.create_connect_args(origin.url)
        new = {name for name, value in given.items() if usual.get(name) != value}
        more.update({name: given[name] for name in new})

    pool = origin.pool.recreate()
    event.listen(origin, "do_connect", note)
    try:
        pool.connect().close()
    except (sa_exc.DBAPIError, OSError, origin.dialect.loaded_dbapi.Error) as error:
        raise DatabaseUnreachable(
            f"The database at {origin.url!r} cannot be reached: {reason_of(error)}."
        ) from error
    finally:
        event.remove(origin, "do_connect", note)
        pool.dispose()
    plain = sa.create_engine(url, poolclass=NullPool)
    arguments, usual = plain.dialect.create_connect_args(url)

    def connect() -> t.Any:
        return made.dialect.connect(*arguments, **{**usual, **more})

    made = sa.create_engine(url, poolclass=NullPool, creator=connect)
    own: t.Any = origin.pool.dispatch
    event.listen(made, "connect", own.connect)
    return made


# SQLite


@contextlib.contextmanager
def _sqlite(database: Database) -> cabc.Generator[Copy]:
    with database.connect() as connection:
        rows = connection.exec_driver_sql("PRAGMA database_list").all()
        files = {name: file for _, name, file in rows}
        attached = [name for name in files if name not in {"main", "temp"}]
        if attached:
            raise MigrationError(
                f"The database {database.name!r} has other files attached"
                f" ({', '.join(attached)}), which a rehearsal would change."
            )
        place = files["main"] or f"memory:{id(database.engine)}"
        digest = hashlib.sha256(place.encode()).hexdigest()[:8]
        group = f"{PREFIX}{digest}_"
        notes = _without_folders(group)
        folder = Path(tempfile.mkdtemp(prefix=group))
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(timeout=1)
            path = folder / (Path(files["main"]).name or "memory.db")
            _back_up(connection, files["main"], path)
            connection.rollback()
            engine = _sqlite_engine(database.engine, path)
            try:
                yield Copy(engine, "the whole file", notes=tuple(notes))
            finally:
                engine.dispose()
        finally:
            lock.release()
            shutil.rmtree(folder, ignore_errors=True)


def _without_folders(group: str) -> list[str]:
    """Remove what rehearsals left that were killed."""
    notes: list[str] = []
    for folder in Path(tempfile.gettempdir()).glob(f"{group}*"):
        lock = FileLock(folder / "lock")
        with contextlib.suppress(OSError):
            age = time.time() - folder.stat().st_mtime
            is_ours = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
            if is_ours and age > _SECONDS_TO_LOCK and lock.try_acquire():
                lock.release()
                shutil.rmtree(folder)
                notes.append(
                    f"removed {folder}, which a rehearsal left that was killed"
                )
    return notes


def _back_up(connection: sa.Connection, file: str, path: Path) -> None:
    target = sqlite3.connect(path)
    raw: t.Any = connection.connection.driver_connection
    try:
        if isinstance(raw, sqlite3.Connection):
            raw.backup(target)
        elif file:
            source = sqlite3.connect(f"{Path(file).as_uri()}?mode=ro", uri=True)
            try:
                source.backup(target)
            finally:
                source.close()
        else:
            raise MigrationError(
                "A database in memory behind an async driver cannot be copied."
            )
    except sqlite3.Error as error:
        raise MigrationError(f"{file} cannot be copied: {error}.") from error
    finally:
        target.close()


def _sqlite_engine(origin: sa.Engine, path: Path) -> sa.Engine:
    return _engine_like(origin, origin.url.set(database=str(path)))
