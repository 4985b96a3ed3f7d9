"""Headers and nonces whatever the order of hooks, at the edge of the app."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import io
import typing as t

import flask
import flask_caching
import pytest
import quart
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from flaskware_core import current_app_object
from flaskware_core import current_request
from flaskware_core.testing import make_app
from flaskware_core.testing import rendered
from flaskware_secure import NonceError
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp
from flaskware_secure.testing import assert_nonces
from flaskware_secure.testing import nonce_of

HTTPS = "https://www.example.org"
PAGE = "<!doctype html><script nonce={{ csp_nonce() }}>go()</script>"


def _own(response: t.Any, bare: t.Any) -> list[tuple[str, str]]:
    return [line for line in response.headers if line[0] not in bare.headers]


def _size(lines: list[tuple[str, str]]) -> int:
    return sum(len(f"{name}: {value}\r\n") for name, value in lines)


@pytest.mark.parametrize(
    ("mimetype", "most"),
    [
        ("text/html", 700), ("image/svg+xml", 700), ("application/json", 350),
        ("image/png", 350), ("text/css", 350), ("text/javascript", 350),
        ("video/mp4", 350), ("application/pdf", 350), ("text/plain", 350),
    ],
)  # fmt: skip
def test_a_response_carries_few_bytes_of_headers(mimetype: str, most: int) -> None:
    def view() -> flask.Response:
        page = "x"
        if mimetype == "text/html" and "secure" in current_app_object().extensions:
            page = rendered(PAGE)
        return flask.Response(page, mimetype=mimetype)

    responses = []
    for app in (make_app(SecureHeaders()), make_app()):
        app.add_url_rule("/", "index", view)
        responses.append(app.test_client().get("/", base_url=HTTPS))
    lines = _own(*responses)
    assert 200 < _size(lines) <= most
    names = {name for name, _ in lines}
    assert names >= {
        "Content-Security-Policy", "Cross-Origin-Resource-Policy",
        "Referrer-Policy", "Strict-Transport-Security", "X-Content-Type-Options",
    }  # fmt: skip
    assert ("Permissions-Policy" in names) == (most == 700)


def test_a_worker_has_the_policy_of_what_it_may_fetch(secure: SecureHeaders) -> None:
    app = make_app(secure)
    app.add_url_rule(
        "/w.js", "w", lambda: flask.Response("1", mimetype="text/javascript")
    )
    response = app.test_client().get("/w.js")
    assert_csp(
        response,
        script_src=["'self'"],
        connect_src=["'self'"],
        default_src=["'none'"],
        frame_ancestors=None,
    )


@pytest.mark.parametrize("mimetype", ["image/png", "application/octet-stream"])
def test_what_users_uploaded_keeps_its_sandbox(
    app: flask.Flask, secure: SecureHeaders, mimetype: str
) -> None:
    @app.get("/upload")
    @secure.override(sandbox=[])
    def upload() -> flask.Response:
        return flask.send_file(io.BytesIO(b"abc"), mimetype=mimetype)

    assert_csp(app.test_client().get("/upload"), sandbox=[])
    partly = app.test_client().get("/upload", headers={"Range": "bytes=0-1"})
    assert partly.status_code in {200, 206}
    assert_csp(partly, sandbox=[])


def test_a_response_object_that_is_returned_twice_has_a_nonce_each_time(
    app: flask.Flask,
) -> None:
    made: list[flask.Response] = []

    @app.get("/kept")
    def kept() -> flask.Response:
        if not made:
            made.append(flask.Response(rendered(PAGE)))
        return made[0]

    client = app.test_client()
    found = []
    for _ in range(3):
        response = client.get("/kept")
        assert_nonces(response)
        assert len(response.headers.getlist("Content-Security-Policy")) == 1
        found.append(nonce_of(response))
    assert None not in found
    assert len({*found}) == 3


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("made", ["text", "response", "fragment", "tuple"])
def test_flask_caching_never_serves_a_page_with_a_dead_nonce(
    first: bool, made: str
) -> None:
    app = make_app()
    config = {"CACHE_TYPE": "SimpleCache"}
    if first:
        cache = flask_caching.Cache(app, config=config)
        SecureHeaders(app)
    else:
        SecureHeaders(app)
        cache = flask_caching.Cache(app, config=config)
    runs = []

    @app.get("/")
    @cache.cached(60, unless=lambda: made == "fragment")
    def index() -> t.Any:
        runs.append(1)
        page = PAGE
        if made == "fragment":
            page = "{% cache 60, 'key' %}" + PAGE + "{% endcache %}"
        text = rendered(page)
        if made == "tuple":
            return text, 200
        return flask.Response(text) if made == "response" else text

    @app.get("/plain")
    @cache.cached(60)
    def plain() -> str:
        runs.append(1)
        return "plain"

    client = app.test_client()
    nonces = set()
    for _ in range(3):
        response = client.get("/")
        assert_nonces(response)
        nonces.add(nonce_of(response))
    assert len(nonces) == 3
    before = len(runs)
    assert [client.get("/plain").text for _ in range(3)] == ["plain"] * 3
    assert len(runs) == before + 1


def test_a_304_of_a_hook_that_runs_later_has_no_policy() -> None:
    app = make_app()

    @app.after_request
    def conditional(response: flask.Response) -> flask.Response:
        response.add_etag()
        return response.make_conditional(current_request())

    SecureHeaders(app)
    app.add_url_rule("/", "index", lambda: "page")
    client = app.test_client()
    tag = client.get("/").headers["ETag"]
    response = client.get("/", headers={"If-None-Match": tag}, base_url=HTTPS)
    assert response.status_code == 304
    assert "Content-Security-Policy" not in response.headers
    assert "Strict-Transport-Security" in response.headers


def test_an_answer_that_passes_no_hook_has_the_headers() -> None:
    app = make_app(TESTING=False, PROPAGATE_EXCEPTIONS=False)
    SecureHeaders(app)

    @app.after_request
    def fail(response: flask.Response) -> flask.Response:
        raise ZeroDivisionError

    app.add_url_rule("/", "index", lambda: "page")
    response = app.test_client().get("/")
    assert response.status_code == 500
    assert_csp(response, default_src=["'none'"])


def test_isolation_runs_before_the_hooks_that_others_attached_first() -> None:
    app = make_app()
    ran = []
    app.before_request(lambda: ran.append(1))
    SecureHeaders(app)
    app.add_url_rule("/", "index", lambda: "page", methods=["POST"])
    client = app.test_client()
    fetched = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    response = client.post("/", headers=fetched)
    assert response.status_code == 403
    assert response.headers["Cache-Control"] == "no-store"
    assert ran == []
    client.post("/")
    assert ran == [1]


def test_a_page_that_a_person_sees_is_the_apps_own(secure: SecureHeaders) -> None:
    app = make_app(secure)
    app.register_error_handler(403, lambda _: ("our own page", 403))
    app.add_url_rule("/", "index", lambda: "page", methods=["POST"])
    sent = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    response = app.test_client().post("/", headers=sent)
    assert response.text == "our own page"
    assert response.headers["Cache-Control"] == "no-store"


def test_a_mounted_app_keeps_its_own_headers() -> None:
    outer, inner = make_app(), make_app()
    SecureHeaders(inner, policy=Policy.api())
    inner.add_url_rule("/", "index", lambda: "inner")
    mounted: t.Any = DispatcherMiddleware(outer.wsgi_app, {"/api": inner})
    outer.wsgi_app = mounted  # type: ignore[method-assign]
    SecureHeaders(outer)
    outer.add_url_rule("/", "index", lambda: "outer")
    client = outer.test_client()
    assert_csp(client.get("/"), style_src=["'self'"])
    assert_csp(client.get("/api/"), style_src=None, frame_ancestors=["'none'"])
    assert len(client.get("/api/").headers.getlist("Referrer-Policy")) == 1


def test_hsts_goes_by_the_peer_and_not_by_the_host_that_a_proxy_names(
    app: flask.Flask,
) -> None:
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign]
    client = app.test_client()
    host = "http://127.0.0.1:8000"  # as nginx does by default
    proxied = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    response = client.get("/plain", base_url=host, headers=proxied)
    assert "Strict-Transport-Security" in response.headers
    # A proxy on a developer's machine, for the developer.
    local = {**proxied, "X-Forwarded-For": "127.0.0.1"}
    response = client.get("/plain", base_url=host, headers=local)
    assert response.headers.get("Strict-Transport-Security") is None


@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-Proto": "https"}, {"Forwarded": "proto=https"}]
)
def test_hsts_is_sent_where_only_the_server_knows_of_the_proxy(
    app: flask.Flask, headers: dict[str, str]
) -> None:
    client = app.test_client()
    base = "https://localhost"
    response = client.get("/plain", base_url=base, headers=headers)
    assert "Strict-Transport-Security" in response.headers
    other = client.get(
        "/plain", base_url=base, environ_overrides={"REMOTE_ADDR": "10.0.0.7"}
    )
    assert "Strict-Transport-Security" in other.headers


def test_quart_has_the_headers_and_cookie_flags_at_its_edge() -> None:
    app = quart.Quart("edge")
    app.secret_key = "k" * 32

    @app.after_request
    async def conditional(response: quart.Response) -> quart.Response:
        assert "Content-Security-Policy" not in response.headers
        return response

    SecureHeaders(app)

    @app.get("/")
    async def index() -> str:
        quart.session["user"] = 1
        return await quart.render_template_string(PAGE)

    @app.get("/stream")
    async def stream() -> cabc.AsyncIterator[str]:
        return await quart.stream_template_string("{{ 1 }}" + PAGE)

    async def get(path: str) -> tuple[quart.Response, str]:
        response = await app.test_client().get(path)
        return response, await response.get_data(as_text=True)

    for path in ("/", "/stream"):
        response, text = asyncio.run(get(path))
        nonce = nonce_of(t.cast("t.Any", response))
        assert nonce is not None
        assert nonce in text
        if path == "/":
            assert "SameSite=Lax" in response.headers["Set-Cookie"]


def test_the_nonce_of_a_page_without_a_directive_is_refused_while_streaming() -> None:
    app = make_app(SecureHeaders(policy=Policy.api()))

    @app.get("/")
    def index() -> cabc.Iterator[str]:
        return flask.stream_template_string(PAGE)

    with pytest.raises(NonceError):
        app.test_client().get("/").get_data()
