"""What kind of answer a request wants."""

from __future__ import annotations

import flask

from flaskware_forms._markup.theme import VALIDATE_HEADER

from .state import current_state

_VARY = f"Accept, HX-Request, {VALIDATE_HEADER}"


def is_fragment(request: flask.Request) -> bool:
    """Whether htmx asks for a part of a page."""
    headers = request.headers
    # A boosted link or form, and the way back to it, want the page.
    return (
        "HX-Request" in headers
        and "HX-Boosted" not in headers
        and "HX-History-Restore-Request" not in headers
    )


def varied(response: flask.Response) -> flask.Response:
    """Say what an answer depends on beside the address."""
    varies = current_state().looks.varies
    # Not by `response.vary`, which reads and writes the header for each name.
    response.headers.add("Vary", f"{_VARY}, Accept-Language" if varies else _VARY)
    return response
