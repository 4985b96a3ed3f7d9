"""Driver of the core for a store that blocks."""

from __future__ import annotations

import contextlib
import dataclasses as dc
import logging
import threading
import time
import typing as t

from flaskware_core import CircuitBreaker
from flaskware_session import _signals as signals
from flaskware_session._core import operations as ops
from flaskware_session._core.operations import Steps
from flaskware_session._core.policy import SessionPolicy
from flaskware_session._core.visit import Visit
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import Lifetime
from flaskware_session._stores.protocol import AmendingStore
from flaskware_session._stores.protocol import BoundedStore
from flaskware_session._stores.protocol import Store

if t.TYPE_CHECKING:
    from .aio import AsyncStoreClient

logger = logging.getLogger("flaskware.session")

T = t.TypeVar("T")

# How the log names an operation.
_VERBS: dict[type, str] = {
    ops.Read: "read",
    ops.Create: "write",
    ops.Update: "write",
    ops.Amend: "write",
    ops.Replace: "write",
    ops.LimitUser: "write",
    ops.Delete: "delete",
}
# A flood fills a store in seconds, and asking takes a trip.
_SECONDS = 1.0
_QUESTIONS = 100
_WARNINGS = frozenset({"session-copied", "session-unreadable"})
QUEUES = 64
"""Number of queues for requests of one process whose writes met."""


class Gauge:
    """Says whether visitors have taken their share of a store, by what it last said.

    :param share: The fullness beyond which the store is crowded: 0 for always,
        ``None`` for never.
    """

    def __init__(self, share: float | None) -> None:
        self._share = share
        self._is_crowded = share == 0
        self._asked = float("-inf")
        self._questions = 0

    @property
    def is_due(self) -> bool:
        """True if it is time to ask the store."""
        return bool(self._share) and (
            self._questions >= _QUESTIONS or time.monotonic() - self._asked >= _SECONDS
        )

    def note(self, fullness: float | None) -> None:
        """Note what the store has said; ``None`` if it has no limit."""
        self._asked, self._questions = time.monotonic(), 0
        if self._share:
            is_crowded = fullness is not None and fullness > self._share
            if is_crowded is not self._is_crowded:
                logger.warning(
                    "The session store is %.0f %% full: new visitors' sessions are %s",
                    100 * (fullness or 0),
                    "not stored" if is_crowded else "stored again",
                )
            self._is_crowded = is_crowded

    def is_crowded(self) -> bool:
        """Return whether the store has no room for the session of another visitor."""
        self._questions += 1
        return self._is_crowded


class Guard:
    """Circuit breakers of one store, and a limit of the time that a request waits.

    :param limit: For how long one request may wait, over all attempts, in seconds.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.reads = CircuitBreaker(StoreUnavailable)
        # Of its own, as a store that is full takes no writes and still answers.
        self.writes = CircuitBreaker(StoreUnavailable)

    def enter(self, operation: ops.StoreOperation, visit: Visit) -> CircuitBreaker:
        """Return the breaker of an operation.

        :raises StoreUnavailable: if the request has waited for too long.
        """
        if visit.waited >= self.limit:
            raise StoreUnavailable(
                f"the request has used up its {self.limit:g} s (SESSION_BUDGET)"
            )
        return self.writes if _VERBS[type(operation)] == "write" else self.reads


class StoreClient:
    """Runs the generators of the core on a store, for requests.

    :param store: Replaced by another store only while tests are isolated.
    :param limit: For how long one request may wait for it, in seconds.
    :param visitor_share: See :class:`Gauge`.
    """

    def __init__(
        self, store: Store, *, limit: float = 3.0, visitor_share: float | None = None
    ) -> None:
        self.store = store
        self.guard = Guard(limit)
        self._gauge = Gauge(visitor_share)
        self._queues = [threading.Lock() for _ in range(QUEUES)]

    def run(self, steps: Steps[T], visit: Visit) -> T:
        """Carry out what a generator yields, and return what it returns.

        :raises StoreUnavailable: where the generator lets it pass.
        """
        answer: object = None
        outage: StoreUnavailable | None = None
        queue: threading.Lock | None = None
        try:
            while True:
                try:
                    if outage is None:
                        operation = steps.send(answer)
                    else:
                        operation = steps.throw(outage)
                except StopIteration as stop:
                    return t.cast("T", stop.value)
                answer = outage = None
                try:
                    if isinstance(operation, ops.Queue):
                        queue = self._enter_queue(operation.key)
                    elif isinstance(operation, ops.IsCrowded):
                        answer = self._is_crowded()
                    elif isinstance(operation, ops.Call | ops.Ask):
                        answer = self._call(operation)
                    elif isinstance(operation, ops.Notify):
                        notify(operation)
                    else:
                        answer = self._ask(operation, visit)
                except StoreUnavailable as error:
                    outage = error
        finally:
            if queue is not None:
                queue.release()

    def _call(self, operation: ops.Call | ops.Ask) -> object:
        if isinstance(operation, ops.Call):
            return operation.function()
        return operation.question(self.store)

    def _ask(self, operation: ops.StoreOperation, visit: Visit) -> object:
        started = time.monotonic()
        try:
            with self.guard.enter(operation, visit):
                return perform(self.store, operation)
        except StoreUnavailable as error:
            report(operation, error)
            raise
        finally:
            visit.waited += time.monotonic() - started

    def _is_crowded(self) -> bool:
        if self._gauge.is_due:
            with contextlib.suppress(StoreUnavailable):
                store: object = self.store
                if isinstance(store, BoundedStore):
                    self._gauge.note(store.fullness())
                else:
                    self._gauge.note(None)
        return self._gauge.is_crowded()

    def _enter_queue(self, key: str) -> threading.Lock | None:
        queue = self._queues[hash(key) % QUEUES]
        return queue if queue.acquire(timeout=self.guard.limit) else None


def perform(store: Store, operation: ops.StoreOperation) -> t.Any:
    """Call the method of a store that an operation stands for.

    :return: The answer of the store, or a coroutine that an asynchronous store made.
    """
    if isinstance(operation, ops.Read):
        return store.read(*operation)
    if isinstance(operation, ops.Update):
        return store.update(*operation)
    if isinstance(operation, ops.Create):
        return store.create(*operation)
    match operation:
        case ops.Amend():
            return store.amend(*operation) if isinstance(store, AmendingStore) else None
        case ops.Replace():
            return store.replace(*operation)
        case ops.Delete(key, version):
            return store.delete(key, version=version)
        case ops.LimitUser(user_id, most, now, keep):
            return store.limit_user(user_id, most, now, keep=keep)


def report(operation: ops.StoreOperation, error: StoreUnavailable) -> None:
    """Log that the store did not answer, and send the signal."""
    verb = _VERBS[type(operation)]
    logger.error("The session store failed to %s: %s", verb, error.reason)
    signals.notify("session-outage", operation=verb, reason=error.reason)


def notify(operation: ops.Notify) -> None:
    """Send a signal, and log what is to be logged."""
    if operation.log is not None:
        level = logging.WARNING if operation.signal in _WARNINGS else logging.INFO
        logger.log(level, operation.log, operation.details["handle"])
    signals.notify(operation.signal, **operation.details)


@dc.dataclass(frozen=True)
class SessionManager:
    """Store and policy of the sessions of one app."""

    client: StoreClient
    policy: SessionPolicy
    awaited: AsyncStoreClient | None = None
    """The client for the event loop of an app of Quart."""

    @property
    def store(self) -> Store:
        """Store of the sessions."""
        return self.client.store

    @property
    def lifetime(self) -> Lifetime:
        """Timeouts of a session."""
        return self.policy.lifetime

    def now(self) -> int:
        """Return the time in milliseconds since 1970."""
        return self.policy.now()
