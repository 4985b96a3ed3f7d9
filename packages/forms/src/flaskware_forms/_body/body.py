"""Reads the body of a request within limits."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pydantic_core
from werkzeug.sansio.request import Request

from flaskware_forms._errors.problem import BadBody
from flaskware_forms._errors.problem import BodyTooLarge
from flaskware_forms._errors.problem import UnsupportedBody
from flaskware_forms._exchanges.exchange import Exchange
from flaskware_forms._exchanges.exchange import FORM_TYPES
from flaskware_forms._settings import FormsSettings

from .decoder import Decoder

# No control of a page sends it, and PostgreSQL cannot store it.
_NUL = "A text holds the character U+0000."
V = t.TypeVar("V")
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


def read_body(
    exchange: Exchange,
    decoder: Decoder,
    settings: FormsSettings,
    with_files: bool = False,
    keep_blank: bool = False,
    prefix: str = "",
) -> t.Any:
    """Decode a body to the data that Pydantic validates, or to a :class:`JsonBody`.

    :param with_files: Whether the form takes files; otherwise they are ignored.
    :param keep_blank: Whether rows of a form that nobody filled in are kept.
    :param prefix: Starts the names of the form's controls; other names are ignored.
    :raises HTTPException: 400, 413 or 415 if it is not the body of a form.
    """
    request = exchange.request
    if request.mimetype_params.get("charset", "").lower() not in _CHARSETS:
        raise UnsupportedBody("Send the body in UTF-8.")
    if request.mimetype in FORM_TYPES:
        values = without_prefix(form_values(exchange, with_files), prefix)
        return decode_values(values, decoder, settings, keep_blank)
    if request.is_json:
        text = exchange.data
        _refuse_cut(exchange)
        return JsonBody(text, settings)
    if not request.mimetype and not exchange.data:
        return decoder.decode({}, max_depth=1, max_entries=1)
    raise UnsupportedBody(
        "Send a form (application/x-www-form-urlencoded or multipart/form-data) or"
        " JSON (application/json)."
    )


def decode_values(
    values: cabc.Mapping[str, list[t.Any]],
    decoder: Decoder,
    settings: FormsSettings,
    keep_blank: bool = False,
) -> dict[str, t.Any]:
    """Decode the values of a form within the limits of an app.

    :raises BadBody: if there are more of them, or they are nested deeper, than allowed.
    """
    return decoder.decode(
        values,
        max_depth=settings.max_depth,
        max_entries=settings.max_entries,
        keep_blank=keep_blank,
    )


def without_prefix(values: cabc.Mapping[str, V], prefix: str) -> cabc.Mapping[str, V]:
    """Return the values whose names have a prefix, without the prefix."""
    if not prefix:
        return values
    start = f"{prefix}."
    return {
        name.removeprefix(start): value
        for name, value in values.items()
        if name.startswith(start)
    }


def query_values(request: Request) -> dict[str, list[t.Any]]:
    """Return the values of a query string by name.

    :raises BadBody: if one of them holds the character U+0000.
    """
    values: dict[str, list[t.Any]] = dict(request.args.lists())
    _refuse_nul(values)
    return values


def form_values(exchange: Exchange, with_files: bool = False) -> dict[str, list[t.Any]]:
    """Return the values of a form by name, as they were sent.

    :raises HTTPException: 400 or 413 for a body that is broken or cut off.
    """
    values: dict[str, list[t.Any]] = dict(exchange.form.lists())
    files = exchange.files
    _refuse_cut(exchange)
    if not values and not files and _has_body(exchange) and not _is_empty(exchange):
        # Werkzeug reads a broken body as an empty form, which could be valid.
        raise BadBody("The body is not the form that its Content-Type says.")
    # Werkzeug gives a part of a multipart body without a name as None.
    names = t.cast("cabc.Collection[str | None]", (*values, *files))
    if None in names or "" in names:
        raise BadBody("A value of the form has no name.")
    _refuse_nul(values)
    if with_files:
        for name, uploads in files.lists():
            # A control without a file is sent as a file without a name.
            named = [upload for upload in uploads if upload.filename]
            values.setdefault(name, []).extend(named or [""])
    return values


def _refuse_nul(values: dict[str, list[t.Any]]) -> None:
    if any("\0" in text for texts in values.values() for text in texts):
        raise BadBody(_NUL)


def _refuse_cut(exchange: Exchange) -> None:
    if exchange.is_cut_off():
        raise BodyTooLarge


def _is_empty(exchange: Exchange) -> bool:
    """True for a multipart body without parts: a ``FormData`` with nothing in it."""
    boundary = exchange.request.mimetype_params.get("boundary", "")
    return exchange.head.strip() == f"--{boundary}--".encode()


def _has_body(exchange: Exchange) -> bool:
    request = exchange.request
    if request.content_length is None:
        # HTTP/2 has neither a length nor chunks where a body is streamed.
        encoding = request.headers.get("Transfer-Encoding", "")
        return "chunked" in encoding or bool(exchange.head)
    return request.content_length > 0


class JsonBody:
    """A JSON body within its limits, which Pydantic parses as it validates.

    :raises BadBody: if it is nested too deeply, or holds what no JSON text does.
    :raises BodyTooLarge: if it has too many values.
    """

    __slots__ = ("_data", "text")

    def __init__(self, text: bytes, settings: FormsSettings) -> None:
        self.text = text
        self._data: t.Any = None
        shape = _shape(text)
        brackets = shape.count(b"[")
        # Those in texts count too, so the exact number is never higher.
        if brackets + shape.count(b",") >= settings.max_entries:
            _, entries = depth_and_entries(self.data)
            if entries > settings.max_entries:
                raise BodyTooLarge(
                    f"The body has more than {settings.max_entries} values."
                )
        if brackets > settings.max_depth and not _is_flat(shape, settings.max_depth):
            raise BadBody(
                f"The body is nested more than {settings.max_depth} levels deep."
            )
        # Pydantic takes the first two as numbers, which RFC 8259 does not.
        # A single byte is found many times faster than several.
        odd = (
            (b"N" in text and b"NaN" in text)
            or (b"I" in text and b"Infinity" in text)
            or (b"\\" in text and b"\\u0000" in text)
        )
        if odd and _has_nul(self.data):
            raise BadBody(_NUL)

    @property
    def data(self) -> t.Any:
        """The parsed body.

        :raises BadBody: if it is not JSON.
        """
        if self._data is None:
            try:
                self._data = pydantic_core.from_json(self.text, allow_inf_nan=False)
            except ValueError:
                raise bad_json() from None
        return self._data


def bad_json() -> BadBody:
    """The refusal of a body that is not JSON."""
    return BadBody("The body is not JSON.")


# Each opening bracket as one sign, each closing one as another; marks and commas.
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_REST = bytes(set(range(256)) - set(b'[]{}",'))


def _shape(body: bytes) -> bytes:
    """The brackets, quotation marks and commas of a JSON body, in a few passes in C.

    A parser would build all of the data, which Pydantic then does again.
    """
    if b"\\" in body:
        # From left to right, so that no half of an escaped backslash is left.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return body.translate(_BRACKETS, _REST)


def _is_flat(shape: bytes, max_depth: int) -> bool:
    """True if a JSON body of this shape is nested at most as deep as allowed."""
    # Two marks side by side leave what is around them as far inside of texts as before.
    left = shape.translate(None, b",").replace(b'""', b"")
    if b'"' in left:
        left = b"".join(left.split(b'"')[::2])
    for _ in range(max_depth):
        # The innermost pairs, all of them at once.
        left = left.replace(b"[]", b"")
        if not left:
            return True
    return False


def depth_and_entries(data: t.Any) -> tuple[int, int]:
    """Return how deep JSON data is nested, and how many values it holds."""
    depth, entries, level = 0, 0, [data]
    while level:
        entries += len(level)
        below: list[t.Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(t.cast("dict[str, t.Any]", item).values())
            elif isinstance(item, list):
                below.extend(t.cast("list[t.Any]", item))
        depth += any(isinstance(item, dict | list) for item in level)
        level = below
    return depth, entries


def _has_nul(data: t.Any) -> bool:
    if isinstance(data, dict):
        items = t.cast("dict[str, t.Any]", data).items()
        return any("\0" in key or _has_nul(value) for key, value in items)
    if isinstance(data, list):
        return any(map(_has_nul, t.cast("list[t.Any]", data)))
    return isinstance(data, str) and "\0" in data
