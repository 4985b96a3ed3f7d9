"""Isolation from requests that pages of other sites make a browser send."""

from __future__ import annotations

import typing as t

from flaskware_core import request_origin

from .compiled import Compiled

if t.TYPE_CHECKING:
    from werkzeug.sansio.request import Request

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# Elements that show a document inside a page; frame-ancestors decides on frames.
_EMBEDS = frozenset({"object", "embed"})


def is_forged(
    request: Request, compiled: Compiled, trusted_origins: frozenset[str]
) -> bool:
    """Return whether a page of another site made a browser send what it may not.

    This is the resource isolation policy of W3C Fetch Metadata. Other sites may
    navigate here by GET, send what the endpoint's CORS allows, and send anything to
    endpoints with ``cross_site``. Without ``Sec-Fetch-Site``, ``Origin`` decides, and
    only for methods that change something: on a GET, ``Referer`` names every page with
    a link.
    """
    headers = request.headers
    safe = request.method in _SAFE
    if safe:
        if headers.get("Sec-Fetch-Site") != "cross-site":
            return False
        if (
            request.method in {"GET", "HEAD"}
            and headers.get("Sec-Fetch-Mode") == "navigate"
            and headers.get("Sec-Fetch-Dest") not in _EMBEDS
        ):
            return False
        if compiled.policy.corp == "cross-origin":
            return False
    if request_origin(request, trusted_origins) != "cross-site":
        return False
    if compiled.cross_site:
        return False
    origin = headers.get("Origin")
    cors = compiled.policy.cors
    if cors is None or origin is None or not cors.allows(origin):
        return True
    # All may read it, but not change it with a user's cookies.
    return not safe and "*" in cors.origins
