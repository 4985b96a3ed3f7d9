from __future__ import annotations

import json
import typing as t

import click
from flask import current_app
from flask.cli import AppGroup

from ._audit import EndpointAudit

if t.TYPE_CHECKING:
    from ._extension import SecureHeaders

_GRADES = ("A+", "A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "D-", "F")

secure = AppGroup("secure", help="Examine the security headers of the app.")


@secure.command("audit")
@click.option(
    "--send",
    is_flag=True,
    help="Send a GET to each route without arguments; the views run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the audit as JSON.")
@click.option(
    "--fail-below",
    type=click.Choice(_GRADES),
    help="Exit with 1 if a route has a lower grade.",
)
def audit(*, send: bool, as_json: bool, fail_below: str | None) -> None:
    """Show what each route answers with over https, and a grade."""
    app: t.Any = current_app
    extension: SecureHeaders = app.extensions["secure"]
    audits = extension.audit(app._get_current_object(), send=send)
    if as_json:
        click.echo(json.dumps([each.as_dict() for each in audits], indent=2))
    else:
        _print(audits)
    if fail_below is not None and any(
        _GRADES.index(each.grade.letter) > _GRADES.index(fail_below) for each in audits
    ):
        raise click.exceptions.Exit(1)


def _print(audits: list[EndpointAudit]) -> None:
    for alike in _grouped(audits):
        first = alike[0]
        click.secho(f"{first.grade.letter} ({first.grade.score})", bold=True)
        for each in alike:
            source = "" if each.sent else "  (as the policy says)"
            click.echo(f"  {each.rule}  {each.endpoint}{source}")
        for name, value in first.headers:
            click.echo(f"    {name}: {value}")
        for finding in first.grade.findings:
            if finding.points <= 0:
                click.echo(f"    {finding.points:+}  {finding.message}")
                click.echo(f"        fix: {finding.fix}")
        click.echo()


def _grouped(audits: list[EndpointAudit]) -> list[list[EndpointAudit]]:
    """Audits with the same headers together, so that one policy is shown once."""
    groups: dict[object, list[EndpointAudit]] = {}
    for each in audits:
        groups.setdefault(each.headers, []).append(each)
    return list(groups.values())
