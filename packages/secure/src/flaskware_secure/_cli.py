"""The commands ``flask secure …``."""

from __future__ import annotations

import dataclasses as dc
import datetime
import json
import time
import typing as t
from pathlib import Path

import click
import flask
from flask.sansio.app import App

from flaskware_core import CommandGroup
from flaskware_core import current_app_object
from flaskware_core import render_findings

from ._policy.inline import inline_code
from ._reports.store import LogReports
from ._reports.store import MemoryReports
from ._reports.store import MOST_CLIENTS
from ._reports.store import MOST_PAGES
from ._reports.store import ReportGroup
from ._reports.store import ReportStore
from ._static.files import static_folders
from ._static.integrity import write_manifest

if t.TYPE_CHECKING:
    from ._audit.audit import EndpointAudit
    from ._extension import SecureHeaders
    from ._reports.store import Ledger
    from ._reports.suggest import Suggestion
    from ._static.inline_hashes import Located

_GRADES = ("A+", "A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "D-", "F")

secure = CommandGroup("secure", help="Examine the security headers of the app.")


@secure.command("audit")
@click.argument("url", required=False)
@click.option(
    "--send",
    is_flag=True,
    help="Send a GET to each route without arguments; this runs the views.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    help="The format of the output.",
)
@click.option("--json", "form", flag_value="json", help="Same as --format json.")
@click.option(
    "--fail-below",
    type=click.Choice(_GRADES),
    help="Exit with 1 if a route has a lower grade.",
)
@click.option(
    "--snapshot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Compare with this file; exit with 1 if anything differs.",
)
@click.option("--update", is_flag=True, help="Write the snapshot instead.")
def audit(
    *,
    url: str | None,
    send: bool,
    form: str,
    fail_below: str | None,
    snapshot: Path | None,
    update: bool,
) -> None:
    """Show the headers of each route, or of a URL, over https, with a grade."""
    if update and snapshot is None:
        raise click.UsageError("--update needs --snapshot FILE, the file to write.")
    audits = _audits(url, send=send)
    if form == "json":
        click.echo(json.dumps([each.as_dict() for each in audits], indent=2))
    elif form == "sarif":
        from ._audit.audit import findings_of

        found = [finding for each in audits for finding in findings_of(each)]
        click.echo(render_findings(found, "sarif", tool="flask secure audit"))
    elif snapshot is None:
        _print(audits)
    if snapshot is not None:
        _compare(snapshot, audits, update=update)
    if fail_below is not None and any(
        _GRADES.index(each.grade.letter) > _GRADES.index(fail_below) for each in audits
    ):
        raise click.exceptions.Exit(1)


def _audits(url: str | None, *, send: bool) -> list[EndpointAudit]:
    if url is None:
        app, extension = _current()
        if send and not isinstance(app, flask.Flask):
            raise click.UsageError(
                "--send is for apps of Flask. Serve the app, and name its address."
            )
        return extension.audit(app, send=send)
    # Imported late: few commands ask another server.
    from ._audit.remote import audit_url
    from ._audit.remote import AuditError

    try:
        return [audit_url(url)]
    except AuditError as error:
        raise click.ClickException(str(error)) from None


def _compare(path: Path, audits: list[EndpointAudit], *, update: bool) -> None:
    from ._audit.snapshot import compare_snapshot
    from ._audit.snapshot import snapshot_of
    from ._audit.snapshot import SnapshotDiffers

    current = snapshot_of(audits)
    if update:
        path.write_text(current, encoding="utf-8")
        return
    try:
        compare_snapshot(path, current, write="add --update and commit the file")
    except SnapshotDiffers as error:
        raise click.ClickException(str(error)) from None


@secure.command("reports")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@click.option("--clear", is_flag=True, help="Delete them after they are printed.")
def reports(*, as_json: bool, clear: bool) -> None:
    """Show what browsers reported, most frequent first."""
    app, extension = _current()
    store = _shared_store(app, extension)
    groups = extension.reports(app)
    if as_json:
        click.echo(json.dumps([dc.asdict(group) for group in groups], indent=2))
    elif not groups:
        click.echo("Nothing was reported.")
    else:
        for group in groups:
            _print_group(group)
    if not as_json:
        _print_losses(extension.ledger(app))
    if clear:
        store.clear()


def _print_group(group: ReportGroup) -> None:
    report = group.report
    click.secho(f"{group.count:>6}  {report.kind}  {report.subject}", bold=True)
    verb = "blocked" if report.disposition == "enforce" else "would block"
    click.echo(f"        {verb} {report.blocked or report.sample or '-'}")
    click.echo(f"        on {report.document or '-'}")
    if report.source:
        click.echo(f"        by {report.source}:{report.line}")
    click.echo(f"        {_seen(len(group.clients), len(group.pages))}")
    click.echo(f"        {_day(group.first_seen)} to {_day(group.last_seen)}")


def _seen(clients: int, pages: int) -> str:
    more_clients = f"{MOST_CLIENTS} or more" if clients >= MOST_CLIENTS else clients
    more_pages = f"{MOST_PAGES} or more" if pages >= MOST_PAGES else pages
    return f"seen by {more_clients} client(s) on {more_pages} page(s)"


_LOSSES = {
    "rate": "came beyond SECURE_REPORTS_PER_MINUTE or its total",
    "evicted": "made room, see SECURE_REPORTS_MAX_GROUPS",
}


def _print_losses(ledger: Ledger) -> None:
    for reason, count in sorted(ledger.lost.items()):
        click.secho(f"{count} reports are lost: they {_LOSSES[reason]}.", fg="yellow")


@secure.command("suggest")
def suggest() -> None:
    """Show the smallest changes of the policy that would end the reports."""
    app, extension = _current()
    _shared_store(app, extension)
    for each in extension.suggestions(app):
        _print_suggestion(each)
    _print_losses(extension.ledger(app))
    if (trial := extension.trial(app)) is not None:
        days = max(0.0, time.time() - trial.clean_since) / 86400
        click.echo(
            f"The report-only policy has been clean for {days:.1f} days,"
            f" since {_day(trial.clean_since)}."
        )
        if trial.clean_since == trial.last_unread:
            click.echo("Then, reports were lost unread; they may have been violations.")


def _print_suggestion(each: Suggestion) -> None:
    whose = "report-only" if each.report_only else "enforced"
    click.secho(f"{each.count:>6}  {each.directive}  ({whose})", bold=True)
    lines = [each.change, each.effect, each.advice]
    lines.extend(f"caution: {caution}" for caution in each.cautions)
    lines.extend(
        f"not suggested: {withheld.source}: {withheld.reason}"
        for withheld in each.withheld
    )
    lines.append(_seen(each.clients, each.pages))
    for group in each.groups[:3]:
        sample = f"  {group.report.sample}" if group.report.sample else ""
        lines.append(f"{group.count} times on {group.report.document or '-'}{sample}")
    for line in filter(None, lines):
        click.echo(f"        {line}")


@secure.command("manifest")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; by default, the file of SECURE_MANIFEST.",
)
def manifest(*, out: Path | None) -> None:
    """Write hashes of the app's static files to a file."""
    app, extension = _current()
    name = extension.settings_of(app).manifest
    if out is None and name is None:
        raise click.UsageError("Name the file: --out integrity.json")
    path = out or Path(app.root_path, str(name))
    count = write_manifest(path, static_folders(app))
    click.echo(f"{count} files in {path}")


@secure.command("hash")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--page",
    "pages",
    multiple=True,
    help="Ask the app for this path, and hash the code of the page it answers.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the code as JSON.")
def hash_(*, paths: tuple[Path, ...], pages: tuple[str, ...], as_json: bool) -> None:
    """Hash the inline scripts, styles and handlers of templates or pages.

    PATHS are files and folders; by default, the template folders of the app and its
    blueprints. Code with a nonce is left out.
    """
    from ._static.inline_hashes import code_below
    from ._static.inline_hashes import Located
    from ._static.inline_hashes import template_folders

    app, _ = _current()
    chosen = paths or (() if pages else tuple(template_folders(app)))
    found = code_below(chosen)
    for page in pages:
        markup = _page(app, page)
        found.extend(Located(page, code) for code in inline_code(markup))
    if as_json:
        click.echo(json.dumps([each.as_dict() for each in found], indent=2))
    else:
        _print_code(found)


def _page(app: App, path: str) -> str:
    if not isinstance(app, flask.Flask):
        raise click.UsageError(
            "--page is for apps of Flask. Save the page in a browser, and name the"
            " file."
        )
    response = app.test_client().get(path, base_url="https://localhost")
    if response.status_code != 200:
        raise click.ClickException(
            f"The app answers {path} with {response.status_code}. For a page behind a"
            " sign-in, save it in a browser and name the file."
        )
    return response.get_data(as_text=True)


def _print_code(found: list[Located]) -> None:
    from ._static.inline_hashes import directives_for

    for each in found:
        code = each.found
        click.secho(f"{each.file}:{code.line}  {code.where}", bold=True)
        click.echo(f"    {' '.join(code.code.split())[:70]}")
        if code.varies:
            click.echo("    a template fills it in, so no hash fits: use the nonce")
        else:
            click.echo(f"    {code.source}")
    directives = directives_for(found)
    if not directives:
        click.echo("Nothing to hash.")
        return
    click.echo("\nTo allow it, in Policy.strict(…) or override(…) of the pages:\n")
    for name, sources in directives.items():
        value = repr([*sources])
        if name.endswith("-elem"):
            value = f"append({', '.join(map(repr, sources))})"
            name = name.removesuffix("-elem")
        click.echo(f"    {name.replace('-', '_')}={value},")
    if any(name.endswith("-attr") for name in directives):
        click.echo(
            "\n'unsafe-hashes' lets injected markup attach the same code to any"
            " element."
        )


def _current() -> tuple[App, SecureHeaders]:
    app = current_app_object()
    return app, app.extensions["secure"]


def _shared_store(app: App, extension: SecureHeaders) -> ReportStore:
    store = extension.state_of(app).store
    if store is None:
        raise click.ClickException(
            'The app takes no reports. Set SECURE_REPORTS = "sqlite:///reports.db".'
        )
    if isinstance(store, MemoryReports | LogReports):
        raise click.ClickException(
            "The reports are in the memory or log of the server's process, which this"
            ' command cannot read. Set SECURE_REPORTS = "sqlite:///reports.db".'
        )
    return store


def _day(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(" ", "minutes")


def _print(audits: list[EndpointAudit]) -> None:
    for alike in _grouped(audits):
        first = alike[0]
        click.secho(f"{first.grade.letter} ({first.grade.score})", bold=True)
        for each in alike:
            source = "" if each.sent else "  (by its policy)"
            click.echo(f"  {each.rule}  {each.endpoint}{source}")
        for name, value in first.headers:
            click.echo(f"    {name}: {value}")
        for finding in first.grade.findings:
            if finding.points <= 0:
                click.echo(f"    {finding.points:+}  {finding.message}")
                click.echo(f"        fix: {finding.fix}")
        click.echo()


def _grouped(audits: list[EndpointAudit]) -> list[list[EndpointAudit]]:
    """Return audits grouped by their headers, so that each policy is shown once."""
    groups: dict[object, list[EndpointAudit]] = {}
    for each in audits:
        groups.setdefault(each.headers, []).append(each)
    return list(groups.values())
