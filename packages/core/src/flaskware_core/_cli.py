from __future__ import annotations

import json

import click
from flask import current_app
from flask.cli import with_appcontext

from ._doctor import examine
from ._doctor import Level
from ._doctor import Report

_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "blue"}


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
    """Examine the app and its extensions, and say what to mend."""
    report = examine(current_app._get_current_object(), deploy=deploy)  # type: ignore[attr-defined]
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _print(report)
    worst = report.worst()
    if worst is not None and worst >= Level(fail_on):
        raise click.exceptions.Exit(1)


def _print(report: Report) -> None:
    for finding in report.findings:
        level = click.style(
            finding.level.value.upper(), fg=_COLOURS[finding.level], bold=True
        )
        click.echo(f"{level}  {finding.id}")
        click.echo(f"  {finding.message}")
        click.echo(f"  fix: {finding.fix}\n")
    for id in report.unknown_silenced:
        click.echo(f"note: {id!r} is silenced, but nothing reported it\n")
    examined = ", ".join(("the app", *report.extensions))
    counts = [
        f"{count} {level.value}{'s' if count > 1 and level is not Level.INFO else ''}"
        for level in reversed(Level)
        if (count := sum(f.level is level for f in report.findings))
    ]
    silenced = f", {len(report.silenced)} silenced" if report.silenced else ""
    click.echo(f"Examined {examined}: {', '.join(counts) or 'no findings'}{silenced}.")
