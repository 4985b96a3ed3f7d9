from __future__ import annotations

import flask
import pytest

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
        ({}, "secure.redirect-inactive"),
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
