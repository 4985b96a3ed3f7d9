"""What the headers of one response cost, over a bare app."""

from __future__ import annotations

import collections.abc as cabc
import importlib.util
import typing as t

import flask
from flask.typing import ResponseReturnValue

BASELINE = "bare Flask"

Case: t.TypeAlias = cabc.Callable[[], object]
_VIEW = "<!doctype html><title>x</title>"


def cases() -> dict[str, Case]:
    """One GET of a small page each, with the same headers however they get there."""
    found: dict[str, Case] = {
        BASELINE: _bare(),
        "hand-written list": _hand_written(),
        "flaskware-secure, no nonce": _ours(nonce=False),
        "flaskware-secure, nonce": _ours(nonce=True),
        "secure as it comes": _secure_library(),
    }
    if importlib.util.find_spec("flask_talisman") is not None:
        found["Flask-Talisman, no nonce"] = _talisman(nonce=False)
        found["Flask-Talisman, nonce"] = _talisman(nonce=True)
    return found


def _app(view: cabc.Callable[[], ResponseReturnValue] = lambda: _VIEW) -> flask.Flask:
    app = flask.Flask("bench")
    app.add_url_rule("/", "index", view)
    return app


def _get(app: flask.Flask) -> Case:
    client = app.test_client()

    def get() -> object:
        return client.get("/")

    response = client.get("/")
    assert response.status_code == 200, response.status
    return get


def _bare() -> Case:
    return _get(_app())


def _lines() -> list[tuple[str, str]]:
    from flaskware_secure import SecureHeaders

    app = _app()
    SecureHeaders(app)
    own = app.test_client().get("/").headers
    bare = _app().test_client().get("/").headers
    return [(name, value) for name, value in own if name not in bare]


def _hand_written() -> Case:
    app = _app()
    lines = _lines()

    @app.after_request
    def add(response: flask.Response) -> flask.Response:
        response.headers.extend(lines)
        return response

    return _get(app)


def _ours(*, nonce: bool) -> Case:
    from flaskware_secure import SecureHeaders

    secure = SecureHeaders()

    def view() -> str:
        return secure.csp_nonce() if nonce else _VIEW

    app = _app(view)
    secure.init_app(app)
    return _get(app)


def _secure_library() -> Case:
    from secure import CustomHeader
    from secure import Secure

    app = _app()
    headers = Secure(custom=[CustomHeader(name, value) for name, value in _lines()])

    @app.after_request
    def add(response: flask.Response) -> flask.Response:
        headers.set_headers(response)
        return response

    return _get(app)


def _talisman(*, nonce: bool) -> Case:
    import flask_talisman

    def view() -> str:
        return flask.request.csp_nonce if nonce else _VIEW  # type: ignore[attr-defined]

    app = _app(view)
    lines = dict(_lines())
    permissions = dict(
        item.split("=") for item in lines["Permissions-Policy"].split(", ")
    )
    csp = dict(
        part.split(" ", 1) for part in lines["Content-Security-Policy"].split("; ")
    )
    flask_talisman.Talisman(
        app,
        force_https=False,
        content_security_policy=csp,
        content_security_policy_nonce_in=["script-src"] if nonce else [],
        permissions_policy=permissions,
        session_cookie_secure=False,
    )
    return _get(app)
