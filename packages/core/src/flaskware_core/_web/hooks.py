"""Hooks of an app, in the form that its framework wants."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import functools
import typing as t

import flask
from flask.sansio.app import App

from flaskware_core._errors import WouldBlock

Hook: t.TypeAlias = t.Literal[
    "before_request", "before_websocket", "after_request", "teardown_request",
    "teardown_appcontext",
]  # fmt: skip


_OPENTELEMETRY = "opentelemetry.instrumentation.flask"
_SPAN = "opentelemetry-flask.span_key"


def attach(
    app: App,
    hook: Hook,
    function: cabc.Callable[..., t.Any],
    *,
    awaited: cabc.Callable[..., cabc.Awaitable[t.Any]] | None = None,
    blocking: bool = False,
) -> None:
    """Attach a hook to an app, in the form that its framework wants.

    An asynchronous app runs a plain function in a worker thread. That suits a function
    that waits for a database, but slows down a function that only reads memory: the
    latter is attached as a coroutine function.

    :param hook: ``"before_websocket"`` is for Quart alone; in Flask a websocket is a
        request.
    :param awaited: The hook of an asynchronous app, if it does not call ``function``.
    :param blocking: True if the function does I/O or otherwise waits.
    """
    if is_async(app):
        if awaited is not None:
            function = awaited
        elif not blocking:
            function = _as_coroutine(function)
    # Flask's setup methods refuse a late call themselves, in their own words.
    getattr(app, hook)(function)


def note_refusal(app: App) -> None:
    """Have OpenTelemetry note a request that a hook is about to refuse.

    Its instrumentation makes the span of a request in a hook of its own. A hook that
    refuses keeps those after it from running, so call this before the refusal.
    """
    if flask.has_request_context() and _SPAN not in flask.request.environ:
        for hook in app.before_request_funcs.get(None, ()):
            if str(hook.__module__) == _OPENTELEMETRY:
                hook()


def is_async(app: App) -> bool:
    """True if an app's hooks and views are coroutines, as in Quart."""
    return not isinstance(app, flask.Flask)


def in_event_loop() -> bool:
    """True if an event loop runs in this thread, as it does in a coroutine."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def refuse_in_event_loop(app: App, call: str, instead: str) -> None:
    """Refuse a call that waits if it would stop the event loop of an app of Quart.

    A view of Quart that is a plain function runs in a thread, where it may wait. So may
    the coroutines of Flask: each has an event loop of its own.

    :param call: The call, as users write it: ``"db.session"``.
    :param instead: The code to write in a coroutine: ``"db.async_session"``.
    :raises WouldBlock: saying so.
    """
    if not (is_async(app) and in_event_loop()):
        return
    raise WouldBlock(
        f"{call} waits, and no other request of this process would be answered"
        f" meanwhile. In a coroutine, write `{instead}`."
    )


def _as_coroutine(
    function: cabc.Callable[..., t.Any],
) -> cabc.Callable[..., cabc.Awaitable[t.Any]]:
    @functools.wraps(function)
    async def run(*args: t.Any, **kwargs: t.Any) -> t.Any:
        return function(*args, **kwargs)

    return run
