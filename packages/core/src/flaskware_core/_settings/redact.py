"""Descriptions of configured values that reveal no secret."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import os
import re
import typing as t

_SECRET_NAME = re.compile(r"pass|secret|token|key|salt|credential|dsn", re.IGNORECASE)
# The scheme must come first: a password can contain anything, so only the text
# before the first colon or slash of something URL-like is known to be harmless.
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]{0,40}[:/]*//")
_HAS_CREDENTIALS = re.compile(r"//[^/\s]*@|pass(word|wd)?=", re.IGNORECASE)
_LONGEST = 60


class Verbatim(str):
    """Text whose ``repr`` is itself: a description in place of a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


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


def redacted(value: object, *, sensitive: bool = False) -> object:
    """Return a configured value as JSON types, with a description for each secret.

    Its ``repr`` can be written in a configuration, where nothing is hidden.

    :param sensitive: True to describe every text, number and object.
    """
    if isinstance(value, cabc.Mapping):
        mapping = t.cast("cabc.Mapping[t.Any, t.Any]", value)
        return {
            str(key): redacted(
                item, sensitive=sensitive or _SECRET_NAME.search(str(key)) is not None
            )
            for key, item in mapping.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        items = t.cast("cabc.Collection[t.Any]", value)
        found = [redacted(item, sensitive=sensitive) for item in items]
        return sorted(found, key=repr) if isinstance(items, cabc.Set) else found
    if isinstance(value, str) and not sensitive and not _HAS_CREDENTIALS.search(value):
        return value
    if value is None or (isinstance(value, bool | int | float) and not sensitive):
        return value
    if isinstance(value, dt.timedelta) and not sensitive:
        return value.total_seconds()
    if isinstance(value, os.PathLike) and not sensitive:
        return redacted(os.fspath(t.cast("os.PathLike[str]", value)))
    return Verbatim(describe(t.cast("object", value), sensitive=sensitive))


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
