"""The settings of the whole family, written as variables and read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.cli import FlaskGroup

from noticeboard import create_app


def config(folder: Path, *arguments: str) -> str:
    """Run `flask config` on a board of its own."""
    group = FlaskGroup(create_app=lambda: create_app(instance_path=str(folder)))
    result = CliRunner().invoke(group, ["config", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def settings(folder: Path) -> dict[str, object]:
    shown = json.loads(config(folder, "show", "--json"))
    # A secret that is set is hidden, and its default is not.
    return {
        item["key"]: item["value"]
        for item in shown
        if "hidden" not in str(item["value"])
    }


def test_every_setting_comes_back_from_the_example_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = settings(tmp_path)
    written = set()
    for line in config(tmp_path, "env").splitlines():
        variable, is_variable, value = line.removeprefix("#").partition("=")
        if is_variable and variable.startswith("FLASK_") and value:
            quoted = value.startswith("'")
            monkeypatch.setenv(variable, value[1:-1] if quoted else value)
            written.add(variable.removeprefix("FLASK_"))
    assert len(written) > 80
    after = settings(tmp_path)
    assert after == {key: before[key] for key in after}
    assert len(after) > 80
