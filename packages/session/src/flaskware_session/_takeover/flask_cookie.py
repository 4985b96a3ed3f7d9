"""Sessions in Flask's signed cookie, to be taken over."""

from __future__ import annotations

import collections.abc as cabc
import functools
import itertools
import logging
import typing as t

from flask.sansio.app import App
from flask.sessions import SecureCookieSessionInterface
from werkzeug.sansio.request import Request

from flaskware_session._core.takeover import ForeignSession
from flaskware_session._errors import UnstorableValue
from flaskware_session._records.codec import encode

logger = logging.getLogger("flaskware.session")

Finder: t.TypeAlias = cabc.Callable[[Request], cabc.Iterable[ForeignSession]]
"""Finds the sessions of other extensions that a request may have, by its cookie."""


def flask_finder(app: App) -> Finder:
    """Make a finder of sessions that Flask has signed into its cookie."""
    interface = SecureCookieSessionInterface()

    def find(request: Request) -> cabc.Iterator[ForeignSession]:
        for value in request.cookies.getlist(cookie_name(app)):
            if value:
                yield ForeignSession(value, functools.partial(read, value), _nothing)

    def read(value: str) -> dict[str, t.Any] | None:
        serializer = interface.get_signing_serializer(t.cast("t.Any", app))
        if serializer is None:
            return None
        lifetime = app.permanent_session_lifetime
        try:
            data = serializer.loads(value, max_age=int(lifetime.total_seconds()))
        except Exception:  # noqa: BLE001 # a forged text may fail in any reader
            return None
        return storable(data)

    return find


def chain(finders: cabc.Sequence[Finder]) -> Finder:
    """Make a finder that asks these in turn."""
    return lambda request: itertools.chain.from_iterable(
        find(request) for find in finders
    )


def _nothing() -> None:
    """Forget nothing: the browser has it all."""


def cookie_name(app: App) -> str:
    return str(t.cast("t.Any", app.config)["SESSION_COOKIE_NAME"])


def storable(data: object) -> dict[str, t.Any] | None:
    """Return content that can be stored here; ``None`` if there is none."""
    if not isinstance(data, dict) or not data:
        return None
    found = t.cast("dict[str, t.Any]", data)
    try:
        encode(found)
    except UnstorableValue as error:
        logger.warning("A session was not taken over: %s", error)
        return None
    return found
