"""Outages of a service that an app depends on: a 503, and no queue of waiting calls."""

from __future__ import annotations

import collections.abc as cabc
import threading
import time
import types
import typing as t

from werkzeug.exceptions import ServiceUnavailable

# No library: circuitbreaker and pybreaker count the failures of decorated functions,
# and let every thread through at once when the pause is over.


class Unavailable(ServiceUnavailable):
    """A service did not answer; a request that needs it ends with 503.

    :param reason: Message of the driver. For logs: it is not part of the page.
    """

    is_outage: t.ClassVar[bool] = True
    """False if the service may well answer the next call."""

    description = "A part of this site does not answer. Please try again in a moment."

    def __init__(self, reason: str) -> None:
        super().__init__(retry_after=5)
        self.reason = reason

    def __reduce__(self) -> tuple[t.Any, ...]:
        return type(self), (self.reason,)


class CircuitBreaker:
    """Stops calls after failures in a row, then lets a single call find out.

    Requests do not queue up behind a service that is down, and not all of them meet it
    at once when it comes back. A block under it is a call.

    :param failure: The error that counts as a failure, and that an open breaker raises.
    :param threshold: How many failures in a row open it.
    :param pause: How long it stays open before a call is let through, in seconds.
    :param clock: Returns the time in seconds, and never goes back.
    """

    def __init__(
        self,
        failure: type[Unavailable],
        *,
        threshold: int = 5,
        pause: float = 1.0,
        clock: cabc.Callable[[], float] = time.monotonic,
    ) -> None:
        self._failure = failure
        self._threshold = threshold
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """True if the service is not being asked."""
        return self._failures >= self._threshold

    def __enter__(self) -> None:
        """Begin a call.

        :raises Unavailable: at once, where it is open.
        """
        if self._failures < self._threshold:
            return
        with self._lock:
            now = self._clock()
            if now < self._open_until:
                raise self._failure(
                    f"it failed {self._failures} times in a row and is not asked for"
                    f" {self._pause:g} s"
                )
            # The others go on waiting while this call finds out.
            self._open_until = now + self._pause

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        if error is None:
            if self._failures:
                with self._lock:
                    self._failures = 0
        elif isinstance(error, self._failure) and error.is_outage:
            with self._lock:
                self._failures += 1
                self._open_until = self._clock() + self._pause
