"""Histories of public apps: each command reads them, and an upgrade makes the same."""

from __future__ import annotations

import collections
import collections.abc as cabc
import json
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
import typing as t
from pathlib import Path

import pytest

SOURCES = Path(os.environ["COMPANION_SOURCES"])
HERE = Path(__file__).parent
HISTORIES: dict[str, dict[str, t.Any]] = tomllib.loads(
    (HERE / "histories.toml").read_text("utf-8")
)
READ = [(name, db) for name, item in HISTORIES.items() for db in item["reads"]]
UPGRADED = [
    (name, db) for name, item in HISTORIES.items() for db in item.get("upgrades", ())
]
# The start of a reason, which is that of a kind; any other is a fault of the revision.
KINDS = (
    "its file cannot be imported", "ModuleNotFoundError",
    "it reads from the database", "it inspects the schema of the database",
    "it needs the result of", "it asks the connection for",
    "it rebuilds a table that it reads from the database",
)  # fmt: skip
# Not safe for a deploy, and not up to date; a folder that is no whole history.
FINDINGS, PENDING, REFUSED = 15, 5, 9


def run(script: str, *arguments: object) -> str:
    """Return what a script beside this file prints."""
    done = subprocess.run(
        [sys.executable, HERE / script, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def places(name: str) -> tuple[Path, Path]:
    """Return the folder to import an app from, and that of its history."""
    item = HISTORIES[name]
    (inner,) = (SOURCES / item["source"]).iterdir()
    return inner / item.get("root", "."), inner / item["folder"]


@pytest.fixture
def make_url(request: t.Any, tmp_path: Path) -> cabc.Callable[[str], str]:
    """Return the URL of an empty database; of a server, the same in each test."""

    def make(database: str) -> str:
        if database == "sqlite":
            return f"sqlite:///{tmp_path}/{len(list(tmp_path.iterdir()))}.db"
        url: str = request.getfixturevalue(f"{database}_url")
        return url

    return make


@pytest.fixture(scope="session")
def seen() -> dict[tuple[str, str], t.Any]:
    return {}


@pytest.fixture
def read(
    make_url: cabc.Callable[[str], str], seen: dict[tuple[str, str], t.Any]
) -> cabc.Callable[[str, str], t.Any]:
    """Return a function that reads a history once, and returns the results."""

    def read(name: str, database: str) -> t.Any:
        key = (name, database)
        if key not in seen:
            seen[key] = json.loads(run("reads.py", make_url(database), *places(name)))
        return seen[key]

    return read


@pytest.mark.parametrize(("name", "database"), READ)
def test_no_command_ends_in_a_traceback(
    name: str, database: str, read: cabc.Callable[[str, str], t.Any]
) -> None:
    results = read(name, database)["results"]
    refused = HISTORIES[name].get("refused")
    for command, result in results.items():
        assert not result["traceback"], command
        code = 0
        if command.startswith("lint"):
            code = FINDINGS
        elif command.startswith("check"):
            code = PENDING
        if refused is not None and command != "doctor":
            assert refused in result["stderr"], command
            assert result["stderr"].count("\n") == 1, command
            code = REFUSED
        elif "json" in command or "sarif" in command:
            json.loads(result["stdout"])
        assert result["code"] == code, (command, result["stderr"][-500:])


@pytest.mark.parametrize(("name", "database"), READ)
def test_each_revision_is_written_or_says_why_not(
    name: str, database: str, read: cabc.Callable[[str, str], t.Any]
) -> None:
    reasons: dict[str, str | None] = read(name, database)["reasons"]
    faults: dict[str, str] = HISTORIES[name].get("faults", {})
    found: collections.Counter[str] = collections.Counter()
    for id, reason in reasons.items():
        if reason is None:
            found["written"] += 1
            continue
        kind = next((kind for kind in KINDS if reason.startswith(kind)), None)
        if kind is None:
            assert reason.startswith(faults.get(id, "no fault is expected")), id
            kind = "a fault"
        found[kind] += 1
    assert dict(found) == HISTORIES[name]["reads"][database], dict(found)


def dump(database: str, url: str) -> str:
    """Return the schema as the database writes it, without our own tables."""
    if database == "sqlite":
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            query = (
                "SELECT type, name, sql FROM sqlite_master"
                " WHERE tbl_name NOT LIKE 'alembic_version%' ORDER BY 1, 2"
            )
            rows = connection.execute(query).fetchall()
        connection.close()
        # Alembic rebuilds a table with its constraints in the order of a set.
        return "\n".join(str(sorted(re.split(r",? *\n", str(row[2])))) for row in rows)
    bare = url.replace("+psycopg", "")
    done = subprocess.run(
        ["pg_dump", "--schema-only", "--exclude-table=alembic_version*", bare],
        capture_output=True,
        text=True,
        check=True,
    )
    # A newer pg_dump writes a random key in two lines of its own.
    lines = done.stdout.splitlines()
    return "\n".join(line for line in lines if not line.startswith("\\"))


@pytest.mark.parametrize(("name", "database"), UPGRADED)
def test_an_upgrade_makes_the_schema_that_alembic_makes(
    name: str, database: str, make_url: cabc.Callable[[str], str]
) -> None:
    schemas: list[str] = []
    for how in ("Alembic", "ours"):
        url = make_url(database)
        empty(database, url)
        run("upgrades.py", how, url, *places(name))
        schemas.append(dump(database, url))
    assert schemas[0].count("CREATE TABLE") > 5
    assert schemas[0] == schemas[1]


def empty(database: str, url: str) -> None:
    """Drop everything in a database of a server."""
    if database == "postgresql":
        subprocess.run(
            ["psql", "--quiet", url.replace("+psycopg", ""), "-c",
             "DROP SCHEMA public CASCADE; CREATE SCHEMA public"],
            check=True, capture_output=True,
        )  # fmt: skip
