"""Checks of an app's own configuration, for ``flask doctor``."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import flask
from flask.sansio.app import App
from werkzeug.middleware.proxy_fix import ProxyFix

from flaskware_core._findings.finding import Finding
from flaskware_core._findings.finding import Level

Config: t.TypeAlias = cabc.Mapping[str, t.Any]

_MAKE_KEY = "python -c 'import secrets; print(secrets.token_hex())'"
# 128 bits, the least that RFC 4086 section 8 and OWASP ASVS call unguessable, as hex
_SHORT_KEY = 32
_PLACEHOLDERS = (
    "changeme", "change-me", "change me", "default", "dev", "development", "flask",
    "insecure", "key", "my secret key", "mysecretkey", "password", "s3cr3t", "secret",
    "secret key", "secret-key", "secret_key", "secretkey", "super secret key",
    "supersecret", "super-secret", "test", "testing", "todo", "you-will-never-guess",
)  # fmt: skip


def check_app(app: App, *, deploy: bool) -> cabc.Iterator[Finding]:
    """Yield the findings about an app's own configuration."""
    config: Config = app.config
    yield from _secret_key(config)
    yield from _cookie_scope(config)
    yield from _body_limits(config)
    if deploy:
        yield from _modes(app)
        yield from _cookie_flags(app)
        yield from _hosts(app, config)


def _secret_key(config: Config) -> cabc.Iterator[Finding]:
    key = config.get("SECRET_KEY")
    if not key:
        yield Finding(
            "core.secret-key-missing",
            Level.ERROR,
            "SECRET_KEY is not set, so nothing can be signed: sessions, CSRF tokens"
            " and cursors fail.",
            f"Set SECRET_KEY to the output of: {_MAKE_KEY}",
        )
    else:
        yield from _key_strength("SECRET_KEY", "core.secret-key", key)
    for index, fallback in enumerate(config.get("SECRET_KEY_FALLBACKS") or ()):
        name = f"SECRET_KEY_FALLBACKS[{index}]"
        if fallback == key:
            yield Finding(
                "core.secret-key-fallback-same",
                Level.WARNING,
                f"{name} equals SECRET_KEY, so the key was not rotated.",
                "Generate a new SECRET_KEY, or remove the fallback.",
            )
        yield from _key_strength(name, "core.secret-key-fallback", fallback)


def _key_strength(name: str, id: str, key: str | bytes) -> cabc.Iterator[Finding]:
    text = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    if text.lower().strip() in _PLACEHOLDERS:
        yield Finding(
            f"{id}-placeholder",
            Level.ERROR,
            f"{name} is a placeholder that anyone can guess, and with it sign"
            " any session.",
            f"Set it to the output of: {_MAKE_KEY}",
        )
    elif len(text) < _SHORT_KEY or len(set(text)) < _SHORT_KEY // 4:
        yield Finding(
            f"{id}-short",
            Level.WARNING,
            f"{name} has {len(text)} characters, {len(set(text))} of them different;"
            " a key that short can be found by trying.",
            f"Set it to the output of: {_MAKE_KEY}",
        )


def _cookie_scope(config: Config) -> cabc.Iterator[Finding]:
    samesite = config.get("SESSION_COOKIE_SAMESITE")
    if samesite == "None" and not config.get("SESSION_COOKIE_SECURE"):
        yield Finding(
            "core.cookie-none-insecure",
            Level.ERROR,
            "SESSION_COOKIE_SAMESITE is 'None' without SESSION_COOKIE_SECURE:"
            " browsers reject such a cookie, and nobody stays signed in.",
            "SESSION_COOKIE_SECURE = True",
        )
    if config.get("SESSION_COOKIE_DOMAIN"):
        yield Finding(
            "core.cookie-domain",
            Level.INFO,
            "SESSION_COOKIE_DOMAIN sends the session cookie to every subdomain, and"
            " lets each of them set it.",
            "Remove it, unless the subdomains share the session on purpose.",
        )


def _body_limits(config: Config) -> cabc.Iterator[Finding]:
    limits = (
        ("MAX_CONTENT_LENGTH", "core.body-limit", "a body of any size is read", 16),
        (
            "MAX_FORM_MEMORY_SIZE",
            "core.form-memory-limit",
            "a form field of any size is kept in memory",
            1,
        ),
    )
    for key, id, consequence, mebibytes in limits:
        if config.get(key) is None:
            yield Finding(
                id,
                Level.WARNING,
                f"{key} is not set, so {consequence}.",
                f"{key} = {mebibytes} * 1024 * 1024",
            )
    if config.get("MAX_FORM_PARTS") is None:
        yield Finding(
            "core.form-parts-limit",
            Level.WARNING,
            "MAX_FORM_PARTS is None, so a multipart form may have any number of parts.",
            "MAX_FORM_PARTS = 1000",
        )


def _modes(app: App) -> cabc.Iterator[Finding]:
    if app.debug:
        yield Finding(
            "core.debug",
            Level.ERROR,
            "Debug mode is on: its console runs any code for anyone who finds the PIN.",
            "Start without --debug, and unset FLASK_DEBUG.",
        )
    if app.testing:
        yield Finding(
            "core.testing",
            Level.ERROR,
            "TESTING is on, which turns protections off.",
            "TESTING = False",
        )


def _cookie_flags(app: App) -> cabc.Iterator[Finding]:
    # The app's session interface has the last word: a replacement of Flask's may
    # send a flag that no key asks for.
    interface: t.Any = getattr(app, "session_interface", None)
    if interface is None:
        return
    if not interface.get_cookie_secure(app):
        yield Finding(
            "core.cookie-secure",
            Level.WARNING,
            "SESSION_COOKIE_SECURE is off, so the session cookie is also sent"
            " unencrypted over http.",
            "SESSION_COOKIE_SECURE = True",
        )
    if not interface.get_cookie_httponly(app):
        yield Finding(
            "core.cookie-httponly",
            Level.WARNING,
            "SESSION_COOKIE_HTTPONLY is off, so a script on the page can read the"
            " session cookie.",
            "SESSION_COOKIE_HTTPONLY = True",
        )
    if not interface.get_cookie_samesite(app):
        yield Finding(
            "core.cookie-samesite",
            Level.WARNING,
            "SESSION_COOKIE_SAMESITE is not set, so each browser decides whether other"
            " sites may send the session cookie.",
            'SESSION_COOKIE_SAMESITE = "Lax"',
        )


def _hosts(app: App, config: Config) -> cabc.Iterator[Finding]:
    if not config.get("TRUSTED_HOSTS"):
        yield Finding(
            "core.trusted-hosts",
            Level.WARNING,
            "TRUSTED_HOSTS is not set, so a request may name any host, and links built"
            " from it, for example in an email, lead there.",
            'TRUSTED_HOSTS = ["www.example.org"]',
        )
    wsgi_app = getattr(app, "wsgi_app", None)
    if isinstance(app, flask.Flask) and not _has_proxy_fix(wsgi_app):
        yield Finding(
            "core.proxy",
            Level.INFO,
            "The app has no ProxyFix: behind a proxy, the scheme, host and client"
            " address it sees are the proxy's.",
            "Behind a proxy, write app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1,"
            " x_proto=1), with the actual number of proxies.",
        )


def _has_proxy_fix(wsgi_app: object) -> bool:
    # Middleware keeps the app it wraps in an attribute, usually named `app`.
    for _ in range(20):
        if isinstance(wsgi_app, ProxyFix):
            return True
        wsgi_app = getattr(wsgi_app, "app", getattr(wsgi_app, "wsgi_app", None))
        if wsgi_app is None:
            return False
    return False
