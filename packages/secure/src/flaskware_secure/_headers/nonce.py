"""The nonce of a request: made on first use, the same until the request ends."""

from __future__ import annotations

import re
import secrets
import typing as t

# CSP3, section 7.1: at least 128 bits.
_BYTES = 16
_ELEMENT = re.compile(r"<(script|style)(?=[\s/>])(?![^>]*\snonce\s*=)", re.IGNORECASE)
_NONCE = "_flaskware_secure_nonce"
_SENT = "_flaskware_secure_sent"


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
            " that is streamed or in a hook that runs later. Call csp_nonce() once in"
            " the view, before the response is returned."
        )
    nonce = secrets.token_urlsafe(_BYTES)
    request.__dict__[_NONCE] = nonce
    return nonce


def nonced_markup(markup: str, nonce: str) -> str:
    """Return markup with a nonce on each script and style that has none."""
    # Without quotes: a script may hold such an element in a quoted string.
    return _ELEMENT.sub(rf"<\1 nonce={nonce}", markup)


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
