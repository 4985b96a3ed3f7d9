"""Server-side sessions for Flask."""

from __future__ import annotations

import typing as t

from flaskware_core import lazy_names

from ._async_store import AsyncStore as AsyncStore
from ._errors import NotFresh as NotFresh
from ._errors import SessionConflict as SessionConflict
from ._errors import SessionMismatch as SessionMismatch
from ._errors import SessionTooLarge as SessionTooLarge
from ._errors import StoreUnavailable as StoreUnavailable
from ._errors import UnstorableValue as UnstorableValue
from ._extension import Sessions as Sessions
from ._extension import SessionState as SessionState
from ._memory import MemoryStore as MemoryStore
from ._record import Clock as Clock
from ._record import Lifetime as Lifetime
from ._record import Record as Record
from ._record import SessionInfo as SessionInfo
from ._record import StoreStats as StoreStats
from ._record import Written as Written
from ._session import ServerSession as ServerSession
from ._session import session as session
from ._settings import SessionSettings as SessionSettings
from ._signals import session_conflict as session_conflict
from ._signals import session_created as session_created
from ._signals import session_outage as session_outage
from ._signals import session_renewed as session_renewed
from ._signals import session_revoked as session_revoked
from ._signals import session_unreadable as session_unreadable
from ._store import Store as Store

if t.TYPE_CHECKING:
    from ._async_redis import AsyncRedisStore as AsyncRedisStore
    from ._async_sqlalchemy import AsyncSQLAlchemyStore as AsyncSQLAlchemyStore
    from ._blocking import BlockingStore as BlockingStore
    from ._files import FileStore as FileStore
    from ._memcached import MemcachedStore as MemcachedStore
    from ._redis import RedisStore as RedisStore
    from ._sqlalchemy import SQLAlchemyStore as SQLAlchemyStore
    from ._sqlite import SQLiteStore as SQLiteStore
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_async_redis": ["AsyncRedisStore"],
            "_async_sqlalchemy": ["AsyncSQLAlchemyStore"],
            "_blocking": ["BlockingStore"],
            "_files": ["FileStore"],
            "_memcached": ["MemcachedStore"],
            "_redis": ["RedisStore"],
            "_sqlalchemy": ["SQLAlchemyStore"],
            "_sqlite": ["SQLiteStore"],
        },
    )

__all__ = [
    "AsyncRedisStore",
    "AsyncSQLAlchemyStore",
    "AsyncStore",
    "BlockingStore",
    "Clock",
    "FileStore",
    "Lifetime",
    "MemcachedStore",
    "MemoryStore",
    "NotFresh",
    "Record",
    "RedisStore",
    "ServerSession",
    "session",
    "session_conflict",
    "session_created",
    "session_outage",
    "session_renewed",
    "session_revoked",
    "session_unreadable",
    "SessionConflict",
    "SessionInfo",
    "SessionMismatch",
    "Sessions",
    "SessionSettings",
    "SessionState",
    "SessionTooLarge",
    "SQLAlchemyStore",
    "SQLiteStore",
    "Store",
    "StoreStats",
    "StoreUnavailable",
    "UnstorableValue",
    "Written",
]
