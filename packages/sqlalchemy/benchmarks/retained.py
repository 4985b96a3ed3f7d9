"""Cost of an import, and leftovers of 100,000 requests, in one process each.

Run it with ``python packages/sqlalchemy/benchmarks/retained.py``.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import bench_session

REQUESTS = 100_000
_IMPORT = """
import time
import flask, flask.sansio.app, pydantic, sqlalchemy, sqlalchemy.orm, {first}
start = time.process_time()
import {second}
print((time.process_time() - start) * 1000)
"""


def milliseconds_of_import(first: str, second: str) -> float:
    """The median of eleven imports, each in a process of its own."""
    command = [sys.executable, "-c", _IMPORT.format(first=first, second=second)]
    times = [float(subprocess.check_output(command)) for _ in range(11)]
    return statistics.median(times)


def kibibytes_in_use() -> int:
    """The resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def retained() -> tuple[int, int]:
    """The growth in objects and in memory, from 1,000 requests on."""
    folder = Path(tempfile.mkdtemp(prefix="flaskware-bench-"))
    request = bench_session.request_of(bench_session.flaskware(folder))
    for _ in range(1_000):
        request()
    gc.collect()
    objects, memory = len(gc.get_objects()), kibibytes_in_use()
    for _ in range(REQUESTS):
        request()
    gc.collect()
    return len(gc.get_objects()) - objects, kibibytes_in_use() - memory


if __name__ == "__main__":
    core = milliseconds_of_import("json", "flaskware_core")
    own = milliseconds_of_import("flaskware_core", "flaskware_sqlalchemy")
    print(
        f"import: {own:.1f} ms beyond SQLAlchemy, Flask and flaskware-core ({core:.1f})"
    )
    objects, memory = retained()
    print(f"after {REQUESTS:,} requests: {objects:+} objects, {memory:+} KiB")
