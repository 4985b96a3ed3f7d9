"""Rate limit of each client."""

from __future__ import annotations

import collections
import ipaddress
import threading

_WINDOW = 60.0


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
