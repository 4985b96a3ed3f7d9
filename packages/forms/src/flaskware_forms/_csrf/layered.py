"""CSRF protection in layers: what the browser tells, then Flask-WTF's token."""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t

import flask
from flask_wtf.csrf import CSRFError
from flask_wtf.csrf import CSRFProtect
from flask_wtf.csrf import generate_csrf  # pyright: ignore[reportUnknownVariableType]
from flask_wtf.csrf import validate_csrf  # pyright: ignore[reportUnknownVariableType]
from markupsafe import escape
from wtforms import ValidationError

from flaskware_core import attach
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import request_origin
from flaskware_forms._body.body import guard_input
from flaskware_forms._errors.problem import CrossSiteRefused

from .mask import mask
from .mask import unmask

V = t.TypeVar("V", bound="cabc.Callable[..., t.Any] | flask.Blueprint")

logger = logging.getLogger("flaskware_forms")

# What a browser adds by itself to a request that another site made it send.
_AMBIENT = frozenset({"basic", "digest", "negotiate", "ntlm"})

FORM_MARK = "__flaskware_form__"
"""Where a view function says which form it handles."""

_NO_KEY = ConfigProblem(
    "SECRET_KEY",
    "a key, which the token of a form is signed with",
    write="the output of: python -c 'import secrets; print(secrets.token_hex())'",
)

_PASSED = "flaskware_forms.csrf_passed"
_EXEMPT_MARK = "__flaskware_csrf_exempt__"


class LayeredCSRF(CSRFProtect):  # type: ignore[misc]  # Flask-WTF has no types
    """Flask-WTF's protection, which asks the browser first.

    A request that the browser says is the app's own needs no token, so it opens no
    session. One that comes from another site is refused, token or not. Only where the
    browser does not tell, the token decides.

    :param trusted_origins: Other origins that count as the app's own.
    """

    def __init__(self, trusted_origins: cabc.Collection[str] = ()) -> None:
        super().__init__()
        self._trusted_origins = trusted_origins
        self._exempt_names: set[str] = set()

    def init_app(self, app: flask.Flask) -> None:
        """Set Flask-WTF's defaults, and guard every request."""
        super().init_app(app)
        if app.config["WTF_CSRF_CHECK_DEFAULT"]:
            # Where it is off, a FlaskForm looks at the token itself, unmasked.
            names = t.cast("dict[str, t.Any]", app.jinja_env.globals)
            names["csrf_token"] = masked_token
            app.context_processor(lambda: {"csrf_token": masked_token})
        # Its own hook, which differs from version to version, gives place to this one.
        hooks = app.before_request_funcs[None]
        hooks[:] = [hook for hook in hooks if hook.__module__ != CSRFProtect.__module__]
        attach(app, "before_request", self._guard)

    def _guard(self) -> None:
        app, request = flask.current_app, flask.request
        config = app.config
        if request.method not in config["WTF_CSRF_METHODS"]:
            return
        if config["WTF_CSRF_ENABLED"] and config["WTF_CSRF_CHECK_DEFAULT"]:
            view = app.view_functions.get(request.endpoint or "")
            if view is not None and not self._is_exempted(view):
                self.protect()

    def exempt(self, view: t.Any) -> t.Any:
        """Leave a view, its dotted name, or a blueprint unprotected."""
        if isinstance(view, str):
            self._exempt_names.add(view)
            return view
        return exempt(view)

    def protect(self, apply_exemptions: bool = False) -> None:  # noqa: ARG002
        """Refuse the current request if another site may have made it.

        For a view of a typed form, the token is looked at when the form is submitted,
        so that a form that is too old is shown again with what was typed.

        :raises CrossSiteRefused: for a request from another site.
        :raises CSRFError: for one without a valid token.
        """
        request = flask.request
        if request.method not in flask.current_app.config["WTF_CSRF_METHODS"]:
            return
        view = flask.current_app.view_functions.get(request.endpoint or "")
        # What an earlier request left, where they share an app context.
        flask.g.pop("csrf_valid", None)
        if self._is_proven(request):
            _pass(request)
        elif not hasattr(view, FORM_MARK):
            reason = self._token_error()
            if reason is not None:
                raise CSRFError(reason)
            _pass(request)

    def refusal(self) -> str | None:
        """Why the current request may not change anything; ``None`` if it may.

        :raises CrossSiteRefused: for a request from another site.
        """
        app = flask.current_app
        request = flask.request
        if _PASSED in request.environ:
            return None
        if not app.config["WTF_CSRF_ENABLED"]:
            return None
        if request.method not in app.config["WTF_CSRF_METHODS"]:
            return None
        view = app.view_functions.get(request.endpoint or "")
        if view is not None and self._is_exempted(view):
            return None
        reason = None if self._is_proven(request) else self._token_error()
        if reason is None:
            _pass(request)
        return reason

    def _is_proven(self, request: flask.Request) -> bool:
        origin = request_origin(request, self._trusted_origins)
        if origin == "same-origin":
            return True
        # A page can send such a header elsewhere only where CORS lets it.
        authorization = request.authorization
        if authorization is not None and authorization.type not in _AMBIENT:
            return True
        if origin == "cross-site":
            logger.warning(
                "Refused %s %s: it comes from another site (Origin %r, Host %r). If it"
                " is the app's own, configure ProxyFix or FLASKWARE_TRUSTED_ORIGINS.",
                request.method,
                request.path,
                request.headers.get("Origin"),
                request.host,
            )
            raise CrossSiteRefused
        # A form cannot send JSON, and nobody is signed in where there is no cookie.
        return request.is_json and not request.cookies

    def _token_error(self) -> str | None:
        token = self._form_token() or self._header_token()
        if token is None:
            logger.warning(
                "Refused %s %s: it has no CSRF token. A form that is written by hand"
                " needs {{ form.csrf() }}, or an input csrf_token with the value"
                " {{ csrf_token() }}; a script sends it as X-CSRFToken.",
                flask.request.method,
                flask.request.path,
            )
        try:
            validate_csrf(unmask(token))
        except ValidationError as error:
            reason = str(error.args[0])
            logger.info("%s", reason)
            return reason
        return None

    def _form_token(self) -> str | None:
        guard_input(flask.request.environ)
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
        """Whether a view is left unprotected, by itself or by its blueprint."""
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


def _pass(request: flask.Request) -> None:
    request.environ[_PASSED] = True
    # For a FlaskForm in the same view, which then does not look at its token.
    flask.g.csrf_valid = True


def exempt(view: V) -> V:
    """Leave a view or a blueprint unprotected, in every app that it is part of."""
    setattr(view, _EXEMPT_MARK, True)
    return view


def masked_token() -> str:
    """The token of the session, different in each response.

    :raises ConfigError: where there is no ``SECRET_KEY`` to sign it with.
    """
    if not flask.current_app.secret_key:
        raise ConfigError("the app", [_NO_KEY])
    return mask(t.cast("str", generate_csrf()))


def hidden_input() -> str:
    """The token for a form; empty where the protection is off."""
    config = flask.current_app.config
    if not config.get("WTF_CSRF_ENABLED", True):
        return ""
    name = escape(config.get("WTF_CSRF_FIELD_NAME", "csrf_token"))
    return f'<input type="hidden" name="{name}" value="{masked_token()}">'


def _dotted(view: t.Any) -> str:
    return f"{view.__module__}.{view.__name__}"
