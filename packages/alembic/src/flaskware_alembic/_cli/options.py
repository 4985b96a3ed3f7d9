"""The form of a command, and the options that several have."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

import click

from flaskware_core import current_app_object
from flaskware_core import with_app_context

_BIND = click.Option(
    ["--bind", "names"],
    multiple=True,
    help="Only this database (`default` is the unnamed database); may be repeated.",
)
_TREE = click.Option(
    ["--tree", "trees"],
    multiple=True,
    help="Only these revisions (`app` is the app's own); may be repeated.",
)

# A target such as -1 is an argument.
MINUS_ONE = {"ignore_unknown_options": True}

message_option = click.option(
    "-m", "--message", help="A short description of the revision."
)
rev_id_option = click.option("--rev-id", help="Its id, instead of a random id.")
down_option = click.option("--down", is_flag=True, help="The way down, not up.")
sql_option = click.option(
    "--sql", "as_sql", is_flag=True, help="Print the SQL, run nothing."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, for programs."
)
resume_option = click.option(
    "--resume", is_flag=True, help="Go on with a revision that was cut off half way."
)
assume_option = click.option(
    "--assume",
    type=click.Choice(["done", "undone"]),
    help="The state of a cut-off statement, where the schema does not show it.",
)


def command(
    name: str, **settings: t.Any
) -> cabc.Callable[[cabc.Callable[..., None]], click.Command]:
    """Make a command of a function.

    The function is called with the extension of the app, its own options, and
    ``binds`` and ``trees`` as the methods of the extension take them.
    """

    def decorate(function: cabc.Callable[..., None]) -> click.Command:
        @with_app_context
        @functools.wraps(function)
        def run(
            *, names: tuple[str, ...], trees: tuple[str, ...], **options: t.Any
        ) -> None:
            binds = tuple(None if name == "default" else name for name in names)
            alembic = current_app_object().extensions["alembic"]
            function(alembic, binds=binds or None, trees=trees or None, **options)

        made = click.command(name, click.Command, **settings)(run)
        made.params.extend([_BIND, _TREE])
        return made

    return decorate
