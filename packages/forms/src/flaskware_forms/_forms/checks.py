"""Checks of the application, which run on validated data."""

from __future__ import annotations

import collections.abc as cabc
import inspect
import typing as t

import flask

from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._errors.messages import Language
from flaskware_forms._fields.structures import Group


class Check(t.NamedTuple):
    """A function of the app, and the field that it checks."""

    attributes: tuple[str, ...]
    path: Path
    function: cabc.Callable[[t.Any], t.Any]


Due: t.TypeAlias = cabc.Iterator[tuple[Check, t.Any]]


def due(checks: cabc.Iterable[Check], data: t.Any) -> Due:
    """Yield each check with its value.

    :param data: All of the data, with a field of the form as each attribute.
    """
    for check in checks:
        value = data
        for attribute in check.attributes:
            value = None if value is None else getattr(value, attribute)
        # The optional group of the field is missing.
        if value is None and len(check.attributes) > 1:
            continue
        yield check, value


def failures(due: Due) -> list[FormError]:
    """Run checks, and return an error for each that failed.

    :raises RuntimeError: if a check is async, and so is the view.
    """
    return [
        FormError(check.path, "check", message)
        for check, value in due
        if (message := _run(check, value)) is not None
    ]


async def async_failures(due: Due) -> list[FormError]:
    """Run checks as :func:`failures` does, each awaited if it has to be."""
    errors: list[FormError] = []
    for check, value in due:
        found = check.function(value)
        message = await found if inspect.isawaitable(found) else found
        if message is not None:
            errors.append(FormError(check.path, "check", message))
    return errors


def _run(check: Check, value: t.Any) -> str | None:
    if not inspect.iscoroutinefunction(check.function):
        return t.cast("str | None", check.function(value))
    # Slow to import, and only needed for async checks.
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return t.cast(
            "str | None", flask.current_app.ensure_sync(check.function)(value)
        )
    raise RuntimeError(
        f"The check {check.function.__name__} is async, and so is the view. Write"
        " `await form.async_submit()` in the view instead of `form.submit()`."
    )


def choice_errors(
    schema: Group, data: t.Any, language: Language
) -> cabc.Iterator[FormError]:
    """Yield an error for each value that is not among the choices asked for."""
    for path, field in schema.unoffered(data, ()):
        own = field.messages.get("choice")
        message = str(own) if own else language.message("choice") or ""
        yield FormError(path, "choice", message)
