"""Reading ALTER TABLE, and what a column or a constraint declares."""

from __future__ import annotations

import collections.abc as cabc
import re

from .change import Change
from .change import ColumnInfo
from .change import Kind
from .tokens import Reader
from .tokens import split
from .tokens import Token


class TableReader(Reader):
    """An ALTER TABLE, or one of its actions."""

    def alter_table(self) -> cabc.Iterator[Change]:
        self._take("IF EXISTS")
        self._take("ONLY")
        table = self._name()
        self._take("*")
        if self._take_any("NOWAIT", "WAIT"):
            # MariaDB: how long to wait for the table.
            if self._peek().kind == "number":
                self._next()
            yield Change("set_timeout")
        for action in split(self._rest()):
            yield from self._on(action).action(table)

    def action(self, table: str) -> cabc.Iterator[Change]:
        for words, method in _ACTIONS:
            if self._take(words):
                yield from getattr(self, method)(table)
                return
        for kind, choices in _PLAIN_ACTIONS:
            if self._take_any(*choices):
                yield Change(kind, table)
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
            condition = text_of(self._tokens[self._at :])
            flagged = self._has("NOT VALID") or self._has("NOT ENFORCED")
            yield Change(
                "add_check", table, name, is_flagged=flagged, condition=condition
            )
        elif self._take("NOT NULL"):
            column, flagged = self._name(), self._has("NOT VALID")
            yield Change("set_not_null", table, column, other=name, is_flagged=flagged)
        elif self._take("EXCLUDE"):
            yield Change("add_exclude", table, name)
        elif self._dialect == "mysql" and self._take("PARTITION"):
            yield Change("harmless", table)
        elif self._dialect == "mysql" and self._take_any(
            "FULLTEXT", "SPATIAL", "INDEX", "KEY"
        ):
            yield from self._add_index(table)
        else:
            self._take("COLUMN")
            robust = self._take("IF NOT EXISTS")
            listed = self._dialect == "mysql" and self._peek().text == "("
            for tokens in self._brackets() if listed else [self._rest()]:
                yield from self._add_column(tokens, table, robust=robust)

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

    def _add_column(
        self, tokens: list[Token], table: str, *, robust: bool
    ) -> cabc.Iterator[Change]:
        info = self.column(tokens)
        yield Change("add_column", table, info.name, columns=(info,), is_robust=robust)
        statement = self._on(tokens)
        if statement._seek("REFERENCES"):
            other = statement._name()
            yield Change("add_foreign_key", table, None, other, (info,))
        if info.is_unique:
            yield Change("add_unique", table, None, columns=(info,))

    def alter_column(self, table: str) -> cabc.Iterator[Change]:
        if self._take_any("INDEX", "KEY", "CONSTRAINT", "CHECK"):
            yield Change("harmless", table)
            return
        self._take("COLUMN")
        name = self._name()
        if self._take_any("SET DATA TYPE", "TYPE"):
            info = ColumnInfo(name, _type_of(self._rest()))
            yield Change("alter_type", table, name, columns=(info,))
            return
        for words, kind in _COLUMN_ACTIONS:
            if self._take(words):
                yield Change(kind, table, name)
                if words == "SET EXPRESSION":
                    yield Change("rewrite_table", table, name)
                return
        yield Change("other", table, name)

    def modify(self, table: str) -> cabc.Iterator[Change]:
        """MySQL's way to say a whole column anew."""
        self._take("COLUMN")
        self._take("IF EXISTS")
        info = self.column(self._rest())
        yield Change("alter_type", table, info.name, columns=(info,))

    def change(self, table: str) -> cabc.Iterator[Change]:
        """MySQL's way to say it anew under another name."""
        self._take("COLUMN")
        name = self._name()
        info = self.column(self._rest())
        if info.name != name:
            yield Change("rename_column", table, name, info.name, columns=(info,))
        yield Change("alter_type", table, name, columns=(info,))

    def drop(self, table: str) -> cabc.Iterator[Change]:
        is_mysql = self._dialect == "mysql"
        if self._take_any("CONSTRAINT", "FOREIGN KEY", "CHECK"):
            robust = self._take("IF EXISTS")
            yield Change("drop_constraint", table, self._name(), is_robust=robust)
        elif self._take("PRIMARY KEY"):
            yield Change("drop_constraint", table, None, "primary")
        elif is_mysql and self._take("PARTITION"):
            yield Change("drop_partition", table, self._name())
        elif is_mysql and self._take_any("INDEX", "KEY"):
            robust = self._take("IF EXISTS")
            yield Change("drop_index", table, self._name(), is_robust=robust)
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

    def set_schema(self, table: str) -> cabc.Iterator[Change]:
        yield Change("move_object", table, None, self._name())

    def attach(self, table: str) -> cabc.Iterator[Change]:
        yield Change("attach_partition", table, self._name())

    def detach(self, table: str) -> cabc.Iterator[Change]:
        name = self._name()
        flagged = self._take_any("CONCURRENTLY", "FINALIZE")
        yield Change("detach_partition", table, name, is_flagged=flagged)

    def no_inherit(self, table: str) -> cabc.Iterator[Change]:
        yield Change("no_inherit", table, self._name())

    def drop_partition(self, table: str) -> cabc.Iterator[Change]:
        yield Change("drop_partition", table, self._name())

    # What a table declares

    def column(self, tokens: cabc.Sequence[Token]) -> ColumnInfo:
        """A column, as CREATE TABLE and ADD COLUMN declare it."""
        statement = self._on(tokens)
        name = statement._name()
        type_ = _type_of(statement._rest())
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

    def declared(self, parts: cabc.Iterable[list[Token]]) -> tuple[ColumnInfo, ...]:
        """The columns among what CREATE TABLE has in brackets."""
        return tuple(
            self.column(part)
            for part in parts
            if part[0].word not in _CONSTRAINT_WORDS
            # Elsewhere a column may be called so.
            or (self._dialect != "mysql" and part[0].word in {"INDEX", "KEY"})
        )


_ACTIONS = (
    ("ADD", "add"),
    ("ALTER", "alter_column"),
    ("MODIFY", "modify"),
    ("CHANGE", "change"),
    ("DROP PARTITION", "drop_partition"),
    ("TRUNCATE PARTITION", "drop_partition"),
    ("DROP", "drop"),
    ("RENAME", "rename"),
    ("VALIDATE CONSTRAINT", "validate"),
    ("SET SCHEMA", "set_schema"),
    ("ATTACH PARTITION", "attach"),
    ("DETACH PARTITION", "detach"),
    ("NO INHERIT", "no_inherit"),
)
# What says no more than its first words.
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
            "SET TABLESPACE",
            "SET LOGGED",
            "SET UNLOGGED",
            "SET ACCESS METHOD",
            "CONVERT TO",
            "ENGINE",
            "FORCE",
            "ROW_FORMAT",
            "KEY_BLOCK_SIZE",
            "ORDER BY",
            "PARTITION BY",
            "REMOVE PARTITIONING",
            "REORGANIZE PARTITION",
            "COALESCE PARTITION",
            "REBUILD PARTITION",
            "OPTIMIZE PARTITION",
        ),
    ),
    ("replica_identity", ("REPLICA IDENTITY",)),
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
            "SET (",
            "RESET (",
            "OWNER TO",
            "CLUSTER ON",
            "SET WITHOUT",
            "INHERIT",
            "OF",
            "NOT OF",
            "ALGORITHM",
            "LOCK",
            "COMMENT",
            "AUTO_INCREMENT",
            "DEFAULT",
            "CHARACTER SET",
            "CHARSET",
            "COLLATE",
            "DISABLE KEYS",
            "ENABLE KEYS",
            "STATS_PERSISTENT",
            "STATS_AUTO_RECALC",
            "STATS_SAMPLE_PAGES",
        ),
    ),
)
_COLUMN_ACTIONS: tuple[tuple[str, Kind], ...] = (
    ("SET NOT NULL", "set_not_null"),
    ("DROP NOT NULL", "drop_not_null"),
    ("SET DEFAULT", "set_default"),
    ("DROP DEFAULT", "drop_default"),
    ("DROP EXPRESSION", "alter_generated"),
    ("SET EXPRESSION", "alter_generated"),
    ("ADD GENERATED", "alter_identity"),
    ("SET GENERATED", "alter_identity"),
    ("DROP IDENTITY", "alter_identity"),
    ("RESTART", "alter_sequence"),
    ("SET INCREMENT", "alter_sequence"),
    ("SET MINVALUE", "alter_sequence"),
    ("SET MAXVALUE", "alter_sequence"),
    ("SET START", "alter_sequence"),
    ("SET CYCLE", "alter_sequence"),
    ("SET STATISTICS", "harmless"),
    ("SET STORAGE", "harmless"),
    ("SET COMPRESSION", "harmless"),
    ("SET CACHE", "harmless"),
    ("SET (", "harmless"),
    ("RESET (", "harmless"),
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
    kept: list[Token] = []
    depth = 0
    for token in tokens[at + 1 :]:
        if depth == 0 and kept and token.word in _AFTER_TYPE:
            break
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        kept.append(token)
    return text_of(kept)


def text_of(tokens: cabc.Sequence[Token]) -> str:
    """Tokens as one text, with a space only between words."""
    text, was_word = "", False
    for token in tokens:
        is_word = token.kind != "sign"
        text += f" {token.text}" if was_word and is_word else token.text
        was_word = is_word
    return text
