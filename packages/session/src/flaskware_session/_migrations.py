"""The table as a tree of migrations, which flaskware-alembic finds by entry point."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path

from flask.sansio.app import App

from ._extension import BaseSessions

if t.TYPE_CHECKING:
    import sqlalchemy as sa

    from ._stores.sql.table import InTable


def tree(app: App) -> cabc.Mapping[str, object] | None:
    """Say where the revisions are; ``None`` where sessions are not in a database."""
    store = _store_of(app)
    if store is None:
        return None
    return {
        "path": Path(__file__).parent / "migrations",
        "metadata": store.table.metadata,
        "engine": store.engine,
    }


def table_of(app: App) -> sa.Table:
    """Return the table of an app's sessions, or of the defaults."""
    from ._stores.sql.table import make_table

    store = _store_of(app)
    return make_table() if store is None else store.table


def _store_of(app: App) -> InTable | None:
    from ._stores.bridge import BlockingStore
    from ._stores.sql.table import InTable

    sessions = app.extensions.get("session")
    store: object = sessions.store if isinstance(sessions, BaseSessions) else None
    if isinstance(store, BlockingStore):
        store = store.store
    return store if isinstance(store, InTable) else None
