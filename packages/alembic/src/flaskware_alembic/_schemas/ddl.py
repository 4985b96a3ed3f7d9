"""Statements that make a schema, or that bring one schema to another."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import sqlalchemy as sa

from .schema import Item
from .schema import Schema

_Texts: t.TypeAlias = cabc.Mapping[Item, str]
_FOREIGN = re.compile(r'CONSTRAINT (?:"(?:[^"]|"")*"|\S+) FOREIGN KEY')
_COLUMN = re.compile(
    r"(?P<type>.*?)(?: DEFAULT (?P<default>.*?))?(?P<required> NOT NULL)?", re.DOTALL
)
_ENUM = re.compile(r"CREATE TYPE .* AS ENUM \((.*)\)", re.DOTALL)
# Kinds in the order in which objects are made.
_ORDER = (
    "schema", "extension", "type", "sequence", "table", "column", "index", "constraint",
    "function", "procedure", "view", "materialized view", "statistics", "trigger",
    "rule", "policy", "row security", "comment", "owner", "event",
)  # fmt: skip


class NotWritable(Exception):
    """A change cannot be written as SQL; says which."""


class Writer:
    """Writes the SQL of schemas.

    :param dialect: That of the database.
    """

    def __init__(self, dialect: sa.Dialect) -> None:
        self._quote = dialect.identifier_preparer.quote
        self._is_postgresql = dialect.name == "postgresql"
        self._is_sqlite = dialect.name == "sqlite"

    def creation(self, schema: Schema) -> tuple[list[str], list[str]]:
        """Return the statements that make a schema, in its order.

        :returns: Statements for tables and all that they need; and statements for
            objects that are made on tables once they have their rows.
        """
        first: list[str] = []
        keys: list[str] = []
        rest: list[str] = []
        for item, text in schema.texts.items():
            if item.kind == "table":
                first.append(self._create_table(item, text, schema.texts))
            elif self._is_late(text):
                keys.append(self._create(item, text))
            elif not self._is_inline(item, text):
                is_part = item.table and item.kind != "sequence"
                is_late = is_part or item.kind == "event"
                (rest if is_late else first).append(self._create(item, text))
        return first, [*keys, *rest]

    def changes(self, before: _Texts, after: _Texts) -> list[str]:
        """Return the statements that bring one schema to another.

        :raises NotWritable: naming what they cannot do.
        """
        gone = [item for item in before if item not in after]
        come = [item for item in after if item not in before]
        other = [i for i, text in before.items() if after.get(i, text) != text]
        rebuilt = self._rebuilt([*gone, *come, *other], come)
        lost = {i.table for i in gone if i.kind == "table"}
        made = {i.table for i in come if i.kind == "table"}
        found: list[str] = []
        for item in sorted(gone, key=lambda i: _rank(i, before[i]), reverse=True):
            is_part = item.table in lost and item.kind != "table"
            if item.table not in rebuilt and not is_part:
                found.append(self._drop(item, before[item]))
        for table in sorted(rebuilt):
            found.extend(self._rebuild(table, before, after))
        for item in sorted([*come, *other], key=lambda i: _rank(i, after[i])):
            if item.table in rebuilt:
                continue
            if item not in before:
                is_inline = self._is_inline(item, after[item])
                if item.kind == "table":
                    found.append(self._create_table(item, after[item], after))
                elif not (item.table in made and is_inline):
                    found.append(self._create(item, after[item]))
            else:
                found.extend(self._alter(item, before[item], after[item]))
        return found

    # One table

    def _name(self, name: str) -> str:
        # PostgreSQL has quoted it where that is needed.
        if self._is_postgresql:
            return name
        return ".".join(self._quote(part) for part in name.split("."))

    def _is_late(self, text: str) -> bool:
        """True for a key that refers to a table that may be made later.

        A check that some rows break is made once they are there, too: in CREATE TABLE
        it would count for all rows.
        """
        is_late = bool(_FOREIGN.match(text)) or text.endswith(" NOT VALID")
        return self._is_postgresql and is_late

    def _is_inline(self, item: Item, text: str) -> bool:
        """True for what CREATE TABLE has in its brackets."""
        if item.kind not in {"column", "constraint", "index"}:
            return False
        return not text.startswith("CREATE") and not self._is_late(text)

    def _create_table(
        self, item: Item, text: str, texts: _Texts, name: str | None = None
    ) -> str:
        if text.startswith("CREATE"):
            return text
        inline = [
            other
            for other, part in texts.items()
            if other.table == item.table and self._is_inline(other, part)
        ]
        inline.sort(key=lambda other: other.kind != "column")
        parts = [texts[other] for other in inline]
        inside = ",\n    ".join(parts)
        unlogged = "UNLOGGED " if text.startswith("UNLOGGED") else ""
        tail = text.removeprefix("UNLOGGED").strip()
        if tail.startswith("PARTITION OF"):
            parent, _, bound = tail.partition(" FOR VALUES")
            parent, _, default = parent.partition(" DEFAULT")
            bound = f"FOR VALUES{bound}" if bound else f"DEFAULT{default}"
            columns = f" (\n    {inside}\n)" if inside else ""
            return f"CREATE TABLE {self._name(item.table)} {parent}{columns} {bound}"
        return (
            f"CREATE {unlogged}TABLE {name or self._name(item.table)}"
            f" (\n    {inside}\n) {tail}".rstrip()
        )

    def _create(self, item: Item, text: str) -> str:
        if item.kind == "column":
            return f"ALTER TABLE {self._name(item.table)} ADD COLUMN {text}"
        if self._is_inline(item, text) or self._is_late(text):
            return f"ALTER TABLE {self._name(item.table)} ADD {text}"
        return text

    def _drop(self, item: Item, text: str) -> str:
        table, name = self._name(item.table), self._quote(item.name)
        schema = f"{item.table.rpartition('.')[0]}." if "." in item.table else ""
        if item.kind == "comment":
            return re.sub(r" IS E?'.*", " IS NULL", text, flags=re.DOTALL)
        if item.kind == "owner":
            return re.sub(r" OWNED BY .*", " OWNED BY NONE", text)
        if item.name == "PRIMARY" and not self._is_postgresql:
            return f"ALTER TABLE {table} DROP PRIMARY KEY"
        if item.kind == "index" and self._is_inline(item, text):
            return f"ALTER TABLE {table} DROP INDEX {name}"
        if item.kind == "trigger" and not self._is_postgresql:
            return f"DROP TRIGGER {schema}{name}"
        # SQL's own word for it: a function may be a procedure, and a type a domain.
        word = item.kind.upper()
        match = re.match(r"CREATE (?:OR REPLACE )?(DOMAIN|PROCEDURE) ", text)
        word = match[1] if match is not None else word
        part = {
            "table": "DROP TABLE {table}",
            "column": "ALTER TABLE {table} DROP COLUMN {name}",
            "constraint": "ALTER TABLE {table} DROP CONSTRAINT {name}",
            "index": "DROP INDEX {schema}{name}",
            "statistics": "DROP STATISTICS {schema}{name}",
            "trigger": "DROP TRIGGER {name} ON {table}",
            "rule": "DROP RULE {name} ON {table}",
            "policy": "DROP POLICY {name} ON {table}",
            "row security": "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        }.get(item.kind, f"DROP {word} {{alone}}")
        alone = self._name(item.name)
        return part.format(table=table, name=name, schema=schema, alone=alone)

    def _alter(self, item: Item, before: str, after: str) -> list[str]:
        if item.kind == "column" and not self._is_postgresql:
            return [f"ALTER TABLE {self._name(item.table)} MODIFY COLUMN {after}"]
        if item.kind == "column":
            return list(self._alter_column(item, before, after))
        if item.kind == "table":
            if self._is_postgresql:
                raise NotWritable(f"{item} has other options: {before} -> {after}")
            return [f"ALTER TABLE {self._name(item.table)} {after}"]
        if after.startswith("CREATE OR REPLACE") or item.kind == "comment":
            return [after]
        if item.kind == "type":
            return list(_new_values(item, before, after))
        return [self._drop(item, before), self._create(item, after)]

    def _alter_column(self, item: Item, before: str, after: str) -> cabc.Iterator[str]:
        name = self._quote(item.name)
        if " GENERATED " in f"{before} {after}":
            raise NotWritable(f"{item}: {before} -> {after}")
        was, becomes = (
            t.cast("re.Match[str]", _COLUMN.fullmatch(text[len(name) + 1 :]))
            for text in (before, after)
        )
        start = f"ALTER TABLE {item.table} ALTER COLUMN {name}"
        if was["default"] is not None and was["default"] != becomes["default"]:
            yield f"{start} DROP DEFAULT"
        if was["type"] != becomes["type"]:
            bare = becomes["type"].partition(" COLLATE ")[0]
            yield f"{start} TYPE {becomes['type']} USING {name}::{bare}"
        if becomes["default"] is not None and was["default"] != becomes["default"]:
            yield f"{start} SET DEFAULT {becomes['default']}"
        if was["required"] != becomes["required"]:
            yield f"{start} {'SET' if becomes['required'] else 'DROP'} NOT NULL"

    # SQLite, which alters a table by making it again

    def _rebuilt(self, changed: list[Item], come: list[Item]) -> set[str]:
        """Return the tables that SQLite has to make again."""
        if not self._is_sqlite:
            return set()
        whole = {item.table for item in changed if item.kind == "table"}
        return {
            item.table
            for item in changed
            if item.kind in {"column", "constraint"}
            and not (item.kind == "column" and item in come)
        } - whole

    def _rebuild(self, table: str, before: _Texts, after: _Texts) -> cabc.Iterator[str]:
        name, new = self._name(table), self._quote(f"_new_{table}")
        item = Item("table", table, "")
        yield self._create_table(item, after[item], after, name=new)
        kept = ", ".join(
            self._quote(i.name)
            for i, text in after.items()
            if i.table == table
            and i.kind == "column"
            and i in before
            and not re.search(r"\bAS\s*\(", text, re.IGNORECASE)
        )
        yield f"INSERT INTO {new} ({kept}) SELECT {kept} FROM {name}"  # noqa: S608
        yield f"DROP TABLE {name}"
        yield f"ALTER TABLE {new} RENAME TO {name}"
        for other, text in after.items():
            if other.table == table and other.kind in {"index", "trigger"}:
                yield text


def load(connection: sa.Connection, statements: cabc.Iterable[str]) -> None:
    """Run the statements that make a schema, in the transaction that is open."""
    dialect = connection.dialect.name
    for statement in _settings(dialect):
        connection.exec_driver_sql(statement)
    for statement in statements:
        # A colon starts a parameter otherwise.
        connection.execute(sa.text(statement.replace(":", "\\:")))
    for statement in _settings(dialect, back=True):
        connection.exec_driver_sql(statement)


def _settings(dialect: str, *, back: bool = False) -> list[str]:
    """Return what lets things be made before those that they refer to."""
    if dialect == "postgresql":
        return [] if back else ["SET LOCAL check_function_bodies = off"]
    is_mysql = dialect in {"mysql", "mariadb"}
    return [f"SET foreign_key_checks = {int(back)}"] if is_mysql else []


def _rank(item: Item, text: str) -> tuple[int, bool]:
    rank = _ORDER.index(item.kind) if item.kind in _ORDER else len(_ORDER)
    # A foreign key needs the key that it refers to.
    return rank, bool(_FOREIGN.match(text))


def _new_values(item: Item, before: str, after: str) -> cabc.Iterator[str]:
    """Yield the statements for the new values of an enum."""
    was, becomes = (_ENUM.fullmatch(text) for text in (before, after))
    if was is None or becomes is None:
        raise NotWritable(f"{item}: {before} -> {after}")
    value = re.compile(r"'(?:[^']|'')*'")
    there, wanted = value.findall(was[1]), value.findall(becomes[1])
    if [text for text in wanted if text in there] != there:
        raise NotWritable(f"{item} has lost values: {before} -> {after}")
    for at, text in enumerate(wanted):
        if text not in there:
            place = f"AFTER {wanted[at - 1]}" if at else f"BEFORE {there[0]}"
            yield f"ALTER TYPE {item.name} ADD VALUE {text} {place}"
