"""The exchange of the current request, made once."""

from __future__ import annotations

import typing as t

import flask

from flaskware_core import active_request
from flaskware_core import current_app_object
from flaskware_core import current_request

from .exchange import Exchange
from .in_flask import FlaskExchange

_KEY = "flaskware_forms.exchange"


def current_exchange() -> Exchange:
    """Return the exchange of the current request, Flask or Quart.

    :raises RuntimeError: outside of any request.
    """
    return _exchange_of(current_request())


def active_exchange() -> Exchange | None:
    """Return the exchange of the current request; ``None`` outside of any."""
    request = active_request()
    return None if request is None else _exchange_of(request)


def _exchange_of(request: flask.Request) -> Exchange:
    environ: dict[str, t.Any] | None = getattr(request, "environ", None)
    kept = t.cast("t.Any", request).scope if environ is None else environ
    found: Exchange | None = kept.get(_KEY)
    # An app inside of another has the same environ, and a request of its own.
    if found is None or found.request is not request:
        app = current_app_object()
        if environ is None:
            from .in_quart import QuartExchange

            found = QuartExchange(app, request)
        else:
            found = FlaskExchange(app, request)
        kept[_KEY] = found
    return found
