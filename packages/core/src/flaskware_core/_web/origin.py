"""The origin of a request, by the headers of its browser, and what signs it in."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from urllib.parse import urlsplit

from flask.sansio.app import App
from werkzeug.sansio.request import Request

from .current import current_app_object

RequestOrigin: t.TypeAlias = t.Literal[
    "same-origin", "same-site", "cross-site", "none", "unknown"
]

Credential: t.TypeAlias = t.Literal["cookie", "header"]

_FETCH_SITES: dict[str, RequestOrigin] = {
    "same-origin": "same-origin",
    "same-site": "same-site",
    "cross-site": "cross-site",
    "none": "none",
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Websockets have schemes of their own; the page that opens them has one of these.
_PAGES = {"ws": "http", "wss": "https"}


def request_origin(
    request: Request, trusted_origins: cabc.Collection[str] = ()
) -> RequestOrigin:
    """Return how the origin of a request relates to the app's own.

    ``Sec-Fetch-Site`` decides if the browser sends it (W3C Fetch Metadata: no script
    can forge it; it is sent to HTTPS and to localhost only). Otherwise ``Origin``,
    then ``Referer`` (RFC 6454, RFC 9110), is compared with the scheme, host and port
    of the request. ``Origin: null`` is ignored: under ``Referrer-Policy:
    no-referrer`` a page sends it to its own origin too (WHATWG Fetch, "append a
    request Origin header").

    :param trusted_origins: Other origins, such as ``"https://app.example"``, that
        count as ``"same-origin"``.
    :return: ``"none"`` for requests that the user started (address bar, bookmark),
        ``"unknown"`` if no header decides. Without ``Sec-Fetch-Site`` another host
        is ``"cross-site"``, since only a list of public suffixes could show that
        two hosts are the same site.
    """
    headers = request.headers
    claimed = headers.get("Origin")
    if claimed is not None and claimed != "null" and trusted_origins:
        origin = parse_origin(claimed)
        if origin is not None and origin in trusted_origins:
            return "same-origin"
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site in _FETCH_SITES:
        return _FETCH_SITES[site]
    if claimed is None or claimed == "null":
        claimed = headers.get("Referer")
    if not claimed:
        return "unknown"
    origin = parse_origin(claimed)
    scheme = _PAGES.get(request.scheme, request.scheme)
    own = parse_origin(f"{scheme}://{request.host}")
    if origin is not None and (origin == own or origin in trusted_origins):
        return "same-origin"
    return "cross-site"


def parse_origin(url: str) -> str | None:
    """Return the origin of a URL in its serialized form (RFC 6454), or ``None``.

    It is in lower case, without a default port and without a path.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is None or port == _DEFAULT_PORTS[parts.scheme]:
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{port}"


@t.runtime_checkable
class CredentialSource(t.Protocol):
    """A session interface that knows how a request is signed in.

    An app may have another session interface, such as Flask's own: it is asked only if
    it has this method.
    """

    def credential_of(self, request: Request) -> Credential | None:
        """Return which credential of a request counts; the other must be ignored.

        It is asked before a session is read, so it must neither read one nor wait.
        """
        ...


def request_credential(
    request: Request, *, app: App | None = None
) -> Credential | None:
    """Return by which credential the app's sessions sign a request in.

    A browser adds a cookie by itself, also to a request that another site caused, so
    that such a request needs protection against CSRF. It never adds a header with a
    token, so that one with a token needs none.

    The app's session interface knows, if it is a :class:`CredentialSource`. That is
    how extensions ask each other without an import.

    :param app: By default the current app.
    :return: ``"cookie"``; ``"header"`` if cookies are ignored; ``None`` if there is
        neither, or the session interface does not know.
    """
    app = current_app_object() if app is None else app
    source: object = getattr(app, "session_interface", None)
    if isinstance(source, CredentialSource):
        return source.credential_of(request)
    return None
