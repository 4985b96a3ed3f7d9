"""Errors of an extension that is used in the wrong way."""

from __future__ import annotations


class NotInitialised(RuntimeError):
    """An extension is used where no app that it was initialised on is active."""


class AlreadyInitialised(RuntimeError):
    """An extension is initialised a second time on the same app."""
