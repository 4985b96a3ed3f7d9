"""Helpers for the tests of apps that use Flaskware-SQLAlchemy.

Isolation needs none: see :func:`flaskware_core.testing.isolation`.
"""

from __future__ import annotations

import typing as t

from flask.sansio.app import App

from ._engines.engine import checked_out
from ._extension import SQLAlchemy

__all__ = ["connections_in_use"]


def connections_in_use(db: SQLAlchemy[t.Any], app: App) -> dict[str | None, int]:
    """Return the number of connections in use of each pool: 0 if nothing leaks."""
    engines = db.state_of(app).router.engines
    return {key: checked_out(engine) for key, engine in engines.items()}
