from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from flaskware_core import FileLock

HOLD = """
import sys
from pathlib import Path
from flaskware_core import FileLock
lock = FileLock(Path(sys.argv[1]), signed=True)
lock.acquire(timeout=5)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def test_two_objects_exclude_each_other_in_one_process(path):
    first, second = FileLock(path), FileLock(path)
    assert first.try_acquire()
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    first.release()
    assert second.try_acquire()
    second.release()


def test_the_wait_ends_with_an_error_that_names_the_file(path):
    with FileLock(path).hold(timeout=1):
        begin = time.monotonic()
        with pytest.raises(TimeoutError, match=str(path)):
            FileLock(path).acquire(timeout=0.05)
        assert 0.05 <= time.monotonic() - begin < 5


def test_a_block_frees_the_lock_also_on_an_error(path):
    with pytest.raises(ZeroDivisionError), FileLock(path).hold(timeout=1):
        raise ZeroDivisionError
    assert FileLock(path).try_acquire()


def test_one_thread_at_a_time_is_in_the_block(path):
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with FileLock(path).hold(timeout=30):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert set(most) == {1}


def test_a_process_that_dies_frees_the_lock(path):
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    lock = FileLock(path, signed=True)
    assert not lock.try_acquire()
    assert lock.holder() == process.pid
    process.kill()
    process.communicate()
    lock.acquire(timeout=5)
    assert lock.holder() == os.getpid()
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions there")
def test_the_file_is_its_owners_alone_and_stays(path):
    with FileLock(path).hold(timeout=1):
        pass
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b""
    assert FileLock(path).holder() is None


def test_a_folder_that_is_missing_is_an_error_of_its_own(path):
    with pytest.raises(FileNotFoundError):
        FileLock(path / "none" / "lock").try_acquire()
