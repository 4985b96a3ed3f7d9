"""The nonce of a request: made on first use, the same until the request ends."""

from __future__ import annotations

import collections.abc as cabc
import copy
import functools
import logging
import re
import secrets
import typing as t

import flask
from flask.sansio.app import App
from werkzeug.sansio.response import Response

from flaskware_core import active_request
from flaskware_secure._policy.inline import inline_code

logger = logging.getLogger("flaskware.secure")

R = t.TypeVar("R", bound=Response)

# CSP3, section 7.1: at least 128 bits.
_BYTES = 16
_ELEMENT = re.compile(r"<(script|style)(?=[\s/>])(?![^>]*\snonce\s*=)", re.IGNORECASE)
_NONCE = "_flaskware_secure_nonce"
_RENDERED = "_flaskware_secure_rendered"
_GUARDED = "_flaskware_secure_guarded"
_SENT = "_flaskware_secure_sent"
_HANDLERS = "_flaskware_secure_handlers"
# More hashes than this may be too long for the buffer that a proxy has for headers.
_MOST_HASHES = 32


class NonceError(RuntimeError):
    """A nonce was asked for where none can take effect."""


def used_nonce(request: object) -> str | None:
    """Return the nonce that a request has used, or ``None``."""
    nonce: str | None = request.__dict__.get(_NONCE)
    return nonce


def note_sent(request: object) -> None:
    """Note that the headers of the response are complete."""
    request.__dict__[_SENT] = True


def new_nonce(request: t.Any, *, taken: bool) -> str:
    """Make the nonce of a request that has none.

    :param taken: True if a directive of the request's policy takes a nonce.
    :raises NonceError: if none does, or the headers are already complete.
    """
    if not taken:
        raise NonceError(
            f"The policy of the endpoint {request.endpoint!r} has no directive that"
            " takes a nonce, so a browser would ignore it. Add \"'nonce'\" to its"
            " script-src or style-src, or leave csp_nonce() out of the page."
        )
    if _SENT in request.__dict__:
        raise NonceError(
            "csp_nonce() was first called after the headers were made, in a response"
            " that is streamed and no page of HTML. Call csp_nonce() once in the view,"
            " before the response is returned."
        )
    nonce = secrets.token_urlsafe(_BYTES)
    request.__dict__[_NONCE] = nonce
    return nonce


def was_rendered(response: object) -> bool:
    """Return whether a response object has the nonce of a request in its page."""
    return _RENDERED in response.__dict__


def renonced(response: R, request: object) -> R:
    """Return a response whose page has the nonce of this request.

    A view may return one response object many times. Its page has the nonce of the
    request that rendered it, so it is copied and gets another: the object knows that
    this nonce is its own, and that nobody could have written it into the page.
    """
    nonce = used_nonce(request)
    rendered: str | None = response.__dict__.get(_RENDERED)
    if rendered is None or rendered == nonce:
        if nonce is not None:
            response.__dict__[_RENDERED] = nonce
        return response
    if nonce is None:
        nonce = request.__dict__[_NONCE] = secrets.token_urlsafe(_BYTES)
    again = copy.copy(response)
    again.headers = type(response.headers)(response.headers)
    page: bytes = t.cast("t.Any", response).get_data()
    t.cast("t.Any", again).set_data(page.replace(rendered.encode(), nonce.encode()))
    again.__dict__[_RENDERED] = nonce
    return again


def keep_out_of_caches(app: App) -> None:
    """Have Flask-Caching store nothing that contains the nonce of a request.

    The next visitor would get a page with scripts that the browser blocks. Its
    backends take whatever a view returned, and have no hook to refuse it.
    """
    extensions: cabc.Mapping[str, t.Any] = app.extensions
    backends = extensions.get("cache")
    if not isinstance(backends, dict):
        return
    for backend in t.cast("dict[object, t.Any]", backends).values():
        if _GUARDED not in getattr(backend, "__dict__", {_GUARDED: True}):
            backend.__dict__[_GUARDED] = True
            for method in ("set", "add"):
                setattr(backend, method, _refusing_nonces(getattr(backend, method)))


def _refusing_nonces(store: cabc.Callable[..., t.Any]) -> cabc.Callable[..., t.Any]:
    @functools.wraps(store)
    def refuse_or_store(key: str, value: object, *args: t.Any, **kw: t.Any) -> t.Any:
        request = active_request()
        nonce = None if request is None else used_nonce(request)
        if nonce is not None and _contains(value, nonce):
            logger.info(
                "%s is not cached: it has the nonce of this request. Cache parts of a"
                " page that have none.",
                key,
            )
            return False
        return store(key, value, *args, **kw)

    return refuse_or_store


def _contains(value: object, nonce: str) -> bool:
    """Return whether what a view returned has a nonce in its text."""
    if isinstance(value, str):
        return nonce in value
    if isinstance(value, bytes):
        return nonce.encode() in value
    if isinstance(value, tuple | list):
        parts = t.cast("cabc.Sequence[object]", value)
        return any(_contains(each, nonce) for each in parts)
    if isinstance(value, flask.Response) and not value.is_streamed:
        return nonce.encode() in value.get_data()
    return False


def nonced_markup(markup: str, nonce: str) -> str:
    """Return markup with a nonce on each script and style that has none."""
    # Without quotes: a script may hold such an element in a quoted string.
    return _ELEMENT.sub(rf"<\1 nonce={nonce}", markup)


def note_handlers(request: object, markup: str) -> None:
    """Note the handlers in the markup of a page, such as ``onclick``.

    A handler takes no nonce, so the policy of the page names the hash of each. Where a
    handler guards something, as "Delete this?" does, it must not be blocked alone: of
    a page with more than 32 different handlers all are allowed.
    """
    found = dict.fromkeys(
        code.source
        for code in inline_code(markup)
        if code.directive == "script-src-attr"
    )
    if len(found) > _MOST_HASHES:
        request.__dict__[_HANDLERS] = "'unsafe-inline'"
    elif found:
        request.__dict__[_HANDLERS] = " ".join(["'unsafe-hashes'", *found])


def with_handlers(
    lines: cabc.Sequence[tuple[str, str]], request: object, nonce: str
) -> cabc.Sequence[tuple[str, str]]:
    """Return header lines that allow the handlers that were noted.

    Only a policy with the nonce is changed, and none that decides on handlers itself.
    """
    sources: str | None = request.__dict__.get(_HANDLERS)
    if sources is None:
        return lines
    return [
        (name, f"{value}; script-src-attr {sources}")
        if f"'nonce-{nonce}'" in value and "script-src-attr" not in value
        else (name, value)
        for name, value in lines
    ]


def private_cache_control(value: str) -> str | None:
    """Return ``Cache-Control`` for a page with a nonce; ``None`` to keep the value.

    A shared cache would give the nonce of one visitor to all, and to an attacker.
    """
    if not value:
        return "private"
    parts = [part.strip() for part in value.split(",")]
    names = [part.partition("=")[0].lower() for part in parts]
    if "private" in names or "no-store" in names:
        return None
    shared = {"public", "s-maxage", "proxy-revalidate"}
    kept = [part for part, name in zip(parts, names, strict=True) if name not in shared]
    return ", ".join([*kept, "private"])
