from __future__ import annotations

import flask
import pytest

from flaskware_core.testing import make_app
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp
from flaskware_secure.testing import assert_nonces
from flaskware_secure.testing import csp_of


def test_assert_csp_names_what_differs(app: flask.Flask) -> None:
    response = app.test_client().get("/plain")
    with pytest.raises(AssertionError) as caught:
        assert_csp(response, script_src=["'self'"], base_uri=None, worker_src=["*"])
    message = str(caught.value)
    assert (
        "script-src: expected [\"'self'\"], the response has (\"'none'\",)" in message
    )
    assert "base-uri: expected None" in message
    assert "worker-src: expected ['*'], the response has None" in message


def test_csp_of_a_response_without_one_is_an_error() -> None:
    response = make_app().test_client().get("/")
    with pytest.raises(AssertionError, match="0 lines of Content-Security-Policy"):
        csp_of(response)


@pytest.mark.parametrize(
    ("markup", "complaint"),
    [
        (
            "<script>go()</script>",
            r'1: <script> without a nonce; write <script nonce="{{ csp_nonce\(\) }}">',
        ),
        ("<style>a{}</style>", "line 1: <style> without a nonce"),
        ("<script nonce=other>go()</script>", "line 1: <script> with another nonce"),
        ("\n<a onclick=go()>x</a>", "line 2: <a onclick=…>.*write addEventListener"),
        ("<p style='color: red'>x</p>", "line 1: <p style=…>.*write a class"),
    ],
)
def test_assert_nonces_finds_what_a_browser_would_block(
    markup: str, complaint: str
) -> None:
    app = make_app(SecureHeaders())
    app.add_url_rule("/", "index", lambda: markup)
    with pytest.raises(AssertionError, match=complaint):
        assert_nonces(app.test_client().get("/"))


def test_assert_nonces_takes_data_and_links_as_they_are() -> None:
    app = make_app(SecureHeaders())
    page = (
        '<link rel=stylesheet href="/static/a.css">'
        '<script type="application/json">{}</script><p>x</p>'
    )
    app.add_url_rule("/", "index", lambda: page)
    assert_nonces(app.test_client().get("/"))
