"""Collector of reports: the endpoint that browsers send them to, and its signals."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import hashlib
import time
import typing as t
from urllib.parse import urlsplit

import flask
from blinker import Namespace
from flask.sansio.app import App
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.sansio.request import Request

from .buffer import ReportBuffer
from .limits import LONGEST_BODY
from .limits import network_of
from .limits import ReportLimit
from .report import CSP_REPORT
from .report import parse_reports
from .report import Report
from .report import ReportError
from .report import REPORTS_JSON

BLUEPRINT = "flaskware_secure"
ENDPOINT = f"{BLUEPRINT}.reports"

_signals = Namespace()

report_collected = _signals.signal("flaskware-secure-report-collected")
"""Sent by the app with ``report``, a :class:`Report`, once it is taken."""

report_dropped = _signals.signal("flaskware-secure-report-dropped")
"""Sent by the app with ``reason``.

``"rate"``: over a limit; ``"noise"``: an extension of the browser did it;
``"foreign"``: about a page of another host; ``"malformed"``: no browser writes that.
"""


@dc.dataclass(frozen=True)
class Collector:
    """Check the reports that an app receives, and hand them to the buffer.

    :param key: The key of the tags of clients: no address is kept.
    :param origins: Origins beside the app's own whose pages may report.
    """

    buffer: ReportBuffer
    limit: ReportLimit
    key: bytes = b""
    origins: frozenset[str] = frozenset()
    now: cabc.Callable[[], float] = time.time

    def admits(self, sender: App, request: Request) -> bool:
        """Return whether to read the body of a request.

        :raises UnsupportedMediaType: for another type than those of reports.
        :raises RequestEntityTooLarge: for a body that is too long by its own account.
        """
        if request.mimetype not in {CSP_REPORT, REPORTS_JSON}:
            raise UnsupportedMediaType(f"Reports are {CSP_REPORT} or {REPORTS_JSON}.")
        length = request.content_length
        if (length or 0) > LONGEST_BODY:
            raise RequestEntityTooLarge
        # Without a length, the body may be as long as is read.
        size = LONGEST_BODY if length is None else length
        now = self.now()
        if not self.limit.admits(network_of(request.remote_addr), size, now):
            self.buffer.lose("rate", 1, unread_at=now)
            report_dropped.send(sender, reason="rate")
            return False
        return True

    def take(self, sender: App, request: Request, body: bytes) -> None:
        """Take the reports of a body.

        :raises BadRequest: for a body that holds no report.
        """
        if len(body) > LONGEST_BODY:
            raise RequestEntityTooLarge
        try:
            reports = parse_reports(request.mimetype, body)
        except ReportError as error:
            raise BadRequest(str(error)) from None
        now, wanted = self.now(), list[Report]()
        for report in reports:
            reason = self._unwanted(report, request.host)
            if reason is None:
                wanted.append(report)
            else:
                report_dropped.send(sender, reason=reason)
        network = network_of(request.remote_addr)
        granted = self.limit.take(network, len(wanted), now)
        client = self._tag(request.remote_addr)
        for report in wanted[:granted]:
            self.buffer.add(report, client, now)
            report_collected.send(sender, report=report)
        self._refuse(sender, wanted[granted:], now)

    def _refuse(self, sender: App, reports: list[Report], now: float) -> None:
        if not reports:
            return
        self.buffer.lose("rate", len(reports))
        # A violation counts, however many other reports were sent along.
        if any(r.kind == "csp" and r.disposition == "report" for r in reports):
            self.buffer.saw_trial(now)
        report_dropped.send(sender, reason="rate")

    def _tag(self, address: str | None) -> str:
        network = network_of(address, ipv6_prefix=48).encode()
        return hashlib.blake2b(network, key=self.key, digest_size=5).hexdigest()

    def _unwanted(self, report: Report, host: str) -> str | None:
        if report.is_noise:
            return "noise"
        if not report.is_plausible:
            return "malformed"
        try:
            parts = urlsplit(report.document)
        except ValueError:
            return "foreign"  # no address that a page of the app could have
        if parts.netloc == host or f"{parts.scheme}://{parts.netloc}" in self.origins:
            return None
        return "foreign"


def register(app: App, collector: Collector, path: str) -> None:
    """Register the blueprint that takes reports."""
    if isinstance(app, flask.Flask):
        _register_flask(app, collector, path)
    else:
        _register_quart(app, collector, path)


def _register_flask(app: flask.Flask, collector: Collector, path: str) -> None:
    def collect() -> tuple[str, int]:
        request = flask.request
        if collector.admits(app, request):
            # One byte more: reading stops at the limit without an error.
            request.max_content_length = LONGEST_BODY + 1
            collector.take(app, request, request.get_data(cache=False))
        return "", 204

    def collect_first() -> tuple[str, int] | None:
        # Browsers send no CSRF token with a report, so this runs before any check
        # for a token.
        return collect() if flask.request.endpoint == ENDPOINT else None

    blueprint = flask.Blueprint(BLUEPRINT, "flaskware_secure")
    blueprint.add_url_rule(path, "reports", collect, methods=["POST"])
    app.register_blueprint(blueprint)
    app.before_request_funcs.setdefault(None, []).insert(0, collect_first)


def _register_quart(app: App, collector: Collector, path: str) -> None:
    import quart

    async def collect() -> tuple[str, int]:
        request: t.Any = quart.request
        if collector.admits(app, request):
            collector.take(app, request, await request.get_data(cache=False))
        return "", 204

    blueprint = quart.Blueprint(BLUEPRINT, "flaskware_secure")
    blueprint.add_url_rule(path, "reports", collect, methods=["POST"])
    t.cast("quart.Quart", app).register_blueprint(blueprint)
