"""The command ``flaskware new``."""

from __future__ import annotations

import keyword
import re
import secrets
import sys
import typing as t
from pathlib import Path

import click
import copier
import yaml
from copier.errors import CopierError

_TEMPLATE = Path(__file__).with_name("app")
# With more characters, lines of the template would be too long for its own checks.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,19}")
# The package of the app would hide these, or be hidden by them.
_TAKEN = frozenset({"app", "flask", "flaskware", "test", "tests"})


def _questions() -> dict[str, dict[str, t.Any]]:
    """Return what copier asks: the template says it once, for prompts and options."""
    asked = yaml.safe_load((_TEMPLATE / "copier.yml").read_text("utf-8"))
    return {
        name: question
        for name, question in asked.items()
        if isinstance(question, dict) and "choices" in question
    }


def _check_name(_: click.Context, __: click.Parameter, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            f"{name!r} is no name of a package: write up to 20 lowercase letters,"
            " digits and _"
        )
    if keyword.iskeyword(name) or name in {*sys.stdlib_module_names, *_TAKEN}:
        raise click.BadParameter(f"{name!r} is the name of another module")
    return name


@click.group()
@click.version_option(package_name="flaskware")
def main() -> None:
    """Start an app with the Flaskware extensions."""


@click.argument("name", callback=_check_name)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where to put it; ./NAME."
)
@click.option("--defaults", is_flag=True, help="Ask nothing: take the defaults.")
def new(
    name: str, folder: Path | None, *, defaults: bool, **answers: str | None
) -> None:
    """Make an app NAME in a folder of its own.

    It is asked about what no option says.
    """
    target = folder or Path(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise click.ClickException(f"{target} exists and is not empty")
    if not defaults and not sys.stdin.isatty():
        raise click.ClickException(
            "there is no terminal to ask at: write --defaults, and an option for each"
            " answer that differs"
        )
    given = {key: value for key, value in answers.items() if value is not None}
    passwords = {
        key: secrets.token_hex(32) for key in ("secret_key", "database_password")
    }
    try:
        copier.run_copy(
            str(_TEMPLATE), target, data={"name": name, **given, **passwords},
            defaults=defaults, quiet=True,
        )  # fmt: skip
    except CopierError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.Abort from None
    click.echo(f"made {target}; {target / 'README.md'} says how to run it")


for _name, _question in reversed(_questions().items()):
    new = click.option(
        f"--{_name}",
        type=click.Choice(list(_question["choices"].values())),
        help=f"{_question['help']} Default: {_question['default']}.",
    )(new)
main.command("new")(new)


if __name__ == "__main__":
    main(prog_name="flaskware")
