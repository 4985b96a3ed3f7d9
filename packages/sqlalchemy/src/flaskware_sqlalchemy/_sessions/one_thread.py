"""Sessions that refuse to be used by two threads at once."""

from __future__ import annotations

import collections.abc as cabc
import functools
import threading
import typing as t

from sqlalchemy import orm

from flaskware_sqlalchemy._errors import SessionShared

# These change the objects of a session, or wait for a database.
_METHODS = (
    "add", "add_all", "bulk_insert_mappings", "bulk_save_objects",
    "bulk_update_mappings", "commit", "connection", "delete", "execute", "flush", "get",
    "merge", "refresh", "rollback", "scalar", "scalars",
)  # fmt: skip


class GettingSession(orm.Session):
    """A session that knows when it looks an object up by its key."""

    is_getting = False

    def get(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Return an object by its primary key; see :class:`sqlalchemy.orm.Session`."""
        self.is_getting = True
        try:
            found = super().get(*args, **kwargs)
        finally:
            self.is_getting = False
        # The session may hold an object that a query would leave out.
        if getattr(found, "is_soft_deleted", False) is True:
            options: cabc.Mapping[str, object] = kwargs.get("execution_options") or {}
            return found if options.get("include_deleted") else None
        return found


class OneThreadSession(GettingSession):
    """A session that refuses a second thread while a first is using it.

    Threads may take turns, as the views and the hooks of a request do under an
    asynchronous server. At once, they would mix up the objects and the transaction:
    SQLAlchemy then fails somewhere later, with an error about its own state.
    """

    def __init__(self, **options: t.Any) -> None:
        self.turn = threading.RLock()
        super().__init__(**options)


def _guarded(method: cabc.Callable[..., t.Any]) -> cabc.Callable[..., t.Any]:
    @functools.wraps(method)
    def guarded(self: OneThreadSession, *args: t.Any, **kwargs: t.Any) -> t.Any:
        turn = self.turn
        if not turn.acquire(blocking=False):
            raise SessionShared(
                "Another thread is using this session right now: both run in the same"
                " app context, or in a copy of it. A thread needs a session of its own:"
                " write `with db.session_scope(app) as session:` in it, or"
                " `with app.app_context():`, where app is that of the other thread."
            )
        try:
            return method(self, *args, **kwargs)
        finally:
            turn.release()

    return guarded


for _name in _METHODS:
    setattr(OneThreadSession, _name, _guarded(getattr(GettingSession, _name)))
