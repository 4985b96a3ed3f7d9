"""The extensions of an app, and what each offers to the rest of this package."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

from flask.sansio.app import App
from werkzeug.sansio.request import Request

from ._findings.finding import Finding
from ._settings.base import Settings
from ._settings.problems import ConfigProblem
from ._web.current import current_app_object

S = t.TypeVar("S", bound=Settings)
T = t.TypeVar("T")

_KEY = "flaskware"


class Installed(t.NamedTuple, t.Generic[S, T]):
    """One extension on one app, with what it offers to the rest of this package.

    :param extension: The extension object.
    :param name: Its key in ``app.extensions``.
    :param overrides: The arguments of the extension object that are settings.
    :param place: The file and line that called ``init_app``.
    :param check: ``_check`` of the extension; ``probe`` and the others alike.
    """

    extension: object
    name: str
    settings: S
    state: T
    overrides: cabc.Mapping[str, t.Any]
    place: str
    check: cabc.Callable[..., cabc.Iterable[Finding]]
    probe: cabc.Callable[[App], cabc.Iterable[ConfigProblem]]
    covers: cabc.Callable[[App], cabc.Collection[str]]
    isolate: cabc.Callable[[App], contextlib.AbstractContextManager[object]]
    read: cabc.Callable[[cabc.Mapping[str, t.Any]], S]
    takes_from_elsewhere: cabc.Callable[[App, Request], bool]


def installed_on(app: App) -> dict[str, Installed[t.Any, t.Any]]:
    """Return every Flaskware extension of an app by name, in order of ``init_app``."""
    found: dict[str, Installed[t.Any, t.Any]] = app.extensions.get(_KEY, {})
    return found


def register(
    app: App, installed: Installed[t.Any, t.Any]
) -> dict[str, Installed[t.Any, t.Any]]:
    """Add an extension to those of an app; return all of them."""
    registry: dict[str, Installed[t.Any, t.Any]] = app.extensions.setdefault(_KEY, {})
    registry[installed.name] = installed
    return registry


def takes_from_elsewhere(request: Request, *, app: App | None = None) -> bool:
    """Return whether a page of another site may send a request by design.

    Every extension of the app is asked, since where that is declared is for one of them
    to know: a view that a payment provider posts to, or an origin that CORS names.
    Protection against CSRF then asks for no token, which no other site can have.

    :param app: By default the current app.
    """
    app = current_app_object() if app is None else app
    return any(
        one.takes_from_elsewhere(app, request) for one in installed_on(app).values()
    )
