from __future__ import annotations

import asyncio
import base64
import collections.abc as cabc
import gzip
import hashlib
import re
import threading
import typing as t

import flask
import pytest
import quart
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from flaskware_core import current_request
from flaskware_core.testing import make_app
from flaskware_core.testing import rendered
from flaskware_secure import NonceError
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp
from flaskware_secure.testing import assert_nonces
from flaskware_secure.testing import csp_of
from flaskware_secure.testing import nonce_of


def test_a_template_and_the_header_have_the_same_nonce(app: flask.Flask) -> None:
    response = app.test_client().get("/page")
    assert nonce_of(response) is not None
    assert_nonces(response)
    assert_csp(response, script_src=["'nonce'", "'strict-dynamic'"])


def test_a_nonce_is_the_same_within_a_request_and_fresh_in_the_next(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/two")
    def two() -> list[str]:
        in_template = rendered("{{ csp_nonce() }}")
        return [secure.csp_nonce(), secure.csp_nonce(), in_template]

    client = app.test_client()
    seen: set[str] = set()
    for _ in range(50):
        nonces: list[str] = client.get("/two").get_json()
        assert len(set(nonces)) == 1
        seen.add(nonces[0])
    assert len(seen) == 50
    # 128 bits are 22 characters of base64
    assert all(len(nonce) >= 22 for nonce in seen)


def test_requests_within_one_app_context_have_nonces_of_their_own(
    app: flask.Flask,
) -> None:
    with app.app_context():
        client = app.test_client()
        first, second = client.get("/page"), client.get("/page")
    assert nonce_of(first) != nonce_of(second)
    assert_nonces(second)


def test_requests_in_threads_have_nonces_of_their_own(app: flask.Flask) -> None:
    found: list[str | None] = []

    def ask() -> None:
        response = app.test_client().get("/page")
        assert_nonces(response)
        found.append(nonce_of(response))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16


def test_an_unused_nonce_is_not_sent_and_scripts_stay_blocked(app: flask.Flask) -> None:
    response = app.test_client().get("/plain")
    assert nonce_of(response) is None
    assert_csp(response, script_src=["'none'"], style_src=["'self'"])


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["'nonce'"], ["'none'"]),
        (["'nonce'", "'self'"], ["'self'"]),
        (["'nonce'", "'self'", "'strict-dynamic'"], ["'none'"]),
        (
            ["'nonce'", "'strict-dynamic'", "'sha256-aGFzaA=='"],
            ["'strict-dynamic'", "'sha256-aGFzaA=='"],
        ),
    ],
)
def test_a_directive_without_its_nonce_never_weakens(
    given: list[str], sent: list[str]
) -> None:
    policy = Policy.strict(script_src=given)
    response = make_app(SecureHeaders(policy=policy)).test_client().get("/")
    assert_csp(response, script_src=sent)


@pytest.mark.flask_only("Quart awaits make_conditional()")
def test_a_304_brings_no_policy_that_would_block_the_cached_page(
    app: flask.Flask,
) -> None:
    @app.get("/cached")
    def cached() -> flask.Response:
        page = rendered("<script nonce={{ csp_nonce() }}></script>")
        response = flask.Response(page)
        response.set_etag("version-1")
        return response.make_conditional(current_request())  # type: ignore[return-value]

    client = app.test_client()
    first = client.get("/cached")
    assert first.status_code == 200
    assert nonce_of(first) is not None
    again = client.get("/cached", headers={"If-None-Match": '"version-1"'})
    assert again.status_code == 304
    assert "Content-Security-Policy" not in again.headers
    assert again.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, "private"),
        ("public, max-age=60, s-maxage=600", "max-age=60, private"),
        ("max-age=60", "max-age=60, private"),
        ("no-store", "no-store"),
        ("Private, max-age=5", "Private, max-age=5"),
    ],
)
def test_a_page_with_a_nonce_is_not_stored_by_shared_caches(
    app: flask.Flask, given: str | None, sent: str
) -> None:
    @app.get("/caching")
    def caching() -> flask.Response:
        page = rendered("{{ csp_nonce() }}")
        response = flask.Response(page)
        if given is not None:
            response.headers["Cache-Control"] = given
        return response

    assert app.test_client().get("/caching").headers["Cache-Control"] == sent


def test_a_no_store_of_the_policy_is_kept_beside_a_nonce() -> None:
    policy = Policy.strict(extra={"Cache-Control": "no-store"})
    secure = SecureHeaders(policy=policy)
    app = make_app(secure)
    app.add_url_rule("/", "index", secure.csp_nonce)
    headers = app.test_client().get("/").headers
    assert headers.getlist("Cache-Control") == ["no-store"]


def test_several_lines_of_cache_control_are_read_as_one(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/caching")
    def caching() -> flask.Response:
        response = flask.Response(secure.csp_nonce())
        response.headers.add("Cache-Control", "max-age=60")
        response.headers.add("Cache-Control", "public")
        return response

    headers = app.test_client().get("/caching").headers
    assert headers.getlist("Cache-Control") == ["max-age=60, private"]


def test_a_page_without_a_nonce_keeps_its_cache_control(app: flask.Flask) -> None:
    assert "Cache-Control" not in app.test_client().get("/plain").headers


def test_a_nonce_that_no_directive_takes_is_an_error() -> None:
    secure = SecureHeaders(policy="legacy")
    app = make_app(secure)
    with (
        app.test_request_context("/"),
        pytest.raises(NonceError, match="no directive that takes a nonce"),
    ):
        secure.csp_nonce()


def test_a_nonce_outside_a_request_is_an_error(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    with (
        app.app_context(),
        pytest.raises(NonceError, match="outside a request"),
    ):
        secure.csp_nonce()


@pytest.mark.flask_only("its streams are iterators of Flask")
def test_a_streamed_page_may_ask_for_its_nonce_at_any_time(app: flask.Flask) -> None:
    @app.get("/late")
    def late() -> cabc.Iterator[str]:
        return flask.stream_template_string(
            "<p>{{ 1 }}</p><script nonce='{{ csp_nonce() }}'></script>"
        )

    response = app.test_client().get("/late")
    assert nonce_of(response) is not None
    assert_nonces(response)
    assert response.headers["Cache-Control"] == "private"
    head = app.test_client().head("/late")
    assert nonce_of(head) is not None


@pytest.mark.flask_only("its streams are iterators of Flask")
def test_a_nonce_first_asked_for_after_other_headers_is_an_error(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/late")
    def late() -> flask.Response:
        def lines() -> cabc.Iterator[str]:
            yield f"nonce: {secure.csp_nonce()}"

        stream = flask.stream_with_context(lines())
        return flask.Response(stream, mimetype="text/plain")

    with pytest.raises(NonceError, match="before the response is returned"):
        app.test_client().get("/late").get_data()


@pytest.mark.flask_only("its streams are iterators of Flask")
def test_a_nonce_asked_for_before_streaming_reaches_the_streamed_page(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/early")
    def early() -> cabc.Iterator[str]:
        secure.csp_nonce()
        return flask.stream_template_string(
            "<script nonce='{{ csp_nonce() }}'></script>"
        )

    response = app.test_client().get("/early")
    assert nonce_of(response) is not None
    assert_nonces(response)


def test_a_macro_that_is_imported_without_context_has_the_nonce(
    app: flask.Flask,
) -> None:
    @app.get("/macro")
    def macro() -> str:
        return rendered(
            "{% macro s() %}<script nonce={{ csp_nonce() }}></script>{% endmacro %}"
            "{{ s() }}"
        )

    assert_nonces(app.test_client().get("/macro"))


def test_a_nonce_fills_a_report_only_policy_too() -> None:
    policy = Policy.strict(csp_report_only={"script-src": ["'nonce'"]})
    secure = SecureHeaders(policy=policy)
    app = make_app(secure)
    app.add_url_rule("/", "index", secure.csp_nonce)
    response = app.test_client().get("/")
    value = response.headers["Content-Security-Policy-Report-Only"]
    assert value == f"script-src 'nonce-{response.text}'"
    assert nonce_of(response) == response.text


def test_an_async_view_and_its_response_have_the_same_nonce(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    async def view() -> str:
        return secure.csp_nonce()

    app.add_url_rule("/async", "async", view)
    response = app.test_client().get("/async")
    assert nonce_of(response) == response.text


def test_pages_of_others_get_the_nonce_below_the_paths_that_are_named() -> None:
    app = make_app(SecureHeaders(nonces_below=["/admin/"]))
    sheet = "<link rel=stylesheet href=https://cdn.example/style.css>"
    page = f"<script>go()</script><style>p {{}}</style>{sheet}"
    for path in ("/admin/", "/admin/user/", "/administration"):
        app.add_url_rule(path, path, lambda: page)
    app.add_url_rule("/admin/json", "json", lambda: {"markup": page})
    app.add_url_rule(
        "/admin/stream", "stream", lambda: flask.Response(iter([page]), 200)
    )
    client = app.test_client()
    for path in ("/admin/", "/admin/user/"):
        response = client.get(path)
        assert_nonces(response)
        assert nonce_of(response) is not None
        assert f"<link nonce={nonce_of(response)} rel=stylesheet" in response.text
    for path in ("/administration", "/admin/json"):
        assert nonce_of(client.get(path)) is None
    assert "nonce" not in client.get("/admin/stream").text


def test_a_page_whose_policy_takes_no_nonce_is_left_as_it_is() -> None:
    secure = SecureHeaders(
        nonces_below=["/"], paths={"/old": {"policy": Policy.legacy()}}
    )
    app = make_app(secure)
    app.add_url_rule("/old", "old", lambda: "<script>go()</script>")
    assert app.test_client().get("/old").text == "<script>go()</script>"


def test_pages_of_others_get_the_nonce_in_quart_too() -> None:
    app = quart.Quart("quart_nonces")
    app.config["SECURE_NONCES_BELOW"] = ["/admin"]
    SecureHeaders(app)

    @app.get("/admin")
    async def admin() -> str:
        return "<script>go()</script>"

    @app.get("/admin/stream")
    async def stream() -> quart.Response:
        async def parts() -> t.Any:
            yield b"<script>go()</script>"

        return quart.Response(parts(), mimetype="text/html")

    async def ask() -> tuple[str, str, str]:
        client = app.test_client()
        page, streamed = await client.get("/admin"), await client.get("/admin/stream")
        return (
            await page.get_data(as_text=True),
            page.headers["Content-Security-Policy"],
            await streamed.get_data(as_text=True),
        )

    page, csp, streamed = asyncio.run(ask())
    nonce = page.removeprefix("<script nonce=").partition(">")[0]
    assert f"'nonce-{nonce}'" in csp
    assert streamed == "<script>go()</script>"


def _handlers_page(*codes: str) -> str:
    buttons = "".join(f'<button onclick="{escape(code)}">x</button>' for code in codes)
    return f"<!doctype html><title>x</title><script>go()</script>{buttons}"


def test_handlers_of_pages_of_others_are_allowed_by_their_hashes() -> None:
    secure = SecureHeaders(nonces_below=["/admin/"])
    app = make_app(secure)
    code = 'return confirm("Delete?")'
    pages = {
        "/admin/few": _handlers_page(code, "go()", code),
        "/admin/none": _handlers_page(),
        "/admin/many": _handlers_page(*(f"go({each})" for each in range(33))),
        "/elsewhere": _handlers_page(code),
    }
    for path, page in pages.items():
        app.add_url_rule(path, path, lambda page=page: page)
    add = lambda: secure.add_nonces(flask.Response(pages["/elsewhere"]))  # noqa: E731
    app.add_url_rule("/hooked", "hooked", add)
    client = app.test_client()
    digests = [hashlib.sha256(text.encode()).digest() for text in (code, "go()")]
    hashes = [f"'sha256-{base64.b64encode(each).decode()}'" for each in digests]
    found = {path: csp_of(client.get(path)) for path in (*pages, "/hooked")}
    assert found["/admin/few"]["script-src-attr"] == ("'unsafe-hashes'", *hashes)
    assert found["/hooked"]["script-src-attr"] == ("'unsafe-hashes'", hashes[0])
    assert found["/admin/many"]["script-src-attr"] == ("'unsafe-inline'",)
    for path in ("/admin/none", "/elsewhere"):
        assert "script-src-attr" not in found[path]


def test_a_policy_that_decides_on_handlers_itself_is_left_alone() -> None:
    secure = SecureHeaders(nonces_below=["/"], csp={"script-src-attr": ["'none'"]})
    app = make_app(secure)
    app.add_url_rule("/", "page", lambda: _handlers_page("go()"))
    assert csp_of(app.test_client().get("/"))["script-src-attr"] == ("'none'",)


@pytest.mark.parametrize(
    ("csp", "allowed"),
    [
        ({}, ("'self'", "'unsafe-inline'")),
        ({"style-src": ["'nonce'"]}, ("'unsafe-inline'",)),
        ({"style-src": None, "default-src": ["'self'"]}, ("'self'", "'unsafe-inline'")),
        ({"style-src": None, "default-src": None}, None),
        ({"style-src": ["https:", "'unsafe-inline'"]}, ("https:", "'unsafe-inline'")),
        ({"style-src": ["'none'"], "style-src-elem": ["'self'"]}, ("'none'",)),
        ({"style-src": ["'none'"], "style-src-attr": ["'none'"]}, ("'none'",)),
    ],
    ids=str,
)
def test_styles_of_pages_of_others_are_allowed_unless_the_policy_decides_on_their_parts(
    csp: t.Any, allowed: tuple[str, ...] | None
) -> None:
    app = make_app(SecureHeaders(nonces_below=["/"], csp=csp))
    app.add_url_rule("/", "page", lambda: "<script>go()</script><p style='top: 0'>a")
    found = csp_of(app.test_client().get("/"))
    assert found.get("style-src") == allowed
    assert "style-src-attr" not in found or "style-src-attr" in csp


def test_origins_of_style_sheets_and_icons_of_pages_of_others_are_allowed() -> None:
    app = make_app(SecureHeaders(nonces_below=["/docs"]))
    page = """<link rel="icon shortcut" href="//icons.example/x.png">
        <link href="https://CDN.example:8443/a.css" rel=stylesheet>
        <link href="https://cdn.example:8443/b.css" rel=stylesheet>
        <link href="/own.css" rel=stylesheet><link rel=stylesheet>
        <img src="https://images.example/x.png"><script>go()</script>"""
    app.add_url_rule("/docs", "docs", lambda: page)
    app.add_url_rule("/own", "own", lambda: page)
    client = app.test_client()
    found = csp_of(client.get("/docs"))
    sheet = "https://cdn.example:8443"
    assert found["style-src"] == ("'self'", "'unsafe-inline'", sheet)
    assert found["font-src"] == ("'self'", "data:", sheet)
    assert found["img-src"] == ("'self'", "data:", "icons.example")
    assert "example" not in str(csp_of(client.get("/own")))


@given(st.text(st.sampled_from("/:;,'* \n\r\t.@#?x%[]&")))
def test_an_address_in_a_page_adds_nothing_but_its_origin_to_the_policy(
    rest: str,
) -> None:
    app = make_app(SecureHeaders(nonces_below=["/"]))
    page = f'<link rel=icon href="https://a{escape(rest)}"><script>go()</script>'
    app.add_url_rule("/", "page", lambda: page)
    found = csp_of(app.test_client().get("/"))["img-src"]
    assert found[:2] == ("'self'", "data:")
    assert all(re.fullmatch(r"https://a[a-z0-9.-]*(:\d+)?", each) for each in found[2:])
    assert len(found) <= 3


@pytest.mark.parametrize("position", ["before", "after"])
def test_pages_that_other_hooks_change_get_the_nonce_too(position: str) -> None:
    app = flask.Flask("hooks")

    def insert(response: flask.Response) -> flask.Response:
        response.set_data(response.get_data(as_text=True) + "<script>go()</script>")
        return response

    def compress(response: flask.Response) -> flask.Response:
        response.set_data(gzip.compress(response.get_data()))
        response.content_encoding = "gzip"
        return response

    compress.__module__ = "flask_compress.flask_compress"

    def others() -> None:
        app.after_request(compress)
        app.after_request(insert)

    if position == "before":
        others()
    SecureHeaders(app, nonces_below=["/"])
    if position == "after":
        others()
    app.add_url_rule("/", "page", lambda: "<script>one()</script>")
    client = app.test_client()
    for _ in range(2):
        answer = client.get("/")
        text = gzip.decompress(answer.get_data()).decode()
        assert text.count("<script nonce=") == 2
        assert nonce_of(answer) in text


def test_pages_of_quart_get_nonces_as_those_of_flask_do() -> None:
    secure = SecureHeaders(nonces_below=["/others"])
    app = quart.Quart("others")
    secure.init_app(app)
    kept: list[quart.Response] = []

    @app.get("/others/page")
    async def page() -> quart.Response:
        return quart.Response("<script>go()</script>")

    @app.get("/others/gone")
    async def gone() -> str:
        # The page of the error is a response of Werkzeug, not of Quart.
        return quart.abort(410, "<script>gone()</script>")

    @app.get("/own")
    async def own() -> quart.Response:
        return secure.add_nonces(quart.Response("<script>go()</script>"))

    @app.get("/kept")
    async def keep() -> quart.Response:
        if not kept:
            source = "<script nonce={{ csp_nonce() }}></script>"
            text = await quart.render_template_string(source)
            kept.append(quart.Response(text))
        return kept[0]

    async def visit() -> None:
        client = app.test_client()
        seen: list[str] = []
        for path in ("/others/page", "/others/gone", "/own", "/kept", "/kept"):
            response = await client.get(path)
            nonce = nonce_of(t.cast("t.Any", response))
            assert nonce is not None, path
            if path != "/others/gone":  # its text is escaped
                assert f"nonce={nonce}" in await response.get_data(as_text=True)
            seen.append(nonce)
        assert len(set(seen)) == len(seen)

    asyncio.run(visit())
