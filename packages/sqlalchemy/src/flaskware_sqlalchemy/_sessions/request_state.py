"""State of the extension for one app context: its sessions and its queries."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import functools
import typing as t

from flask.ctx import AppContext

from flaskware_core import active_context
from flaskware_core import current_context

from .router import FrozenSchemas
from .router import Route
from .session import RoutedSession

if t.TYPE_CHECKING:
    from flaskware_sqlalchemy._insight.lazy_load import Seen
    from flaskware_sqlalchemy._insight.query_log import QueryLog

    from .async_session import RoutedAsyncSession

# On `g`, so that each app context, of any app, has sessions of its own; async views
# and threads that copy the context have the same.
KEY = "_flaskware_sqlalchemy"


class RequestState:
    """State of one extension for one app context."""

    __slots__ = (
        "async_sessions", "lazy_loads", "queries", "route", "sessions", "succeeded",
    )  # fmt: skip

    def __init__(self) -> None:
        self.route = Route()
        self.sessions: dict[tuple[str, FrozenSchemas], RoutedSession] = {}
        """By name and schemas."""
        self.async_sessions: dict[
            tuple[str, FrozenSchemas, asyncio.AbstractEventLoop], RoutedAsyncSession
        ] = {}
        """By name, schemas and event loop."""
        self.queries: QueryLog | None = None
        self.lazy_loads: Seen = {}
        self.succeeded = False
        """True if what is written from now on is committed at the end."""

    def commit(self) -> None:
        """Commit every session that has a transaction, or roll all back."""
        try:
            for session in self.sessions.values():
                session.commit()
            if self.async_sessions:
                from .async_session import run_in_loop

                for key, asynchronous in self.async_sessions.items():
                    run_in_loop(asynchronous.commit, key[2])
        except BaseException:
            for session in self.sessions.values():
                session.rollback()
            raise

    async def commit_in_loop(self) -> None:
        """Commit the asynchronous sessions of the running event loop."""
        loop = asyncio.get_running_loop()
        for key, session in list(self.async_sessions.items()):
            if key[2] is loop:
                try:
                    await session.commit()
                except BaseException:
                    await session.rollback()
                    raise

    def query_log(self) -> QueryLog:
        """Return the queries of the context so far."""
        if self.queries is None:
            from flaskware_sqlalchemy._insight.query_log import QueryLog

            self.queries = QueryLog()
        return self.queries

    def ends(self) -> list[cabc.Callable[[], None]]:
        """Return a function for each session that ends it."""
        ends: list[cabc.Callable[[], None]]
        ends = [session.end for session in self.sessions.values()]
        if self.async_sessions:
            from .async_session import run_in_loop

            ends += [
                functools.partial(run_in_loop, session.end, key[2])
                for key, session in self.async_sessions.items()
            ]
        return ends

    def forget_sessions(self) -> None:
        """Forget the sessions; they have ended."""
        self.sessions.clear()
        self.async_sessions.clear()

    async def end_in_loop(self) -> None:
        """End the asynchronous sessions of the running event loop."""
        loop = asyncio.get_running_loop()
        for key in [key for key in self.async_sessions if key[2] is loop]:
            await self.async_sessions.pop(key).end()


def find_request_state(context: AppContext, owner: object) -> RequestState | None:
    """Return the state of an extension for a context, if there is any yet."""
    states: dict[object, RequestState] | None = context.g.get(KEY)
    return None if states is None else states.get(owner)


def request_state(owner: object) -> RequestState:
    """Return the state of an extension for the current context, made on first use."""
    states: dict[object, RequestState] = current_context().g.setdefault(KEY, {})
    state = states.get(owner)
    # Two threads that share a context may both make a state; nothing uses the loser's.
    return states.setdefault(owner, RequestState()) if state is None else state


def end_sessions(error: BaseException | None = None) -> None:
    """End every session of the current app context, even if some fail to end."""
    # The state stays: with a stream, Flask ends a context before and after the body.
    states: dict[object, RequestState] | None = current_context().g.get(KEY)
    if states is not None:
        calls = [state.forget_sessions for state in states.values()]
        calls += [end for state in states.values() for end in state.ends()]
        if error is None:
            calls += [state.commit for state in states.values() if state.succeeded]
        _call_all(calls)


def _call_all(functions: list[cabc.Callable[[], None]]) -> None:
    """Call each function, the last first, even if some fail; raise the last error."""
    while functions:
        try:
            functions.pop()()
        except BaseException:
            _call_all(functions)
            raise


@contextlib.contextmanager
def separate_sessions() -> cabc.Generator[None]:
    """Give the current context, if any, sessions of its own in the block."""
    context = active_context()
    outer = None if context is None else context.g.pop(KEY, None)
    try:
        yield
    finally:
        context = active_context()
        if context is not None:
            end_sessions()
            context.g.pop(KEY, None)
            if outer is not None:
                setattr(context.g, KEY, outer)
