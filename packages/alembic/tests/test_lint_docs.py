"""The page of the rules says what the rules say, and names none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flaskware_alembic._lint.engine import ABOUT_LINTING
from flaskware_alembic._lint.engine import RULES
from flaskware_alembic._lint.fixes.fix import FIXED

PAGE = Path(__file__).parent.parent / "docs" / "rules.md"


def section(title: str) -> str:
    _, _, rest = PAGE.read_text("utf-8").partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0]


def rows_of_rules() -> list[str]:
    """The table of all rules, as it must stand on the page."""
    names = {"postgresql": "PostgreSQL", "mysql": "MySQL, MariaDB", "sqlite": "SQLite"}
    return [
        f"| `{rule.id}` | {', '.join(names[d] for d in rule.dialects)}"
        f" | {rule.level.value} | {rule.lock or ''}"
        f" | {'yes' if rule.id in FIXED else ''} | {rule.reason} |"
        for rule in RULES.values()
    ]


def test_the_page_has_each_rule_as_it_is() -> None:
    rows = [
        line for line in section("All rules").splitlines() if line.startswith("| `")
    ]
    assert rows == rows_of_rules()


@pytest.mark.parametrize("tool", ["squawk", "strong_migrations"])
def test_each_rule_that_is_named_for_those_who_move_exists(tool: str) -> None:
    rows = re.findall(r"(?m)^\| `([\w-]+)` \| (.*) \|$", section(f"From {tool}"))
    theirs = [name for name, _ in rows]
    assert len(theirs) == len(set(theirs)) > 30
    ours = {name for _, cell in rows for name in re.findall(r"`([a-z-]+)`", cell)}
    assert ours <= {*RULES, *ABOUT_LINTING}
