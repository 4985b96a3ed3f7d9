"""The nonce of a request: made on first use, the same until the request ends."""

from __future__ import annotations

import collections.abc as cabc
import copy
import re
import secrets
import typing as t

from werkzeug.sansio.response import Response

from flaskware_secure._policy.inline import inline_code
from flaskware_secure._policy.parsing import parse_csp

R = t.TypeVar("R", bound=Response)

# CSP3, section 7.1: at least 128 bits.
_BYTES = 16
# A style sheet of another site is a link.
_ELEMENT = re.compile(
    r"<(script|style|link)(?=[\s/>])(?![^>]*\snonce\s*=)", re.IGNORECASE
)
_NONCE = "_flaskware_secure_nonce"
_RENDERED = "_flaskware_secure_rendered"
_SENT = "_flaskware_secure_sent"
_ATTRIBUTES = "_flaskware_secure_attributes"
_OF_ATTRIBUTES = frozenset({"script-src-attr", "style-src-attr"})
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


def nonced_markup(markup: str, nonce: str) -> str:
    """Return markup with a nonce on each script, style and link that has none."""
    # Without quotes: a script may hold such an element in a quoted string.
    return _ELEMENT.sub(rf"<\1 nonce={nonce}", markup)


def note_attributes(request: object, markup: str) -> None:
    """Note the code in attributes of a page, such as ``onclick`` and ``style``.

    An attribute takes no nonce, so the policy of the page names the hash of each. Where
    a handler guards something, as "Delete this?" does, it must not be blocked alone: of
    a page with more than 32 different handlers all are allowed, and so with styles.
    """
    found: dict[str, dict[str, None]] = {}
    for code in inline_code(markup):
        if code.directive in _OF_ATTRIBUTES:
            found.setdefault(code.directive, {})[code.source] = None
    request.__dict__[_ATTRIBUTES] = {
        directive: "'unsafe-inline'"
        if len(hashes) > _MOST_HASHES
        else " ".join(["'unsafe-hashes'", *hashes])
        for directive, hashes in found.items()
    }


def with_attributes(
    lines: cabc.Sequence[tuple[str, str]], request: object, nonce: str
) -> cabc.Sequence[tuple[str, str]]:
    """Return header lines that allow the attributes that were noted.

    Only a policy with the nonce is changed, and none that decides on such attributes
    itself or allows inline styles anyway.
    """
    noted: dict[str, str] | None = request.__dict__.get(_ATTRIBUTES)
    if not noted:
        return lines
    return [
        (name, _allowing(value, noted) if f"'nonce-{nonce}'" in value else value)
        for name, value in lines
    ]


def _allowing(policy: str, noted: cabc.Mapping[str, str]) -> str:
    directives = parse_csp(policy)
    for directive, sources in noted.items():
        whole = directives.get(directive.removesuffix("-attr"))
        governing = directives.get("default-src") if whole is None else whole
        if directive not in directives and governing and not _allows_all(governing):
            policy = f"{policy}; {directive} {sources}"
    return policy


def _allows_all(sources: cabc.Sequence[str]) -> bool:
    """Return whether sources allow all inline code (CSP3, section 6.7.3.2)."""
    exact = any(source.startswith(("'nonce-", "'sha")) for source in sources)
    return "'unsafe-inline'" in sources and not exact


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
