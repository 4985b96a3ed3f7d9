"""Commands of a deploy: they move and check databases."""

from __future__ import annotations

import contextlib
import sys
import typing as t

import click

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import Binds
from flaskware_alembic._results import Names
from flaskware_core import current_app_object
from flaskware_core import with_app_context

from .options import assume_option
from .options import command
from .options import json_option
from .options import MINUS_ONE
from .options import resume_option
from .options import sql_option
from .output import is_asked
from .output import is_watched
from .output import NOTHING_TO_DO
from .output import print_done
from .output import print_findings
from .output import print_json
from .output import print_progress
from .output import print_step
from .output import print_wait

if t.TYPE_CHECKING:
    from flaskware_alembic._extension import Alembic

_NO_BACKFILL = "No applied revision has a backfill."


@command("upgrade")
@click.argument("target", default="heads")
@sql_option
@click.option(
    "--contract",
    is_flag=True,
    help="Also what is held back until no process runs older code.",
)
@resume_option
@assume_option
@json_option
def upgrade(
    alembic: Alembic,
    target: str,
    *,
    as_sql: bool,
    as_json: bool,
    binds: Binds,
    trees: Names,
    **options: t.Any,
) -> None:
    """Apply pending revisions, one process at a time."""
    if as_sql:
        click.echo(alembic.sql(target, binds=binds, trees=trees), nl=False)
        return
    options |= {"on_wait": print_wait}
    if as_json:
        with contextlib.redirect_stdout(sys.stderr):
            done = alembic.upgrade(target, binds=binds, trees=trees, **options)
        print_json(done)
        return
    if is_watched():
        print_findings(alembic.plan(target, binds=binds, trees=trees))
    options |= {"on_step": print_step, "on_progress": print_progress}
    print_done(alembic.upgrade(target, binds=binds, trees=trees, **options))


@command("downgrade", context_settings=MINUS_ONE)
@click.argument("target", default="-1")
@sql_option
@resume_option
@assume_option
@click.option("--yes", is_flag=True, help="Do not ask before data is dropped.")
def downgrade(
    alembic: Alembic,
    target: str,
    *,
    as_sql: bool,
    yes: bool,
    binds: Binds,
    trees: Names,
    **options: t.Any,
) -> None:
    """Take back revisions; by default only the last revision."""
    if as_sql:
        sql = alembic.sql(target, direction="downgrade", binds=binds, trees=trees)
        click.echo(sql, nl=False)
        return
    if not yes:
        losses = alembic.losses(target, binds=binds, trees=trees)
        _confirm_losses(losses)
    options |= {"on_step": print_step, "on_wait": print_wait}
    print_done(alembic.downgrade(target, binds=binds, trees=trees, **options))


def _confirm_losses(losses: list[str]) -> None:
    """Ask before data is dropped.

    :raises MigrationError: if nobody is there to answer, or the answer is no.
    """
    if not losses:
        return
    listed = "".join(f"\n  {loss}" for loss in losses)
    if not is_asked():
        raise MigrationError(
            f"The downgrade drops data:{listed}\nNothing was done. Add --yes if that is"
            " meant."
        )
    click.echo(f"The downgrade drops data:{listed}", err=True)
    click.confirm("Go on?", abort=True, err=True)


@command("stamp")
@click.argument("target", default="heads")
@click.option("--purge", is_flag=True, help="Forget first what the table holds.")
def stamp(alembic: Alembic, *, target: str, purge: bool, **chosen: t.Any) -> None:
    """Record that a database is at a revision, and run nothing."""
    done = alembic.stamp(target, purge=purge, **chosen)
    if not done:
        click.echo(NOTHING_TO_DO)
    for step in done:
        print_step(step)


@command("check")
@click.option("--no-models", is_flag=True, help="Do not compare the models.")
@click.option("--serving", is_flag=True, help="Ask only what serving needs.")
@json_option
def check(
    alembic: Alembic,
    *,
    no_models: bool,
    serving: bool,
    as_json: bool,
    **chosen: t.Any,
) -> None:
    """Make sure that the databases are what the code expects.

    Exits with 0 if so, 3 if ahead, 5 if behind or unfinished, 6 if the models changed.
    """
    if as_json:
        # The exit code says what is wrong, the output what there is.
        print_json(alembic.status(models=not no_models and not serving, **chosen))
        with contextlib.redirect_stdout(sys.stderr):
            alembic.check(models=not no_models, serving=serving, **chosen)
        return
    click.echo(str(alembic.check(models=not no_models, serving=serving, **chosen)))


@click.group("backfill", invoke_without_command=True)
@click.pass_context
@with_app_context
def backfill(context: click.Context) -> None:
    """Finish the backfills of applied revisions."""
    if context.invoked_subcommand is None:
        alembic: Alembic = current_app_object().extensions["alembic"]
        # Each is printed when it is done.
        if not alembic.backfill(on_progress=print_progress, on_wait=print_wait):
            click.echo(_NO_BACKFILL)


@command("status")
def backfill_status(alembic: Alembic, **chosen: t.Any) -> None:
    """Show the progress of the backfills of applied revisions."""
    found = alembic.backfills(**chosen)
    click.echo("\n".join(str(info) for info in found) or _NO_BACKFILL)


backfill.add_command(backfill_status)

DEPLOY = (upgrade, downgrade, stamp, check, backfill)
