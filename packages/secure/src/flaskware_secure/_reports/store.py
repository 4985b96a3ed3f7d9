"""Stores of reports: the protocol, and stores in memory and in the log."""

from __future__ import annotations

import collections
import dataclasses as dc
import logging
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from .report import Report

logger = logging.getLogger("flaskware.secure.reports")


class ReportStoreError(RuntimeError):
    """The store of reports did not answer."""


@dc.dataclass(frozen=True)
class ReportGroup:
    """Reports of the same violation.

    :param report: The first of them.
    :param first_seen: Time of the first, in seconds since 1970 (UTC).
    :param last_seen: Time of the last.
    """

    report: Report
    count: int
    first_seen: float
    last_seen: float


@t.runtime_checkable
class ReportStore(t.Protocol):
    """Protocol of a store of reports. Times are seconds since 1970 (UTC)."""

    def add(self, report: Report, now: float) -> None:
        """Count a report in the group of its violation."""

    def groups(self) -> list[ReportGroup]:
        """Return what was reported, most frequent first."""
        ...

    def clear(self) -> None:
        """Forget every report."""

    def watched_since(self, policy: str, now: float) -> float:
        """Return when a report-only policy was first in force, ``now`` if it is new.

        :param policy: The same text for the same policy.
        """
        ...


class MemoryReports:
    """Reports in the memory of this process; new reports displace the oldest.

    :param max_groups: Number of different reports that are kept.
    """

    def __init__(self, max_groups: int = 500) -> None:
        self._max = max_groups
        self._groups: collections.OrderedDict[str, ReportGroup] = (
            collections.OrderedDict()
        )
        self._watched: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, report: Report, now: float) -> None:
        """Count a report in the group of its violation."""
        key = report.key
        with self._lock:
            found = self._groups.pop(key, None)
            if found is None:
                found = ReportGroup(report, 0, now, now)
                if len(self._groups) >= self._max:
                    self._groups.popitem(last=False)
            self._groups[key] = dc.replace(found, count=found.count + 1, last_seen=now)

    def groups(self) -> list[ReportGroup]:
        """Return what was reported, most frequent first."""
        with self._lock:
            return sorted(self._groups.values(), key=_count, reverse=True)

    def clear(self) -> None:
        """Forget every report."""
        with self._lock:
            self._groups.clear()

    def watched_since(self, policy: str, now: float) -> float:
        """Return when a report-only policy was first in force in this process."""
        return self._watched.setdefault(policy, now)


class LogReports:
    """Reports as records of the logger ``flaskware.secure.reports``; none are kept.

    Each record has the report as its attribute ``report``, for structured logs.
    """

    def add(self, report: Report, now: float) -> None:  # noqa: ARG002
        """Log a report as a warning."""
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

    def clear(self) -> None:
        """Do nothing: no report is kept."""

    def watched_since(self, policy: str, now: float) -> float:  # noqa: ARG002
        """Return ``now``: earlier records of the log are not known."""
        return now


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
