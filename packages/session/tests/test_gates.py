"""Promises that hold for any inside: by real servers, many processes and kill -9.

Each gate is a program in ``gates/``, which also takes larger numbers:
``python tests/gates/lost_writes.py redis --writes 100000``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

GATES = Path(__file__).with_name("gates")
SERVERS = ["sqlite", "file", "redis", "memcached", "postgresql", "mariadb"]
_CANNOT_RUN = 77


def gate(name: str, *arguments: str) -> None:
    command = [sys.executable, str(GATES / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == _CANNOT_RUN:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


@pytest.mark.parametrize("store", ["memory", *SERVERS, "cluster"])
def test_of_2000_acknowledged_writes_none_is_lost(store: str) -> None:
    gate("lost_writes", store, "--writes", "2000")


@pytest.mark.parametrize("store", ["memory", *SERVERS])
def test_of_2000_corrupted_records_each_is_an_empty_session(store: str) -> None:
    gate("fuzz", store, "--records", "2000")


@pytest.mark.parametrize("store", ["memory", *SERVERS])
def test_a_flood_of_anonymous_requests_leaves_next_to_nothing(store: str) -> None:
    gate("flood", store, "--requests", "2000")


@pytest.mark.parametrize("store", ["redis", "memcached"])
def test_a_flood_that_fills_the_memory_keeps_nobody_from_signing_in(store: str) -> None:
    gate("flood", store, "--requests", "8000")


@pytest.mark.parametrize(
    "source", ["redis", "sqlalchemy", "file", "memcached", "flask"]
)
def test_moving_in_by_parallel_requests_signs_out_nobody(source: str) -> None:
    gate("move_in", source, "--users", "33")
