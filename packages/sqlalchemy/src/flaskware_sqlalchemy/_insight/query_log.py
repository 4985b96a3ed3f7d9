"""Query log: each statement with its duration and the line of the app that sent it."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import dataclasses as dc
import logging
import time
import typing as t

import sqlalchemy as sa
from sqlalchemy import event

from .location import Location
from .location import user_location

logger = logging.getLogger("flaskware.sqlalchemy.slow")
KEPT = 1000
"""The number of queries that a context keeps: a long job must not fill the memory."""

_START = "_flaskware_sqlalchemy_start"


@dc.dataclass(frozen=True)
class RecordedQuery:
    """One statement that was sent to a database.

    :param statement: The SQL.
    :param parameters: The values that were sent with it.
    :param start_time: Its start, in seconds of :func:`time.perf_counter`.
    :param end_time: Its end, in the same seconds.
    :param location: The line of the app that led to it.
    :param bind_key: The name of the database.
    """

    statement: str
    parameters: t.Any
    start_time: float
    end_time: float
    location: Location | None
    bind_key: str | None

    @property
    def duration(self) -> float:
        """Seconds until the first row."""
        return self.end_time - self.start_time


class QueryLog:
    """The queries of a context: all are counted, and the last of them are kept."""

    def __init__(self) -> None:
        self.kept: collections.deque[RecordedQuery] = collections.deque(maxlen=KEPT)
        self.number = 0
        self.seconds = 0.0

    def append(self, query: RecordedQuery) -> None:
        """Add a query."""
        self.kept.append(query)
        self.number += 1
        self.seconds += query.duration


Sink: t.TypeAlias = cabc.Callable[[RecordedQuery], None]


class QueryListener:
    """Listener that passes the queries of engines to a function.

    :param least: The shortest duration that is passed on, in seconds.
    """

    def __init__(self, sink: Sink, *, least: float = 0.0) -> None:
        self._sink = sink
        self._least = least
        self._attached: list[tuple[sa.Engine, str, t.Any]] = []

    def attach(self, engine: sa.Engine, key: str | None) -> None:
        """Begin to listen to an engine."""

        def after(*arguments: t.Any) -> None:
            _, _, statement, parameters, context, _ = arguments
            if statement.startswith("BEGIN"):
                return  # SQLite's; other databases begin without a statement
            start = getattr(context, _START, None)
            end = time.perf_counter()
            if start is not None and end - start >= self._least:
                location = user_location()
                self._sink(
                    RecordedQuery(statement, parameters, start, end, location, key)
                )

        for name, function in (
            ("before_cursor_execute", _before),
            ("after_cursor_execute", after),
        ):
            if not event.contains(engine, name, function):
                event.listen(engine, name, function)
                self._attached.append((engine, name, function))

    def detach(self) -> None:
        """Stop listening."""
        for engine, name, function in self._attached:
            if function is not _before:  # other listeners share it
                event.remove(engine, name, function)


def _before(*arguments: t.Any) -> None:
    _, _, _, _, context, _ = arguments
    if context is not None:
        setattr(context, _START, time.perf_counter())


class Listener(t.Protocol):
    """Listener to the statements of engines."""

    def attach(self, engine: sa.Engine, key: str | None) -> None:
        """Begin to listen to an engine."""


class QueryWatch:
    """All listeners to an app's engines, including engines that are made later."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._engines: list[tuple[sa.Engine, str | None]] = []

    def add_engine(self, engine: sa.Engine, key: str | None) -> None:
        """Attach every listener, present and future, to an engine."""
        self._engines.append((engine, key))
        for listener in self._listeners:
            listener.attach(engine, key)

    def forget_engine(self, engine: sa.Engine) -> None:
        """Let go of an engine that is no longer used."""
        self._engines = [item for item in self._engines if item[0] is not engine]

    def listen(self, listener: Listener) -> None:
        """Attach a listener to every engine."""
        self._listeners.append(listener)
        for engine, key in self._engines:
            listener.attach(engine, key)

    @contextlib.contextmanager
    def recording(self) -> cabc.Generator[list[RecordedQuery]]:
        """Record the queries of the block."""
        found: list[RecordedQuery] = []
        listener = QueryListener(found.append)
        self.listen(listener)
        try:
            yield found
        finally:
            self._listeners.remove(listener)
            listener.detach()

    @contextlib.contextmanager
    def counting(
        self, least: int, most: int | None
    ) -> cabc.Generator[list[RecordedQuery]]:
        """Record the queries of the block, and check their number at its end.

        :raises AssertionError: listing the queries, if there were too many or too few.
        """
        with self.recording() as queries:
            yield queries
        count = len(queries)
        if count < least or (most is not None and count > most):
            raise AssertionError(_explain_count(queries, _expected(least, most)))


def warn_of_slow(query: RecordedQuery) -> None:
    """Log a slow statement, without its values: these may be personal data."""
    logger.warning(
        "%.3f s at %s: %s", query.duration, query.location, _one_line(query.statement)
    )


def server_timing(log: QueryLog) -> str:
    """Return the header ``Server-Timing``: https://www.w3.org/TR/server-timing/."""
    noun = "query" if log.number == 1 else "queries"
    return f'db;dur={log.seconds * 1000:.1f};desc="{log.number} {noun}"'


def _explain_count(queries: cabc.Sequence[RecordedQuery], expected: str) -> str:
    """List the statements with their lines, the most frequent first."""
    counts = collections.Counter(
        (_one_line(query.statement), query.location) for query in queries
    )
    lines = [
        f"  {count} times {statement}\n      {location or 'outside of the app'}"
        for (statement, location), count in counts.most_common()
    ]
    number = len(queries)
    return "\n".join(
        [f"{number} {'query' if number == 1 else 'queries'} where {expected}:", *lines]
    )


def _expected(least: int, most: int | None) -> str:
    if least == most:
        return f"exactly {least} were expected"
    if most is None:
        return f"at least {least} were expected"
    return f"{least} to {most} were expected" if least else f"at most {most} were"


def _one_line(statement: str) -> str:
    return " ".join(statement.split())
