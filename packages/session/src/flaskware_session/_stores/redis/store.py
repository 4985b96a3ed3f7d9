from __future__ import annotations

import collections.abc as cabc
import typing as t

from flaskware_session._records.record import last_seen_first
from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import Record
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._stores.protocol import Store

from . import scripts
from .records import escaped
from .records import fields_of
from .records import line_of
from .records import raise_outage
from .records import record_of
from .records import text_of
from .records import written_of
from .scripts import Script

if t.TYPE_CHECKING:
    from .link import Link


class RedisStore(Store):
    """Keeps sessions in Redis or Valkey; each step is one script, so one trip.

    Redis removes what has expired. A lost connection is opened again once; nothing
    waits longer than ``timeout`` for an answer. In a cluster all sessions of a
    namespace share a hash slot, since a step that touches two keys is atomic only
    there; give each app its own namespace to spread them.

    :param url: ``redis://``, ``rediss://`` (TLS), ``unix://``, ``redis+sentinel://``
        or ``redis+cluster://`` with several hosts; or a client, of which
        ``execute_command``, ``scan_iter`` and ``close`` are used.
    :param namespace: Prefix of the name of each key.
    :param timeout: How long to wait for a connection, and for an answer, in seconds.
        A client has timeouts of its own.
    :raises ValueError: if the URL cannot be understood.
    """

    def __init__(
        self, url: str | t.Any, *, namespace: str = "session", timeout: float = 1.0
    ) -> None:
        from .link import ClientLink
        from .link import connect

        is_url = isinstance(url, str)
        is_cluster = "+cluster:" in url if is_url else hasattr(url, "keyslot")
        self._link: Link
        self._link = connect(url, timeout=timeout) if is_url else (ClientLink(url))
        self._namespace = f"{{{namespace}}}" if is_cluster else namespace
        # A cluster finds the node by a key; one server needs none, and is faster.
        self._keys: tuple[int | str, ...]
        self._keys = (1, self._namespace) if is_cluster else (0,)

    def read(self, key: str, now: int, lifetime: Lifetime) -> Record | None:
        answer = self._run(
            scripts.READ,
            now,
            key,
            lifetime.idle,
            lifetime.absolute,
            lifetime.touch_interval,
        )
        return record_of(key, answer)

    def create(self, record: Record, now: int) -> bool:
        answer = self._run(scripts.CREATE, now, record.key, *fields_of(record))
        return bool(answer == 1)

    def update(self, record: Record, now: int) -> Written:
        answer = self._run(scripts.UPDATE, now, record.key, *fields_of(record))
        return written_of(record.key, answer)

    def replace(
        self, old_key: str, record: Record, now: int, *, alias: Record | None = None
    ) -> Written:
        more = () if alias is None else fields_of(alias)
        fields = (*fields_of(record), *more)
        answer = self._run(scripts.REPLACE, now, old_key, record.key, *fields)
        return written_of(old_key, answer)

    def delete(self, key: str, *, version: int | None = None) -> bool:
        wanted = "" if version is None else version
        return bool(self._run(scripts.DELETE, 0, key, wanted))

    def for_user(self, user_id: str, now: int) -> list[Record]:
        answer = self._run(scripts.FOR_USER, now, line_of(user_id)) or ()
        found = (record_of(text_of(key), text) for key, text in answer)
        return last_seen_first((record for record in found if record is not None), now)

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        answer = self._run(scripts.DELETE_USER, 0, line_of(user_id), keep or "")
        return int(answer or 0)

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        answer = self._run(scripts.LIMIT_USER, now, line_of(user_id), count, keep)
        return int(answer or 0)

    def prune(self, now: int, limit: int) -> int:  # noqa: ARG002
        """See :meth:`Store.prune`; Redis does this by itself, so none is left."""
        return 0

    def stats(self, now: int) -> StoreStats:  # noqa: ARG002
        """See :meth:`Store.stats`; this walks over all keys, a part at a time."""
        return StoreStats(self._count("s"), self._count("u"))

    def ping(self) -> None:
        self._guard(lambda: self._link.send("PING"))

    def eviction_policy(self) -> str | None:
        """Eviction policy of the server; ``None`` if it does not say.

        :raises StoreUnavailable: if it does not answer.
        """
        answer = self._guard(lambda: self._link.send("INFO", "memory"))
        if isinstance(answer, dict):  # redis-py's client has read it
            return t.cast("dict[str, str]", answer).get("maxmemory_policy")
        for line in text_of(answer or b"").splitlines():
            name, _, value = line.partition(":")
            if name == "maxmemory_policy":
                return value
        return None

    def close(self) -> None:
        self._link.close()

    def _run(self, script: Script, now: int, *arguments: str | int) -> t.Any:
        rest = (*self._keys, self._namespace, now, *arguments)
        try:
            return self._link.send("EVALSHA", script.sha, *rest)
        except Exception as error:  # noqa: BLE001 # of any client
            if not str(error).startswith(("NOSCRIPT", "No matching script")):
                return raise_outage(error)
        return self._guard(lambda: self._link.send("EVAL", script.text, *rest))

    def _count(self, kind: str) -> int:
        pattern = f"{escaped(self._namespace)}:{kind}:*"
        count: int = self._guard(lambda: sum(1 for _ in self._link.scan(pattern)))
        return count

    def _guard(self, call: cabc.Callable[[], t.Any]) -> t.Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 # of any client
            return raise_outage(error)
