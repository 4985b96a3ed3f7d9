"""Replicas: the choice of a copy of a database to read from."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import contextvars
import itertools
import time

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

_primary: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "flaskware_sqlalchemy_primary", default=False
)


class Health:
    """Availability of the replicas of a database.

    :param retry: Seconds that a replica without an answer is passed over.
    """

    def __init__(self, count: int, retry: float) -> None:
        self._retry = retry
        self._down_until = [0.0] * count
        self._turn = itertools.count()

    def in_turn(self) -> cabc.Iterator[int]:
        """Yield the numbers of the replicas to ask, the next in turn first."""
        count = len(self._down_until)
        first = next(self._turn)
        now = time.monotonic()
        for number in range(first, first + count):
            if self._down_until[number % count] <= now:
                yield number % count

    def mark_down(self, number: int) -> None:
        """Pass over a replica for a while."""
        self._down_until[number] = time.monotonic() + self._retry


class Replicas:
    """The engines that a database may be read through."""

    def __init__(self, engines: cabc.Sequence[sa.Engine], health: Health) -> None:
        self.engines = engines
        self.health = health
        for number, engine in enumerate(engines):
            event.listen(engine, "handle_error", _watch(health, number))

    def choose(self) -> sa.Engine | None:
        """Return the next replica that answers; ``None`` if none does."""
        for number in self.health.in_turn():
            engine = self.engines[number]
            try:
                # The pool pings the server before it hands out an old connection.
                with engine.connect():
                    return engine
            except (sa_exc.DBAPIError, OSError):
                self.health.mark_down(number)
        return None


@contextlib.contextmanager
def primary() -> cabc.Generator[None]:
    """Read from the primary in the block."""
    token = _primary.set(True)
    try:
        yield
    finally:
        _primary.reset(token)


def reads_primary() -> bool:
    """Return True inside of a block of :func:`primary`."""
    return _primary.get()


def _watch(health: Health, number: int) -> cabc.Callable[[sa.ExceptionContext], None]:
    def on_error(context: sa.ExceptionContext) -> None:
        if context.is_disconnect and not context.is_pre_ping:
            health.mark_down(number)

    return on_error
