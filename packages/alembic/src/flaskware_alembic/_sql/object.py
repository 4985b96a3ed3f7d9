"""Reading what is said of objects that are no tables: views, routines, roles."""

from __future__ import annotations

import collections.abc as cabc

from .change import Change
from .change import Kind
from .tokens import Reader

# From what SQL calls it to what the rules do; the longer of two comes first.
_OBJECTS = {
    "MATERIALIZED VIEW": "view",
    "VIEW": "view",
    "FUNCTION": "routine",
    "PROCEDURE": "routine",
    "ROUTINE": "routine",
    "AGGREGATE": "routine",
    "OPERATOR CLASS": "operator",
    "OPERATOR FAMILY": "operator",
    "OPERATOR": "operator",
    "TYPE": "type",
    "DOMAIN": "type",
    "SEQUENCE": "sequence",
    "SCHEMA": "schema",
    "EXTENSION": "extension",
    "EVENT TRIGGER": "event",
    "EVENT": "event",
    "TRIGGER": "trigger",
    "RULE": "trigger",
    "POLICY": "policy",
    "ROLE": "role",
    "USER": "role",
    "GROUP": "role",
    "SYSTEM": "system",
    "DATABASE": "database",
    "INDEX": "index",
    "STATISTICS": "statistics",
    "COLLATION": "collation",
    "CONVERSION": "collation",
    "TEXT SEARCH CONFIGURATION": "search",
    "TEXT SEARCH DICTIONARY": "search",
    "PUBLICATION": "replication",
    "SUBSCRIPTION": "replication",
    "SERVER": "server",
    "FOREIGN DATA WRAPPER": "server",
    "TABLESPACE": "tablespace",
    "LANGUAGE": "routine",
    "CAST": "cast",
}
_ON_TABLE = {"policy", "trigger"}
# What is said of an object beside its name, and which kind of change that is.
_ALTERED: dict[str, Kind] = {
    "view": "alter_view",
    "routine": "alter_routine",
    "sequence": "alter_sequence",
    "policy": "alter_policy",
    "role": "alter_role",
    "database": "alter_database",
    "system": "alter_system",
    "extension": "alter_extension",
}
# Nothing that a client relies on goes by them.
_UNSEEN = {"event", "index", "statistics", "tablespace"}
_HARMLESS = (
    "ANALYZE",
    "ATTACH",
    "CHECK TABLE",
    "CHECKPOINT",
    "COMMENT ON",
    "COPY",
    "DESCRIBE",
    "DETACH",
    "DISCARD",
    "FLUSH",
    "GRANT",
    "NOTIFY",
    "PRAGMA",
    "RELEASE",
    "RESET",
    "SAVEPOINT",
    "SECURITY LABEL",
    "SHOW",
    "TABLE",
    "USE",
    "VALUES",
)


class ObjectReader(Reader):
    """A statement that no table is named first in."""

    def object(self) -> cabc.Iterator[Change]:
        """What a statement does that is none about tables and rows."""
        if self._take("CREATE"):
            yield self._created()
        elif self._take("DROP"):
            yield self._dropped()
        elif self._take("ALTER DEFAULT PRIVILEGES"):
            yield Change("harmless")
        elif self._take("ALTER"):
            yield self._altered()
        elif self._take("REVOKE"):
            yield Change("revoke")
        else:
            yield Change("harmless" if self._take_any(*_HARMLESS) else "other")

    def _created(self) -> Change:
        replaces = self._take("OR REPLACE")
        while self._take_any("RECURSIVE", "TEMPORARY", "TEMP", "TRUSTED", "PROCEDURAL"):
            pass
        if self._take("DEFINER ="):
            # MySQL: a user, as `name`@`host`.
            self._next()
            if self._take("@"):
                self._next()
        self._take_any("SQL SECURITY DEFINER", "SQL SECURITY INVOKER")
        what = self._object()
        self._take("IF NOT EXISTS")
        if what is None:
            return Change("other")
        if what == "policy":
            name = self._name()
            table = self._name() if self._take("ON") else None
            return Change("create_policy", table, name)
        if replaces and what in {"view", "routine"}:
            return Change("replace_object", None, self._name())
        return Change("harmless")

    def _dropped(self) -> Change:
        what = self._object()
        robust = self._take("IF EXISTS")
        if what is None:
            return Change("other")
        if what in {"event", "statistics"}:
            return Change("harmless")
        name, table = self._name(), None
        if what in _ON_TABLE and self._seek("ON"):
            table = self._name()
        cascades = any(token.word == "CASCADE" for token in self._tokens)
        return Change(
            "drop_object", table, name, what, is_robust=robust, cascades=cascades
        )

    def _altered(self) -> Change:
        what = self._object()
        self._take("IF EXISTS")
        if what is None:
            return Change("other")
        if what == "system":
            return Change("alter_system")
        name = self._name()
        self._bracketed()
        table = self._name() if what in _ON_TABLE and self._take("ON") else None
        if what == "index":
            moves = self._take("SET TABLESPACE")
            return Change("rewrite_table", None, name) if moves else Change("harmless")
        if self._has("RENAME"):
            kind: Kind = "rename_schema" if what == "schema" else "rename_object"
            seen = what not in _UNSEEN
            new = self._name() if self._seek("TO") else None
            return Change(kind if seen else "harmless", table, name, new)
        if self._take("SET SCHEMA"):
            return Change("move_object", None, name, self._name())
        if self._take("OWNER TO") or what not in _ALTERED:
            return Change("harmless")
        is_default = what == "view" and self._has("DEFAULT")
        if is_default and self._has("DROP DEFAULT"):
            return Change("drop_default", name)
        if what == "extension" and self._take("ADD"):
            return Change("harmless")
        return Change(_ALTERED[what], table, name)

    def _object(self) -> str | None:
        for words, what in _OBJECTS.items():
            if self._take(words):
                return what
        return None
