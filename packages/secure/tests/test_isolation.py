from __future__ import annotations

import asyncio
import http.client
import importlib
import logging
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import flask
import pytest
from quart.testing import WebsocketResponseError

from flaskware_core import current_session
from flaskware_core.testing import blueprint_for
from flaskware_core.testing import free_port
from flaskware_core.testing import make_app
from flaskware_secure import Changes
from flaskware_secure import Cors
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp

CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}

_LOADED = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "no-cors",
    "Sec-Fetch-Dest": "image",
}


def _posting(secure: SecureHeaders, **config: object) -> flask.Flask:
    app = make_app(secure, **config)
    app.add_url_rule("/", "index", lambda: "taken", methods=["GET", "POST", "DELETE"])
    return app


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_what_a_page_of_another_site_sends_is_refused(
    secure: SecureHeaders, method: str
) -> None:
    response = (
        _posting(secure).test_client().open("/", method=method, headers=CROSS_SITE)
    )
    assert response.status_code == 403
    assert "another site" in response.text
    assert_csp(response, frame_ancestors=["'none'"])
    assert response.headers["Cache-Control"] == "no-store"
    assert "Vary" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://a.localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
    ],
)
def test_ones_own_pages_and_clients_that_are_no_browser_may_post(
    secure: SecureHeaders, headers: dict[str, str]
) -> None:
    assert _posting(secure).test_client().post("/", headers=headers).text == "taken"


def test_an_old_browser_is_known_by_its_origin(secure: SecureHeaders) -> None:
    client = _posting(secure).test_client()
    response = client.post("/", headers={"Origin": "https://evil.example"})
    assert response.status_code == 403


def test_a_page_of_another_site_may_link_here(secure: SecureHeaders) -> None:
    client = _posting(secure).test_client()
    link = {**_LOADED, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).text == "taken"
    # An old browser tells nothing of a link but where it stands.
    assert client.get("/", headers={"Referer": "https://evil.example/"}).text == "taken"
    # Who may frame the page is for frame-ancestors to say.
    frame = {**link, "Sec-Fetch-Dest": "iframe"}
    assert client.get("/", headers=frame).text == "taken"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "embed"},
    ],
)
def test_a_page_of_another_site_may_not_load_a_response_into_itself(
    secure: SecureHeaders, changes: dict[str, str]
) -> None:
    client = _posting(secure).test_client()
    assert client.get("/", headers={**_LOADED, **changes}).status_code == 403


def test_what_others_may_load_is_loaded(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    for name, changes in (
        ("shared", Changes(corp="cross-origin")),
        ("marked", Changes(cross_site=True)),
        ("read", Changes(cors=Cors(origins=("https://evil.example",)))),
        ("public", Changes(cors=Cors(origins=("*",)))),
    ):
        view = secure.override(**changes)(lambda: "taken")
        app.add_url_rule(f"/{name}", name, view, methods=["GET", "POST"])
    client = app.test_client()
    headers = {**_LOADED, "Origin": "https://evil.example"}
    for name in ("shared", "marked", "read", "public"):
        assert client.get(f"/{name}", headers=headers).text == "taken"
    assert client.post("/read", headers=headers).text == "taken"
    assert client.post("/marked", headers=headers).text == "taken"
    for name in ("shared", "public"):
        assert client.post(f"/{name}", headers=headers).status_code == 403


def test_caches_are_told_what_decides_where_the_browser_does_not(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/varied")
    @secure.override(corp=None)
    def varied() -> flask.Response:
        response = flask.Response("varied")
        response.vary.update(["Accept", "sec-fetch-site"])
        return response

    client = app.test_client()
    # Its Cross-Origin-Resource-Policy has the browser block what a cache gives.
    assert "Vary" not in client.get("/plain").headers
    varies = client.get("/varied").vary
    assert [*varies] == ["Accept", "sec-fetch-site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"]
    lenient = make_app(SecureHeaders(), SECURE_ISOLATION="off")
    view = lenient.test_client().get("/", headers=_LOADED)
    assert "Vary" not in view.headers


def test_a_trusted_origin_may_post(secure: SecureHeaders) -> None:
    app = _posting(secure, FLASKWARE_TRUSTED_ORIGINS=["https://evil.example"])
    assert app.test_client().post("/", headers=CROSS_SITE).text == "taken"


def test_a_marked_view_and_a_marked_blueprint_take_cross_site_posts(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    hooks = blueprint_for(app, "hooks")
    secure.override(cross_site=True)(hooks)
    hooks.add_url_rule("/hook", "hook", lambda: "taken", methods=["POST"])
    app.register_blueprint(hooks)

    @app.post("/callback")
    @secure.override(cross_site=True)
    def callback() -> str:
        return "taken"

    client = app.test_client()
    assert client.post("/hook", headers=CROSS_SITE).text == "taken"
    assert client.post("/callback", headers=CROSS_SITE).text == "taken"
    assert client.post("/post", headers=CROSS_SITE).status_code == 403


def test_reporting_lets_through_and_logs(
    secure: SecureHeaders, caplog: pytest.LogCaptureFixture
) -> None:
    app = _posting(secure, SECURE_ISOLATION="report")
    with caplog.at_level(logging.WARNING, "flaskware.secure"):
        assert app.test_client().post("/", headers=CROSS_SITE).text == "taken"
    assert "Would refuse a cross-site POST to endpoint 'index'" in caplog.text


def test_isolation_can_be_turned_off(secure: SecureHeaders) -> None:
    app = _posting(secure, SECURE_ISOLATION="off")
    assert app.test_client().post("/", headers=CROSS_SITE).text == "taken"


def test_a_session_that_was_used_is_told_to_caches_too(
    app: flask.Flask,
) -> None:
    @app.get("/used")
    def used() -> str:
        return str(current_session().get("user"))

    response = app.test_client().get("/used")
    assert len(response.headers.getlist("Vary")) == 1
    assert set(response.vary) == {"Cookie"}


_SIBLING = {**_LOADED, "Sec-Fetch-Site": "same-site"}


@pytest.mark.parametrize("corp", ["same-origin", "same-site", "cross-origin", None])
def test_a_load_is_refused_exactly_where_the_browser_would_block_it(
    app: flask.Flask, secure: SecureHeaders, corp: t.Any
) -> None:
    app.add_url_rule("/a", "a", secure.override(corp=corp)(lambda: "loaded"))
    client = app.test_client()
    sibling = client.get("/a", headers=_SIBLING)
    assert sibling.status_code == (403 if corp == "same-origin" else 200)
    other = client.get("/a", headers=_LOADED)
    assert other.status_code == (200 if corp == "cross-origin" else 403)
    assert client.get("/a", headers={"Sec-Fetch-Site": "same-origin"}).text == "loaded"


def test_other_hosts_of_the_site_can_count_as_other_sites(
    secure: SecureHeaders,
) -> None:
    post = {"Sec-Fetch-Site": "same-site", "Origin": "https://blog.example.org"}
    assert _posting(SecureHeaders()).test_client().post("/", headers=post).text
    client = _posting(secure, SECURE_ISOLATE_SAME_SITE=True).test_client()
    assert client.post("/", headers=post).status_code == 403
    assert client.get("/", headers=_SIBLING).status_code == 403
    corp = client.get("/").headers["Cross-Origin-Resource-Policy"]
    assert corp == "same-origin"


def test_a_refusal_names_the_remedy_in_debug_mode_only(
    secure: SecureHeaders, caplog: pytest.LogCaptureFixture
) -> None:
    app = _posting(secure)
    client = app.test_client()
    assert "override" not in client.post("/", headers=CROSS_SITE).text
    # Whoever reads the log learns it in production too.
    assert "@secure.override(cross_site=True)" in caplog.text
    app.debug = True
    posted = client.post("/", headers=CROSS_SITE)
    assert "@secure.override(cross_site=True) below the route of" in posted.text
    assert 'corp="cross-origin"' in client.get("/", headers=_LOADED).text


def test_a_preflight_is_left_to_the_app(secure: SecureHeaders) -> None:
    asked = {**CROSS_SITE, "Access-Control-Request-Method": "POST"}
    response = _posting(secure).test_client().options("/", headers=asked)
    assert response.status_code == 200
    assert "Access-Control-Allow-Origin" not in response.headers


_WEBSOCKET = {"Upgrade": "websocket", "Connection": "Upgrade"}


_openings = pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({}, True),  # no browser
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://friend.example"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "null"}, False),  # a page in a sandbox
    ],
)


@pytest.mark.flask_only("a websocket of Quart is no request")
@_openings
def test_a_websocket_opens_for_whom_a_post_is_taken(
    secure: SecureHeaders, headers: dict[str, str], *, taken: bool
) -> None:
    app = make_app(secure, FLASKWARE_TRUSTED_ORIGINS=["https://friend.example"])
    app.add_url_rule("/", "index", lambda: "open", websocket=True)
    response = app.test_client().get("/", headers={**_WEBSOCKET, **headers})
    assert response.status_code == (200 if taken else 403)


@pytest.mark.flask_only("a websocket of Quart is no request")
def test_an_override_opens_a_websocket_to_all_and_cors_of_everybody_does_not(
    secure: SecureHeaders,
) -> None:
    app = make_app(secure)
    for path, changes in (
        ("/open", Changes(cross_site=True)),
        ("/named", Changes(cors=Cors(origins=("https://evil.example",)))),
        ("/read", Changes(cors=Cors(origins=("*",)))),
    ):
        view = secure.override(**changes)(lambda: "open")
        app.add_url_rule(path, path, view, websocket=True)
    client = app.test_client()
    headers = {**_WEBSOCKET, "Origin": "https://evil.example"}
    found = {
        path: client.get(path, headers=headers).status_code
        for path in ("/open", "/named", "/read")
    }
    assert found == {"/open": 200, "/named": 200, "/read": 403}


_IN_QUART = """
import quart
from flaskware_secure import SecureHeaders

app = quart.Quart(__name__)
app.config["FLASKWARE_TRUSTED_ORIGINS"] = ["https://friend.example"]
secure = SecureHeaders(app)
heard = []


@app.before_websocket
async def hear():
    heard.append(quart.websocket.path)


@app.websocket("/")
async def index():
    await quart.websocket.send("open")


@app.websocket("/open")
@secure.override(cross_site=True)
async def open_to_all():
    await quart.websocket.send("open")
"""


@pytest.fixture
def in_quart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app_of_quart.py").write_text(_IN_QUART)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "app_of_quart", raising=False)
    return tmp_path


@_openings
def test_a_websocket_of_quart_opens_for_the_same(
    in_quart: Path, headers: dict[str, str], *, taken: bool
) -> None:
    module = importlib.import_module("app_of_quart")

    async def answer(path: str) -> t.Any:
        try:
            client = module.app.test_client()
            async with client.websocket(path, headers=headers) as socket:
                return await socket.receive()
        except WebsocketResponseError as error:
            return error.response

    found = asyncio.run(answer("/"))
    if taken:
        assert found == "open"
    else:
        assert found.status_code == 403
        assert found.headers["Cache-Control"] == "no-store"
        assert "Content-Security-Policy" in found.headers
    # It is refused before the hooks of the app.
    assert module.heard == (["/"] if taken else [])
    assert asyncio.run(answer("/open")) == "open"


@pytest.mark.slow
def test_hypercorn_opens_a_websocket_for_the_app_and_for_no_other_site(
    in_quart: Path,
) -> None:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{port}", "app_of_quart"],
        cwd=in_quart,
    )
    try:
        found = {
            origin: _handshake(server, port, origin)
            for origin in (f"http://127.0.0.1:{port}", "https://evil.example", "null")
        }
    finally:
        server.terminate()
        server.wait()
    assert list(found.values()) == [101, 403, 403]


def _handshake(server: subprocess.Popen[bytes], port: int, origin: str) -> int:
    headers = {
        **_WEBSOCKET,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": origin,
    }
    while server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/", headers=headers)
            return connection.getresponse().status
        except ConnectionRefusedError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError("hypercorn ended")
