"""Answers to a request for a form, in the kind that the client reads."""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t

import flask

from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.problem import count_errors
from flaskware_forms._errors.problem import MIMETYPE
from flaskware_forms._errors.problem import problem
from flaskware_forms._markup.theme import VALIDATE_HEADER

from .state import current_state

_VARY = f"Accept, HX-Request, {VALIDATE_HEADER}"


def problem_response(errors: cabc.Sequence[FormError], status: int) -> flask.Response:
    """Answer with a problem document (RFC 9457)."""
    document = problem(status, count_errors(errors), errors)
    return flask.Response(json.dumps(document), status, mimetype=MIMETYPE)


def fragment(template: str, block: str, context: dict[str, t.Any]) -> str:
    """Render the block of a template, or the form if it has no such block."""
    app = flask.current_app
    found = app.jinja_env.get_or_select_template(template)
    if block not in found.blocks:
        return str(context["form"].render())
    app.update_template_context(context)
    return "".join(found.blocks[block](found.new_context(context)))


def is_fragment(request: flask.Request) -> bool:
    """True if htmx asks for a part of a page."""
    headers = request.headers
    # A boosted link or form, and the way back to it, want the page.
    return (
        "HX-Request" in headers
        and "HX-Boosted" not in headers
        and "HX-History-Restore-Request" not in headers
    )


def varied(response: flask.Response) -> flask.Response:
    """Name the headers that an answer depends on."""
    varies = current_state().markup.varies
    # Not by `response.vary`, which reads and writes the header for each name.
    response.headers.add("Vary", f"{_VARY}, Accept-Language" if varies else _VARY)
    return response
