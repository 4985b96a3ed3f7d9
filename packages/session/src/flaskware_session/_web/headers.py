"""Headers about a session: the bearer token of a client, and what caches may keep.

A client of an API sends the id as `Authorization: Bearer` (RFC 6750). Werkzeug has a
parser of `Authorization`, but it builds an object, and this is asked in every request.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from werkzeug.sansio.request import Request
from werkzeug.sansio.response import Response

from flaskware_session._records.token import is_token

Caching: t.TypeAlias = t.Literal["auto", "no-store", "private"] | None

# The back button shows what a browser has stored without asking, whatever "no-cache"
# says: RFC 9111, section 6, leaves history to browsers. It shows nothing where nothing
# was stored; OWASP ASVS 5.0, 14.3.2, asks for that too.
_NO_STORE = "no-store"
_PRIVATE = "private, no-cache"

# The header with the id that a client is to send from now on.
_HANDED_OUT = "Session-Token"

_SCHEME = "bearer "
_VARIES = ("Authorization", "Cookie")


def is_bearer(request: Request) -> bool:
    """Return whether a request carries a bearer token, of whatever form.

    Its cookie then counts for nothing, even if the token is none of ours: otherwise a
    header that says nothing would make a request with a cookie look safe from CSRF.
    """
    value = request.headers.get("Authorization")
    return value is not None and value[: len(_SCHEME)].lower() == _SCHEME


def read_bearer(request: Request) -> cabc.Sequence[str]:
    """Return the id that a request with a bearer token carries, if it has the form."""
    token = request.headers.get("Authorization", "")[len(_SCHEME) :].strip()
    return (token,) if is_token(token) else ()


def hand_out(response: Response, token: str) -> None:
    """Hand the client the id to send from now on."""
    response.headers[_HANDED_OUT] = token


def vary_by_credential(response: Response, *, bearer: bool) -> None:
    """Note that a response depends on who asks.

    :param bearer: Whether a bearer token counts too.
    """
    names = _VARIES if bearer else _VARIES[1:]
    # Mostly there is none yet, and a set need not be made of it.
    if "Vary" in response.headers:
        response.vary.update(names)
    else:
        response.headers["Vary"] = ", ".join(names)


def limit_caching(
    response: Response, caching: Caching, *, is_signed_in: bool, has_id: bool
) -> None:
    """Say what caches may keep of a response, unless its view did.

    :param has_id: Whether the response hands out or removes an id, which a cache would
        hand to somebody else.
    """
    if "Cache-Control" in response.headers or (caching is None and not has_id):
        return
    is_secret = caching == "no-store" or (caching == "auto" and is_signed_in)
    value = _NO_STORE if has_id or is_secret else _PRIVATE
    response.headers["Cache-Control"] = value
