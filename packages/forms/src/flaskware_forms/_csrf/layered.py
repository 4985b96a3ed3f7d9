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
from markupsafe import escape
from wtforms import ValidationError

from flaskware_core import attach
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import request_credential
from flaskware_core import request_origin
from flaskware_forms._body.body import guard_input
from flaskware_forms._errors.problem import CrossSiteRefused

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
    "a key to sign the token of a form with",
    write="the output of: python -c 'import secrets; print(secrets.token_hex())'",
)

_PASSED = "flaskware_forms.csrf_passed"
_EXEMPT_MARK = "__flaskware_csrf_exempt__"


class LayeredCSRF(CSRFProtect):  # type: ignore[misc]  # Flask-WTF has no types
    """Flask-WTF's protection, which looks at the browser's headers first.

    A request from the app's own pages needs no token, so it opens no session. A request
    from another site is refused, even with a token. If the headers are missing, the
    token decides.

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
        # Replaces Flask-WTF's own hook, which differs from version to version.
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
        """Exempt a view, its dotted name, or a blueprint."""
        if isinstance(view, str):
            self._exempt_names.add(view)
            return view
        return exempt(view)

    def protect(self, apply_exemptions: bool = False) -> None:  # noqa: ARG002
        """Refuse the current request if another site may have made it.

        For a view of a typed form, the token is checked when the form is submitted, so
        that an expired form is shown again with its input.

        :raises CrossSiteRefused: for a request from another site.
        :raises CSRFError: for a request without a valid token.
        """
        request = flask.request
        if request.method not in flask.current_app.config["WTF_CSRF_METHODS"]:
            return
        view = flask.current_app.view_functions.get(request.endpoint or "")
        # An earlier request may have left it, if both share an app context.
        flask.g.pop("csrf_valid", None)
        if self._is_proven(request):
            _pass(request)
        elif not hasattr(view, FORM_MARK):
            reason = self._token_error()
            if reason is not None:
                raise CSRFError(reason)
            _pass(request)

    def refusal(self) -> str | None:
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
        reason = None if self._is_proven(request) else self._token_error()
        if reason is None:
            _pass(request)
        return reason

    def _is_proven(self, request: flask.Request) -> bool:
        origin = request_origin(request, self._trusted_origins)
        if origin == "same-origin":
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
        if origin == "cross-site":
            logger.warning(
                "Refused %s %s: it comes from another site (Origin %r, Host %r). If"
                " that is the app itself, configure ProxyFix or"
                " FLASKWARE_TRUSTED_ORIGINS.",
                request.method,
                request.path,
                request.headers.get("Origin"),
                request.host,
            )
            raise CrossSiteRefused
        # A form cannot send JSON, and without a cookie nobody is signed in.
        return request.is_json and not request.cookies

    def _token_error(self) -> str | None:
        token = self._form_token() or self._header_token()
        if token is None:
            logger.warning(
                "Refused %s %s: it has no CSRF token. Add {{ form.csrf() }}, or an"
                " input named csrf_token with the value {{ csrf_token() }}, to a form"
                " written by hand. In a script, send it as X-CSRFToken.",
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


def _pass(request: flask.Request) -> None:
    request.environ[_PASSED] = True
    # For a FlaskForm in the same view, which then skips its token.
    flask.g.csrf_valid = True


def exempt(view: V) -> V:
    """Exempt a view or a blueprint, in every app that it is part of."""
    setattr(view, _EXEMPT_MARK, True)
    return view


def masked_token() -> str:
    """The token of the session, different in each response.

    :raises ConfigError: if there is no ``SECRET_KEY`` to sign it with.
    """
    if not flask.current_app.secret_key:
        raise ConfigError("the app", [_NO_KEY])
    return mask(t.cast("str", generate_csrf()))


def hidden_input() -> str:
    """The token as a hidden input; empty if the protection is off."""
    config = flask.current_app.config
    if not config.get("WTF_CSRF_ENABLED", True):
        return ""
    name = escape(config.get("WTF_CSRF_FIELD_NAME", "csrf_token"))
    return f'<input type="hidden" name="{name}" value="{masked_token()}">'


def _dotted(view: t.Any) -> str:
    return f"{view.__module__}.{view.__name__}"
