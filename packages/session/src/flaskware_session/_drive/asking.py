"""How a session's request asks the store: with breakers, and a time that ends."""

from __future__ import annotations

import collections.abc as cabc
import logging
import time
import typing as t

from flaskware_session import _signals as signals
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import Clock
from flaskware_session._stores.protocol import Store

from .breaker import CircuitBreaker

logger = logging.getLogger("flaskware_session")

_P = t.ParamSpec("_P")
_T = t.TypeVar("_T")


class Asking:
    """Calls the store for requests; what they share is the state of the breakers.

    :param store: Replaced by another one only while tests are isolated.
    :param budget: For how long one request may ask, over all attempts, in seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock = time.time,
        budget: float = 3.0,
    ) -> None:
        self.store = store
        self.budget = budget
        self.breaker = CircuitBreaker()
        # Of its own, as a store that is full takes no writes and still answers.
        self._write_breaker = CircuitBreaker()
        self._clock = clock

    def now(self) -> int:
        """The time in milliseconds since 1970."""
        return int(self._clock() * 1000)

    def ask(
        self,
        spent: Spent,
        operation: str,
        function: cabc.Callable[_P, _T],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        """Call a method of the store for a request.

        :param spent: How long the request has asked so far; it is counted on.
        :param operation: What is done, as a log names it.
        :raises StoreUnavailable: and says so to the log and to listeners.
        """
        started = time.monotonic()
        try:
            if spent.seconds >= self.budget:
                raise StoreUnavailable(
                    f"the request has used up its {self.budget:g} s (SESSION_BUDGET)"
                )
            is_write = operation == "write"
            breaker = self._write_breaker if is_write else self.breaker
            return breaker.call(function, *args, **kwargs)
        except StoreUnavailable as error:
            logger.error("The session store failed to %s: %s", operation, error.reason)
            signals.notify(
                signals.session_outage, operation=operation, reason=error.reason
            )
            raise
        finally:
            spent.seconds += time.monotonic() - started


class Spent:
    """How long one request has asked the store."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0
