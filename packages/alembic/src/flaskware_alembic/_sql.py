"""Reading the SQL of a revision: as much of the grammar as tells what locks."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re

from ._change import Change
from ._change import ColumnInfo
from ._change import Kind
from ._tokens import Reader
from ._tokens import split
from ._tokens import statements
from ._tokens import Token


def changes_of_sql(text: str) -> list[Change]:
    """What the statements of a text do; one that is not understood is ``"other"``."""
    found: list[Change] = []
    for tokens in statements(text):
        source = text[tokens[0].start : tokens[-1].end]
        changes = list(_Statement(tokens).changes())
        found.extend(dc.replace(change, text=source) for change in changes)
    return found


class _Statement(Reader):
    """A statement, or an action of one."""

    def changes(self) -> cabc.Iterator[Change]:
        for words, method in _FIRST:
            if self._take(words):
                yield from getattr(self, method)()
                return
        yield Change("other")

    # Statements

    def alter_table(self) -> cabc.Iterator[Change]:
        self._take("IF EXISTS")
        self._take("ONLY")
        table = self._name()
        self._take("*")
        for action in split(self._rest()):
            yield from _Statement(action).action(table)

    def create_index(self, *, is_unique: bool = False) -> cabc.Iterator[Change]:
        concurrently = self._take("CONCURRENTLY")
        robust = self._take("IF NOT EXISTS")
        name = None if self._peek().word == "ON" else self._name()
        if not self._seek("ON"):
            yield Change("other")
            return
        self._take("ONLY")
        table = self._name()
        if self._take("USING"):
            self._next()
        columns = tuple(ColumnInfo(part[0].identifier) for part in self._brackets())
        yield Change(
            "create_index",
            table,
            name,
            columns=columns,
            is_unique=is_unique,
            is_flagged=concurrently,
            is_robust=robust,
        )

    def create_unique_index(self) -> cabc.Iterator[Change]:
        return self.create_index(is_unique=True)

    def create_special_index(self) -> cabc.Iterator[Change]:
        kind = self._tokens[self._at - 2].text.lower()
        for change in self.create_index():
            yield dc.replace(change, other=kind)

    def drop_index(self) -> cabc.Iterator[Change]:
        concurrently = self._take("CONCURRENTLY")
        robust = self._take("IF EXISTS")
        name = self._name()
        table = self._name() if self._take("ON") else None
        yield Change(
            "drop_index", table, name, is_flagged=concurrently, is_robust=robust
        )

    def create_table(self) -> cabc.Iterator[Change]:
        robust = self._take("IF NOT EXISTS")
        table = self._name()
        columns = tuple(
            _column(part) for part in self._brackets() if not _is_constraint(part)
        )
        yield Change("create_table", table, columns=columns, is_robust=robust)

    def drop_table(self) -> cabc.Iterator[Change]:
        robust = self._take("IF EXISTS")
        for part in split(self._rest()):
            name = _Statement(part)._name()
            cascades = part[-1].word == "CASCADE"
            yield Change("drop_table", name, is_robust=robust, cascades=cascades)

    def truncate(self) -> cabc.Iterator[Change]:
        self._take("TABLE")
        cascades = self._has("CASCADE")
        for part in split(self._rest()):
            statement = _Statement(part)
            statement._take("ONLY")
            yield Change("truncate", statement._name(), cascades=cascades)

    def rename_tables(self) -> cabc.Iterator[Change]:
        for part in split(self._rest()):
            statement = _Statement(part)
            table = statement._name()
            statement._take("TO")
            yield Change("rename_table", table, None, statement._name())

    def drop_database(self) -> cabc.Iterator[Change]:
        self._take("IF EXISTS")
        yield Change("drop_database", None, self._name())

    def alter_schema(self) -> cabc.Iterator[Change]:
        name = self._name()
        if self._take("RENAME TO"):
            yield Change("rename_schema", None, name, self._name())
        else:
            yield Change("harmless")

    def create_domain(self) -> cabc.Iterator[Change]:
        name = self._name()
        constrained = self._has("CHECK") or self._has("NOT NULL")
        yield Change("create_domain", None, name, is_flagged=not constrained)

    def alter_domain(self) -> cabc.Iterator[Change]:
        name = self._name()
        adds = self._has("ADD") and not self._has("NOT VALID")
        yield Change("alter_domain", None, name, is_flagged=not adds)

    def alter_type(self) -> cabc.Iterator[Change]:
        name = self._name()
        if self._take("ADD VALUE"):
            ordered = self._has("BEFORE") or self._has("AFTER")
            yield Change("add_enum_value", None, name, is_flagged=ordered)
        else:
            yield Change("other")

    def update(self) -> cabc.Iterator[Change]:
        self._take("ONLY")
        yield Change("update", self._name())

    def delete(self) -> cabc.Iterator[Change]:
        self._take("ONLY")
        yield Change("delete", self._name())

    def insert(self) -> cabc.Iterator[Change]:
        yield Change("insert", self._name())

    def transaction(self) -> cabc.Iterator[Change]:
        yield Change("transaction")

    def set(self) -> cabc.Iterator[Change]:
        self._take_any("LOCAL", "SESSION")
        name = self._next().identifier
        timeouts = {"lock_timeout", "lock_wait_timeout", "innodb_lock_wait_timeout"}
        kind: Kind = "set_timeout" if name in timeouts else "harmless"
        yield Change(kind, None, name)

    def lock(self) -> cabc.Iterator[Change]:
        self._take_any("TABLES", "TABLE")
        self._take("ONLY")
        yield Change("lock_table", self._name())

    def reindex(self) -> cabc.Iterator[Change]:
        concurrently = any(token.word == "CONCURRENTLY" for token in self._tokens)
        self._brackets()
        kind = self._next().word
        self._take("CONCURRENTLY")
        name = self._name()
        table = name if kind == "TABLE" else None
        yield Change("reindex", table, name, is_flagged=concurrently)

    def refresh_view(self) -> cabc.Iterator[Change]:
        concurrently = self._take("CONCURRENTLY")
        yield Change("refresh_view", self._name(), is_flagged=concurrently)

    def vacuum_full(self) -> cabc.Iterator[Change]:
        yield Change("rewrite_table", self._name())

    def cluster(self) -> cabc.Iterator[Change]:
        self._take("VERBOSE")
        yield Change("rewrite_table", self._name())

    def optimize(self) -> cabc.Iterator[Change]:
        yield Change("rewrite_table", self._name())

    def create_trigger(self) -> cabc.Iterator[Change]:
        name = self._name()
        table = self._name() if self._seek("ON") else None
        yield Change("create_trigger", table, name)

    def harmless(self) -> cabc.Iterator[Change]:
        yield Change("harmless")

    # The actions of ALTER TABLE

    def action(self, table: str) -> cabc.Iterator[Change]:
        for words, method in _ACTIONS:
            if self._take(words):
                yield from getattr(self, method)(table)
                return
        yield Change("other", table)

    def add(self, table: str) -> cabc.Iterator[Change]:
        name = self._name() if self._take("CONSTRAINT") else None
        if self._take_any("UNIQUE KEY", "UNIQUE INDEX", "UNIQUE"):
            yield from self._add_unique(table, name)
        elif self._take("PRIMARY KEY"):
            flagged = self._take("USING INDEX")
            yield Change("add_primary_key", table, name, is_flagged=flagged)
        elif self._take("FOREIGN KEY"):
            columns = tuple(ColumnInfo(p[0].identifier) for p in self._brackets())
            other = self._name() if self._seek("REFERENCES") else None
            valid = self._has("NOT VALID")
            yield Change(
                "add_foreign_key", table, name, other, columns, is_flagged=valid
            )
        elif self._take("CHECK"):
            flagged = self._has("NOT VALID")
            yield Change("add_check", table, name, is_flagged=flagged)
        elif self._take("EXCLUDE"):
            yield Change("add_exclude", table, name)
        elif self._take_any("FULLTEXT", "SPATIAL", "INDEX", "KEY"):
            yield from self._add_index(table)
        else:
            self._take("COLUMN")
            robust = self._take("IF NOT EXISTS")
            yield from self._add_column(table, robust)

    def _add_unique(self, table: str, name: str | None) -> cabc.Iterator[Change]:
        if self._take("USING INDEX"):
            yield Change("add_unique", table, name or self._name(), is_flagged=True)
            return
        if self._peek().text != "(":
            name = self._name()
        columns = tuple(ColumnInfo(part[0].identifier) for part in self._brackets())
        yield Change("add_unique", table, name, columns=columns)

    def _add_index(self, table: str) -> cabc.Iterator[Change]:
        word = self._tokens[self._at - 1].text.lower()
        kind = word if word in {"fulltext", "spatial"} else None
        self._take_any("INDEX", "KEY")
        name = None if self._peek().text == "(" else self._name()
        columns = tuple(ColumnInfo(part[0].identifier) for part in self._brackets())
        yield Change("create_index", table, name, kind, columns)

    def _add_column(self, table: str, robust: bool) -> cabc.Iterator[Change]:
        tokens = self._rest()
        info = _column(tokens)
        yield Change("add_column", table, info.name, columns=(info,), is_robust=robust)
        statement = _Statement(tokens)
        if statement._seek("REFERENCES"):
            other = statement._name()
            yield Change("add_foreign_key", table, None, other, (info,))
        if info.is_unique:
            yield Change("add_unique", table, None, columns=(info,))

    def alter_column(self, table: str) -> cabc.Iterator[Change]:
        self._take("COLUMN")
        name = self._name()
        if self._take_any("SET DATA TYPE", "TYPE"):
            info = ColumnInfo(name, _type_of(self._rest()))
            yield Change("alter_type", table, name, columns=(info,))
        elif self._take("SET NOT NULL"):
            yield Change("set_not_null", table, name)
        elif self._take("DROP NOT NULL"):
            yield Change("drop_not_null", table, name)
        elif self._take_any("SET DEFAULT", "DROP DEFAULT"):
            yield Change("set_default", table, name)
        else:
            yield Change("harmless", table, name)

    def modify(self, table: str) -> cabc.Iterator[Change]:
        """MySQL's way to say a whole column anew."""
        self._take("COLUMN")
        info = _column(self._rest())
        yield Change("alter_type", table, info.name, columns=(info,))

    def change(self, table: str) -> cabc.Iterator[Change]:
        """MySQL's way to say it anew under another name."""
        self._take("COLUMN")
        name = self._name()
        info = _column(self._rest())
        if info.name != name:
            yield Change("rename_column", table, name, info.name, columns=(info,))
        yield Change("alter_type", table, name, columns=(info,))

    def drop(self, table: str) -> cabc.Iterator[Change]:
        if self._take_any("CONSTRAINT", "FOREIGN KEY", "CHECK"):
            robust = self._take("IF EXISTS")
            yield Change("drop_constraint", table, self._name(), is_robust=robust)
        elif self._take("PRIMARY KEY"):
            yield Change("drop_constraint", table, None, "primary")
        elif self._take_any("INDEX", "KEY"):
            yield Change("drop_index", table, self._name())
        else:
            self._take("COLUMN")
            robust = self._take("IF EXISTS")
            name = self._name()
            cascades = self._take("CASCADE")
            yield Change(
                "drop_column", table, name, is_robust=robust, cascades=cascades
            )

    def rename(self, table: str) -> cabc.Iterator[Change]:
        if self._take_any("TO", "AS"):
            yield Change("rename_table", table, None, self._name())
        elif self._take_any("CONSTRAINT", "INDEX", "KEY"):
            yield Change("harmless", table)
        else:
            self._take("COLUMN")
            name = self._name()
            self._take("TO")
            yield Change("rename_column", table, name, self._name())

    def validate(self, table: str) -> cabc.Iterator[Change]:
        yield Change("validate_constraint", table, self._name())

    def rewrite(self, table: str) -> cabc.Iterator[Change]:
        yield Change("rewrite_table", table)

    def detach(self, table: str) -> cabc.Iterator[Change]:
        name = self._name()
        flagged = self._take("CONCURRENTLY")
        yield Change("detach_partition", table, name, is_flagged=flagged)

    def harmless_action(self, table: str) -> cabc.Iterator[Change]:
        yield Change("harmless", table)


_FIRST = (
    ("ALTER TABLE", "alter_table"),
    ("CREATE UNIQUE INDEX", "create_unique_index"),
    ("CREATE FULLTEXT INDEX", "create_special_index"),
    ("CREATE SPATIAL INDEX", "create_special_index"),
    ("CREATE INDEX", "create_index"),
    ("DROP INDEX", "drop_index"),
    ("CREATE TABLE", "create_table"),
    ("CREATE TEMPORARY TABLE", "harmless"),
    ("CREATE TEMP TABLE", "harmless"),
    ("DROP TABLE", "drop_table"),
    ("RENAME TABLE", "rename_tables"),
    ("TRUNCATE", "truncate"),
    ("DROP DATABASE", "drop_database"),
    ("ALTER SCHEMA", "alter_schema"),
    ("CREATE DOMAIN", "create_domain"),
    ("ALTER DOMAIN", "alter_domain"),
    ("ALTER TYPE", "alter_type"),
    ("UPDATE", "update"),
    ("DELETE FROM", "delete"),
    ("INSERT INTO", "insert"),
    ("REPLACE INTO", "insert"),
    ("BEGIN", "transaction"),
    ("START TRANSACTION", "transaction"),
    ("COMMIT", "transaction"),
    ("ROLLBACK", "transaction"),
    ("SET", "set"),
    ("LOCK", "lock"),
    ("REINDEX", "reindex"),
    ("REFRESH MATERIALIZED VIEW", "refresh_view"),
    ("VACUUM FULL", "vacuum_full"),
    ("VACUUM ( FULL )", "vacuum_full"),
    ("CLUSTER", "cluster"),
    ("OPTIMIZE TABLE", "optimize"),
    ("CREATE TRIGGER", "create_trigger"),
    ("CREATE OR REPLACE TRIGGER", "create_trigger"),
    ("CREATE CONSTRAINT TRIGGER", "create_trigger"),
    ("CREATE TYPE", "harmless"),
    ("CREATE SCHEMA", "harmless"),
    ("CREATE SEQUENCE", "harmless"),
    ("CREATE EXTENSION", "harmless"),
    ("CREATE FUNCTION", "harmless"),
    ("CREATE OR REPLACE FUNCTION", "harmless"),
    ("CREATE VIEW", "harmless"),
    ("CREATE OR REPLACE VIEW", "harmless"),
    ("COMMENT ON", "harmless"),
    ("GRANT", "harmless"),
    ("REVOKE", "harmless"),
    ("ANALYZE", "harmless"),
    ("SELECT", "harmless"),
    ("PRAGMA", "harmless"),
)
_ACTIONS = (
    ("ADD", "add"),
    ("ALTER", "alter_column"),
    ("MODIFY", "modify"),
    ("CHANGE", "change"),
    ("DROP", "drop"),
    ("RENAME", "rename"),
    ("VALIDATE CONSTRAINT", "validate"),
    ("SET TABLESPACE", "rewrite"),
    ("SET LOGGED", "rewrite"),
    ("SET UNLOGGED", "rewrite"),
    ("CONVERT TO", "rewrite"),
    ("ENGINE", "rewrite"),
    ("FORCE", "rewrite"),
    ("DETACH PARTITION", "detach"),
    ("SET (", "harmless_action"),
    ("OWNER TO", "harmless_action"),
)
_CONSTRAINT_WORDS = {
    "CHECK",
    "CONSTRAINT",
    "EXCLUDE",
    "FOREIGN",
    "FULLTEXT",
    "INDEX",
    "KEY",
    "LIKE",
    "PRIMARY",
    "SPATIAL",
    "UNIQUE",
}
# What ends the type of a column and starts something else about it.
_AFTER_TYPE = {
    "AFTER",
    "AS",
    "AUTO_INCREMENT",
    "CHECK",
    "COLLATE",
    "COMMENT",
    "CONSTRAINT",
    "DEFAULT",
    "FIRST",
    "GENERATED",
    "NOT",
    "NULL",
    "PERSISTENT",
    "PRIMARY",
    "REFERENCES",
    "STORED",
    "UNIQUE",
    "USING",
    "VIRTUAL",
}


def _is_constraint(part: cabc.Sequence[Token]) -> bool:
    return part[0].word in _CONSTRAINT_WORDS


def _column(tokens: cabc.Sequence[Token]) -> ColumnInfo:
    statement = _Statement(tokens)
    name = statement._name()
    type_ = _type_of(statement._rest())
    words = " ".join(token.word for token in tokens)
    default = re.search(r"\bDEFAULT\b", words)
    return ColumnInfo(
        name,
        type_,
        nullable="NOT NULL" not in words and "PRIMARY KEY" not in words,
        default=_default_of(tokens) if default else None,
        is_key="PRIMARY KEY" in words,
        is_serial="serial" in type_ or "AUTO_INCREMENT" in words,
        is_identity="AS IDENTITY" in words,
        is_stored="STORED" in words or "PERSISTENT" in words,
        has_reference="REFERENCES" in words,
        is_unique="UNIQUE" in words,
    )


def _type_of(tokens: cabc.Sequence[Token]) -> str:
    text = ""
    for token in tokens:
        if token.word in _AFTER_TYPE:
            break
        joins = not text or token.text in "(),[]" or text.endswith(("(", ","))
        text += token.text if joins else f" {token.text}"
    return text.lower()


def _default_of(tokens: cabc.Sequence[Token]) -> str:
    at = next(i for i, token in enumerate(tokens) if token.word == "DEFAULT")
    text, depth = "", 0
    for token in tokens[at + 1 :]:
        if depth == 0 and text and token.word in _AFTER_TYPE:
            break
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        text += token.text
    return text
