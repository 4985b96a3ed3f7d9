from __future__ import annotations

from flaskware_core import backoff


def test_the_delay_doubles_up_to_the_longest():
    delays = [backoff(n, first=0.5, longest=3.0, spread=0) for n in range(1, 6)]
    assert delays == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_share_of_the_delay_is_random():
    half = [backoff(3, first=0.1, longest=9.0) for _ in range(200)]
    assert all(0.2 <= delay <= 0.4 for delay in half)
    assert len(set(half)) > 100
    whole = [backoff(3, first=0.1, longest=9.0, spread=1) for _ in range(200)]
    assert min(whole) < 0.1 < 0.3 < max(whole)


def test_a_late_attempt_does_not_overflow():
    assert backoff(5000, first=0.1, longest=2.0, spread=0) == 2.0
