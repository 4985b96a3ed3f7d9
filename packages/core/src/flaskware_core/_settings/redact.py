"""Descriptions of configured values that reveal no secret."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

_SECRET_NAME = re.compile(r"pass|secret|token|key|salt|credential|dsn", re.IGNORECASE)
# The scheme must come first: a password can contain anything, so only the text
# before the first colon or slash of something URL-like is known to be harmless.
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]{0,40}[:/]*//")
_HAS_CREDENTIALS = re.compile(r"//[^/\s]*@|pass(word|wd)?=", re.IGNORECASE)
_LONGEST = 60


def describe(value: object, *, sensitive: bool = False) -> str:
    """Return a description of a configured value that never shows a secret.

    :param sensitive: True to show only the type and size of the value, and the scheme
        of a URL.
    """
    if isinstance(value, str):
        return _describe_text(value, sensitive=sensitive)
    if isinstance(value, cabc.Mapping):
        mapping = t.cast("cabc.Mapping[t.Any, t.Any]", value)
        return _describe_mapping(mapping, sensitive=sensitive)
    if sensitive or isinstance(value, bytes | bytearray):
        return f"(hidden) {type(value).__name__}"
    if isinstance(value, list | tuple | set | frozenset):
        items = t.cast("cabc.Collection[t.Any]", value)
        inner = ", ".join(describe(item) for item in items)
        return f"{type(items).__name__} [{_shorten(inner)}]"
    if isinstance(value, bool | int | float | None):
        return repr(value)
    return f"an object of {type(value).__module__}.{type(value).__qualname__}"


def _describe_text(value: str, *, sensitive: bool) -> str:
    if sensitive or _HAS_CREDENTIALS.search(value):
        match = _URL.match(value)
        if match is not None:
            return f"'{match[0]}…' (the rest is hidden)"
        return f"(hidden) text of {len(value)} characters"
    return repr(_shorten(value))


def _describe_mapping(value: cabc.Mapping[t.Any, t.Any], *, sensitive: bool) -> str:
    inner = ", ".join(
        f"{key!r}: "
        + describe(
            item, sensitive=sensitive or _SECRET_NAME.search(str(key)) is not None
        )
        for key, item in value.items()
    )
    return f"{{{_shorten(inner)}}}"


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
