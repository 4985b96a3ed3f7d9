"""Commands that run side by side, each with its output in one piece."""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import os
import subprocess
import sys
import tempfile
import threading
import time
import typing as t

Command: t.TypeAlias = cabc.Sequence[str]


def run_side_by_side(
    commands: cabc.Mapping[str, Command], *, width: int | None = None
) -> list[str]:
    """Run commands, some at a time, and print the output of each when it ends.

    :param commands: Each under a name, the longest first.
    :param width: How many run at once; by default one for each processor.
    :return: The names of those that failed.
    """
    printing = threading.Lock()

    def run(name: str) -> bool:
        started = time.monotonic()
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                commands[name], stdout=output, stderr=subprocess.STDOUT, check=False
            )
            taken = time.monotonic() - started
            with printing:
                output.seek(0)
                sys.stdout.write(output.read().decode(errors="replace"))
                verdict = "failed" if done.returncode else "passed"
                print(f"=== {name}: {verdict} after {taken:.0f} s ===", flush=True)
        return done.returncode == 0

    width = width or os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(width) as pool:
        passed = list(pool.map(run, commands))
    return [name for name, is_well in zip(commands, passed, strict=True) if not is_well]
