"""Whether a request from another site is let in, and what it is answered."""

from __future__ import annotations

import typing as t

from flaskware_core import request_origin

from .compiled import Compiled

if t.TYPE_CHECKING:
    from werkzeug.sansio.request import Request

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# A page that plays a document in itself; frames are for frame-ancestors to decide.
_EMBEDS = frozenset({"object", "embed"})


def is_forged(
    request: Request, compiled: Compiled, trusted_origins: frozenset[str]
) -> bool:
    """Whether a page of another site made a browser send what it may not.

    The resource isolation policy of W3C Fetch Metadata: from other sites come
    top-level navigations by GET, what the endpoint's CORS allows, and what it is
    marked for. A browser that sends no ``Sec-Fetch-Site`` is judged by ``Origin``
    and only where something would be changed: on a GET, ``Referer`` names every page
    with a link.
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
    # What everybody may read is not for everybody to change with a user's cookies.
    return not safe and "*" in cors.origins
