"""What every Flaskware extension shares."""

from __future__ import annotations

from ._core_settings import CoreSettings as CoreSettings
from ._doctor import examine as examine
from ._doctor import Finding as Finding
from ._doctor import Level as Level
from ._doctor import Report as Report
from ._errors import AlreadyInitialised as AlreadyInitialised
from ._errors import ConfigError as ConfigError
from ._errors import ConfigProblem as ConfigProblem
from ._errors import NotInitialised as NotInitialised
from ._extension import check_connections as check_connections
from ._extension import Extension as Extension
from ._framework import attach as attach
from ._lazy import lazy_names as lazy_names
from ._origin import request_origin as request_origin
from ._origin import RequestOrigin as RequestOrigin
from ._redact import describe as describe
from ._settings import Sensitive as Sensitive
from ._settings import Settings as Settings

__all__ = [
    "AlreadyInitialised",
    "attach",
    "check_connections",
    "ConfigError",
    "ConfigProblem",
    "CoreSettings",
    "describe",
    "examine",
    "Extension",
    "Finding",
    "lazy_names",
    "Level",
    "NotInitialised",
    "Report",
    "request_origin",
    "RequestOrigin",
    "Sensitive",
    "Settings",
]
