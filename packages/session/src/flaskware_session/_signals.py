"""Signals of sessions. The sender is the app; details are keywords."""

from __future__ import annotations

import typing as t

import blinker

from flaskware_core import current_app_object

_signals = blinker.Namespace()

session_created = _signals.signal("session-created")
"""A session was stored for the first time: ``handle``, ``user_id``."""

session_renewed = _signals.signal("session-renewed")
"""A session has a new id: ``handle``, ``user_id``."""

session_revoked = _signals.signal("session-revoked")
"""Sessions were ended, by a logout too: ``count``, ``user_id``, which is ``None`` where
they were a visitor's or everybody's."""

session_copied = _signals.signal("session-copied")
"""A persistent session has ended, as an id of it that was replaced long ago came back:
``handle``, ``user_id``. Somebody has a copy of the cookie."""

session_conflict = _signals.signal("session-conflict")
"""Another request changed the session meanwhile: ``handle``, ``keys``, those that both
changed, and ``dropped``: whether the session has ended, so that nothing was stored."""

session_outage = _signals.signal("session-outage")
"""The store did not answer: ``operation``, ``reason``."""

session_unreadable = _signals.signal("session-unreadable")
"""A record could not be understood and counts as no session: ``handle``, ``reason``."""


def notify(name: str, **details: t.Any) -> None:
    """Send a signal by its name, if anybody listens."""
    signal = _signals[name]
    if signal.receivers:
        signal.send(current_app_object(), **details)
