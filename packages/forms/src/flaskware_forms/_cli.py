from __future__ import annotations

import json
import pathlib

import click

from flaskware_core import CommandGroup
from flaskware_core import current_app_object

forms_commands = CommandGroup("forms", help="Inspect the typed forms.")


@forms_commands.command("openapi")
@click.option("--title", help="The title; the app's name by default.")
@click.option(
    "--version", "of", default="0", show_default=True, help="The version of the app."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    help="The file to write, instead of the terminal.",
)
def openapi(title: str | None, of: str, output: pathlib.Path | None) -> None:
    """Print the OpenAPI 3.1 document of all forms, as JSON."""
    from ._interop.openapi import document

    app = current_app_object()
    found = document(app, title=title or app.name, version=of)
    text = json.dumps(found, indent=2)
    if output is None:
        click.echo(text)
    else:
        output.write_text(f"{text}\n", "utf-8")
        click.echo(f"{len(found['paths'])} paths written to {output}")
