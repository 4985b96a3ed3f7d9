"""SQLAlchemy 2 for Flask: engines and sessions bound to the app context."""

from __future__ import annotations

from ._errors import AsyncDriverMissing as AsyncDriverMissing
from ._errors import NPlusOneError as NPlusOneError
from ._errors import TransactionBegun as TransactionBegun
from ._errors import UnknownBind as UnknownBind
from ._extension import SQLAlchemy as SQLAlchemy
from ._keyset import KeysetPage as KeysetPage
from ._lazy_load import NPlusOneWarning as NPlusOneWarning
from ._location import Location as Location
from ._model import Model as Model
from ._model import NAMING_CONVENTION as NAMING_CONVENTION
from ._page import Page as Page
from ._query_log import RecordedQuery as RecordedQuery
from ._settings import SQLAlchemySettings as SQLAlchemySettings

__all__ = [
    "AsyncDriverMissing",
    "KeysetPage",
    "Location",
    "Model",
    "NAMING_CONVENTION",
    "NPlusOneError",
    "NPlusOneWarning",
    "Page",
    "RecordedQuery",
    "SQLAlchemy",
    "SQLAlchemySettings",
    "TransactionBegun",
    "UnknownBind",
]
