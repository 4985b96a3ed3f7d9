"""Probe: a check that databases answer."""

from __future__ import annotations

import collections.abc as cabc
import threading
import time

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_core import ConfigProblem

PATIENCE = 5.0
"""Seconds to wait for all databases together."""


def connection_problems(
    engines: cabc.Mapping[str, sa.Engine],
) -> cabc.Iterator[ConfigProblem]:
    """Yield a problem for each database that does not answer.

    :param engines: By the configuration key of the URL.
    """
    for key, reason in unreachable(engines).items():
        yield ConfigProblem(
            key,
            f"a database that answers; connecting failed: {reason}",
            engines[key].url.render_as_string(hide_password=True),
            "the URL of a running server, or start this server",
        )


def unreachable(
    engines: cabc.Mapping[str, sa.Engine], patience: float = PATIENCE
) -> dict[str, str]:
    """Return the reason for each database that does not answer, without passwords.

    :param patience: Seconds to wait for all together.
    """
    reasons: dict[str, str] = {}
    # Drivers spell their connection timeouts differently, and some have none. So each
    # database is asked in its own thread, and a thread that hangs is left behind.
    threads = {
        key: threading.Thread(target=_ask, args=(key, engine, reasons), daemon=True)
        for key, engine in engines.items()
    }
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + patience
    for key, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            reasons[key] = f"no answer within {patience:g} seconds"
    return dict(reasons)


def _ask(key: str, engine: sa.Engine, reasons: dict[str, str]) -> None:
    try:
        with engine.connect() as connection:
            connection.execute(sa.select(1))
    except Exception as error:  # noqa: BLE001 drivers raise what they like
        reasons[key] = _reason(error, engine.url)


def _reason(error: Exception, url: sa.URL) -> str:
    cause = error.orig if isinstance(error, sa_exc.DBAPIError) else error
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    reason = lines[0].strip()
    if url.password:
        reason = reason.replace(str(url.password), "***")
    return reason
