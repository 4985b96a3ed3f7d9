"""Not asking a store, for a moment, that has just failed several times."""

from __future__ import annotations

import collections.abc as cabc
import threading
import time
import typing as t

from flaskware_session._errors import StoreUnavailable

_P = t.ParamSpec("_P")
_T = t.TypeVar("_T")


class CircuitBreaker:
    """Stops asking after failures in a row, then lets one call find out.

    Requests do not queue up behind a store that is down, and it is not met by all of
    them at once when it comes back.

    :param threshold: How many failures in a row open it.
    :param pause: How long it stays open before one call is let through, in seconds.
    :param clock: Tells the time in seconds, and never goes back.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        pause: float = 1.0,
        clock: cabc.Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the store is not being asked."""
        return self._failures >= self._threshold

    def call(
        self, function: cabc.Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Call a method of the store.

        :raises StoreUnavailable: at once, where it is open.
        """
        if self.is_open:
            self._let_one_through()
        try:
            result = function(*args, **kwargs)
        except StoreUnavailable:
            with self._lock:
                self._failures += 1
                self._open_until = self._clock() + self._pause
            raise
        if self._failures:
            with self._lock:
                self._failures = 0
        return result

    def _let_one_through(self) -> None:
        with self._lock:
            now = self._clock()
            if now < self._open_until:
                raise StoreUnavailable(
                    f"it failed {self._failures} times in a row and is not asked for"
                    f" {self._pause:g} s"
                )
            # The others go on waiting while this one finds out.
            self._open_until = now + self._pause
