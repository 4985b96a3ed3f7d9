"""Checks of ``flask doctor`` for the sessions of an app."""

from __future__ import annotations

import collections.abc as cabc
import ipaddress
from urllib.parse import urlsplit

import flask

from flaskware_core import closest
from flaskware_core import Finding
from flaskware_core import Level

from ._errors import StoreUnavailable
from ._records.record import Lifetime
from ._settings import Preset
from ._settings import PRESETS
from ._settings import SessionSettings
from ._stores.memcached import MemcachedStore
from ._stores.memory import MemoryStore
from ._stores.protocol import Store
from ._stores.redis.store import RedisStore
from ._web.cookie import SessionCookie

# How to encrypt the connection to each kind of server.
_TLS = {
    "redis": "rediss://",
    "valkey": "valkeys://",
    "postgresql": "?sslmode=verify-full",
    "mysql": "?ssl_ca=…",
    "mariadb": "?ssl_ca=…",
    "memcached": "a tunnel to this host",
}
_TLS_WORDS = ("sslmode=require", "sslmode=verify", "ssl_ca", "ssl=")
_DAY = 24 * 3600 * 1000
# The longest that OWASP's Session Management Cheat Sheet recommends: 15 to 30 minutes
# without use where little is at stake, 4 to 8 hours in all.
_OWASP_IDLE = _DAY // 48
_OWASP_ABSOLUTE = _DAY // 3
_LONG_IDLE = 31 * _DAY
_LONG_ABSOLUTE = 180 * _DAY


def check_sessions(
    settings: SessionSettings,
    store: Store,
    cookie: SessionCookie,
    lifetime: Lifetime,
    *,
    remembers_in_clear: bool,
    can_sign: bool,
    deploy: bool,
) -> cabc.Iterator[Finding]:
    """Yield findings about an app's sessions.

    :param remembers_in_clear: Whether Flask-Login's remember cookie is sent over http.
    :param can_sign: Whether the app has a secret key.
    """
    if not cookie.httponly:
        yield Finding(
            "session.cookie-httponly",
            Level.WARNING,
            "SESSION_COOKIE_HTTPONLY is off, so one injected script takes every"
            " visitor's session.",
            "SESSION_COOKIE_HTTPONLY = True",
        )
    if deploy:
        yield from _store(settings, store)
        yield from _cookie(cookie)
        yield from _lifetime(settings, lifetime)
        if not can_sign:
            yield from _unsigned(settings, store)
        if remembers_in_clear:
            yield Finding(
                "session.remember-cookie",
                Level.WARNING,
                "Flask-Login sends its remember cookie over plain http too, where"
                " anyone who listens can take it and sign in.",
                "REMEMBER_COOKIE_SECURE = True",
            )


def check_devices(app: flask.Flask) -> cabc.Iterator[Finding]:
    """Yield findings about the page of devices, if the app has it."""
    blueprint = app.blueprints.get("flaskware_session")
    if blueprint is None:
        return
    from ._devices.names import has_parser
    from ._devices.page import DeviceBlueprint

    if not isinstance(blueprint, DeviceBlueprint):
        return
    confirm = blueprint.options.confirm
    if isinstance(confirm, str) and confirm not in app.view_functions:
        yield Finding(
            "session.devices-confirm",
            Level.ERROR,
            f"devices_page() sends users to confirm at {confirm!r}, and the app has no"
            " such endpoint.",
            _confirm_remedy(confirm, app),
        )
    if not has_parser():
        yield Finding(
            "session.devices-names",
            Level.INFO,
            "The page of devices shows the User-Agent as the browser sent it, as"
            " ua-parser is not installed.",
            "pip install 'flaskware-session[devices]'",
        )


def _confirm_remedy(confirm: str, app: flask.Flask) -> str:
    near = closest(confirm, app.view_functions)
    return f"confirm={near or 'the endpoint of a view'!r}"


def _store(settings: SessionSettings, store: Store) -> cabc.Iterator[Finding]:
    if isinstance(store, MemoryStore):
        yield Finding(
            "session.memory-store",
            Level.ERROR,
            "Sessions are kept in the memory of one process: with two workers people"
            " are signed in on one of them, and a restart signs everybody out.",
            'SESSION_STORE = "redis://…", or leave it out for SQLite',
        )
    if isinstance(settings.store, str):
        yield from _clear_transport(settings.store)
    if isinstance(store, MemcachedStore):
        yield Finding(
            "session.store-forgets",
            Level.WARNING,
            "memcached removes sessions when its memory is full, and everybody's when"
            " it restarts. Revoked sessions stay revoked.",
            "another SESSION_STORE; or silence this where that may happen",
        )
    if isinstance(store, RedisStore):
        yield from _eviction(store)


def _unsigned(settings: SessionSettings, store: Store) -> cabc.Iterator[Finding]:
    share = settings.visitor_share
    if share == 0 or (share and isinstance(store, RedisStore | MemcachedStore)):
        yield Finding(
            "session.visitors-key",
            Level.WARNING,
            "The app has no SECRET_KEY, so that new visitors have no session once the"
            f" store is {share:.0%} full (SESSION_VISITOR_SHARE).",
            "SECRET_KEY, such as the output of: python -c 'import secrets;"
            " print(secrets.token_hex())'",
        )


def _clear_transport(url: str) -> cabc.Iterator[Finding]:
    scheme = url.partition("://")[0]
    parts = urlsplit(url)
    hosts = [
        (urlsplit(f"//{place}").hostname or "localhost")
        for place in parts.netloc.rpartition("@")[2].split(",")
    ]
    remote = [host for host in hosts if not _is_local(host)]
    if not remote:
        return
    remedy = _TLS.get(scheme.partition("+")[0])
    if remedy is None or any(word in parts.query for word in _TLS_WORDS):
        return
    yield Finding(
        "session.store-clear",
        Level.WARNING,
        f"Sessions travel to {remote[0]} unencrypted.",
        f"{remedy} in SESSION_STORE; or silence this where the network is trusted",
    )


def _eviction(store: RedisStore) -> cabc.Iterator[Finding]:
    try:
        policy, restores = store.eviction_policy(), store.restores_snapshots()
    except StoreUnavailable:
        return  # the check of connections reports it
    # Every session expires, so that the volatile policies drop them as well.
    if policy not in {None, "noeviction"}:
        yield Finding(
            "session.redis-evicts",
            Level.WARNING,
            f"Redis has the maxmemory-policy {policy}: when its memory is full it"
            " removes sessions that are in use, and signs users out. Revoked sessions"
            " stay revoked.",
            "maxmemory-policy noeviction, or a Redis of its own for sessions",
        )
    if restores:
        yield Finding(
            "session.redis-restores",
            Level.WARNING,
            "Redis saves its memory now and then, and keeps no log: after a crash it"
            " goes back to the last save, and what was revoked since is valid again.",
            'appendonly yes; or save "", so that a crash signs everybody out',
        )


def _cookie(cookie: SessionCookie) -> cabc.Iterator[Finding]:
    if cookie.policy == "plain":
        yield Finding(
            "session.cookie-plain",
            Level.ERROR,
            'SESSION_COOKIE_POLICY is "plain": anyone who listens on the network can'
            " take the session.",
            'SESSION_COOKIE_POLICY = "secure"',
        )
    elif not cookie.secure_name.startswith("__Host-"):
        yield Finding(
            "session.cookie-prefix",
            Level.INFO,
            "SESSION_COOKIE_DOMAIN or SESSION_COOKIE_PATH keeps the cookie from being"
            " named __Host-…, so another subdomain can set it.",
            "Remove the key, unless subdomains share the session on purpose.",
        )


def _lifetime(settings: SessionSettings, lifetime: Lifetime) -> cabc.Iterator[Finding]:
    if settings.preset is not None:
        yield from _against_preset(settings.preset, lifetime)
        return
    is_chosen = None not in {settings.idle_timeout, settings.absolute_timeout}
    is_long = lifetime.idle > _OWASP_IDLE or lifetime.absolute > _OWASP_ABSOLUTE
    if is_long and not is_chosen:
        yield Finding(
            "session.lifetime-default",
            Level.WARNING,
            f"A session ends after {_text(lifetime.idle)} without use and"
            f" {_text(lifetime.absolute)} at the latest, by default. OWASP recommends"
            " 30 minutes and 8 hours at most, or a decision that is written down.",
            'SESSION_PRESET = "owasp", or both SESSION_IDLE_TIMEOUT and'
            " SESSION_ABSOLUTE_TIMEOUT, in seconds",
        )
    elif lifetime.idle > _LONG_IDLE or lifetime.absolute > _LONG_ABSOLUTE:
        yield Finding(
            "session.lifetime-long",
            Level.INFO,
            f"A session ends after {_text(lifetime.idle)} without use and"
            f" {_text(lifetime.absolute)} at the latest: so long a lost device"
            " stays signed in.",
            "SESSION_IDLE_TIMEOUT and SESSION_ABSOLUTE_TIMEOUT, in seconds",
        )


def _against_preset(preset: Preset, lifetime: Lifetime) -> cabc.Iterator[Finding]:
    wanted = PRESETS[preset]
    longer = [
        key
        for key, found, most in (
            ("SESSION_IDLE_TIMEOUT", lifetime.idle, wanted.idle),
            ("SESSION_ABSOLUTE_TIMEOUT", lifetime.absolute, wanted.absolute),
        )
        if found > most.total_seconds() * 1000
    ]
    if longer:
        yield Finding(
            "session.lifetime-preset",
            Level.WARNING,
            f"{' and '.join(longer)} is longer than SESSION_PRESET = {preset!r} allows"
            f" ({wanted.source}).",
            "Remove the key; the preset sets it.",
        )


def _text(milliseconds: int) -> str:
    hours = milliseconds / (3600 * 1000)
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
