from __future__ import annotations

import flask
import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from flaskware_core import examine
from flaskware_core.testing import make_app
from flaskware_secure import append
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders


def _ids(app: flask.Flask, *, deploy: bool = False) -> list[str]:
    findings = examine(app, deploy=deploy).findings
    return [f.id for f in findings if f.id.startswith("secure.")]


def test_a_strict_app_has_no_finding(app: flask.Flask) -> None:
    assert _ids(app) == []


def test_a_deployed_app_with_known_hosts_has_no_finding() -> None:
    app = make_app(SecureHeaders(), TRUSTED_HOSTS=["www.example.org"])
    assert _ids(app, deploy=True) == []


@pytest.mark.parametrize(
    ("config", "id"),
    [
        ({}, "secure.redirect-any-host"),
        ({"SECURE_HSTS_SECONDS": 0}, "secure.hsts-off"),
        ({"SECURE_HSTS_SECONDS": 3600}, "secure.hsts-short"),
        ({"SECURE_REPORT_ONLY": True}, "secure.report-only"),
        ({"SECURE_REPORT_ONLY": True}, "secure.report-only-unheard"),
        ({"SECURE_ISOLATION": "report"}, "secure.isolation-off"),
        ({"SECURE_POLICY": "legacy"}, "secure.csp-weak-scripts"),
    ],
)
def test_what_weakens_a_deployed_app_is_told(
    config: dict[str, object], id: str
) -> None:
    assert id in _ids(make_app(SecureHeaders(), **config), deploy=True)


def test_a_report_only_policy_that_reports_is_not_told_about() -> None:
    policy = Policy.strict(
        csp_report_only={"img-src": ["'none'"], "report-uri": ["/reports"]}
    )
    assert _ids(make_app(SecureHeaders(policy=policy))) == []


def _app_ids(app: flask.Flask) -> set[str]:
    return {finding.id for finding in examine(app, deploy=True).findings}


COOKIES = {
    "core.cookie-secure", "core.cookie-samesite", "core.cookie-httponly",
    "core.cookie-prefix",
}  # fmt: skip
CARELESS = {
    "SESSION_COOKIE_HTTPONLY": False,
    "SESSION_COOKIE_NAME": "__Host-s",
    "SESSION_COOKIE_PATH": "/x",
}


def test_nothing_is_said_about_cookies_that_are_fixed_on_their_way_out() -> None:
    unfixed = make_app(SecureHeaders(), SECURE_COOKIES="report", **CARELESS)
    assert _app_ids(unfixed) >= COOKIES
    assert _app_ids(make_app(SecureHeaders(), **CARELESS)) & COOKIES == set()
    readable = make_app(
        SecureHeaders(), SECURE_COOKIES_READABLE=["__Host-s"], **CARELESS
    )
    assert _app_ids(readable) & COOKIES == {"core.cookie-httponly"}


@pytest.mark.parametrize(
    ("isolation", "expected"),
    [("enforce", set[str]()), ("report", {"core.csrf-absent"})],
)
def test_nothing_is_said_about_headers_and_forged_requests_that_are_refused(
    isolation: str, expected: set[str]
) -> None:
    app = make_app(SecureHeaders(), SECURE_ISOLATION=isolation)
    app.add_url_rule("/post", "post", lambda: "", methods=["POST"])
    assert _app_ids(app) & {"core.no-headers", "core.csrf-absent"} == expected


@pytest.mark.parametrize("outside", [True, False])
def test_a_proxy_fix_is_found_on_either_side_of_the_headers(outside: bool) -> None:
    app = make_app()
    if not outside:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    SecureHeaders(app)
    assert ("core.proxy" in _app_ids(app)) == outside
    if outside:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    assert "core.proxy" not in _app_ids(app)


def test_every_finding_here_names_its_requirement() -> None:
    app = make_app(
        SecureHeaders(),
        SECURE_REPORT_ONLY=True,
        SECURE_HSTS_SECONDS=0,
        SECURE_ISOLATION="off",
        SECURE_COOKIES="off",
        SECURE_POLICY="legacy",
    )
    findings = examine(app, deploy=True).findings
    found = [each for each in findings if each.id.startswith("secure.")]
    assert len(found) >= 6
    assert [each.id for each in found if not each.asvs] == []


def test_an_override_that_weakens_scripts_or_contradicts_is_told(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/weak")
    @secure.override(script_src=["'self'", "'unsafe-inline'"])
    def weak() -> str:
        return "weak"

    @app.get("/wrong")
    @secure.override(style_src=append("'unsafe-inline'"))
    def wrong() -> str:
        return "wrong"

    found = {f.id: f.message for f in examine(app).findings}
    assert "'weak' is weak at script-src: injected" in found["secure.csp-weak-scripts"]
    assert "'wrong' is wrong at csp['style-src']" in found["secure.override-wrong"]


def test_an_override_is_told_what_it_adds_to_a_policy_that_is_weak_already() -> None:
    secure = SecureHeaders()
    app = make_app(secure, SECURE_CSP={"style-src": ["'self'", "'unsafe-inline'"]})

    @app.get("/weak")
    @secure.override(script_src=["'self'", "'unsafe-eval'"])
    def weak() -> str:
        return "weak"

    found = [f for f in examine(app).findings if f.id.startswith("secure.csp")]
    assert {(f.id, f.level.name, "'weak'" in f.message) for f in found} == {
        ("secure.csp-weak-styles", "INFO", False),
        ("secure.csp-unsafe-eval", "WARNING", True),
    }
