from __future__ import annotations

import collections.abc as cabc
import typing as t

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import FOREVER
from flaskware_session._records.record import last_seen_first
from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import StoreStats
from flaskware_session._records.record import Written
from flaskware_session._records.token import is_of_user
from flaskware_session._records.token import tag_in
from flaskware_session._records.token import tag_of
from flaskware_session._stores.protocol import Store

from . import scripts
from .records import fields_of
from .records import fullness_in
from .records import info_of
from .records import keys_of_users
from .records import Names
from .records import new_epoch
from .records import pattern_of
from .records import raise_outage
from .records import record_of
from .records import text_of
from .records import written_of
from .scripts import Script

if t.TYPE_CHECKING:
    from .link import Link


_ATTEMPTS = 100


class RedisStore(Store):
    """Keeps sessions in Redis or Valkey; each step is one script, so one trip.

    Redis removes what has expired. A lost connection is opened again once; nothing
    waits longer than ``timeout`` for an answer. In a cluster the sessions are spread
    over all nodes, those of one user together, so that each step is on one node but a
    sign-in, which takes two or three trips.

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
        self._link = (
            connect(url, timeout=timeout) if is_url else ClientLink(url, timeout)
        )
        self._namespace, self._is_cluster = namespace, is_cluster

    def read(self, key: str, now: int, interval: int) -> Record | None:
        return record_of(key, self._run(scripts.READ, key, now, key, interval))

    def create(self, record: Record, now: int) -> bool:
        fields = (record.key, *fields_of(record))
        return bool(self._run(scripts.CREATE, record.key, now, *fields) == 1)

    def update(self, record: Record, now: int) -> Written:
        fields = (record.key, *fields_of(record))
        answer = self._run(scripts.UPDATE, record.key, now, *fields)
        return written_of(record.key, answer)

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        """See :meth:`Store.replace`; in a cluster, two or three trips.

        The new record is there first. Nobody has its id before this returns.
        """
        if not self._is_cluster or tag_in(old_key) == tag_in(record.key):
            fields = (record.key, *fields_of(record), old_key)
            answer = self._run(scripts.REPLACE, record.key, now, *fields, old=old_key)
            return written_of(old_key, answer)
        self.create(record, now)
        if self.delete(old_key, version=record.version - 1):
            return Written(saved=True)
        self.delete(record.key)
        return Written(saved=False, current=self.read(old_key, now, FOREVER))

    def delete(self, key: str, *, version: int | None = None) -> bool:
        wanted = "" if version is None else version
        return bool(self._run(scripts.DELETE, key, 0, key, wanted))

    def for_user(self, user_id: str, now: int) -> list[Record]:
        answer = self._run_for(scripts.FOR_USER, user_id, now) or ()
        found = (record_of(text_of(key), text) for key, text in answer)
        return last_seen_first((record for record in found if record is not None), now)

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        if keep is None or tag_in(keep) != tag_of(user_id):
            keep = ""
        more, declared = (keep, new_epoch()), [keep] if keep else []
        answer = self._run_for(
            scripts.DELETE_USER, user_id, 0, *more, declared=declared
        )
        return int(answer or 0)

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        answer = self._run_for(scripts.LIMIT_USER, user_id, now, count, keep)
        return int(answer or 0)

    def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        """See :meth:`Store.scan`; one trip for each session of a user."""
        pattern = pattern_of(self._namespace, "s")
        answer = self._guard(lambda: self._link.scan_from(cursor, pattern, limit))
        cursor_after, names = answer
        found = [self.read(key, now, FOREVER) for key in keys_of_users(names)]
        records = [r for r in found if r is not None and r.user_id is not None]
        return Scanned(records, cursor_after)

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
        return self._info("memory").get("maxmemory_policy")

    def fullness(self) -> float | None:
        """See :meth:`BoundedStore.fullness`; in a cluster, of one of its nodes."""
        return fullness_in(self._info("memory"))

    def restores_snapshots(self) -> bool:
        """Return whether the server goes back to an older state after a crash.

        That is where it saves its memory now and then, and keeps no log of writes.

        :raises StoreUnavailable: if it does not answer.
        """
        if self._info("persistence").get("aof_enabled") != "0":
            return False
        try:
            answer = self._link.send("CONFIG", "GET", "save")
        except Exception:  # noqa: BLE001 # a hosted server refuses this
            return False
        if isinstance(answer, dict):  # redis-py's client has read it
            return any(map(text_of, t.cast("dict[str, str | bytes]", answer).values()))
        return len(answer) > 1 and bool(text_of(answer[1]))

    def _info(self, section: str) -> dict[str, str]:
        return info_of(self._guard(lambda: self._link.send("INFO", section)))

    def close(self) -> None:
        self._link.close()

    def _run_for(
        self,
        script: Script,
        user_id: str,
        now: int,
        *arguments: str | int,
        declared: cabc.Sequence[str] = (),
    ) -> t.Any:
        """Run a script on all sessions of a user.

        In a cluster it takes one trip more, for the keys to declare, and one for each
        time that they change meanwhile.
        """
        names, keys = Names.of(self._namespace, tag_of(user_id)), [*declared]
        for _ in range(_ATTEMPTS):
            more = (names.sessions, int(self._is_cluster), *arguments)
            answer = self._send(script, names.of_user(keys), now, *more)
            if answer is None:
                return None
            is_done, result = answer
            if is_done:
                return result
            keys = list(dict.fromkeys([*declared, *map(text_of, result)]))
        raise StoreUnavailable(f"a user's sessions changed {_ATTEMPTS} times meanwhile")

    def _run(
        self,
        script: Script,
        key: str,
        now: int,
        *arguments: str | int,
        old: str | None = None,
    ) -> t.Any:
        names = Names.of(self._namespace, tag_in(key)).all(key)
        if old is not None:
            names += Names.of(self._namespace, tag_in(old)).all(old)
        elif not is_of_user(key):
            # While a cluster moves a slot, it refuses scripts some of whose keys are
            # missing, and a visitor has no index and no epoch.
            names = names[:1]
        return self._send(script, names, now, *arguments)

    def _send(
        self, script: Script, names: tuple[str, ...], *arguments: str | int
    ) -> t.Any:
        rest = (len(names), *names, *arguments)
        try:
            return self._link.send("EVALSHA", script.sha, *rest)
        except Exception as error:  # noqa: BLE001 # of any client
            if not str(error).startswith(("NOSCRIPT", "No matching script")):
                return raise_outage(error)
        return self._guard(lambda: self._link.send("EVAL", script.text, *rest))

    def _count(self, kind: str) -> int:
        pattern = pattern_of(self._namespace, kind)
        count: int = self._guard(lambda: sum(1 for _ in self._link.scan(pattern)))
        return count

    def _guard(self, call: cabc.Callable[[], t.Any]) -> t.Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 # of any client
            return raise_outage(error)
