"""State of the extension for one app context: its sessions and its queries."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import typing as t

from flaskware_core import active_context
from flaskware_core import Context
from flaskware_core import current_context
from flaskware_core import is_async
from flaskware_core import refuse_in_event_loop

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
        "async_sessions", "is_async", "lazy_loads", "queries", "route", "sessions",
        "succeeded",
    )  # fmt: skip

    def __init__(self, *, is_async: bool = False) -> None:
        self.is_async = is_async
        """True in an app of Quart, whose event loop no session may stop."""
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

    def end(self, *, commit: bool) -> None:
        """End every session, an asynchronous session in its own event loop.

        :param commit: True to commit what a stream wrote after the response.
        """
        with contextlib.ExitStack() as calls:
            # Every call is made, the last first, even if others raise.
            calls.callback(self._forget_sessions)
            for session in self.sessions.values():
                calls.callback(session.end)
            if self.async_sessions:
                from .async_session import run_in_loop

                for key, asynchronous in self.async_sessions.items():
                    calls.callback(run_in_loop, asynchronous.end, key[2])
            if commit and self.succeeded:
                calls.callback(self.commit)

    async def end_awaited(self, *, commit: bool) -> None:
        """Same as :meth:`end`, in the event loop of an asynchronous app."""
        loop = asyncio.get_running_loop()
        if self.sessions or any(key[2] is not loop for key in self.async_sessions):
            # Those of views that are plain functions wait for a database.
            await asyncio.to_thread(self.end, commit=commit)
            return
        async with contextlib.AsyncExitStack() as calls:
            calls.callback(self._forget_sessions)
            for session in self.async_sessions.values():
                calls.push_async_callback(session.end)
            if commit and self.succeeded:
                calls.push_async_callback(self.commit_in_loop)

    async def commit_awaited(self) -> None:
        """Same as :meth:`commit`, in the event loop of an asynchronous app."""
        if self.sessions:
            await asyncio.to_thread(self.commit)
        else:
            await self.commit_in_loop()

    def _forget_sessions(self) -> None:
        self.sessions.clear()
        self.async_sessions.clear()

    async def end_in_loop(self) -> None:
        """End the asynchronous sessions of the running event loop."""
        loop = asyncio.get_running_loop()
        for key in [key for key in self.async_sessions if key[2] is loop]:
            await self.async_sessions.pop(key).end()


def find_request_state(context: Context, owner: object) -> RequestState | None:
    """Return the state of an extension for a context, if there is any yet."""
    states: dict[object, RequestState] | None = context.g.get(KEY)
    return None if states is None else states.get(owner)


def request_state(owner: object) -> RequestState:
    """Return the state of an extension for the current context, made on first use."""
    context = current_context()
    states: dict[object, RequestState] = context.g.setdefault(KEY, {})
    state = states.get(owner)
    if state is None:
        # Two threads of a context may both make a state; nothing uses the loser's.
        made = RequestState(is_async=is_async(context.app))
        state = states.setdefault(owner, made)
    return state


def refuse_session_in_event_loop(name: str) -> None:
    """Refuse the session of threads where it would stop the event loop of Quart."""
    call = "db.session" if name == "default" else f"db.get_session({name!r})"
    instead = call.replace("session", "async_session")
    refuse_in_event_loop(current_context().app, call, instead)


def end_sessions(error: BaseException | None = None) -> None:
    """End every session of the current app context, even if some fail to end."""
    states = _states()
    if not states:  # as in most requests that need no database
        return
    with contextlib.ExitStack() as calls:
        for state in states:
            calls.callback(state.end, commit=error is None)


async def end_sessions_awaited(error: BaseException | None = None) -> None:
    """Same as :func:`end_sessions`, in the event loop of an asynchronous app."""
    states = _states()
    if not states:
        return
    async with contextlib.AsyncExitStack() as calls:
        for state in states:
            calls.push_async_callback(state.end_awaited, commit=error is None)


def _states() -> list[RequestState]:
    # They stay: with a stream, Flask ends a context before and after the body.
    return list(current_context().g.get(KEY, {}).values())


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
