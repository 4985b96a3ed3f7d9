"""What ``flask doctor`` asks of the sessions of an app."""

from __future__ import annotations

import collections.abc as cabc
import ipaddress
from urllib.parse import urlsplit

from flaskware_core import Finding
from flaskware_core import Level

from ._cookie import SessionCookie
from ._memory import MemoryStore
from ._record import Lifetime
from ._settings import SessionSettings

_DAY = 24 * 3600 * 1000
_LONG_IDLE = 31 * _DAY
_LONG_ABSOLUTE = 180 * _DAY


def check_sessions(
    settings: SessionSettings,
    cookie: SessionCookie,
    lifetime: Lifetime,
    *,
    deploy: bool,
) -> cabc.Iterator[Finding]:
    """Yield what is worth telling about an app's sessions."""
    if not cookie.httponly:
        yield Finding(
            "session.cookie-httponly",
            Level.WARNING,
            "SESSION_COOKIE_HTTPONLY is off, so one injected script takes every"
            " visitor's session.",
            "SESSION_COOKIE_HTTPONLY = True",
        )
    if deploy:
        yield from _store(settings)
        yield from _cookie(cookie)
        yield from _lifetime(lifetime)


def _store(settings: SessionSettings) -> cabc.Iterator[Finding]:
    store = settings.store
    if isinstance(store, MemoryStore) or store == "memory://":
        yield Finding(
            "session.memory-store",
            Level.ERROR,
            "Sessions are kept in the memory of one process: with two workers people"
            " are signed in on one of them, and a restart signs everybody out.",
            'SESSION_STORE = "redis://…", or leave it out for SQLite',
        )
    if isinstance(store, str) and store.startswith("redis://"):
        host = urlsplit(store).hostname or "localhost"
        if not _is_local(host):
            yield Finding(
                "session.store-clear",
                Level.WARNING,
                f"Sessions travel to Redis on {host} unencrypted.",
                "rediss:// in SESSION_STORE; or silence this where the network is"
                " trusted",
            )


def _cookie(cookie: SessionCookie) -> cabc.Iterator[Finding]:
    if cookie.policy == "plain":
        yield Finding(
            "session.cookie-plain",
            Level.ERROR,
            'SESSION_COOKIE_POLICY is "plain": whoever listens on the network takes'
            " the session.",
            'SESSION_COOKIE_POLICY = "secure"',
        )
    elif cookie.secure_name == cookie.name and not cookie.name.startswith("__Host-"):
        yield Finding(
            "session.cookie-prefix",
            Level.INFO,
            "SESSION_COOKIE_DOMAIN or SESSION_COOKIE_PATH keeps the cookie from being"
            " named __Host-…, so another subdomain can set it.",
            "Remove the key, unless subdomains share the session on purpose.",
        )


def _lifetime(lifetime: Lifetime) -> cabc.Iterator[Finding]:
    if lifetime.idle > _LONG_IDLE or lifetime.absolute > _LONG_ABSOLUTE:
        yield Finding(
            "session.lifetime-long",
            Level.INFO,
            f"A session ends after {lifetime.idle // _DAY} days without use and"
            f" {lifetime.absolute // _DAY} days at the latest: so long a lost device"
            " stays signed in.",
            "SESSION_IDLE_TIMEOUT and SESSION_ABSOLUTE_TIMEOUT, in seconds",
        )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
