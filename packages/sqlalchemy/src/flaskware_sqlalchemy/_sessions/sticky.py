"""Signed cookie that marks a browser whose request has just written."""

from __future__ import annotations

import time

import flask
import itsdangerous

from flaskware_core import active_request
from flaskware_core import current_request
from flaskware_core import signer

from .router import Route

COOKIE = "flaskware_sqlalchemy_wrote"
_SALT = "flaskware-sqlalchemy.wrote"


def look_up(route: Route, seconds: float) -> None:
    """Read from the cookie, once in a context, if an earlier request has written.

    :param seconds: The lifetime of the cookie; 0 if there is none.
    """
    if not route.is_known:
        route.is_known = True
        route.is_sticky = bool(seconds) and _wrote_lately(seconds)


def remember(response: flask.Response, seconds: float) -> None:
    """Set the cookie."""
    response.set_cookie(
        COOKIE,
        signer(_SALT).dumps(time.time()),
        max_age=max(1, round(seconds)),
        secure=current_request().is_secure,
        httponly=True,
        samesite="Lax",
    )


def _wrote_lately(seconds: float) -> bool:
    request = active_request()
    value = None if request is None else request.cookies.get(COOKIE)
    if value is None:
        return False
    try:
        written = float(signer(_SALT).loads(value))
    except (itsdangerous.BadData, TypeError, ValueError):
        return False
    return 0 <= time.time() - written <= seconds
