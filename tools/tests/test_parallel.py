"""Commands that run side by side."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flaskware_tools.parallel import run_side_by_side

# Each says so and waits until the other has, which only works side by side.
MEET = """
import pathlib, sys, time
mine, other = sys.argv[1:]
print(mine, "begins")
pathlib.Path(mine).touch()
while not pathlib.Path(other).exists():
    time.sleep(0.01)
print(mine, "ends", file=sys.stderr)
"""


def test_commands_run_at_once_and_their_output_is_not_mixed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    commands = {
        "first": (sys.executable, "-uc", MEET, one, two),
        "second": (sys.executable, "-uc", MEET, two, one),
    }
    assert run_side_by_side(commands, width=2) == []
    lines = capfd.readouterr().out.splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines if line[0] == "/"] == [
        "begins", "ends", "begins", "ends",
    ]  # fmt: skip
    assert lines[2].endswith("s ===")


def test_a_command_that_fails_is_named_and_the_rest_runs(
    capfd: pytest.CaptureFixture[str],
) -> None:
    commands = {
        "bad": (sys.executable, "-c", "raise SystemExit(3)"),
        "good": (sys.executable, "-c", "print('done')"),
    }
    assert run_side_by_side(commands, width=1) == ["bad"]
    printed = capfd.readouterr().out
    assert "=== bad: failed after" in printed
    assert "done\n=== good: passed after" in printed
