"""SQLAlchemy 2 for Flask: engines and sessions bound to the app context."""

from __future__ import annotations

import typing as t

from flaskware_core import lazy_names

from ._errors import AsyncDriverMissing as AsyncDriverMissing
from ._errors import DatabaseUnavailable as DatabaseUnavailable
from ._errors import LockTaken as LockTaken
from ._errors import MixedBinds as MixedBinds
from ._errors import NPlusOneError as NPlusOneError
from ._errors import OnCommitError as OnCommitError
from ._errors import ReadOnlySession as ReadOnlySession
from ._errors import SchemaUnusable as SchemaUnusable
from ._errors import SecretRefused as SecretRefused
from ._errors import SessionShared as SessionShared
from ._errors import TransactionBegun as TransactionBegun
from ._errors import UnknownBind as UnknownBind
from ._errors import WaitForItself as WaitForItself
from ._extension import SQLAlchemy as SQLAlchemy
from ._models.model import Model as Model
from ._models.model import NAMING_CONVENTION as NAMING_CONVENTION
from ._sessions.context_session import ContextSession as ContextSession
from ._settings import SQLAlchemySettings as SQLAlchemySettings

if t.TYPE_CHECKING:
    from ._insight.lazy_load import NPlusOneWarning as NPlusOneWarning
    from ._insight.location import Location as Location
    from ._insight.query_log import RecordedQuery as RecordedQuery
    from ._models.encrypted import EncryptedText as EncryptedText
    from ._models.password import HashedPassword as HashedPassword
    from ._models.password import PasswordHash as PasswordHash
    from ._models.row_security import row_security as row_security
    from ._models.soft_delete import SoftDelete as SoftDelete
    from ._models.utc import Timestamps as Timestamps
    from ._models.utc import UTCDateTime as UTCDateTime
    from ._pagination.keyset import KeysetPage as KeysetPage
    from ._pagination.page import Page as Page
    from ._sessions.peers import fetch_peers as fetch_peers
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_insight.lazy_load": ["NPlusOneWarning"],
            "_insight.location": ["Location"],
            "_insight.query_log": ["RecordedQuery"],
            "_models.encrypted": ["EncryptedText"],
            "_models.password": ["HashedPassword", "PasswordHash"],
            "_models.row_security": ["row_security"],
            "_models.soft_delete": ["SoftDelete"],
            "_models.utc": ["Timestamps", "UTCDateTime"],
            "_pagination.keyset": ["KeysetPage"],
            "_pagination.page": ["Page"],
            "_sessions.peers": ["fetch_peers"],
        },
    )

__all__ = [
    "AsyncDriverMissing", "ContextSession", "DatabaseUnavailable", "EncryptedText",
    "HashedPassword", "KeysetPage", "Location", "LockTaken", "MixedBinds", "Model",
    "NAMING_CONVENTION", "NPlusOneError", "NPlusOneWarning", "OnCommitError", "Page",
    "PasswordHash", "ReadOnlySession", "RecordedQuery", "SQLAlchemy",
    "SQLAlchemySettings", "SchemaUnusable", "SecretRefused", "SessionShared",
    "SoftDelete", "Timestamps", "TransactionBegun", "UTCDateTime", "UnknownBind",
    "WaitForItself", "fetch_peers", "row_security",
]  # fmt: skip
