"""Isolation from requests that pages of other sites make a browser send."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import flask
from flask.sansio.app import App

from flaskware_core import request_origin

from .compiled import Compiled

if t.TYPE_CHECKING:
    from werkzeug.sansio.request import Request

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# Elements that show a document inside a page; frame-ancestors decides on frames.
_EMBEDS = frozenset({"object", "embed"})
_WEBSOCKETS = frozenset({"ws", "wss"})
_OTHERS = frozenset({"cross-site", "same-site"})
_ALLOWED = "Access-Control-Allow-Origin"
_COOKIES = "Access-Control-Allow-Credentials"
# Nobody's site: who allows it allows every site.
_STRANGER = "https://stranger.invalid"


def may_be_forged(request: Request) -> bool:
    """Return whether a request needs a closer look; most do not."""
    if request.method not in _SAFE:
        return True
    headers = request.headers
    if headers.get("Sec-Fetch-Site") in _OTHERS or "Upgrade" in headers:
        return True
    return request.scheme in _WEBSOCKETS


def is_safe(request: Request) -> bool:
    """Return whether a request only reads, as its method says.

    A websocket opens by a GET with the user's cookies, and then sends what it likes. No
    rule of CORS and not every browser's ``Sec-Fetch-Site`` covers it; ``Origin`` does
    (RFC 6455, section 10.2).
    """
    return request.method in _SAFE and not _opens_websocket(request)


def _opens_websocket(request: Request) -> bool:
    # In Quart the scheme shows it: over HTTP/2 there is no such header (RFC 8441).
    if request.scheme in _WEBSOCKETS:
        return True
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _is_sandboxed(request: Request) -> bool:
    """Return whether a page without an origin, as in a sandbox, opens a websocket.

    On other requests ``Origin: null`` may stand for the app's own page, by its
    ``Referrer-Policy``; here it never does (WHATWG Fetch, "append a request Origin
    header").
    """
    return _opens_websocket(request) and request.headers.get("Origin") == "null"


def is_forged(
    request: Request,
    compiled: Compiled,
    trusted_origins: frozenset[str],
    *,
    same_site: bool = False,
) -> bool:
    """Return whether a page of another site made a browser send what it may not.

    This is the resource isolation policy of W3C Fetch Metadata. Other sites may
    navigate here by GET, send what the endpoint's CORS allows, and send anything to
    endpoints with ``cross_site``. Without ``Sec-Fetch-Site``, ``Origin`` decides, and
    only for methods that change something: on a GET, ``Referer`` names every page with
    a link.

    A browser gives a page what it loads only if ``Cross-Origin-Resource-Policy`` allows
    that. A request is refused exactly where the browser would block the response.

    :param same_site: True if other hosts of the same site count as other sites.
    """
    safe = is_safe(request)
    if safe and _may_load(request, compiled):
        return False
    others = _OTHERS if same_site or safe else {"cross-site"}
    origin_is = request_origin(request, trusted_origins)
    if origin_is not in others and not _is_sandboxed(request):
        return False
    if compiled.cross_site:
        return False
    origin = request.headers.get("Origin")
    cors = compiled.policy.cors
    if cors is None or origin is None or not cors.allows(origin):
        return True
    # All may read it, but not change it with a user's cookies.
    return not safe and "*" in cors.origins


def _may_load(request: Request, compiled: Compiled) -> bool:
    """Return whether a page of another host may load the answer to a safe request."""
    headers = request.headers
    site = headers.get("Sec-Fetch-Site")
    if site not in _OTHERS:
        return True
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in headers:
        return True  # a preflight changes nothing, and its answer is only headers
    if (
        request.method in {"GET", "HEAD"}
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") not in _EMBEDS
    ):
        return True
    corp = compiled.policy.corp
    if site == "same-site":
        return corp != "same-origin"
    return corp == "cross-origin"


def remedy_for(request: flask.Request) -> str:
    """Return what to write if other sites are meant to send such a request."""
    if is_safe(request):
        write = 'corp="cross-origin"), or cors=Cors(origins=(…,)'
    else:
        write = "cross_site=True"
    return (
        "If other sites are meant to send it, such as a sign-in or payment provider,"
        f" write @secure.override({write}) below the route of {request.endpoint!r}."
    )


def takes_from_elsewhere(
    request: flask.Request, compiled: Compiled, shared_by_others: Sharing
) -> bool:
    """Return whether a page of another site may change something by design.

    That is an endpoint with ``cross_site``, and an origin that CORS names; with cookies
    only if it allows credentials.
    """
    if compiled.cross_site:
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    cookies = bool(request.cookies)
    cors = compiled.policy.cors
    if cors is not None and "*" not in cors.origins and cors.allows(origin):
        return cors.credentials or not cookies
    return shared_by_others(request, cookies=cookies)


class Sharing(t.Protocol):
    """Function that returns whether Flask-CORS allows a request's origin."""

    def __call__(self, request: flask.Request, *, cookies: bool = False) -> bool:
        """Return whether it does; with ``cookies``, whether it allows them too."""
        ...


def other_sharing(app: App) -> Sharing:
    """Return a function that asks Flask-CORS whether it allows a request's origin.

    Its hooks are asked for an answer, as they would add it to the response, since it
    keeps its settings nowhere. It answers an origin by name also where it allows every
    origin; what changes something then stays refused.
    """

    def hooks(request: flask.Request) -> list[cabc.Callable[..., t.Any]]:
        names = (*request.blueprints, None)
        return [
            hook
            for name in names
            for hook in app.after_request_funcs.get(name, ())
            if hook.__module__.partition(".")[0] == "flask_cors"
        ]

    def allowed(
        found: list[cabc.Callable[..., t.Any]], *, cookies: bool = False
    ) -> bool:
        response = flask.Response()
        for hook in found:
            response = hook(response)
        headers = response.headers
        return _ALLOWED in headers and (not cookies or _COOKIES in headers)

    def shared(request: flask.Request, *, cookies: bool = False) -> bool:
        if not isinstance(app, flask.Flask) or "Origin" not in request.headers:
            return False
        found = hooks(request)
        if not found or not allowed(found, cookies=cookies):
            return False
        if is_safe(request):
            return True
        with app.test_request_context(request.path, headers={"Origin": _STRANGER}):
            return not allowed(found)

    return shared
