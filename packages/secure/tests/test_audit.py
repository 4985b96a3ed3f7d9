from __future__ import annotations

import json
import typing as t
from pathlib import Path

import click.testing
import flask
import pytest
import quart
from quart.cli import QuartGroup

from flaskware_core.testing import make_app
from flaskware_core.testing import serving
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure._audit.grading import grade_headers
from flaskware_secure._audit.remote import audit_url
from flaskware_secure._audit.remote import AuditError
from flaskware_secure._audit.snapshot import snapshot_of
from flaskware_secure.testing import assert_snapshot
from flaskware_secure.testing import SnapshotDiffers


def test_a_strict_app_is_graded_a_plus(app: flask.Flask, secure: SecureHeaders) -> None:
    audits = {each.endpoint: each for each in secure.audit(app)}
    assert set(audits) == {"static", "plain", "page", "post"}
    assert audits["page"].grade.letter == "A+"
    assert not audits["page"].sent
    assert ("X-Content-Type-Options", "nosniff") in audits["page"].headers


@pytest.mark.parametrize(
    ("changes", "code", "letter"),
    [
        ({"SECURE_POLICY": "legacy"}, "csp-weak-scripts", "B+"),
        ({"SECURE_REPORT_ONLY": True}, "csp-missing", "C"),
        ({"SECURE_HSTS_SECONDS": 0}, "hsts-missing", "B+"),
        ({"SECURE_HSTS_SECONDS": 60}, "hsts-short", "A+"),
        ({"SECURE_CSP": {"frame-ancestors": None}}, "framing-allowed", "B+"),
        ({"SECURE_CSP": {"script-src": ["https:"]}}, "csp-weak-scripts", "B+"),
        (
            {"SECURE_CSP": {"script-src": None, "default-src": None}},
            "csp-weak-scripts",
            "B+",
        ),
        (
            {"SECURE_CSP": {"script-src": ["'self'", "'unsafe-eval'"]}},
            "csp-unsafe-eval",
            "A+",
        ),
        (
            {"SECURE_CSP": {"style-src": ["'self'", "'unsafe-inline'"]}},
            "csp-weak-styles",
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
    assert "A+ (130)" in result.output
    assert "/page  page  (by its policy)" in result.output
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
    assert "fix: 'nonce' and 'strict-dynamic'" in result.output
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


def _baked(*lines: str) -> list[tuple[str, str]]:
    return [("Set-Cookie", line) for line in lines]


@pytest.mark.parametrize(
    ("lines", "code", "points"),
    [
        (_baked("a=1; Secure; HttpOnly; SameSite=Lax"), "cookies", 5),
        (_baked("a=1"), "cookie-not-secure", -20),
        (_baked("session=1"), "cookie-not-secure", -40),
        (
            [
                *_baked("session=1; HttpOnly"),
                ("Strict-Transport-Security", "max-age=31536000"),
            ],
            "cookie-not-secure",
            -10,
        ),
        (_baked("a=1; Secure", "session=1; Secure"), "cookie-readable", -30),
        (_baked("a=1", "a=1; Secure; SameSite=Lax"), "cookies", 5),
        (_baked("a=1", "a=1; Secure; Path=/b"), "cookie-not-secure", -20),
        (
            _baked("a=1; SameSite=No", "a=1; Secure; SameSite=Lax"),
            "cookie-samesite-refused",
            -20,
        ),
        (
            [
                ("Content-Security-Policy", "frame-ancestors *"),
                ("X-Frame-Options", "DENY"),
            ],
            "framing-allowed",
            -20,
        ),
        (
            [("Content-Security-Policy", "script-src *, default-src 'none'")],
            "csp-default-none",
            10,
        ),
        (_baked("a=1; Secure; HttpOnly"), "cookie-no-samesite", 0),
        (
            [
                ("Access-Control-Allow-Origin", "*"),
                ("Access-Control-Allow-Credentials", "true"),
            ],
            "cors-universal",
            -50,
        ),
    ],
)
def test_each_header_counts(
    lines: list[tuple[str, str]], code: str, points: int
) -> None:
    found = {f.code: f.points for f in grade_headers(lines).findings}
    assert found[code] == points


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ('src="/own.js"', None),
        ('src="//host.example/own.js"', None),
        ('src="https://cdn.example/a.js"', "sri-missing"),
        ('src="http://cdn.example/a.js"', "sri-insecure"),
        ('src="https://cdn.example/a.js" integrity="sha384-x"', "sri"),
    ],
)
def test_scripts_of_other_hosts_are_to_have_integrity(
    source: str, code: str | None
) -> None:
    body = f"<p>page<script {source}></script>"
    grade = grade_headers([], body=body, host="host.example")
    found = {f.code for f in grade.findings if f.code.startswith("sri")}
    assert found == ({code} if code else set())


@pytest.fixture
def served(app: flask.Flask) -> t.Iterator[str]:
    app.add_url_rule("/error", "error", lambda: ("broken", 500))
    with serving(app) as address:
        yield address


def _run(app: flask.Flask, *arguments: str) -> t.Any:
    return app.test_cli_runner().invoke(args=["secure", "audit", *arguments])


@pytest.mark.parametrize(("path", "status"), [("/page", "200"), ("/error", "500")])
def test_an_address_is_audited_from_outside(
    app: flask.Flask, served: str, path: str, status: str
) -> None:
    [audit] = json.loads(_run(app, served + path, "--json").output)
    assert (audit["endpoint"], audit["rule"]) == (status, served + path)
    codes = {finding["code"] for finding in audit["findings"]}
    # It is http, so neither HSTS nor a redirect is there.
    assert {"hsts-missing", "redirect-missing"} <= codes
    assert "csp-missing" not in codes


def test_an_address_over_https_is_audited_with_its_scripts(
    app: flask.Flask,
    certificate: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = "<script src=https://cdn.example/a.js></script>"
    app.add_url_rule("/foreign", "foreign", lambda: page)
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    with serving(app, certificate=certificate) as address:
        audit = audit_url(f"{address}/foreign")
    codes = {finding.code for finding in audit.grade.findings}
    assert {"sri-missing", "corp", "csp-default-none"} <= codes
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(AuditError, match="did not answer"):
        audit_url(f"{address}/foreign")


@pytest.mark.parametrize(
    "url", ["www.example.org", "file:///etc/passwd", "http://127.0.0.1:1/", "http://"]
)
def test_what_cannot_be_audited_is_an_error_with_a_reason(
    app: flask.Flask, url: str
) -> None:
    result = _run(app, url)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_sarif_has_each_finding_at_its_view(
    live_app: t.Callable[..., flask.Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    app = live_app(SECURE_POLICY="legacy")
    log = json.loads(_run(app, "--format", "sarif").output)
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert rules == {result["ruleId"] for result in run["results"]}
    found = [r for r in run["results"] if r["message"]["text"].startswith("/healthz")]
    levels = {result["ruleId"]: result["level"] for result in found}
    assert levels["csp-weak-scripts"] == "error"
    assert levels["csp-weak-styles"] == "note"
    result = found[0]
    [location] = result["locations"]
    physical = location["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "conftest.py"
    assert physical["region"]["startLine"] > 1


def test_a_snapshot_whose_diff_shows_fails(app: flask.Flask, tmp_path: Path) -> None:
    path = str(tmp_path / "secure.json")
    missing = _run(app, "--snapshot", path)
    assert missing.exit_code == 1
    assert "--update" in missing.output
    assert _run(app, "--snapshot", path, "--update").exit_code == 0
    assert _run(app, "--snapshot", path).exit_code == 0

    changed = make_app(SecureHeaders(), SECURE_HSTS_SECONDS=60)
    changed.add_url_rule("/plain", "plain", lambda: "plain")
    result = _run(changed, "--snapshot", path)
    assert result.exit_code == 1
    assert '-      "Strict-Transport-Security: max-age=31536000"' in result.output
    assert "hsts.lowered" in result.output
    assert _run(app, "--update").exit_code == 2


def test_a_snapshot_is_the_same_for_every_nonce(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    first = snapshot_of(secure.audit(app, send=True))
    assert "'nonce'" in first
    assert first == snapshot_of(secure.audit(app, send=True))


def test_the_fixture_compares_with_a_file_beside_the_test(
    app: flask.Flask, tmp_path: Path
) -> None:
    path = tmp_path / "secure_snapshot.json"
    with pytest.raises(SnapshotDiffers, match="--update-secure-snapshot"):
        assert_snapshot(app, path)
    assert_snapshot(app, path, update=True)
    assert_snapshot(app, path)


def test_the_headers_of_a_small_app_are_those_that_were_reviewed(
    app: flask.Flask, secure_snapshot: t.Callable[[flask.Flask], None]
) -> None:
    secure_snapshot(app)


def test_the_commands_work_for_an_app_of_quart(tmp_path: Path) -> None:
    app = quart.Quart(__name__, static_folder=str(tmp_path))
    SecureHeaders(app, reports=f"sqlite:///{tmp_path}/reports.db")

    def run(*arguments: str) -> click.testing.Result:
        command_line = QuartGroup(create_app=lambda: app)
        return click.testing.CliRunner().invoke(command_line, ["secure", *arguments])

    assert "A+ (130)" in run("audit").output
    assert "Nothing was reported" in run("reports").output
    assert run("suggest").exit_code == 0
    assert "Nothing to hash" in run("hash", str(tmp_path)).output
    assert run("manifest", "--out", str(tmp_path / "m.json")).exit_code == 0
    for arguments in (("audit", "--send"), ("hash", "--page", "/")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "is for apps of Flask" in result.output
