"""Cookie flags, added to each ``Set-Cookie`` that leaves the app."""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t

from flask import Flask
from flask.sansio.app import App

from flaskware_core import attach

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.sansio.response import Response

logger = logging.getLogger("flaskware.secure")


def fixed_cookie(line: str, *, https: bool, readable: cabc.Container[str] = ()) -> str:
    """Return a ``Set-Cookie`` value with the flags that it should have.

    ``Secure`` if the response goes over https, ``HttpOnly``, ``SameSite=Lax`` if it
    has no ``SameSite``. Browsers refuse a ``__Host-`` or ``__Secure-`` cookie without
    the flags of its prefix (RFC 6265bis, section 4.1.3), so it gets these too.

    :param readable: Names of cookies that scripts of the page have to read.
    """
    pair, *rest = [part.strip() for part in line.split(";")]
    name = pair.partition("=")[0].strip()
    flags = {part.partition("=")[0].strip().lower(): part for part in rest if part}
    if name.lower().startswith("__host-"):
        flags.pop("domain", None)
        flags["path"] = "Path=/"
    if https or name.lower().startswith(("__host-", "__secure-")):
        flags.setdefault("secure", "Secure")
    if name not in readable:
        flags.setdefault("httponly", "HttpOnly")
    flags.setdefault("samesite", "SameSite=Lax")
    if flags["samesite"].lower().replace(" ", "") == "samesite=none" and not https:
        # Browsers refuse SameSite=None without Secure, and Secure over http.
        flags["samesite"] = "SameSite=Lax"
    return "; ".join([pair, *flags.values()])


def fix_cookies(app: App, readable: frozenset[str], *, enforce: bool) -> None:
    """Fix the flags of each cookie in an app's responses, or only log them.

    Flask sets the session's cookie after the hooks of a response, so this wraps the
    WSGI application, inside of any ``ProxyFix``.
    """

    def fix(line: str, *, https: bool) -> str:
        fixed = fixed_cookie(line, https=https, readable=readable)
        if enforce:
            return fixed
        if _parts(fixed) != _parts(line):
            name = line.partition("=")[0]
            logger.warning("The cookie %s lacks flags that it should have", name)
        return line

    if isinstance(app, Flask):
        t.cast("t.Any", app).wsgi_app = _wrapped(app.wsgi_app, fix)
        return

    def fix_response(response: Response) -> Response:
        import quart

        lines = response.headers.getlist("Set-Cookie")
        if lines:
            https = quart.request.is_secure
            response.headers.setlist(
                "Set-Cookie", [fix(line, https=https) for line in lines]
            )
        return response

    attach(app, "after_request", fix_response)


def _parts(line: str) -> set[str]:
    return {part.strip() for part in line.split(";")}


def _wrapped(inner: WSGIApplication, fix: cabc.Callable[..., str]) -> WSGIApplication:
    def application(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: t.Any = None
        ) -> t.Any:
            for name, _ in headers:
                if name == "Set-Cookie" or name.lower() == "set-cookie":
                    # ProxyFix changes the environ in place: this is its scheme.
                    https = environ["wsgi.url_scheme"] == "https"
                    headers = [
                        (n, fix(v, https=https) if n.lower() == "set-cookie" else v)
                        for n, v in headers
                    ]
                    break
            if exc_info is None:
                return start_response(status, headers)
            return start_response(status, headers, exc_info)

        return inner(environ, start)

    return application
