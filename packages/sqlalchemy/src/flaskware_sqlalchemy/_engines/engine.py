"""Engines, with safe defaults for each kind of database."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import os
import re
import time
import types
import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy import pool

from flaskware_core import closest
from flaskware_core import describe

from .deadlock import keep_deadlocks
from .outage import guard_connections
from .outage import name_lost_connections
from .outage import with_limits
from .sqlite import in_instance_folder
from .sqlite import prepare_sqlite
from .sqlite import sqlite_defaults
from .timeout import limit_statements
from .url import EngineProblem
from .url import is_memory
from .url import usable_url
from .url import with_charset

IDLE = 1.0
"""Seconds without use after which a connection is tested before the next."""

_USED = "flaskware_sqlalchemy_used"
_INVALID = re.compile(r"'(\w+)'")
# Only for suggestions: create_engine takes keywords of any name.
_OPTIONS = (
    "connect_args", "creator", "echo", "echo_pool", "execution_options",
    "hide_parameters", "insertmanyvalues_page_size", "isolation_level",
    "json_deserializer", "json_serializer", "label_length", "logging_name",
    "max_identifier_length", "max_overflow", "module", "paramstyle", "plugins", "pool",
    "pool_logging_name", "pool_pre_ping", "pool_recycle", "pool_reset_on_return",
    "pool_size", "pool_timeout", "pool_use_lifo", "poolclass", "query_cache_size",
)  # fmt: skip
_forked: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


@dc.dataclass(frozen=True, eq=False)
class Source:
    """An engine, with the parts to make another for the same database.

    :param options: The keyword arguments of ``create_engine``.
    :param timeout: Seconds that a statement may take.
    :param pragmas: For each new connection to SQLite.
    :param pings_idle: True to test connections that were not used for a while.
    """

    engine: sa.Engine
    options: dict[str, t.Any]
    timeout: float | None
    pragmas: cabc.Mapping[str, object]
    pings_idle: bool


def make_engine(
    text: str,
    options: dict[str, t.Any],
    *,
    instance_path: str,
    echo: bool | t.Literal["debug"] = False,
    isolation_level: str | None = None,
    timeout: float | None = None,
    pragmas: cabc.Mapping[str, object] = types.MappingProxyType({}),
    is_replica: bool = False,
) -> Source:
    """Make an engine; nothing is connected yet.

    :param text: A URL that :func:`~flaskware_sqlalchemy._engines.url.usable_url`
        accepts.
    :param options: For ``create_engine``; they win over the defaults.
    :param instance_path: The folder of relative SQLite paths.
    :param isolation_level: Of its transactions; an option of that name wins.
    :param timeout: Seconds that a statement may take.
    :param pragmas: For each new connection to SQLite.
    :param is_replica: True if another database can be read when this is slow to answer.
    :raises EngineProblem: if an option is unknown or wrong.
    """
    url = with_charset(usable_url(text))
    if url.get_backend_name() == "sqlite":
        url = in_instance_folder(url, instance_path)
    if isolation_level is not None:
        options = {"isolation_level": isolation_level, **options}
    # A replica is tested each time: if it does not answer, another replica is read.
    pings_idle = not is_replica and "pool_pre_ping" not in options
    if is_replica and url.get_backend_name() != "sqlite":
        options = {"pool_pre_ping": True, **options}
    options = {"echo": echo, "echo_pool": echo, **_with_defaults(url, options)}
    engine = _create(url, with_limits(url, options))
    if isolation_level is not None:
        _check_level(engine, isolation_level)
    source = Source(engine, options, timeout, pragmas, pings_idle)
    prepare(engine, source)
    if engine.dialect.name != "sqlite":
        guard_connections(engine)
    if not is_shared_memory(engine):
        _forked.add(engine)
    return source


def prepare(engine: sa.Engine, source: Source) -> None:
    """Set up the connections that an engine will make."""
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine, source.pragmas)
    else:
        name_lost_connections(engine)
        if source.pings_idle:
            _ping_idle(engine)
    keep_deadlocks(engine)
    limit_statements(engine, source.timeout)


def _ping_idle(engine: sa.Engine) -> None:
    """Test connections that have been idle, before they are used.

    A server or a firewall drops idle connections, and the next request would fail.
    ``pool_pre_ping`` tests each connection each time, which takes as long as a small
    query.
    """

    def used(connection: object, record: t.Any) -> None:
        if connection is not None:
            record.info[_USED] = time.monotonic()

    def ping(connection: t.Any, record: t.Any, _: object) -> None:
        last = record.info.get(_USED)
        if last is not None and time.monotonic() - last > IDLE:
            _ping(engine.dialect, connection)

    event.listen(engine, "checkin", used)
    event.listen(engine, "checkout", ping)


def _ping(dialect: t.Any, connection: t.Any) -> None:
    """Test a connection.

    :raises sqlalchemy.exc.InvalidatePoolError: if it is dead. The pool then drops all
        connections that it has, and opens a new connection.
    """
    try:
        is_alive = dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        if not dialect.is_disconnect(error, connection, None):
            raise
        is_alive = False
    if not is_alive:
        raise sa_exc.InvalidatePoolError


def _check_level(engine: sa.Engine, level: str) -> None:
    try:
        known = engine.dialect.get_isolation_level_values(t.cast("t.Any", None))
    except NotImplementedError:
        return
    if level not in known:
        raise EngineProblem(
            f"an isolation level of {engine.dialect.name}; it has no {level}",
            f"one of {', '.join(known)}",
        )


def is_shared_memory(engine: sa.Engine) -> bool:
    """Return True for SQLite in memory, which its one connection keeps alive."""
    return engine.dialect.name == "sqlite" and is_memory(engine.url)


def checked_out(engine: sa.Engine) -> int:
    """Return the number of connections of an engine's pool that are in use."""
    return engine.pool.checkedout() if isinstance(engine.pool, pool.QueuePool) else 0


def _with_defaults(url: sa.URL, options: dict[str, t.Any]) -> dict[str, t.Any]:
    if url.get_backend_name() != "sqlite":
        return options
    defaults = sqlite_defaults(url)
    given: dict[str, t.Any] = options.get("connect_args", {})
    return {
        **defaults,
        **options,
        "connect_args": {**defaults["connect_args"], **given},
    }


def _create(url: sa.URL, options: dict[str, t.Any]) -> sa.Engine:
    try:
        return sa.create_engine(url, **options)
    except (TypeError, ValueError, sa_exc.ArgumentError) as error:
        names = [name for name in _INVALID.findall(str(error)) if name in options]
        if not names:
            # The text of any other error may contain a value, so only its type is
            # shown.
            raise EngineProblem(
                f"options that create_engine accepts ({type(error).__name__})",
                "see sqlalchemy.create_engine for the type of each option",
                _wrong_options(url, options),
            ) from error
    raise EngineProblem(
        f"options that create_engine knows; unknown: {', '.join(names)}",
        " ".join(_remedy(name) for name in names),
    )


def _wrong_options(url: sa.URL, options: dict[str, t.Any]) -> str:
    """Describe the options that are refused by themselves."""
    wrong: dict[str, t.Any] = {}
    for name, value in options.items():
        try:
            sa.create_engine(url, **{name: value})
        except Exception:  # noqa: BLE001 dialects and drivers raise what they like
            wrong[name] = value
    return describe(wrong, sensitive=True) if wrong else ""


def _remedy(name: str) -> str:
    known = closest(name, _OPTIONS)
    return f"did you mean {known}?" if known else f"remove {name}"


def _forget_connections() -> None:
    # If both sides of a fork use a connection, their answers get mixed up. The parent
    # keeps using it, so the child drops it without closing it.
    for engine in list(_forked):
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)
