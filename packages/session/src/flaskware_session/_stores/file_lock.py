"""A lock on a file that the processes of one machine share."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_PAUSE = 0.001


@contextlib.contextmanager
def file_lock(path: Path, deadline: float) -> cabc.Generator[None]:
    """Hold a lock file, that threads and processes wait for alike.

    :param deadline: Until when to wait, by :func:`time.monotonic`, in seconds.
    :raises TimeoutError: if somebody else holds it until then.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another writer holds {path.parent.name}/.lock")
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)  # which lets go of it
