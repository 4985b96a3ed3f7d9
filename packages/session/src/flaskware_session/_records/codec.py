"""Session data as text: JSON, with tags for the types that JSON lacks."""

from __future__ import annotations

import base64
import binascii
import collections.abc as cabc
import datetime as dt
import decimal
import json
import re
import typing as t
import uuid

from markupsafe import Markup

from flaskware_session._errors import UnstorableValue

# A tagged value is an object whose only key is the tag. An object of the user's with
# such a key, or with keys that are not text, is written as a list of pairs.
_MARK = "~"
_PAIRS = "~d"
# Beside the keys of a session: which writes have led to the text; see `changes`.
WRITES = "~w"
# The decoder may read deeper values that the encoder could not write again. The tags of
# this module take a level as well.
_DEEPEST = 200
IMMUTABLE = frozenset[type]({str, int, float, bool, type(None)})
"""Types whose values nobody can change from inside."""

_dumps = json.JSONEncoder(separators=(",", ":")).encode


class Content(t.NamedTuple):
    """The encoded content of a session.

    :param items: By key.
    :param text: As it is stored.
    """

    items: dict[str, str]
    text: str


def pack(data: cabc.Mapping[str, t.Any]) -> Content:
    """Encode the content of a session.

    :raises UnstorableValue: naming the key whose value cannot be stored.
    """
    items = encode(data)
    return Content(items, join(items))


def encode(data: cabc.Mapping[str, t.Any]) -> dict[str, str]:
    """Encode each value of a session by itself, so that they can be compared.

    :raises UnstorableValue: naming the key whose value cannot be stored.
    """
    items: dict[str, str] = {}
    for key, value in data.items():
        if not isinstance(t.cast("object", key), str):
            raise UnstorableValue(key, f"has a key of type {type(key).__name__}")
        try:
            if type(value) is int:  # its text needs no encoder
                items[key] = repr(value)
            else:
                items[key] = text = _dumps(_tagged(value))
                if _is_deeper(text, _DEEPEST - 1):
                    raise RecursionError
        except TypeError as error:
            raise UnstorableValue(key, f"holds {error}") from None
        except (RecursionError, ValueError):
            raise UnstorableValue(
                key, "holds a value that contains itself, is too deep or too large"
            ) from None
    return items


def join(items: cabc.Mapping[str, str]) -> str:
    """The text of a whole session from its encoded values."""
    # A key of the session itself that looks like a tag is doubled.
    return (
        "{"
        + ",".join(
            f"{_dumps(_MARK + key if key.startswith(_MARK) else key)}:{text}"
            for key, text in items.items()
        )
        + "}"
    )


def decode(text: str) -> dict[str, t.Any] | None:
    """The data of a session, or ``None`` if the text is not such data."""
    is_tagged = f'"{_MARK}' in text
    if _is_deeper(text, _DEEPEST):
        return None
    try:
        data = (_tagged_decoder if is_tagged else _decoder).decode(text)
    # A foreign text may fail in any reader, each with errors of its own.
    except (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    found = t.cast("dict[str, t.Any]", data)
    if is_tagged and not all(isinstance(t.cast("object", key), str) for key in found):
        return None
    if is_tagged and any(key[:1] == _MARK for key in found):
        found.pop(WRITES, None)
        return {key.removeprefix(_MARK): value for key, value in found.items()}
    return found


def _is_deeper(text: str, levels: int) -> bool:
    """Return whether a text of JSON is nested deeper than so many levels."""
    if text.count("[") + text.count("{") <= levels:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(text):
        if bracket in "[{":
            depth += 1
            if depth > levels:
                return True
        elif bracket in "]}":
            depth -= 1
    return False


# A bracket, or a whole text so that no bracket in it counts.
_BRACKETS = re.compile(r'[][{}]|"(?:[^"\\]|\\.)*+"')


def _tagged(value: t.Any) -> t.Any:
    kind = t.cast("type[object]", type(value))
    if kind in IMMUTABLE:
        return value
    # The markup protocol comes first: Markup is a str, and a lazy text is neither.
    if hasattr(value, "__html__"):
        return {"~m": str(value.__html__())}
    for types, write in _WRITERS:
        if isinstance(value, types):
            return write(value)
    raise TypeError(f"an object of {kind.__module__}.{kind.__qualname__}")


def _tagged_list(value: list[t.Any]) -> list[t.Any]:
    if IMMUTABLE.issuperset(map(type, value)):
        return value
    return [_tagged(item) for item in value]


def _tagged_dict(value: dict[t.Any, t.Any]) -> dict[str, t.Any]:
    if all(isinstance(key, str) and not key.startswith(_MARK) for key in value):
        return {str(key): _tagged(item) for key, item in value.items()}
    return {_PAIRS: [[_tagged(key), _tagged(item)] for key, item in value.items()]}


def _plain_text(value: str) -> str:
    return str.__str__(value)


_WRITERS: tuple[tuple[type, cabc.Callable[[t.Any], t.Any]], ...] = (
    (dict, _tagged_dict),
    (list, _tagged_list),
    (tuple, lambda value: {"~t": [_tagged(item) for item in value]}),
    (str, _plain_text),
    (bool, bool),
    (int, int),
    (float, float),
    (bytes, lambda value: {"~b": base64.b64encode(value).decode("ascii")}),
    (uuid.UUID, lambda value: {"~u": value.hex}),
    (dt.datetime, lambda value: {"~s": value.isoformat()}),
    (dt.date, lambda value: {"~a": value.isoformat()}),
    (decimal.Decimal, lambda value: {"~n": str(value)}),
)


def _read_bytes(value: t.Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


_READERS: dict[str, cabc.Callable[[t.Any], t.Any]] = {
    _PAIRS: dict,
    "~t": tuple,
    "~b": _read_bytes,
    "~u": uuid.UUID,
    "~s": dt.datetime.fromisoformat,
    "~a": dt.date.fromisoformat,
    "~n": decimal.Decimal,
    "~m": Markup,
}


def _untagged(value: dict[str, t.Any]) -> t.Any:
    if len(value) == 1:
        [(tag, content)] = value.items()
        if tag in _READERS:
            return _READERS[tag](content)
    return value


_decoder = json.JSONDecoder()
_tagged_decoder = json.JSONDecoder(object_hook=_untagged)
