"""The command ``flask doctor``."""

from __future__ import annotations

import json

import click
from flask.cli import with_appcontext

from ._doctor.examine import examine
from ._doctor.examine import Report
from ._findings.finding import Level
from ._findings.formats import count_levels
from ._findings.formats import text_of
from ._web.current import current_app_object


@click.command("doctor")
@click.option("--deploy", is_flag=True, help="Also check what matters in production.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--fail-on",
    type=click.Choice([level.value for level in Level]),
    default=Level.ERROR.value,
    show_default=True,
    help="Exit with 1 on a finding of this level or above.",
)
@with_appcontext
def doctor(*, deploy: bool, as_json: bool, fail_on: str) -> None:
    """Check the app and its extensions, and print how to fix what is wrong."""
    report = examine(current_app_object(), deploy=deploy)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _print(report)
    worst = report.worst()
    if worst is not None and worst >= Level(fail_on):
        raise click.exceptions.Exit(1)


def _print(report: Report) -> None:
    for finding in report.findings:
        click.echo(text_of(finding))
    for id in report.unknown_silenced:
        click.echo(f"note: {id!r} is silenced, but nothing reported it\n")
    examined = ", ".join(("the app", *report.extensions))
    counts = count_levels(report.findings) or "no findings"
    silenced = f", {len(report.silenced)} silenced" if report.silenced else ""
    click.echo(f"Examined {examined}: {counts}{silenced}.")
