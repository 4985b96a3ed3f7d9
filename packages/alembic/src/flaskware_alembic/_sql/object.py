"""Statements on objects other than tables, such as views, routines and roles."""

from __future__ import annotations

import collections.abc as cabc

from .change import Change
from .change import Kind
from .tokens import Reader

# From SQL's name to that of the rules; the longer of two comes first.
_OBJECTS = {
    "MATERIALIZED VIEW": "view", "VIEW": "view", "FUNCTION": "routine",
    "PROCEDURE": "routine", "ROUTINE": "routine", "AGGREGATE": "routine",
    "OPERATOR CLASS": "operator", "OPERATOR FAMILY": "operator", "OPERATOR": "operator",
    "TYPE": "type", "DOMAIN": "type", "SEQUENCE": "sequence", "SCHEMA": "schema",
    "EXTENSION": "extension", "EVENT TRIGGER": "event", "EVENT": "event",
    "TRIGGER": "trigger", "RULE": "trigger", "POLICY": "policy", "ROLE": "role",
    "USER": "role", "GROUP": "role", "SYSTEM": "system", "DATABASE": "database",
    "INDEX": "index", "STATISTICS": "statistics", "COLLATION": "collation",
    "CONVERSION": "collation", "TEXT SEARCH CONFIGURATION": "search",
    "TEXT SEARCH DICTIONARY": "search", "PUBLICATION": "replication",
    "SUBSCRIPTION": "replication", "SERVER": "server", "FOREIGN DATA WRAPPER": "server",
    "TABLESPACE": "tablespace", "LANGUAGE": "routine", "CAST": "cast",
}  # fmt: skip
_ON_TABLE = {"policy", "trigger"}
# The kind of change for an ALTER of each object.
_ALTERED: dict[str, Kind] = {
    "view": "alter_view", "routine": "alter_routine", "sequence": "alter_sequence",
    "policy": "alter_policy", "role": "alter_role", "database": "alter_database",
    "system": "alter_system", "extension": "alter_extension",
}  # fmt: skip
# No client relies on their names.
_UNSEEN = {"event", "index", "statistics", "tablespace"}
_HARMLESS = (
    "ANALYZE", "ATTACH", "CHECK TABLE", "CHECKPOINT", "COMMENT ON", "COPY", "DESCRIBE",
    "DETACH", "DISCARD", "FLUSH", "GRANT", "NOTIFY", "PRAGMA", "RELEASE", "RESET",
    "SAVEPOINT", "SECURITY LABEL", "SHOW", "TABLE", "USE", "VALUES",
)  # fmt: skip


def object_changes(r: Reader) -> cabc.Iterator[Change]:
    """Yield the changes of a statement on something other than a table or its rows."""
    if r.take("CREATE"):
        yield _created(r)
    elif r.take("DROP"):
        yield _dropped(r)
    elif r.take("ALTER DEFAULT PRIVILEGES"):
        yield Change("harmless")
    elif r.take("ALTER"):
        yield _altered(r)
    elif r.take("REVOKE"):
        yield Change("revoke")
    else:
        yield Change("harmless" if r.take_any(*_HARMLESS) else "other")


def _created(r: Reader) -> Change:
    replaces = r.take("OR REPLACE")
    while r.take_any("RECURSIVE", "TEMPORARY", "TEMP", "TRUSTED", "PROCEDURAL"):
        pass
    if r.take("DEFINER ="):
        # MySQL: a user, as `name`@`host`.
        r.next()
        if r.take("@"):
            r.next()
    r.take_any("SQL SECURITY DEFINER", "SQL SECURITY INVOKER")
    what = _object(r)
    r.take("IF NOT EXISTS")
    if what is None:
        return Change("other")
    if what == "policy":
        name = r.name()
        table = r.name() if r.take("ON") else None
        return Change("create_policy", table, name)
    if replaces and what in {"view", "routine"}:
        return Change("replace_object", None, r.name())
    return Change("harmless")


def _dropped(r: Reader) -> Change:
    what = _object(r)
    robust = r.take("IF EXISTS")
    if what is None:
        return Change("other")
    if what == "schema" and r.dialect == "mysql":
        return Change("drop_database", None, r.name())
    if what in {"event", "statistics"}:
        return Change("harmless")
    name, table = r.name(), None
    if what in _ON_TABLE and r.seek("ON"):
        table = r.name()
    cascades = any(token.word == "CASCADE" for token in r.tokens)
    return Change("drop_object", table, name, what, is_robust=robust, cascades=cascades)


def _altered(r: Reader) -> Change:
    what = _object(r)
    r.take("IF EXISTS")
    if what is None:
        return Change("other")
    if what == "system":
        return Change("alter_system")
    name = r.name()
    r.bracketed()
    table = r.name() if what in _ON_TABLE and r.take("ON") else None
    if what == "index":
        moves = r.take("SET TABLESPACE")
        return Change("rewrite_table", None, name) if moves else Change("harmless")
    if r.has("RENAME"):
        kind: Kind = "rename_schema" if what == "schema" else "rename_object"
        seen = what not in _UNSEEN
        new = r.name() if r.seek("TO") else None
        return Change(kind if seen else "harmless", table, name, new)
    if r.take("SET SCHEMA"):
        return Change("move_object", None, name, r.name())
    if r.take("OWNER TO"):
        return Change("change_owner", None, name)
    if what == "replication" and r.take("DROP"):
        return Change("drop_object", None, name, what)
    if what not in _ALTERED:
        return Change("harmless")
    return _changed(r, what, name, table)


def _changed(r: Reader, what: str, name: str, table: str | None) -> Change:
    if r.take("OWNED BY") and r.name() and r.peek().kind == "end":
        return Change("harmless")
    if what == "view" and r.take_any("SET TABLESPACE", "SET ACCESS METHOD"):
        return Change("rewrite_table", name)
    is_default = what == "view" and r.has("DEFAULT")
    if is_default and r.has("DROP DEFAULT"):
        return Change("drop_default", name)
    if what == "extension" and r.take("ADD"):
        return Change("harmless")
    return Change(_ALTERED[what], table, name)


def _object(r: Reader) -> str | None:
    for words, what in _OBJECTS.items():
        if r.take(words):
            return what
    return None
