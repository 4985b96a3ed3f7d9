"""Overrides of a policy by views, blueprints and error handlers."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import functools
import inspect
import typing as t

from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint
from flask.sansio.blueprints import BlueprintSetupState

from flaskware_core import active_request
from flaskware_core import ConfigError

from .lint import lint
from .policy import Append
from .policy import as_tuple
from .policy import Changes
from .policy import Policy
from .policy import Sources

_ATTRIBUTE = "__flaskware_secure__"
_ON_REQUEST = "_flaskware_secure_overrides"
F = t.TypeVar("F", bound="cabc.Callable[..., t.Any]")
_PREFIXES = "secure.blueprints"
_SOURCE_FIELDS = (
    "csp", "csp_report_only", "permissions", "permissions_report_only"
)  # fmt: skip


@dc.dataclass(frozen=True, eq=False)
class Override:
    """Changes of a policy, for the extension object that made them."""

    owner: object
    changes: Changes


def attach_override(target: object, override: Override) -> None:
    """Attach an override to a view function, a view class or a blueprint.

    A decorator made with ``functools.wraps`` carries it on.

    :raises TypeError: for a target that takes no attribute, such as a bound method.
    """
    # A new tuple: a wrapper shares the attributes of the function that it wraps.
    overrides = (*_attached(target), override)
    try:
        setattr(target, _ATTRIBUTE, overrides)
    except AttributeError:
        raise TypeError(
            f"override() cannot attach anything to {target!r}. Decorate the function"
            " itself, in its class or module."
        ) from None


def note_prefix(target: object) -> None:
    """Note where a blueprint is registered, for answers below it that no view gives."""
    if not isinstance(target, Blueprint):
        return

    def note(state: BlueprintSetupState) -> None:
        if state.url_prefix:
            prefix = f"/{state.url_prefix.strip('/')}"
            name = f"{state.name_prefix}.{state.name}".lstrip(".")
            prefixes_of(state.app)[prefix] = name

    # Flask refuses this on a blueprint that an app has already.
    with contextlib.suppress(AssertionError):
        target.record(note)


def prefixes_of(app: App) -> dict[str, str]:
    """Return the blueprints of an app that have an override, by their prefix."""
    found: dict[str, str] = app.extensions.setdefault(_PREFIXES, {})
    return found


def _attached(target: object) -> tuple[Override, ...]:
    found: tuple[Override, ...] = getattr(target, _ATTRIBUTE, ())
    if not found and (view_class := getattr(target, "view_class", None)) is not None:
        return _attached(view_class)
    return found


def blueprints_of(endpoint: str) -> cabc.Iterator[str]:
    """Yield the names of the blueprints that hold an endpoint, outermost first."""
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
    """Return the policy of an endpoint: its app's, its blueprints', its view's."""
    targets = [blueprints.get(name) for name in blueprints_of(endpoint)]
    for target in (*targets, views.get(endpoint)):
        base = apply_overrides(base, _attached(target), owner)
    return base


def apply_overrides(
    policy: Policy, overrides: cabc.Iterable[Override], owner: object
) -> Policy:
    """Return a policy with those overrides that are of one extension object."""
    for override in overrides:
        if override.owner is owner:
            policy = policy.changed(**override.changes)
    return policy


def override_for(function: F, override: Override) -> F:
    """Wrap an error handler so that its override counts for the current request."""

    def attach() -> None:
        request = active_request()
        if request is not None:
            found = overrides_on(request)
            request.__dict__[_ON_REQUEST] = (*found, override)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def overriding_async(*args: t.Any, **kwargs: t.Any) -> t.Any:
            attach()
            return await function(*args, **kwargs)

        return t.cast("F", overriding_async)

    @functools.wraps(function)
    def overriding(*args: t.Any, **kwargs: t.Any) -> t.Any:
        attach()
        return function(*args, **kwargs)

    return t.cast("F", overriding)


def overrides_on(request: object) -> tuple[Override, ...]:
    """Return the overrides of the error handlers that answered a request."""
    found: tuple[Override, ...] = request.__dict__.get(_ON_REQUEST, ())
    return found


def is_below(path: str, prefix: str) -> bool:
    """Return whether a path is a prefix or below it; ``/ab`` is not below ``/a``."""
    stem = prefix.rstrip("/")
    return path == stem or path.startswith(f"{stem}/")


def refuse_wrong(changes: Changes) -> None:
    """Refuse changes that are wrong for any policy.

    :raises ConfigError: listing everything that is wrong.
    """
    # `flask doctor` checks the rest on the whole policy, such as a list of sources
    # that another list completes.
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
