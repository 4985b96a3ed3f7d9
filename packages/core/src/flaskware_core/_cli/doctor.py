"""The command ``flask doctor``."""

from __future__ import annotations

import dataclasses as dc
import json
import shutil
import sys
import typing as t

import click

from flaskware_core._findings.finding import Finding
from flaskware_core._findings.finding import Level
from flaskware_core._findings.formats import count_levels
from flaskware_core._findings.formats import FINDING_FORMATS
from flaskware_core._findings.formats import FindingFormat
from flaskware_core._findings.formats import render_findings
from flaskware_core._findings.formats import text_of
from flaskware_core._installed import installed_on
from flaskware_core._web.commands import with_app_context
from flaskware_core._web.current import current_app_object

if t.TYPE_CHECKING:
    from flask.sansio.app import App

    from flaskware_core._doctor.examine import Report


@click.command("doctor")
@click.option("--deploy", is_flag=True, help="Also check what matters in production.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FINDING_FORMATS),
    default="text",
    show_default=True,
    help="The format of the output: github for annotations, sarif for code scanners.",
)
@click.option("--json", "format_", flag_value="json", help="Same as --format json.")
@click.option(
    "--fail-on",
    type=click.Choice([level.value for level in Level]),
    default=Level.ERROR.value,
    show_default=True,
    help="Exit with 1 on a finding of this level or above.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds that each extension and its database or store may take.",
)
@with_app_context
def doctor(
    *, deploy: bool, format_: FindingFormat, fail_on: str, timeout: float
) -> None:
    """Check the app and its extensions, and print how to fix what is wrong."""
    # Every app has this command, and few starts of it need the checks.
    from flaskware_core._doctor.examine import examine

    app = current_app_object()
    report = examine(app, deploy=deploy, timeout=timeout)
    if format_ == "json":
        click.echo(json.dumps(report.as_dict(), indent=2))
    elif format_ == "text":
        _print(report)
    else:
        placed = [_placed(finding, app) for finding in report.findings]
        click.echo(render_findings(placed, format_, tool="flask doctor"))
    worst = report.worst()
    if worst is not None and worst >= Level(fail_on):
        raise click.exceptions.Exit(1)


def _placed(finding: Finding, app: App) -> Finding:
    """Return a finding with the file it is shown at: where its extension is set up."""
    if finding.file:
        return finding
    installed = installed_on(app)
    item = installed.get(finding.id.partition(".")[0])
    # Without an extension of its own, a finding is about the configuration of the app.
    item = item or next(iter(installed.values()), None)
    if item is None:
        return finding
    file, _, line = item.place.rpartition(":")
    return dc.replace(finding, file=file, line=int(line))


def _print(report: Report) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for finding in report.findings:
        click.echo(text_of(finding, width))
    for id in report.unknown_silenced:
        click.echo(f"note: {id!r} is silenced, but nothing reported it\n")
    examined = ", ".join(("the app", *report.extensions))
    counts = count_levels(report.findings) or "no findings"
    silenced = f", {len(report.silenced)} silenced" if report.silenced else ""
    click.echo(f"Examined {examined}: {counts}{silenced}.")
