"""CSRF protection in layers: the browser's own headers, then Flask-WTF's token."""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t

import flask
from flask_wtf.csrf import CSRFError
from flask_wtf.csrf import CSRFProtect
from flask_wtf.csrf import generate_csrf  # pyright: ignore[reportUnknownVariableType]
from flask_wtf.csrf import validate_csrf  # pyright: ignore[reportUnknownVariableType]
from itsdangerous import SignatureExpired
from markupsafe import escape
from werkzeug.exceptions import HTTPException
from wtforms import ValidationError

from flaskware_core import attach
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import keep_out_of_caches
from flaskware_core import note_refusal
from flaskware_core import request_credential
from flaskware_core import request_origin
from flaskware_core import takes_from_elsewhere
from flaskware_forms._body.body import guard_input
from flaskware_forms._errors.problem import CrossSiteRefused
from flaskware_forms._settings import CsrfStrategy

from .mask import mask
from .mask import unmask

V = t.TypeVar("V", bound="cabc.Callable[..., t.Any] | flask.Blueprint")

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
_PASSED = "flaskware_forms.csrf_passed"
_SHOWN = "_flaskware_forms_csrf_tokens"
_EXEMPT_MARK = "__flaskware_csrf_exempt__"


class Refusal(t.NamedTuple):
    """A request that may come from another site.

    :param code: The code of its :class:`FormError`, for the people at a typed form.
    :param reason: The text of its :exc:`CSRFError`, in the words of Flask-WTF.
    """

    code: str
    reason: str


_MISSING = Refusal("csrf_missing", "The CSRF token is missing.")
_UNPROVEN = Refusal(
    "csrf_unproven",
    "Neither Sec-Fetch-Site nor Origin shows that the request comes from this site.",
)


class LayeredCSRF(CSRFProtect):  # type: ignore[misc]  # Flask-WTF has no types
    """Flask-WTF's protection, which looks at the browser's headers first.

    A request from the app's own pages needs no token, so it opens no session. A request
    from another origin is refused, even with a token: a sibling subdomain, which is of
    the same site, can set the cookie that a token belongs to. If the headers are
    missing, the token decides.

    :param trusted_origins: Other origins that count as the app's own.
    :param strategy: ``"headers"`` leaves the token out of typed forms.
    """

    def __init__(
        self,
        trusted_origins: cabc.Collection[str] = (),
        strategy: CsrfStrategy = "headers_or_token",
    ) -> None:
        super().__init__()
        self._trusted_origins = trusted_origins
        self._exempt_names: set[str] = set()
        self._guards_caches = False
        self.sends_tokens = strategy != "headers"
        """False if typed forms have no token."""

    def init_app(self, app: flask.Flask) -> None:
        """Set Flask-WTF's defaults, and guard every request."""
        super().init_app(app)
        if app.config["WTF_CSRF_CHECK_DEFAULT"]:
            # Where it is off, a FlaskForm looks at the token itself, unmasked.
            names = t.cast("dict[str, t.Any]", app.jinja_env.globals)
            names["csrf_token"] = masked_token
            app.context_processor(lambda: {"csrf_token": masked_token})
        # Replaces Flask-WTF's own hook, which differs from version to version.
        hooks = app.before_request_funcs[None]
        hooks[:] = [hook for hook in hooks if hook.__module__ != CSRFProtect.__module__]
        attach(app, "before_request", self._guard)

    def _guard(self) -> None:
        if not self._guards_caches:
            self._guards_caches = True
            keep_out_of_caches(flask.current_app, "the CSRF token", _own_tokens)
        config = flask.current_app.config
        if not (config["WTF_CSRF_ENABLED"] and config["WTF_CSRF_CHECK_DEFAULT"]):
            return
        try:
            self.protect(apply_exemptions=True)
        except HTTPException:
            note_refusal(flask.current_app)
            raise

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
        request = flask.request
        if request.method not in flask.current_app.config["WTF_CSRF_METHODS"]:
            return
        view = flask.current_app.view_functions.get(request.endpoint or "")
        if apply_exemptions and (view is None or self._is_exempted(view)):
            return
        # An earlier request may have left it, if both share an app context.
        flask.g.pop("csrf_valid", None)
        if self._is_proven(request):
            _pass(request)
        elif form_of(view, request.method) is None:
            refusal = self._token_error()
            if refusal is not None:
                raise CSRFError(refusal.reason)
            _pass(request)

    def refusal(self) -> Refusal | None:
        """Return why the current request is refused; ``None`` if it is not.

        :raises CrossSiteRefused: for a request from another site.
        """
        app, request = flask.current_app, flask.request
        config = app.config
        if _PASSED in request.environ or not config["WTF_CSRF_ENABLED"]:
            return None
        if request.method not in config["WTF_CSRF_METHODS"]:
            return None
        view = app.view_functions.get(request.endpoint or "")
        if view is not None and self._is_exempted(view):
            return None
        refusal = None if self._is_proven(request) else self._token_error()
        if refusal is None:
            _pass(request)
        return refusal

    def hidden_input(self) -> str:
        """The token as a hidden input; empty if no form needs one."""
        config = flask.current_app.config
        if not (self.sends_tokens and config["WTF_CSRF_ENABLED"]):
            return ""
        name = escape(config["WTF_CSRF_FIELD_NAME"])
        return f'<input type="hidden" name="{name}" value="{masked_token()}">'

    def _is_proven(self, request: flask.Request) -> bool:
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

    def _token_error(self) -> Refusal | None:
        token = self._form_token() or self._header_token()
        if token is None:
            method, path = flask.request.method, flask.request.path
            if self.sends_tokens:
                logger.warning(_TOKENLESS, method, path)
                return _MISSING
            logger.warning(_HEADERLESS, method, path)
            return _UNPROVEN
        try:
            validate_csrf(unmask(token), _keys())
        except ValidationError as error:
            reason = str(error.args[0])
            logger.info("%s", reason)
            expired = isinstance(error.__cause__, SignatureExpired)
            return Refusal("csrf_expired" if expired else "csrf_invalid", reason)
        return None

    def _form_token(self) -> str | None:
        guard_input(flask.request)
        form = flask.request.form
        name = t.cast("str", flask.current_app.config["WTF_CSRF_FIELD_NAME"])
        # A FlaskForm with a prefix puts it before the name. A part of a multipart
        # body may have no name at all.
        found = (value for key, value in form.items() if key and key.endswith(name))
        return form.get(name) or next(filter(None, found), None)

    def _header_token(self) -> str | None:
        headers = flask.request.headers
        names = t.cast("list[str]", flask.current_app.config["WTF_CSRF_HEADERS"])
        return next((headers[name] for name in names if name in headers), None)

    def _is_exempted(self, view: t.Any) -> bool:
        app = flask.current_app
        return self._is_left_out(app, view, flask.request.blueprints)

    def is_exempted(self, app: flask.Flask, endpoint: str) -> bool:
        """Return true if a view is exempt, by itself or by its blueprint."""
        parts = endpoint.split(".")[:-1]
        names = [".".join(parts[: n + 1]) for n in range(len(parts))]
        return self._is_left_out(app, app.view_functions[endpoint], names)

    def _is_left_out(
        self, app: flask.Flask, view: t.Any, blueprints: cabc.Iterable[str]
    ) -> bool:
        if hasattr(view, _EXEMPT_MARK):
            return True
        return any(
            hasattr(app.blueprints[name], _EXEMPT_MARK) for name in blueprints
        ) or (bool(self._exempt_names) and _dotted(view) in self._exempt_names)


def refuse_missing_key(app: flask.Flask) -> None:
    """Refuse an app that can sign no token.

    :raises ConfigError: if CSRF protection is on and there is no key.
    """
    config: dict[str, t.Any] = app.config
    if not _key(app) and config.get("WTF_CSRF_ENABLED", True):
        raise ConfigError("the app", [_NO_KEY])


def _pass(request: flask.Request) -> None:
    request.environ[_PASSED] = True
    # For a FlaskForm in the same view, which then skips its token.
    flask.g.csrf_valid = True


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


def masked_token() -> str:
    """The token of the session, different in each response."""
    token = mask(t.cast("str", generate_csrf()))
    flask.g.setdefault(_SHOWN, []).append(token)
    return token


def _own_tokens() -> cabc.Iterator[str]:
    """Yield the tokens of the current request's page, that of a FlaskForm included."""
    shown: list[str] = flask.g.get(_SHOWN, [])
    yield from shown
    name = t.cast("str", flask.current_app.config["WTF_CSRF_FIELD_NAME"])
    bare: str | None = flask.g.get(name)
    if bare is not None:
        yield bare


def _keys() -> list[t.Any]:
    """The keys that a token may be signed with, from the oldest on."""
    config: dict[str, t.Any] = flask.current_app.config
    return [*(config.get("SECRET_KEY_FALLBACKS") or ()), _key(flask.current_app)]


def _key(app: flask.Flask) -> str | bytes | None:
    config = t.cast("cabc.Mapping[str, str | bytes | None]", app.config)
    return config.get("WTF_CSRF_SECRET_KEY") or config["SECRET_KEY"]


def _dotted(view: t.Any) -> str:
    return f"{view.__module__}.{view.__name__}"
