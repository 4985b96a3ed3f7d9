"""Checks of the session's cookie."""

from __future__ import annotations

import collections.abc as cabc
import datetime
import typing as t

from flask.sansio.app import App

from flaskware_core._findings.finding import Finding
from flaskware_core._findings.finding import Level

# Chromium keeps no cookie for longer (RFC 6265bis, section 5.5).
_LONGEST = datetime.timedelta(days=400)


def check_cookies(app: App, *, deploy: bool) -> cabc.Iterator[Finding]:
    """Yield the findings about the session's cookie."""
    yield from _refused_by_browsers(app)
    if app.config.get("SESSION_COOKIE_DOMAIN"):
        yield Finding(
            "core.cookie-domain",
            Level.INFO,
            "SESSION_COOKIE_DOMAIN sends the session cookie to every subdomain, and"
            " lets each of them set it.",
            "Remove it, unless the subdomains share the session on purpose.",
            asvs="3.3.3",
        )
    if app.permanent_session_lifetime > _LONGEST:
        yield Finding(
            "core.session-lifetime",
            Level.WARNING,
            f"PERMANENT_SESSION_LIFETIME is {app.permanent_session_lifetime.days} days:"
            " a stolen cookie signs somebody in for that long.",
            "PERMANENT_SESSION_LIFETIME = 604800 (seconds), or less.",
            asvs="7.3.2",
        )
    if deploy:
        yield from _flags(app)


def _refused_by_browsers(app: App) -> cabc.Iterator[Finding]:
    config = t.cast("cabc.Mapping[str, t.Any]", app.config)
    secure = config.get("SESSION_COOKIE_SECURE")
    if _samesite(config) == "none" and not secure:
        yield Finding(
            "core.cookie-none-insecure",
            Level.ERROR,
            "SESSION_COOKIE_SAMESITE is 'None' without SESSION_COOKIE_SECURE:"
            " browsers reject such a cookie, and nobody stays signed in.",
            "SESSION_COOKIE_SECURE = True",
            asvs="3.3.2",
        )
    name = str(config.get("SESSION_COOKIE_NAME") or "")
    path = config.get("SESSION_COOKIE_PATH") or config.get("APPLICATION_ROOT") or "/"
    wrong = [
        text
        for is_wrong, text in (
            (not secure, "SESSION_COOKIE_SECURE = True"),
            (
                name.startswith("__Host-") and path != "/",
                'SESSION_COOKIE_PATH = "/"',
            ),
            (
                name.startswith("__Host-") and config.get("SESSION_COOKIE_DOMAIN"),
                "SESSION_COOKIE_DOMAIN = None",
            ),
        )
        if is_wrong
    ]
    if name.startswith(("__Host-", "__Secure-")) and wrong:
        yield Finding(
            "core.cookie-prefix",
            Level.ERROR,
            f"The session cookie is named {name!r}, and browsers reject that name"
            " unless the cookie keeps the rules of its prefix: nobody stays signed in.",
            ", ".join(wrong),
            asvs="3.3.1",
        )


def _flags(app: App) -> cabc.Iterator[Finding]:
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
            asvs="3.3.1",
        )
    if not interface.get_cookie_httponly(app):
        yield Finding(
            "core.cookie-httponly",
            Level.WARNING,
            "SESSION_COOKIE_HTTPONLY is off, so a script on the page can read the"
            " session cookie.",
            "SESSION_COOKIE_HTTPONLY = True",
            asvs="3.3.4",
        )
    if not interface.get_cookie_samesite(app):
        yield Finding(
            "core.cookie-samesite",
            Level.WARNING,
            "SESSION_COOKIE_SAMESITE is not set, so each browser decides whether other"
            " sites may send the session cookie.",
            'SESSION_COOKIE_SAMESITE = "Lax"',
            asvs="3.3.2",
        )
    elif _samesite(app.config) == "none":
        yield Finding(
            "core.cookie-samesite-none",
            Level.WARNING,
            "SESSION_COOKIE_SAMESITE is 'None', so browsers send the session cookie"
            " with every request that another site causes.",
            'SESSION_COOKIE_SAMESITE = "Lax", unless pages of other sites show this'
            " app in a frame and keep people signed in.",
            asvs="3.3.2",
        )


def _samesite(config: cabc.Mapping[str, t.Any]) -> str:
    return str(config.get("SESSION_COOKIE_SAMESITE") or "").lower()
