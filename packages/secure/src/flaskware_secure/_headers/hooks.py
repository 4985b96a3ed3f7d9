"""Hooks of every request: closures over what was resolved at start-up."""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t

import flask
from flask.sansio.app import App
from markupsafe import Markup
from werkzeug.exceptions import Forbidden
from werkzeug.exceptions import MisdirectedRequest
from werkzeug.sansio.response import Response

from flaskware_core import active_request
from flaskware_core import attach
from flaskware_core import current_app_object
from flaskware_core import keep_out_of_caches
from flaskware_core import note_refusal
from flaskware_core import request_getter
from flaskware_secure._policy.overrides import is_below

from .compiled import Compiled
from .edge import CompiledFor
from .edge import note_refused
from .isolation import is_forged
from .isolation import may_be_forged
from .isolation import other_sharing
from .isolation import remedy_for
from .nonce import new_nonce
from .nonce import nonced_markup
from .nonce import NonceError
from .nonce import note_page
from .nonce import renonced
from .nonce import used_nonce
from .nonce import was_rendered
from .nonce import whole_body
from .transport import asks_for_page
from .transport import claims_https
from .transport import is_local
from .transport import OnceLogger
from .transport import Redirection

logger = logging.getLogger("flaskware.secure")

_SCHEMES = frozenset({"http", "https"})

R = t.TypeVar("R", bound=Response)


def guard(
    app: App,
    *checks: cabc.Callable[[flask.Request], object],
    websocket: bool = False,
) -> cabc.Callable[[], object]:
    """Return a hook that asks each check, until the first that answers the request.

    :param websocket: True for a hook of Quart's websockets.
    """
    current = request_getter(app, websocket=websocket)

    def answer() -> object:
        request = current()
        for check in checks:
            answered = check(request)
            if answered is not None:
                return answered
        return None

    return answer


def redirect(
    app: App, redirection: Redirection
) -> cabc.Callable[[flask.Request], object]:
    """Return a check that redirects plain http to https, with its method and body.

    Where the configuration names no host, a page goes to the host that its request
    names. No cache may keep such an answer, so that a forged host leads nobody astray
    but its sender.
    """
    log = OnceLogger(logger)

    def redirect_to_https(request: flask.Request) -> object:
        if request.is_secure or app.debug or app.testing or is_local(request):
            return None
        target = redirection.target(request.url, request.host)
        if target is None:
            return None
        claimed = claims_https(request.headers)
        if claimed:
            # Either the header is forged, or an https proxy in front is not trusted:
            # a redirect would then come back here forever.
            log.error(
                "A request over http claims https in X-Forwarded-Proto or Forwarded,"
                " but no proxy is trusted. If a proxy is in front, add"
                " ProxyFix(app.wsgi_app, x_proto=1) with the real number of proxies."
            )
        if redirection.knows_hosts:
            if claimed:
                raise MisdirectedRequest
            return app.redirect(target, 308)
        if claimed or not asks_for_page(request):
            return None
        response = t.cast("Response", app.redirect(target, 308))
        response.headers["Cache-Control"] = "no-store"
        return response

    return redirect_to_https


def isolate(
    app: App,
    compiled_for: CompiledFor,
    trusted_origins: frozenset[str],
    *,
    enforce: bool,
    same_site: bool,
) -> cabc.Callable[[flask.Request], object]:
    """Return a check that refuses forged requests from pages of other sites.

    :param same_site: True if other hosts of the same site count as other sites.
    """
    respond: t.Any = app.response_class
    shared_by_others = other_sharing(app)

    def refuse_cross_site(request: flask.Request) -> object:
        if not may_be_forged(request):
            return None
        compiled = compiled_for(request)
        if not is_forged(request, compiled, trusted_origins, same_site=same_site):
            return None
        if shared_by_others(request):
            return None
        logger.warning(
            "%s cross-site %s to endpoint %r from %r. %s",
            "Refused a" if enforce else "Would refuse a",
            request.method,
            request.endpoint,
            request.headers.get("Origin", "an unknown origin")[:200],
            (remedy := remedy_for(request)),
        )
        if not enforce:
            return None
        note_refused(request)
        note_refusal(app)
        message = (
            "This request comes from a page of another site, which may not send it."
        )
        if app.debug:
            message = f"{message} {remedy}"
        is_page = "Upgrade" not in request.headers and request.scheme in _SCHEMES
        if is_page and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate":
            # A person sees this answer, so it is the app's own page for errors.
            raise Forbidden(message)
        return respond(message, status=403, mimetype="text/plain")

    return refuse_cross_site


def answer_preflight(
    app: App, compiled_for_method: cabc.Callable[..., Compiled]
) -> cabc.Callable[[flask.Request], object]:
    """Return a check that answers CORS preflights.

    :param compiled_for_method: Returns the compiled policy for another method.
    """
    respond: t.Any = app.response_class

    def preflight(request: flask.Request) -> object:
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
            keep_out_of_caches(current_app_object(), "the nonce", _own_nonce)
        return nonce

    return csp_nonce


def _own_nonce() -> cabc.Iterator[str]:
    request = active_request()
    nonce = None if request is None else used_nonce(request)
    if nonce is not None:
        yield nonce


def optional_nonce_function(compiled_for: CompiledFor) -> cabc.Callable[[], str | None]:
    """Return a function for the nonce of markup that is valid without a nonce too."""
    csp_nonce = nonce_function(compiled_for)

    def optional_nonce() -> str | None:
        request = active_request()
        if request is None or not compiled_for(request).takes_nonce:
            return None
        return csp_nonce()

    return optional_nonce


def trusted_types_function(
    script: str | None, csp_nonce: cabc.Callable[[], str]
) -> cabc.Callable[[], Markup]:
    """Return the function that templates call as ``trusted_types()``.

    :param script: The script that creates the default policy; ``None`` for no element.
    """
    code = None if script is None else Markup(script)  # noqa: S704 # no value of users

    def trusted_types() -> Markup:
        if code is None:
            return Markup()
        return Markup('<script nonce="{}">{}</script>').format(csp_nonce(), code)

    return trusted_types


def add_nonces_below(
    app: App, compiled_for: CompiledFor, paths: tuple[str, ...]
) -> None:
    """Give the scripts and styles of some pages the nonce.

    The policy of these pages allows the code in attributes of their markup, and the
    styles that their scripts make. A hook does so after those that change a page, such
    as Flask-DebugToolbar's, and before Flask-Compress.
    """
    attach(app, "after_request", _nonces_hook(app, compiled_for, paths))
    hooks = app.after_request_funcs[None]
    hooks.insert(0, hooks.pop())
    ordered: list[bool] = []

    def compress_last() -> None:
        # Flask runs them in reverse. Flask-Compress may be initialised at any time.
        if not ordered:
            ordered.append(True)
            hooks.sort(key=lambda hook: not _compresses(hook))

    attach(app, "before_request", compress_last)


def _compresses(hook: object) -> bool:
    return str(hook.__module__).partition(".")[0] == "flask_compress"


def _nonces_hook(
    app: App, compiled_for: CompiledFor, paths: tuple[str, ...]
) -> cabc.Callable[..., t.Any]:
    current = request_getter(app)
    csp_nonce = optional_nonce_function(compiled_for)

    def add(response: Response) -> Response:
        if response.mimetype != "text/html" or response.content_encoding:
            return response
        request = current()
        if any(is_below(request.path, each) for each in paths):
            add_nonces(response, request, csp_nonce)
        return response

    return add


def add_nonces(
    response: Response, request: object, csp_nonce: cabc.Callable[[], str | None]
) -> None:
    """Give each script, style and link of a page the nonce of the request.

    A stream is left alone: its headers are sent before its last element is made.
    """
    body = whole_body(response)
    if body and (nonce := csp_nonce()) is not None:
        markup = body.decode()
        note_page(request, markup)
        t.cast("t.Any", response).set_data(nonced_markup(markup, nonce))


def renew_nonces(
    app: App,
) -> cabc.Callable[[R], R]:
    """Return a hook that gives a response object of an earlier request a new nonce."""
    current = request_getter(app)

    def renew(response: R) -> R:
        request = current()
        if used_nonce(request) is None and not was_rendered(response):
            return response
        return renonced(response, request)

    return renew
