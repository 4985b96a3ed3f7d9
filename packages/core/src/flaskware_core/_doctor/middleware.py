"""The chain of middleware around an app."""

from __future__ import annotations

import collections.abc as cabc
import functools
import types
import typing as t

from flask.sansio.app import App

_MOST = 200


def middleware_of(app: App) -> list[object]:
    """Return the WSGI or ASGI middleware of an app, from the outermost in.

    Middleware keeps what it wraps in an attribute, and a function in its closure or
    in the arguments of a partial. All are followed, whatever their names.
    """
    outermost: object = vars(app).get("wsgi_app") or vars(app).get("asgi_app")
    seen: dict[int, object] = {}
    waiting = [outermost]
    while waiting and len(seen) < _MOST:
        each = waiting.pop(0)
        if each is None or id(each) in seen or _is_app(each, app):
            continue
        seen[id(each)] = each
        waiting.extend(_wrapped(each))
    return list(seen.values())


def _is_app(candidate: object, app: App) -> bool:
    if isinstance(candidate, types.MethodType):
        candidate = candidate.__self__
    return candidate is app or isinstance(candidate, App)


def _wrapped(candidate: t.Any) -> cabc.Iterator[object]:
    """Yield the callables that an object holds."""
    held: list[t.Any] = []
    # By type: a narrowed name would be a partial of unknown to type checkers.
    if issubclass(type(candidate), functools.partial):
        held += [candidate.func, *candidate.args, *candidate.keywords.values()]
    if issubclass(type(candidate), types.MethodType):
        held.append(candidate.__self__)
    for cell in getattr(candidate, "__closure__", None) or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    held += getattr(candidate, "__dict__", {}).values()
    kind: type[object] = candidate.__class__
    held += [getattr(candidate, name, None) for name in getattr(kind, "__slots__", ())]
    yield from (each for each in held if callable(each) and not isinstance(each, type))
