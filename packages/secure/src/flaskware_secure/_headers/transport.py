"""Redirection from plain http to https."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import ipaddress
import logging
import re
import typing as t
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.sansio.utils import host_is_trusted

from flaskware_secure._policy.overrides import is_below

# Names below these never have a certificate that a browser accepts by itself (RFC 6761,
# RFC 6762, RFC 8375 and what networks at home and at work use).
_PRIVATE_DOMAINS = frozenset(
    {
        "arpa", "corp", "home", "internal", "intranet", "invalid", "lan", "local",
        "localdomain", "localhost", "private", "test",
    }
)  # fmt: skip
_NAME = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+([a-z]{2,}|xn--[a-z0-9-]+)\.?")
# A proxy adds these to what it passes on.
_OF_PROXIES = ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via")

# Messages may hold what a client made up, and must not fill the memory.
_MOST = 500


@dc.dataclass(frozen=True)
class OnceLogger:
    """A logger that writes each message once."""

    logger: logging.Logger
    seen: set[tuple[object, ...]] = dc.field(default_factory=set[tuple[object, ...]])

    def warning(self, message: str, *args: object) -> None:
        """Log a warning, unless it was logged before."""
        self.write(logging.WARNING, message, *args)

    def error(self, message: str, *args: object) -> None:
        """Log an error, unless it was logged before."""
        self.write(logging.ERROR, message, *args)

    def write(self, level: int, message: str, *args: object) -> None:
        """Log a message at a level, unless it was logged before."""
        entry = (message, *args)
        if entry not in self.seen and len(self.seen) < _MOST:
            self.seen.add(entry)
            self.logger.log(level, message, *args)


@dc.dataclass(frozen=True)
class Redirection:
    """Redirection from plain http to https.

    :param host: The host, with its port if any, that all requests go to.
    :param trusted_hosts: The hosts that a request may name and be redirected to; a
        leading dot stands for every subdomain.
    :param exempt: Paths that are served over http too, with all paths below them.
    :param on: False to redirect nothing.
    """

    host: str | None
    trusted_hosts: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    on: bool = True

    @property
    def knows_hosts(self) -> bool:
        """True if the configuration names the hosts of the app."""
        return self.host is not None or bool(self.trusted_hosts)

    def target(self, url: str, host: str) -> str | None:
        """Return the https address for a request, or ``None`` to serve it as it is.

        :param url: The address of the request.
        :param host: Its host, as the request names it.
        """
        if not self.on or (self.host is None and is_loopback(host)):
            return None
        parts = urlsplit(url)
        if any(is_below(parts.path, prefix) for prefix in self.exempt):
            return None
        if self.host is None:
            trusted = self.trusted_hosts
            if not (host_is_trusted(host, trusted) if trusted else is_public(host)):
                return None
        # The port is that of http; https listens on another, 443 unless `host` names
        # its port.
        target = self.host or _without_port(host)
        return parts._replace(scheme="https", netloc=target).geturl()


@functools.lru_cache(maxsize=256)
def is_public(host: str) -> bool:
    """Return whether a host, with or without a port, is a name of the public DNS."""
    name = _without_port(host).lower()
    if _NAME.fullmatch(name) is None:
        return False
    return name.rstrip(".").rpartition(".")[2] not in _PRIVATE_DOMAINS


def asks_for_page(request: t.Any) -> bool:
    """Return whether a browser that came over plain http asks for a page.

    Browsers send ``Sec-Fetch-Site`` over https only (W3C Fetch Metadata, section 2): a
    request that has it came by https to a proxy that did not say so, and a redirect
    would come back here forever.
    """
    headers = request.headers
    return (
        request.method in {"GET", "HEAD"}
        and "text/html" in headers.get("Accept", "")
        and "Sec-Fetch-Site" not in headers
    )


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


def is_local(request: t.Any) -> bool:
    """Return whether a request comes from this machine itself, by its peer.

    A browser that took HSTS from a development server would refuse every other server
    on this machine. The host that a request names does not count where a proxy is in
    between: a proxy that does not pass it on names this machine in every request.
    """
    peer: str = request.remote_addr or ""
    if not is_loopback(peer):
        return False
    headers = request.headers
    if _is_passed_on(request):
        # The last proxy adds the address that it was asked from.
        client = headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        return is_loopback(client)
    try:
        return is_loopback(request.host)
    except HTTPException:  # the host is not in TRUSTED_HOSTS
        return False


def _is_passed_on(request: t.Any) -> bool:
    """Return whether a proxy passed a request on: it adds one of these headers."""
    environ: cabc.Container[str] | None = getattr(request, "environ", None)
    if environ is None:  # Quart
        return any(name in request.headers for name in _OF_PROXIES)
    # Written out: this is in the way of every request from this machine.
    return (
        "HTTP_X_FORWARDED_FOR" in environ
        or "HTTP_X_FORWARDED_PROTO" in environ
        or "HTTP_FORWARDED" in environ
        or "HTTP_VIA" in environ
    )


def claims_https(headers: cabc.Mapping[str, str] | t.Any) -> bool:
    """Return whether the headers of a proxy, perhaps forged, claim https."""
    claimed = f"{headers.get('X-Forwarded-Proto', '')},{headers.get('Forwarded', '')}"
    words = claimed.lower().replace('"', "").replace(";", ",").replace(" ", "")
    return any(word in {"https", "proto=https"} for word in words.split(","))


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
