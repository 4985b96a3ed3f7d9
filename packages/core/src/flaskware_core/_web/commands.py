"""Commands that run in the context of their app, Flask or Quart."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import concurrent.futures
import contextvars
import functools
import typing as t

import click
import flask.cli
from flask.sansio.app import App

from .current import active_app
from .hooks import in_event_loop

R = t.TypeVar("R")
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
        context = click.get_current_context()
        loader: t.Any = context.find_root().obj
        if type(loader).__module__.partition(".")[0] != "quart":
            return in_flask(*args, **kwargs)

        def call() -> t.Any:
            # In a thread, Click has no context of its own.
            with context.scope(cleanup=False):
                return function(*args, **kwargs)

        # Quart's own decorator runs a command inside of an event loop, where a call
        # that waits is refused.
        return call_in_app_context(loader.load_app(), call)

    return t.cast("F", run)


def call_in_app_context(app: App, function: cabc.Callable[[], R]) -> R:
    """Call a function in a context of an app, Flask or Quart, and wait for it.

    No event loop runs in the thread of the function, so it may wait. A context of the
    app that is active already is used. It returns what the function returns.
    """
    if active_app() is app and not in_event_loop():
        return function()
    if isinstance(app, flask.Flask):
        with app.app_context():
            return function()
    if not in_event_loop():
        return _call_in_quart(app, function)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        call = contextvars.copy_context().run
        return thread.submit(call, _call_in_quart, app, function).result()


def _call_in_quart(app: t.Any, function: cabc.Callable[[], R]) -> R:
    variables, app_context = contextvars.copy_context(), app.app_context()
    with asyncio.Runner() as runner:
        runner.run(app_context.push(), context=variables)
        error: BaseException | None = None
        try:
            return variables.run(function)
        except BaseException as raised:
            error = raised
            raise
        finally:
            runner.run(app_context.pop(error), context=variables)
