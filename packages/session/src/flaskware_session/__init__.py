"""Server-side sessions for Flask."""

from __future__ import annotations

import typing as t

from flaskware_core import lazy_names

from ._coroutines import async_session as async_session
from ._coroutines import AsyncSessions as AsyncSessions
from ._errors import NotFresh as NotFresh
from ._errors import SessionConflict as SessionConflict
from ._errors import SessionEnded as SessionEnded
from ._errors import SessionMismatch as SessionMismatch
from ._errors import SessionReadOnly as SessionReadOnly
from ._errors import SessionTooLarge as SessionTooLarge
from ._errors import StoreRefused as StoreRefused
from ._errors import StoreUnavailable as StoreUnavailable
from ._errors import UnstorableValue as UnstorableValue
from ._extension import Sessions as Sessions
from ._extension import SessionState as SessionState
from ._records.record import Clock as Clock
from ._records.record import Record as Record
from ._records.record import Scanned as Scanned
from ._records.record import SessionInfo as SessionInfo
from ._records.record import StoreStats as StoreStats
from ._records.record import Written as Written
from ._settings import SessionSettings as SessionSettings
from ._signals import session_conflict as session_conflict
from ._signals import session_copied as session_copied
from ._signals import session_created as session_created
from ._signals import session_outage as session_outage
from ._signals import session_renewed as session_renewed
from ._signals import session_revoked as session_revoked
from ._signals import session_unreadable as session_unreadable
from ._stores.async_protocol import AsyncStore as AsyncStore
from ._stores.memory import MemoryStore as MemoryStore
from ._stores.protocol import Store as Store
from ._web.async_access import AsyncServerSession as AsyncServerSession
from ._web.session import ServerSession as ServerSession
from ._web.session import session as session

if t.TYPE_CHECKING:
    from ._devices.names import Agent as Agent
    from ._devices.names import parse_agent as parse_agent
    from ._devices.texts import DEVICE_TEXTS as DEVICE_TEXTS
    from ._devices.texts import DeviceTexts as DeviceTexts
    from ._stores.bridge import BlockingStore as BlockingStore
    from ._stores.files import FileStore as FileStore
    from ._stores.memcached import MemcachedStore as MemcachedStore
    from ._stores.redis.async_store import AsyncRedisStore as AsyncRedisStore
    from ._stores.redis.store import RedisStore as RedisStore
    from ._stores.sql.async_store import AsyncSQLAlchemyStore as AsyncSQLAlchemyStore
    from ._stores.sql.store import SQLAlchemyStore as SQLAlchemyStore
    from ._stores.sqlite import SQLiteStore as SQLiteStore
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_devices.names": ["Agent", "parse_agent"],
            "_devices.texts": ["DEVICE_TEXTS", "DeviceTexts"],
            "_stores.bridge": ["BlockingStore"],
            "_stores.files": ["FileStore"],
            "_stores.memcached": ["MemcachedStore"],
            "_stores.redis.async_store": ["AsyncRedisStore"],
            "_stores.redis.store": ["RedisStore"],
            "_stores.sql.async_store": ["AsyncSQLAlchemyStore"],
            "_stores.sql.store": ["SQLAlchemyStore"],
            "_stores.sqlite": ["SQLiteStore"],
        },
    )

__all__ = [
    "Agent", "async_session", "AsyncRedisStore", "AsyncServerSession",
    "AsyncSessions", "AsyncSQLAlchemyStore", "AsyncStore", "BlockingStore",
    "Clock", "DEVICE_TEXTS", "DeviceTexts", "FileStore", "MemcachedStore",
    "MemoryStore", "NotFresh", "parse_agent", "Record", "RedisStore", "Scanned",
    "ServerSession", "session", "session_conflict", "session_copied", "session_created",
    "session_outage", "session_renewed", "session_revoked", "session_unreadable",
    "SessionConflict", "SessionEnded", "SessionInfo", "SessionMismatch", "Sessions",
    "SessionReadOnly", "SessionSettings", "SessionState", "SessionTooLarge",
    "SQLAlchemyStore", "SQLiteStore", "Store", "StoreRefused", "StoreStats",
    "StoreUnavailable", "UnstorableValue", "Written",
]  # fmt: skip
