"""Arguments of libpq, which hosts put into URLs, for the driver asyncpg.

psycopg is libpq. asyncpg is not: as keyword arguments it knows few of these names. It
reads most of them from a URL of its own, the argument ``dsn``, and the server reads the
rest. https://www.postgresql.org/docs/current/libpq-connect.html
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from urllib.parse import urlencode

import sqlalchemy as sa

from .url import EngineProblem

_IN_DSN = frozenset(
    {
        "application_name", "gsslib", "krbsrvname", "options", "passfile", "sslcert",
        "sslcrl", "sslkey", "ssl_max_protocol_version", "ssl_min_protocol_version",
        "sslmode", "sslpassword", "sslrootcert", "target_session_attrs",
    }
)  # fmt: skip
# asyncpg decides these itself, or does without; none makes a connection less safe.
_WITHOUT = frozenset(
    {
        "client_encoding", "fallback_application_name", "gssencmode", "keepalives",
        "keepalives_count", "keepalives_idle", "keepalives_interval", "sslcompression",
        "sslsni", "tcp_user_timeout",
    }
)  # fmt: skip
_REFUSED = frozenset(
    {
        "channel_binding", "hostaddr", "load_balance_hosts", "replication",
        "require_auth", "requirepeer", "service", "sslcertmode", "sslnegotiation",
    }
)  # fmt: skip


def for_asyncpg(
    url: sa.URL, connect_args: cabc.Mapping[str, t.Any]
) -> tuple[sa.URL, dict[str, t.Any]]:
    """Return a URL and arguments that asyncpg understands.

    :param connect_args: Those of the synchronous driver, or of asyncpg itself.
    :raises EngineProblem: if it has no equivalent of an argument.
    """
    given: dict[str, t.Any] = {**connect_args, **url.query}
    if given.get("channel_binding") in {"disable", "prefer"}:
        del given["channel_binding"]
    if unknown := sorted(_REFUSED & given.keys()):
        raise EngineProblem(
            f"arguments that asyncpg has an equivalent of; it has none of"
            f" {', '.join(unknown)}",
            'SQLALCHEMY_ASYNC_DRIVERS = {"postgresql": "psycopg"}, or a URL without'
            f" {' and '.join(unknown)}",
        )
    dsn = {name: given.pop(name) for name in sorted(_IN_DSN & given.keys())}
    for name in _WITHOUT & given.keys():
        del given[name]
    if (seconds := given.pop("connect_timeout", None)) is not None:
        given.setdefault("timeout", float(seconds) or None)  # 0 is no limit
    if dsn:
        given["dsn"] = f"postgresql:///?{urlencode(dsn)}"
    query = {name: given.pop(name) for name in url.query if name in given}
    return url.set(query=query), given
