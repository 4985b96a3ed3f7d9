from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import hashlib
import json
import math
import re
import socket
import time
import typing as t
from urllib.parse import unquote
from urllib.parse import urlsplit

from flaskware_core import ForkGuard
from flaskware_session._errors import StoreRefused
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
from flaskware_session._records.token import tag_in
from flaskware_session._records.token import tag_of

from .protocol import Store

_PORT = 11211
# A longer time memcached takes for a date.
_LONGEST_RELATIVE = 30 * 24 * 3600
_ATTEMPTS = 100
_TAG = 12
_TAKEN = b"taken "
_EPOCH = re.compile(rb"[A-Za-z0-9_-]{1,32}")
_T = t.TypeVar("_T")
_Server: t.TypeAlias = tuple[str, int] | str


class _Found(t.NamedTuple):
    """A record as it was read.

    :param stamp: Names what was read, for a write on the condition that it is there.
    :param epochs: Those of the user with which it lives, separated by spaces.
    """

    record: Record
    stamp: bytes
    epochs: str


class MemcachedStore(Store):
    """Keeps sessions in memcached, on one server or several.

    memcached forgets what it has no room for, and knows no step that touches two keys.
    So a conditional write takes two trips, as does a due touch, and
    ``SESSION_MAX_PER_USER`` relies on a lock and on a list that it may forget.

    A revocation relies on neither: beside the list there is the *epoch* of a user, a
    random text that the user's sessions have too, and that is read in the same trip. A
    revocation replaces it; where it was forgotten, the user's sessions have ended.

    All keys of a user are on one server.

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
        found = self._find(key, now)
        touched = None if found is None else found.record.touched(now, interval)
        if found is None or touched is None:
            return None if found is None else found.record
        if self._swap(found, touched, now):
            return touched
        # A record that another request has written meanwhile was used later.
        again = self._find(key, now)
        return None if again is None else again.record

    def create(self, record: Record, now: int) -> bool:
        epoch = self._epoch(record.user_id)
        is_added = self._add(record, epoch, now)
        if is_added and record.user_id is not None:
            self._list(record.user_id, add=record.key)
        return is_added

    def update(self, record: Record, now: int) -> Written:
        for _ in range(_ATTEMPTS):
            found = self._find(record.key, now)
            if found is None or found.record.version != record.version - 1:
                return Written(saved=False, current=found and found.record)
            if self._swap(found, record, now):
                return Written(saved=True)
            # It may only have been touched.
        raise _busy()

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        version = record.version - 1
        found = self._find(old_key, now)
        # The new record first: who ends all sessions of the user must find either.
        # Nobody has its id before this returns.
        is_due = found is not None and found.record.version == version
        if is_due:
            self.create(record, now)
        for _ in range(_ATTEMPTS):
            if found is None or found.record.version != version:
                break
            if self._take(found):
                return Written(saved=True)
            found = self._find(old_key, now)
        if is_due:
            self.delete(record.key)
        is_made = self._find(record.key, now) is not None
        return Written(is_made, None if is_made else found and found.record)

    def delete(self, key: str, *, version: int | None = None) -> bool:
        for _ in range(_ATTEMPTS):
            found = self._find(key, 0)
            if found is None or version not in {None, found.record.version}:
                return False
            if self._take(found):
                return True
        raise _busy()

    def for_user(self, user_id: str, now: int) -> list[Record]:
        """See :meth:`Store.for_user`; one trip for the list, and one for its keys."""
        keys = self._listed(user_id)[0]
        found = self._find_all(tag_of(user_id), keys, now)
        records = [one.record for one in found]
        if gone := set(keys) - {record.key for record in records}:
            self._list(user_id, remove=gone)
        return last_seen_first((r for r in records if r.user_id == user_id), now)

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        """See :meth:`Store.delete_user`; some trips for each session."""
        epoch, name = new_mark(), self._epoch_name(tag_of(user_id))
        is_kept = keep is not None and self._keep(user_id, keep, epoch)
        # From here on no session lives, listed or not, except the kept session.
        if is_kept:
            self._ask(name, lambda c: c.set(name, epoch))
        else:
            self._ask(name, lambda c: c.delete(name))
        keys = set(self._listed(user_id)[0]) - ({keep} if is_kept else set())
        names = [self._name(key) for key in keys]
        count = self._ask(name, lambda c: sum(c.delete(one) for one in names))
        self._list(user_id, remove=keys)
        return int(count)

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        """See :meth:`Store.limit_user`; some trips for each session."""
        with self._locked(f"{self._namespace}:l:{tag_of(user_id)}"):
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

    def fullness(self) -> float | None:
        """See :meth:`BoundedStore.fullness`; of the server that is fullest.

        A server gives its memory to classes of size and takes none of it back. So it
        is full when the class that holds most has neither room nor memory to get.
        """
        return max(map(self._fullness_of, self._clients))

    def _fullness_of(self, server: str) -> float:
        limit = int(self._ask_server(server, lambda c: c.stats())[b"limit_maxbytes"])
        slabs = self._ask_server(server, lambda c: c.stats("slabs"))
        used, free = collections.Counter[bytes](), collections.Counter[bytes]()
        for name, value in slabs.items():
            slab, _, field = name.partition(b":")
            if field in {b"used_chunks", b"free_chunks"}:
                size = int(slabs[slab + b":chunk_size"])
                (used if field == b"used_chunks" else free)[slab] = int(value) * size
        taken = used.total()
        room = max(limit - int(slabs.get(b"total_malloced", 0)), 0)
        room += max((free[slab] for slab, _ in used.most_common(1)), default=0)
        return taken / (taken + room) if taken else 0.0

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

    def _epoch_name(self, tag: str) -> str:
        return f"{self._namespace}:e:{tag}"

    def _find(self, key: str, now: int) -> _Found | None:
        return next(iter(self._find_all(tag_in(key), [key], now)), None)

    def _find_all(
        self, tag: str, keys: cabc.Collection[str], now: int
    ) -> cabc.Iterator[_Found]:
        epoch_name = self._epoch_name(tag)
        names = {self._name(key): key for key in keys}
        wanted = [*names, *([epoch_name] if any(map(is_of_user, keys)) else [])]
        if not names:
            return
        answer = self._ask(epoch_name, lambda client: client.gets_many(wanted))
        epoch = answer.pop(epoch_name, (b"", b""))[0]
        for name, (value, stamp) in answer.items():
            epochs, _, text = value.partition(b"\n")
            if value.startswith(_TAKEN):
                continue
            record = from_text(names[name], text)
            if record is None or record.expires <= now:
                continue
            if record.user_id is None or (epoch and epoch in epochs.split(b" ")):
                yield _Found(record, stamp, epochs.decode("ascii", "replace"))

    def _epoch(self, user_id: str | None) -> str:
        """Return the epoch of a user, who gets one if there is none."""
        if user_id is None:
            return ""
        name, fresh = self._epoch_name(tag_of(user_id)), new_mark()
        for _ in range(_ATTEMPTS):
            found = self._ask(name, lambda client: client.get(name))
            if found is None:
                if self._ask(name, lambda client: client.add(name, fresh)):
                    return fresh
            elif _EPOCH.fullmatch(found):
                return str(found, "ascii")
            else:  # another program's: no session has it
                self._ask(name, lambda client: client.delete(name))
        raise _busy()

    def _keep(self, user_id: str, key: str, epoch: str) -> bool:
        """Let a session of a user live on with the next epoch too."""
        for _ in range(_ATTEMPTS):
            found = self._find(key, 0)
            if found is None or found.record.user_id != user_id:
                return False
            both = f"{found.epochs.rpartition(' ')[2]} {epoch}"
            # The time is not known here; it has as long as when it was last seen.
            seen = found.record.last_seen
            if self._swap(found._replace(epochs=both), found.record, seen):
                return True
        raise _busy()

    def _add(self, record: Record, epoch: str, now: int) -> bool:
        value, seconds = f"{epoch}\n{to_text(record)}", _seconds(record, now)
        name = self._name(record.key)
        if self._ask(name, lambda c: c.add(name, value, expire=seconds)):
            return True
        # An attempt whose answer was lost may have made it.
        found = self._find(record.key, now)
        return found is not None and found.record == record

    def _swap(self, found: _Found, record: Record, now: int) -> bool:
        """Put a record in the place of what was read, unless it was changed since."""
        name, value = self._name(record.key), f"{found.epochs}\n{to_text(record)}"
        seconds, stamp = _seconds(record, now), found.stamp
        return bool(
            self._ask(name, lambda c: c.cas(name, value, stamp, expire=seconds))
        )

    def _take(self, found: _Found) -> bool:
        """Remove what was read, unless it was changed since."""
        key, user_id = found.record.key, found.record.user_id
        name, stamp = self._name(key), found.stamp
        # There is no conditional deletion in the old protocol: it is made unreadable
        # under that condition, and then removed.
        value = _TAKEN + new_mark().encode()
        taken = self._ask(name, lambda c: c.cas(name, value, stamp, expire=1))
        # An attempt whose answer was lost may have done it.
        taken = taken or self._ask(name, lambda c: c.get(name)) == value
        if taken:
            self._ask(name, lambda client: client.delete(name))
            if user_id is not None:
                self._list(user_id, remove={key})
        return bool(taken)

    def _index(self, user_id: str) -> str:
        return f"{self._namespace}:u:{tag_of(user_id)}"

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
        return ([] if value is None else _keys_in(value)), stamp

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
        raise _busy()

    def _put_list(self, name: str, value: str, stamp: bytes | None) -> bool:
        if stamp is not None:
            seconds = 1 if value == "[]" else 0
            return bool(
                self._ask(name, lambda c: c.cas(name, value, stamp, expire=seconds))
            )
        return value == "[]" or bool(self._ask(name, lambda c: c.add(name, value)))

    def _ask(self, name: str, call: cabc.Callable[[t.Any], _T]) -> _T:
        # Rendezvous hashing: each server is scored with the tag of the key, and the
        # best has it. So a server more or less moves only its own keys.
        tag = name[len(self._namespace) + 3 :][:_TAG]
        server = (
            max(
                self._clients,
                key=lambda server: hashlib.sha256(f"{server} {tag}".encode()).digest(),
            )
            if len(self._clients) > 1
            else next(iter(self._clients))
        )
        return self._ask_server(server, call)

    def _ask_server(self, server: str, call: cabc.Callable[[t.Any], _T]) -> _T:
        from pymemcache.exceptions import MemcacheClientError
        from pymemcache.exceptions import MemcacheError
        from pymemcache.exceptions import MemcacheIllegalInputError
        from pymemcache.exceptions import MemcacheServerError

        client = self._own_clients()[server]
        try:
            with contextlib.suppress(ConnectionError, MemcacheError):
                return call(client)
            # A connection that was lost while idle, as by a restart: all were.
            client.close()
            return call(client)
        except (MemcacheIllegalInputError, MemcacheServerError) as error:
            if "too large" in str(error) or isinstance(error, MemcacheClientError):
                raise StoreRefused(f"{type(error).__name__}: {error}") from error
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        except (OSError, MemcacheError) as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    def _own_clients(self) -> dict[str, t.Any]:
        # The connections that the child of a fork inherited belong to its parent.
        if self._fork.in_child():
            inherited = self._clients
            self._clients = {str(one): self._make(one) for one in self._servers}
            self._fork.leave(inherited)
        return self._clients


def _busy() -> StoreUnavailable:
    return StoreUnavailable(f"it changed {_ATTEMPTS} times meanwhile")


def _keys_in(text: bytes) -> list[str]:
    """Return the keys of a list, and nothing else that may be there."""
    try:
        found: t.Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(found, list):
        return []
    keys = t.cast("list[object]", found)
    return [key for key in keys if isinstance(key, str) and is_key(key)]


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
