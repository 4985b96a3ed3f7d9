"""Our linter says what squawk says of a statement, or there is a reason.

The page of the rules names ours for each of squawk's.
"""

from __future__ import annotations

import collections
import json
import os
import re
import subprocess
import sys
import tomllib
import typing as t
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql

from flaskware_alembic import RevisionInfo
from flaskware_alembic._lint.engine import findings_of
from flaskware_alembic._lint.engine import Subject
from flaskware_alembic._lint.recording import Recording
from flaskware_alembic._sql.statement import changes_of_sql

HERE = Path(__file__).parent
SQUAWK = Path(sys.executable).parent / "squawk"
PACKAGE = Path(os.environ["COMPANION_REPOSITORY"], "packages/alembic")
PAGE = PACKAGE / "docs" / "rules.md"
REASONS: dict[str, t.Any] = tomllib.loads((HERE / "squawk.toml").read_text("utf-8"))
STATEMENTS = (HERE / "statements.sql").read_text("utf-8").splitlines()
SCHEMA = (PACKAGE / "tests" / "lint_postgresql.sql").read_text("utf-8")
# It prints another name than that of its documentation.
RENAMED = {"prefer-timestamp-tz": "prefer-timestamptz"}
# It has no option for these: one is about its own comments.
ALWAYS = {"syntax-error", "unused-ignore"}


class Difference(t.NamedTuple):
    """A rule that only one of the two has for a statement."""

    whose: t.Literal["ours", "theirs"]
    rule: str
    sql: str


def counterparts() -> dict[str, set[str]]:
    """Return our rules for each rule of squawk, as the page has them."""
    section = PAGE.read_text("utf-8").partition("\n## From squawk\n")[2]
    rows = re.findall(r"(?m)^\| `([\w-]+)` \| (.*) \|$", section.partition("\n## ")[0])
    return {name: set(re.findall(r"`([a-z-]+)`", cell)) for name, cell in rows}


def theirs(folder: Path) -> list[set[str]]:
    """Return the rules of squawk that each statement breaks."""
    files = [folder / f"{at:04}.sql" for at in range(len(STATEMENTS))]
    for file, sql in zip(files, STATEMENTS, strict=True):
        file.write_text(f"{sql}\n", "utf-8")
    rules = sorted(set(counterparts()) - ALWAYS)
    done = subprocess.run(
        [
            SQUAWK, "--reporter=json", "--assume-in-transaction", "--pg-version=16.0",
            *(f"--include={rule}" for rule in rules), *files,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = collections.defaultdict[str, set[str]](set)
    for item in json.loads(done.stdout):
        rule = item["rule_name"]
        found[Path(item["file"]).name].add(RENAMED.get(rule, rule))
    return [found[file.name] for file in files]


def ours(sql: str, path: Path) -> set[str]:
    """Return our rules that a statement breaks."""
    history = Recording(tuple(changes_of_sql(SCHEMA, "postgresql")))
    subject = Subject(
        RevisionInfo("aa", None, "", (), path, is_head=True),
        postgresql.dialect(),
        Recording(tuple(changes_of_sql(sql, "postgresql"))),
        history=lambda: [history],
    )
    return {finding.rule for finding in findings_of(subject)}


@pytest.fixture(scope="session")
def differences(tmp_path_factory: pytest.TempPathFactory) -> list[Difference]:
    """What only one of the two says."""
    folder = tmp_path_factory.mktemp("squawk")
    path = folder / "aa.py"
    path.write_text("def upgrade():\n    pass\n", "utf-8")
    known = counterparts()
    found: list[Difference] = []
    for sql, rules in zip(STATEMENTS, theirs(folder), strict=True):
        own = ours(sql, path)
        missed = (rule for rule in sorted(rules) if not known[rule] & own)
        found.extend(Difference("theirs", rule, sql) for rule in missed)
        covered = {ours for rule in rules for ours in known[rule]}
        more = sorted(own - covered)
        found.extend(Difference("ours", rule, sql) for rule in more)
    return found


def explained(difference: Difference) -> list[str]:
    """Return the names of the reasons for a difference."""
    return [
        name
        for name, item in REASONS.items()
        if difference.rule in item.get(difference.whose, ())
        and re.search(item.get("pattern", ""), difference.sql)
    ]


def test_the_statements_are_told_apart() -> None:
    assert len(STATEMENTS) == len(set(STATEMENTS)) > 380


def test_each_difference_has_a_reason(differences: list[Difference]) -> None:
    by_statement = collections.defaultdict[str, set[str]](set)
    for difference in differences:
        by_statement[difference.sql].update(explained(difference))
    once = {name for name, item in REASONS.items() if item.get("once")}
    apart = [sql for sql, names in by_statement.items() if not names <= once]
    same = len(STATEMENTS) - len(apart)
    print(f"{len(STATEMENTS)} statements, the same verdict for {same}")
    assert [d for d in differences if not explained(d)] == []


def test_each_reason_is_that_of_a_difference(differences: list[Difference]) -> None:
    used = {name for difference in differences for name in explained(difference)}
    assert used == set(REASONS)
