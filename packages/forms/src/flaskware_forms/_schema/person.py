"""Choices for the person of a request: those of Flask-Babel, else of the settings."""

from __future__ import annotations

import collections.abc as cabc
import sys
import typing as t

from flaskware_core import active_context

T = t.TypeVar("T")
_MISSING = object()


def choice_of(
    setting: t.Literal["locale", "timezone"], convert: cabc.Callable[[t.Any], T]
) -> T | None:
    """Return a choice for the person, or `None` if nobody made one.

    :param setting: Its name among the settings; Flask-Babel has ``get_`` before it.
    :param convert: Makes the result of what was chosen.
    :raises ValueError: if ``convert`` refuses the choice.
    """
    context = active_context()
    if context is None:
        return None
    key = f"flaskware_forms_{setting}"
    kept = context.g.get(key, _MISSING)
    if kept is _MISSING:
        # A function of the app may ask a database, so once per request.
        found = _found(setting, context.app.extensions)
        kept = None if found is None else convert(found)
        setattr(context.g, key, kept)
    return t.cast("T | None", kept)


def _found(setting: str, extensions: cabc.Mapping[str, t.Any]) -> t.Any:
    babel = sys.modules.get("flask_babel")
    if babel is not None and "babel" in extensions:
        return getattr(babel, f"get_{setting}")()
    forms = extensions.get("forms")
    found = None if forms is None else getattr(forms.state.settings, setting)
    return found() if callable(found) else found
