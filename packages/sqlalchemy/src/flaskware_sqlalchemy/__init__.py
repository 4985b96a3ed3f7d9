"""SQLAlchemy 2 for Flask: engines and sessions bound to the app context."""

from __future__ import annotations

from ._errors import UnknownBind as UnknownBind
from ._extension import SQLAlchemy as SQLAlchemy
from ._model import Model as Model
from ._model import NAMING_CONVENTION as NAMING_CONVENTION
from ._page import Page as Page
from ._settings import SQLAlchemySettings as SQLAlchemySettings

__all__ = [
    "Model",
    "NAMING_CONVENTION",
    "Page",
    "SQLAlchemy",
    "SQLAlchemySettings",
    "UnknownBind",
]
