"""Stores of reports: the protocol, and stores in memory and in the log."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses as dc
import logging
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from .report import Report

logger = logging.getLogger("flaskware.secure.reports")

Loss: t.TypeAlias = t.Literal["rate", "evicted"]
"""Reason for a loss: over a limit, or to make room for other groups."""

# Clients and pages beyond these are not told apart; nobody decides on the 17th.
MOST_CLIENTS = 16
MOST_PAGES = 10


class ReportStoreError(RuntimeError):
    """The store of reports did not answer."""


@dc.dataclass(frozen=True)
class ReportGroup:
    """Reports of the same violation.

    :param report: The first of them.
    :param first_seen: Time of the first, in seconds since 1970 (UTC).
    :param last_seen: Time of the last.
    :param clients: Tags of the clients that sent them, at most 16: a keyed hash of
        the network address.
    :param pages: Addresses of the pages they are about, at most 10.
    """

    report: Report
    count: int
    first_seen: float
    last_seen: float
    clients: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()

    def merged(self, other: ReportGroup) -> ReportGroup:
        """Return one group for both, which are of the same violation."""
        return dc.replace(
            self,
            count=self.count + other.count,
            first_seen=min(self.first_seen, other.first_seen),
            last_seen=max(self.last_seen, other.last_seen),
            clients=_united(self.clients, other.clients, MOST_CLIENTS),
            pages=_united(self.pages, other.pages, MOST_PAGES),
        )


@dc.dataclass(frozen=True)
class Ledger:
    """Facts that decisions rest on, kept apart from groups, which others displace.

    :param last_trial: Time of the last violation of a report-only CSP, in seconds
        since 1970; ``None`` if there was none.
    :param lost: Number of reports that are lost, by reason; for ``"evicted"``, the
        reports of the groups that made room.
    :param last_unread: Time of the last loss of reports that nobody has read.
    """

    last_trial: float | None = None
    lost: cabc.Mapping[Loss, int] = dc.field(default_factory=dict["Loss", int])
    last_unread: float | None = None

    def merged(self, other: Ledger) -> Ledger:
        """Return the sums and the later times of both."""
        lost = collections.Counter(self.lost)
        lost.update(other.lost)
        return Ledger(
            latest(self.last_trial, other.last_trial),
            dict(lost),
            latest(self.last_unread, other.last_unread),
        )


_NOTHING = Ledger()


@dc.dataclass(frozen=True)
class Batch:
    """Reports that a process has collected since the last batch.

    :param groups: At most one for each violation.
    :param ledger: What to add to the ledger of the store.
    """

    groups: tuple[ReportGroup, ...] = ()
    ledger: Ledger = dc.field(default_factory=Ledger)


@t.runtime_checkable
class ReportStore(t.Protocol):
    """Protocol of a store of reports. Times are seconds since 1970 (UTC)."""

    def add(self, batch: Batch) -> None:
        """Add a batch to the groups and the ledger."""

    def groups(self) -> list[ReportGroup]:
        """Return what was reported, most frequent first."""
        ...

    def ledger(self) -> Ledger:
        """Return the ledger, which no number of reports displaces."""
        ...

    def clear(self) -> None:
        """Forget every group, and the numbers of losses, but no time of the ledger."""

    def watched_since(self, policy: str, now: float) -> float:
        """Return when a report-only policy was first in force, ``now`` if it is new.

        :param policy: The same text for the same policy.
        """
        ...


class MemoryReports:
    """Reports in the memory of this process.

    :param max_groups: Number of different reports that are kept. To make room, the
        oldest go of the client that alone has reported most groups.
    """

    def __init__(self, max_groups: int = 500) -> None:
        self._max = max_groups
        self._groups: dict[str, ReportGroup] = {}
        self._ledger = Ledger()
        self._watched: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, batch: Batch) -> None:
        """Add a batch to the groups and the ledger."""
        with self._lock:
            for group in batch.groups:
                key = group.report.key
                found = self._groups.get(key)
                self._groups[key] = found.merged(group) if found else group
            if batch.ledger != _NOTHING:
                self._ledger = self._ledger.merged(batch.ledger)
            # Seldom: choosing the groups that go costs as much as many additions.
            if len(self._groups) > self._max + self._max // 8:
                self._evict()

    def take(self) -> Batch:
        """Return all groups and the ledger, and keep none."""
        with self._lock:
            self._evict()
            batch = Batch(tuple(self._groups.values()), self._ledger)
            self._groups, self._ledger = {}, Ledger()
        return batch

    def groups(self) -> list[ReportGroup]:
        """Return what was reported, most frequent first."""
        with self._lock:
            self._evict()
            return sorted(self._groups.values(), key=_count, reverse=True)

    def ledger(self) -> Ledger:
        """Return the ledger, which no number of reports displaces."""
        with self._lock:
            self._evict()
            return self._ledger

    def clear(self) -> None:
        """Forget every group, and the numbers of losses, but no time of the ledger."""
        with self._lock:
            self._groups.clear()
            self._ledger = dc.replace(self._ledger, lost={})

    def watched_since(self, policy: str, now: float) -> float:
        """Return when a report-only policy was first in force in this process."""
        return self._watched.setdefault(policy, now)

    def _evict(self) -> None:
        if len(self._groups) <= self._max:
            return
        weighed = [
            (key, group.clients, group.last_seen) for key, group in self._groups.items()
        ]
        gone = surplus(weighed, self._max)
        count = sum(self._groups.pop(key).count for key in gone)
        self._ledger = self._ledger.merged(Ledger(lost={"evicted": count}))


class LogReports:
    """Reports as records of the logger ``flaskware.secure.reports``; none are kept.

    Each record has the report as its attribute ``report``, for structured logs.
    """

    def add(self, batch: Batch) -> None:
        """Log each group of a batch as a warning."""
        for group in batch.groups:
            report = group.report
            logger.warning(
                "%s %s: %s %s on %s (%s:%d)",
                report.kind,
                "blocked" if report.disposition == "enforce" else "would block",
                report.subject,
                report.blocked,
                report.document,
                report.source,
                report.line,
                extra={"report": report},
            )

    def groups(self) -> list[ReportGroup]:
        """Return an empty list: the reports are in the log."""
        return []

    def ledger(self) -> Ledger:
        """Return an empty ledger: the reports are in the log."""
        return Ledger()

    def clear(self) -> None:
        """Do nothing: no report is kept."""

    def watched_since(self, policy: str, now: float) -> float:  # noqa: ARG002
        """Return ``now``: earlier records of the log are not known."""
        return now


Weighed: t.TypeAlias = "tuple[str, tuple[str, ...], float]"
"""A group as its key, the tags of its clients, and the time of its last report."""


def surplus(groups: cabc.Collection[Weighed], most: int) -> list[str]:
    """Return the keys of the groups that make room, so that ``most`` stay.

    Groups that several clients saw stay longest. Of the rest, the client with most
    groups loses its oldest, so that nobody displaces the reports of another client.
    """
    excess = len(groups) - most
    if excess <= 0:
        return []
    alone: dict[str, list[tuple[float, str]]] = collections.defaultdict(list)
    shared: list[tuple[int, float, str]] = []
    for key, clients, last_seen in groups:
        if len(clients) > 1:
            shared.append((len(clients), last_seen, key))
        else:
            alone["".join(clients)].append((last_seen, key))
    for each in alone.values():
        each.sort(reverse=True)
    gone: list[str] = []
    while alone and len(gone) < excess:
        client = max(alone, key=lambda tag: len(alone[tag]))
        gone.append(alone[client].pop()[1])
        if not alone[client]:
            del alone[client]
    shared.sort()
    gone.extend(key for _, _, key in shared[: excess - len(gone)])
    return gone


def latest(*times: float | None) -> float | None:
    """Return the latest of some times, ``None`` if there is none."""
    return max((each for each in times if each is not None), default=None)


def _united(some: tuple[str, ...], more: tuple[str, ...], most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *more)))[:most]


def _count(group: ReportGroup) -> int:
    return group.count


def watch(store: ReportStore, policy: str) -> float:
    """Start to count how long a report-only policy is in force, or continue.

    :return: When it started, in seconds since 1970 (UTC); now if the store is down.
    """
    now = time.time()
    try:
        return store.watched_since(policy, now)
    except ReportStoreError as error:
        logger.error("%s", error)
        return now
