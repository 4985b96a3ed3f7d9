"""Delays between attempts.

stamina and tenacity were considered: they run the attempts as well, which a transaction
or a deploy has to do itself.
"""

from __future__ import annotations

import random


def backoff(
    attempt: int, *, first: float, longest: float, spread: float = 0.5
) -> float:
    """Return how long to wait after a failed attempt, in seconds.

    The delay doubles with each attempt. A part of it is random, so that two processes
    that failed together do not meet again.

    :param attempt: The number of the attempt that failed, from 1.
    :param first: The longest delay after the first attempt, in seconds.
    :param longest: The longest delay of all, in seconds.
    :param spread: The random share, from 0 for none to 1 for all of the delay.
    """
    # The exponent is bounded, since a float overflows at 2 ** 1024.
    most = min(longest, first * 2.0 ** min(attempt - 1, 64))
    return random.uniform(most * (1 - spread), most)
