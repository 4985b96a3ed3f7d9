"""A post of 1 MB of JSON, beside the same model in a view by hand."""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t

import annotated_types as at
import flask
import pydantic

from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec

BASELINE = "model_validate_json in a view"

_Text = t.Annotated[str, at.Len(1, 200)]


class Entry(pydantic.BaseModel):
    """One of some thousand entries."""

    name: _Text
    note: _Text
    count: t.Annotated[int, at.Ge(0)]
    share: float
    on: bool
    tags: list[str]


class Book(pydantic.BaseModel):
    """A list of entries."""

    title: _Text
    entries: list[Entry]


_ENTRY = {
    "name": "Ann Smith", "note": "Nothing to say, again and again " * 3, "count": 33,
    "share": 1.75, "on": True, "tags": ["red", "blue"],
}  # fmt: skip
_BODY = json.dumps({"title": "All", "entries": [_ENTRY] * 5000}).encode()
_SPEC = FormSpec(Book, name="book")


def cases() -> dict[str, cabc.Callable[[], object]]:
    """Each posts the same megabyte once."""
    return {BASELINE: _post(_by_hand()), "flaskware-forms": _post(_typed())}


def _by_hand() -> flask.Flask:
    app = flask.Flask(__name__)

    @app.post("/")
    def view() -> str:
        return Book.model_validate_json(flask.request.get_data()).title

    return app


def _typed() -> flask.Flask:
    app = flask.Flask(__name__)
    app.config.update(
        SECRET_KEY="0123456789abcdef" * 4,
        FORMS_MAX_BODY_SIZE=1 << 24,
        FORMS_MAX_ENTRIES=1_000_000,
    )
    Forms(app)

    @app.post("/")
    @_SPEC.handles
    def view(form: Bound[Book]) -> str:
        data = form.submit()
        assert data is not None, form.errors
        return data.title

    return app


def _post(app: flask.Flask) -> cabc.Callable[[], object]:
    client = app.test_client()
    headers = {"Sec-Fetch-Site": "same-origin"}

    def post() -> object:
        response = client.post(
            "/", data=_BODY, content_type="application/json", headers=headers
        )
        assert response.status_code == 200
        return response

    return post
