"""Other processes: the servers and the workers of a test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

HERE = Path(__file__).parent


def command(name: str) -> str:
    """Return the path of a command of this environment."""
    return str(Path(sys.executable).parent / name)


@contextlib.contextmanager
def running(*arguments: str, **environment: str) -> t.Iterator[subprocess.Popen[bytes]]:
    """Run a process in this folder, and end it with what it has started.

    :param environment: Its variables, beside those of the test.
    """
    with subprocess.Popen(
        arguments,
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE), **environment},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
