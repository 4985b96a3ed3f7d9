"""The output of the commands."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import enum
import json
import shlex
import sys
import textwrap
import typing as t
from pathlib import Path

import click

from flaskware_alembic._backfill import Backfill
from flaskware_alembic._lint.fixes.placeholder import placeholders_in
from flaskware_alembic._results import BackfillState
from flaskware_alembic._results import BindStatus
from flaskware_alembic._results import Finding
from flaskware_alembic._results import HELD_BACK
from flaskware_alembic._results import Plan
from flaskware_alembic._results import Status
from flaskware_core import FindingFormat
from flaskware_core import Level
from flaskware_core import render_findings

if t.TYPE_CHECKING:
    from flaskware_alembic._results import BackfillInfo
    from flaskware_alembic._results import Drift
    from flaskware_alembic._results import PlanStep
    from flaskware_alembic._results import RevisionInfo

NOTHING_TO_DO = "Nothing to do: the databases are there already."
_NO_CHANGES = "No changes detected, so no file was written. Why: flask db doctor"


def is_asked() -> bool:
    """True if somebody is there to answer."""
    return sys.stdin.isatty()


def is_watched() -> bool:
    """True if somebody looks on; the log of a deploy gets one line a revision."""
    return sys.stderr.isatty()


def print_made(made: list[RevisionInfo], *, otherwise: str = _NO_CHANGES) -> None:
    """Print the files that were written."""
    if not made:
        click.echo(otherwise)
    for info in made:
        click.echo(f"Wrote {info.path}")
    for info in made:
        for unfinished in placeholders_in(info.path):
            click.echo(
                f"{info.path}:{unfinished.line} needs a value for the rows that are"
                " there, in place of `...`."
            )
        if info.contracts is not None:
            text = (
                f"These are two deploys. flask db upgrade applies {info.contracts}: old"
                " and new code work from then on. Once no process runs the old code,"
                f" flask db upgrade --contract applies {info.id}. For an app that is"
                " stopped meanwhile, delete both files and add --in-place."
            )
            click.echo(textwrap.fill(text, 80, break_on_hyphens=False))


def print_note(sentence: str) -> None:
    """Print a remark on what was written."""
    click.echo(sentence, err=True)


def print_possible(renames: cabc.Iterable[str]) -> None:
    """Print the possible renames, where nobody could be asked."""
    for name in renames:
        old = name.partition("=")[0]
        click.echo(
            f"{old} will be dropped together with its data. If it was renamed, delete"
            f" the file and add: --rename {shlex.quote(name)}",
            err=True,
        )


def print_step(step: PlanStep) -> None:
    """Print a revision that was done."""
    click.echo(str(step))


def print_wait(sentence: str) -> None:
    """Print a sentence about the process that is first."""
    click.echo(sentence, err=True)


def print_progress(info: BackfillInfo) -> None:
    """Print the progress of a backfill."""
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
    """Print the warnings and errors in the revisions that will be applied."""
    for step in plan:
        for finding in step.findings:
            if finding.waiver is None and finding.level is not Level.INFO:
                click.echo(str(finding), err=True)


def print_report(
    findings: cabc.Sequence[Finding], format_: FindingFormat, *, older: int
) -> None:
    """Print findings; as text, grouped by rule.

    :param older: How many findings the baseline has.
    """
    if format_ == "text":
        from .report import grouped

        click.echo(grouped(findings, older=older))
        return
    click.echo(render_findings(findings, format_, tool="flaskware-alembic"))


def print_done(done: Plan) -> None:
    """Print the end of an upgrade or downgrade."""
    for info in done.left:
        why = f"it completes {info.contracts}" if info.contracts else "it comes after"
        if info.contracts in {step.revision.id for step in done}:
            why += ", which was applied just now: deploy its code first"
        click.echo(f"Held back: {info}, since {why}")
    if done.left:
        click.echo(HELD_BACK)
    elif not done:
        click.echo(NOTHING_TO_DO)


def print_plan(plan: Plan) -> None:
    """Print the steps of a plan, with SQL and findings."""
    if not plan:
        click.echo(NOTHING_TO_DO)
    for info in plan.backfills:
        click.echo(f"go on with the backfill {info}")
    for step in plan:
        held = step.revision.contracts and step.direction == "upgrade"
        click.echo(f"{step}{' (only with --contract)' if held else ''}")
        if step.revision.deploy:
            click.echo(f"  {step.revision.deploy}")
        for fill in step.backfills:
            when = "before" if fill.before else "after"
            click.echo(
                f"  backfill {fill.name}, {when} it: the rows of {fill.table},"
                f" {fill.batch} at a time"
            )
        sql = step.sql
        if sql is None:
            why = step.reason or "its SQL depends on the content of the database"
            sql = f"-- Not written here: {why}."
        click.echo(textwrap.indent(sql, "    "))
        for finding in step.findings:
            if finding.waiver is None:
                click.echo(textwrap.indent(str(finding), "  "))


def print_infos(infos: list[RevisionInfo], otherwise: str) -> None:
    """Print some revisions, or a sentence where there are none."""
    if not infos:
        click.echo(otherwise)
    for info in infos:
        notes = "; ".join(filter(None, ["head" * info.is_head, info.deploy]))
        click.echo(f"{_label(info)}{info}{f' ({notes})' if notes else ''}")


def print_drift(found: cabc.Iterable[Drift]) -> None:
    """Print the differences of databases to what their revisions made."""
    for drift in found:
        head, *lines = str(drift).splitlines()
        click.echo(head)
        for line in lines:
            indented = textwrap.fill(
                line, 80, subsequent_indent="    ", break_long_words=False
            )
            click.echo(indented)


def print_positions(status: Status) -> None:
    """Print the ids in the version tables, known to the code or not."""
    for bind in status.binds:
        for id in bind.current:
            why = " is not in the code" if id in bind.unknown else ""
            click.echo(f"{_label(bind)}{id}{why}")


def _label(item: RevisionInfo | BindStatus) -> str:
    name = item.tree or item.bind
    return f"{name}: " if name else ""


def print_json(result: object) -> None:
    """Print a result, with its fields by the names that they have in Python."""
    click.echo(json.dumps(as_json(result), indent=2))


def as_json(value: object) -> t.Any:
    """Return a result as types of JSON."""
    if isinstance(value, Finding):
        return value.as_dict()
    if isinstance(value, Backfill):
        return {"name": value.name, "table": value.table, "batch": value.batch}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if dc.is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, cabc.Mapping):
        items = t.cast("cabc.Mapping[object, object]", value)
        return {str(key): as_json(item) for key, item in items.items()}
    return [as_json(item) for item in t.cast("cabc.Iterable[object]", value)]


def _fields(value: t.Any) -> dict[str, t.Any]:
    fields = {
        item.name: as_json(getattr(value, item.name)) for item in dc.fields(value)
    }
    if isinstance(value, Status):
        fields["state"] = value.state.value
    if isinstance(value, Plan):
        for step, plain in zip(value.steps, fields["steps"], strict=True):
            plain["bind"] = step.bind
    return fields
