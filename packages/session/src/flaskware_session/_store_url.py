from __future__ import annotations

from pathlib import Path

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import describe

from ._memory import MemoryStore
from ._sqlite import SQLiteStore
from ._store import Store

_REDIS = ("redis", "rediss")


def check_url(url: str) -> None:
    """Refuse what is not the URL of a store.

    :raises ValueError: saying what was expected, without the URL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"sqlite", "memory", *_REDIS}:
        raise ValueError(
            "a URL that starts with sqlite:///, redis://, rediss:// or memory://"
        )
    if scheme == "sqlite" and (not rest.startswith("/") or not rest.strip("/")):
        raise ValueError(
            "the path of a file after sqlite:/// (for sessions in memory, memory://)"
        )


def open_store(url: str, *, folder: Path, namespace: str, timeout: float) -> Store:
    """Make the store that a URL names; nothing is connected yet.

    :param folder: What a relative path of SQLite starts from.
    :raises ConfigError: if the driver is missing, or refuses the URL.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "memory":
        return MemoryStore()
    if scheme == "sqlite":
        return SQLiteStore(folder / rest[1:], timeout=timeout)
    try:
        from ._redis import RedisStore
    except ImportError:
        raise _error(
            url,
            "the driver redis-py to be installed",
            "pip install 'flaskware-session[redis]'",
        ) from None
    try:
        return RedisStore(url, namespace=namespace, timeout=timeout)
    except ValueError:
        # redis-py's own message may quote the URL, with its password.
        raise _error(
            url, "a URL as redis-py takes it", "redis://user:password@host:6379/0"
        ) from None


def _error(url: str, expected: str, write: str) -> ConfigError:
    given = describe(url, sensitive=True)
    problem = ConfigProblem("SESSION_STORE", expected, given, write)
    return ConfigError("flaskware-session", [problem])
