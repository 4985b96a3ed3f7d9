from __future__ import annotations

import collections.abc as cabc
import contextlib
import hashlib
import json
import math
import socket
import time
import typing as t
from urllib.parse import unquote
from urllib.parse import urlsplit

from flaskware_core import ForkGuard
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.changes import new_mark
from flaskware_session._records.record import FOREVER
from flaskware_session._records.record import last_seen_first
from flaskware_session._records.record import over_limit
from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._records.text import from_text
from flaskware_session._records.text import to_text
from flaskware_session._records.token import is_key
from flaskware_session._records.token import is_of_user

from .protocol import Store

_PORT = 11211
# A longer time memcached takes for a date.
_LONGEST_RELATIVE = 30 * 24 * 3600
_ATTEMPTS = 100
_T = t.TypeVar("_T")
_Server: t.TypeAlias = tuple[str, int] | str


class MemcachedStore(Store):
    """Keeps sessions in memcached, on one server or several.

    memcached forgets what it has no room for, and knows no step that touches two keys.
    So a conditional write takes two trips, as does a due touch;
    ``SESSION_MAX_PER_USER`` relies on a lock that it may forget;
    and if that list is evicted, the sessions in it can no longer be listed or ended
    together. Where that matters, use another store.

    :param url: ``memcached://host:port``, several hosts separated by commas, or
        ``memcached:///path`` for a Unix socket.
    :param namespace: Prefix of the name of each key.
    :param timeout: How long to wait for a connection, and for an answer, in seconds.
    :raises ValueError: if the URL cannot be understood.
    """

    def __init__(
        self, url: str, *, namespace: str = "session", timeout: float = 1.0
    ) -> None:
        from pymemcache.client.base import PooledClient

        self._namespace = namespace
        self._servers = _servers(url)

        def make(server: _Server) -> t.Any:
            return PooledClient(
                server,
                connect_timeout=timeout,
                timeout=timeout,
                no_delay=True,
                default_noreply=False,
            )

        self._make = make
        self._timeout = timeout
        self._fork = ForkGuard()
        self._clients = {str(server): self._make(server) for server in self._servers}

    def read(self, key: str, now: int, interval: int) -> Record | None:
        record, stamp = self._find(key, now)
        touched = None if record is None else record.touched(now, interval)
        if touched is None:
            return record
        # A record that another request has written meanwhile was used later.
        return touched if self._swap(touched, stamp, now) else self._find(key, now)[0]

    def create(self, record: Record, now: int) -> bool:
        is_added = self._add(record, now)
        if is_added and record.user_id is not None:
            self._list(record.user_id, add=record.key)
        return is_added

    def update(self, record: Record, now: int) -> Written:
        current, stamp = self._find(record.key, now)
        while current is not None and current.version == record.version - 1:
            if self._swap(record, stamp, now):
                return Written(saved=True)
            # It may only have been touched.
            current, stamp = self._find(record.key, now)
        return Written(saved=False, current=current)

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        current, stamp = self._find(old_key, now)
        # The new record first: who ends all sessions of the user must find either.
        # Nobody has its id before this returns.
        is_due = current is not None and current.version == record.version - 1
        if is_due:
            self.create(record, now)
        while current is not None and current.version == record.version - 1:
            if self._take(old_key, stamp):
                if current.user_id is not None:
                    self._list(current.user_id, remove={old_key})
                return Written(saved=True)
            current, stamp = self._find(old_key, now)
        if is_due:
            self.delete(record.key)
        is_made = self._find(record.key, now)[0] is not None
        return Written(is_made, None if is_made else current)

    def delete(self, key: str, *, version: int | None = None) -> bool:
        record, stamp = self._find(key, 0)
        while record is not None and version in {None, record.version}:
            if self._take(key, stamp):
                if record.user_id is not None:
                    self._list(record.user_id, remove={key})
                return True
            record, stamp = self._find(key, 0)
        return False

    def for_user(self, user_id: str, now: int) -> list[Record]:
        """See :meth:`Store.for_user`; one trip a session, and one for the list."""
        keys = self._listed(user_id)[0]
        found = [self._find(key, now)[0] for key in keys]
        records = [record for record in found if record is not None]
        if gone := set(keys) - {record.key for record in records}:
            self._list(user_id, remove=gone)
        return last_seen_first((r for r in records if r.user_id == user_id), now)

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        """See :meth:`Store.delete_user`; some trips for each session."""
        keys = self._listed(user_id)[0]
        return sum(self.delete(key) for key in keys if key != keep)

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """See :meth:`Store.limit_user`; some trips for each session."""
        with self._locked(f"{self._namespace}:l:{_digest(user_id)}"):
            removed = over_limit(self.for_user(user_id, now), count, now, keep)
            return sum(self.delete(key) for key in removed)

    def prune(self, now: int, limit: int) -> int:  # noqa: ARG002
        """See :meth:`Store.prune`; memcached does this by itself, so none is left."""
        return 0

    def scan(self, cursor: str, limit: int, now: int) -> Scanned:  # noqa: ARG002
        """See :meth:`Store.scan`; a part is all that is on one server."""
        number = int(cursor or "0")
        start = f"key={self._namespace}%3As%3A".encode()
        found: list[Record] = []
        for line in self._names_on(self._servers[number]).splitlines():
            key = line.partition(b" ")[0].removeprefix(start).decode()
            if line.startswith(start) and is_key(key) and is_of_user(key):
                record = self.read(key, now, FOREVER)
                if record is not None and record.user_id is not None:
                    found.append(record)
        number += 1
        return Scanned(found, str(number) if number < len(self._servers) else None)

    def stats(self, now: int) -> StoreStats:  # noqa: ARG002
        """See :meth:`Store.stats`; each server lists the names of all its keys."""
        counts = {"s": 0, "u": 0}
        for server in self._servers:
            listing = self._names_on(server)
            for kind in counts:
                name = f"key={self._namespace}%3A{kind}%3A".encode()
                counts[kind] += listing.count(name)
        return StoreStats(counts["s"], counts["u"])

    def ping(self) -> None:
        for server in self._clients:
            self._ask_server(server, lambda client: client.version())

    def close(self) -> None:
        for client in self._own_clients().values():
            client.close()

    def _names_on(self, server: _Server) -> bytes:
        try:
            return _all_keys(server, self._timeout)
        except OSError as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    def _name(self, key: str) -> str:
        return f"{self._namespace}:s:{key}"

    def _find(self, key: str, now: int) -> tuple[Record | None, bytes | None]:
        name = self._name(key)
        value, stamp = self._ask(name, lambda client: client.gets(name))
        record = None if value is None else from_text(key, value)
        if record is None or record.expires <= now:
            return None, None
        return record, stamp

    def _add(self, record: Record, now: int) -> bool:
        value, seconds = to_text(record), _seconds(record, now)
        name = self._name(record.key)
        if self._ask(name, lambda c: c.add(name, value, expire=seconds)):
            return True
        # An attempt whose answer was lost may have made it.
        return self._find(record.key, now)[0] == record

    def _swap(self, record: Record, stamp: bytes | None, now: int) -> bool:
        name, value = self._name(record.key), to_text(record)
        seconds = _seconds(record, now)
        return bool(
            self._ask(name, lambda c: c.cas(name, value, stamp, expire=seconds))
        )

    def _take(self, key: str, stamp: bytes | None) -> bool:
        """Remove what was read, unless it was changed since."""
        name = self._name(key)
        # There is no conditional deletion in the old protocol: it is made unreadable
        # under that condition, and then removed.
        value = f"taken {new_mark()}"
        taken = self._ask(name, lambda c: c.cas(name, value, stamp, expire=1))
        # An attempt whose answer was lost may have done it.
        taken = taken or self._ask(name, lambda c: c.get(name)) == value.encode()
        if taken:
            self._ask(name, lambda client: client.delete(name))
        return bool(taken)

    def _index(self, user_id: str) -> str:
        # A name of a key takes neither spaces nor more than 250 bytes.
        return f"{self._namespace}:u:{_digest(user_id)}"

    @contextlib.contextmanager
    def _locked(self, name: str) -> cabc.Generator[None]:
        """One after the other, unless one takes longer than the timeout."""
        deadline = time.monotonic() + self._timeout
        seconds = math.ceil(self._timeout) + 1
        while not (mine := self._ask(name, lambda c: c.add(name, b"", expire=seconds))):
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
        try:
            yield
        finally:
            if mine:
                self._ask(name, lambda client: client.delete(name))

    def _listed(self, user_id: str) -> tuple[list[str], bytes | None]:
        name = self._index(user_id)
        value, stamp = self._ask(name, lambda client: client.gets(name))
        try:
            return ([] if value is None else list(json.loads(value))), stamp
        except ValueError:
            return [], stamp

    def _list(
        self,
        user_id: str,
        *,
        add: str | None = None,
        remove: cabc.Set[str] = frozenset(),
    ) -> None:
        name = self._index(user_id)
        for _ in range(_ATTEMPTS):
            keys, stamp = self._listed(user_id)
            kept = [key for key in keys if key not in remove]
            value = json.dumps(kept if add is None else [*kept, add])
            if self._put_list(name, value, stamp):
                return
        raise StoreUnavailable(f"a user's list changed {_ATTEMPTS} times meanwhile")

    def _put_list(self, name: str, value: str, stamp: bytes | None) -> bool:
        if stamp is not None:
            seconds = 1 if value == "[]" else 0
            return bool(
                self._ask(name, lambda c: c.cas(name, value, stamp, expire=seconds))
            )
        return value == "[]" or bool(self._ask(name, lambda c: c.add(name, value)))

    def _ask(self, name: str, call: cabc.Callable[[t.Any], _T]) -> _T:
        # Rendezvous hashing: each server is scored with the name, and the best has the
        # key. So a server more or less moves only its own keys.
        server = (
            max(
                self._clients,
                key=lambda server: hashlib.sha256(f"{server} {name}".encode()).digest(),
            )
            if len(self._clients) > 1
            else next(iter(self._clients))
        )
        return self._ask_server(server, call)

    def _ask_server(self, server: str, call: cabc.Callable[[t.Any], _T]) -> _T:
        from pymemcache.exceptions import MemcacheError

        client = self._own_clients()[server]
        try:
            with contextlib.suppress(ConnectionError, MemcacheError):
                return call(client)
            # A connection that was lost while idle, as by a restart: all were.
            client.close()
            return call(client)
        except (OSError, MemcacheError) as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    def _own_clients(self) -> dict[str, t.Any]:
        # The connections that the child of a fork inherited belong to its parent.
        if self._fork.in_child():
            inherited = self._clients
            self._clients = {str(one): self._make(one) for one in self._servers}
            self._fork.leave(inherited)
        return self._clients


def _digest(user_id: str) -> str:
    return hashlib.sha256(user_id.encode()).hexdigest()


def _servers(url: str) -> list[_Server]:
    parts = urlsplit(url)
    if not parts.netloc:
        if not parts.path.strip("/"):
            raise ValueError("no host and no path of a socket")
        return [unquote(parts.path)]
    servers: list[_Server] = []
    for place in parts.netloc.split(","):
        one = urlsplit(f"//{place}")
        if not one.hostname:
            raise ValueError("a host is missing")
        servers.append((one.hostname, one.port or _PORT))
    return servers


def _all_keys(server: _Server, timeout: float) -> bytes:
    # pymemcache's raw_command loses parts of an answer that comes in several.
    if isinstance(server, str):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(server)
    else:
        connection = socket.create_connection(server, timeout)
    answer = bytearray()
    with connection:
        connection.sendall(b"lru_crawler metadump hash\r\n")
        while not answer.endswith(b"END\r\n"):
            part = connection.recv(65536)
            if not part or answer.startswith((b"ERROR", b"CLIENT_ERROR", b"BUSY")):
                raise ConnectionError("the keys cannot be listed")
            answer += part
    return bytes(answer)


def _seconds(record: Record, now: int) -> int:
    seconds = max(1, -((now - record.expires) // 1000))
    return seconds if seconds <= _LONGEST_RELATIVE else int(time.time()) + seconds
