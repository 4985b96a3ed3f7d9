"""Commands that only look: at revisions, databases and models."""

from __future__ import annotations

import typing as t

import click

from flaskware_alembic._errors import SchemaDrifted
from flaskware_alembic._errors import UnsafeRevisions
from flaskware_alembic._results import DRIFT_ADVICE
from flaskware_core import closest
from flaskware_core import FINDING_FORMATS
from flaskware_core import FindingFormat
from flaskware_core import Level

from .options import command
from .options import down_option
from .options import json_option
from .options import message_option
from .options import MINUS_ONE
from .output import print_drift
from .output import print_infos
from .output import print_json
from .output import print_made
from .output import print_plan
from .output import print_positions
from .output import print_report

if t.TYPE_CHECKING:
    from flaskware_alembic._extension import Alembic

_NO_REVISIONS = "There are no revisions yet."


@command("plan", context_settings=MINUS_ONE)
@click.argument("target", default="heads")
@down_option
@json_option
def plan(
    alembic: Alembic, *, target: str, down: bool, as_json: bool, **chosen: t.Any
) -> None:
    """Show the steps that an upgrade would do at this moment."""
    direction: t.Literal["upgrade", "downgrade"] = "downgrade" if down else "upgrade"
    found = alembic.plan(target, direction=direction, **chosen)
    (print_json if as_json else print_plan)(found)


@command("sql", context_settings=MINUS_ONE)
@click.argument("target", default="heads")
@down_option
@click.option("--start", help="Where the database stands; it is asked if not given.")
def sql(
    alembic: Alembic, *, target: str, down: bool, start: str | None, **chosen: t.Any
) -> None:
    """Print the SQL of an upgrade, to be run by hand."""
    direction: t.Literal["upgrade", "downgrade"] = "downgrade" if down else "upgrade"
    text = alembic.sql(target, direction=direction, start=start, **chosen)
    click.echo(text, nl=False)


@command("current")
@json_option
def current(alembic: Alembic, *, as_json: bool, **chosen: t.Any) -> None:
    """Show the revisions that the databases are at."""
    status = alembic.status(models=False, **chosen)
    if as_json:
        print_json(
            [
                {
                    "bind": bind.bind,
                    "tree": bind.tree,
                    "current": bind.current,
                    "unknown": bind.unknown,
                    "state": bind.state,
                }
                for bind in status.binds
            ]
        )
    elif any(bind.unknown for bind in status.binds):
        print_positions(status)
    else:
        print_infos(alembic.current(**chosen), "No database has a revision yet.")


@command("history")
@json_option
def history(alembic: Alembic, *, as_json: bool, **chosen: t.Any) -> None:
    """Show every revision, the newest first."""
    found = alembic.history(**chosen)
    if as_json:
        print_json(found)
    else:
        print_infos(found, _NO_REVISIONS)


@command("heads")
def heads(alembic: Alembic, **chosen: t.Any) -> None:
    """Show the revisions that no other one follows."""
    print_infos(alembic.heads(**chosen), _NO_REVISIONS)


@command("drift")
@click.option("--accept", "accepts", is_flag=True, help="Record all as it is now.")
@click.option("--write", "writes", is_flag=True, help="Write a revision of it.")
@message_option
@json_option
def drift(
    alembic: Alembic,
    *,
    accepts: bool,
    writes: bool,
    message: str | None,
    as_json: bool,
    **chosen: t.Any,
) -> None:
    """Look for changes by hand and edited revisions; exits with 16 if any."""
    if writes:
        made = alembic.write_drift(message or "changed by hand", **chosen)
        print_made(made, otherwise="Nothing was changed by hand.")
        return
    found = alembic.accept_drift(**chosen) if accepts else alembic.drift(**chosen)
    if as_json:
        print_json(found)
    else:
        print_drift(found)
    if accepts:
        click.echo("Recorded as it is now.", err=True)
    elif any(found):
        raise SchemaDrifted(DRIFT_ADVICE, status=alembic.status(models=False, **chosen))


@command("doctor")
def doctor(alembic: Alembic, **chosen: t.Any) -> None:
    """Explain what `migrate` detects or does not detect."""
    for found in alembic.explain(**chosen):
        click.echo(str(found))


@command("lint")
@click.argument("revisions", nargs=-1)
@click.option("--base", help="A commit of git: leave out the revisions that it has.")
@click.option("--released", help="A revision: leave out it and those before it.")
@click.option("--format", "format_", type=click.Choice(FINDING_FORMATS), default="text")
@click.option("--fix", "fixes", is_flag=True, help="Write the safe form where it can.")
@click.option(
    "--database",
    is_flag=True,
    help="Ask the database for sizes, types, checks and partitions.",
)
@click.option("--hints", is_flag=True, help="Show what is no danger, too.")
@click.option(
    "--baseline",
    "records",
    is_flag=True,
    help="Write down what is found now, so that later runs leave it out.",
)
@click.option(
    "--fail-on",
    type=click.Choice([level.value for level in Level]),
    default=Level.WARNING.value,
    help="The least level that the command fails for; `info` shows hints, too.",
)
@click.option(
    "--list", "as_list", is_flag=True, help="Show the rules, look at nothing."
)
@click.option("--explain", metavar="RULE", help="Show all about a rule.")
def lint(
    alembic: Alembic,
    *,
    revisions: tuple[str, ...],
    format_: FindingFormat,
    fixes: bool,
    records: bool,
    fail_on: str,
    as_list: bool,
    explain: str | None,
    **chosen: t.Any,
) -> None:
    """Look for changes that are unsafe on a live database; exits with 15 if any.

    A line of a revision with `# lint: allow RULE: the reason` waives it there.
    """
    from flaskware_alembic._project.lint import known_findings

    if as_list or explain is not None:
        _print_rules(explain)
        return
    where = {name: chosen[name] for name in ("binds", "trees")}
    if records:
        files = alembic.write_baseline(**where)
        for path in files:
            click.echo(f"Wrote {path}: commit it with the revisions.")
        if not files:
            click.echo("Nothing to write: there is no finding.")
        return
    chosen["hints"] |= fail_on == Level.INFO.value
    if fixes:
        done = alembic.fix(*revisions, **chosen)
        for fix in done:
            click.echo(str(fix), err=True)
        if any(done) and not chosen["database"]:
            click.echo(_NOT_REHEARSED, err=True)
    findings = alembic.lint(*revisions, **chosen)
    own = alembic.state.selection().own(**where)
    print_report(findings, format_, older=known_findings(own))
    bad = [f for f in findings if f.waiver is None and f.level >= Level(fail_on)]
    if bad:
        above = "" if fail_on == Level.ERROR.value else " or above"
        raise UnsafeRevisions(
            f"{len(bad)} finding{'s' * (len(bad) > 1)} of level {fail_on}{above}.",
            findings=tuple(bad),
        )


_NOT_REHEARSED = (
    "Nothing was rehearsed: with --database, --fix keeps only what does the same on a"
    " copy of the database."
)


def _print_rules(id: str | None) -> None:
    from flaskware_alembic._lint.engine import RULES

    if id is None:
        for rule in RULES.values():
            click.echo(f"{rule.id} ({rule.level.value}; {rule.databases})")
        return
    if id not in RULES:
        near = closest(id, RULES)
        hint = f" Did you mean {near}?" if near else ""
        raise click.BadParameter(
            f"There is no rule {id!r}.{hint} `flask db lint --list` shows them.",
            param_hint="--explain",
        )
    from .report import explained

    click.echo(explained(RULES[id]))


INSPECT = (plan, sql, current, history, heads, drift, doctor, lint)
