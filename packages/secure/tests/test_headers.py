from __future__ import annotations

import collections.abc as cabc
from pathlib import Path

import flask
import pytest

from flaskware_core.testing import make_app
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp
from flaskware_secure.testing import csp_of


def test_a_stricter_csp_that_the_view_set_is_kept(app: flask.Flask) -> None:
    @app.get("/own")
    def own() -> flask.Response:
        response = flask.Response("own")
        response.headers["content-security-policy"] = "default-src 'none'"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    response = app.test_client().get("/own")
    assert response.headers.getlist("Content-Security-Policy") == ["default-src 'none'"]
    assert response.headers.getlist("Referrer-Policy") == ["no-referrer"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_several_csps_of_the_view_are_all_kept(app: flask.Flask) -> None:
    @app.get("/own")
    def own() -> flask.Response:
        response = flask.Response("own")
        response.headers.add("Content-Security-Policy", "default-src 'self'")
        response.headers.add("Content-Security-Policy", "img-src 'none'")
        return response

    values = app.test_client().get("/own").headers.getlist("Content-Security-Policy")
    assert values == ["default-src 'self'", "img-src 'none'"]


def _error() -> str:
    raise ZeroDivisionError


def _stream() -> cabc.Iterator[str]:
    yield "a"
    yield "b"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/missing", 404),
        ("/redirect", 302),
        ("/error", 500),
        ("/stream", 200),
        ("/static/a.txt", 200),
        ("/refused", 403),
        ("/plain/", 404),
    ],
)
def test_every_kind_of_response_gets_the_headers(
    path: str, status: int, tmp_path: Path, live_app: cabc.Callable[..., flask.Flask]
) -> None:
    app = live_app()
    (tmp_path / "a.txt").write_text("a")
    app.static_folder = str(tmp_path)
    app.add_url_rule("/redirect", "redirect", lambda: app.redirect("/"))
    app.add_url_rule("/error", "error", _error)
    app.add_url_rule("/stream", "stream", lambda: flask.Response(_stream()))
    app.add_url_rule("/refused", "refused", lambda: flask.abort(403))

    response = app.test_client().get(path)
    assert response.status_code == status
    assert_csp(response, default_src=["'none'"], frame_ancestors=["'none'"])
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    response.close()


def test_a_method_that_is_not_allowed_gets_the_headers(app: flask.Flask) -> None:
    response = app.test_client().put("/plain")
    assert response.status_code == 405
    assert_csp(response, base_uri=["'none'"])


def test_an_enforced_and_a_report_only_policy_are_separate_lines() -> None:
    policy = Policy.strict(
        csp_report_only={"require-trusted-types-for": ["'script'"]},
    )
    response = make_app(SecureHeaders(policy=policy)).test_client().get("/")
    assert_csp(response, require_trusted_types_for=None, base_uri=["'none'"])
    assert csp_of(response, report_only=True) == {
        "require-trusted-types-for": ("'script'",)
    }


def test_report_only_blocks_nothing_and_sends_both_policies() -> None:
    policy = Policy.strict(csp_report_only={"img-src": ["'none'"]})
    app = make_app(SecureHeaders(policy=policy), SECURE_REPORT_ONLY=True)
    headers = app.test_client().get("/").headers
    assert "Content-Security-Policy" not in headers
    first, second = headers.getlist("Content-Security-Policy-Report-Only")
    assert "default-src 'none'" in first
    # A browser warns of this one in a report-only policy, where it does nothing.
    assert "upgrade-insecure-requests" not in first
    assert second == "img-src 'none'"


def test_reporting_endpoints_are_named_in_their_own_header() -> None:
    policy = Policy.strict(
        reporting_endpoints={"csp": "https://reports.example/csp"}, report_to=["csp"]
    )
    response = make_app(SecureHeaders(policy=policy)).test_client().get("/")
    assert (
        response.headers["Reporting-Endpoints"] == 'csp="https://reports.example/csp"'
    )
    assert_csp(response, report_to=["csp"])


def test_hsts_and_the_upgrade_of_requests_are_not_sent_over_plain_http(
    app: flask.Flask,
) -> None:
    plain = app.test_client().get("/plain", base_url="http://www.example.org")
    assert "Strict-Transport-Security" not in plain.headers
    assert_csp(plain, upgrade_insecure_requests=None)
    secure = app.test_client().get("/plain", base_url="https://www.example.org")
    assert "Strict-Transport-Security" in secure.headers
    assert_csp(secure, upgrade_insecure_requests=[])


def test_a_forged_proxy_header_brings_no_hsts(app: flask.Flask) -> None:
    response = app.test_client().get(
        "/plain",
        base_url="http://www.example.org",
        headers={"X-Forwarded-Proto": "https", "Forwarded": "proto=https"},
    )
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "[::1]:8443"])
def test_hsts_is_never_sent_for_this_machine(app: flask.Flask, host: str) -> None:
    response = app.test_client().get("/plain", base_url=f"https://{host}")
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.flask_only("Quart has no TRUSTED_HOSTS")
def test_an_untrusted_host_over_https_is_a_400_with_the_headers(
    live_app: cabc.Callable[..., flask.Flask],
) -> None:
    app = live_app(TRUSTED_HOSTS=["www.example.org"])
    response = app.test_client().get("/", base_url="https://evil.example")
    assert response.status_code == 400
    assert_csp(response, base_uri=["'none'"])
