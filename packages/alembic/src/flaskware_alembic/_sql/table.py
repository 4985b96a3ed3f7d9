"""ALTER TABLE, and the declarations of columns."""

from __future__ import annotations

import collections.abc as cabc
import re

from .change import Change
from .change import ColumnInfo
from .change import is_empty
from .change import Kind
from .tokens import Reader
from .tokens import split
from .tokens import Token


def alter_table(r: Reader) -> cabc.Iterator[Change]:
    r.take("IF EXISTS")
    r.take("ONLY")
    table = r.name()
    r.take("*")
    if r.take_any("NOWAIT", "WAIT"):
        # MariaDB: how long to wait for the table.
        if r.peek().kind == "number":
            r.next()
        yield Change("set_timeout")
    rest = r.rest()
    # An action on partitions has commas of its own, and is the only action.
    is_one = r.dialect == "mysql" and _names_partitions(rest)
    for tokens in [rest] if is_one else split(rest):
        yield from _action(r.part(tokens), table)


def _names_partitions(tokens: cabc.Sequence[Token]) -> bool:
    return any(token.word == "PARTITION" for token in tokens[1:2])


def _action(r: Reader, table: str) -> cabc.Iterator[Change]:
    for words, function in _ACTIONS:
        if r.take(words):
            yield from function(r, table)
            return
    for kind, choices in _PLAIN_ACTIONS:
        if r.take_any(*choices):
            yield Change(kind, table)
            return
    if r.take_any(*_REBUILDS):
        # With an engine other than InnoDB it is a copy.
        is_copy = r.tokens[0].word == "ENGINE" and r.rest()[-1].word != "INNODB"
        yield Change("rewrite_table", table, None, None if is_copy else "online")
        return
    yield Change("other", table)


def _add(r: Reader, table: str) -> cabc.Iterator[Change]:
    name = r.name() if r.take("CONSTRAINT") else None
    if r.take_any("UNIQUE KEY", "UNIQUE INDEX", "UNIQUE"):
        yield from _add_unique(r, table, name)
    elif r.take("PRIMARY KEY"):
        index = r.name() if r.take("USING INDEX") else None
        columns = tuple(ColumnInfo(p[0].identifier) for p in r.brackets())
        flagged = index is not None
        yield Change("add_primary_key", table, name, index, columns, is_flagged=flagged)
    elif r.take("FOREIGN KEY"):
        columns = tuple(ColumnInfo(p[0].identifier) for p in r.brackets())
        other = r.name() if r.seek("REFERENCES") else None
        valid = r.has("NOT VALID")
        yield Change("add_foreign_key", table, name, other, columns, is_flagged=valid)
    elif r.take("CHECK"):
        condition = text_of(r.tokens[r.at :])
        flagged = r.has("NOT VALID") or r.has("NOT ENFORCED")
        yield Change("add_check", table, name, is_flagged=flagged, condition=condition)
    elif r.take("NOT NULL"):
        column, flagged = r.name(), r.has("NOT VALID")
        yield Change("set_not_null", table, column, other=name, is_flagged=flagged)
    elif r.take("EXCLUDE"):
        yield Change("add_exclude", table, name)
    elif r.dialect == "mysql" and r.take_any("PARTITION", "SYSTEM VERSIONING"):
        versions = r.tokens[r.at - 1].word == "VERSIONING"
        yield Change("rewrite_table" if versions else "harmless", table)
    elif r.dialect == "mysql" and r.take_any("FULLTEXT", "SPATIAL", "INDEX", "KEY"):
        yield from _add_index(r, table)
    else:
        r.take("COLUMN")
        robust = r.take("IF NOT EXISTS")
        listed = r.dialect == "mysql" and r.peek().text == "("
        for tokens in r.brackets() if listed else [r.rest()]:
            yield from _add_column(r, tokens, table, robust=robust)


def _add_unique(r: Reader, table: str, name: str | None) -> cabc.Iterator[Change]:
    if r.take("USING INDEX"):
        yield Change("add_unique", table, name or r.name(), is_flagged=True)
        return
    r.take("IF NOT EXISTS")
    is_hash = r.has("USING HASH")
    if r.peek().text != "(":
        name = r.name()
        r.take_any("USING HASH", "USING BTREE")
    parts = r.brackets()
    # A part of a value is indexed by its length in brackets.
    columns = tuple(
        ColumnInfo(part[0].identifier, is_part=len(part) > 1) for part in parts
    )
    yield Change("add_unique", table, name, "hash" if is_hash else None, columns)


def _add_index(r: Reader, table: str) -> cabc.Iterator[Change]:
    word = r.tokens[r.at - 1].text.lower()
    kind = word if word in {"fulltext", "spatial"} else None
    r.take_any("INDEX", "KEY")
    r.take("IF NOT EXISTS")
    name = None if r.peek().text == "(" else r.name()
    columns = tuple(ColumnInfo(part[0].identifier) for part in r.brackets())
    yield Change("create_index", table, name, kind, columns)


def _add_column(
    r: Reader, tokens: list[Token], table: str, *, robust: bool
) -> cabc.Iterator[Change]:
    info = _column(r, tokens)
    yield Change("add_column", table, info.name, columns=(info,), is_robust=robust)
    statement = r.part(tokens)
    if statement.seek("REFERENCES"):
        other = statement.name()
        flagged = is_empty(info, r.dialect)
        yield Change("add_foreign_key", table, None, other, (info,), is_flagged=flagged)
    statement = r.part(tokens)
    while statement.seek("CHECK"):
        condition = text_of(statement.bracketed())
        # MySQL and MariaDB do not look at the rows for a column that they do not have.
        flagged = r.dialect == "mysql"
        yield Change("add_check", table, None, is_flagged=flagged, condition=condition)
    if info.is_unique:
        yield Change("add_unique", table, None, columns=(info,))


def _alter_column(r: Reader, table: str) -> cabc.Iterator[Change]:
    if r.take_any("INDEX", "KEY", "CONSTRAINT", "CHECK"):
        yield Change("harmless", table)
        return
    r.take("COLUMN")
    name = r.name()
    if r.take_any("SET DATA TYPE", "TYPE"):
        info = ColumnInfo(name, _type_of(r.rest()))
        yield Change("alter_type", table, name, columns=(info,))
        return
    for words, kind in _COLUMN_ACTIONS:
        if r.take(words):
            yield Change(kind, table, name)
            if words == "SET EXPRESSION":
                yield Change("rewrite_table", table, name)
            return
    yield Change("other", table, name)


def _modify(r: Reader, table: str) -> cabc.Iterator[Change]:
    """Read MySQL's MODIFY, which repeats the whole column."""
    r.take("COLUMN")
    r.take("IF EXISTS")
    info = _column(r, r.rest())
    yield Change("alter_type", table, info.name, columns=(info,), is_whole=True)


def _change(r: Reader, table: str) -> cabc.Iterator[Change]:
    """Read MySQL's CHANGE, which repeats the whole column under another name."""
    r.take("COLUMN")
    name = r.name()
    info = _column(r, r.rest())
    if info.name != name:
        yield Change("rename_column", table, name, info.name, columns=(info,))
    yield Change("alter_type", table, name, columns=(info,), is_whole=True)


def _drop(r: Reader, table: str) -> cabc.Iterator[Change]:
    is_mysql = r.dialect == "mysql"
    if r.take_any("CONSTRAINT", "FOREIGN KEY", "CHECK"):
        robust = r.take("IF EXISTS")
        yield Change("drop_constraint", table, r.name(), is_robust=robust)
    elif r.take("PRIMARY KEY"):
        yield Change("drop_constraint", table, None, "primary")
    elif is_mysql and r.take("PARTITION"):
        yield Change("drop_partition", table, r.name())
    elif is_mysql and r.take_any("INDEX", "KEY"):
        robust = r.take("IF EXISTS")
        yield Change("drop_index", table, r.name(), is_robust=robust)
    else:
        r.take("COLUMN")
        robust = r.take("IF EXISTS")
        name = r.name()
        cascades = r.take("CASCADE")
        yield Change("drop_column", table, name, is_robust=robust, cascades=cascades)


def _rename(r: Reader, table: str) -> cabc.Iterator[Change]:
    if r.take_any("TO", "AS"):
        yield Change("rename_table", table, None, r.name())
    elif r.dialect == "postgresql" and r.take("CONSTRAINT"):
        yield Change("rename_constraint", table, r.name())
    elif r.take_any("CONSTRAINT", "INDEX", "KEY"):
        yield Change("harmless", table)
    else:
        r.take("COLUMN")
        name = r.name()
        r.take("TO")
        yield Change("rename_column", table, name, r.name())


def _validate(r: Reader, table: str) -> cabc.Iterator[Change]:
    yield Change("validate_constraint", table, r.name())


def _set_schema(r: Reader, table: str) -> cabc.Iterator[Change]:
    yield Change("move_object", table, None, r.name())


def _attach(r: Reader, table: str) -> cabc.Iterator[Change]:
    yield Change("attach_partition", table, r.name())


def _detach(r: Reader, table: str) -> cabc.Iterator[Change]:
    name = r.name()
    ends = r.take("FINALIZE")
    flagged = ends or r.take("CONCURRENTLY")
    yield Change(
        "detach_partition",
        table,
        name,
        "finalize" if ends else None,
        is_flagged=flagged,
    )


def _no_inherit(r: Reader, table: str) -> cabc.Iterator[Change]:
    yield Change("no_inherit", table, r.name())


def _drop_partition(r: Reader, table: str) -> cabc.Iterator[Change]:
    yield Change("drop_partition", table, r.name())


def _column(r: Reader, tokens: cabc.Sequence[Token]) -> ColumnInfo:
    """Read a column, as CREATE TABLE and ADD COLUMN declare it."""
    statement = r.part(tokens)
    name = statement.name()
    type_ = _type_of(statement.rest())
    words = " ".join(token.word for token in tokens)
    default = re.search(r"\bDEFAULT\b", words)
    is_key = "PRIMARY KEY" in words
    return ColumnInfo(
        name,
        type_,
        nullable="NOT NULL" not in words and not is_key,
        default=_default_of(tokens) if default else None,
        is_key=is_key,
        is_serial="serial" in type_ or "AUTO_INCREMENT" in words,
        is_identity="AS IDENTITY" in words,
        is_stored=bool(re.search(r"\b(STORED|PERSISTENT)\b", words)),
        has_reference=bool(re.search(r"\bREFERENCES\b", words)),
        is_unique=bool(re.search(r"\bUNIQUE\b", words)),
    )


def declared_columns(
    r: Reader, parts: cabc.Iterable[list[Token]]
) -> tuple[ColumnInfo, ...]:
    """Return the columns among the parts of a CREATE TABLE."""
    return tuple(
        _column(r, part)
        for part in parts
        if part[0].word not in _CONSTRAINT_WORDS
        # Elsewhere a column may be called so.
        or (r.dialect != "mysql" and part[0].word in {"INDEX", "KEY"})
    )


_ACTIONS = (
    ("ADD", _add), ("ALTER", _alter_column), ("MODIFY", _modify), ("CHANGE", _change),
    ("DROP PARTITION", _drop_partition), ("TRUNCATE PARTITION", _drop_partition),
    ("DROP", _drop), ("RENAME", _rename), ("VALIDATE CONSTRAINT", _validate),
    ("SET SCHEMA", _set_schema), ("ATTACH PARTITION", _attach),
    ("DETACH PARTITION", _detach), ("NO INHERIT", _no_inherit),
)  # fmt: skip
# Actions that say no more than their first words.
_PLAIN_ACTIONS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (
        "row_security",
        (
            "ENABLE ROW LEVEL SECURITY",
            "DISABLE ROW LEVEL SECURITY",
            "FORCE ROW LEVEL SECURITY",
            "NO FORCE ROW LEVEL SECURITY",
        ),
    ),
    (
        "rewrite_table",
        (
            "SET TABLESPACE", "SET LOGGED", "SET UNLOGGED", "SET ACCESS METHOD",
            "CONVERT TO", "ORDER BY", "PARTITION BY", "REMOVE PARTITIONING",
            "REORGANIZE PARTITION", "COALESCE PARTITION", "REBUILD PARTITION",
            "OPTIMIZE PARTITION",
        ),
    ),
    ("replica_identity", ("REPLICA IDENTITY",)),
    ("change_owner", ("OWNER TO",)),
    (
        "disable_trigger",
        (
            "DISABLE TRIGGER",
            "DISABLE RULE",
            "ENABLE TRIGGER",
            "ENABLE REPLICA",
            "ENABLE ALWAYS",
            "ENABLE RULE",
        ),
    ),
    (
        "harmless",
        (
            "SET (", "RESET (", "CLUSTER ON", "SET WITHOUT", "INHERIT",
            "OF", "NOT OF", "ALGORITHM", "LOCK", "COMMENT", "AUTO_INCREMENT", "DEFAULT",
            "CHARACTER SET", "CHARSET", "COLLATE", "DISABLE KEYS", "ENABLE KEYS",
            "STATS_PERSISTENT", "STATS_AUTO_RECALC", "STATS_SAMPLE_PAGES", "MAX_ROWS",
            "MIN_ROWS", "AVG_ROW_LENGTH", "ANALYZE PARTITION", "CHECK PARTITION",
            "CHECKSUM", "DELAY_KEY_WRITE", "INSERT_METHOD", "PACK_KEYS",
            "TRANSACTIONAL",
        ),
    ),
)  # fmt: skip
# MySQL and MariaDB build the table again while it is written.
_REBUILDS = (
    "ENGINE", "FORCE", "ROW_FORMAT", "KEY_BLOCK_SIZE", "PAGE_COMPRESSED",
    "PAGE_COMPRESSION_LEVEL", "ENCRYPTED", "ENCRYPTION_KEY_ID",
)  # fmt: skip
_COLUMN_ACTIONS: tuple[tuple[str, Kind], ...] = (
    ("SET NOT NULL", "set_not_null"), ("DROP NOT NULL", "drop_not_null"),
    ("SET DEFAULT", "set_default"), ("DROP DEFAULT", "drop_default"),
    ("DROP EXPRESSION", "alter_generated"), ("SET EXPRESSION", "alter_generated"),
    ("ADD GENERATED", "alter_identity"), ("SET GENERATED", "alter_identity"),
    ("DROP IDENTITY", "alter_identity"), ("RESTART", "alter_sequence"),
    ("SET INCREMENT", "alter_sequence"), ("SET MINVALUE", "alter_sequence"),
    ("SET MAXVALUE", "alter_sequence"), ("SET START", "alter_sequence"),
    ("SET CYCLE", "alter_sequence"), ("SET STATISTICS", "harmless"),
    ("SET STORAGE", "harmless"), ("SET COMPRESSION", "harmless"),
    ("SET CACHE", "harmless"), ("SET (", "harmless"), ("RESET (", "harmless"),
)  # fmt: skip
_CONSTRAINT_WORDS = {
    "CHECK", "CONSTRAINT", "EXCLUDE", "FOREIGN", "FULLTEXT", "INDEX", "KEY", "LIKE",
    "PRIMARY", "SPATIAL", "UNIQUE",
}  # fmt: skip
# Words that end the type of a column.
_AFTER_TYPE = {
    "AFTER", "AS", "AUTO_INCREMENT", "CHECK", "COLLATE", "COMMENT", "CONSTRAINT",
    "DEFAULT", "FIRST", "GENERATED", "INVISIBLE", "NOT", "NULL", "ON", "PERSISTENT",
    "PRIMARY", "REFERENCES", "STORED", "UNIQUE", "USING", "VIRTUAL",
}  # fmt: skip


def _type_of(tokens: cabc.Sequence[Token]) -> str:
    text = ""
    for token in tokens:
        if token.word in _AFTER_TYPE:
            break
        joins = not text or token.text in "(),[]." or text.endswith(("(", ",", "."))
        text += token.text if joins else f" {token.text}"
    return text.lower()


def _default_of(tokens: cabc.Sequence[Token]) -> str:
    at = next(i for i, token in enumerate(tokens) if token.word == "DEFAULT")
    kept: list[Token] = []
    depth = 0
    for token in tokens[at + 1 :]:
        if depth == 0 and kept and token.word in _AFTER_TYPE:
            break
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        kept.append(token)
    return text_of(kept)


def text_of(tokens: cabc.Sequence[Token]) -> str:
    """Join tokens to a text, with a space only between words."""
    text, was_word = "", False
    for token in tokens:
        is_word = token.kind != "sign"
        text += f" {token.text}" if was_word and is_word else token.text
        was_word = is_word
    return text
