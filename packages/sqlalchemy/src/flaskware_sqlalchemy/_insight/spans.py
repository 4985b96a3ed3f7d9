"""Spans: each statement as a span of OpenTelemetry, a client call to a database.

The names are those of the stable conventions for database clients:
https://opentelemetry.io/docs/specs/semconv/db/. OpenTelemetry's own instrumentation of
SQLAlchemy refuses SQLAlchemy 2.1 and has the names of an older draft.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import time
import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.sql import visitors

from .location import user_location

if t.TYPE_CHECKING:
    from opentelemetry.trace import Tracer

SCHEMA_URL = "https://opentelemetry.io/schemas/1.33.0"
_START = "_flaskware_sqlalchemy_span_start"
# The names of SQLAlchemy's dialects that are others there.
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}
_USUAL_PORTS = {"mariadb": 3306, "mysql": 3306, "postgresql": 5432}
_OPERATION = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|SAVEPOINT)\b", re.IGNORECASE
).match
# Text without values of its own. Which of the quotes hold a value differs between
# databases and their settings, so that text with any of them is not sent: a library
# that splits SQL into tokens (sqlparse) knows no dialects.
_QUOTED = re.compile(r"['\"$\\]").search
_NUMBER = re.compile(r"\b\d+(?:\.\d+)?\b")
Attributes: t.TypeAlias = dict[str, str | int]


@dc.dataclass(frozen=True)
class _Summary:
    """Parts of a compiled statement that a span names.

    :param operation: Such as ``"SELECT"``; ``None`` if it is not known.
    :param tables: The names of its tables, in their order.
    """

    operation: str | None
    tables: tuple[str, ...]


_summaries: weakref.WeakKeyDictionary[t.Any, _Summary] = weakref.WeakKeyDictionary()


class SpanListener:
    """Listener that makes a span for each statement of engines."""

    def __init__(self) -> None:
        self._tracer = _tracer()

    def attach(self, engine: sa.Engine, key: str | None) -> None:  # noqa: ARG002
        """Begin to listen to an engine."""
        fixed = _fixed_attributes(engine)

        def after(*arguments: t.Any) -> None:
            _, _, statement, parameters, context, is_many = arguments
            if not statement.startswith("BEGIN"):
                self._send(fixed, statement, parameters, context, is_many, None)

        def failed(error: sa.ExceptionContext) -> None:
            context = error.execution_context
            if context is not None and error.statement is not None:
                self._send(
                    fixed,
                    error.statement,
                    error.parameters,
                    context,
                    isinstance(error.parameters, list),
                    error.original_exception,
                )

        event.listen(engine, "before_cursor_execute", _before)
        event.listen(engine, "after_cursor_execute", after)
        event.listen(engine, "handle_error", failed)

    def _send(
        self,
        fixed: Attributes,
        statement: str,
        parameters: t.Any,
        context: t.Any,
        is_many: bool,
        error: BaseException | None,
    ) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace import Status
        from opentelemetry.trace import StatusCode

        start: int | None = getattr(context, _START, None)
        if start is None:
            return  # the statement has its span, and fetching the rows has failed
        setattr(context, _START, None)
        end = time.time_ns()
        summary = _summary(statement, context)
        attributes: Attributes = {**fixed, **_of_summary(summary)}
        if (text := _safe_text(statement, parameters, context)) is not None:
            attributes["db.query.text"] = text
        if is_many and len(parameters) > 1:
            attributes["db.operation.batch.size"] = len(parameters)
        if (location := user_location()) is not None:
            attributes["code.file.path"] = location.filename
            attributes["code.line.number"] = location.line
            attributes["code.function.name"] = location.function
        if error is not None:
            attributes |= _of_error(error)
        span = self._tracer.start_span(
            _name(summary, fixed),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=start,
        )
        if error is not None:
            # Messages of drivers repeat values, such as those of a unique key.
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)


def _before(*arguments: t.Any) -> None:
    _, _, _, _, context, _ = arguments
    if context is not None:
        setattr(context, _START, time.time_ns())


def _tracer() -> Tracer:
    from opentelemetry.trace import get_tracer

    return get_tracer("flaskware_sqlalchemy", schema_url=SCHEMA_URL)


def _fixed_attributes(engine: sa.Engine) -> Attributes:
    url, name = engine.url, engine.dialect.name
    found: Attributes = {"db.system.name": _SYSTEMS.get(name, name)}
    if url.database:
        found["db.namespace"] = url.database
    if url.host:
        found["server.address"] = url.host
        if url.port and url.port != _USUAL_PORTS.get(name):
            found["server.port"] = url.port
    return found


def _summary(statement: str, context: t.Any) -> _Summary:
    compiled = context.compiled
    if compiled is None or getattr(context, "is_text", True):
        match = _OPERATION(statement)
        return _Summary(match[1].upper() if match else None, ())
    found = _summaries.get(compiled)
    if found is None:
        found = _summaries[compiled] = _of_compiled(compiled)
    return found


def _of_compiled(compiled: t.Any) -> _Summary:
    # A select of the ORM names its tables only once it is compiled.
    statement = getattr(compiled.compile_state, "statement", compiled.statement)
    match = _OPERATION(str(compiled))
    operation = match[1].upper() if match else None
    for kind in ("select", "insert", "update", "delete"):
        if getattr(statement, f"is_{kind}", False):
            operation = kind.upper()  # also after WITH
    nodes: cabc.Iterable[object] = visitors.iterate(statement)
    tables = [str(node.fullname) for node in nodes if isinstance(node, sa.Table)]
    return _Summary(operation, tuple(dict.fromkeys(tables)))


def _of_summary(summary: _Summary) -> Attributes:
    found: Attributes = {}
    if summary.operation is not None:
        found["db.operation.name"] = summary.operation
        found["db.query.summary"] = _words(summary)
    if len(summary.tables) == 1:
        found["db.collection.name"] = summary.tables[0]
    return found


def _words(summary: _Summary) -> str:
    # The conventions limit it to 255 characters.
    return " ".join([summary.operation or "", *summary.tables])[:255]


def _name(summary: _Summary, fixed: Attributes) -> str:
    if summary.operation is not None:
        return _words(summary)
    return str(fixed.get("db.namespace") or fixed["db.system.name"])


def _safe_text(statement: str, parameters: t.Any, context: t.Any) -> str | None:
    """Return a statement without the values that its author may have put into it."""
    if parameters or not getattr(context, "is_text", True):
        return statement  # values are parameters, which are not sent
    return None if _QUOTED(statement) else _NUMBER.sub("?", statement)


def _of_error(error: BaseException) -> Attributes:
    kind = type(error)
    found: Attributes = {"error.type": f"{kind.__module__}.{kind.__qualname__}"}
    code: object = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if error.args and isinstance(error.args[0], int):
        code = error.args[0]  # MySQL and MariaDB: more exact than their SQLSTATE
    if code is not None:
        found["db.response.status_code"] = str(code)
    return found
