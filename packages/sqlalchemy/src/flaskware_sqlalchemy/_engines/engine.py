"""Engines with the options that people otherwise look up."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import difflib
import os
import re
import types
import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import pool

from flaskware_core import describe

from . import deadlock as _deadlock
from . import sqlite as _sqlite
from . import timeout as _timeout
from .replica import replica_options
from .url import is_memory
from .url import usable_url
from .url import with_charset

_INVALID = re.compile(r"'(\w+)'")
# For spelling only: create_engine takes them as keywords of any name.
_OPTIONS = (
    "connect_args", "creator", "echo", "echo_pool", "execution_options",
    "hide_parameters", "insertmanyvalues_page_size", "isolation_level",
    "json_deserializer", "json_serializer", "label_length", "logging_name",
    "max_identifier_length", "max_overflow", "module", "paramstyle", "plugins", "pool",
    "pool_logging_name", "pool_pre_ping", "pool_recycle", "pool_reset_on_return",
    "pool_size", "pool_timeout", "pool_use_lifo", "poolclass", "query_cache_size",
)  # fmt: skip
_forked: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


class EngineOptionProblem(ValueError):
    """``create_engine`` refuses an option.

    :param write: What to do instead.
    :param given: The option, safe to print; empty where it is not known.
    """

    def __init__(self, expected: str, write: str, given: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.write = write
        self.given = given


@dc.dataclass(frozen=True, eq=False)
class Source:
    """An engine, and what a further one for the same database is made of.

    :param options: What ``create_engine`` got.
    :param timeout: How many seconds a statement may take.
    :param pragmas: For each new connection to SQLite.
    """

    engine: sa.Engine
    options: dict[str, t.Any]
    timeout: float | None
    pragmas: cabc.Mapping[str, object]


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

    :param text: A URL that :func:`~flaskware_sqlalchemy._url.usable_url` accepts.
    :param options: For ``create_engine``; they win over the defaults.
    :param instance_path: Where relative SQLite paths are.
    :param isolation_level: Of its transactions; an option of that name wins.
    :param timeout: How many seconds a statement may take.
    :param pragmas: For each new connection to SQLite.
    :param is_replica: Whether others can be read where it does not answer soon.
    :raises EngineOptionProblem: if an option is unknown or wrong.
    """
    url = with_charset(usable_url(text))
    if url.get_backend_name() == "sqlite":
        url = _sqlite.place(url, instance_path)
    if is_replica:
        options = replica_options(url, options)
    if isolation_level is not None:
        options = {"isolation_level": isolation_level, **options}
    options = {"echo": echo, **_with_defaults(url, options)}
    engine = _create(url, options)
    if isolation_level is not None:
        _check_level(engine, isolation_level)
    source = Source(engine, options, timeout, pragmas)
    prepare(engine, source)
    if not is_shared_memory(engine):
        _forked.add(engine)
    return source


def prepare(engine: sa.Engine, source: Source) -> None:
    """Listen for what each new connection needs."""
    if engine.dialect.name == "sqlite":
        _sqlite.prepare(engine, source.pragmas)
    _deadlock.prepare(engine)
    _timeout.prepare(engine, source.timeout)


def _check_level(engine: sa.Engine, level: str) -> None:
    try:
        known = engine.dialect.get_isolation_level_values(t.cast("t.Any", None))
    except NotImplementedError:
        return
    if level not in known:
        raise EngineOptionProblem(
            f"an isolation level that {engine.dialect.name} has; {level} it has not",
            f"one of {', '.join(known)}",
        )


def is_shared_memory(engine: sa.Engine) -> bool:
    """Whether an engine is a SQLite database that its one connection keeps alive."""
    return engine.dialect.name == "sqlite" and is_memory(engine.url)


def checked_out(engine: sa.Engine) -> int:
    """How many connections of an engine's pool are in use at this moment."""
    return engine.pool.checkedout() if isinstance(engine.pool, pool.QueuePool) else 0


def _with_defaults(url: sa.URL, options: dict[str, t.Any]) -> dict[str, t.Any]:
    if url.get_backend_name() != "sqlite":
        # A server or a firewall drops idle connections; the next request would fail.
        return {"pool_pre_ping": True, **options}
    defaults = _sqlite.defaults(url)
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
            # The text of any other error may hold a value, so only its kind is told.
            raise EngineOptionProblem(
                f"options that create_engine accepts ({type(error).__name__})",
                "see sqlalchemy.create_engine for the type of each option",
                _wrong_options(url, options),
            ) from error
    raise EngineOptionProblem(
        f"options that create_engine knows; unknown: {', '.join(names)}",
        ", ".join(_closest(name) for name in names),
    )


def _wrong_options(url: sa.URL, options: dict[str, t.Any]) -> str:
    """Those that are refused by themselves, and of what type they are."""
    wrong: dict[str, t.Any] = {}
    for name, value in options.items():
        try:
            sa.create_engine(url, **{name: value})
        except Exception:  # noqa: BLE001 dialects and drivers raise what they like
            wrong[name] = value
    return describe(wrong, sensitive=True) if wrong else ""


def _closest(name: str) -> str:
    matches = difflib.get_close_matches(name, _OPTIONS, n=1, cutoff=0.5)
    return f"{matches[0]} (the closest known name)" if matches else f"no {name}"


def _forget_connections() -> None:
    # A connection used by both sides of a fork mixes their answers. The parent goes
    # on with it, so here it is dropped and not closed.
    for engine in list(_forked):
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)
