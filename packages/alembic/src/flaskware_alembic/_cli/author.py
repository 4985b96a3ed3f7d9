"""Commands of an author: they write revisions."""

from __future__ import annotations

import re
import typing as t

import click

from flaskware_alembic._errors import MigrationError

from .options import command
from .options import json_option
from .options import message_option
from .options import rev_id_option
from .output import is_asked
from .output import print_json
from .output import print_made
from .output import print_note
from .output import print_possible

if t.TYPE_CHECKING:
    from flaskware_alembic._extension import Alembic

_ONE_HEAD = "Nothing to do: there is one head."


@command("init")
def init(alembic: Alembic, **_: t.Any) -> None:
    """Make the folder of the revisions; nothing else needs to be made."""
    folder = alembic.directory(create=True)
    click.echo(f"{folder} is where revisions go. There is nothing to configure.")
    click.echo('Next: flask db migrate -m "what changed"')


@command("revision")
@message_option
@click.option("--autogenerate", is_flag=True, help="Fill it with what changed.")
@click.option("--head", default="head", help="The revision that it follows.")
@rev_id_option
def revision(
    alembic: Alembic,
    *,
    message: str | None,
    autogenerate: bool,
    head: str,
    rev_id: str | None,
    **chosen: t.Any,
) -> None:
    """Write a new revision, empty by default."""
    made = alembic.revision(
        message or "revision",
        autogenerate=autogenerate,
        head=head,
        rev_id=rev_id,
        **chosen,
    )
    print_made(made)


@command("migrate")
@message_option
@rev_id_option
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD=NEW",
    help="A rename: TABLE=NEW, TABLE.COLUMN=NEW, ENUM.VALUE=NEW or"
    " TABLE.COLUMN.VALUE=NEW; asked for at a terminal. May be repeated.",
)
@click.option(
    "--in-place",
    is_flag=True,
    help="One revision, for an app that is stopped while it is migrated.",
)
def migrate(
    alembic: Alembic,
    *,
    message: str | None,
    rev_id: str | None,
    renames: tuple[str, ...],
    in_place: bool,
    **chosen: t.Any,
) -> None:
    """Write a new revision with what changed in the models."""
    if wrong := [name for name in renames if not re.fullmatch(r"[^=]+=.+", name)]:
        raise click.BadParameter(
            f"{', '.join(wrong)}: it is OLD=NEW", param_hint="--rename"
        )
    asked: dict[str, bool] = {}

    def renamed(location: str, old: str, new: str) -> bool:
        name = f"{location}.{old}" if location else old
        answer = f"{name}={new}" in renames
        if not answer and is_asked():
            answer = click.confirm(f"Was {name} renamed to {new}?", err=True)
        asked[f"{name}={new}"] = answer
        return answer

    made = alembic.revision(
        message or "models changed",
        rev_id=rev_id,
        renamed=renamed,
        in_place=in_place,
        on_note=print_note,
        **chosen,
    )
    if unmet := sorted(set(renames) - set(asked)):
        for info in made:
            info.path.unlink()
        raise MigrationError(
            f"--rename {' --rename '.join(unmet)} does not match a name that goes and a"
            " name of the same kind that comes, so no file was written."
        )
    print_made(made)
    if not is_asked():
        print_possible(name for name, answer in asked.items() if not answer)


@command("merge")
@click.argument("revisions", nargs=-1)
@message_option
def merge(
    alembic: Alembic,
    *,
    revisions: tuple[str, ...],
    message: str | None,
    **chosen: t.Any,
) -> None:
    """Join several heads; all of them by default."""
    wanted = () if revisions in {("heads",), ("head",)} else revisions
    made = alembic.merge(message or "merge heads", revisions=wanted, **chosen)
    print_made(made, otherwise=_ONE_HEAD)


@command("rebase")
@click.argument("head")
@click.option("--onto", help="The head that it follows, where there are several.")
def rebase(alembic: Alembic, *, head: str, onto: str | None, **chosen: t.Any) -> None:
    """Put the branch that ends in HEAD after the other head."""
    made = alembic.rebase(head, onto=onto, **chosen)
    if not made:
        click.echo(_ONE_HEAD)
    for info in made:
        click.echo(f"Changed {info.path}: it follows {', '.join(info.down)}")


@command("squash")
@click.argument("target", default="head")
@message_option
def squash(
    alembic: Alembic, *, target: str, message: str | None, **chosen: t.Any
) -> None:
    """Replace all revisions up to TARGET by a single one."""
    for info in alembic.squash(target, message=message or "squashed", **chosen):
        click.echo(f"Wrote {info.path}; the old files are in squashed beside it.")


@command("snapshot")
@click.option("--load", "loads", is_flag=True, help="Make an empty database from it.")
@json_option
def snapshot(alembic: Alembic, *, loads: bool, as_json: bool, **chosen: t.Any) -> None:
    """Write the schema after the last revision as SQL, beside the revisions."""
    done: t.Any = (alembic.load_snapshot if loads else alembic.snapshot)(**chosen)
    if as_json:
        print_json(done)
        return
    for item in done:
        click.echo(f"The database is at {item}" if loads else f"Wrote {item}")


AUTHOR = (init, revision, migrate, merge, rebase, squash, snapshot)
