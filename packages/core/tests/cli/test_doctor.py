from __future__ import annotations

import asyncio
import json
import secrets

import click.testing
import pytest
import quart
from quart.cli import QuartGroup

from flaskware_core import call_in_app_context
from flaskware_core import CommandGroup
from flaskware_core import current_app_object
from flaskware_core import with_app_context
from flaskware_core.testing import make_app

group = CommandGroup("which")


@click.command("waits")
@with_app_context
def waits() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        click.echo("no loop, ", nl=False)
    click.echo("app" if current_app_object() else "")
    click.get_current_context().exit(4)


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


def test_a_command_may_wait_in_an_app_of_quart_even_in_a_running_loop():
    app = quart.Quart(__name__)
    app.cli.add_command(waits)

    async def test() -> click.testing.Result:
        return app.test_cli_runner().invoke(args=["waits"])

    for result in (_in_quart(app, "waits"), asyncio.run(test())):
        assert result.output == "no loop, app\n", result.output
        assert result.exit_code == 4


def test_a_call_in_an_app_context_has_a_context_of_either_framework():
    for app in (make_app(), quart.Quart(__name__)):
        ended: list[BaseException | None] = []
        app.teardown_appcontext(ended.append)
        assert call_in_app_context(app, current_app_object) is app
        with pytest.raises(KeyError) as caught:
            call_in_app_context(app, {}.popitem)
        assert ended == [None, caught.value]
