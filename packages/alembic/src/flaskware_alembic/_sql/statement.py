"""Reading the SQL of a revision: as much of the grammar as tells what locks."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc

from .block import statements_of_block
from .change import Change
from .change import ColumnInfo
from .change import Kind
from .object import ObjectReader
from .table import TableReader
from .table import text_of
from .tokens import split
from .tokens import statements


def changes_of_sql(text: str, dialect: str) -> list[Change]:
    """What the statements of a text do; one that is not understood is ``"other"``.

    :param dialect: MariaDB counts as ``"mysql"``; what is unknown as PostgreSQL.
    """
    family = {"mariadb": "mysql", "mysql": "mysql", "sqlite": "sqlite"}
    known = family.get(dialect, "postgresql")
    found: list[Change] = []
    for tokens in statements(text, known):
        source = text[tokens[0].start : tokens[-1].end]
        if any(token.kind == "broken" for token in tokens):
            # A quote that nothing closes: what is inside of it cannot be told.
            changes = [Change("other")]
        else:
            changes = list(_Statement(tokens, known).changes())
        found.extend(dc.replace(change, text=source) for change in changes)
    return found


class _Statement(TableReader, ObjectReader):
    """A statement, or an action of one."""

    def changes(self) -> cabc.Iterator[Change]:
        for words, method in _FIRST:
            if self._take(words):
                yield from getattr(self, method)()
                return
        yield from self.object()

    # Statements

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
        parts = self._brackets()
        columns = self.declared(parts)
        readers = [self._on(part) for part in parts]
        refers = tuple(r._name() for r in readers if r._seek("REFERENCES"))
        yield Change(
            "create_table", table, columns=columns, refers=refers, is_robust=robust
        )

    def replace_table(self) -> cabc.Iterator[Change]:
        for change in self.create_table():
            yield Change("drop_table", change.table)
            yield change

    def select(self) -> cabc.Iterator[Change]:
        if self._dialect == "postgresql" and self._seek("INTO"):
            self._take_any("TEMPORARY", "TEMP", "UNLOGGED")
            self._take("TABLE")
            yield Change("create_table", self._name())
        else:
            yield Change("harmless")

    def common(self) -> cabc.Iterator[Change]:
        """WITH: what each of its parts does, and what comes after them."""
        self._take("RECURSIVE")
        found: list[Change] = []
        while True:
            self._name()
            self._brackets()
            if not self._take("AS"):
                yield Change("other")
                return
            self._take("NOT")
            self._take("MATERIALIZED")
            inner = self._bracketed()
            found.extend(self._on(inner).changes())
            if not self._take(","):
                break
        found.extend(self._on(self._rest()).changes())
        active = [change for change in found if change.kind != "harmless"]
        yield from active or [Change("harmless")]

    def merge(self) -> cabc.Iterator[Change]:
        self._take("ONLY")
        yield Change("update", self._name())

    def block(self) -> cabc.Iterator[Change]:
        """DO: what the statements of its body do."""
        body = next((t for t in self._rest() if t.kind in {"dollar", "string"}), None)
        if body is None:
            yield Change("other")
            return
        for tokens in statements_of_block(body.inside, self._dialect):
            if any(token.kind == "broken" for token in tokens):
                yield Change("other")
            else:
                yield from self._on(tokens).changes()

    def explain(self) -> cabc.Iterator[Change]:
        self._brackets()
        while self._take_any("ANALYZE", "VERBOSE"):
            pass
        yield from self._on(self._rest()).changes()

    def drop_table(self) -> cabc.Iterator[Change]:
        robust = self._take("IF EXISTS")
        for part in split(self._rest()):
            name = self._on(part)._name()
            cascades = part[-1].word == "CASCADE"
            yield Change("drop_table", name, is_robust=robust, cascades=cascades)

    def truncate(self) -> cabc.Iterator[Change]:
        self._take("TABLE")
        cascades = self._has("CASCADE")
        for part in split(self._rest()):
            statement = self._on(part)
            statement._take("ONLY")
            yield Change("truncate", statement._name(), cascades=cascades)

    def rename_tables(self) -> cabc.Iterator[Change]:
        for part in split(self._rest()):
            statement = self._on(part)
            table = statement._name()
            statement._take("TO")
            yield Change("rename_table", table, None, statement._name())

    def drop_database(self) -> cabc.Iterator[Change]:
        self._take("IF EXISTS")
        yield Change("drop_database", None, self._name())

    def create_domain(self) -> cabc.Iterator[Change]:
        name = self._name()
        constrained = self._has("CHECK") or self._has("NOT NULL")
        yield Change("create_domain", None, name, is_flagged=not constrained)

    def alter_domain(self) -> cabc.Iterator[Change]:
        name = self._name()
        if self._take("RENAME TO"):
            yield Change("rename_object", None, name)
        elif self._take("SET SCHEMA"):
            yield Change("move_object", None, name, self._name())
        elif self._take("DROP DEFAULT"):
            yield Change("drop_default", None, name)
        else:
            checks = self._has("ADD") or self._has("SET NOT NULL")
            adds = checks and not self._has("NOT VALID")
            yield Change("alter_domain", None, name, is_flagged=not adds)

    def alter_type(self) -> cabc.Iterator[Change]:
        name = self._name()
        if self._take("ADD VALUE"):
            ordered = self._has("BEFORE") or self._has("AFTER")
            yield Change("add_enum_value", None, name, is_flagged=ordered)
        elif self._take_any("RENAME VALUE", "RENAME ATTRIBUTE", "RENAME TO"):
            yield Change("rename_object", None, name)
        elif self._take("SET SCHEMA"):
            yield Change("move_object", None, name, self._name())
        elif self._take_any("ADD ATTRIBUTE", "DROP ATTRIBUTE", "ALTER ATTRIBUTE"):
            yield Change("alter_composite", None, name)
        elif self._take_any("OWNER TO", "SET ("):
            yield Change("harmless")
        else:
            yield Change("other")

    def update(self) -> cabc.Iterator[Change]:
        self._take("ONLY")
        table = self._name()
        columns: tuple[ColumnInfo, ...] = ()
        if self._seek("SET"):
            columns = tuple(ColumnInfo(name) for name in self._assigned())
        yield Change("update", table, columns=columns)

    def _assigned(self) -> cabc.Iterator[str]:
        for part in split(self._rest()):
            reader = self._on(part)
            if reader._peek().text != "(":
                name = reader._name()
                if reader._take("="):
                    yield name

    def delete(self) -> cabc.Iterator[Change]:
        self._take("ONLY")
        yield Change("delete", self._name())

    def insert(self) -> cabc.Iterator[Change]:
        yield Change("insert", self._name())

    def transaction(self) -> cabc.Iterator[Change]:
        yield Change("transaction")

    def set(self) -> cabc.Iterator[Change]:
        self._take_any("LOCAL", "SESSION", "@ @ SESSION .")
        name = self._next().identifier
        kind: Kind = "set_timeout" if name in _TIMEOUTS else "harmless"
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

    def vacuum(self) -> cabc.Iterator[Change]:
        options = text_of(self._bracketed()).upper() if self._peek().text == "(" else ""
        full = self._take("FULL") or options.startswith("FULL") or ",FULL" in options
        while self._take_any("VERBOSE", "ANALYZE", "FREEZE"):
            pass
        if full or self._dialect == "sqlite":
            yield Change("rewrite_table", self._name() or None)
        else:
            yield Change("harmless")

    def repack(self) -> cabc.Iterator[Change]:
        """PostgreSQL 19."""
        options = text_of(self._bracketed()).upper() if self._peek().text == "(" else ""
        yield Change(
            "harmless" if "CONCURRENTLY" in options else "rewrite_table", self._name()
        )

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


_FIRST = (
    ("ALTER TABLE", "alter_table"),
    ("ALTER ONLINE TABLE", "alter_table"),
    ("ALTER IGNORE TABLE", "alter_table"),
    ("ALTER FOREIGN TABLE", "alter_table"),
    ("CREATE UNIQUE INDEX", "create_unique_index"),
    ("CREATE FULLTEXT INDEX", "create_special_index"),
    ("CREATE SPATIAL INDEX", "create_special_index"),
    ("CREATE INDEX", "create_index"),
    ("DROP INDEX", "drop_index"),
    ("CREATE TABLE", "create_table"),
    ("CREATE OR REPLACE TABLE", "replace_table"),
    ("CREATE UNLOGGED TABLE", "create_table"),
    ("CREATE FOREIGN TABLE", "create_table"),
    ("CREATE VIRTUAL TABLE", "create_table"),
    ("CREATE TEMPORARY TABLE", "create_table"),
    ("CREATE TEMP TABLE", "create_table"),
    ("DROP TABLE", "drop_table"),
    ("DROP TEMPORARY TABLE", "drop_table"),
    ("RENAME TABLE", "rename_tables"),
    ("TRUNCATE", "truncate"),
    ("DROP DATABASE", "drop_database"),
    ("CREATE DOMAIN", "create_domain"),
    ("ALTER DOMAIN", "alter_domain"),
    ("ALTER TYPE", "alter_type"),
    ("WITH", "common"),
    ("UPDATE", "update"),
    ("DELETE FROM", "delete"),
    ("MERGE INTO", "merge"),
    ("INSERT INTO", "insert"),
    ("INSERT OR IGNORE INTO", "insert"),
    ("INSERT OR REPLACE INTO", "insert"),
    ("INSERT IGNORE INTO", "insert"),
    ("REPLACE INTO", "insert"),
    ("BEGIN", "transaction"),
    ("START TRANSACTION", "transaction"),
    ("COMMIT", "transaction"),
    ("ROLLBACK TO", "harmless"),
    ("ROLLBACK", "transaction"),
    ("ABORT", "transaction"),
    ("END", "transaction"),
    ("SET TRANSACTION", "harmless"),
    ("SET", "set"),
    ("LOCK", "lock"),
    ("UNLOCK TABLES", "harmless"),
    ("REINDEX", "reindex"),
    ("REFRESH MATERIALIZED VIEW", "refresh_view"),
    ("VACUUM", "vacuum"),
    ("REPACK", "repack"),
    ("CLUSTER", "cluster"),
    ("OPTIMIZE TABLE", "optimize"),
    ("CREATE TRIGGER", "create_trigger"),
    ("CREATE OR REPLACE TRIGGER", "create_trigger"),
    ("CREATE CONSTRAINT TRIGGER", "create_trigger"),
    ("SELECT", "select"),
    ("DO", "block"),
    ("EXPLAIN", "explain"),
)
_TIMEOUTS = {"lock_timeout", "lock_wait_timeout", "innodb_lock_wait_timeout"}
