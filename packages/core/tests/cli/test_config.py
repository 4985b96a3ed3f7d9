"""`flask config show`, on apps that are loaded as the `flask` command loads them."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import click.testing
import flask
import pytest
import quart
from flask.cli import FlaskGroup
from flask.config import Config

from flaskware_core import from_environment
from flaskware_core.testing import make_app

SECRET = "smtp://ada:hunter2@localhost"
Fill = t.Callable[[flask.Flask, Path], object]


def shown(
    mail_class: t.Any, fill: Fill, folder: Path, *arguments: str, **given: object
) -> str:
    def create_app() -> flask.Flask:
        app = flask.Flask(__name__, root_path=str(folder))
        fill(app, folder)
        mail_class(app, **given)
        return app

    group = FlaskGroup(create_app=create_app)
    result = click.testing.CliRunner().invoke(group, ["config", "show", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def _by_line(app: flask.Flask, folder: Path) -> None:
    app.config["MAIL_URL"] = SECRET


def _by_default(app: flask.Flask, folder: Path) -> None:
    app.config.setdefault("MAIL_URL", SECRET)


def _by_update(app: flask.Flask, folder: Path) -> None:
    app.config.update({"MAIL_URL": SECRET})


def _by_mapping(app: flask.Flask, folder: Path) -> None:
    app.config.from_mapping(MAIL_URL=SECRET)


def _by_object(app: flask.Flask, folder: Path) -> None:
    app.config.from_object(type("Production", (), {"MAIL_URL": SECRET}))


def _by_pyfile(app: flask.Flask, folder: Path) -> None:
    (folder / "mail.cfg").write_text(f"MAIL_URL = {SECRET!r}\n")
    app.config.from_pyfile("mail.cfg")


def _by_file(app: flask.Flask, folder: Path) -> None:
    (folder / "mail.json").write_text(json.dumps({"MAIL_URL": SECRET}))
    app.config.from_file("mail.json", load=json.load)


def _by_environment(app: flask.Flask, folder: Path) -> None:
    app.config["MAIL_URL"] = "smtp://localhost"
    app.config.from_prefixed_env()


def _by_own_prefix(app: flask.Flask, folder: Path) -> None:
    app.config.from_prefixed_env("SHOP")


@pytest.mark.parametrize(
    ("fill", "kind", "place"),
    [
        (_by_line, "app.config", f"{__file__}:{_by_line.__code__.co_firstlineno + 1}"),
        (_by_default, "app.config", __file__),
        (_by_update, "app.config", __file__),
        (_by_mapping, "app.config", __file__),
        (_by_object, "app.config", __file__),
        (_by_pyfile, "file", "mail.cfg"),
        (_by_file, "file", "mail.json"),
        (_by_environment, "environment", "FLASK_MAIL_URL"),
        (_by_own_prefix, "environment", "SHOP_MAIL_URL"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_way_to_set_a_key_is_told(
    fill, kind, place, mail_class, tmp_path, monkeypatch
):
    monkeypatch.setenv("FLASK_MAIL_URL", SECRET)
    monkeypatch.setenv("SHOP_MAIL_URL", SECRET)
    before = dict(vars(Config))
    output = shown(mail_class, fill, tmp_path, "mail", "--json")
    (url,) = (item for item in json.loads(output) if item["key"] == "MAIL_URL")
    assert url["source"] == kind
    assert place in url["place"]
    assert url["value"] == "'smtp://…' (the rest is hidden)"
    assert "hunter2" not in output
    assert dict(vars(Config)) == before


def test_an_item_of_a_mapping_from_the_environment_names_its_variable(
    mail_class, tmp_path, monkeypatch
):
    def fill(app: flask.Flask, folder: Path) -> None:
        app.config.update(MAIL_URL=SECRET, MAIL_BINDS={"news": 1})
        app.config.from_prefixed_env()

    monkeypatch.setenv("FLASK_MAIL_BINDS__jobs", "2")
    output = shown(mail_class, fill, tmp_path, "mail", "--set")
    assert "MAIL_BINDS = {'news': 1, 'jobs': 2}" in output
    assert "# environment: FLASK_MAIL_BINDS__jobs" in output


def test_an_argument_and_a_default_are_told(mail_class, tmp_path):
    output = shown(mail_class, _by_line, tmp_path, "mail", port=26)
    assert "  MAIL_PORT = 26  # argument: port=…\n" in output
    assert "  MAIL_MODE = 'send'  # default\n" in output


def test_what_is_not_set_can_be_left_out(mail_class, tmp_path):
    output = shown(mail_class, _by_line, tmp_path, "--set")
    assert "MAIL_URL" in output
    assert "MAIL_PORT" not in output


def test_lines_have_80_columns(mail_class, tmp_path):
    def fill(app: flask.Flask, folder: Path) -> None:
        app.config["MAIL_URL"] = SECRET
        app.config["MAIL_BINDS"] = {f"a bind with a long name {n}": n for n in range(9)}

    output = shown(mail_class, fill, tmp_path)
    assert max(map(len, output.splitlines())) <= 80
    assert "a bind with a long name 8" in " ".join(output.split())


def test_an_unknown_extension_is_answered_with_the_known(mail_class):
    app = make_app(mail_class(), MAIL_URL=SECRET)
    result = app.test_cli_runner().invoke(args=["config", "show", "mial"])
    assert result.exit_code == 2
    assert "has no extension 'mial'; it has: core, mail" in result.output


def test_the_runner_of_an_app_has_it_and_knows_what_is_set(mail_class):
    app = make_app(mail_class(), MAIL_URL=SECRET)
    result = app.test_cli_runner().invoke(args=["config", "show", "--set"])
    assert "MAIL_URL = 'smtp://…' (the rest is hidden)  # app.config\n" in result.output


def test_the_command_of_quart_has_it_too(mail_class, monkeypatch):
    from quart.cli import QuartGroup

    def create_app() -> quart.Quart:
        app = quart.Quart(__name__)
        app.config.from_prefixed_env()
        mail_class(app)
        return app

    monkeypatch.setenv("QUART_MAIL_URL", SECRET)
    group = QuartGroup(create_app=create_app)
    result = click.testing.CliRunner().invoke(group, ["config", "show", "--set"])
    assert "# environment: QUART_MAIL_URL" in result.output


def test_a_wrong_configuration_is_told_in_place_of_the_settings(mail_class, tmp_path):
    app = flask.Flask(__name__)
    app.config["MAIL_PROT"] = 1
    group = FlaskGroup(create_app=lambda: mail_class(app))
    result = click.testing.CliRunner().invoke(group, ["config", "show"])
    assert result.exit_code == 1
    assert "did you mean MAIL_PORT?" in result.output


def _variables(mail_class: t.Any, fill: Fill, folder: Path, *arguments: str) -> str:
    def create_app() -> flask.Flask:
        app = flask.Flask(__name__, root_path=str(folder))
        fill(app, folder)
        mail_class(app)
        return app

    group = FlaskGroup(create_app=create_app)
    result = click.testing.CliRunner().invoke(group, ["config", "env", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_an_example_of_the_environment_has_each_setting_and_no_secret(
    mail_class, tmp_path, monkeypatch
):
    monkeypatch.setenv("FLASK_MAIL_URL", SECRET)
    monkeypatch.setenv("FLASK_MAIL_PORT", "26")
    monkeypatch.setenv("FLASK_SECRET_KEY", "a secret key")
    output = _variables(mail_class, _by_environment, tmp_path)
    assert "a secret key" not in output
    assert "hunter2" not in output
    lines = output.splitlines()
    for line in (
        "## flask", "FLASK_SECRET_KEY=", "#FLASK_TRUSTED_HOSTS=null",
        "## mail", "FLASK_MAIL_URL=", "FLASK_MAIL_PORT=26", "#FLASK_MAIL_MODE=send",
        "#FLASK_MAIL_BINDS={}", "#FLASK_MAIL_TLS=false",
    ):  # fmt: skip
        assert line in lines
    assert max(map(len, lines)) <= 80


def test_an_example_of_one_extension_has_no_other(mail_class, tmp_path):
    output = _variables(mail_class, _by_line, tmp_path, "mail", "--prefix", "SHOP")
    assert output.startswith("## mail\n#SHOP_MAIL_URL=\n")


def test_a_secret_file_is_told_by_its_path(mail_class, tmp_path, monkeypatch):
    (tmp_path / "url").write_text(SECRET)
    monkeypatch.setenv("FLASK_MAIL_URL_FILE", str(tmp_path / "url"))

    def fill(app: flask.Flask, folder: Path) -> None:
        from_environment(app.config)

    output = shown(mail_class, fill, tmp_path, "mail", "--json")
    (url,) = (item for item in json.loads(output) if item["key"] == "MAIL_URL")
    assert (url["source"], url["place"]) == ("file", str(tmp_path / "url"))
    assert "FLASK_MAIL_URL=\n" in _variables(
        mail_class, fill, tmp_path, "mail"
    ).replace("#", "")
