"""Decodes a picture in a process of its own, which has limits.

A decoder takes as much memory and time as a picture asks for: a JPEG of 100 kB can ask
for gigabytes, or for minutes. No rule about headers foresees this for every format, but
an operating system can bound it. The same file is the program of that process, which
imports Pillow and nothing else.
"""

from __future__ import annotations

import collections.abc as cabc
import os
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

Outcome: t.TypeAlias = t.Literal["decoded", "unreadable", "costly"]

MEMORY = 512 << 20
"""The memory of the process in bytes, its program included (Linux)."""

SECONDS = 10
"""The seconds of computing that the process may use."""

_PATIENCE = 6 * SECONDS
_UNREADABLE, _COSTLY = 3, 4
# Two beside each other, so that many uploads at once take no more than one gigabyte.
_PLACES = threading.BoundedSemaphore(2)
_ENVIRONMENT = ("LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "SYSTEMROOT")


def decode(content: bytes, formats: cabc.Iterable[str]) -> Outcome:
    """Decode the first frame of a picture in a process with limits.

    :param formats: The names of Pillow's formats that are tried.
    """
    # Without the environment of the app, in which its secrets are.
    environment = {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ}
    try:
        with _PLACES:
            done = subprocess.run(  # noqa: S603 - nothing here comes from a client
                [_python(), "-P", __file__, *formats],
                input=content,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_PATIENCE,
                check=False,
            )
    except subprocess.TimeoutExpired:
        return "costly"
    if done.returncode == 0:
        return "decoded"
    if done.returncode == _UNREADABLE:
        return "unreadable"
    # Killed by a signal, at a limit or in a broken decoder.
    if done.returncode == _COSTLY or done.returncode < 0:
        return "costly"
    said = done.stderr.decode(errors="replace")
    raise RuntimeError(f"The process that decodes pictures did not start: {said}")


def _python() -> str:
    # Inside of uWSGI, this is the path of uWSGI.
    if "py" in Path(sys.executable).name.lower():
        return sys.executable
    return str(Path(sys.exec_prefix, "bin", "python3"))


def _main() -> int:
    _limit()
    import io
    import warnings

    import PIL.Image

    warnings.simplefilter("ignore")
    # The caller has looked at the number of pixels.
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        content = io.BytesIO(sys.stdin.buffer.read())
        with PIL.Image.open(content, formats=sys.argv[1:]) as picture:
            picture.load()
    except MemoryError:
        return _COSTLY
    except Exception:  # noqa: BLE001 - on hostile bytes, decoders raise anything
        return _UNREADABLE
    return 0


def _limit() -> None:
    try:
        import resource
    except ImportError:
        # Windows, where only the caller's patience bounds it.
        return
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, most = resource.getrlimit(limit)
        if most != resource.RLIM_INFINITY:
            value = min(value, most)
        resource.setrlimit(limit, (value, most))


if __name__ == "__main__":
    raise SystemExit(_main())
