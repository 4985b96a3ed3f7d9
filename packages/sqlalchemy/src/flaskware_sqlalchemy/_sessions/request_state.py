"""The sessions of an app context."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import contextvars
import functools
import typing as t

from flask.ctx import AppContext
from flask.globals import app_ctx

from .session import Route
from .session import RoutedSession
from .session import Schemas

if t.TYPE_CHECKING:
    from flaskware_sqlalchemy._insight.query_log import RecordedQuery

    from .async_session import RoutedAsyncSession
    from .lazy_load import Seen

# On `g`, so that each app context, of whatever app, has sessions of its own; async
# views and threads that copy the context have the same.
KEY = "_flaskware_sqlalchemy"
FrozenSchemas: t.TypeAlias = tuple[tuple[str | None, str | None], ...] | None
SCHEMAS: contextvars.ContextVar[FrozenSchemas] = contextvars.ContextVar(
    "flaskware_sqlalchemy_schemas", default=None
)
"""What :func:`mapped_schemas` set for the code that runs."""


class Held:
    """What an app context has of one extension."""

    __slots__ = ("async_sessions", "lazy_loads", "queries", "route", "sessions")

    def __init__(self) -> None:
        self.route = Route()
        self.sessions: dict[tuple[str, FrozenSchemas], RoutedSession] = {}
        """By name and schemas."""
        self.async_sessions: dict[
            tuple[str, FrozenSchemas, asyncio.AbstractEventLoop], RoutedAsyncSession
        ] = {}
        """By name, schemas and the event loop that they belong to."""
        self.queries: list[RecordedQuery] = []
        self.lazy_loads: Seen = {}

    def ends(self) -> list[cabc.Callable[[], None]]:
        """What ends each of the sessions."""
        ends: list[cabc.Callable[[], None]]
        ends = [session.end for session in self.sessions.values()]
        if self.async_sessions:
            from .async_session import end_session

            ends += [
                functools.partial(end_session, session, key[2])
                for key, session in self.async_sessions.items()
            ]
        return ends


def current_context() -> AppContext | None:
    """The active app context.

    Asked once for all that is on it, because each look at one of Flask's proxies
    costs as much.
    """
    try:
        return _current()
    except RuntimeError:
        return None


_current: cabc.Callable[[], AppContext] = t.cast("t.Any", app_ctx)._get_current_object


def held_by(context: AppContext, owner: object) -> Held | None:
    """What an app context has of an extension, if anything."""
    every: dict[object, Held] | None = context.g.get(KEY)
    return None if every is None else every.get(owner)


def hold(context: AppContext, owner: object) -> Held:
    """What an app context has of an extension, made if there is nothing."""
    every: dict[object, Held] = context.g.setdefault(KEY, {})
    held = every.get(owner)
    # Of two threads that share a context one may lose; it has used nothing yet.
    return every.setdefault(owner, Held()) if held is None else held


def held_by_context(owner: object) -> Held:
    """What the current app context has of an extension, made if there is nothing."""
    return hold(_current(), owner)


def end_sessions(error: BaseException | None = None) -> None:  # noqa: ARG001
    """End every session of the current app context, also where one fails to."""
    every: dict[object, Held] | None = _current().g.pop(KEY, None)
    if every is not None:
        _call_all([end for held in every.values() for end in held.ends()])


def _call_all(functions: list[cabc.Callable[[], None]]) -> None:
    """Call each, the last first, also where one fails; the last error is raised."""
    while functions:
        try:
            functions.pop()()
        except BaseException:
            _call_all(functions)
            raise


@contextlib.contextmanager
def mapped_schemas(schemas: Schemas) -> cabc.Generator[None]:
    """Let sessions that are asked for in the block use other schemas."""
    token = SCHEMAS.set(tuple(schemas.items()))
    try:
        yield
    finally:
        SCHEMAS.reset(token)


def current_schemas() -> dict[str | None, str | None] | None:
    """The schemas that are to be used instead of those of the models."""
    frozen = SCHEMAS.get()
    return None if frozen is None else dict(frozen)
