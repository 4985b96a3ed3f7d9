"""Creation, removal and reflection of the tables of several databases."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_sqlalchemy._sessions.router import Router
from flaskware_sqlalchemy._sessions.router import SCHEMAS
from flaskware_sqlalchemy._sessions.router import with_schemas

ALL: t.Final = "__all__"
"""Every database that is configured or that a model names."""

PATIENCE = 5
"""Seconds to wait for a table that another transaction holds."""

Keys: t.TypeAlias = str | cabc.Sequence[str | None] | None

# PostgreSQL: lock_not_available; MySQL and MariaDB: lock wait timeout.
_LOCKED = {"55P03", 1205}


def create_tables(router: Router, keys: Keys) -> None:
    """Create the tables that do not exist yet.

    :param keys: The names of databases.
    :raises UnknownBind: if a database is not configured.
    """
    for metadata, engine in _tables(router, keys):
        with _changing(engine) as connection:
            metadata.create_all(connection)


def drop_tables(router: Router, keys: Keys) -> None:
    """Drop the tables; see :func:`create_tables`."""
    for metadata, engine in _tables(router, keys):
        with _changing(engine) as connection:
            try:
                metadata.drop_all(connection)
            except sa_exc.CircularDependencyError:
                # Constraints without a name, which only the database has named.
                _drop_foreign_keys(metadata, connection)
                for table in metadata.tables.values():
                    table.drop(connection, checkfirst=True)


def reflect_tables(router: Router, keys: Keys) -> None:
    """Read the tables of the databases into their metadata."""
    for key in _selected(router, keys):
        with router.engine(key).connect() as connection:
            router.metadatas[key].reflect(connection)


@contextlib.contextmanager
def _changing(engine: sa.Engine) -> cabc.Generator[sa.Connection]:
    """Begin a transaction that changes tables and waits for none of them for long."""
    name = engine.dialect.name
    with engine.connect() as connection, contextlib.ExitStack() as stack:
        if name in {"mysql", "mariadb"}:
            connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {PATIENCE}")
            stack.callback(
                connection.exec_driver_sql, "SET SESSION lock_wait_timeout = DEFAULT"
            )
            connection.commit()
        try:
            with connection.begin():
                if name == "sqlite":
                    # Tables that refer to each other: the last row of the last table
                    # leaves nothing violated.
                    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
                elif name == "postgresql":
                    connection.exec_driver_sql(
                        f"SELECT set_config('lock_timeout', '{PATIENCE}s', true)"
                        " WHERE current_setting('lock_timeout') = '0'"
                    )
                yield connection
        except sa_exc.DBAPIError as error:
            cause: t.Any = error.orig
            code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
            if {code, *getattr(cause, "args", ())[:1]} & _LOCKED:
                error.add_note(
                    "A transaction that is still open holds the table. It may be one of"
                    " this process: end its app context, commit or roll back its"
                    " session, or close its connection before the tables are changed."
                )
            raise


def _drop_foreign_keys(metadata: sa.MetaData, connection: sa.Connection) -> None:
    inspector, quote = sa.inspect(connection), connection.dialect.identifier_preparer
    tenant = SCHEMAS.get()
    schemas = {} if tenant is None else dict(tenant.schemas)
    for table in metadata.tables.values():
        schema = schemas.get(table.schema, table.schema)
        if not inspector.has_table(table.name, schema):
            continue
        place = quote.quote(table.name)
        if schema is not None:
            place = f"{quote.quote_schema(schema)}.{place}"
        for key in inspector.get_foreign_keys(table.name, schema):
            if (name := key["name"]) is not None:
                connection.exec_driver_sql(
                    f"ALTER TABLE {place} DROP CONSTRAINT {quote.quote(name)}"
                )


def _tables(router: Router, keys: Keys) -> cabc.Iterator[tuple[sa.MetaData, sa.Engine]]:
    """Yield the tables of each database, and its engine."""
    for key in _selected(router, keys):
        engine = with_schemas(router.engine(key))
        if key in router.metadatas:
            yield router.metadatas[key], engine


def _selected(router: Router, keys: Keys) -> cabc.Sequence[str | None]:
    if keys == ALL:
        named = [key for key, metadata in router.metadatas.items() if metadata.tables]
        return list(dict.fromkeys([*router.engines, *named]))
    if keys is None or isinstance(keys, str):
        return [keys]
    return keys
