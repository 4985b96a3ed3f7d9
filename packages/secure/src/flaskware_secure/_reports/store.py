"""Where reports are kept: grouped, counted, and never more than a bound."""

from __future__ import annotations

import collections
import dataclasses as dc
import logging
import threading
import time
import typing as t

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem

if t.TYPE_CHECKING:
    import sqlalchemy

    from .report import Report

logger = logging.getLogger("flaskware.secure.reports")


class ReportStoreError(RuntimeError):
    """The store of reports did not answer."""


@dc.dataclass(frozen=True)
class ReportGroup:
    """Reports that tell the same thing.

    :param report: The first of them.
    :param first_seen: When it came, in seconds since 1970 (UTC).
    :param last_seen: When the last of them came.
    """

    report: Report
    count: int
    first_seen: float
    last_seen: float


@t.runtime_checkable
class ReportStore(t.Protocol):
    """What a store of reports can do. Times are seconds since 1970 (UTC)."""

    def add(self, report: Report, now: float) -> None:
        """Count a report with those that tell the same."""

    def groups(self) -> list[ReportGroup]:
        """What was reported, the most often first."""
        ...

    def clear(self) -> None:
        """Forget every report."""

    def watched_since(self, policy: str, now: float) -> float:
        """When a report-only policy was first in force here, ``now`` if it is new.

        :param policy: The same text for the same policy.
        """
        ...


class MemoryReports:
    """Reports in the memory of this process, the oldest dropped for new ones.

    :param max_groups: How many different reports are kept.
    """

    def __init__(self, max_groups: int = 500) -> None:
        self._max = max_groups
        self._groups: collections.OrderedDict[str, ReportGroup] = (
            collections.OrderedDict()
        )
        self._watched: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, report: Report, now: float) -> None:
        """Count a report with those that tell the same."""
        key = report.key
        with self._lock:
            found = self._groups.pop(key, None)
            if found is None:
                found = ReportGroup(report, 0, now, now)
                if len(self._groups) >= self._max:
                    self._groups.popitem(last=False)
            self._groups[key] = dc.replace(found, count=found.count + 1, last_seen=now)

    def groups(self) -> list[ReportGroup]:
        """What was reported, the most often first."""
        with self._lock:
            return sorted(self._groups.values(), key=_count, reverse=True)

    def clear(self) -> None:
        """Forget every report."""
        with self._lock:
            self._groups.clear()

    def watched_since(self, policy: str, now: float) -> float:
        """When a report-only policy was first in force in this process."""
        return self._watched.setdefault(policy, now)


class LogReports:
    """Reports as records of the logger ``flaskware.secure.reports``; none is kept.

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
        """Nothing: look into the log."""
        return []

    def clear(self) -> None:
        """Nothing is kept."""

    def watched_since(self, policy: str, now: float) -> float:  # noqa: ARG002
        """``now``: what was logged before is not known."""
        return now


def _count(group: ReportGroup) -> int:
    return group.count


def watch(store: ReportStore, policy: str) -> float:
    """Begin to count how long a report-only policy is in force, or go on.

    :return: Since when, in seconds since 1970 (UTC); now if the store is down.
    """
    now = time.time()
    try:
        return store.watched_since(policy, now)
    except ReportStoreError as error:
        logger.error("%s", error)
        return now


def table_reports(
    engine: sqlalchemy.Engine | str, max_groups: int = 500
) -> ReportStore:
    """Reports in the table ``flaskware_secure_reports``, which is made on first use.

    Needs ``flaskware-secure[sqlalchemy]``.

    :param engine: An engine, or the URL of a database.
    :param max_groups: How many different reports are kept; the oldest are dropped.
    """
    from .table import TableReports

    return TableReports(engine, max_groups)


def open_store(
    where: str | ReportStore, max_groups: int, folder: str
) -> ReportStore | None:
    """The store that the setting names.

    :param folder: Where a SQLite file with a relative path is.
    :raises ConfigError: if its URL cannot be used.
    """
    if not isinstance(where, str):
        return where
    if where == "off":
        return None
    if where == "memory":
        return MemoryReports(max_groups)
    if where == "log":
        return LogReports()
    try:
        from .table import open_table

        return open_table(where, max_groups, folder)
    except ImportError as error:
        expected = f"what a table of reports needs; {error.name} is not installed"
        write = "pip install flaskware-secure[sqlalchemy], and the database's driver"
    except ValueError as error:
        expected, write = f"the URL of a database ({error})", "sqlite:///reports.db"
    problem = ConfigProblem("SECURE_REPORTS", expected, "", write)
    raise ConfigError("flaskware-secure", [problem])
