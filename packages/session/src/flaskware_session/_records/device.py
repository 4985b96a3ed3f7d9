"""The device of a session in its content: a label, data, and proofs with times.

They are keys of the content, so that a store needs no columns for them, parallel
requests merge, and encryption covers them. Each proof has a key of its own, since two
requests that confirm two factors at once must both count.
"""

from __future__ import annotations

import collections.abc as cabc
import re
import types
import typing as t

from .codec import decode

SIGN_IN = "sign-in"
"""The factor that every sign-in proves."""
DEVICE = "_device"
Scalar: t.TypeAlias = str | int | float | bool
"""A value of a device's data."""

_FACTOR = "_factor:"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_LABEL = "label"
_LONGEST = 100
_MOST = 16


def factor_key(factor: str) -> str:
    """Return the key of the content that holds the time of a factor.

    :raises ValueError: for a name of another form.
    """
    if not _NAME.fullmatch(factor):
        raise ValueError(
            f"{factor!r} cannot name a factor: use up to 40 lower-case letters, digits,"
            ' ".", "_" and "-", such as "mfa".'
        )
    return _FACTOR + factor


def factors_in(data: cabc.Mapping[str, t.Any]) -> dict[str, int]:
    """Return the factors in the content of a session, with their times in ms."""
    return {
        key.removeprefix(_FACTOR): value
        for key, value in data.items()
        if key.startswith(_FACTOR) and type(value) is int
    }


def device_in(data: cabc.Mapping[str, t.Any]) -> tuple[str, dict[str, Scalar]]:
    """Return the label and the data of the device in the content of a session."""
    found = data.get(DEVICE)
    if not isinstance(found, dict):
        return "", {}
    kept = t.cast("dict[str, Scalar]", dict(t.cast("t.Any", found)))
    return str(kept.pop(_LABEL, "")), kept


def device_with(
    data: cabc.Mapping[str, t.Any],
    label: str | None,
    changes: cabc.Mapping[str, Scalar | None],
) -> dict[str, Scalar]:
    """Return the entry for a device, with a label and data changed.

    :param label: ``None`` leaves it as it is.
    :param changes: A value of ``None`` removes the name.
    :raises ValueError: for a text or a number of entries that is too long.
    :raises TypeError: for a value that is neither text, number nor bool.
    """
    old_label, found = device_in(data)
    for name, value in changes.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    label = old_label if label is None else label
    for name, value in {**found, _LABEL: label}.items():
        given = t.cast("object", value)
        if not isinstance(given, Scalar):
            raise TypeError(
                f"The data of a device is text, numbers and bools; {name} is a"
                f" {type(given).__name__}. Keep the rest in your database."
            )
        if len(str(given)) > _LONGEST:
            raise ValueError(
                f"{name} of a device is longer than {_LONGEST} characters."
            )
    if len(found) > _MOST:
        raise ValueError(f"A device has at most {_MOST} values.")
    return {**found, **({_LABEL: label} if label else {})}


def content_of(text: str) -> cabc.Mapping[str, t.Any]:
    """Return the content of a record, if that says anything of the device."""
    if f'"{DEVICE}"' in text or f'"{_FACTOR}' in text:
        return decode(text) or {}
    return types.MappingProxyType({})
