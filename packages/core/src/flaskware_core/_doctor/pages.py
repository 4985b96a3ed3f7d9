"""Checks of what an app sends and takes from browsers: pages, errors, other sites."""

from __future__ import annotations

import collections.abc as cabc
import functools
import inspect
import types
import typing as t
from pathlib import Path

import flask
from flask.sansio.app import App

from flaskware_core._findings.finding import Finding
from flaskware_core._findings.finding import Level

_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Extensions that protect against forged requests by a hook, by their module.
_CSRF_MODULES = ("flask_seasurf", "flask_wtf")
_HEADER_MODULES = ("flask_talisman", "secweb", "flask_csp")
_HEADERS = frozenset(
    {
        "content-security-policy", "strict-transport-security", "x-frame-options",
        "x-content-type-options",
    }
)  # fmt: skip
# Nobody's site.
_STRANGER = "https://stranger.invalid"
_TRACEBACKS = frozenset(
    {
        "format_exc", "format_exception", "format_tb", "format_stack", "print_exc",
        "extract_tb", "exc_info", "TracebackException", "__traceback__",
    }
)  # fmt: skip


def check_pages(app: App, *, deploy: bool) -> cabc.Iterator[Finding]:
    """Yield the findings about pages, error pages and requests of other sites."""
    if not _escapes(app):
        yield Finding(
            "core.autoescape",
            Level.ERROR,
            "Templates named .html are not escaped, so what one user typed runs as a"
            " script in the browser of another.",
            "Remove what turns autoescape off, and write {{ value|safe }} for single"
            " values that are markup.",
            asvs="1.2.1",
        )
    yield from _uploads(app)
    yield from _shared(app)
    if deploy:
        yield from _forged(app)
        yield from _headers(app)
        yield from _error_pages(app)


def _escapes(app: App) -> bool:
    # Not app.jinja_env, which would be made now, and take no more options.
    environment: t.Any = vars(app).get("jinja_env")
    if environment is not None:
        chosen = environment.autoescape
    else:
        chosen = app.jinja_options.get("autoescape", app.select_jinja_autoescape)
    return bool(chosen("page.html") if callable(chosen) else chosen)


def _uploads(app: App) -> cabc.Iterator[Finding]:
    config = t.cast("cabc.Mapping[str, t.Any]", app.config)
    for key in ("UPLOAD_FOLDER", "UPLOADS_DEFAULT_DEST"):
        folder = config.get(key)
        if not folder or not app.static_folder:
            continue
        path = Path(app.root_path, str(folder)).resolve()
        served = Path(app.static_folder).resolve()
        if path == served or served in path.parents:
            yield Finding(
                "core.upload-folder",
                Level.ERROR,
                f"{key} is inside the static folder {served}, so every upload is served"
                " unchanged from the app's own origin.",
                f"Set {key} to a folder that is not served, such as one in"
                " app.instance_path, and serve files from a view.",
                asvs="5.3.1",
            )


def _shared(app: App) -> cabc.Iterator[Finding]:
    hooks = [h for h in _hooks(app.after_request_funcs) if _is_of_cors(h)]
    if not hooks or not isinstance(app, flask.Flask):
        return
    # Its hooks are asked, as a browser would: its settings have no public name.
    paths = {rule.rule: None for rule in app.url_map.iter_rules()}
    for path in paths:
        response = flask.Response()
        with app.test_request_context(path, headers={"Origin": _STRANGER}):
            for hook in hooks:
                response = hook(response)
        headers = response.headers
        allowed = headers.get("Access-Control-Allow-Origin")
        credentials = headers.get("Access-Control-Allow-Credentials")
        if allowed in {"*", _STRANGER} and credentials == "true":
            yield Finding(
                "core.cors-any-with-credentials",
                Level.ERROR,
                f"Flask-CORS allows every origin with credentials at {path}: any site"
                " can read it as the visitor who is signed in.",
                'CORS(app, origins=["https://app.example"], supports_credentials=True)',
                asvs="3.4.2",
            )
            return


def _is_of_cors(hook: object) -> bool:
    return _module(hook).partition(".")[0] == "flask_cors"


def _forged(app: App) -> cabc.Iterator[Finding]:
    if app.config.get("WTF_CSRF_ENABLED") is False:
        yield Finding(
            "core.csrf-off",
            Level.ERROR,
            "WTF_CSRF_ENABLED is off, so any site can send forms for a visitor.",
            "Remove WTF_CSRF_ENABLED, or set it to False only in tests.",
            asvs="3.5.1",
        )
    elif "csrf" not in app.extensions and _changes(app):
        modules = map(_module, _hooks(app.before_request_funcs))
        if not any(module.startswith(_CSRF_MODULES) for module in modules):
            yield Finding(
                "core.csrf-absent",
                Level.WARNING,
                f"The view {_changes(app)!r} takes requests that change something, and"
                " nothing refuses those that pages of other sites cause.",
                "SecureHeaders(app) of flaskware-secure, Forms(app) of flaskware-forms"
                " or CSRFProtect(app) of Flask-WTF.",
                asvs="3.5.1",
            )


def _changes(app: App) -> str:
    """Return an endpoint with an unsafe method, or ``""``."""
    for rule in app.url_map.iter_rules():
        if (rule.methods or set()) & _UNSAFE:
            return str(rule.endpoint)
    return ""


def _headers(app: App) -> cabc.Iterator[Finding]:
    for hook in _hooks(app.after_request_funcs):
        if _module(hook).startswith(_HEADER_MODULES):
            return
        named = {text.lower() for text in _constants(hook)}
        if named & _HEADERS:
            return
    yield Finding(
        "core.no-headers",
        Level.WARNING,
        "Nothing sets the headers by which browsers protect the app's pages, such as"
        " Content-Security-Policy.",
        "SecureHeaders(app) of flaskware-secure; silence this if the server in front"
        " sets them.",
        asvs="3.4.3",
    )


def _error_pages(app: App) -> cabc.Iterator[Finding]:
    for by_code in app.error_handler_spec.values():
        for handlers in by_code.values():
            for handler in handlers.values():
                if set(_names(handler)) & _TRACEBACKS:
                    yield Finding(
                        "core.error-page-leaks",
                        Level.WARNING,
                        f"The error handler {_named(handler)} reads the traceback:"
                        " shown on a page, it reveals code and values.",
                        "Log it with app.logger.exception, and answer with a page that"
                        " says nothing about the cause.",
                        asvs="16.5.1",
                        symbol=_named(handler),
                        **_place(handler),
                    )


def _hooks(
    functions: cabc.Mapping[t.Any, cabc.Iterable[cabc.Callable[..., t.Any]]],
) -> cabc.Iterator[cabc.Callable[..., t.Any]]:
    for several in functions.values():
        yield from several


def _module(function: object) -> str:
    if isinstance(function, functools.partial):
        return _module(t.cast("functools.partial[object]", function).func)
    return str(getattr(function, "__module__", "") or "")


def _named(function: t.Any) -> str:
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{_module(function)}.{name}"


def _code(function: t.Any) -> types.CodeType | None:
    function = inspect.unwrap(getattr(function, "__func__", function))
    return getattr(function, "__code__", None)


def _constants(function: object) -> cabc.Iterator[str]:
    code = _code(function)
    for value in _nested(code.co_consts) if code is not None else ():
        if isinstance(value, str):
            yield value


def _nested(values: cabc.Iterable[t.Any]) -> cabc.Iterator[object]:
    for value in values:
        if isinstance(value, tuple | frozenset):
            yield from _nested(t.cast("cabc.Iterable[t.Any]", value))
        else:
            yield value


def _names(function: object) -> cabc.Iterator[str]:
    code = _code(function)
    if code is not None:
        yield from code.co_names


def _place(function: object) -> t.Any:
    code = _code(function)
    if code is None:
        return {}
    return {"file": code.co_filename, "line": code.co_firstlineno}
