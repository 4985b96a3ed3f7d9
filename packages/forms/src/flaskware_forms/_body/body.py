"""Reads the body of a request within limits."""

from __future__ import annotations

import typing as t

import flask
import pydantic_core

from flaskware_forms._errors.problem import BadBody
from flaskware_forms._errors.problem import BodyTooLarge
from flaskware_forms._errors.problem import UnsupportedBody
from flaskware_forms._settings import FormsSettings

from .decoder import Decoder
from .decoder import depth_and_entries

_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
# No control of a page makes it, and PostgreSQL cannot store it.
_NUL = "A text holds the character U+0000."
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


def read_body(
    request: flask.Request,
    decoder: Decoder,
    settings: FormsSettings,
    *,
    with_files: bool,
    keep_blank: bool = False,
) -> t.Any:
    """Decode a body to what Pydantic validates.

    :param with_files: Whether the form takes files; those of another are passed over.
    :param keep_blank: Whether rows of a form that nobody filled in are kept.
    :raises HTTPException: 400, 413 or 415 for what is no body of a form.
    """
    if request.mimetype_params.get("charset", "").lower() not in _CHARSETS:
        raise UnsupportedBody("Send the body in UTF-8.")
    if request.mimetype in _FORMS:
        return decoder.decode(
            _form_values(request, with_files=with_files),
            max_depth=settings.max_depth,
            max_entries=settings.max_entries,
            keep_blank=keep_blank,
        )
    if request.is_json:
        return _json(request, settings)
    if not request.mimetype and not request.get_data():
        return decoder.decode({}, max_depth=1, max_entries=1)
    raise UnsupportedBody(
        "Send a form (application/x-www-form-urlencoded or multipart/form-data) or"
        " JSON (application/json)."
    )


def _form_values(request: flask.Request, *, with_files: bool) -> dict[str, list[t.Any]]:
    values: dict[str, list[t.Any]] = dict(request.form.lists())
    files = request.files
    _refuse_cut(request)
    if not values and not files and _has_body(request):
        # Werkzeug reads a broken body as an empty form, which could be a valid one.
        raise BadBody("The body is not the form that its Content-Type says.")
    if any("\0" in text for texts in values.values() for text in texts):
        raise BadBody(_NUL)
    if with_files:
        for name, uploads in files.lists():
            # A control without a file is sent as a file without a name.
            named = [upload for upload in uploads if upload.filename]
            values.setdefault(name, []).extend(named or [""])
    # A part of a multipart body may lack a name, which Werkzeug then gives as None.
    t.cast("dict[str | None, list[t.Any]]", values).pop(None, None)
    return values


def _refuse_cut(request: flask.Request) -> None:
    # Of a body that does not tell its length, Werkzeug reads as much as is allowed
    # and leaves the rest: what was read is not what was sent.
    if request.content_length is None and request.stream.read(1):
        raise BodyTooLarge


def _has_body(request: flask.Request) -> bool:
    if request.content_length is None:
        return "chunked" in request.headers.get("Transfer-Encoding", "")
    return request.content_length > 0


def _json(request: flask.Request, settings: FormsSettings) -> t.Any:
    body = request.get_data()
    _refuse_cut(request)
    try:
        data = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError:
        raise BadBody("The body is not JSON.") from None
    # Counting brackets is cheaper than walking, and never says less.
    if body.count(b"{") + body.count(b"[") > settings.max_depth or (
        body.count(b",") + body.count(b"[") + body.count(b"{") >= settings.max_entries
    ):
        depth, entries = depth_and_entries(data)
        if depth > settings.max_depth:
            raise BadBody(
                f"The body is nested more than {settings.max_depth} levels deep."
            )
        if entries > settings.max_entries:
            raise BodyTooLarge(f"The body has more than {settings.max_entries} values.")
    if b"\\u0000" in body and _has_nul(data):
        raise BadBody(_NUL)
    return data


def _has_nul(data: t.Any) -> bool:
    if isinstance(data, dict):
        items = t.cast("dict[str, t.Any]", data).items()
        return any("\0" in key or _has_nul(value) for key, value in items)
    if isinstance(data, list):
        return any(map(_has_nul, t.cast("list[t.Any]", data)))
    return isinstance(data, str) and "\0" in data
