"""The sessions of an app context."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import contextvars
import dataclasses as dc
import typing as t

import flask

from ._lazy_load import Seen
from ._query_log import RecordedQuery
from ._session import Route
from ._session import RoutedSession
from ._session import Schemas

if t.TYPE_CHECKING:
    from ._async_session import RoutedAsyncSession

# On `g`, so that each app context, of whatever app, has sessions of its own; async
# views and threads that copy the context have the same.
KEY = "_flaskware_sqlalchemy"
FrozenSchemas: t.TypeAlias = tuple[tuple[str | None, str | None], ...] | None
SCHEMAS: contextvars.ContextVar[FrozenSchemas] = contextvars.ContextVar(
    "flaskware_sqlalchemy_schemas", default=None
)
"""What :func:`mapped_schemas` set for the code that runs."""


@dc.dataclass(eq=False)
class Held:
    """What an app context has of one extension.

    :param sessions: By name and schemas.
    :param async_sessions: By name, schemas and the event loop that they belong to.
    :param queries: What was asked of the databases, where that is recorded.
    :param lazy_loads: What was loaded later than its object, where that is watched.
    """

    route: Route = dc.field(default_factory=Route)
    sessions: dict[tuple[str, FrozenSchemas], RoutedSession] = dc.field(
        default_factory=dict[tuple[str, FrozenSchemas], RoutedSession]
    )
    async_sessions: dict[
        tuple[str, FrozenSchemas, asyncio.AbstractEventLoop], RoutedAsyncSession
    ] = dc.field(default_factory=dict[t.Any, t.Any])
    queries: list[RecordedQuery] = dc.field(default_factory=list[RecordedQuery])
    lazy_loads: Seen = dc.field(default_factory=dict[object, set[object]])

    def end(self) -> None:
        """End every session, also where one of them fails to."""
        with contextlib.ExitStack() as stack:
            for session in self.sessions.values():
                stack.callback(session.end)
            if self.async_sessions:
                from ._async_session import end_session

                for (_, _, loop), other in self.async_sessions.items():
                    stack.callback(end_session, other, loop)


def held_by_context(owner: object) -> Held:
    """What the current app context has of an extension, made if there is nothing."""
    every: dict[object, Held] = flask.g.setdefault(KEY, {})
    # Of two threads that share a context one may lose; it has used nothing yet.
    return every.setdefault(owner, Held()) if owner not in every else every[owner]


def end_sessions(error: BaseException | None = None) -> None:  # noqa: ARG001
    """End what the current app context has of every extension."""
    every: dict[object, Held] | None = flask.g.pop(KEY, None)
    if every is not None:
        with contextlib.ExitStack() as stack:
            for held in every.values():
                stack.callback(held.end)


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
