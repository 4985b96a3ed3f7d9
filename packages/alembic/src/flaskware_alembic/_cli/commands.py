from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import click
from flask import current_app
from flask.cli import AppGroup

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import UnsafeRevisions
from flaskware_alembic._lint.finding import count_of
from flaskware_alembic._lint.finding import Format
from flaskware_alembic._lint.finding import FORMATS
from flaskware_core import Level

from .output import is_asked
from .output import is_watched
from .output import print_ahead
from .output import print_done
from .output import print_findings
from .output import print_infos
from .output import print_made
from .output import print_plan
from .output import print_possible
from .output import print_progress
from .output import print_report
from .output import print_step
from .output import print_wait

if t.TYPE_CHECKING:
    from flaskware_alembic._extension import Alembic
    from flaskware_alembic._project.migrations import Binds
    from flaskware_alembic._project.migrations import Names
    from flaskware_alembic._runtime.journal import Assumed

_F = t.TypeVar("_F", bound=cabc.Callable[..., t.Any])

db = AppGroup("db", help="Migrate the databases of the app.")

# A target such as -1 is an argument.
_MINUS_ONE = {"ignore_unknown_options": True}


def _bind(function: _F) -> _F:
    for option in (_bind_option, _tree_option):
        function = option(function)
    return function


_bind_option = click.option(
    "--bind",
    "names",
    multiple=True,
    help="Only this database (`default` is the unnamed one); may be repeated.",
)
_tree_option = click.option(
    "--tree",
    "trees",
    multiple=True,
    help="Only these revisions (`app` is the app's own); may be repeated.",
)
_resume = click.option(
    "--resume", is_flag=True, help="Go on with a revision that was cut off half way."
)
_assume = click.option(
    "--assume",
    type=click.Choice(["done", "undone"]),
    help="What to think of a statement that was cut off, where the schema is silent.",
)
_message = click.option("-m", "--message", help="What the revision does.")
_direction = click.option("--down", is_flag=True, help="The way down, not up.")


@db.command("init")
def init() -> None:
    """Make the folder of the revisions; nothing else needs to be made."""
    folder = _alembic().directory(create=True)
    click.echo(f"{folder} is where revisions go. There is nothing to configure.")
    click.echo('Next: flask db migrate -m "what changed"')


@db.command("revision")
@_message
@click.option("--autogenerate", is_flag=True, help="Fill it with what changed.")
@click.option("--head", default="head", help="The revision that it follows.")
@click.option("--rev-id", help="Its id, instead of a random one.")
@_bind
def revision(
    *,
    message: str | None,
    autogenerate: bool,
    head: str,
    rev_id: str | None,
    names: tuple[str, ...],
    trees: tuple[str, ...],
) -> None:
    """Write a new revision, empty unless told otherwise."""
    made = _alembic().revision(
        message or "revision",
        autogenerate=autogenerate,
        binds=_binds(names),
        trees=_trees(trees),
        head=head,
        rev_id=rev_id,
    )
    print_made(made)


@db.command("migrate")
@_message
@click.option("--rev-id", help="Its id, instead of a random one.")
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD=NEW",
    help="What was renamed: TABLE=NEW, TABLE.COLUMN=NEW, ENUM.VALUE=NEW or"
    " TABLE.COLUMN.VALUE=NEW; asked for at a terminal. May be repeated.",
)
@_bind
def migrate(
    *,
    message: str | None,
    rev_id: str | None,
    renames: tuple[str, ...],
    names: tuple[str, ...],
    trees: tuple[str, ...],
) -> None:
    """Write a new revision with what changed in the models."""
    if wrong := [name for name in renames if not re.fullmatch(r"[^=]+=.+", name)]:
        raise click.BadParameter(
            f"{', '.join(wrong)}: it is OLD=NEW", param_hint="--rename"
        )
    asked: dict[str, bool] = {}

    def renamed(place: str, old: str, new: str) -> bool:
        name = f"{place}.{old}" if place else old
        answer = f"{name}={new}" in renames
        if not answer and is_asked():
            answer = click.confirm(f"Was {name} renamed to {new}?", err=True)
        asked[f"{name}={new}"] = answer
        return answer

    made = _alembic().revision(
        message or "models changed",
        binds=_binds(names),
        trees=_trees(trees),
        rev_id=rev_id,
        renamed=renamed,
    )
    if unmet := sorted(set(renames) - set(asked)):
        for info in made:
            info.path.unlink()
        raise MigrationError(
            f"--rename {' --rename '.join(unmet)} names nothing of one kind that goes"
            " and comes, so no file was written."
        )
    print_made(made)
    if not is_asked():
        print_possible(name for name, answer in asked.items() if not answer)


@db.command("upgrade")
@click.argument("target", default="heads")
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL, run nothing.")
@click.option(
    "--contract",
    is_flag=True,
    help="Also what is held back until no process runs older code.",
)
@_resume
@_assume
@_bind
def upgrade(
    *,
    target: str,
    as_sql: bool,
    contract: bool,
    resume: bool,
    assume: Assumed | None,
    names: tuple[str, ...],
    trees: tuple[str, ...],
) -> None:
    """Apply what is pending, one process at a time."""
    alembic, binds, chosen = _alembic(), _binds(names), _trees(trees)
    if as_sql:
        click.echo(alembic.sql(target, binds=binds, trees=chosen), nl=False)
        return
    if is_watched():
        print_findings(alembic.plan(target, binds=binds, trees=chosen))
    done = alembic.upgrade(
        target,
        binds=binds,
        trees=chosen,
        on_step=print_step,
        on_wait=print_wait,
        on_progress=print_progress,
        contract=contract,
        resume=resume,
        assume=assume,
    )
    print_done(done)


@db.command("downgrade", context_settings=_MINUS_ONE)
@click.argument("target", default="-1")
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL, run nothing.")
@_resume
@_assume
@_bind
def downgrade(
    *,
    target: str,
    as_sql: bool,
    resume: bool,
    assume: Assumed | None,
    names: tuple[str, ...],
    trees: tuple[str, ...],
) -> None:
    """Take back revisions: by default the last one."""
    alembic, binds, chosen = _alembic(), _binds(names), _trees(trees)
    if as_sql:
        sql = alembic.sql(target, direction="downgrade", binds=binds, trees=chosen)
        click.echo(sql, nl=False)
        return
    done = alembic.downgrade(
        target,
        binds=binds,
        trees=chosen,
        on_step=print_step,
        on_wait=print_wait,
        resume=resume,
        assume=assume,
    )
    print_done(done)


@db.command("plan", context_settings=_MINUS_ONE)
@click.argument("target", default="heads")
@_direction
@_bind
def plan(
    *, target: str, down: bool, names: tuple[str, ...], trees: tuple[str, ...]
) -> None:
    """Show what an upgrade would do at this moment."""
    direction: t.Literal["upgrade", "downgrade"] = "downgrade" if down else "upgrade"
    print_plan(
        _alembic().plan(
            target, direction=direction, binds=_binds(names), trees=_trees(trees)
        )
    )


@db.command("sql", context_settings=_MINUS_ONE)
@click.argument("target", default="heads")
@_direction
@click.option("--start", help="Where the database stands; it is asked if not given.")
@_bind
def sql(
    *,
    target: str,
    down: bool,
    start: str | None,
    names: tuple[str, ...],
    trees: tuple[str, ...],
) -> None:
    """Print the SQL of an upgrade, for who runs it by hand."""
    text = _alembic().sql(
        target,
        direction="downgrade" if down else "upgrade",
        start=start,
        binds=_binds(names),
        trees=_trees(trees),
    )
    click.echo(text, nl=False)


@db.command("current")
@_bind
def current(*, names: tuple[str, ...], trees: tuple[str, ...]) -> None:
    """Show the revisions that the databases are at."""
    alembic, binds, chosen = _alembic(), _binds(names), _trees(trees)
    status = alembic.status(models=False, binds=binds, trees=chosen)
    if any(bind.unknown for bind in status.binds):
        return print_ahead(status)
    found = alembic.current(binds=binds, trees=chosen)
    return print_infos(found, "No database has a revision yet.")


@db.command("history")
@_bind
def history(*, names: tuple[str, ...], trees: tuple[str, ...]) -> None:
    """Show every revision, the newest first."""
    print_infos(
        _alembic().history(binds=_binds(names), trees=_trees(trees)),
        "There are no revisions yet.",
    )


@db.command("heads")
@_bind
def heads(*, names: tuple[str, ...], trees: tuple[str, ...]) -> None:
    """Show the revisions that no other one follows."""
    print_infos(
        _alembic().heads(binds=_binds(names), trees=_trees(trees)),
        "There are no revisions yet.",
    )


@db.command("merge")
@click.argument("revisions", nargs=-1)
@_message
@_bind
def merge(
    *,
    revisions: tuple[str, ...],
    message: str | None,
    names: tuple[str, ...],
    trees: tuple[str, ...],
) -> None:
    """Join several heads, all of them unless some are named."""
    wanted = () if revisions in {("heads",), ("head",)} else revisions
    made = _alembic().merge(
        message or "merge heads",
        revisions=wanted,
        binds=_binds(names),
        trees=_trees(trees),
    )
    if not made:
        click.echo("Nothing to do: there is one head.")
    for info in made:
        click.echo(f"Wrote {info.path}")


@db.command("rebase")
@click.argument("head")
@click.option("--onto", help="The head that it follows, where there are several.")
@_bind
def rebase(
    *, head: str, onto: str | None, names: tuple[str, ...], trees: tuple[str, ...]
) -> None:
    """Put the branch that ends in HEAD after the other head."""
    made = _alembic().rebase(head, onto=onto, binds=_binds(names), trees=_trees(trees))
    if not made:
        click.echo("Nothing to do: there is one head.")
    for info in made:
        click.echo(f"Changed {info.path}: it follows {', '.join(info.down)}")


@db.command("squash")
@click.argument("target", default="head")
@_message
@_bind
def squash(
    *,
    target: str,
    message: str | None,
    names: tuple[str, ...],
    trees: tuple[str, ...],
) -> None:
    """Make all revisions up to TARGET a single one."""
    made = _alembic().squash(
        target,
        message=message or "squashed",
        binds=_binds(names),
        trees=_trees(trees),
    )
    for info in made:
        click.echo(f"Wrote {info.path}; the old files are in squashed beside it.")


@db.command("stamp")
@click.argument("target", default="heads")
@click.option("--purge", is_flag=True, help="Forget first what the table holds.")
@_bind
def stamp(
    *, target: str, purge: bool, names: tuple[str, ...], trees: tuple[str, ...]
) -> None:
    """Say that a database is at a revision, and run nothing."""
    done = _alembic().stamp(
        target, binds=_binds(names), trees=_trees(trees), purge=purge
    )
    if not done:
        click.echo("Nothing to do: the databases are there already.")
    for step in done:
        click.echo(str(step))


@db.command("check")
@click.option("--no-models", is_flag=True, help="Do not compare the models.")
@click.option("--serving", is_flag=True, help="Ask only what serving needs.")
@_bind
def check(
    *, no_models: bool, serving: bool, names: tuple[str, ...], trees: tuple[str, ...]
) -> None:
    """Make sure that the databases are what the code expects.

    Exits with 0 if so, 3 if ahead, 5 if behind or unfinished, 6 if the models changed.
    """
    status = _alembic().check(
        models=not no_models,
        serving=serving,
        binds=_binds(names),
        trees=_trees(trees),
    )
    click.echo(str(status))


@db.command("doctor")
@_bind
def doctor(*, names: tuple[str, ...], trees: tuple[str, ...]) -> None:
    """Say why `migrate` detects what it detects, or nothing."""
    for found in _alembic().explain(binds=_binds(names), trees=_trees(trees)):
        click.echo(str(found))


@db.command("lint")
@click.argument("revisions", nargs=-1)
@click.option("--base", help="A commit of git: leave out the revisions that it has.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text")
@click.option("--fix", "fixes", is_flag=True, help="Write the safe form where it can.")
@click.option(
    "--fail-on",
    type=click.Choice([level.value for level in Level]),
    default=Level.WARNING.value,
    help="The least level that the command fails for.",
)
@click.option(
    "--list", "as_list", is_flag=True, help="Show the rules, look at nothing."
)
@_bind
def lint(
    *,
    revisions: tuple[str, ...],
    base: str | None,
    format_: Format,
    fixes: bool,
    fail_on: str,
    as_list: bool,
    names: tuple[str, ...],
    trees: tuple[str, ...],
) -> None:
    """Look for what is not safe on a database in use; exits with 15 if there is any.

    A line of a revision with `# lint: allow RULE: the reason` waives it there.
    """
    if as_list:
        from flaskware_alembic._lint.engine import RULES

        for rule in RULES.values():
            click.echo(f"{rule.id} ({rule.level.value}; {rule.databases})")
        return
    alembic, binds, chosen = _alembic(), _binds(names), _trees(trees)
    if fixes:
        for finding in alembic.fix(*revisions, base=base, binds=binds, trees=chosen):
            click.echo(f"Mended {finding.rule} in {finding.place}", err=True)
    findings = alembic.lint(*revisions, base=base, binds=binds, trees=chosen)
    print_report(findings, format_)
    bad = [f for f in findings if f.waiver is None and f.level >= Level(fail_on)]
    if bad:
        above = "" if fail_on == Level.ERROR.value else " or above"
        raise UnsafeRevisions(
            f"{count_of(len(bad), 'finding')} of level {fail_on}{above}.",
            findings=tuple(bad),
        )


@db.group("backfill", invoke_without_command=True)
@click.pass_context
def backfill(context: click.Context) -> None:
    """Finish the backfills of applied revisions."""
    if context.invoked_subcommand is None:
        found = _alembic().backfill(on_progress=print_progress, on_wait=print_wait)
        if not found:
            click.echo("No applied revision has a backfill.")


@backfill.command("status")
@_bind
def backfill_status(*, names: tuple[str, ...], trees: tuple[str, ...]) -> None:
    """Show how far the backfills of applied revisions came."""
    found = _alembic().backfills(binds=_binds(names), trees=_trees(trees))
    for info in found:
        click.echo(str(info))
    if not found:
        click.echo("No applied revision has a backfill.")


def _alembic() -> Alembic:
    return t.cast("Alembic", current_app.extensions["alembic"])


def _binds(names: tuple[str, ...]) -> Binds:
    return tuple(None if name == "default" else name for name in names) or None


def _trees(names: tuple[str, ...]) -> Names:
    return names or None
