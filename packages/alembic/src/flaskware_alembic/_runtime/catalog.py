"""A mark that stands still for as long as no statement changes the schema.

Reading a schema takes long where it is large. To watch the statements instead was
considered: a function of the database, or a cursor of the driver, hides them.
"""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

Mark: t.TypeAlias = tuple[t.Any, ...]

# The rows of the catalog that this transaction wrote, as PostgreSQL counts them.
_POSTGRESQL = """
SELECT pg_current_xact_id()::text, sum(pg_stat_get_xact_tuples_inserted(oid)
  + pg_stat_get_xact_tuples_updated(oid) + pg_stat_get_xact_tuples_deleted(oid))::text,
  current_setting('track_counts')
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'pg_catalog'::regnamespace
  AND oid < 16384
"""
# How many such statements the session ran, be it in a procedure.
_MYSQL = (
    "SHOW SESSION STATUS WHERE Variable_name"
    " REGEXP '^Com_(alter|create|drop|rename|import|exchange|assign)_'"
)


def catalog_mark(connection: sa.Connection) -> Mark | None:
    """Return a mark, to be compared with one before; ``None`` where there is none.

    Two are equal only if the session changed no schema between them.
    """
    name = connection.dialect.name
    if name == "postgresql":
        return _of_postgresql(connection)
    if name in {"mysql", "mariadb"}:
        return _of_mysql(connection)
    return _of_sqlite(connection) if name == "sqlite" else None


def _of_postgresql(connection: sa.Connection) -> Mark | None:
    id, count, is_counted = connection.exec_driver_sql(_POSTGRESQL).one()
    return (id, count) if is_counted == "on" else None


def _of_mysql(connection: sa.Connection) -> Mark | None:
    session = connection.exec_driver_sql("SELECT connection_id()").scalar()
    counts = connection.exec_driver_sql(_MYSQL).all()
    return (session, *(tuple(row) for row in counts)) if counts else None


def _of_sqlite(connection: sa.Connection) -> Mark:
    quote = connection.dialect.identifier_preparer.quote_identifier
    rows = connection.exec_driver_sql("PRAGMA database_list").all()
    schemas = [schema for _, schema, _ in rows]
    pragmas = [f"PRAGMA {quote(schema)}.schema_version" for schema in schemas]
    versions = [connection.exec_driver_sql(pragma).scalar() for pragma in pragmas]
    return tuple(zip(schemas, versions, strict=True))
