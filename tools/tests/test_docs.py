"""What the documentation shows is parsed, and what it names is there."""

from __future__ import annotations

import click
import flask
import pytest

from flaskware_tools import commands
from flaskware_tools import examples


@pytest.fixture
def app():
    app = flask.Flask(__name__)

    @app.cli.group()
    def db():
        pass

    @db.command()
    @click.option("--sql/--no-sql")
    @click.argument("target", default="head")
    def upgrade(sql, target):
        pass

    return app


def test_commands_are_found_in_code_only():
    page = "Run flask x.\n`flask db upgrade`\n```\n$ flask --app a run  # why\n```\n"
    assert commands.named(page) == ["db upgrade", "--app a run"]


@pytest.mark.parametrize(
    "command",
    ["db upgrade", "--app board db upgrade +1 --no-sql", "run --debug", "db --help"],
)
def test_a_command_that_exists_is_no_problem(app, command):
    assert commands.problem(command, app) is None


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("db upgarde", "there is no upgarde"),
        ("db upgrade --sqll", "upgrade has no --sqll"),
        ("dbb upgrade", "there is no dbb"),
    ],
)
def test_a_command_that_does_not_is_named(app, command, told):
    assert told in (commands.problem(command, app) or "")


@pytest.mark.parametrize(
    ("language", "right", "wrong"),
    [
        ("json", '{"a": 1}', "{'a': 1}"),
        ("toml", "a = 1", "a ="),
        ("ini", "[a]\nb = 1", "b = 1"),
        ("jinja", "{% if a %}b{% endif %}", "{% if a %}b"),
    ],
)
def test_an_example_in_another_language_is_parsed(language, right, wrong):
    page = "one\n```{}\n{}\n```\n"
    assert examples.misspelled(page.format(language, right)) is None
    assert f"line 3: {language}: " in (
        examples.misspelled(page.format(language, wrong)) or ""
    )
