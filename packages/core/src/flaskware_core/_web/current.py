"""The current app, request and context of Flask or Quart, unwrapped from the proxies.

Each attribute of a proxy is a look-up of its own, so code that reads several unwraps
the object first. A ``current_…`` function raises outside of a context; its twin
``active_…`` returns ``None`` there.
"""

from __future__ import annotations

import collections.abc as cabc
import sys
import typing as t

import flask
from flask.ctx import _AppCtxGlobals as Globals
from flask.globals import app_ctx
from flask.sansio.app import App
from flask.sessions import SessionMixin


def _unwrapper(proxy: t.Any) -> cabc.Callable[[], t.Any]:
    # Werkzeug documents this method of its proxies; it has no name without underscore.
    found: cabc.Callable[[], t.Any] = proxy._get_current_object  # noqa: SLF001
    return found


class Context(t.Protocol):
    """App context of Flask or Quart; its attributes are the objects themselves."""

    @property
    def app(self) -> App:
        """The app."""
        ...

    @property
    def g(self) -> Globals:
        """The values that live as long as the context."""
        ...


_flask_context: cabc.Callable[[], Context] = _unwrapper(app_ctx)
_flask_request: cabc.Callable[[], flask.Request] = _unwrapper(flask.request)
_flask_session: cabc.Callable[[], SessionMixin] = _unwrapper(flask.session)


def active_context() -> Context | None:
    """Return the current app context, Flask or Quart; ``None`` outside of any."""
    try:
        return _flask_context()
    except RuntimeError:
        return t.cast("Context | None", _of_quart("app_ctx"))


def current_context() -> Context:
    """Return the current app context, Flask or Quart.

    :raises RuntimeError: outside of any app context.
    """
    context = active_context()
    # Where there is none, Flask raises the error in its own words.
    return _flask_context() if context is None else context


def active_app() -> App | None:
    """Return the app of the current context, Flask or Quart; ``None`` outside."""
    context = active_context()
    return None if context is None else context.app


def current_app_object() -> App:
    """Return the app of the current context, Flask or Quart.

    :raises RuntimeError: outside of any app context.
    """
    return current_context().app


def active_request() -> flask.Request | None:
    """Return the current request, Flask or Quart; ``None`` outside of any.

    Quart's request has the attributes of Flask's, except that what reads the body is
    awaited.
    """
    try:
        return _flask_request()
    except RuntimeError:
        return t.cast("flask.Request | None", _of_quart("request"))


def current_request() -> flask.Request:
    """Return the current request, Flask or Quart; see :func:`active_request`.

    :raises RuntimeError: outside of any request.
    """
    request = active_request()
    return _flask_request() if request is None else request


def framework_of(app: App) -> t.Any:
    """Return the module ``flask`` or ``quart``, of whose kind an app is.

    An app of Quart exists, so that is imported; an app of Flask must not import it.
    """
    return flask if isinstance(app, flask.Flask) else sys.modules["quart"]


def request_getter(
    app: App, *, websocket: bool = False
) -> cabc.Callable[[], flask.Request]:
    """Return a function that returns the current request of one app's framework.

    It is what a hook calls in every request: faster than :func:`current_request`,
    which asks both frameworks. It raises :exc:`RuntimeError` outside of a request.

    :param websocket: For a hook of websockets, which in Quart are no requests; they
        have the attributes of a request that are not about its body.
    """
    framework = framework_of(app)
    if framework is flask:
        return _flask_request
    return _unwrapper(framework.websocket if websocket else framework.request)


def current_session() -> SessionMixin:
    """Return the session of the current request, Flask or Quart.

    :raises RuntimeError: outside of any request.
    """
    try:
        return _flask_session()
    except RuntimeError:
        session = _of_quart("session")
        if session is None:
            raise
        return t.cast("SessionMixin", session)


def _of_quart(name: str) -> t.Any:
    # Quart has context variables of its own. Nothing is in them before its import.
    quart = sys.modules.get("quart.globals")
    try:
        return None if quart is None else _unwrapper(getattr(quart, name))()
    except RuntimeError:
        return None
