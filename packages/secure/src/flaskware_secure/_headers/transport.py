"""Redirection from plain http to https."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import ipaddress
import typing as t
from urllib.parse import urlsplit

from werkzeug.sansio.utils import host_is_trusted

from flaskware_secure._policy.overrides import is_below


@dc.dataclass(frozen=True)
class Redirection:
    """Redirection from plain http to https.

    :param host: The host, with its port if any, that all requests go to.
    :param trusted_hosts: The hosts that a request may name and be redirected to; a
        leading dot stands for every subdomain.
    :param exempt: Paths that are served over http too, with all paths below them.
    """

    host: str | None
    trusted_hosts: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.host is not None or bool(self.trusted_hosts)

    def target(self, url: str, host: str) -> str | None:
        """Return the https address for a request, or ``None`` to serve it as it is.

        :param url: The address of the request.
        :param host: Its host, as the request names it.
        """
        if not self or is_loopback(host):
            return None
        parts = urlsplit(url)
        if any(is_below(parts.path, prefix) for prefix in self.exempt):
            return None
        if self.host is None and not host_is_trusted(host, self.trusted_hosts):
            return None
        # The port is that of http; https listens on another, 443 unless `host` names
        # its port.
        target = self.host or _without_port(host)
        return parts._replace(scheme="https", netloc=target).geturl()


@functools.lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Return whether a host, with or without a port, is this machine itself."""
    name = _without_port(host).rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def claims_https(headers: cabc.Mapping[str, str] | t.Any) -> bool:
    """Return whether the headers of a proxy, perhaps forged, claim https."""
    claimed = f"{headers.get('X-Forwarded-Proto', '')},{headers.get('Forwarded', '')}"
    words = claimed.lower().replace('"', "").replace(";", ",").replace(" ", "")
    return any(word in {"https", "proto=https"} for word in words.split(","))


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
