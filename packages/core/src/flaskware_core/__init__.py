"""The parts that every Flaskware extension shares."""

from __future__ import annotations

import typing as t

from ._errors import AlreadyInitialised as AlreadyInitialised
from ._errors import DeclarationError as DeclarationError
from ._errors import Misuse as Misuse
from ._errors import NotInitialised as NotInitialised
from ._errors import WouldBlock as WouldBlock
from ._extension import check_connections as check_connections
from ._extension import Extension as Extension
from ._findings.finding import Finding as Finding
from ._findings.finding import Level as Level
from ._installed import takes_from_elsewhere as takes_from_elsewhere
from ._lazy import lazy_names as lazy_names
from ._settings.app import CoreSettings as CoreSettings
from ._settings.base import Sensitive as Sensitive
from ._settings.base import Settings as Settings
from ._settings.problems import ConfigError as ConfigError
from ._settings.problems import ConfigProblem as ConfigProblem
from ._settings.redact import describe as describe
from ._settings.suggest import closest as closest
from ._web.cache_guard import keep_out_of_caches as keep_out_of_caches
from ._web.current import active_app as active_app
from ._web.current import active_context as active_context
from ._web.current import active_request as active_request
from ._web.current import Context as Context
from ._web.current import current_app_object as current_app_object
from ._web.current import current_context as current_context
from ._web.current import current_request as current_request
from ._web.current import current_session as current_session
from ._web.current import framework_of as framework_of
from ._web.current import request_getter as request_getter
from ._web.hooks import attach as attach
from ._web.hooks import in_event_loop as in_event_loop
from ._web.hooks import is_async as is_async
from ._web.hooks import note_refusal as note_refusal
from ._web.hooks import refuse_in_event_loop as refuse_in_event_loop
from ._web.origin import Credential as Credential
from ._web.origin import CredentialSource as CredentialSource
from ._web.origin import request_credential as request_credential
from ._web.origin import request_origin as request_origin
from ._web.origin import RequestOrigin as RequestOrigin

if t.TYPE_CHECKING:
    from ._doctor.examine import examine as examine
    from ._doctor.examine import Report as Report
    from ._doctor.health import add_health as add_health
    from ._findings.formats import FINDING_FORMATS as FINDING_FORMATS
    from ._findings.formats import FindingFormat as FindingFormat
    from ._findings.formats import render_findings as render_findings
    from ._process.backoff import backoff as backoff
    from ._process.file_lock import FileLock as FileLock
    from ._process.fork import ForkGuard as ForkGuard
    from ._process.outage import CircuitBreaker as CircuitBreaker
    from ._process.outage import Unavailable as Unavailable
    from ._settings.environment import from_environment as from_environment
    from ._web.commands import call_in_app_context as call_in_app_context
    from ._web.commands import CommandGroup as CommandGroup
    from ._web.commands import with_app_context as with_app_context
    from ._web.signing import signer as signer
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_doctor.examine": ["examine", "Report"],
            "_doctor.health": ["add_health"],
            "_findings.formats": [
                "FINDING_FORMATS",
                "FindingFormat",
                "render_findings",
            ],
            "_process.backoff": ["backoff"],
            "_process.file_lock": ["FileLock"],
            "_process.fork": ["ForkGuard"],
            "_process.outage": ["CircuitBreaker", "Unavailable"],
            "_settings.environment": ["from_environment"],
            "_web.commands": [
                "call_in_app_context",
                "CommandGroup",
                "with_app_context",
            ],
            "_web.signing": ["signer"],
        },
    )

__all__ = [
    "active_app", "active_context", "active_request", "add_health",
    "AlreadyInitialised", "attach", "backoff", "call_in_app_context",
    "check_connections", "CircuitBreaker", "closest", "CommandGroup", "ConfigError",
    "ConfigProblem", "Context", "CoreSettings", "Credential", "CredentialSource",
    "current_app_object", "current_context", "current_request", "current_session",
    "DeclarationError", "describe", "examine", "Extension", "FileLock", "Finding",
    "FINDING_FORMATS", "FindingFormat", "ForkGuard", "framework_of",
    "from_environment", "in_event_loop", "is_async", "keep_out_of_caches", "lazy_names",
    "Level", "Misuse", "note_refusal", "NotInitialised", "refuse_in_event_loop",
    "render_findings", "Report",
    "request_credential", "request_getter", "request_origin", "RequestOrigin",
    "Sensitive", "Settings", "signer", "takes_from_elsewhere", "Unavailable",
    "with_app_context", "WouldBlock",
]  # fmt: skip
