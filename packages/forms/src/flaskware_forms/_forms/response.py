"""Answers to a request for a form, in the kind that the client reads."""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t

import flask
import pydantic

from flaskware_forms._csrf.layered import hidden_input
from flaskware_forms._errors.problem import count_errors
from flaskware_forms._errors.problem import MIMETYPE
from flaskware_forms._errors.problem import problem
from flaskware_forms._errors.problem import wants_json
from flaskware_forms._markup.theme import VALIDATE_HEADER

from .state import current_state

if t.TYPE_CHECKING:
    from .bound import Bound
    from .submission import Submission

_VARY = f"Accept, HX-Request, {VALIDATE_HEADER}"


def accepted(url: str, obj: object) -> flask.Response:
    """Answer that a form was accepted: 303, 204 for htmx, or 201 with JSON."""
    request = flask.request
    if wants_json(request):
        body = (
            obj.model_dump(mode="json", by_alias=True)
            if isinstance(obj, pydantic.BaseModel)
            else {}
            if obj is None
            else obj
        )
        response = flask.jsonify(body)
        response.status_code = 201
        response.headers["Location"] = url
    elif _is_fragment(request):
        response = flask.Response(status=204, headers={"HX-Redirect": url})
    else:
        response = t.cast("flask.Response", flask.redirect(url, 303))
    return _varied(response)


def shown(
    form: Bound[t.Any],
    submission: Submission[t.Any],
    template: str,
    *,
    block: str,
    stream: bool,
    context: dict[str, t.Any],
) -> flask.Response:
    """Show a form as a page, as a fragment of it, or its errors as a problem."""
    request = flask.request
    errors = submission.errors
    status = submission.status if errors else 200
    if errors and wants_json(request):
        return _varied(problem_response(errors, status))
    context["form"] = form
    if _is_fragment(request):
        text: str | cabc.Iterator[str] = _fragment(template, block, context)
    else:
        if stream:
            hidden_input()
        make = flask.stream_template if stream else flask.render_template
        text = make(template, **context)
    return _varied(flask.Response(text, status, mimetype="text/html"))


def problem_response(errors: cabc.Sequence[t.Any], status: int) -> flask.Response:
    """Answer with a problem document (RFC 9457)."""
    document = problem(status, count_errors(errors), errors)
    return flask.Response(json.dumps(document), status, mimetype=MIMETYPE)


def _fragment(template: str, block: str, context: dict[str, t.Any]) -> str:
    app = flask.current_app
    found = app.jinja_env.get_or_select_template(template)
    if block not in found.blocks:
        return str(context["form"].render())
    app.update_template_context(context)
    return "".join(found.blocks[block](found.new_context(context)))


def _is_fragment(request: flask.Request) -> bool:
    """True if htmx asks for a part of a page."""
    headers = request.headers
    # A boosted link or form, and the way back to it, want the page.
    return (
        "HX-Request" in headers
        and "HX-Boosted" not in headers
        and "HX-History-Restore-Request" not in headers
    )


def _varied(response: flask.Response) -> flask.Response:
    """Name the headers that an answer depends on."""
    varies = current_state().markup.varies
    # Not by `response.vary`, which reads and writes the header for each name.
    response.headers.add("Vary", f"{_VARY}, Accept-Language" if varies else _VARY)
    return response
