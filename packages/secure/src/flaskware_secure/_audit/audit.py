"""Audit of an app: the headers of each route, and a grade."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import inspect
import types
import typing as t
from pathlib import Path

import flask
from flask.sansio.app import App
from werkzeug.routing import Rule

from flaskware_core import Finding
from flaskware_core import Level
from flaskware_secure._headers.compiled import Compiled
from flaskware_secure._headers.compiled import Lines

from .grading import Grade
from .grading import grade_headers

# Unlike localhost, this host gets HSTS.
_BASE_URL = "https://audit.invalid"
# As much as MDN's observatory takes for no CSP, or cookies that anybody reads.
_GRAVE = -20


@dc.dataclass(frozen=True)
class EndpointAudit:
    """The headers that one route sends over https, and their grade.

    :param sent: True if a request was sent. Otherwise the headers are those that the
        policy adds to the response of the view.
    :param grade: By the public rules of MDN's HTTP Observatory, as far as they are
        about headers, cookies and the scripts of a page.
    :param file: The file of its view, relative to the working directory.
    :param line: The line in it, from 1; 0 if not known.
    """

    endpoint: str
    rule: str
    headers: Lines
    sent: bool
    grade: Grade
    file: str = ""
    line: int = 0

    def as_dict(self) -> dict[str, t.Any]:
        """Return the audit as JSON types."""
        return {
            "endpoint": self.endpoint,
            "rule": self.rule,
            "sent": self.sent,
            "grade": self.grade.letter,
            "score": self.grade.score,
            "findings": [dc.asdict(finding) for finding in self.grade.findings],
            "headers": [list(line) for line in self.headers],
        }


def audit_app(
    app: App, compiled_for: cabc.Callable[[str, str], Compiled], *, send: bool
) -> list[EndpointAudit]:
    """Audit every route of an app, in the order of its URL map."""
    audits: list[EndpointAudit] = []
    for rule in app.url_map.iter_rules():
        received: tuple[Lines, str] | None = None
        if send and isinstance(app, flask.Flask):
            received = _received(app, rule)
        sent = received is not None
        if received is None:
            received = compiled_for(rule.endpoint, rule.rule).secure.lines, ""
        headers, body = received
        file, line = _location_of(app.view_functions.get(rule.endpoint))
        grade = grade_headers(headers, body=body)
        audits.append(
            EndpointAudit(rule.endpoint, rule.rule, headers, sent, grade, file, line)
        )
    return audits


def findings_of(audit: EndpointAudit) -> cabc.Iterator[Finding]:
    """Yield the findings that ask for a change, each at the view it is about."""
    for found in audit.grade.findings:
        level = Level.INFO if found.points == 0 else Level.WARNING
        if found.points <= 0:
            yield Finding(
                found.code,
                Level.ERROR if found.points <= _GRAVE else level,
                found.message,
                found.fix,
                subject=audit.rule,
                file=audit.file,
                line=audit.line or None,
                symbol=audit.endpoint,
                points=found.points,
            )


def _location_of(view: object) -> tuple[str, int]:
    """Return the file and line of a view below the working directory."""
    code: types.CodeType | None = getattr(
        inspect.unwrap(view) if callable(view) else None, "__code__", None
    )
    if code is None:
        return "", 0
    path = Path(code.co_filename)
    if not path.is_relative_to(Path.cwd()):
        return "", 0
    return path.relative_to(Path.cwd()).as_posix(), code.co_firstlineno


def _received(app: flask.Flask, rule: Rule) -> tuple[Lines, str] | None:
    if rule.arguments - set(rule.defaults or ()) or "GET" not in (rule.methods or ()):
        return None
    hosts = t.cast("cabc.Sequence[str]", app.config.get("TRUSTED_HOSTS") or ())
    base = f"https://{hosts[0].removeprefix('.')}" if hosts else _BASE_URL
    # Where errors propagate, as in debug mode, a view may raise anything. The headers
    # of the policy are then the best answer.
    with (
        contextlib.suppress(Exception),
        app.test_client().get(rule.rule, base_url=base) as response,
    ):
        is_page = response.mimetype == "text/html"
        body = response.get_data(as_text=True) if is_page else ""
        return tuple(response.headers.items()), body
    return None
