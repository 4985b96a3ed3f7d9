from __future__ import annotations

import collections.abc as cabc
import typing as t

import click
from flask import current_app
from flask.cli import AppGroup

from ._plan import Plan
from ._plan import PlanStep
from ._revision import RevisionInfo

if t.TYPE_CHECKING:
    from ._extension import Alembic
    from ._migrations import Binds
    from ._migrations import Names

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
    _print_made(made)


@db.command("migrate")
@_message
@click.option("--rev-id", help="Its id, instead of a random one.")
@_bind
def migrate(
    *,
    message: str | None,
    rev_id: str | None,
    names: tuple[str, ...],
    trees: tuple[str, ...],
) -> None:
    """Write a new revision with what changed in the models."""
    made = _alembic().revision(
        message or "models changed",
        binds=_binds(names),
        trees=_trees(trees),
        rev_id=rev_id,
    )
    _print_made(made)


@db.command("upgrade")
@click.argument("target", default="heads")
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL, run nothing.")
@_bind
def upgrade(
    *, target: str, as_sql: bool, names: tuple[str, ...], trees: tuple[str, ...]
) -> None:
    """Apply what is pending, one process at a time."""
    if as_sql:
        click.echo(
            _alembic().sql(target, binds=_binds(names), trees=_trees(trees)), nl=False
        )
        return
    done = _alembic().upgrade(
        target,
        binds=_binds(names),
        trees=_trees(trees),
        on_step=_print_step,
        on_wait=_print_wait,
    )
    if not done:
        click.echo("Nothing to do: the databases are there already.")


@db.command("downgrade", context_settings=_MINUS_ONE)
@click.argument("target", default="-1")
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL, run nothing.")
@_bind
def downgrade(
    *, target: str, as_sql: bool, names: tuple[str, ...], trees: tuple[str, ...]
) -> None:
    """Take back revisions: by default the last one."""
    if as_sql:
        sql = _alembic().sql(
            target, direction="downgrade", binds=_binds(names), trees=_trees(trees)
        )
        click.echo(sql, nl=False)
        return
    done = _alembic().downgrade(
        target,
        binds=_binds(names),
        trees=_trees(trees),
        on_step=_print_step,
        on_wait=_print_wait,
    )
    if not done:
        click.echo("Nothing to do: the databases are there already.")


@db.command("plan", context_settings=_MINUS_ONE)
@click.argument("target", default="heads")
@_direction
@_bind
def plan(
    *, target: str, down: bool, names: tuple[str, ...], trees: tuple[str, ...]
) -> None:
    """Show what an upgrade would do at this moment."""
    direction: t.Literal["upgrade", "downgrade"] = "downgrade" if down else "upgrade"
    _print_plan(
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
    found = _alembic().current(binds=_binds(names), trees=_trees(trees))
    _print_infos(found, "No database has a revision yet.")


@db.command("history")
@_bind
def history(*, names: tuple[str, ...], trees: tuple[str, ...]) -> None:
    """Show every revision, the newest first."""
    _print_infos(
        _alembic().history(binds=_binds(names), trees=_trees(trees)),
        "There are no revisions yet.",
    )


@db.command("heads")
@_bind
def heads(*, names: tuple[str, ...], trees: tuple[str, ...]) -> None:
    """Show the revisions that no other one follows."""
    _print_infos(
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
@_bind
def check(*, no_models: bool, names: tuple[str, ...], trees: tuple[str, ...]) -> None:
    """Make sure that the databases are what the code expects.

    Exits with 0 if they are, 3 if one is ahead, 5 if one is behind, 6 if the models
    changed.
    """
    click.echo(
        str(
            _alembic().check(
                models=not no_models, binds=_binds(names), trees=_trees(trees)
            )
        )
    )


def _alembic() -> Alembic:
    return t.cast("Alembic", current_app.extensions["alembic"])


def _binds(names: tuple[str, ...]) -> Binds:
    return tuple(None if name == "default" else name for name in names) or None


def _trees(names: tuple[str, ...]) -> Names:
    return names or None


def _print_made(made: list[RevisionInfo]) -> None:
    if not made:
        click.echo("No changes detected, so no file was written.")
    for info in made:
        click.echo(f"Wrote {info.path}")


def _print_step(step: PlanStep) -> None:
    click.echo(str(step))


def _print_wait(sentence: str) -> None:
    click.echo(sentence, err=True)


def _print_plan(plan: Plan) -> None:
    if not plan:
        click.echo("Nothing to do: the databases are there already.")
    for step in plan:
        click.echo(str(step))


def _print_infos(infos: list[RevisionInfo], otherwise: str) -> None:
    if not infos:
        click.echo(otherwise)
    for info in infos:
        place = info.tree or info.bind
        bind = f"{place}: " if place else ""
        head = " (head)" if info.is_head else ""
        click.echo(f"{bind}{info}{head}")
