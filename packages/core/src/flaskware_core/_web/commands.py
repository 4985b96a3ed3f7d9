"""Commands that run in the context of their app, Flask or Quart."""

from __future__ import annotations

import collections.abc as cabc
import functools
import sys
import typing as t

import click
import flask.cli

F = t.TypeVar("F", bound="cabc.Callable[..., t.Any]")


class CommandGroup(click.Group):
    """Group of commands that run in the context of their app, Flask or Quart.

    It is what Flask's ``AppGroup`` is for Flask alone.
    """

    def command(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self, *args: t.Any, **kwargs: t.Any
    ) -> cabc.Callable[[cabc.Callable[..., t.Any]], click.Command]:
        """Decorate a function as a command that runs in the context of its app."""
        decorate = super().command(*args, **kwargs)
        return lambda function: decorate(with_app_context(function))


def with_app_context(function: F) -> F:
    """Run a command in the context of the app that its command line loads."""
    in_flask = flask.cli.with_appcontext(function)

    @functools.wraps(function)
    def run(*args: t.Any, **kwargs: t.Any) -> t.Any:
        loader = click.get_current_context().find_root().obj
        if type(loader).__module__.partition(".")[0] == "quart":
            # Its command line runs, so it is imported.
            in_quart = sys.modules["quart.cli"].with_appcontext(function)
            return in_quart(*args, **kwargs)
        return in_flask(*args, **kwargs)

    return t.cast("F", run)
