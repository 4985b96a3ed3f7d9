"""The one place where a framework is met: Flask today, Quart by the same calls."""

from __future__ import annotations

import collections.abc as cabc
import functools
import sys
import typing as t

import flask
from flask.globals import app_ctx
from flask.sansio.app import App

Hook: t.TypeAlias = t.Literal[
    "before_request", "after_request", "teardown_request", "teardown_appcontext"
]


def attach(
    app: App, hook: Hook, function: cabc.Callable[..., t.Any], *, blocking: bool = False
) -> None:
    """Attach a hook to an app, in the form its framework wants.

    An asynchronous app runs a plain function in a worker thread. That is right for
    one that waits for a database, and a waste for one that only reads memory, so the
    latter is attached as a coroutine function.

    :param blocking: Whether the function does I/O or otherwise waits.
    """
    if is_async(app) and not blocking:
        function = _as_coroutine(function)
    # setup methods refuse a late call themselves: Flask's own rule and wording
    getattr(app, hook)(function)


def is_async(app: App) -> bool:
    """Whether an app's hooks and views are coroutines (Quart)."""
    return not isinstance(app, flask.Flask)


def active_app() -> App | None:
    """The app of the current context, or ``None`` outside of any."""
    try:
        return t.cast("App", _context().app)
    except RuntimeError:
        pass
    # Quart keeps its own context variables; who has not imported it has no context.
    quart: t.Any = sys.modules.get("quart")
    if quart is not None and quart.current_app:
        return t.cast("App", quart.current_app._get_current_object())
    return None


# One look at the proxy, where asking whether it is bound and then using it are two.
_context: cabc.Callable[[], t.Any] = t.cast("t.Any", app_ctx)._get_current_object


def _as_coroutine(
    function: cabc.Callable[..., t.Any],
) -> cabc.Callable[..., cabc.Awaitable[t.Any]]:
    @functools.wraps(function)
    async def run(*args: t.Any, **kwargs: t.Any) -> t.Any:
        return function(*args, **kwargs)

    return run
