"""Hooks of every request: closures over what was resolved at start-up."""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t

import flask
from flask.sansio.app import App
from werkzeug.datastructures import Headers
from werkzeug.exceptions import Forbidden
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MisdirectedRequest
from werkzeug.sansio.response import Response

from flaskware_core import active_request
from flaskware_core import attach
from flaskware_secure._policy.cors import Cors
from flaskware_secure._policy.overrides import is_below

from .compiled import Compiled
from .isolation import is_forged
from .nonce import new_nonce
from .nonce import nonced_markup
from .nonce import NonceError
from .nonce import note_sent
from .nonce import private_cache_control
from .nonce import used_nonce
from .transport import claims_https
from .transport import is_loopback
from .transport import Redirection

logger = logging.getLogger("flaskware.secure")

R = t.TypeVar("R", bound=Response)
CompiledFor: t.TypeAlias = "cabc.Callable[[flask.Request], Compiled]"
# Quart's request has every attribute that is used here.
CurrentRequest: t.TypeAlias = cabc.Callable[[], flask.Request]


def redirect(
    app: App, current: CurrentRequest, redirection: Redirection
) -> cabc.Callable[[], object]:
    """Return a hook that redirects plain http to https, with its method and body."""

    def redirect_to_https() -> object:
        request = current()
        if request.is_secure or app.debug or app.testing:
            return None
        target = redirection.target(request.url, request.host)
        if target is None:
            return None
        if claims_https(request.headers):
            # Either the header is forged, or an https proxy in front is not trusted:
            # a redirect would then come back here forever.
            logger.error(
                "A request over http claims https in X-Forwarded-Proto or Forwarded,"
                " but no proxy is trusted. If a proxy is in front, add"
                " ProxyFix(app.wsgi_app, x_proto=1) with the real number of proxies."
            )
            raise MisdirectedRequest
        return app.redirect(target, 308)

    return redirect_to_https


def isolate(
    current: CurrentRequest,
    compiled_for: CompiledFor,
    trusted_origins: frozenset[str],
    *,
    enforce: bool,
) -> cabc.Callable[[], None]:
    """Return a hook that refuses forged requests from pages of other sites."""

    def refuse_cross_site() -> None:
        request = current()
        if not is_forged(request, compiled_for(request), trusted_origins):
            return
        logger.warning(
            "%s cross-site %s to endpoint %r from %r",
            "Refused a" if enforce else "Would refuse a",
            request.method,
            request.endpoint,
            request.headers.get("Origin", "an unknown origin")[:200],
        )
        if enforce:
            raise Forbidden(
                "This request comes from a page of another site, which may not send it."
            )

    return refuse_cross_site


def answer_preflight(
    app: App, current: CurrentRequest, compiled_for_method: cabc.Callable[..., Compiled]
) -> cabc.Callable[[], object]:
    """Return a hook that answers CORS preflights.

    :param compiled_for_method: Returns the compiled policy for another method.
    """

    respond: t.Any = app.response_class

    def preflight() -> object:
        request = current()
        if request.method != "OPTIONS":
            return None
        headers = request.headers
        origin = headers.get("Origin")
        method = headers.get("Access-Control-Request-Method")
        if origin is None or method is None:
            return None
        cors = compiled_for_method(request, method).policy.cors
        if cors is None:
            return None
        asked = headers.get("Access-Control-Request-Headers", "")
        refusal = cors.refusal(origin, method, asked)
        if refusal is not None:
            return respond(refusal, status=403, mimetype="text/plain")
        response = respond(status=204)
        response.headers.extend([*cors.lines(origin), *cors.preflight_lines()])
        return response

    return preflight


def add_headers(
    current: CurrentRequest, compiled_for: CompiledFor, removed: frozenset[str]
) -> cabc.Callable[[R], R]:
    """Return a hook that adds the headers that a response does not have.

    :param removed: Names, in lower case, of headers to remove.
    """

    def add(response: R) -> R:
        request = current()
        compiled = compiled_for(request)
        variant = compiled.secure if _over_https(request) else compiled.plain
        nonce = used_nonce(request)
        headers = response.headers
        unchanged = response.status_code == 304
        lines: cabc.Sequence[tuple[str, str]]
        if unchanged:
            lines = variant.not_modified
        elif nonce is None:
            lines = variant.lines
        else:
            lines = variant.with_nonce(nonce)
        names = compiled.names
        present = {lower for name, _ in headers if (lower := name.lower()) in names}
        if present:
            lines = [line for line in lines if line[0].lower() not in present]
            if "vary" in present:
                _vary(headers, compiled.vary)
            if nonce is not None and not unchanged and "cache-control" in present:
                _keep_private(headers)
            for name in present & removed:
                del headers[name]
        headers.extend(lines)
        if compiled.policy.cors is not None:
            headers.extend(_shared(request, headers, compiled.policy.cors))
        note_sent(request)
        return response

    return add


def nonce_function(compiled_for: CompiledFor) -> cabc.Callable[[], str]:
    """Return the function that templates call as ``csp_nonce()``."""

    def csp_nonce() -> str:
        request = active_request()
        if request is None:
            raise NonceError(
                "csp_nonce() was called outside a request, so no response would carry"
                " the nonce. Call it in a view or in a template that a view renders."
            )
        nonce = used_nonce(request)
        if nonce is None:
            nonce = new_nonce(request, taken=compiled_for(request).takes_nonce)
        return nonce

    return csp_nonce


def optional_nonce_function(compiled_for: CompiledFor) -> cabc.Callable[[], str | None]:
    """Return a function for the nonce of markup that is valid without a nonce too."""
    csp_nonce = nonce_function(compiled_for)

    def optional_nonce() -> str | None:
        request = active_request()
        if request is None or not compiled_for(request).takes_nonce:
            return None
        return csp_nonce()

    return optional_nonce


def add_nonces_below(
    app: App, current: CurrentRequest, compiled_for: CompiledFor, paths: tuple[str, ...]
) -> cabc.Callable[..., t.Any]:
    """Return a hook that gives the scripts and styles of some pages the nonce."""
    csp_nonce = optional_nonce_function(compiled_for)

    def nonce_for(response: Response) -> str | None:
        if response.mimetype != "text/html":
            return None
        path = current().path
        return csp_nonce() if any(is_below(path, each) for each in paths) else None

    # A stream is left alone: its headers are sent before its last element is made.

    def add(response: flask.Response) -> flask.Response:
        if not response.is_streamed and (nonce := nonce_for(response)) is not None:
            response.set_data(nonced_markup(response.get_data(as_text=True), nonce))
        return response

    if isinstance(app, flask.Flask):
        return add
    from quart import Response as QuartResponse

    async def add_in_quart(response: QuartResponse) -> QuartResponse:
        whole = isinstance(response.response, response.data_body_class)
        if whole and (nonce := nonce_for(response)) is not None:
            markup = await response.get_data(as_text=True)
            response.set_data(nonced_markup(markup, nonce))
        return response

    return add_in_quart


def attach_first(app: App, function: cabc.Callable[[], object]) -> None:
    """Attach a hook that runs before all hooks attached so far."""
    attach(app, "before_request", function)
    hooks = app.before_request_funcs[None]
    hooks.insert(0, hooks.pop())


def _vary(headers: Headers, names: cabc.Iterable[str]) -> None:
    """Add names to the ``Vary`` of a response."""
    given = ", ".join(headers.getlist("Vary"))
    known = {part.strip().lower() for part in given.split(",")}
    missing = [name for name in names if name.lower() not in known]
    if missing and "*" not in known:
        headers["Vary"] = ", ".join([given, *missing]) if given else ", ".join(missing)


def _keep_private(headers: Headers) -> None:
    private = private_cache_control(", ".join(headers.getlist("Cache-Control")))
    if private is not None:
        headers["Cache-Control"] = private


def _shared(
    request: flask.Request, headers: Headers, cors: Cors
) -> cabc.Iterable[tuple[str, str]]:
    if "Access-Control-Allow-Origin" in headers:  # a preflight, or the view itself
        return ()
    return cors.lines(request.headers.get("Origin"))


def _over_https(request: flask.Request) -> bool:
    if not request.is_secure:
        return False
    try:
        # A browser that took HSTS from a development server would refuse every other
        # server on this machine.
        return not is_loopback(request.host)
    except HTTPException:  # the host is not in TRUSTED_HOSTS
        return True
