"""Timeouts that standards ask for."""

from __future__ import annotations

import dataclasses as dc
import datetime as dt
import typing as t

Preset: t.TypeAlias = t.Literal["owasp", "nist-aal2", "nist-aal3"]


@dc.dataclass(frozen=True)
class Timeouts:
    """What a preset sets where the configuration does not.

    :param source: What it follows.
    """

    idle: dt.timedelta
    absolute: dt.timedelta
    renewal: dt.timedelta | None
    source: str


PRESETS: dict[str, Timeouts] = {
    # Idle 15-30 minutes where little is at stake (2-5 where much is), absolute 4-8
    # hours for a day of work, and a renewal timeout, for which it names no number.
    "owasp": Timeouts(
        dt.timedelta(minutes=15),
        dt.timedelta(hours=8),
        dt.timedelta(hours=1),
        "OWASP Session Management Cheat Sheet, Session Expiration",
    ),
    # At this level both should, at the next the absolute one must, be no longer.
    "nist-aal2": Timeouts(
        dt.timedelta(hours=1),
        dt.timedelta(hours=24),
        None,
        "NIST SP 800-63B-4, section 2.2.3",
    ),
    "nist-aal3": Timeouts(
        dt.timedelta(minutes=15),
        dt.timedelta(hours=12),
        None,
        "NIST SP 800-63B-4, section 2.3.3",
    ),
}
