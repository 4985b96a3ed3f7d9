"""Sessions in Flask's signed cookie, to be taken over."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import logging
import typing as t

import flask
from flask.sessions import SecureCookieSessionInterface

from flaskware_session._core.takeover import ForeignSession
from flaskware_session._errors import UnstorableValue
from flaskware_session._records.codec import encode

logger = logging.getLogger("flaskware.session")

Finder: t.TypeAlias = cabc.Callable[[flask.Request], ForeignSession | None]
"""Finds a session of another extension for a request."""


def flask_finder(app: flask.Flask) -> Finder:
    """Make a finder of sessions that Flask has signed into its cookie."""
    interface = SecureCookieSessionInterface()

    def find(request: flask.Request) -> ForeignSession | None:
        value = request.cookies.get(cookie_name(app))
        serializer = interface.get_signing_serializer(app)
        if not value or serializer is None:
            return None
        lifetime = app.permanent_session_lifetime
        try:
            data = serializer.loads(value, max_age=int(lifetime.total_seconds()))
        except Exception:  # noqa: BLE001 # a forged text may fail in any reader
            return None
        return foreign_session(value, data, lambda: None, lifetime)

    return find


def first_of(finders: cabc.Sequence[Finder]) -> Finder:
    """Make a finder that asks these in turn."""
    return lambda request: next(
        (old for find in finders if (old := find(request)) is not None), None
    )


def cookie_name(app: flask.Flask) -> str:
    return str(t.cast("t.Any", app.config)["SESSION_COOKIE_NAME"])


def foreign_session(
    id: str, data: object, forget: cabc.Callable[[], None], lifetime: dt.timedelta
) -> ForeignSession | None:
    if not isinstance(data, dict) or not data:
        return None
    found = t.cast("dict[str, t.Any]", data)
    try:
        encode(found)
    except UnstorableValue as error:
        logger.warning("A session was not taken over: %s", error)
        return None
    return ForeignSession(id, found, forget, lifetime // dt.timedelta(milliseconds=1))
