"""Which fields of a form a violated constraint of the database is about."""

from __future__ import annotations

import re
import typing as t

_NAMED = (
    # MySQL and MariaDB
    re.compile(r"for key '(?:[^'.]*\.)?([^']+)'"),
    re.compile(r"CONSTRAINT `([^`]+)`"),
    re.compile(r"[Cc]heck constraint '([^']+)' is violated"),
    # SQLite
    re.compile(r"CHECK constraint failed: (\w+)"),
)
_SQLITE_COLUMNS = re.compile(r"(?:UNIQUE|NOT NULL) constraint failed: (.+)")
_DETAIL = re.compile(r"Key \((.+?)\)=")


class Violation(t.NamedTuple):
    """What a driver tells of a violated constraint."""

    name: str | None
    columns: frozenset[str]
    unique: bool


def violation_of(error: t.Any, tables: t.Iterable[t.Any]) -> Violation:
    """Read a driver's error: the constraint's name, and its columns where told.

    :param error: SQLAlchemy's ``IntegrityError``.
    :param tables: Where a constraint of that name tells its columns.
    """
    origin = error.orig
    text = str(origin)
    diag = getattr(origin, "diag", None)
    name: str | None = getattr(diag, "constraint_name", None)
    if name is None:
        # asyncpg's error is behind SQLAlchemy's own.
        name = getattr(origin.__cause__, "constraint_name", None)
    if name is None:
        name = next((m[1] for p in _NAMED if (m := p.search(text))), None)
    columns: set[str] = set()
    found = _SQLITE_COLUMNS.search(text)
    if found is not None:
        columns = {part.strip().rpartition(".")[2] for part in found[1].split(",")}
    found = _DETAIL.search(text)
    if found is not None:
        columns = {part.strip().strip('"') for part in found[1].split(",")}
    unique = "unique" in text.lower() or "duplicate" in text.lower()
    for table in tables:
        for constraint in (*table.constraints, *table.indexes):
            its = {column.name for column in constraint.columns}
            if constraint.name and constraint.name == name:
                columns = its
            elif name is None and columns and its == columns:
                name = constraint.name
    return Violation(name, frozenset(columns), unique)
