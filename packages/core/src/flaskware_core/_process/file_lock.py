"""A lock on a file, for the threads and processes of one machine.

filelock and portalocker were considered. By default filelock keeps its state by thread,
so that another thread cannot release the lock; portalocker's errors are no
:class:`TimeoutError`; both take tens of milliseconds to import.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    # Windows keeps others from reading a locked byte, so it lies past the content.
    _LOCKED_BYTE = 1 << 20

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        # Not lockf: its locks belong to the process, so threads would share them.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class FileLock:
    """Lock on a file, for the threads and processes of one machine.

    Each object holds the lock by itself: two objects on one path exclude each other,
    in one process too. The system frees the lock when the process dies. The file
    stays, because removing it would let two holders in.

    :param path: The file; made if it is missing, readable by its owner only.
    :param mode: The permissions of a file that is made.
    :param pause: Seconds between two attempts to take the lock.
    :param signed: True to write the process id into the file, for :meth:`holder`.
    """

    def __init__(
        self,
        path: Path,
        *,
        mode: int = 0o600,
        pause: float = 0.001,
        signed: bool = False,
    ) -> None:
        self.path = path
        self._mode = mode
        self._pause = pause
        self._signed = signed
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free, without waiting.

        :return: True if this object holds the lock now.
        :raises OSError: if the file cannot be opened.
        """
        try:
            self.acquire(timeout=0)
        except TimeoutError:
            return False
        return True

    def acquire(self, timeout: float) -> None:
        """Take the lock, and wait for it if another holds it.

        Does nothing if this object holds the lock already.

        :param timeout: The longest wait, in seconds.
        :raises TimeoutError: if another holds the lock until then.
        :raises OSError: if the file cannot be opened.
        """
        if self._descriptor is not None:
            return
        deadline = time.monotonic() + timeout
        descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR, self._mode)
        try:
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"another process or thread holds {self.path}")
                time.sleep(self._pause)
            if self._signed:
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, str(os.getpid()).encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Free the lock; does nothing if this object does not hold it."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            # Closing frees it on every system, where unlocking differs.
            os.close(descriptor)

    @contextlib.contextmanager
    def hold(self, timeout: float) -> cabc.Generator[None]:
        """Hold the lock in a ``with`` block; see :meth:`acquire`."""
        self.acquire(timeout)
        try:
            yield
        finally:
            self.release()

    def holder(self) -> int | None:
        """Return the id of the process that took the lock last, if it signed."""
        try:
            return int(self.path.read_bytes())
        except (OSError, ValueError):
            return None
