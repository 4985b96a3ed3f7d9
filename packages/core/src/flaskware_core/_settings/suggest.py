"""Suggestions for a misspelled name."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

_CUTOFF = 0.5


def closest(name: str, known: cabc.Iterable[str]) -> str | None:
    """Return the known name that a misspelled name resembles most.

    Case does not count. The result is spelled as in ``known``.

    :param known: The valid names.
    :return: ``None`` if no known name is similar enough.
    """
    # Imported late: only an error needs it.
    from difflib import get_close_matches

    spellings = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), spellings, n=1, cutoff=_CUTOFF)
    return spellings[found[0]] if found else None


def closest_choice(value: object, annotation: object) -> str | None:
    """Return the text of a ``Literal`` that a misspelled value resembles most.

    :param annotation: A type; a ``Literal`` may be anywhere inside it.
    :return: ``None`` if the value is no text, or resembles no choice.
    """
    return closest(value, _choices(annotation)) if isinstance(value, str) else None


def _choices(annotation: object) -> cabc.Iterator[str]:
    for argument in t.get_args(annotation):
        if t.get_origin(annotation) is t.Literal:
            yield from (argument,) if isinstance(argument, str) else ()
        else:
            yield from _choices(argument)
