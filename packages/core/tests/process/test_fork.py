from __future__ import annotations

import os
import sys
import weakref

import pytest

from flaskware_core import ForkGuard

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


class Connection:
    pass


def in_a_child(function) -> bool:
    """True if the function returns True in a forked child."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if function() is True else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_only_a_child_is_in_a_child_and_only_until_it_has_left():
    guard = ForkGuard()
    assert not guard.in_child()

    def child() -> bool:
        before = guard.in_child()
        guard.leave()
        return before and not guard.in_child()

    assert in_a_child(child)
    assert not guard.in_child()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_grandchild_leaves_to_its_parent_again():
    guard = ForkGuard()

    def child() -> bool:
        guard.leave()
        return in_a_child(guard.in_child)

    assert in_a_child(child)


def test_what_is_left_lives_as_long_as_the_guard():
    guard, connection = ForkGuard(), Connection()
    alive = weakref.ref(connection)
    guard.leave(connection)
    del connection
    assert alive() is not None
    del guard
    assert alive() is None
