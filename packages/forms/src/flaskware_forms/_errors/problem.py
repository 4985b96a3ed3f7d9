"""Refusals, as a page or as a problem document (RFC 9457)."""

from __future__ import annotations

import collections.abc as cabc
import http
import json
import typing as t

import flask
from flask.sansio.app import App
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import Forbidden
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.sansio.request import Request
from werkzeug.wrappers import Response

from flaskware_core import active_request

from .error import FormError

MIMETYPE = "application/problem+json"
# RFC 9110 renamed these; Python follows from 3.13 on.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


def problem(
    status: int, detail: str, errors: cabc.Iterable[FormError] = ()
) -> dict[str, t.Any]:
    """A problem document."""
    document: dict[str, t.Any] = {
        "type": "about:blank",
        "title": _TITLES.get(status) or http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    listed = [
        {
            "pointer": error.pointer,
            "code": error.code,
            "detail": error.message,
            **error.extra,
        }
        for error in errors
    ]
    if listed:
        document["errors"] = listed
    return document


def problem_response(
    app: App, errors: cabc.Sequence[FormError], status: int
) -> flask.Response:
    """Answer with the errors of a form as a problem document."""
    count = len(errors)
    detail = f"{count} problem{'s' if count != 1 else ''} in what was sent."
    text = json.dumps(problem(status, detail, errors))
    return make_response(app, text, status, mimetype=MIMETYPE)


def make_response(app: App, *args: t.Any, **options: t.Any) -> flask.Response:
    """Make a response of an app's framework, whose attributes are those of Flask's."""
    make: t.Any = app.response_class
    return t.cast("flask.Response", make(*args, **options))


def wants_json(request: Request) -> bool:
    """Return true if the client reads JSON rather than a page."""
    accept = request.accept_mimetypes
    as_json = max(accept["application/json"], accept[MIMETYPE])
    as_page = accept["text/html"]
    if as_json == as_page:
        return request.is_json
    return as_json > as_page


class _Refusal(HTTPException):
    """A refusal that answers in the format that the client reads."""

    def get_response(self, environ: t.Any = None, scope: t.Any = None) -> Response:
        response = t.cast("Response", super().get_response(environ, scope))
        asked = _request_of(environ)
        if asked is not None and wants_json(asked):
            document = problem(t.cast("int", self.code), str(self.description))
            response.data = json.dumps(document)
            response.content_type = MIMETYPE
        return response


def _request_of(environ: t.Any) -> Request | None:
    if environ is None:
        return active_request()  # Quart passes none
    from werkzeug.wrappers import Request as WSGIRequest

    return environ if isinstance(environ, Request) else WSGIRequest(environ)


class BadBody(_Refusal, BadRequest):
    """A body that is neither a form nor a JSON object."""


class BodyTooLarge(_Refusal, RequestEntityTooLarge):
    """A body beyond the limits of its form."""


class UnsupportedBody(_Refusal, UnsupportedMediaType):
    """A body of a media type that forms do not accept."""


class CrossSiteRefused(_Refusal, Forbidden):
    """A request that another site caused a browser to send."""

    description = (
        "This request was sent from another site, so it was refused and nothing was"
        " changed. If you meant to send it, open this site's own page and send it"
        " from there."
    )
