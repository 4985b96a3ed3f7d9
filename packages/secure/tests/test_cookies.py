from __future__ import annotations

import logging

import flask
import flask_jwt_extended
import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from flaskware_core import current_session
from flaskware_core import examine
from flaskware_core.testing import make_app
from flaskware_secure import SecureHeaders
from flaskware_secure._headers.cookies import fixed_cookie


@pytest.fixture
def baking() -> flask.Flask:
    app = make_app()
    app.add_url_rule("/", "index", _bake)
    return app


def _bake() -> flask.Response:
    current_session()["user"] = 7
    response = flask.Response("baked")
    response.headers.add("Set-Cookie", "a=1; Path=/")
    response.headers.add("Set-Cookie", "theme=dark; SameSite=Strict")
    return response


@pytest.mark.parametrize(
    ("line", "https", "expected"),
    [
        ("a=1", True, "a=1; Secure; HttpOnly; SameSite=Lax"),
        ("a=1", False, "a=1; HttpOnly; SameSite=Lax"),
        ("a=1; secure; httponly; samesite=strict", True, None),
        ("a=1; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax", True, None),
        ("a=x=y; SameSite=None", True, "a=x=y; SameSite=None; Secure; HttpOnly"),
        ("a=1; SameSite=None", False, "a=1; SameSite=Lax; HttpOnly"),
        (
            "__Host-a=1; Domain=a.example; Path=/sub",
            True,
            "__Host-a=1; Path=/; Secure; HttpOnly; SameSite=Lax",
        ),
        ("__Secure-a=1", False, "__Secure-a=1; Secure; HttpOnly; SameSite=Lax"),
        ("a=1; Secure; Partitioned", True, None),
        ("theme=1", True, "theme=1; Secure; SameSite=Lax"),
        # A script of the library reads these and sends them back.
        ("XSRF-TOKEN=1", True, "XSRF-TOKEN=1; Secure; SameSite=Lax"),
        ("csrf_access_token=1", False, "csrf_access_token=1; SameSite=Lax"),
        ("__Host-csrftoken=1; Path=/; Secure", True, None),
        # Browsers decide on this over http; it is never another cookie unnoticed.
        ("a=1; Secure; SameSite=None", False, None),
    ],
)
def test_a_cookie_gets_the_flags_that_it_should_have(
    line: str, https: bool, expected: str | None
) -> None:
    fixed = fixed_cookie(line, https=https, readable={"theme"})
    if expected is None:
        assert fixed.startswith(line)
    else:
        assert fixed == expected


def test_every_cookie_is_fixed_that_of_the_session_too(baking: flask.Flask) -> None:
    SecureHeaders(baking, cookies_readable=["theme"])
    response = baking.test_client().get("/", base_url="https://localhost")
    cookies = {
        line.partition("=")[0]: line for line in response.headers.getlist("Set-Cookie")
    }
    assert set(cookies) == {"a", "theme", "session"}
    for name in ("a", "session"):
        assert "; Secure" in cookies[name]
        assert "; HttpOnly" in cookies[name]
        assert "; SameSite=Lax" in cookies[name]
    assert cookies["theme"] == "theme=dark; SameSite=Strict; Secure"


def test_a_session_still_works_over_plain_http(baking: flask.Flask) -> None:
    SecureHeaders(baking)
    baking.add_url_rule("/read", "read", lambda: str(current_session()["user"]))
    client = baking.test_client()
    client.get("/")
    assert client.get("/read").text == "7"


@pytest.mark.flask_only("ProxyFix is for WSGI")
@pytest.mark.parametrize("before", [True, False])
def test_a_proxy_decides_whether_it_is_https(baking: flask.Flask, before: bool) -> None:
    def fix_proxy() -> None:
        baking.wsgi_app = ProxyFix(baking.wsgi_app)  # type: ignore[method-assign]

    if before:
        fix_proxy()
    SecureHeaders(baking)
    if not before:
        fix_proxy()
    headers = {"X-Forwarded-Proto": "https"}
    response = baking.test_client().get("/", headers=headers)
    assert all("; Secure" in line for line in response.headers.getlist("Set-Cookie"))


def test_cookies_can_be_logged_only(
    baking: flask.Flask, caplog: pytest.LogCaptureFixture
) -> None:
    SecureHeaders(baking, cookies="report")
    with caplog.at_level(logging.WARNING, "flaskware.secure"):
        lines = baking.test_client().get("/").headers.getlist("Set-Cookie")
    assert "a=1; Path=/" in lines
    assert "The cookie a lacks" in caplog.text


def test_cookies_can_be_left_alone(baking: flask.Flask) -> None:
    SecureHeaders(baking, cookies="off")
    lines = baking.test_client().get("/").headers.getlist("Set-Cookie")
    assert "a=1; Path=/" in lines


def test_a_change_of_a_cookie_is_logged_once_and_found_by_doctor(
    baking: flask.Flask, caplog: pytest.LogCaptureFixture
) -> None:
    SecureHeaders(baking)
    with caplog.at_level(logging.INFO, "flaskware.secure"):
        for _ in range(3):
            baking.test_client().get("/")
    logged = [record for record in caplog.records if "cookie a was" in record.message]
    assert [record.levelname for record in logged] == ["WARNING"]
    assert "HttpOnly added" in logged[0].message
    quiet = [record for record in caplog.records if "cookie session" in record.message]
    assert [record.levelname for record in quiet] == ["INFO"]
    found = {f.symbol for f in examine(baking).findings if "cookie-changed" in f.id}
    assert found == {"a", "session", "theme"}


@pytest.mark.parametrize("key", ["JWT_ACCESS_CSRF_COOKIE_NAME", "CSRF_COOKIE_NAME"])
def test_a_cookie_that_another_library_names_for_its_script_stays_readable(
    baking: flask.Flask, key: str
) -> None:
    baking.config[key] = "a"
    SecureHeaders(baking)
    lines = baking.test_client().get("/").headers.getlist("Set-Cookie")
    assert "a=1; Path=/; SameSite=Lax" in lines


@pytest.mark.flask_only("Flask-JWT-Extended knows Flask alone")
def test_the_cookies_of_flask_jwt_extended_work_for_its_script() -> None:
    app = make_app(
        SecureHeaders(), JWT_SECRET_KEY="x" * 40, JWT_TOKEN_LOCATION=["cookies"]
    )
    flask_jwt_extended.JWTManager(app)

    @app.get("/login")
    def login() -> flask.Response:
        response = flask.jsonify(ok=True)
        token = flask_jwt_extended.create_access_token("user")
        flask_jwt_extended.set_access_cookies(response, token)
        return response

    response = app.test_client().get("/login", base_url="https://www.example.org")
    flags = {
        line.partition("=")[0]: line for line in response.headers.getlist("Set-Cookie")
    }
    assert "; HttpOnly" in flags["access_token_cookie"]
    assert "; HttpOnly" not in flags["csrf_access_token"]
    assert all("; Secure" in line for line in flags.values())
