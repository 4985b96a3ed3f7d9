"""Checks of the application, which run on validated data."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import inspect
import typing as t

from flaskware_core import in_event_loop
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._errors.messages import Language
from flaskware_forms._exchanges.exchange import Exchange
from flaskware_forms._fields.structures import Group
from flaskware_forms._fields.validation import at_rows

M = t.TypeVar("M")
EACH = "*"
"""The step in the name of a field that stands for each row of a list."""


@dc.dataclass(frozen=True)
class CheckContext(t.Generic[M]):
    """The second argument of a check that takes two.

    :param data: All of the validated data.
    :param obj: The object that the form shows and edits; ``None`` for a new object.
    :param path: Keys and indexes of what is checked, such as ``("lines", 1, "text")``.
    """

    data: M
    obj: t.Any
    path: Path


class Check(t.NamedTuple):
    """A function of the app, and the field that it checks.

    :param attributes: The attributes that lead to its value; :data:`EACH` for rows.
    :param keys: The same steps by their names in a body.
    :param takes_context: True if it takes a :class:`CheckContext` beside its value.
    """

    attributes: tuple[str, ...]
    keys: tuple[str | int, ...]
    function: cabc.Callable[..., t.Any]
    takes_context: bool


def takes_context(function: cabc.Callable[..., t.Any]) -> bool:
    """Return true if a function has a second argument without a default."""
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.kind in kinds and p.default is p.empty]
    return len(needed) > 1


class DueCheck(t.NamedTuple):
    """A check with the value that it is to check, and the path of its error."""

    function: cabc.Callable[..., t.Any]
    arguments: tuple[t.Any, ...]
    path: Path


Due: t.TypeAlias = cabc.Iterator[DueCheck]


def due(checks: cabc.Iterable[Check], data: t.Any, obj: object = None) -> Due:
    """Yield each check with its value: once for each row, if it is one of rows.

    :param data: All of the data, with a field of the form as each attribute.
    :param obj: The object that the form shows.
    """
    for check in checks:
        for value, path in _values(data, check.attributes, check.keys, ()):
            # The optional group of the field is missing.
            if value is None and len(path) > 1:
                continue
            arguments: tuple[t.Any, ...] = (value,)
            if check.takes_context:
                arguments = value, CheckContext(data, obj, path)
            yield DueCheck(check.function, arguments, path)


def _values(
    value: t.Any, attributes: tuple[str, ...], keys: tuple[str | int, ...], path: Path
) -> cabc.Iterator[tuple[t.Any, Path]]:
    """Yield each value that some attributes lead to, and its path."""
    if not attributes or value is None:
        yield value, (*path, *keys)
    elif attributes[0] == EACH:
        for index, row in enumerate(value):
            yield from _values(row, attributes[1:], keys[1:], (*path, index))
    elif hasattr(value, attributes[0]):
        # The chosen model of a union may lack the field.
        below = getattr(value, attributes[0])
        yield from _values(below, attributes[1:], keys[1:], (*path, keys[0]))


def failures(exchange: Exchange, due: Due) -> list[FormError]:
    """Run checks, and return an error for each that failed.

    :raises RuntimeError: if a check is async, and so is the view.
    """
    return [
        FormError(check.path, "check", message)
        for check in due
        if (message := _run(exchange, check)) is not None
    ]


async def async_failures(due: Due) -> list[FormError]:
    """Run checks as :func:`failures` does, each awaited if it has to be."""
    errors: list[FormError] = []
    for check in due:
        found = check.function(*check.arguments)
        message = await found if inspect.isawaitable(found) else found
        if message is not None:
            errors.append(FormError(check.path, "check", message))
    return errors


def _run(exchange: Exchange, check: DueCheck) -> str | None:
    if not inspect.iscoroutinefunction(check.function):
        return t.cast("str | None", check.function(*check.arguments))
    if not in_event_loop():
        found = exchange.run(check.function, *check.arguments)
        return t.cast("str | None", found)
    raise RuntimeError(
        f"The check {check.function.__name__} is async, and so is the view. Write"
        " `await form.async_submit()` in the view instead of `form.submit()`."
    )


def choice_errors(
    schema: Group, data: t.Any, language: Language, sent: t.Any
) -> cabc.Iterator[FormError]:
    """Yield an error for each value that is not among the choices asked for.

    :param sent: The decoded body of the data.
    """
    for at, field in schema.unoffered(data, ()):
        path = at_rows(at, sent)
        own = field.messages.get("choice")
        message = str(own) if own else language.message("choice") or ""
        yield FormError(path, "choice", message)
