"""Sessions in the stores of Flask-Session, to be taken over."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import functools
import hashlib
import logging
import re
import struct
import time
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

from flask.sansio.app import App
from werkzeug.sansio.request import Request

from flaskware_session._core.takeover import ForeignSession
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.codec import decode
from flaskware_session._records.codec import encode
from flaskware_session._records.codec import join

from .flask_cookie import cookie_name
from .flask_cookie import Finder
from .flask_cookie import storable

logger = logging.getLogger("flaskware.session")

_SID = re.compile(r"[A-Za-z0-9_-]{16,256}")
# MessagePack's empty map is this byte; more after it is how a pickle begins.
_PICKLE = b"\x80"
_SCHEME = "flask-session+"


class ForeignStore(t.Protocol):
    """One of Flask-Session's stores. A name is its prefix with an id."""

    def get(self, name: str) -> bytes | None:
        """The content that is stored under a name."""
        ...

    def remove(self, name: str) -> None:
        """Remove what is stored under a name."""
        ...

    def convert(self, function: cabc.Callable[[bytes], bytes | None]) -> None:
        """Put what a function returns in the place of each content.

        :param function: Returns ``None`` for what is to stay as it is.
        """
        ...


class ForeignRedis(ForeignStore):
    """``SESSION_TYPE = "redis"``."""

    def __init__(self, url: str, prefix: str, timeout: float) -> None:
        import redis

        self._prefix = prefix
        self._client: t.Any = redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout
        )

    def get(self, name: str) -> bytes | None:
        found = self._client.get(name)
        return found if isinstance(found, bytes) else None

    def remove(self, name: str) -> None:
        self._client.delete(name)

    def convert(self, function: cabc.Callable[[bytes], bytes | None]) -> None:
        for name in self._client.scan_iter(match=f"{self._prefix}*", _type="string"):
            content = self._client.get(name)
            new = None if content is None else function(content)
            if new is not None:
                self._client.set(name, new, keepttl=True)


class ForeignTable(ForeignStore):
    """``SESSION_TYPE = "sqlalchemy"``."""

    def __init__(self, url: str, table: str, timeout: float) -> None:
        import sqlalchemy as sa

        from flaskware_session._stores.sql.driver import driver_arguments

        parsed = sa.make_url(url)
        self._engine = sa.create_engine(
            parsed,
            poolclass=sa.NullPool,
            connect_args=driver_arguments(parsed.get_driver_name(), timeout),
        )
        self._table = sa.table(
            table,
            sa.column("session_id", sa.String),
            sa.column("data", sa.LargeBinary),
            sa.column("expiry", sa.DateTime),
        )

    def get(self, name: str) -> bytes | None:
        import sqlalchemy as sa

        # It stores times without a zone, in UTC.
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        c = self._table.c
        query = sa.select(c.data).where(c.session_id == name, c.expiry > now)
        with self._engine.connect() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else bytes(found)

    def remove(self, name: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                self._table.delete().where(self._table.c.session_id == name)
            )

    def convert(self, function: cabc.Callable[[bytes], bytes | None]) -> None:
        import sqlalchemy as sa

        c = self._table.c
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(c.session_id, c.data)).all()
            for name, content in rows:
                new = function(bytes(content or b""))
                if new is not None:
                    where = self._table.update().where(c.session_id == name)
                    connection.execute(where.values(data=new))


class ForeignMemcached(ForeignStore):
    """``SESSION_TYPE = "memcached"``."""

    def __init__(self, url: str, timeout: float) -> None:
        from pymemcache.client.base import Client

        parts = urlsplit(url)
        server = (parts.hostname or "localhost", parts.port or 11211)

        # A client is for one thread, and each session moves once.
        def connect() -> contextlib.closing[t.Any]:
            client = Client(server, connect_timeout=timeout, timeout=timeout)
            return contextlib.closing(client)

        self._connect = connect

    def get(self, name: str) -> bytes | None:
        with self._connect() as client:
            found = client.get(name)
        return found if isinstance(found, bytes) else None

    def remove(self, name: str) -> None:
        with self._connect() as client:
            client.delete(name)

    def convert(self, function: cabc.Callable[[bytes], bytes | None]) -> None:
        """See :meth:`ForeignStore.convert`; memcached does not list what it holds."""


class ForeignFiles(ForeignStore):
    """``SESSION_TYPE = "filesystem"``, or cachelib's ``FileSystemCache``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        found = [path for path in self._paths(name) if path.is_file()]
        if not found:
            return None
        content = found[0].read_bytes()
        # Four bytes for when it expires in seconds since 1970, 0 for never.
        expires = struct.unpack("I", content[:4])[0] if len(content) >= 4 else 1
        return content[4:] if expires == 0 or expires > time.time() else None

    def remove(self, name: str) -> None:
        for path in self._paths(name):
            path.unlink(missing_ok=True)

    def convert(self, function: cabc.Callable[[bytes], bytes | None]) -> None:
        for path in self._folder.iterdir():
            if len(path.name) in {32, 64} and path.is_file():
                content = path.read_bytes()
                new = function(content[4:])
                if new is not None:
                    path.write_bytes(content[:4] + new)

    def _paths(self, name: str) -> list[Path]:
        # How newer and older versions of cachelib name a file: it guards nothing.
        digests = (
            hashlib.sha256(name.encode()),
            hashlib.md5(name.encode(), usedforsecurity=False),
        )
        return [self._folder / digest.hexdigest() for digest in digests]


def open_foreign_store(
    source: str, *, folder: Path, prefix: str, table: str, timeout: float
) -> ForeignStore:
    """Make the store that a source names; nothing is connected yet.

    :param source: ``flask-session+`` and the URL of the store.
    :raises ValueError: if the URL cannot be understood.
    :raises ImportError: if the driver is missing.
    """
    url = source.removeprefix(_SCHEME)
    scheme, _, rest = url.partition("://")
    if scheme in {"redis", "rediss", "unix"}:
        return ForeignRedis(url, prefix, timeout)
    if scheme == "memcached":
        return ForeignMemcached(url, timeout)
    if scheme == "file":
        return ForeignFiles(folder / rest[1:])
    return ForeignTable(url, table, timeout)


@contextlib.contextmanager
def outages() -> cabc.Generator[None]:
    """Turn any driver's error into an outage."""
    try:
        yield
    except Exception as error:
        raise StoreUnavailable(
            f"the old store: {type(error).__name__}: {error}"
        ) from error


def flask_session_finder(
    app: App, store: ForeignStore, *, prefix: str, is_signed: bool
) -> Finder:
    """Make a finder of sessions that Flask-Session has stored."""

    def find(request: Request) -> cabc.Iterator[ForeignSession]:
        for sid in request.cookies.getlist(cookie_name(app)):
            name = _name_of(sid)
            if name is not None:
                read_it = functools.partial(read, name)
                yield ForeignSession(name, read_it, functools.partial(forget, name))

    def _name_of(sid: str) -> str | None:
        found = _unsigned(app, sid) if is_signed else sid
        return prefix + found if found and _SID.fullmatch(found) else None

    def read(name: str) -> dict[str, t.Any] | None:
        with outages():
            content = store.get(name)
        return storable(_read(content)) if content else None

    def forget(name: str) -> None:
        with contextlib.suppress(StoreUnavailable), outages():
            store.remove(name)

    return find


class Unpickler:
    """Turns pickled sessions into JSON, and counts.

    Unpickling runs whatever code somebody put into the store. Use it only for a store
    that nobody else could write to, and never in a request.
    """

    def __init__(self) -> None:
        self.converted = 0
        self.failed: list[str] = []
        """Why a session was left as it was, one text for each."""

    def __call__(self, content: bytes) -> bytes | None:
        """Convert one, or return ``None`` for what is not a pickled session."""
        import pickle

        if not _is_pickle(content):
            return None
        try:
            data = pickle.loads(content)  # noqa: S301 # what the caller consented to
            if not isinstance(data, cabc.Mapping):
                raise TypeError(f"a pickled {type(data).__name__}")
            text = join(encode(dict(t.cast("cabc.Mapping[str, t.Any]", data))))
        except Exception as error:  # noqa: BLE001 # of the classes that were pickled
            self.failed.append(f"{type(error).__name__}: {error}")
            return None
        self.converted += 1
        return text.encode()


def _is_pickle(content: bytes) -> bool:
    return content[:1] == _PICKLE and len(content) > 1


def _read(content: bytes) -> object:
    if content[:1] == b"{":
        return decode(content.decode("utf-8", "replace"))
    if _is_pickle(content):
        logger.warning(
            "A session of Flask-Session is pickled and was not read: a pickle can run"
            " any code. See `flask session convert --help`."
        )
        return None
    import msgspec

    try:
        return msgspec.msgpack.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _unsigned(app: App, value: str) -> str | None:
    from itsdangerous import BadSignature
    from itsdangerous import Signer

    if not app.secret_key:
        return None
    signer = Signer(app.secret_key, salt="flask-session", key_derivation="hmac")
    try:
        return signer.unsign(value).decode()
    except (BadSignature, ValueError):
        return None
