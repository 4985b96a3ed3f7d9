"""SQL statements of a revision, as changes of a schema.

It reads as much of the grammar as decides on locks. Two libraries were considered, with
the statements that the tests try on the servers. sqlglot 30 takes 62 of 196 for an
opaque command on PostgreSQL and refuses 3; on MariaDB it is 18 and 3 of 188. Among them
are the dangerous statements. pglast 8, PostgreSQL's own parser, has 33 MB and reads all
of the first, but 50 of the second, and nothing of SQLite.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc

from .block import statements_of_block
from .change import Change
from .change import ColumnInfo
from .change import Kind
from .object import object_changes
from .table import alter_table
from .table import declared_columns
from .table import text_of
from .tokens import Reader
from .tokens import split
from .tokens import statements


def changes_of_sql(text: str, dialect: str) -> list[Change]:
    """Return the changes that SQL makes; an unknown statement is ``"other"``.

    :param dialect: MariaDB counts as ``"mysql"``, an unknown name as PostgreSQL.
    """
    family = {"mariadb": "mysql", "mysql": "mysql", "sqlite": "sqlite"}
    known = family.get(dialect, "postgresql")
    found: list[Change] = []
    for tokens in statements(text, known):
        source = text[tokens[0].start : tokens[-1].end]
        if any(token.kind == "broken" for token in tokens):
            # A quote that is never closed: its content cannot be read.
            changes = [Change("other")]
        else:
            changes = list(_changes(Reader(tokens, known)))
        found.extend(dc.replace(change, text=source) for change in changes)
    return found


def _changes(r: Reader) -> cabc.Iterator[Change]:
    for kind, choices in _PLAIN:
        if r.take_any(*choices):
            yield Change(kind)
            return
    for function, choices in _STATEMENTS.items():
        if r.take_any(*choices):
            yield from function(r)
            return
    yield from object_changes(r)


def _create_index(r: Reader, *, is_unique: bool = False) -> cabc.Iterator[Change]:
    concurrently = r.take("CONCURRENTLY")
    robust = r.take("IF NOT EXISTS")
    name = None if r.peek().word == "ON" else r.name()
    if not r.seek("ON"):
        yield Change("other")
        return
    # PostgreSQL: the index of a partitioned table, and of none of its partitions.
    kind = "only" if r.take("ONLY") else None
    table = r.name()
    if r.take("USING"):
        r.next()
    columns = tuple(ColumnInfo(part[0].identifier) for part in r.brackets())
    yield Change(
        "create_index",
        table,
        name,
        kind,
        columns=columns,
        is_unique=is_unique,
        is_flagged=concurrently,
        is_robust=robust,
    )


def _create_unique_index(r: Reader) -> cabc.Iterator[Change]:
    return _create_index(r, is_unique=True)


def _create_special_index(r: Reader) -> cabc.Iterator[Change]:
    kind = r.tokens[r.at - 2].text.lower()
    for change in _create_index(r):
        yield dc.replace(change, other=kind)


def _drop_index(r: Reader) -> cabc.Iterator[Change]:
    concurrently = r.take("CONCURRENTLY")
    robust = r.take("IF EXISTS")
    name = r.name()
    table = r.name() if r.take("ON") else None
    yield Change("drop_index", table, name, is_flagged=concurrently, is_robust=robust)


def _create_table(r: Reader) -> cabc.Iterator[Change]:
    robust = r.take("IF NOT EXISTS")
    table = r.name()
    if r.take("PARTITION OF"):
        parent = r.name()
        kind = "default" if r.has("DEFAULT") else None
        yield Change("add_partition", parent, table, kind)
    parts = r.brackets()
    columns = declared_columns(r, parts)
    readers = [r.part(part) for part in parts]
    refers = tuple(r.name() for r in readers if r.seek("REFERENCES"))
    yield Change(
        "create_table",
        table,
        columns=columns,
        refers=refers,
        is_robust=robust,
        is_partitioned=r.has("PARTITION BY"),
    )


def _replace_table(r: Reader) -> cabc.Iterator[Change]:
    for change in _create_table(r):
        yield Change("drop_table", change.table)
        yield change


def _select(r: Reader) -> cabc.Iterator[Change]:
    if r.dialect == "postgresql" and r.seek("INTO"):
        r.take_any("TEMPORARY", "TEMP", "UNLOGGED")
        r.take("TABLE")
        yield Change("create_table", r.name())
    else:
        yield Change("harmless")


def _common(r: Reader) -> cabc.Iterator[Change]:
    """Read WITH: the changes of each part, and of the statement after them."""
    r.take("RECURSIVE")
    found: list[Change] = []
    while True:
        r.name()
        r.brackets()
        if not r.take("AS"):
            yield Change("other")
            return
        r.take("NOT")
        r.take("MATERIALIZED")
        inner = r.bracketed()
        found.extend(_changes(r.part(inner)))
        if not r.take(","):
            break
    found.extend(_changes(r.part(r.rest())))
    active = [change for change in found if change.kind != "harmless"]
    yield from active or [Change("harmless")]


def _merge(r: Reader) -> cabc.Iterator[Change]:
    r.take("ONLY")
    yield Change("update", r.name())


def _block(r: Reader) -> cabc.Iterator[Change]:
    """Read DO: the changes of the statements in its body."""
    body = next((t for t in r.rest() if t.kind in {"dollar", "string"}), None)
    if body is None:
        yield Change("other")
        return
    for tokens in statements_of_block(body.inside, r.dialect):
        if any(token.kind == "broken" for token in tokens):
            yield Change("other")
        else:
            yield from _changes(r.part(tokens))


def _explain(r: Reader) -> cabc.Iterator[Change]:
    """Read EXPLAIN, which runs its statement only with ANALYZE."""
    options = [[token.word for token in part] for part in r.brackets()]
    runs = any(
        words[0] in {"ANALYZE", "ANALYSE"} and words[-1] not in {"OFF", "FALSE", "0"}
        for words in options
    )
    while word := r.peek().word:
        if word not in {"ANALYZE", "ANALYSE", "VERBOSE"}:
            break
        runs |= word != "VERBOSE"
        r.next()
    if runs:
        yield from _changes(r.part(r.rest()))
    else:
        yield Change("harmless")


def _for(r: Reader) -> cabc.Iterator[Change]:
    """Read SET STATEMENT, MariaDB's settings of one statement."""
    if not r.seek("FOR"):
        yield Change("other")
        return
    yield from _changes(r.part(r.rest()))


def _flush(r: Reader) -> cabc.Iterator[Change]:
    r.take_any("LOCAL", "NO_WRITE_TO_BINLOG")
    locks = r.has("WITH READ LOCK") or r.has("FOR EXPORT")
    r.take_any("TABLES", "TABLE")
    table = None if r.peek().word == "WITH" else r.name()
    yield Change("lock_table" if locks else "harmless", table)


def _alter_ignore(r: Reader) -> cabc.Iterator[Change]:
    """Read MySQL's ALTER IGNORE TABLE, which copies for what it may leave out."""
    changes = list(alter_table(r))
    yield Change("rewrite_table", changes[0].table)
    yield from changes


def _drop_table(r: Reader) -> cabc.Iterator[Change]:
    robust = r.take("IF EXISTS")
    for part in split(r.rest()):
        name = r.part(part).name()
        cascades = part[-1].word == "CASCADE"
        yield Change("drop_table", name, is_robust=robust, cascades=cascades)


def _truncate(r: Reader) -> cabc.Iterator[Change]:
    r.take("TABLE")
    cascades = r.has("CASCADE")
    for part in split(r.rest()):
        statement = r.part(part)
        statement.take("ONLY")
        yield Change("truncate", statement.name(), cascades=cascades)


def _rename_tables(r: Reader) -> cabc.Iterator[Change]:
    r.take("IF EXISTS")
    for part in split(r.rest()):
        statement = r.part(part)
        table = statement.name()
        statement.take("TO")
        yield Change("rename_table", table, None, statement.name())


def _drop_database(r: Reader) -> cabc.Iterator[Change]:
    r.take("IF EXISTS")
    yield Change("drop_database", None, r.name())


def _create_domain(r: Reader) -> cabc.Iterator[Change]:
    name = r.name()
    constrained = r.has("CHECK") or r.has("NOT NULL")
    yield Change(
        "create_domain",
        None,
        name,
        is_flagged=not constrained,
        is_checked=constrained,
    )


def _alter_domain(r: Reader) -> cabc.Iterator[Change]:
    name = r.name()
    if r.take("RENAME TO"):
        yield Change("rename_object", None, name)
    elif r.take("SET SCHEMA"):
        yield Change("move_object", None, name, r.name())
    elif r.take("OWNER TO"):
        yield Change("change_owner", None, name)
    elif r.take("SET DEFAULT"):
        yield Change("set_default", None, name)
    elif r.take("DROP DEFAULT"):
        yield Change("drop_default", None, name)
    elif r.take("DROP NOT NULL"):
        yield Change("drop_not_null", None, name)
    elif r.take("DROP CONSTRAINT"):
        yield Change("drop_constraint", None, name)
    else:
        checks = r.has("ADD") or r.has("SET NOT NULL")
        adds = checks and not r.has("NOT VALID")
        yield Change("alter_domain", None, name, is_flagged=not adds, is_checked=checks)


def _alter_type(r: Reader) -> cabc.Iterator[Change]:
    name = r.name()
    if r.take("ADD VALUE"):
        ordered = r.has("BEFORE") or r.has("AFTER")
        yield Change("add_enum_value", None, name, is_flagged=ordered)
    elif r.take_any("RENAME VALUE", "RENAME ATTRIBUTE", "RENAME TO"):
        yield Change("rename_object", None, name)
    elif r.take("SET SCHEMA"):
        yield Change("move_object", None, name, r.name())
    elif r.take_any("ADD ATTRIBUTE", "DROP ATTRIBUTE", "ALTER ATTRIBUTE"):
        yield Change("alter_composite", None, name)
    elif r.take("OWNER TO"):
        yield Change("change_owner", None, name)
    elif r.take("SET ("):
        yield Change("harmless")
    else:
        yield Change("other")


def _update(r: Reader) -> cabc.Iterator[Change]:
    if r.dialect == "mysql":
        _skip_modifiers(r)
    r.take("ONLY")
    table = r.name()
    columns: tuple[ColumnInfo, ...] = ()
    if r.seek("SET"):
        columns = tuple(ColumnInfo(name) for name in _assigned(r))
    yield Change("update", table, columns=columns)


def _assigned(r: Reader) -> cabc.Iterator[str]:
    for part in split(r.rest()):
        reader = r.part(part)
        if reader.peek().text != "(":
            name = reader.name()
            if reader.take("="):
                yield name


def _delete(r: Reader) -> cabc.Iterator[Change]:
    if r.dialect == "mysql":
        _skip_modifiers(r)
    # MySQL may name the tables before FROM, too.
    r.take("FROM")
    r.take("ONLY")
    yield Change("delete", r.name())


def _insert(r: Reader) -> cabc.Iterator[Change]:
    if r.dialect == "mysql":
        _skip_modifiers(r)
    r.take("INTO")
    yield Change("insert", r.name())


def _skip_modifiers(r: Reader) -> None:
    while r.take_any("LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE"):
        pass


def _set(r: Reader) -> cabc.Iterator[Change]:
    r.take_any("LOCAL", "SESSION", "@ @ SESSION .")
    name = r.next().identifier
    kind: Kind = "set_timeout" if name in _TIMEOUTS else "harmless"
    yield Change(kind, None, name)


def _lock(r: Reader) -> cabc.Iterator[Change]:
    r.take_any("TABLES", "TABLE")
    others = r.part(r.tokens)
    if others.seek("IN") and others.take_any(*_WEAK_MODES):
        yield Change("harmless")
        return
    for part in split(r.rest()):
        statement = r.part(part)
        statement.take("ONLY")
        yield Change("lock_table", statement.name())


def _reindex(r: Reader) -> cabc.Iterator[Change]:
    concurrently = any(token.word == "CONCURRENTLY" for token in r.tokens)
    r.brackets()
    kind = r.next().word
    r.take("CONCURRENTLY")
    name = r.name()
    table = name if kind == "TABLE" else None
    yield Change("reindex", table, name, is_flagged=concurrently)


def _refresh_view(r: Reader) -> cabc.Iterator[Change]:
    concurrently = r.take("CONCURRENTLY")
    yield Change("refresh_view", r.name(), is_flagged=concurrently)


def _vacuum(r: Reader) -> cabc.Iterator[Change]:
    options = text_of(r.bracketed()).upper() if r.peek().text == "(" else ""
    full = r.take("FULL") or options.startswith("FULL") or ",FULL" in options
    while r.take_any("VERBOSE", "ANALYZE", "FREEZE"):
        pass
    if full or r.dialect == "sqlite":
        yield Change("rewrite_table", r.name() or None)
    else:
        yield Change("harmless")


def _repack(r: Reader) -> cabc.Iterator[Change]:
    """Read REPACK, new in PostgreSQL 19."""
    options = text_of(r.bracketed()).upper() if r.peek().text == "(" else ""
    yield Change("harmless" if "CONCURRENTLY" in options else "rewrite_table", r.name())


def _cluster(r: Reader) -> cabc.Iterator[Change]:
    r.take("VERBOSE")
    yield Change("rewrite_table", r.name())


def _optimize(r: Reader) -> cabc.Iterator[Change]:
    yield Change("rewrite_table", r.name(), None, "online")


def _create_rule(r: Reader) -> cabc.Iterator[Change]:
    name = r.name()
    table = r.name() if r.seek("TO") else None
    yield Change("create_rule", table, name)


def _create_trigger(r: Reader) -> cabc.Iterator[Change]:
    name = r.name()
    table = r.name() if r.seek("ON") else None
    yield Change("create_trigger", table, name)


# Statements that say no more than their first words; the longer of two comes first.
_PLAIN: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("harmless", ("ROLLBACK TO", "SET TRANSACTION", "UNLOCK TABLES")),
    (
        "transaction",
        ("BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK", "ABORT", "END"),
    ),
)
# Where a statement is the beginning of another, the longer comes first.
_STATEMENTS: dict[cabc.Callable[[Reader], cabc.Iterator[Change]], tuple[str, ...]] = {
    alter_table: (
        "ALTER TABLE", "ALTER ONLINE TABLE", "ALTER FOREIGN TABLE",
    ),
    _alter_ignore: ("ALTER IGNORE TABLE", "ALTER ONLINE IGNORE TABLE"),
    _create_unique_index: ("CREATE UNIQUE INDEX",),
    _create_special_index: ("CREATE FULLTEXT INDEX", "CREATE SPATIAL INDEX"),
    _create_index: ("CREATE INDEX",),
    _drop_index: ("DROP INDEX",),
    _create_table: (
        "CREATE TABLE", "CREATE UNLOGGED TABLE", "CREATE FOREIGN TABLE",
        "CREATE VIRTUAL TABLE", "CREATE TEMPORARY TABLE", "CREATE TEMP TABLE",
    ),
    _replace_table: ("CREATE OR REPLACE TABLE",),
    _drop_table: ("DROP TABLE", "DROP TEMPORARY TABLE"),
    _rename_tables: ("RENAME TABLES", "RENAME TABLE"),
    _truncate: ("TRUNCATE",),
    _drop_database: ("DROP DATABASE",),
    _create_domain: ("CREATE DOMAIN",),
    _alter_domain: ("ALTER DOMAIN",),
    _alter_type: ("ALTER TYPE",),
    _common: ("WITH",),
    _update: ("UPDATE",),
    _delete: ("DELETE",),
    _merge: ("MERGE INTO",),
    _insert: ("INSERT OR IGNORE", "INSERT OR REPLACE", "INSERT", "REPLACE"),
    _for: ("SET STATEMENT",),
    _flush: ("FLUSH TABLES", "FLUSH TABLE", "FLUSH LOCAL TABLES"),
    _set: ("SET",),
    _lock: ("LOCK",),
    _reindex: ("REINDEX",),
    _refresh_view: ("REFRESH MATERIALIZED VIEW",),
    _vacuum: ("VACUUM",),
    _repack: ("REPACK",),
    _cluster: ("CLUSTER",),
    _optimize: (
        "OPTIMIZE TABLE", "OPTIMIZE LOCAL TABLE", "OPTIMIZE NO_WRITE_TO_BINLOG TABLE",
    ),
    _create_rule: ("CREATE RULE", "CREATE OR REPLACE RULE"),
    _create_trigger: (
        "CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", "CREATE CONSTRAINT TRIGGER",
    ),
    _select: ("SELECT",),
    _block: ("DO",),
    _explain: ("EXPLAIN",),
}  # fmt: skip
# Modes of LOCK that block no write.
_WEAK_MODES = ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE")
_TIMEOUTS = {"lock_timeout", "lock_wait_timeout", "innodb_lock_wait_timeout"}
