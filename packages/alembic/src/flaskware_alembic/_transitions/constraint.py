"""Code of revisions: names and statements, and constraints checked while in use."""

from __future__ import annotations

import hashlib
import textwrap
import typing as t

Dialect: t.TypeAlias = t.Literal["postgresql", "mariadb"]
"""The databases on which a change is spread over several deploys."""


def checked_not_null(table: str, name: str, check: str) -> list[str]:
    """Return code that ensures NOT NULL while the table is in use, on PostgreSQL."""
    return checked(table, check, f"{quoted(name)} IS NOT NULL")


def checked(table: str, check: str, condition: str) -> list[str]:
    """Return code that checks every row while the table is in use; repeatable."""
    alter, constraint = f"ALTER TABLE {quoted(table)}", quoted(check)
    return [
        execute(f"{alter} DROP CONSTRAINT IF EXISTS {constraint}"),
        execute(f"{alter} ADD CONSTRAINT {constraint} CHECK ({condition}) NOT VALID"),
        execute(f"{alter} VALIDATE CONSTRAINT {constraint}"),
    ]


def as_body(lines: list[str]) -> str:
    """Lines for the body of a function, of which the template indents the first."""
    return "\n    ".join("\n".join(lines).splitlines())


def in_autocommit(*lines: str) -> list[str]:
    """Lines that each commit at once."""
    block = "with op.get_context().autocommit_block():"
    return [block, *(f"    {line}" for line in lines)]


def violated_check(error: Exception) -> str | None:
    """Return the remedy for rows that break a checked constraint, by its name."""
    original = t.cast("t.Any", getattr(error, "orig", None))
    code = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if code != "23514":
        return None
    # asyncpg keeps them on the error itself, which SQLAlchemy's is raised from.
    details = getattr(original, "diag", None) or original.__cause__
    name, table = details.constraint_name, details.table_name
    kept = f"The constraint {name!r} stays if it was made before the rows were checked."
    if name.startswith(f"{table}_") and name.endswith("_is_set"):
        column = quoted(name[len(table) + 1 : -len("_is_set")])
        set_ = f"{quoted(table)} SET {column} = ... WHERE {column} IS NULL"
        return f"{kept} Fill what is NULL: UPDATE {set_}; and run the upgrade again."
    return f"{kept} Correct the rows that break it, and run the upgrade again."


def name_of_check(table: str, name: str) -> str:
    """The constraint that says that a column is not NULL."""
    return short(f"{table}_{name}_is_set")


def short(name: str) -> str:
    """A name that no database cuts, and that is no other's."""
    if len(name.encode()) <= 63:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[:54].decode(errors='ignore')}_{digest}"


def quoted(name: str, dialect: Dialect = "postgresql") -> str:
    """A name as SQL."""
    mark = "`" if dialect == "mariadb" else '"'
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


def execute(sql: str) -> str:
    """A statement as code of a revision; one of several lines keeps them."""
    if "\n" not in sql:
        return f"op.execute({sql!r})"
    text = sql.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'op.execute(\n    """\n{textwrap.indent(text, "    " * 2)}\n    """\n)'
