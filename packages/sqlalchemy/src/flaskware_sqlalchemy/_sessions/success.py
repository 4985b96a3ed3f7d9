"""Commits of the sessions of a request that succeeds."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

import flask
from flask.sansio.app import App
from werkzeug.exceptions import HTTPException

from flaskware_core import active_context
from flaskware_core import attach

from .request_state import find_request_state
from .request_state import request_state

_FAILED = 400
"""The lowest status of a response whose request commits nothing."""


def commit_on_success(app: App, owner: object) -> None:
    """Commit the sessions of each request of an app that succeeds.

    :param owner: The extension of the sessions.
    """

    any_app: t.Any = app

    def commit(response: flask.Response) -> flask.Response:
        if response.status_code >= _FAILED:
            return response
        state = request_state(owner)
        try:
            state.commit()
        except Exception as error:  # noqa: BLE001 the handlers of the app decide
            # The framework runs this hook too late to call them itself.
            failed = any_app.handle_user_exception(error)
            return t.cast("flask.Response", any_app.make_response(failed))
        # A stream writes after this, and so may hooks that are still to come.
        state.succeeded = True
        return response

    async def commit_awaited(response: t.Any) -> t.Any:
        if response.status_code >= _FAILED:
            return response
        state = request_state(owner)
        try:
            await state.commit_awaited()
        except Exception as error:  # noqa: BLE001 the handlers of the app decide
            failed = await any_app.handle_user_exception(error)
            return await any_app.make_response(failed)
        state.succeeded = True
        return response

    attach(app, "after_request", commit, awaited=commit_awaited)
    if isinstance(app, flask.Flask):
        _commit_in_loops(app, owner)


def _commit_in_loops(app: flask.Flask, owner: object) -> None:
    """Commit asynchronous sessions at the end of the coroutine that uses them.

    Flask runs each coroutine in an event loop of its own. Its connections end with the
    loop, and so before there is a response.
    """
    convert = app.async_to_sync

    def async_to_sync(
        function: cabc.Callable[..., cabc.Coroutine[t.Any, t.Any, t.Any]],
    ) -> cabc.Callable[..., t.Any]:
        @functools.wraps(function)
        async def run(*args: t.Any, **kwargs: t.Any) -> t.Any:
            try:
                result = await function(*args, **kwargs)
            except HTTPException as error:
                if error.get_response().status_code < _FAILED:
                    await _commit(owner)
                raise
            if _status(result) < _FAILED:
                await _commit(owner)
            return result

        return convert(run)

    t.cast("t.Any", app).async_to_sync = async_to_sync


async def _commit(owner: object) -> None:
    context = active_context()
    state = None if context is None else find_request_state(context, owner)
    if state is not None:
        await state.commit_in_loop()


def _status(result: t.Any) -> int:
    """Return the status of what a view returns."""
    if isinstance(result, tuple):
        parts = t.cast("tuple[t.Any, ...]", result)
        if len(parts) > 1 and isinstance(parts[1], int | str):
            status = parts[1]
            return int(status[:3] if isinstance(status, str) else status)
        result = parts[0] if parts else None
    return t.cast("int", getattr(result, "status_code", 200))
