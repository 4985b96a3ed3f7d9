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


class AsyncEngineLike(t.Protocol):
    """SQLAlchemy's ``AsyncEngine``, which can be imported only with greenlet."""

    @property
    def sync_engine(self) -> sa.Engine:
        """What it is a front of."""
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

    :param bind: Its name, ``None`` for the default one.
    :param metadata: What the models declare for it; ``None`` where nothing is known.
    :param label: What to call it, where that is not its name.
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
        """Whether the database is SQLite."""
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
        with connection:
            yield connection

    def _unreachable(self, error: Exception) -> str:
        reason = reason_of(error)
        url = self.engine.url.render_as_string(hide_password=True)
        return (
            f"The database {self.name!r} at {url} cannot be reached: {reason}."
            " Check that the server runs and that the URL, user and password are right."
        )


def databases_of(
    source: object, metadata: Metadata | None, engine: Engines | None
) -> tuple[Database, ...]:
    """Bring what an app has to one form, the default database first.

    :raises MigrationError: if engines or metadata are missing.
    """
    engines = _engines(source, engine)
    metadatas = _metadatas(source, metadata)
    for bind, declared in metadatas.items():
        if bind not in engines and declared.tables:
            raise MigrationError(
                f"There are models for a database {bind or 'default'!r}, and no engine"
                " of that name. Configure its URL where the other databases have"
                f" theirs ({_names(engines)})."
            )
    return tuple(
        Database(bind, engines[bind], metadatas.get(bind))
        for bind in sorted(engines, key=lambda bind: (bind is not None, bind or ""))
    )


def reason_of(error: Exception) -> str:
    """What a driver said, in one line and without the statement."""
    original = error.orig if isinstance(error, sa_exc.DBAPIError) else error
    lines = [line.strip() for line in str(original).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def has_async(source: object, engine: Engines | None) -> bool:
    """Whether one of the engines has an async driver."""
    given = _given(source, engine)
    engines: list[object] = [given]
    if isinstance(given, cabc.Mapping):
        engines = list(t.cast("cabc.Mapping[object, object]", given).values())
    return any(hasattr(item, "sync_engine") for item in engines)


def _given(source: object, engine: Engines | None) -> object:
    if engine is not None:
        return engine
    # Flask-SQLAlchemy-Lite keeps the async ones apart.
    found: object = getattr(source, "engines", None)
    return found or getattr(source, "async_engines", None) or found


def _engines(source: object, engine: Engines | None) -> dict[str | None, sa.Engine]:
    given = _given(source, engine)
    if given is None:
        raise MigrationError(
            f"{type(source).__name__} has no engines. Give Alembic an extension that"
            " has, or write Alembic(engine=..., metadata=...)."
        )
    if isinstance(given, cabc.Mapping):
        engines = t.cast("cabc.Mapping[str | None, AnyEngine]", given)
        return {b: as_sync(e) for b, e in _default_is_none(engines).items()}
    return {None: as_sync(t.cast("AnyEngine", given))}


def as_sync(engine: AnyEngine) -> sa.Engine:
    """The engine, or one with the same driver and connections of its own."""
    if isinstance(engine, sa.Engine):
        return engine
    theirs = engine.sync_engine
    # The connections of the app belong to the loop that it runs on.
    pool = t.cast("t.Any", theirs.pool)
    ours = NullPool(pool._creator, dialect=theirs.dialect, _dispatch=pool.dispatch)
    return sa.Engine(ours, theirs.dialect, theirs.url)


def _metadatas(
    source: object, metadata: Metadata | None
) -> dict[str | None, sa.MetaData]:
    if metadata is None:
        found = getattr(source, "metadatas", None)
        if found is None and isinstance(getattr(source, "metadata", None), sa.MetaData):
            found = {None: t.cast("t.Any", source).metadata}
        metadata = t.cast("cabc.Mapping[str | None, sa.MetaData] | None", found)
    if metadata is None:
        raise MigrationError(
            "No metadata is known, so there is nothing to compare a database with."
            " Write Alembic(db, metadata=Base.metadata), or a mapping by the names of"
            " the engines where there are several."
        )
    if isinstance(metadata, sa.MetaData):
        return {None: metadata}
    return _default_is_none(metadata)


_V = t.TypeVar("_V")


def _default_is_none(values: cabc.Mapping[str | None, _V]) -> dict[str | None, _V]:
    # Flask-SQLAlchemy calls the default database None, its Lite "default".
    if None in values:
        return dict(values)
    return {None if key == "default" else key: item for key, item in values.items()}


def _names(engines: cabc.Iterable[str | None]) -> str:
    return "known are: " + ", ".join(repr(bind or "default") for bind in engines)
