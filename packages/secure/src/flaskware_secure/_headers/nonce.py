"""The nonce of a request: made on first use, the same until the request ends."""

from __future__ import annotations

import collections.abc as cabc
import copy
import re
import secrets
import typing as t

from werkzeug.sansio.response import Response
from werkzeug.wrappers import Response as WaitingResponse

from flaskware_secure._policy.inline import inline_code
from flaskware_secure._policy.inline import linked_origins
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
_PAGE = "_flaskware_secure_page"
# A policy with one of these decides on such code itself.
_DECIDED = {
    "script-src-attr": frozenset({"script-src-attr"}),
    "style-src": frozenset({"style-src-attr", "style-src-elem"}),
}
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
    page = whole_body(response)
    if page is not None:
        t.cast("t.Any", again).set_data(page.replace(rendered.encode(), nonce.encode()))
    again.__dict__[_RENDERED] = nonce
    return again


def whole_body(response: Response) -> bytes | None:
    """Return the body of a response, or ``None`` if it is a stream.

    An app of Quart answers with responses of Quart, and with those of Werkzeug where it
    shows an error.
    """
    if isinstance(response, WaitingResponse):
        return None if response.is_streamed else response.get_data()
    # Quart's own get_data() is awaited, also for a body that is there already.
    body = t.cast("t.Any", response).response
    return t.cast("bytes | None", getattr(body, "data", None))


def nonced_markup(markup: str, nonce: str) -> str:
    """Return markup with a nonce on each script, style and link that has none."""
    # Without quotes: a script may hold such an element in a quoted string.
    return _ELEMENT.sub(rf"<\1 nonce={nonce}", markup)


def note_page(request: object, markup: str) -> None:
    """Note what a page of another package needs besides the nonce.

    An attribute such as ``onclick`` takes no nonce, so the policy of the page names the
    hash of each. Where it guards something, as "Delete this?" does, it must not be
    blocked alone: of a page with more than 32 all are allowed.

    Scripts of such pages make styles that take no nonce either, and load fonts of their
    style sheets. Their markup gets the nonce wherever it comes from, so styles without
    one give away nothing more.
    """
    codes = inline_code(markup)
    hashes = [code.source for code in codes if code.directive == "script-src-attr"]
    sheets = linked_origins(markup, "stylesheet")
    request.__dict__[_PAGE] = {
        "script-src-attr": _handlers(list(dict.fromkeys(hashes))),
        "style-src": ["'unsafe-inline'", *sheets],
        "font-src": ["data:", *sheets],
        "img-src": linked_origins(markup, "icon"),
    }


def _handlers(hashes: list[str]) -> list[str]:
    if len(hashes) > _MOST_HASHES:
        return ["'unsafe-inline'"]
    return ["'unsafe-hashes'", *hashes] if hashes else []


def with_page(
    lines: cabc.Sequence[tuple[str, str]], request: object, nonce: str
) -> cabc.Sequence[tuple[str, str]]:
    """Return header lines that allow what was noted of a page.

    Only a policy with the nonce is changed. Its directives for attributes or for
    elements alone are kept.
    """
    noted: dict[str, list[str]] | None = request.__dict__.get(_PAGE)
    if not noted:
        return lines
    return [
        (name, _allowing(value, noted) if f"'nonce-{nonce}'" in value else value)
        for name, value in lines
    ]


def _allowing(policy: str, noted: cabc.Mapping[str, cabc.Sequence[str]]) -> str:
    directives = parse_csp(policy)
    for directive, sources in noted.items():
        governing = directives.get(directive.removesuffix("-attr"))
        if governing is None:
            governing = directives.get("default-src")
        decided = _DECIDED.get(directive, frozenset()) & directives.keys()
        if not sources or decided or not governing or _allows_all(governing):
            continue
        if directive == "script-src-attr":
            directives[directive] = tuple(sources)
        else:
            kept = [each for each in governing if not _is_exact(each)]
            directives[directive] = tuple(dict.fromkeys([*kept, *sources]))
    return "; ".join(" ".join([name, *each]) for name, each in directives.items())


def _is_exact(source: str) -> bool:
    """Return whether a source stands for one piece of code, or for nothing."""
    return source == "'none'" or source.startswith(("'nonce-", "'sha"))


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
