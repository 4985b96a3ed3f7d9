"""Tables of a database as their rows are copied and compared."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import sqlalchemy as sa


@dc.dataclass(frozen=True)
class Reference:
    """A foreign key.

    :param columns: Those of the table.
    :param parent: The name of the other table.
    :param to: The columns of that.
    """

    columns: tuple[str, ...]
    parent: str
    to: tuple[str, ...]


@dc.dataclass(frozen=True)
class TableInfo:
    """A table that has rows of its own.

    :param name: As a user reads it, with a schema that is not the default schema.
    :param sql: As SQL, in a query for its rows.
    :param target: As SQL, where rows are inserted.
    :param columns: The type of each column that is not computed, as SQL.
    :param key: The columns of the primary key.
    :param rows: An estimate of the server.
    """

    name: str
    sql: str
    target: str
    columns: cabc.Mapping[str, str]
    key: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    rows: int = 0


def tables_of(connection: sa.Connection) -> list[TableInfo]:
    """Return the tables of every schema of a database, without those of the system."""
    name = connection.dialect.name
    if name == "postgresql":
        return _of_postgresql(connection)
    if name in {"mysql", "mariadb"}:
        return _of_mysql(connection)
    return _of_sqlite(connection)


# The rows of a partition are those of its table.
_TABLES = """
SELECT c.oid, CASE WHEN n.nspname = current_schema() THEN '' ELSE n.nspname || '.' END
    || c.relname, format('%I.%I', n.nspname, c.relname), CAST(c.relkind AS text),
    CASE c.relkind WHEN 'p' THEN (SELECT sum(greatest(p.reltuples, 0))
        FROM pg_partition_tree(c.oid) l JOIN pg_class p ON p.oid = l.relid
        WHERE l.isleaf) ELSE greatest(c.reltuples, 0) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = CAST('pg_class' AS regclass)
    AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.oid
"""
_COLUMNS = """
SELECT attrelid, attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = ANY(:oids) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attrelid, attnum
"""
_KEYS = """
SELECT k.conrelid, CAST(k.contype AS text), k.confrelid,
    ARRAY(SELECT CAST(a.attname AS text) FROM unnest(k.conkey) WITH ORDINALITY u(n, at)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY at),
    ARRAY(SELECT CAST(a.attname AS text) FROM unnest(k.confkey) WITH ORDINALITY u(n, at)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY at)
FROM pg_constraint k
WHERE k.conrelid = ANY(:oids) AND k.contype IN ('p', 'f') AND k.conparentid = 0
"""


def _of_postgresql(connection: sa.Connection) -> list[TableInfo]:
    tables = connection.execute(sa.text(_TABLES)).all()
    names = {oid: name for oid, name, *_ in tables}

    def ask(query: str) -> cabc.Sequence[t.Any]:
        return connection.execute(sa.text(query), {"oids": list(names)}).all()

    columns: dict[int, dict[str, str]] = {oid: {} for oid in names}
    for oid, column, type_ in ask(_COLUMNS):
        columns[oid][column] = type_
    keys: dict[int, tuple[str, ...]] = {}
    references: dict[int, list[Reference]] = {oid: [] for oid in names}
    for oid, kind, parent, own, to in ask(_KEYS):
        if kind == "p":
            keys[oid] = tuple(own)
        elif parent in names:
            references[oid].append(Reference(tuple(own), names[parent], tuple(to)))
    return [
        TableInfo(
            name,
            # Its heirs have rows of their own.
            f"ONLY {sql}" if kind == "r" else sql,
            sql,
            columns[oid],
            keys.get(oid, ()),
            tuple(references[oid]),
            int(rows or 0),
        )
        for oid, name, sql, kind, rows in tables
    ]


_MY_TABLES = """
SELECT table_name, coalesce(table_rows, 0) FROM information_schema.tables
WHERE table_schema = database() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
ORDER BY table_name
"""
_MY_COLUMNS = """
SELECT table_name, column_name, column_type FROM information_schema.columns
WHERE table_schema = database() AND coalesce(generation_expression, '') = ''
  AND extra NOT LIKE '%GENERATED' ORDER BY table_name, ordinal_position
"""
_MY_KEYS = """
SELECT table_name, constraint_name, column_name, referenced_table_name,
    referenced_column_name
FROM information_schema.key_column_usage WHERE table_schema = database()
  AND (constraint_name = 'PRIMARY' OR referenced_table_schema = database())
ORDER BY table_name, constraint_name, ordinal_position
"""


def _of_mysql(connection: sa.Connection) -> list[TableInfo]:
    quote = connection.dialect.identifier_preparer.quote_identifier

    def ask(query: str) -> cabc.Sequence[t.Any]:
        return connection.execute(sa.text(query)).all()

    columns: dict[str, dict[str, str]] = {}
    for table, column, type_ in ask(_MY_COLUMNS):
        columns.setdefault(table, {})[column] = str(type_)
    keys: dict[str, list[str]] = {}
    foreign: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for table, constraint, column, parent, to in ask(_MY_KEYS):
        if parent is None:
            keys.setdefault(table, []).append(column)
        else:
            foreign.setdefault((table, constraint, parent), []).append((column, to))
    return [
        TableInfo(
            name,
            quote(name),
            quote(name),
            columns.get(name, {}),
            tuple(keys.get(name, ())),
            tuple(
                Reference(
                    tuple(own for own, _ in pairs), parent, tuple(to for _, to in pairs)
                )
                for (table, _, parent), pairs in foreign.items()
                if table == name
            ),
            int(rows),
        )
        for name, rows in ask(_MY_TABLES)
    ]


def _of_sqlite(connection: sa.Connection) -> list[TableInfo]:
    quote = connection.dialect.identifier_preparer.quote_identifier
    found: list[TableInfo] = []
    rows = connection.exec_driver_sql("PRAGMA table_list").all()
    for schema, name, kind, *_ in rows:
        if schema != "main" or kind != "table" or name.startswith("sqlite_"):
            continue
        query = f"PRAGMA table_xinfo({quote(name)})"
        columns = connection.exec_driver_sql(query).all()
        key = sorted((row[5], row[1]) for row in columns if row[5])
        found.append(
            TableInfo(
                name,
                quote(name),
                quote(name),
                {row[1]: row[2] for row in columns if not row[6]},
                tuple(column for _, column in key),
            )
        )
    return found
