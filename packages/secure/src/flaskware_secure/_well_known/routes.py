"""Routes below ``/.well-known/`` that the settings ask for."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t
from urllib.parse import urlsplit

from flask.sansio.app import App

if t.TYPE_CHECKING:
    import flask

SECURITY_TXT = "/.well-known/security.txt"
CHANGE_PASSWORD = "/.well-known/change-password"  # noqa: S105 # a path
ENDPOINTS = {
    SECURITY_TXT: "flaskware_secure.security_txt",
    CHANGE_PASSWORD: "flaskware_secure.change_password",
}
"""The endpoint of each path."""

Answer: t.TypeAlias = cabc.Callable[[], t.Any]

_ENDPOINT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# A browser takes a second slash, and a backslash for it, as the start of a host.
_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
_URL = re.compile(r"https://[\x21-\x5b\x5d-\x7e]+")


def is_endpoint(target: str) -> bool:
    """Return whether a target is the name of an endpoint: no path and no URL."""
    return _ENDPOINT.fullmatch(target) is not None


def is_target(target: str) -> bool:
    """Return whether a target can be redirected to, and is no route of this module."""
    if target in ENDPOINTS or target in ENDPOINTS.values():
        return False
    if _URL.fullmatch(target):
        try:
            return bool(urlsplit(target).hostname)
        except ValueError:
            return False
    return is_endpoint(target) or _PATH.fullmatch(target) is not None


def security_txt(app: App, text: str) -> Answer:
    """Return the view of ``security.txt``."""
    respond: t.Any = app.response_class
    # RFC 9116, section 3: text/plain in UTF-8, which Flask adds.
    return lambda: respond(text, mimetype="text/plain")


def change_password(
    app: App, target: str, current: cabc.Callable[[], flask.Request]
) -> Answer:
    """Return the view that redirects to the page for a change of the password.

    The status is one of those that W3C's "A Well-Known URL for Changing Passwords"
    allows; it is never stored, so a change of the setting counts at once.

    :param target: An endpoint, a path of the app, or an https address.
    """

    def view() -> t.Any:
        if target.startswith("https://"):
            return app.redirect(target, 302)
        if target.startswith("/"):
            return app.redirect(f"{current().root_path}{target}", 302)
        return app.redirect(t.cast("t.Any", app).url_for(target), 302)

    return view


def register(
    app: App, views: cabc.Mapping[str, Answer]
) -> cabc.Callable[[flask.Request], object]:
    """Register views by their paths.

    :return: A check that answers their requests. It runs before the hooks of others: a
        hook that sends everybody to a sign-in would hide them.
    """
    by_endpoint = {ENDPOINTS[path]: view for path, view in views.items()}
    for path, view in views.items():
        app.add_url_rule(path, ENDPOINTS[path], view, methods=["GET"])

    def answer(request: flask.Request) -> object:
        view = by_endpoint.get(request.endpoint or "")
        if view is None or request.method not in {"GET", "HEAD"}:
            return None
        return view()

    return answer
