"""Where engines and metadata come from."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.pool import NullPool

from flaskware_alembic._errors import DatabaseUnreachable
from flaskware_alembic._errors import MigrationError

from .errors import reason_of


class AsyncEngineLike(t.Protocol):
    """SQLAlchemy's ``AsyncEngine``, which can be imported only with greenlet."""

    @property
    def sync_engine(self) -> sa.Engine:
        """The engine behind it."""
        ...


class EngineSource(t.Protocol):
    """An extension that keeps engines and metadata by name, ``None`` the default.

    Flaskware-SQLAlchemy and Flask-SQLAlchemy 3 are such.
    """

    @property
    def engines(self) -> cabc.Mapping[str | None, sa.Engine]:
        """The engines of the current app."""
        ...

    @property
    def metadatas(self) -> cabc.Mapping[str | None, sa.MetaData]:
        """The tables that the models declare."""
        ...


class NamedEngineSource(t.Protocol):
    """An extension that keeps engines only, ``"default"`` the default.

    Flask-SQLAlchemy-Lite is such; the metadata is given beside it.
    """

    @property
    def engines(self) -> cabc.Mapping[str, sa.Engine]:
        """The engines of the current app."""
        ...


Metadata: t.TypeAlias = sa.MetaData | cabc.Mapping[str | None, sa.MetaData]
AnyEngine: t.TypeAlias = sa.Engine | AsyncEngineLike
Engines: t.TypeAlias = AnyEngine | cabc.Mapping[str | None, AnyEngine]


@dc.dataclass(frozen=True)
class Database:
    """One database of an app.

    :param bind: Its name, ``None`` for the default database.
    :param metadata: The tables of its models; ``None`` where they are not known.
    :param label: Another name to show.
    """

    bind: str | None
    engine: sa.Engine
    metadata: sa.MetaData | None
    label: str = ""

    @property
    def name(self) -> str:
        """The bind as a user reads and types it."""
        return self.label or self.bind or "default"

    @property
    def is_sqlite(self) -> bool:
        """True if the database is SQLite."""
        return self.engine.dialect.name == "sqlite"

    @contextlib.contextmanager
    def connect(self) -> cabc.Generator[sa.Connection]:
        """Open a connection.

        :raises DatabaseUnreachable: if the database does not answer.
        """
        try:
            connection = self.engine.connect()
        except (sa_exc.DBAPIError, OSError) as error:
            raise DatabaseUnreachable(self._unreachable(error)) from error
        with connection, _unprepared(connection):
            yield connection

    def _unreachable(self, error: Exception) -> str:
        reason = reason_of(error)
        if self.is_sqlite:
            return (
                f"The file {self.engine.url.database} of the database {self.name!r}"
                f" cannot be opened: {reason}. Check that its folder is there, and that"
                " the process may read and write both."
            )
        url = self.engine.url.render_as_string(hide_password=True)
        return (
            f"The database {self.name!r} at {url} cannot be reached: {reason}."
            " Check that the server runs and that the URL, user and password are right."
        )


@contextlib.contextmanager
def _unprepared(connection: sa.Connection) -> cabc.Generator[None]:
    """Keep psycopg from statements that it prepares on the server.

    A pooler gives the next transaction another server connection, which has none.
    """
    driver: t.Any = connection.connection.driver_connection
    if not hasattr(driver, "prepare_threshold"):
        yield
        return
    before, driver.prepare_threshold = driver.prepare_threshold, None
    try:
        yield
    finally:
        driver.prepare_threshold = before


def commits_each_statement(connection: sa.Connection) -> bool:
    """Return whether a connection of PostgreSQL is in autocommit."""
    return bool(getattr(connection.connection.dbapi_connection, "autocommit", False))


def is_pooled(connection: sa.Connection) -> bool:
    """True if a pooler stands before PostgreSQL, such as PgBouncer.

    It answers with a number of its own for the process of the server.
    """
    if connection.dialect.name != "postgresql":
        return False
    held = connection.connection
    # A connection that was taken out of its pool has only the second.
    driver: t.Any = held.driver_connection or held.dbapi_connection
    info = getattr(driver, "info", None)
    known: int | None = getattr(info, "backend_pid", None)
    if known is None and hasattr(driver, "get_server_pid"):
        known = driver.get_server_pid()
    if known is None:
        return False
    return bool(connection.scalar(sa.text("SELECT pg_backend_pid()")) != known)


# No data classes, here and below: building them took a fifth of the package's import.
class VersionTable:
    """The table in which a database holds the applied revisions of a tree.

    :param prefix: The start of the name of every such table.
    :param schema: Its schema, ``None`` for the default schema.
    :param tree: The name of the tree, ``None`` for the app's own.
    """

    def __init__(self, prefix: str, schema: str | None, tree: str | None) -> None:
        self.prefix = prefix
        self.schema = schema
        self.tree = tree

    @property
    def name(self) -> str:
        """The name of the table, without the schema."""
        if self.tree is None:
            return self.prefix
        return f"{self.prefix}_{self.tree.replace('-', '_')}"

    @property
    def options(self) -> dict[str, t.Any]:
        """The table as options of Alembic."""
        return {"version_table": self.name, "version_table_schema": self.schema}


class Source:
    """The origin of an app's engines and metadata, as :class:`Alembic` is given it."""

    def __init__(
        self,
        extension: object = None,
        metadata: Metadata | None = None,
        engine: Engines | None = None,
    ) -> None:
        self.extension = extension
        self.metadata = metadata
        self.engine = engine

    def found_in(self, extensions: cabc.Mapping[str, object]) -> Source:
        """Return a source that has an extension of the app, where nothing is given."""
        if self.extension is not None or self.engine is not None:
            return self
        return Source(extensions.get("sqlalchemy"), self.metadata)

    def databases(self) -> tuple[Database, ...]:
        """Return the databases, the default database first.

        :raises MigrationError: if engines or metadata are missing.
        """
        engines, metadatas = self._engines(), self._metadatas()
        for bind, declared in metadatas.items():
            if bind not in engines and declared.tables:
                known = ", ".join(repr(bind or "default") for bind in engines)
                raise MigrationError(
                    f"There are models for a database {bind or 'default'!r}, and no"
                    " engine of that name. Configure its URL where the other databases"
                    f" have theirs (known are: {known})."
                )
        return tuple(
            Database(bind, engines[bind], metadatas.get(bind))
            for bind in sorted(engines, key=lambda bind: (bind is not None, bind or ""))
        )

    @property
    def is_async(self) -> bool:
        """True if an engine has an async driver."""
        given = self._given()
        engines: list[object] = [given]
        if isinstance(given, cabc.Mapping):
            engines = list(t.cast("cabc.Mapping[object, object]", given).values())
        return any(hasattr(item, "sync_engine") for item in engines)

    def unreachable(self) -> cabc.Iterator[DatabaseUnreachable]:
        """Yield an error for each of the given engines whose database is away."""
        if self.engine is None:
            return
        metadata = self.metadata or sa.MetaData()
        for database in Source(None, metadata, self.engine).databases():
            try:
                with database.connect():
                    pass
            except DatabaseUnreachable as error:
                yield error

    def _given(self) -> object:
        if self.engine is not None:
            return self.engine
        # Flask-SQLAlchemy-Lite keeps async engines apart.
        found: object = getattr(self.extension, "engines", None)
        return found or getattr(self.extension, "async_engines", None) or found

    def _engines(self) -> dict[str | None, sa.Engine]:
        if self.extension is None and self.engine is None:
            raise MigrationError(
                "No engines were given, and the app has no extension 'sqlalchemy'."
                " Write Alembic(db), or Alembic(engine=..., metadata=...)."
            )
        given = self._given()
        if given is None:
            raise MigrationError(
                f"{type(self.extension).__name__} has no engines. Give Alembic an"
                " extension that has, or write Alembic(engine=..., metadata=...)."
            )
        if isinstance(given, cabc.Mapping):
            engines = t.cast("cabc.Mapping[str | None, AnyEngine]", given)
            return {b: as_sync(e) for b, e in _default_is_none(engines).items()}
        return {None: as_sync(t.cast("AnyEngine", given))}

    def _metadatas(self) -> dict[str | None, sa.MetaData]:
        metadata = self.metadata
        if metadata is None:
            found = getattr(self.extension, "metadatas", None)
            only = getattr(self.extension, "metadata", None)
            if found is None and isinstance(only, sa.MetaData):
                found = {None: only}
            metadata = t.cast("cabc.Mapping[str | None, sa.MetaData] | None", found)
        if metadata is None:
            raise MigrationError(
                "No metadata is known, so there is nothing to compare a database with."
                " Write Alembic(db, metadata=Base.metadata), or a mapping by the names"
                " of the engines where there are several."
            )
        if isinstance(metadata, sa.MetaData):
            return {None: metadata}
        return _default_is_none(metadata)


def as_sync(engine: AnyEngine) -> sa.Engine:
    """Return the engine, or a copy of an async engine with its own connections."""
    if isinstance(engine, sa.Engine):
        return engine
    theirs = engine.sync_engine
    # The connections of the app belong to the loop that it runs on.
    pool = t.cast("t.Any", theirs.pool)
    # A pool copies itself by `recreate`, but not into a pool of another class.
    creator = pool._creator  # noqa: SLF001
    ours = NullPool(creator, dialect=theirs.dialect, _dispatch=pool.dispatch)
    return sa.Engine(ours, theirs.dialect, theirs.url)


_V = t.TypeVar("_V")


def _default_is_none(values: cabc.Mapping[str | None, _V]) -> dict[str | None, _V]:
    # Flask-SQLAlchemy calls the default database None, its Lite "default".
    if None in values:
        return dict(values)
    return {None if key == "default" else key: item for key, item in values.items()}
