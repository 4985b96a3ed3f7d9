"""Our reader of SQL finds what PostgreSQL's own parser finds, in its own suite.

pglast wraps the parser. Its source distribution has the regression suite.
"""

from __future__ import annotations

import collections.abc as cabc
import os
import re
import tomllib
import typing as t
from pathlib import Path

import pglast
import pytest
import tree

from flaskware_alembic._sql.statement import changes_of_sql

HERE = Path(__file__).parent
SOURCES = Path(os.environ["COMPANION_SOURCES"])
REASONS: dict[str, t.Any] = tomllib.loads((HERE / "reasons.toml").read_text("utf-8"))
# Files of the suite that the scanner cannot split: they are about what it refuses.
NOT_SPLIT = {"numerology.sql", "strings.sql"}
_DATA = re.compile(
    r"^(copy\b[^;]*\bfrom\s+stdin[^;]*;).*?^\\\.$",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
_Found = set[tree.Found]


class Difference(t.NamedTuple):
    """A statement with what only one of the two finds."""

    file: str
    sql: str
    missed: _Found
    more: _Found


def scripts() -> list[Path]:
    """Return the files of the regression suite."""
    return sorted(SOURCES.glob("*/*/libpg_query/test/sql/postgres_regress/*.sql"))


def statements(path: Path) -> list[str]:
    """Return the statements of a script of psql, without its own commands and data."""
    text = _DATA.sub("", path.read_text("utf-8", "replace"))
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("\\"))
    plain = "\n".join(re.sub(r"\\(g\w*|crosstabview)\b.*$", ";", x) for x in lines)
    return list(pglast.split(plain, with_parser=False))


def theirs(sql: str) -> _Found:
    """Return what the parser of PostgreSQL finds."""
    return {found for raw in pglast.parse_sql(sql) for found in tree.changes(raw.stmt)}


def ours(sql: str) -> _Found:
    """Return what our reader finds, of the same kinds."""
    return {
        (change.kind, None if change.kind == "drop_index" else change.table)
        for change in changes_of_sql(sql, "postgresql")
        if change.kind in tree.COMPARED
    }


def bare(sql: str) -> str:
    """Return a statement in one line, without comments before it."""
    return " ".join(re.sub(r"\A(?:\s|--[^\n]*\n)*", "", sql).split())


@pytest.fixture(scope="session")
def compared() -> tuple[int, int, list[Difference]]:
    """How many statements were read, how many change something, and the differences."""
    read = changing = 0
    found: list[Difference] = []
    for path in scripts():
        for sql in statements(path) if path.name not in NOT_SPLIT else ():
            try:
                one = theirs(sql)
            except pglast.parser.ParseError:
                # The suite is about errors, too.
                continue
            other = ours(sql)
            read += 1
            changing += bool(one or other)
            if one != other:
                item = Difference(path.name, bare(sql), one - other, other - one)
                found.append(item)
    return read, changing, found


def explained(difference: Difference) -> cabc.Iterator[str]:
    """Yield the names of the reasons for a difference."""
    for name, item in REASONS.items():
        fits = re.search(item["pattern"], difference.sql, re.IGNORECASE | re.DOTALL)
        if fits and {kind for kind, _ in difference.more} <= set(item["kinds"]):
            yield name


def test_the_whole_suite_is_read(
    compared: tuple[int, int, list[Difference]],
) -> None:
    read, changing, found = compared
    print(f"{read} statements, {changing} with changes, {len(found)} differences")
    assert read > 48_000
    assert changing > 15_500


def test_nothing_that_postgresql_finds_is_missed(
    compared: tuple[int, int, list[Difference]],
) -> None:
    assert [d for d in compared[2] if d.missed] == []


def test_each_further_change_has_a_reason(
    compared: tuple[int, int, list[Difference]],
) -> None:
    assert [d for d in compared[2] if not list(explained(d))] == []


def test_each_reason_is_that_of_a_difference(
    compared: tuple[int, int, list[Difference]],
) -> None:
    used = {name for difference in compared[2] for name in explained(difference)}
    assert used == set(REASONS)
