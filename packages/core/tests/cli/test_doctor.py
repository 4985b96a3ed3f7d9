from __future__ import annotations

import json
import secrets

import click.testing
import quart
from quart.cli import QuartGroup

from flaskware_core import CommandGroup
from flaskware_core import current_app_object
from flaskware_core.testing import make_app

group = CommandGroup("which")


@group.command("app")
@click.argument("greeting")
def which(greeting: str) -> None:
    click.echo(f"{greeting} {type(current_app_object()).__module__}")


def _in_quart(app: quart.Quart, *arguments: str) -> click.testing.Result:
    command_line = QuartGroup(create_app=lambda: app)
    return click.testing.CliRunner().invoke(command_line, list(arguments))


def test_the_doctor_examines_an_app_of_quart(mail_class):
    app = quart.Quart(__name__)
    app.config.update(SECRET_KEY="dev", MAIL_URL="smtp://localhost")
    mail_class(app)
    result = _in_quart(app, "doctor", "--deploy", "--json")
    assert result.exit_code == 1, result.output
    report = json.loads(result.output)
    assert "core.secret-key-placeholder" in {f["id"] for f in report["findings"]}
    assert "mail" in report["extensions"]


def test_the_doctor_of_quart_needs_no_extension():
    app = quart.Quart(__name__)
    app.secret_key = secrets.token_hex()
    result = _in_quart(app, "doctor")
    assert result.exit_code == 0, result.output
    assert "Examined the app" in result.output


def test_a_command_of_a_group_has_the_app_of_either_framework():
    in_flask = make_app()
    in_flask.cli.add_command(group)
    result = in_flask.test_cli_runner().invoke(args=["which", "app", "hello"])
    assert result.output == "hello flask.app\n"
    in_quart = quart.Quart(__name__)
    in_quart.cli.add_command(group)
    assert _in_quart(in_quart, "which", "app", "hello").output == "hello quart.app\n"
