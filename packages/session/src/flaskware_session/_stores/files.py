from __future__ import annotations

import collections.abc as cabc
import contextlib
import hashlib
import os
import secrets
import time
from pathlib import Path

from flaskware_core import FileLock
from flaskware_session._errors import StoreUnavailable
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

_PRUNE_INTERVAL = 3_600_000
_PRUNE_BATCH = 1000
_ATTEMPTS = 100
_LATEST = 2**62


class FileStore(Store):
    """Keeps each session in a file of its own, in 256 folders, shared by all workers.

    A file is never changed, only replaced by another in one step, so that a reader
    sees the old content or the new. Writers of one folder wait for each other by a
    lock file. Not for a network file system, whose locks cannot be relied on.

    :param folder: Where the files go; it is made when first used.
    :param namespace: Keeps apart the sessions of apps that share the folder.
    :param timeout: How long to wait for another writer, in seconds.
    """

    def __init__(
        self, folder: Path | str, *, namespace: str = "session", timeout: float = 1.0
    ) -> None:
        # A file system may take "App" and "app" for one.
        digest = hashlib.sha256(namespace.encode()).hexdigest()[:16]
        name = "".join(c if c.isalnum() else "-" for c in namespace.lower())
        self._folder = Path(folder) / f"{name[:64]}-{digest}"
        self._timeout = timeout
        self._next_prune = 0

    def read(self, key: str, now: int, interval: int) -> Record | None:
        with _outages():
            record = self._live(key, now)
            if record is None or record.touched(now, interval) is None:
                return record
            # A touch that finds the folder locked, or no room on the disk, is left to
            # the next request.
            with contextlib.suppress(OSError), self._locked(key, wait=0):
                # Another request may have changed it since.
                record = self._live(key, now)
                touched = None if record is None else record.touched(now, interval)
                if touched is not None:
                    self._write(touched)
                    return touched
            return record

    def create(self, record: Record, now: int) -> bool:
        with _outages():
            with self._locked(record.key):
                if self._live(record.key, now) is not None:
                    return False
                self._put(record)
            if now >= self._next_prune:
                removed = self.prune(now, _PRUNE_BATCH)
                if removed < _PRUNE_BATCH:
                    self._next_prune = now + _PRUNE_INTERVAL
            return True

    def update(self, record: Record, now: int) -> Written:
        with _outages(), self._locked(record.key):
            current = self._live(record.key, now)
            if current is None or current.version != record.version - 1:
                return Written(saved=False, current=current)
            self._write(record)
            return Written(saved=True)

    def amend(
        self, key: str, now: int, change: cabc.Callable[[Record], Record | None]
    ) -> Written:
        """See :meth:`AmendingStore.amend`; the folder is locked meanwhile."""
        with _outages(), self._locked(key):
            current = self._live(key, now)
            changed = None if current is None else change(current)
            if changed is None:
                return Written(saved=False, current=current)
            self._write(changed)
            return Written(saved=True)

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        with _outages(), self._locked(old_key, record.key):
            current = self._live(old_key, now)
            if current is None or current.version != record.version - 1:
                is_made = self._live(record.key, now) is not None
                return Written(is_made, None if is_made else current)
            # The new record first: a request that ends all sessions of the user
            # meanwhile must find it. After a crash nobody has its id.
            self._put(record)
            self._path(old_key).unlink()
            self._unlist(current)
            return Written(saved=True)

    def delete(self, key: str, *, version: int | None = None) -> bool:
        with _outages(), self._locked(key):
            record = self._find(key)
            if record is None or version not in {None, record.version}:
                return False
            self._drop(record)
            return True

    def for_user(self, user_id: str, now: int) -> list[Record]:
        with _outages():
            found = (self._find(key) for key in self._keys_of(user_id))
            mine = [r for r in found if r is not None and r.user_id == user_id]
            return last_seen_first(mine, now)

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        done: set[str] = set()
        count = 0
        with _outages():
            # A session that gets a new id while the folder is listed is found the
            # second time.
            for _ in range(2):
                keys = self._keys_of(user_id)
                for key in set(keys) - done - {keep}:
                    count += self.delete(key)
                    done.add(key)
        return count

    def limit_user(self, user_id: str, count: int, now: int, *, keep: str) -> int:
        # Of two calls at once, the later must see what the first has left.
        with _outages(), self._locked_folder(self._user_folder(user_id).parent):
            removed = over_limit(self.for_user(user_id, now), count, now, keep)
            return sum(self.delete(key) for key in removed)

    def scan(self, cursor: str, limit: int, now: int) -> Scanned:  # noqa: ARG002
        """See :meth:`Store.scan`; a part is a folder, of which there are 256."""
        number = int(cursor or "0")
        folder = self._folder / "sessions" / f"{number:02x}"
        with _outages():
            names = [path.name for path in folder.glob("*") if is_key(path.name)]
            found = [self._live(name, now) for name in names if is_of_user(name)]
        signed_in = [r for r in found if r is not None and r.user_id is not None]
        return Scanned(signed_in, str(number + 1) if number < 255 else None)

    def prune(self, now: int, limit: int) -> int:
        """See :meth:`Store.prune`; this looks at the age of every file."""
        removed = 0
        with _outages():
            for path in self._paths():
                if removed == limit:
                    break
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime_ns <= now * 1_000_000:
                        removed += self._prune(path.name, now)
        return removed

    def stats(self, now: int) -> StoreStats:
        """See :meth:`Store.stats`; this reads every file."""
        with _outages():
            records = [self._find(path.name) for path in self._paths()]
        found = [record for record in records if record is not None]
        live = [r for r in found if r.expires > now and r.proofs]
        users = {record.user_id for record in live} - {None}
        expired = sum(record.expires <= now for record in found)
        return StoreStats(len(live), len(users), expired)

    def ping(self) -> None:
        with _outages():
            self._make(self._folder)
            list(self._folder.iterdir())

    def close(self) -> None:
        """See :meth:`Store.close`; nothing is open between two steps."""

    def _path(self, key: str) -> Path:
        return self._folder / "sessions" / key[-2:] / key

    def _user_folder(self, user_id: str) -> Path:
        digest = hashlib.sha256(user_id.encode()).hexdigest()
        return self._folder / "users" / digest[:2] / digest

    def _paths(self) -> cabc.Iterator[Path]:
        for path in (self._folder / "sessions").glob("??/*"):
            if is_key(path.name):
                yield path

    def _keys_of(self, user_id: str) -> list[str]:
        folder = self._user_folder(user_id)
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []

    def _find(self, key: str) -> Record | None:
        try:
            return from_text(key, self._path(key).read_bytes())
        except FileNotFoundError:
            return None

    def _live(self, key: str, now: int) -> Record | None:
        record = self._find(key)
        return record if record is not None and record.expires > now else None

    def _put(self, record: Record) -> None:
        self._list(record)
        self._write(record)

    def _list(self, record: Record) -> None:
        if record.user_id is not None:
            # Before the record: a name in the index that leads nowhere does no harm.
            folder = self._user_folder(record.user_id)
            for _ in range(_ATTEMPTS):
                self._make(folder)
                # Another writer may remove the folder, which it found empty.
                with contextlib.suppress(FileNotFoundError):
                    (folder / record.key).touch(mode=0o600)
                    break

    def _write(self, record: Record) -> None:
        path = self._path(record.key)
        # Beside the file, as a rename is one step only within a file system.
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        try:
            temporary.touch(mode=0o600, exist_ok=False)
            temporary.write_text(to_text(record), "utf-8")
            # The time of the file is when it expires, so that pruning need not read.
            expires = min(record.expires * 1_000_000, _LATEST)
            os.utime(temporary, ns=(expires, expires))
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _drop(self, record: Record) -> None:
        self._path(record.key).unlink(missing_ok=True)
        self._unlist(record)

    def _unlist(self, record: Record) -> None:
        if record.user_id is not None:
            folder = self._user_folder(record.user_id)
            (folder / record.key).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()  # unless it holds another

    def _prune(self, key: str, now: int) -> int:
        with self._locked(key):
            record = self._find(key)
            if record is not None and record.expires <= now:
                self._drop(record)
                return 1
        return 0

    @contextlib.contextmanager
    def _locked(self, *keys: str, wait: float | None = None) -> cabc.Generator[None]:
        deadline = time.monotonic() + (self._timeout if wait is None else wait)
        with contextlib.ExitStack() as stack:
            # In one order, so that no two wait for each other.
            for shard in sorted({key[-2:] for key in keys}):
                folder = self._folder / "sessions" / shard
                self._make(folder)
                left = max(0.0, deadline - time.monotonic())
                stack.enter_context(FileLock(folder / ".lock").hold(left))
            yield

    @contextlib.contextmanager
    def _locked_folder(self, folder: Path) -> cabc.Generator[None]:
        self._make(folder)
        with FileLock(folder / ".lock").hold(self._timeout):
            yield

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            # Nobody else on the machine has a reason to read sessions.
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextlib.contextmanager
def _outages() -> cabc.Generator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
