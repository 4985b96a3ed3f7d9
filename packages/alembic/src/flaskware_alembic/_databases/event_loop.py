"""Calls that reach a database through an async driver."""

from __future__ import annotations

import collections.abc as cabc
import contextvars
import threading
import typing as t

R = t.TypeVar("R")

_inside = threading.local()


def call_in_loop(function: cabc.Callable[[], R]) -> R:
    """Call a function on a thread with an event loop of its own, in this context.

    It stays an ordinary call that returns when it is done, on any thread, with or
    without a running event loop. Inside of such a call, it calls the function at once.
    """
    if is_in_own_loop():
        return function()
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


def is_in_own_loop() -> bool:
    """True inside of a function that :func:`call_in_loop` calls."""
    return bool(getattr(_inside, "is_running", False))
