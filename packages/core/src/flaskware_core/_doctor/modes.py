"""Checks for settings of development that a deployed app still has."""

from __future__ import annotations

import collections.abc as cabc
import logging
import os
import re

from flask.sansio.app import App
from werkzeug.debug import DebuggedApplication

from flaskware_core._findings.finding import Finding
from flaskware_core._findings.finding import Level

from .middleware import middleware_of

# Names in a log format that hold what signs somebody in.
_SECRETS = re.compile(
    r"(%\(|\{)[^)}]*(authorization|cookie|passw|secret|token|session|api.?key)",
    re.IGNORECASE,
)
_SLOW = {
    "TEMPLATES_AUTO_RELOAD": "each request looks whether a template has changed",
    "EXPLAIN_TEMPLATE_LOADING": "each template writes to the log where it was looked"
    " for",
}


def check_modes(app: App) -> cabc.Iterator[Finding]:
    """Yield the findings about what belongs into development only."""
    if app.debug:
        yield Finding(
            "core.debug",
            Level.ERROR,
            "Debug mode is on: its console runs any code for anyone who finds the PIN.",
            "Start without --debug, and unset FLASK_DEBUG.",
            asvs="13.4.2",
        )
    if app.testing:
        yield Finding(
            "core.testing",
            Level.ERROR,
            "TESTING is on, which turns protections off.",
            "TESTING = False",
            asvs="15.2.3",
        )
    if any(isinstance(each, DebuggedApplication) for each in middleware_of(app)):
        yield Finding(
            "core.debugger",
            Level.ERROR,
            "The app is wrapped in Werkzeug's debugger, which shows source and runs"
            " code for anyone who finds the PIN.",
            "Remove DebuggedApplication.",
            asvs="13.4.2",
        )
    if "debugtoolbar" in app.blueprints:
        yield Finding(
            "core.debug-toolbar",
            Level.ERROR,
            "Flask-DebugToolbar is on: it shows configuration, SQL and headers, and"
            " runs SQL.",
            "DEBUG_TB_ENABLED = False, or initialise it in development only.",
            asvs="13.4.2",
        )
    yield from _errors(app)
    yield from _logs()


def _errors(app: App) -> cabc.Iterator[Finding]:
    if app.config.get("TRAP_HTTP_EXCEPTIONS") or app.config.get(
        "TRAP_BAD_REQUEST_ERRORS"
    ):
        yield Finding(
            "core.trap-errors",
            Level.ERROR,
            "TRAP_HTTP_EXCEPTIONS or TRAP_BAD_REQUEST_ERRORS is on, so requests that"
            " deserve 400 or 404 end as failures of the server.",
            "Remove both keys.",
            asvs="16.5.1",
        )
    if app.config.get("PROPAGATE_EXCEPTIONS"):
        yield Finding(
            "core.propagate-exceptions",
            Level.WARNING,
            "PROPAGATE_EXCEPTIONS is on, so the server in front shows its own page for"
            " a failure, perhaps with its cause, and no error handler runs.",
            "Remove PROPAGATE_EXCEPTIONS.",
            asvs="16.5.1",
        )
    for key, consequence in _SLOW.items():
        if app.config.get(key):
            yield Finding(
                "core.development-setting",
                Level.INFO,
                f"{key} is on, so {consequence}.",
                f"Remove {key}.",
                asvs="15.2.3",
            )


def _logs() -> cabc.Iterator[Finding]:
    if logging.root.level == logging.DEBUG:
        yield Finding(
            "core.log-debug",
            Level.WARNING,
            "The root logger is at DEBUG: libraries then log requests with their"
            " headers, and databases the values of statements.",
            "logging.getLogger().setLevel(logging.INFO)",
            asvs="16.2.5",
        )
    for name, text in _formats():
        if _SECRETS.search(text):
            yield Finding(
                "core.log-secrets",
                Level.ERROR,
                f"The log format of {name} names a header or value that signs somebody"
                " in, so anyone who reads the log can be that user.",
                "Remove it from the format, or log a hash of it.",
                asvs="16.2.5",
            )


def _formats() -> cabc.Iterator[tuple[str, str]]:
    """Yield the formats of log lines, with where each is set."""
    known = logging.root.manager.loggerDict
    # A name between two loggers has a placeholder there.
    loggers = [each for each in known.values() if isinstance(each, logging.Logger)]
    for logger in (logging.root, *loggers):
        for handler in logger.handlers:
            text = getattr(handler.formatter, "_fmt", None)
            if isinstance(text, str):
                yield f"the logger {logger.name!r}", text
    yield "GUNICORN_CMD_ARGS", os.environ.get("GUNICORN_CMD_ARGS", "")
