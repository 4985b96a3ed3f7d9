"""Collector of reports: the endpoint that browsers send them to, and its signals."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses as dc
import ipaddress
import logging
import threading
import time
import typing as t
from urllib.parse import urlsplit

import flask
from blinker import Namespace
from flask.sansio.app import App
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.sansio.request import Request

from .report import CSP_REPORT
from .report import parse_reports
from .report import Report
from .report import ReportError
from .report import REPORTS_JSON
from .store import ReportStore
from .store import ReportStoreError

logger = logging.getLogger("flaskware.secure")
BLUEPRINT = "flaskware_secure"
ENDPOINT = f"{BLUEPRINT}.reports"

# Browsers cut samples at 40 characters; longer reports quote a policy of many hosts.
_LONGEST_BODY = 64 * 1024
_WINDOW = 60.0  # seconds
_signals = Namespace()

report_collected = _signals.signal("flaskware-secure-report-collected")
"""Sent by the app with ``report``, a :class:`Report`, once it is stored."""

report_dropped = _signals.signal("flaskware-secure-report-dropped")
"""Sent by the app with ``reason``: ``"rate"``, ``"noise"`` or ``"foreign"``."""


class RateLimit:
    """Count the requests of each client in a minute.

    :param per_minute: Number of requests of a client that pass in a minute.
    :param max_clients: Number of clients that are remembered, to bound the memory; the
        client not seen for longest is forgotten first.
    """

    def __init__(self, per_minute: int, max_clients: int = 4096) -> None:
        self._per_minute = per_minute
        self._max_clients = max_clients
        self._clients: collections.OrderedDict[str, tuple[float, int]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def allows(self, address: str | None, now: float) -> bool:
        """Count a request; return whether it is within the limit."""
        client = _client(address)
        with self._lock:
            start, count = self._clients.pop(client, (now, 0))
            if now - start >= _WINDOW or now < start:
                start, count = now, 0
            self._clients[client] = start, count + 1
            if len(self._clients) > self._max_clients:
                self._clients.popitem(last=False)
        return count < self._per_minute


def _client(address: str | None) -> str:
    """Return an address; of IPv6, the network that one customer gets."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


@dc.dataclass(frozen=True)
class Collector:
    """Check and store the reports that an app receives.

    :param origins: Origins beside the app's own whose pages may report.
    """

    store: ReportStore
    limit: RateLimit
    origins: frozenset[str] = frozenset()
    now: cabc.Callable[[], float] = time.time

    def admits(self, sender: App, request: Request) -> bool:
        """Return whether to read the body of a request.

        :raises UnsupportedMediaType: for another type than those of reports.
        :raises RequestEntityTooLarge: for a body that is too long by its own account.
        """
        if not self.limit.allows(request.remote_addr, self.now()):
            report_dropped.send(sender, reason="rate")
            return False
        if request.mimetype not in {CSP_REPORT, REPORTS_JSON}:
            raise UnsupportedMediaType(f"Reports are {CSP_REPORT} or {REPORTS_JSON}.")
        if (request.content_length or 0) > _LONGEST_BODY:
            raise RequestEntityTooLarge
        return True

    def take(self, sender: App, request: Request, body: bytes) -> None:
        """Store the reports of a body.

        :raises BadRequest: for a body that holds no report.
        :raises ServiceUnavailable: if the store does not answer.
        """
        if len(body) > _LONGEST_BODY:
            raise RequestEntityTooLarge
        try:
            reports = parse_reports(request.mimetype, body)
        except ReportError as error:
            raise BadRequest(str(error)) from None
        for report in reports:
            if (reason := self._unwanted(report, request.host)) is not None:
                report_dropped.send(sender, reason=reason)
                continue
            try:
                self.store.add(report, self.now())
            except ReportStoreError as error:
                logger.error("A report is lost: %s", error)
                raise ServiceUnavailable("Reports cannot be stored now.") from None
            report_collected.send(sender, report=report)

    def _unwanted(self, report: Report, host: str) -> str | None:
        if report.is_noise:
            return "noise"
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
            request.max_content_length = _LONGEST_BODY + 1
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
