"""Driver of the core for a store that blocks."""

from __future__ import annotations

import dataclasses as dc
import logging
import random
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
from flaskware_session._stores.protocol import Store

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
QUEUES = 64
"""Number of queues for requests of one process whose writes met."""


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
    """

    def __init__(self, store: Store, *, limit: float = 3.0) -> None:
        self.store = store
        self.guard = Guard(limit)
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
                    elif isinstance(operation, (ops.Call, ops.Notify, ops.Pause)):
                        answer = _carry_out(operation)
                    else:
                        answer = self._ask(operation, visit)
                except StoreUnavailable as error:
                    outage = error
        finally:
            if queue is not None:
                queue.release()

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
        is_lost = operation.signal == "session-unreadable"
        level = logging.WARNING if is_lost else logging.INFO
        logger.log(level, operation.log, operation.details["handle"])
    signals.notify(operation.signal, **operation.details)


def _carry_out(operation: ops.Call | ops.Notify | ops.Pause) -> object:
    if isinstance(operation, ops.Call):
        return operation.function()
    if isinstance(operation, ops.Notify):
        notify(operation)
    else:
        time.sleep(random.uniform(0, operation.longest))
    return None


@dc.dataclass(frozen=True)
class SessionManager:
    """Store and policy of the sessions of one app."""

    client: StoreClient
    policy: SessionPolicy

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
