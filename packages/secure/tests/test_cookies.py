from __future__ import annotations

import logging

import flask
import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from flaskware_core.testing import make_app
from flaskware_secure import SecureHeaders
from flaskware_secure._headers.cookies import fixed_cookie


@pytest.fixture
def baking() -> flask.Flask:
    app = make_app()
    app.add_url_rule("/", "index", _bake)
    return app


def _bake() -> flask.Response:
    flask.session["user"] = 7
    response = flask.make_response("baked")
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
    baking.add_url_rule("/read", "read", lambda: str(flask.session["user"]))
    client = baking.test_client()
    client.get("/")
    assert client.get("/read").text == "7"


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
