"""Buffer of reports: requests add to it, and a thread writes batches to the store."""

from __future__ import annotations

import atexit
import dataclasses as dc
import logging
import threading
import typing as t
import weakref

from flaskware_core import backoff
from flaskware_core import ForkGuard

from .store import Batch
from .store import Ledger
from .store import Loss
from .store import MemoryReports
from .store import ReportGroup
from .store import ReportStore
from .store import ReportStoreError

if t.TYPE_CHECKING:
    from .report import Report

logger = logging.getLogger("flaskware.secure")
_LONGEST_PAUSE = 60.0


@dc.dataclass
class _Waiting:
    """Reports that wait in one process, and the thread that writes them."""

    reports: MemoryReports
    lock: threading.Lock = dc.field(default_factory=threading.Lock)
    writing: threading.Lock = dc.field(default_factory=threading.Lock)
    timer: threading.Timer | None = None
    failures: int = 0


class ReportBuffer:
    """Reports that wait to be written, bounded and counted.

    :param delay: Seconds that a report may wait; 0 writes each at once, for a store
        whose writing costs next to nothing.
    :param max_groups: Number of different reports that may wait.
    """

    def __init__(self, store: ReportStore, delay: float, max_groups: int) -> None:
        self.store = store
        self._delay = delay
        self._max = max_groups
        self._fork = ForkGuard()
        self._waiting = _Waiting(MemoryReports(self._max))
        _buffers.add(self)

    def add(self, report: Report, client: str, now: float) -> None:
        """Add a report of a client.

        :param client: The tag of the client.
        :param now: Seconds since 1970.
        """
        pages = (report.document,) if report.document else ()
        group = ReportGroup(report, 1, now, now, (client,), pages)
        trial = report.kind == "csp" and report.disposition == "report"
        self._put(Batch((group,), Ledger(last_trial=now if trial else None)))

    def lose(self, reason: Loss, count: int, *, unread_at: float | None = None) -> None:
        """Count reports that are lost.

        :param unread_at: The time, if nobody has read them.
        """
        self._put(Batch((), Ledger(lost={reason: count}, last_unread=unread_at)))

    def saw_trial(self, now: float) -> None:
        """Note a violation of the report-only policy that is not kept otherwise."""
        self._put(Batch((), Ledger(last_trial=now)))

    def flush(self) -> None:
        """Write what waits.

        :raises ReportStoreError: if the store does not answer; everything then waits
            for the next time.
        """
        waiting = self._owned()
        with waiting.writing:
            batch = waiting.reports.take()
            if batch == Batch():
                return
            try:
                self.store.add(batch)
            except ReportStoreError:
                waiting.reports.add(batch)
                raise
            waiting.failures = 0

    def run(self) -> None:
        """Write what waits; if that fails, log it and try again later."""
        waiting = self._owned()
        with waiting.lock:
            waiting.timer = None
        try:
            self.flush()
        except ReportStoreError as error:
            logger.error("Reports wait to be written: %s", error)
            with waiting.lock:
                waiting.failures += 1
                self._start(waiting, waiting.failures + 1)

    def close(self) -> None:
        """Write what waits, or log that it is lost."""
        waiting = self._owned()
        try:
            self.flush()
        except ReportStoreError as error:
            count = len(waiting.reports.groups())
            logger.error("%d groups of reports are lost: %s", count, error)
        if waiting.timer is not None:
            waiting.timer.cancel()

    def _put(self, batch: Batch) -> None:
        waiting = self._owned()
        waiting.reports.add(batch)
        if not self._delay:
            self.flush()
            return
        with waiting.lock:
            self._start(waiting, 1)

    def _start(self, waiting: _Waiting, attempt: int) -> None:
        if waiting.timer is not None:
            return
        pause = backoff(attempt, first=self._delay, longest=_LONGEST_PAUSE)
        # A timer holds this object only weakly, so that an app that is gone takes it
        # along.
        waiting.timer = threading.Timer(pause, _flush, [weakref.ref(self)])
        waiting.timer.daemon = True
        waiting.timer.start()

    def _owned(self) -> _Waiting:
        """Return what waits in this process; the parent's is left to the parent."""
        if self._fork.in_child():
            self._waiting = _Waiting(MemoryReports(self._max))
            self._fork.leave()
        return self._waiting


_buffers: weakref.WeakSet[ReportBuffer] = weakref.WeakSet()


def _flush(reference: weakref.ref[ReportBuffer]) -> None:
    buffer = reference()
    if buffer is not None:
        buffer.run()


@atexit.register
def _flush_all() -> None:
    for buffer in list(_buffers):
        buffer.close()
