"""The table as a tree of migrations, which flaskware-alembic finds by entry point."""

from __future__ import annotations

import collections.abc as cabc
from pathlib import Path

import flask

from ._extension import Sessions


def tree(app: flask.Flask) -> cabc.Mapping[str, object] | None:
    """Say where the revisions are; ``None`` where sessions are not in a database."""
    from ._stores.bridge import BlockingStore
    from ._stores.sql.async_store import AsyncSQLAlchemyStore
    from ._stores.sql.store import SQLAlchemyStore

    sessions = app.extensions.get("session")
    store: object = sessions.store if isinstance(sessions, Sessions) else None
    if isinstance(store, BlockingStore):
        store = store.store
    if not isinstance(store, SQLAlchemyStore | AsyncSQLAlchemyStore):
        return None
    from ._stores.sql.table import metadata

    return {
        "path": Path(__file__).parent / "migrations",
        "metadata": metadata,
        "engine": store.engine,
    }
