from __future__ import annotations

import collections.abc as cabc
import re
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import describe

from .async_protocol import AsyncStore
from .memory import MemoryStore
from .protocol import Store

_REDIS = frozenset(
    f"{name}{topology}"
    for name in ("redis", "rediss", "valkey", "valkeys")
    for topology in ("", "+sentinel", "+cluster")
) | {"unix"}
_ONE_REDIS = frozenset({"redis", "rediss", "valkey", "valkeys"})
_NUMBER = re.compile(r"(/\d*)?", re.ASCII)
_EXPECTED = (
    "a URL that starts with sqlite:///, redis://, rediss://, redis+sentinel://,"
    " redis+cluster://, unix://, postgresql://, another database of SQLAlchemy,"
    " memcached://, file:/// or memory://"
)


def check_url(url: str) -> None:
    """Refuse what is not the URL of a store.

    :raises ValueError: saying what was expected, without the URL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError(_EXPECTED)
    if scheme in {"sqlite", "file"}:
        if not rest.startswith("/") or not rest.strip("/"):
            raise ValueError(
                f"the path of a {'file' if scheme == 'sqlite' else 'folder'} after"
                f" {scheme}:/// (for sessions in memory, memory://)"
            )
    elif scheme in _ONE_REDIS:
        # redis-py takes the database 0 for a path that is no number.
        if not _NUMBER.fullmatch(urlsplit(url).path):
            raise ValueError(
                "the number of a database after the host, as in redis://localhost/1"
            )
    elif scheme not in {"memory", "memcached", *_REDIS}:
        _check_database(scheme)


def _check_database(scheme: str) -> None:
    try:
        import sqlalchemy as sa
        from sqlalchemy import exc
    except ImportError:
        # Only SQLAlchemy knows every dialect; `open_store` reports that it is missing.
        if scheme.partition("+")[0] not in {"postgresql", "mysql", "mariadb"}:
            raise ValueError(_EXPECTED) from None
        return
    try:
        sa.make_url(f"{scheme}://").get_dialect()
    except exc.ArgumentError:  # raised for a dialect that does not exist
        raise ValueError(_EXPECTED) from None
    except ImportError:
        return


class Options(t.TypedDict):
    """Settings of a store, in a database server all of them."""

    namespace: str
    timeout: float
    pool_size: int
    table: str
    schema: str | None
    synchronous_commit: bool


def open_store(url: str, options: Options, *, folder: Path) -> Store:
    """Make the store that a URL names; nothing is connected yet.

    :param folder: Where a relative path starts.
    :raises ConfigError: if the driver is missing, or refuses the URL.
    """
    scheme, _, rest = url.partition("://")
    namespace, timeout = options["namespace"], options["timeout"]
    if scheme == "memory":
        return MemoryStore()
    if scheme == "sqlite":
        from .sqlite import SQLiteStore

        return SQLiteStore(folder / rest[1:], namespace=namespace, timeout=timeout)
    if scheme == "file":
        from .files import FileStore

        return FileStore(folder / rest[1:], namespace=namespace, timeout=timeout)
    if scheme in _REDIS:
        return _open(url, "redis", lambda: _redis(url, namespace, timeout))
    if scheme == "memcached":
        return _open(url, "memcached", lambda: _memcached(url, namespace, timeout))
    return _open(url, "sqlalchemy", lambda: _database(url, options))


def native_store(url: str, options: Options) -> cabc.Callable[[], AsyncStore] | None:
    """Return what makes the asynchronous store that a URL names.

    :return: ``None`` if there is none of the kind; such a store runs in threads.
    """
    scheme = url.partition("://")[0]
    if scheme in {"redis", "rediss", "unix"}:
        from .redis.async_store import AsyncRedisStore

        namespace, timeout = options["namespace"], options["timeout"]
        return lambda: AsyncRedisStore(url, namespace=namespace, timeout=timeout)
    if scheme in {"memory", "sqlite", "file", "memcached", *_REDIS}:
        return None
    import sqlalchemy as sa

    if not sa.make_url(url).get_dialect().is_async:
        return None
    from .sql.async_store import AsyncSQLAlchemyStore

    return lambda: AsyncSQLAlchemyStore(url, **options)


def _redis(url: str, namespace: str, timeout: float) -> Store:
    from .redis.store import RedisStore

    return RedisStore(url, namespace=namespace, timeout=timeout)


def _memcached(url: str, namespace: str, timeout: float) -> Store:
    from .memcached import MemcachedStore

    return MemcachedStore(url, namespace=namespace, timeout=timeout)


def _database(url: str, options: Options) -> Store:
    import sqlalchemy as sa

    if sa.make_url(url).get_dialect().is_async:
        from .bridge import BlockingStore
        from .sql.async_store import AsyncSQLAlchemyStore

        return BlockingStore(AsyncSQLAlchemyStore(url, **options))
    from .sql.store import SQLAlchemyStore

    return SQLAlchemyStore(url, **options)


_DRIVERS = {
    "redis": ("redis-py", "redis://user:password@host:6379/0"),
    "memcached": ("pymemcache", "memcached://host:11211"),
    "sqlalchemy": ("SQLAlchemy", "postgresql+psycopg://user:password@host/database"),
}


def _open(url: str, extra: str, make: cabc.Callable[[], Store]) -> Store:
    driver, example = _DRIVERS[extra]
    try:
        return make()
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"redis", "hiredis", "pymemcache", "sqlalchemy"}:
            expected = f"the driver {driver} to be installed"
            write = f"pip install 'flaskware-session[{extra}]'"
        else:
            expected = f"the driver {missing} to be installed"
            write = f"pip install {missing}; or name another driver, as in {example}"
        raise _error(url, expected, write) from None
    except (ValueError, TypeError):
        # The driver's own message may quote the URL, with its password.
        raise _error(url, f"a URL as {driver} takes it", example) from None


def _error(url: str, expected: str, write: str) -> ConfigError:
    given = describe(url, sensitive=True)
    problem = ConfigProblem("SESSION_STORE", expected, given, write)
    return ConfigError("flaskware-session", [problem])
