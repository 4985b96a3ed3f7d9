"""The schema of a database, as far as some of its schemas make it up."""

from __future__ import annotations

import collections.abc as cabc
import functools
import graphlib
import re
import typing as t

import sqlalchemy as sa

from flaskware_alembic._autogenerate.scratch import words_of
from flaskware_alembic._sql.tokens import Reader
from flaskware_alembic._sql.tokens import split
from flaskware_alembic._sql.tokens import statements
from flaskware_alembic._sql.tokens import Token

from .postgresql import read_postgresql
from .schema import Item
from .schema import Schema

_Texts: t.TypeAlias = dict[Item, str]


def read_schema(
    connection: sa.Connection,
    *,
    schemas: cabc.Collection[str] = (),
    without: str | None = None,
    in_order: bool = False,
) -> Schema | None:
    """Return the schema of a database; ``None`` where it cannot be written down.

    :param schemas: The schemas to read beside the default schema.
    :param without: Leave out tables whose names start so.
    :param in_order: Whether each thing comes after those that it needs.
    """
    dialect = connection.dialect
    default = dialect.default_schema_name
    others = sorted(set(schemas) - {str(default)})
    if others:
        others = sorted(set(others) & set(sa.inspect(connection).get_schema_names()))
    if dialect.name == "postgresql":
        names = [str(default), *others]
        found = read_postgresql(connection, names, in_order=in_order)
    elif dialect.name in {"mysql", "mariadb"}:
        texts: _Texts = {}
        for schema in (str(default), *others):
            texts |= _read_mysql(connection, schema, is_default=schema == default)
        found = Schema(texts, "mysql")
    elif dialect.name == "sqlite":
        texts = _read_sqlite(connection, "main", "")
        for schema in others:
            texts |= _read_sqlite(connection, schema, f"{schema}.")
        found = Schema(texts, "sqlite")
    else:
        return None
    if without is None:
        return found
    kept = {i: text for i, text in found.texts.items() if not _starts(i, without)}
    return Schema(kept, found.dialect, found.unknown)


def _starts(item: Item, prefix: str) -> bool:
    table = (item.table or item.name).rpartition(".")[2]
    return table.strip('"').startswith(prefix)


@functools.lru_cache(4096)
def _parts(text: str, dialect: str, table: str) -> tuple[tuple[Item, str], ...]:
    """Return a table, its columns and the rest, from its CREATE TABLE."""
    return tuple(_read_parts(text, dialect, table))


def _read_parts(text: str, dialect: str, table: str) -> cabc.Iterator[tuple[Item, str]]:
    (tokens, *_) = statements(text, dialect)
    r = Reader(tokens, dialect)
    r.seek("TABLE")
    r.name()
    inside = r.bracketed()
    yield Item("table", table, ""), _source(text, r.rest())
    for part in split(inside):
        kind, name = _kind_of(part)
        source = _source(text, part)
        yield Item(kind, table, name or " ".join(words_of(source, dialect))), source


_PART = {
    "CONSTRAINT", "PRIMARY", "FOREIGN", "CHECK", "UNIQUE", "KEY", "INDEX", "FULLTEXT",
    "SPATIAL", "PERIOD",
}  # fmt: skip


def _kind_of(part: list[Token]) -> tuple[str, str | None]:
    """Return the kind and the name of a part of CREATE TABLE."""
    word = part[0].word
    if word not in _PART:
        return "column", part[0].identifier
    if word == "CONSTRAINT":
        return "constraint", part[1].identifier
    if word == "PRIMARY":
        return "constraint", "PRIMARY"
    named = next((token for token in part if token.kind == "name"), None)
    before = part[: part.index(named)] if named else part
    if named is None or any(token.text == "(" for token in before):
        return "constraint", None
    return "index", named.identifier


def _source(text: str, tokens: cabc.Sequence[Token]) -> str:
    return text[tokens[0].start : tokens[-1].end] if tokens else ""


def _read_sqlite(connection: sa.Connection, schema: str, prefix: str) -> _Texts:
    quote = connection.dialect.identifier_preparer.quote_identifier
    rows = connection.exec_driver_sql(
        "SELECT type, name, tbl_name, sql"  # noqa: S608
        f" FROM {quote(schema)}.sqlite_master"
        " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " ORDER BY type = 'trigger', type = 'view', type = 'index', rowid"
    ).all()
    # A table in which a virtual table keeps its content is made with it.
    virtual = [name for _, name, _, sql in rows if _is_virtual(sql)]
    found: _Texts = {}
    for kind, name, table, sql in rows:
        if any(str(table).startswith(f"{other}_") for other in virtual):
            continue
        if kind == "table" and not _is_virtual(sql):
            found.update(_parts(sql, "sqlite", f"{prefix}{name}"))
        elif kind == "table":
            found[Item("table", f"{prefix}{name}", "")] = sql
        elif kind == "view":
            found[Item("view", "", f"{prefix}{name}")] = sql
        else:
            found[Item(kind, f"{prefix}{table}", name)] = sql
    return found


def _is_virtual(sql: str) -> bool:
    return re.match(r"CREATE\s+VIRTUAL", sql, re.IGNORECASE) is not None


_TRIGGERS = """
SELECT event_object_table, trigger_name, action_timing, event_manipulation,
  action_statement FROM information_schema.triggers
WHERE trigger_schema = :schema ORDER BY event_object_table, action_order"""
_ROUTINES = """
SELECT routine_type, routine_name FROM information_schema.routines
WHERE routine_schema = :schema UNION ALL
SELECT 'EVENT', event_name FROM information_schema.events
WHERE event_schema = :schema ORDER BY 1, 2"""
_OWNER = re.compile(r"\bDEFINER\s*=\s*(?:`[^`]*`|\S+?)@(?:`[^`]*`|\S+)\s+")
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")


def _read_mysql(connection: sa.Connection, schema: str, *, is_default: bool) -> _Texts:
    quote = connection.dialect.identifier_preparer.quote_identifier
    prefix = "" if is_default else f"{schema}."

    def rows(query: str) -> cabc.Sequence[t.Any]:
        return connection.execute(sa.text(query), {"schema": schema}).all()

    def made(kind: str, name: str, column: int) -> str:
        place = f"{quote(schema)}.{quote(name)}"
        row = connection.exec_driver_sql(f"SHOW CREATE {kind} {place}").one()
        # Without the right to see it, a text is NULL.
        return _OWNER.sub("", str(row[column] or ""))

    found: _Texts = {}
    views: dict[str, str] = {}
    names = connection.exec_driver_sql(f"SHOW FULL TABLES FROM {quote(schema)}").all()
    for name, kind in names:
        if kind == "VIEW":
            views[name] = made("VIEW", name, 1)
        elif kind == "SEQUENCE":
            text = made("SEQUENCE", name, 1)
            found[Item("sequence", "", f"{prefix}{name}")] = text
        else:
            text = _COUNTER.sub("", made("TABLE", name, 1))
            found.update(_parts(text, "mysql", f"{prefix}{name}"))
    for kind, name in rows(_ROUTINES):
        column = 3 if kind == "EVENT" else 2
        found[Item(kind.lower(), "", f"{prefix}{name}")] = made(kind, name, column)
    for name in _views_in_order(views):
        found[Item("view", "", f"{prefix}{name}")] = views[name]
    for table, name, when, event, body in rows(_TRIGGERS):
        found[Item("trigger", f"{prefix}{table}", name)] = (
            f"CREATE TRIGGER {quote(name)} {when} {event} ON {quote(table)}"
            f" FOR EACH ROW {body}"
        )
    return found


def _views_in_order(views: dict[str, str]) -> list[str]:
    """Return the names of views, each after those that its text names."""
    before = {
        name: {other for other in views if other != name and f"`{other}`" in text}
        for name, text in sorted(views.items())
    }
    try:
        return list(graphlib.TopologicalSorter(before).static_order())
    except graphlib.CycleError:
        # A column has the name of another view.
        return sorted(views)
