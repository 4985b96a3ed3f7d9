"""Running a command, also where the driver of a database is an async one."""

from __future__ import annotations

import collections.abc as cabc
import contextvars
import functools
import threading
import typing as t

P = t.ParamSpec("P")
R = t.TypeVar("R")


def command(method: cabc.Callable[P, R]) -> cabc.Callable[P, R]:
    """Let a method reach a database through an async driver where there is one.

    It stays an ordinary call that returns when it is done, on whatever thread, with a
    running event loop or without. Its connections are its own: those of the app belong
    to the loop that the app runs on.
    """

    @functools.wraps(method)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        alembic = t.cast("t.Any", args[0])
        if not alembic._has_async_engine() or _is_inside():
            return method(*args, **kwargs)
        return _in_loop(functools.partial(method, *args, **kwargs))

    return run


_inside = threading.local()


def _is_inside() -> bool:
    return getattr(_inside, "is_running", False)


def _in_loop(function: cabc.Callable[[], R]) -> R:
    """Call a function on a thread with a loop of its own, in this context."""
    import asyncio

    results: list[R] = []
    errors: list[BaseException] = []

    async def spawn() -> R:
        from sqlalchemy.util import greenlet_spawn

        _inside.is_running = True
        return await greenlet_spawn(function)

    def work() -> None:
        try:
            results.append(asyncio.run(spawn()))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,))
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
