"""What the commands print."""

from __future__ import annotations

import collections.abc as cabc
import shlex
import shutil
import sys
import textwrap
import typing as t

import click

from flaskware_alembic._lint.finding import Finding
from flaskware_alembic._lint.finding import Format
from flaskware_alembic._lint.finding import show
from flaskware_core import Level

if t.TYPE_CHECKING:
    from flaskware_alembic._project.status import Status
    from flaskware_alembic._revisions.backfill import BackfillInfo
    from flaskware_alembic._revisions.plan import Plan
    from flaskware_alembic._revisions.plan import PlanStep
    from flaskware_alembic._revisions.revision import RevisionInfo


CONTRACT = (
    "What is held back breaks processes that run older code. Once none does:"
    " flask db upgrade --contract"
)


def print_made(made: list[RevisionInfo]) -> None:
    """The files that were written."""
    if not made:
        click.echo("No changes detected, so no file was written. Why: flask db doctor")
    for info in made:
        click.echo(f"Wrote {info.path}")


def print_possible(renames: cabc.Iterable[str]) -> None:
    """What may have been renamed, where nobody could be asked."""
    for name in renames:
        old = name.partition("=")[0]
        click.echo(
            f"{old} goes, with what it holds. If it was renamed, delete the file and"
            f" add: --rename {shlex.quote(name)}",
            err=True,
        )


def is_asked() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


def is_watched() -> bool:
    """Whether somebody looks on; a deploy's log gets one line a revision."""
    return sys.stderr.isatty()


def print_step(step: PlanStep) -> None:
    """A revision that was done."""
    click.echo(str(step))


def print_progress(info: BackfillInfo) -> None:
    """How far a backfill came."""
    from flaskware_alembic._revisions.backfill import BackfillState

    is_done = info.state is BackfillState.DONE
    if is_watched():
        bar = _bar(info, is_done=is_done)
        click.echo(f"\r{bar} {info}\x1b[K", nl=False, err=True)
        if is_done:
            click.echo(err=True)
    elif is_done:
        click.echo(str(info))


def _bar(info: BackfillInfo, width: int = 20, *, is_done: bool) -> str:
    share = min(1.0, info.rows / info.total) if info.total else 0.0
    share = 1.0 if is_done else share
    return f"[{'#' * round(share * width):<{width}}]"


def print_findings(plan: Plan) -> None:
    """What the rules found in what is about to be applied."""
    findings = [f for step in plan for f in step.findings if f.waiver is None]
    worrying = [f for f in findings if f.level is not Level.INFO]
    for finding in worrying:
        click.echo(str(finding), err=True)


def print_report(findings: cabc.Sequence[Finding], format_: Format) -> None:
    """What the linter found, in lines of the terminal's width if there is one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(show(findings, format_, width))


def print_done(done: Plan) -> None:
    """What an upgrade leaves to say."""
    for info in done.left:
        why = f"it completes {info.contracts}" if info.contracts else "it comes after"
        click.echo(f"Held back: {info}, since {why}")
    if done.left:
        click.echo(CONTRACT)
    if not done and not done.left:
        click.echo("Nothing to do: the databases are there already.")


def print_wait(sentence: str) -> None:
    """Who is waited for."""
    click.echo(sentence, err=True)


def print_plan(plan: Plan) -> None:
    """What would be done, with SQL and findings."""
    if not plan:
        click.echo("Nothing to do: the databases are there already.")
    for info in plan.backfills:
        click.echo(f"go on with the backfill {info}")
    for step in plan:
        held = step.revision.contracts and step.direction == "upgrade"
        click.echo(f"{step}{' (only with --contract)' if held else ''}")
        sql = step.sql
        if sql is None:
            sql = "-- It can be told only by doing it."
        for fill in step.backfills:
            when = "before" if fill.before else "after"
            click.echo(
                f"  backfill {fill.name}, {when} it: the rows of {fill.table},"
                f" {fill.batch} at a time"
            )
        click.echo(textwrap.indent(sql, "    "))
        for finding in step.findings:
            if finding.waiver is None:
                click.echo(textwrap.indent(str(finding), "  "))


def print_infos(infos: list[RevisionInfo], otherwise: str) -> None:
    """Some revisions."""
    if not infos:
        click.echo(otherwise)
    for info in infos:
        place = info.tree or info.bind
        bind = f"{place}: " if place else ""
        head = " (head)" if info.is_head else ""
        click.echo(f"{bind}{info}{head}")


def print_ahead(status: Status) -> None:
    """Where databases are, some of them where the code does not know."""
    for bind in status.binds:
        name = bind.tree or bind.bind
        for id in bind.current:
            why = " is not in the code" if id in bind.unknown else ""
            click.echo(f"{name + ': ' if name else ''}{id}{why}")
