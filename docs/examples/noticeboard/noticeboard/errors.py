"""The pages of errors: each says what happened and offers a way on."""

from __future__ import annotations

import flask
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

bp = flask.Blueprint("errors", __name__)

TEXTS = {
    400: ("That did not work", "Go back, load the page again, and try once more."),
    403: ("That is not allowed", "Nothing was changed."),
    404: ("There is nothing here", "It may have been taken off the board."),
    405: ("That does not work here", "Nothing was changed."),
    413: (
        "That is too large",
        "A picture may have 2 MB. Go back: your browser has kept what you typed.",
    ),
    429: ("That was too much at once", "Please wait a moment and try again."),
    500: ("Something broke here", "It is not your fault, and it has been noted."),
    503: (
        "The board is out for a moment",
        "Nothing is lost. Please try again in a few seconds.",
    ),
}


@bp.app_errorhandler(HTTPException)
def show(error: HTTPException) -> ResponseReturnValue:
    """Answer a browser with a page; leave the answers to other clients alone."""
    code = error.code or 500
    is_html = (error.get_response().mimetype or "").startswith("text/html")
    if code < 400 or not is_html or not flask.request.accept_mimetypes.accept_html:
        return error
    title, advice = TEXTS.get(code, (error.name, error.description))
    # After a failure, the page asks neither the database nor the session.
    page = flask.render_template(
        "error.html", title=title, advice=advice, code=code, is_bare=code >= 500
    )
    response = error.get_response(flask.request.environ)
    response.data = page
    return response
