from __future__ import annotations

import asyncio
import json
from pathlib import Path

import flask
import pytest
import quart

from flaskware_core import AlreadyInitialised
from flaskware_core.testing import make_app
from flaskware_secure import Cors
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp
from flaskware_secure.testing import nonce_of
from flaskware_secure.testing import parse_permissions


def test_one_line_gives_a_response_every_strong_header() -> None:
    app = flask.Flask("one_line")
    SecureHeaders(app)
    response = app.test_client().get("/", base_url="https://www.example.org")

    assert_csp(
        response,
        default_src=["'none'"],
        script_src=["'none'"],
        base_uri=["'none'"],
        form_action=["'self'"],
        frame_ancestors=["'none'"],
        upgrade_insecure_requests=[],
    )
    headers = response.headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"
    assert headers["Cross-Origin-Resource-Policy"] == "same-site"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    features = parse_permissions(headers["Permissions-Policy"])
    assert features["camera"] == ()
    assert set(features.values()) == {()}


def test_the_extension_object_is_found_under_its_name() -> None:
    secure = SecureHeaders()
    app = make_app(secure)
    assert app.extensions["secure"] is secure


def test_initialising_an_app_twice_is_refused(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    with pytest.raises(AlreadyInitialised):
        secure.init_app(app)


def test_a_policy_given_to_the_object_wins_over_the_configuration() -> None:
    app = make_app(SecureHeaders(policy=Policy.api()), SECURE_POLICY="strict")
    assert_csp(app.test_client().get("/"), default_src=["'none'"], script_src=None)


def test_a_quart_app_gets_the_same_headers_and_nonces() -> None:
    app = quart.Quart("quart_app")
    secure = SecureHeaders(app)

    @app.get("/")
    async def index() -> str:
        return secure.csp_nonce()

    @app.post("/post")
    async def post() -> str:
        return "taken"

    async def use() -> None:
        client = app.test_client()
        response = await client.get("/")
        body = await response.get_data(as_text=True)
        assert nonce_of(response) == body  # type: ignore[arg-type]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        forged = await client.post("/post", headers={"Sec-Fetch-Site": "cross-site"})
        assert forged.status_code == 403

    asyncio.run(use())


def test_a_quart_app_redirects_plain_http() -> None:
    app = quart.Quart("quart_redirect")
    SecureHeaders(app, https_host="www.example.org")

    async def use() -> None:
        client = app.test_client()
        response = await client.get("/a?b=c", headers={"Host": "other.example"})
        assert response.status_code == 308
        assert response.headers["Location"] == "https://www.example.org/a?b=c"

    asyncio.run(use())


def test_a_quart_app_is_not_redirected_to_a_forged_host() -> None:
    app = quart.Quart("quart_forged")
    app.config["TRUSTED_HOSTS"] = ["www.example.org"]
    SecureHeaders(app)

    async def use() -> None:
        client = app.test_client()
        forged = await client.get("/", headers={"Host": "evil.example"})
        assert "Location" not in forged.headers
        trusted = await client.get("/", headers={"Host": "www.example.org"})
        assert trusted.headers["Location"] == "https://www.example.org/"

    asyncio.run(use())


def test_a_quart_app_collects_reports_shares_and_fixes_cookies(tmp_path: Path) -> None:
    (tmp_path / "app.js").write_text("go()")
    app = quart.Quart("quart_more", static_folder=str(tmp_path))
    secure = SecureHeaders(app, reports="memory")

    @app.get("/")
    @secure.override(cors=Cors(origins=("https://app.example",), methods=("PUT",)))
    async def index() -> quart.Response:
        response = await quart.make_response(secure.static_script("app.js"))
        response.set_cookie("a", "1")
        return response

    @app.errorhandler(404)
    @secure.override_error(referrer="origin")
    async def missing(error: Exception) -> tuple[str, int]:
        return "missing", 404

    async def use() -> None:
        client = app.test_client()
        origin = {"Origin": "https://app.example"}
        response = await client.get("/", headers=origin)
        body = await response.get_data(as_text=True)
        assert f'nonce="{nonce_of(response)}"' in body  # type: ignore[arg-type]
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "HttpOnly" in response.headers["Set-Cookie"]
        asked = {**origin, "Access-Control-Request-Method": "PUT"}
        preflight = await client.options("/", headers=asked)
        assert preflight.status_code == 204
        assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
        lost = await client.get("/missing")
        assert lost.headers["Referrer-Policy"] == "origin"

        report = {
            "document-uri": "http://localhost/",
            "effective-directive": "img-src",
            "blocked-uri": "https://cdn.example/",
        }
        for body, status in (
            (json.dumps({"csp-report": report}), 204),
            ("{", 400),
            (" " * 70_000, 413),
        ):
            taken = await client.post(
                "/-/reports",
                data=body,
                headers={"Content-Type": "application/csp-report"},
            )
            assert taken.status_code == status
        [group] = secure.reports(app)
        assert group.report.blocked == "https://cdn.example"

    asyncio.run(use())
