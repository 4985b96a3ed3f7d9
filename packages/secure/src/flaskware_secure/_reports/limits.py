"""Limits of the reports that one client, and all together, may send."""

from __future__ import annotations

import collections
import dataclasses as dc
import ipaddress
import threading

# Browsers cut samples at 40 characters; longer reports quote a policy of many hosts.
LONGEST_BODY = 64 * 1024
_BYTES = 4096
_WINDOW = 60.0  # seconds

# No library: limits, which Flask-Limiter uses, counts hits and not bytes, and asks a
# shared storage for each. Here a process bounds its own work.


@dc.dataclass
class _Window:
    start: float
    reports: int = 0
    size: int = 0

    def at(self, now: float) -> _Window:
        """Return this window, or the next window if a minute is over."""
        expired = now - self.start >= _WINDOW or now < self.start
        return _Window(now) if expired else self


class ReportLimit:
    """Limit of reports and bytes in a minute, for each client and for the process.

    For each report that is allowed, 4 KiB may be sent, and at least one longest body.

    :param per_client: Number of reports that a client may send in a minute.
    :param per_process: Number that all clients together may send to this process.
    :param max_clients: Number of clients that are remembered, to bound the memory; the
        client not seen for longest is forgotten first.
    """

    def __init__(
        self, per_client: int, per_process: int, max_clients: int = 4096
    ) -> None:
        self._per_client = per_client
        self._per_process = per_process
        self._max_clients = max_clients
        self._clients: collections.OrderedDict[str, _Window] = collections.OrderedDict()
        self._all = _Window(0.0)
        self._lock = threading.Lock()

    def admits(self, client: str, size: int, now: float) -> bool:
        """Count a body; return whether to read it.

        :param size: Its length in bytes.
        """
        with self._lock:
            own, common = self._windows(client, now)
            if _is_full(own, self._per_client, size):
                return False
            if _is_full(common, self._per_process, size):
                return False
            own.size += size
            common.size += size
            return True

    def take(self, client: str, wanted: int, now: float) -> int:
        """Count reports; return how many of those wanted are within the limits."""
        with self._lock:
            own, common = self._windows(client, now)
            granted = min(
                wanted,
                self._per_client - own.reports,
                self._per_process - common.reports,
            )
            own.reports += granted
            common.reports += granted
            return granted

    def _windows(self, client: str, now: float) -> tuple[_Window, _Window]:
        own = self._clients.pop(client, _Window(now)).at(now)
        self._clients[client] = own
        if len(self._clients) > self._max_clients:
            self._clients.popitem(last=False)
        self._all = self._all.at(now)
        return own, self._all


def _is_full(window: _Window, reports: int, size: int) -> bool:
    most = max(LONGEST_BODY, reports * _BYTES)
    return window.reports >= reports or window.size + size > most


def network_of(address: str | None, ipv6_prefix: int = 64) -> str:
    """Return an address; of IPv6, the network that one customer gets.

    :param ipv6_prefix: Length of that network: 64 for a household's, 48 for all that
        one customer may have (RFC 6177).
    """
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, ipv6_prefix), strict=False))
