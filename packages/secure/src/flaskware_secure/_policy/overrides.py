"""What a view or a blueprint changes of its app's policy."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import inspect
import typing as t

from flaskware_core import ConfigError

from .lint import lint
from .policy import Append
from .policy import as_tuple
from .policy import Changes
from .policy import Policy
from .policy import Sources

_ATTRIBUTE = "__flaskware_secure__"
_NOTES = "_flaskware_secure_notes"
F = t.TypeVar("F", bound="cabc.Callable[..., t.Any]")
_SOURCE_FIELDS = ("csp", "csp_report_only", "permissions")


@dc.dataclass(frozen=True)
class Mark:
    """Changes noted on a view or blueprint, for the extension that made them."""

    owner: object
    changes: Changes


def mark(target: object, owner: object, changes: Changes) -> None:
    """Note changes on a view function, a view class or a blueprint.

    A decorator made with ``functools.wraps`` carries the note on.

    :raises TypeError: for a target that takes no attribute, such as a bound method.
    """
    # A new tuple: a wrapper shares the attributes of the function that it wraps.
    marks = (*_marks(target), Mark(owner, changes))
    try:
        setattr(target, _ATTRIBUTE, marks)
    except AttributeError:
        raise TypeError(
            f"override() cannot note anything on {target!r}. Decorate the function"
            " itself, in its class or module."
        ) from None


def changes_on(target: object, owner: object) -> cabc.Iterator[Changes]:
    """The changes that an extension noted on a target, the first noted first."""
    for noted in _marks(target):
        if noted.owner is owner:
            yield noted.changes


def _marks(target: object) -> tuple[Mark, ...]:
    found: tuple[Mark, ...] = getattr(target, _ATTRIBUTE, ())
    if not found and (view_class := getattr(target, "view_class", None)) is not None:
        return _marks(view_class)
    return found


def blueprints_of(endpoint: str) -> cabc.Iterator[str]:
    """The names of the blueprints that an endpoint is in, the outermost first."""
    parts = endpoint.split(".")[:-1]
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def resolve(
    base: Policy,
    endpoint: str,
    owner: object,
    *,
    blueprints: cabc.Mapping[str, object],
    views: cabc.Mapping[str, object],
) -> Policy:
    """The policy of an endpoint on top of its app's: blueprints' chain, then view."""
    targets = [blueprints.get(name) for name in blueprints_of(endpoint)]
    policy = base
    for target in (*targets, views.get(endpoint)):
        for changes in changes_on(target, owner):
            policy = policy.changed(**changes)
    return policy


@dc.dataclass(frozen=True, eq=False)
class Note:
    """Changes of an error handler; a request that it answered refers to it."""

    owner: object
    changes: Changes


def noting(function: F, note: Note, current: cabc.Callable[[], object]) -> F:
    """A function that leaves a note on the request that it is called in."""

    def leave() -> None:
        request = current()
        if request is not None:
            notes: tuple[Note, ...] = request.__dict__.get(_NOTES, ())
            request.__dict__[_NOTES] = (*notes, note)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def noted_async(*args: t.Any, **kwargs: t.Any) -> t.Any:
            leave()
            return await function(*args, **kwargs)

        return t.cast("F", noted_async)

    @functools.wraps(function)
    def noted(*args: t.Any, **kwargs: t.Any) -> t.Any:
        leave()
        return function(*args, **kwargs)

    return t.cast("F", noted)


def notes_on(request: object) -> tuple[Note, ...]:
    """What error handlers noted on a request."""
    found: tuple[Note, ...] = request.__dict__.get(_NOTES, ())
    return found


def is_below(path: str, prefix: str) -> bool:
    """Whether a path is a prefix or below it; ``/a`` is not above ``/ab``."""
    stem = prefix.rstrip("/")
    return path == stem or path.startswith(f"{stem}/")


def refuse_wrong(changes: Changes) -> None:
    """Refuse changes that are wrong whatever they are applied to.

    :raises ConfigError: listing everything that is wrong.
    """
    # What only the whole can tell, such as a list that another one completes, is
    # left to `flask doctor`.
    alone = Policy().changed(**_without_appends(changes))
    incomplete = {"csp.strict-dynamic-alone", "csp.unknown-endpoint"}
    problems = [p for p in lint(alone) if p.code not in incomplete]
    if problems:
        raise ConfigError("flaskware-secure (an override)", problems)


def _without_appends(changes: Changes) -> Changes:
    plain: dict[str, t.Any] = {}
    for name, value in changes.items():
        if isinstance(value, Append):
            plain[name] = value.sources
        elif name in _SOURCE_FIELDS:
            several = t.cast("cabc.Mapping[str, Sources | None]", value)
            plain[name] = {
                key: None if sources is None else as_tuple(sources)
                for key, sources in several.items()
            }
        else:
            plain[name] = value
    return t.cast("Changes", plain)
