from __future__ import annotations

import json

import flask
import pytest

from flaskware_core.testing import make_app
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders


def test_a_strict_app_is_graded_a_plus(app: flask.Flask, secure: SecureHeaders) -> None:
    audits = {each.endpoint: each for each in secure.audit(app)}
    assert set(audits) == {"static", "plain", "page", "post"}
    assert audits["page"].grade.letter == "A+"
    assert not audits["page"].sent
    assert ("X-Content-Type-Options", "nosniff") in audits["page"].headers


@pytest.mark.parametrize(
    ("changes", "code", "letter"),
    [
        ({"SECURE_POLICY": "legacy"}, "csp-unsafe-scripts", "B+"),
        ({"SECURE_REPORT_ONLY": True}, "csp-missing", "C"),
        ({"SECURE_HSTS_SECONDS": 0}, "hsts-missing", "B+"),
        ({"SECURE_HSTS_SECONDS": 60}, "hsts-short", "A+"),
        ({"SECURE_CSP": {"frame-ancestors": None}}, "framing-allowed", "B+"),
        ({"SECURE_CSP": {"script-src": ["https:"]}}, "csp-unsafe-scripts", "B+"),
        (
            {"SECURE_CSP": {"script-src": None, "default-src": None}},
            "csp-unsafe-scripts",
            "B+",
        ),
        (
            {"SECURE_CSP": {"script-src": ["'self'", "'unsafe-eval'"]}},
            "csp-unsafe-eval",
            "A+",
        ),
        (
            {"SECURE_CSP": {"style-src": ["'self'", "'unsafe-inline'"]}},
            "csp-unsafe-styles",
            "A+",
        ),
        ({"SECURE_POLICY": "api"}, "csp-default-none", "A+"),
        (
            {"policy": Policy(csp={"default-src": ("'self'",)}, nosniff=False)},
            "nosniff-missing",
            "B",
        ),
    ],
)
def test_what_an_app_sends_decides_its_grade(
    changes: dict[str, object], code: str, letter: str
) -> None:
    config = {k: v for k, v in changes.items() if k.isupper()}
    secure = SecureHeaders(policy=changes.get("policy"))  # type: ignore[arg-type]
    [audit] = secure.audit(make_app(secure, **config))
    assert code in [finding.code for finding in audit.grade.findings]
    assert audit.grade.letter == letter


def test_sending_sees_what_the_view_set(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/own")
    def own() -> flask.Response:
        return flask.Response("", headers={"Referrer-Policy": "unsafe-url"})

    app.add_url_rule("/with/<name>", "with", lambda name: name)
    audits = {each.endpoint: each for each in secure.audit(app, send=True)}
    assert audits["own"].sent
    assert ("Referrer-Policy", "unsafe-url") in audits["own"].headers
    assert "referrer-unsafe" in [f.code for f in audits["own"].grade.findings]
    assert not audits["with"].sent
    assert not audits["post"].sent


def test_the_command_prints_headers_and_grades(app: flask.Flask) -> None:
    result = app.test_cli_runner().invoke(args=["secure", "audit"])
    assert result.exit_code == 0, result.output
    assert "A+ (125)" in result.output
    assert "/page  page  (as the policy says)" in result.output
    assert "Strict-Transport-Security: max-age=31536000" in result.output


def test_the_command_prints_json(app: flask.Flask) -> None:
    result = app.test_cli_runner().invoke(args=["secure", "audit", "--send", "--json"])
    audits = {each["endpoint"]: each for each in json.loads(result.output)}
    assert audits["page"]["grade"] == "A+"
    assert audits["page"]["sent"] is True
    assert ["X-Content-Type-Options", "nosniff"] in audits["page"]["headers"]


def test_the_command_fails_below_a_grade() -> None:
    app = make_app(SecureHeaders(), SECURE_POLICY="legacy")
    runner = app.test_cli_runner()
    result = runner.invoke(args=["secure", "audit", "--fail-below", "A"])
    assert result.exit_code == 1
    assert "fix: script-src" in result.output
    assert runner.invoke(args=["secure", "audit", "--fail-below", "B+"]).exit_code == 0


def test_a_view_that_fails_is_audited_by_its_policy(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    def fail() -> str:
        raise ZeroDivisionError

    app.add_url_rule("/fail", "fail", fail)
    audits = {each.endpoint: each for each in secure.audit(app, send=True)}
    assert not audits["fail"].sent
    assert audits["fail"].grade.letter == "A+"
