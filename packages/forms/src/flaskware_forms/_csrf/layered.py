"""CSRF protection in layers: the browser's own headers, then a token."""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t

from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint
from flask_wtf.csrf import CSRFError
from markupsafe import escape
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.request import Request

from flaskware_core import attach
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import current_context
from flaskware_core import is_async
from flaskware_core import keep_out_of_caches
from flaskware_core import note_refusal
from flaskware_core import request_credential
from flaskware_core import request_origin
from flaskware_core import takes_from_elsewhere
from flaskware_forms._errors.problem import CrossSiteRefused
from flaskware_forms._exchanges.current import active_exchange
from flaskware_forms._exchanges.current import current_exchange
from flaskware_forms._exchanges.exchange import Exchange
from flaskware_forms._settings import CsrfStrategy

from .mask import mask
from .mask import unmask
from .token import issue
from .token import Refusal
from .token import verify

V = t.TypeVar("V", bound="cabc.Callable[..., t.Any] | Blueprint")

logger = logging.getLogger("flaskware.forms")

# Schemes that a browser adds by itself, also to requests that another site caused.
_AMBIENT = frozenset({"basic", "digest", "negotiate", "ntlm"})

FORM_MARK = "__flaskware_form__"
"""The attribute of a view function with the form that it handles."""

_NO_KEY = ConfigProblem(
    "SECRET_KEY",
    "a key to sign the tokens of forms with",
    write="the output of: python -c 'import secrets; print(secrets.token_hex())'; or"
    ' FORMS_CSRF_STRATEGY = "headers", which needs no tokens',
)

PAGES_MARK = "__flaskware_pages__"
"""The attribute of a view function with the form of each page, by its name."""

_TOKENLESS = (
    "Refused %s %s: it has no CSRF token. Add {{ form.csrf() }}, or an input named"
    " csrf_token with the value {{ csrf_token() }}, to a form written by hand. In a"
    " script, send it as X-CSRFToken."
)
_HEADERLESS = (
    "Refused %s %s: no header says where it comes from. Browsers send Sec-Fetch-Site"
    " over https and to localhost only, so serve the app over https. A client that is"
    " no browser may send the app's own address as Origin."
)
_SHOWN = "_flaskware_forms_csrf_tokens"
_EXEMPT_MARK = "__flaskware_csrf_exempt__"

# The keys and the defaults of Flask-WTF.
_DEFAULTS: dict[str, t.Any] = {
    "WTF_CSRF_ENABLED": True,
    "WTF_CSRF_CHECK_DEFAULT": True,
    "WTF_CSRF_METHODS": ["POST", "PUT", "PATCH", "DELETE"],
    "WTF_CSRF_FIELD_NAME": "csrf_token",
    "WTF_CSRF_HEADERS": ["X-CSRFToken", "X-CSRF-Token"],
    "WTF_CSRF_META_NAME": "csrf-token",
    "WTF_CSRF_TIME_LIMIT": 3600,
    "WTF_CSRF_SSL_STRICT": True,
}

_MISSING = Refusal("csrf_missing", "The CSRF token is missing.")
_UNPROVEN = Refusal(
    "csrf_unproven",
    "Neither Sec-Fetch-Site nor Origin shows that the request comes from this site.",
)


class LayeredCSRF:
    """Protection that looks at the browser's headers first, then at a token.

    A request from the app's own pages needs no token, so it opens no session. A request
    from another origin is refused, even with a token: a sibling subdomain, which is of
    the same site, can set the cookie that a token belongs to. If the headers are
    missing, the token decides. It has the format of Flask-WTF's, in Quart too.

    :param trusted_origins: Other origins that count as the app's own.
    :param strategy: ``"headers"`` leaves the token out of typed forms.
    """

    def __init__(
        self,
        trusted_origins: cabc.Collection[str] = (),
        strategy: CsrfStrategy = "headers_or_token",
    ) -> None:
        self._trusted_origins = trusted_origins
        self._exempt_names: set[str] = set()
        self._guards_caches = False
        self.sends_tokens = strategy != "headers"
        """False if typed forms have no token."""

    def init_app(self, app: App) -> None:
        """Set Flask-WTF's defaults, and guard every request."""
        config: dict[str, t.Any] = app.config
        for key, value in _DEFAULTS.items():
            config.setdefault(key, value)
        methods = t.cast("cabc.Iterable[str]", config["WTF_CSRF_METHODS"])
        config["WTF_CSRF_METHODS"] = set(methods)
        app.extensions["csrf"] = self
        names = t.cast("dict[str, t.Any]", app.jinja_env.globals)
        # Where it is off, a FlaskForm looks at the token itself, unmasked.
        token = _bare_token if _leaves_to_flask_form(app) else masked_token
        names["csrf_token"] = token
        names["csrf_meta_tag"] = lambda: _meta_tag(token())
        attach(app, "before_request", self._guard, awaited=self._async_guard)

    def _guard(self) -> None:
        exchange = current_exchange()
        if not self._guards_caches:
            self._guards_caches = True
            keep_out_of_caches(exchange.app, "the CSRF token", _own_tokens)
        if not self._is_on(exchange.app):
            return
        try:
            self._protect(exchange)
        except HTTPException:
            note_refusal(exchange.app)
            raise

    async def _async_guard(self) -> None:
        exchange = current_exchange()
        if self._is_on(exchange.app) and self._needs_token(exchange):
            await exchange.load()
            self._check_token(exchange)

    @staticmethod
    def _is_on(app: App) -> bool:
        config = t.cast("dict[str, t.Any]", app.config)
        return bool(config["WTF_CSRF_ENABLED"] and config["WTF_CSRF_CHECK_DEFAULT"])

    def exempt(self, view: t.Any) -> t.Any:
        """Exempt a view, its dotted name, or a blueprint."""
        if isinstance(view, str):
            self._exempt_names.add(view)
            return view
        return exempt(view)

    def protect(self, apply_exemptions: bool = False) -> None:
        """Refuse the current request if another site may have made it.

        For a view of a typed form, the token is checked when the form is submitted, so
        that an expired form is shown again with its input.

        :param apply_exemptions: Whether views and blueprints that are exempt pass.
        :raises CrossSiteRefused: for a request from another site.
        :raises CSRFError: for a request without a valid token.
        """
        self._protect(current_exchange(), apply_exemptions)

    async def async_protect(self, apply_exemptions: bool = False) -> None:
        """Same as :meth:`protect`, for coroutines."""
        exchange = current_exchange()
        if self._needs_token(exchange, apply_exemptions):
            await exchange.load()
            self._check_token(exchange)

    def _protect(self, exchange: Exchange, apply_exemptions: bool = True) -> None:
        if self._needs_token(exchange, apply_exemptions):
            self._check_token(exchange)

    def _needs_token(self, exchange: Exchange, apply_exemptions: bool = True) -> bool:
        """Return true if a request passes with a token only.

        :raises CrossSiteRefused: for a request from another site.
        """
        app, request = exchange.app, exchange.request
        if request.method not in app.config["WTF_CSRF_METHODS"]:
            return False
        view = app.view_functions.get(request.endpoint or "")
        if apply_exemptions and (view is None or self._is_exempted(exchange, view)):
            return False
        exchange.forget_proof()
        if self._is_proven(request):
            exchange.prove()
            return False
        return form_of(view, request.method) is None

    def _check_token(self, exchange: Exchange) -> None:
        refusal = self._token_error(exchange)
        if refusal is not None:
            raise CSRFError(refusal.reason)
        exchange.prove()

    def refusal(self, exchange: Exchange) -> Refusal | None:
        """Return why a request is refused; ``None`` if it is not.

        :raises CrossSiteRefused: for a request from another site.
        """
        if self.is_settled(exchange):
            return None
        refusal = self._token_error(exchange)
        if refusal is None:
            exchange.prove()
        return refusal

    def is_settled(self, exchange: Exchange) -> bool:
        """Return true if a request is accepted without a look at its token.

        :raises CrossSiteRefused: for a request from another site.
        """
        app, request = exchange.app, exchange.request
        config = app.config
        if exchange.is_proven or not config["WTF_CSRF_ENABLED"]:
            return True
        if request.method not in config["WTF_CSRF_METHODS"]:
            return True
        view = app.view_functions.get(request.endpoint or "")
        if view is not None and self._is_exempted(exchange, view):
            return True
        if self._is_proven(request):
            exchange.prove()
        return exchange.is_proven

    def hidden_input(self, exchange: Exchange) -> str:
        """The token as a hidden input; empty if no form needs one."""
        config = exchange.app.config
        if not (self.sends_tokens and config["WTF_CSRF_ENABLED"]):
            return ""
        name = escape(config["WTF_CSRF_FIELD_NAME"])
        token = masked_token(exchange)
        return f'<input type="hidden" name="{name}" value="{token}">'

    def _is_proven(self, request: Request) -> bool:
        origin = request_origin(request, self._trusted_origins)
        # Only people send "none", such as by the address bar. Go's check takes it too.
        if origin == "same-origin" or (origin == "none" and not self.sends_tokens):
            return True
        # A page can send such a header to another site only if CORS allows it. Beside
        # the cookie of a session it proves nothing, unless that cookie is ignored.
        credential = request_credential(request)
        authorization = request.authorization
        if credential == "header" or (
            credential is None
            and authorization is not None
            and authorization.type not in _AMBIENT
        ):
            return True
        if takes_from_elsewhere(request):
            return True
        if origin in {"cross-site", "same-site"}:
            logger.warning(
                "Refused %s %s: it comes from another origin (Origin %r, Host %r). If"
                " that is the app itself, configure ProxyFix; if it is a site of"
                " yours, add it to FLASKWARE_TRUSTED_ORIGINS.",
                request.method,
                request.path,
                request.headers.get("Origin"),
                request.host,
            )
            raise CrossSiteRefused
        # A form cannot send JSON, and without a cookie nobody is signed in.
        return request.is_json and not request.cookies

    def _token_error(self, exchange: Exchange) -> Refusal | None:
        token = _form_token(exchange) or _header_token(exchange)
        if token is None:
            method, path = exchange.request.method, exchange.request.path
            if self.sends_tokens:
                logger.warning(_TOKENLESS, method, path)
                return _MISSING
            logger.warning(_HEADERLESS, method, path)
            return _UNPROVEN
        config = t.cast("dict[str, t.Any]", exchange.app.config)
        name, max_age = config["WTF_CSRF_FIELD_NAME"], config["WTF_CSRF_TIME_LIMIT"]
        keys = _keys(exchange.app)
        plain = unmask(token) or ""
        refusal = verify(plain, exchange.session, name, keys, max_age)
        if refusal is not None:
            logger.info("%s", refusal.reason)
        return refusal

    def _is_exempted(self, exchange: Exchange, view: t.Any) -> bool:
        return self._is_left_out(exchange.app, view, exchange.request.blueprints)

    def is_exempted(self, app: App, endpoint: str) -> bool:
        """Return true if a view is exempt, by itself or by its blueprint."""
        parts = endpoint.split(".")[:-1]
        names = [".".join(parts[: n + 1]) for n in range(len(parts))]
        return self._is_left_out(app, app.view_functions[endpoint], names)

    def _is_left_out(
        self, app: App, view: t.Any, blueprints: cabc.Iterable[str]
    ) -> bool:
        if hasattr(view, _EXEMPT_MARK):
            return True
        return any(
            hasattr(app.blueprints[name], _EXEMPT_MARK) for name in blueprints
        ) or (bool(self._exempt_names) and _dotted(view) in self._exempt_names)


def refuse_missing_key(app: App) -> None:
    """Refuse an app that can sign no token.

    :raises ConfigError: if CSRF protection is on and there is no key.
    """
    config: dict[str, t.Any] = app.config
    if not _key(app) and config.get("WTF_CSRF_ENABLED", True):
        raise ConfigError("the app", [_NO_KEY])


def _form_token(exchange: Exchange) -> str | None:
    form = exchange.form
    name = t.cast("str", exchange.app.config["WTF_CSRF_FIELD_NAME"])
    # A FlaskForm with a prefix puts it before the name. A part of a multipart body may
    # have no name at all.
    found = (value for key, value in form.items() if key and key.endswith(name))
    return form.get(name) or next(filter(None, found), None)


def _header_token(exchange: Exchange) -> str | None:
    headers = exchange.request.headers
    names = t.cast("list[str]", exchange.app.config["WTF_CSRF_HEADERS"])
    return next((headers[name] for name in names if name in headers), None)


def form_of(view: t.Any, method: str = "") -> t.Any:
    """Return the form that a view handles; ``None`` if it handles none.

    :param method: The method of the request, for a class of views; any by default.
    """
    found = getattr(view, FORM_MARK, None)
    kind = getattr(view, "view_class", None)
    if found is not None or kind is None:
        return found
    names = [method] if method else t.cast("cabc.Iterable[str]", kind.methods or ())
    functions = [getattr(kind, name.lower(), None) for name in names]
    functions.append(kind.dispatch_request)
    forms = (getattr(function, FORM_MARK, None) for function in functions)
    return next(filter(None, forms), None)


def exempt(view: V) -> V:
    """Exempt a view or a blueprint, in every app that it is part of."""
    setattr(view, _EXEMPT_MARK, True)
    return view


def masked_token(exchange: Exchange | None = None) -> str:
    """The token of the session, different in each response."""
    exchange = current_exchange() if exchange is None else exchange
    token = mask(_signed_token(exchange))
    current_context().g.setdefault(_SHOWN, []).append(token)
    return token


def _signed_token(exchange: Exchange) -> str:
    if exchange.token is None:
        key = _key(exchange.app)
        if not key:
            raise RuntimeError("A secret key is required to use CSRF.")
        name = t.cast("str", exchange.app.config["WTF_CSRF_FIELD_NAME"])
        exchange.token = issue(exchange.session, name, key)
    return exchange.token


def _bare_token() -> str:
    return _signed_token(current_exchange())


def _leaves_to_flask_form(app: App) -> bool:
    return not (app.config["WTF_CSRF_CHECK_DEFAULT"] or is_async(app))


def _meta_tag(token: str) -> Markup:
    """The token as an element for the head of a page, which scripts read it from."""
    name = t.cast("str", current_exchange().app.config["WTF_CSRF_META_NAME"])
    return Markup('<meta name="{}" content="{}">').format(name, token)


def _own_tokens() -> cabc.Iterator[str]:
    """Yield the tokens of the current request's page, that of a FlaskForm included."""
    exchange, g = active_exchange(), current_context().g
    yield from g.get(_SHOWN, [])
    if exchange is not None and exchange.token is not None:
        yield exchange.token
    name = t.cast("str", current_context().app.config["WTF_CSRF_FIELD_NAME"])
    bare: str | None = g.get(name)
    if bare is not None:
        yield bare


def _keys(app: App) -> list[t.Any]:
    """The keys that a token may be signed with, from the oldest on."""
    config: dict[str, t.Any] = app.config
    return [*(config.get("SECRET_KEY_FALLBACKS") or ()), _key(app)]


def _key(app: App) -> str | bytes | None:
    config = t.cast("cabc.Mapping[str, str | bytes | None]", app.config)
    return config.get("WTF_CSRF_SECRET_KEY") or config["SECRET_KEY"]


def _dotted(view: t.Any) -> str:
    return f"{view.__module__}.{view.__name__}"
