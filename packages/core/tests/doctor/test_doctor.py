from __future__ import annotations

import json
import typing as t

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface
from werkzeug.middleware.proxy_fix import ProxyFix

from flaskware_core import examine
from flaskware_core import Level
from flaskware_core._cli import doctor
from flaskware_core.testing import make_app

STRONG = "0123456789abcdefghijklmnopqrstuv"
SOUND = {
    "TESTING": False,
    "SECRET_KEY": STRONG,
    "MAX_CONTENT_LENGTH": 1_000_000,
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "TRUSTED_HOSTS": ["example.org"],
}


def sound_app(**config: t.Any) -> flask.Flask:
    app = make_app(**{**SOUND, **config})
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    return app


def found(app: flask.Flask, *, deploy: bool = True) -> set[str]:
    return {finding.id for finding in examine(app, deploy=deploy).findings}


def test_a_sound_app_has_no_findings():
    assert found(sound_app()) == set()


@pytest.mark.parametrize(
    ("late", "named"),
    [
        ({"MAIL_PORT": 7}, ["MAIL_PORT"]),
        ({"MAIL_PROT": 7, "MAIL_MODE": "of"}, ["MAIL_PROT", "MAIL_MODE"]),
        ({"MAIL_PORT": 25, "OTHER": 1}, []),
    ],
)
def test_a_setting_that_changes_after_init_app_is_found(mail_class, late, named):
    app = make_app(mail_class(), MAIL_URL="smtp://localhost")
    app.config.update(late)
    findings = examine(app).findings
    messages = [f.message for f in findings if f.id == "core.late-setting"]
    assert [message.split()[0] for message in messages] == named


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"SECRET_KEY": None}, "core.secret-key-missing"),
        ({"SECRET_KEY": "dev"}, "core.secret-key-placeholder"),
        ({"SECRET_KEY": b"Secret"}, "core.secret-key-placeholder"),
        ({"SECRET_KEY": "only-20-characters-!"}, "core.secret-key-short"),
        ({"SECRET_KEY": "a" * 64}, "core.secret-key-short"),
        ({"SECRET_KEY_FALLBACKS": [STRONG]}, "core.secret-key-fallback-same"),
        ({"SECRET_KEY_FALLBACKS": ["dev"]}, "core.secret-key-fallback-placeholder"),
        ({"SECRET_KEY_FALLBACKS": ["short"]}, "core.secret-key-fallback-short"),
        ({"SESSION_COOKIE_DOMAIN": "example.org"}, "core.cookie-domain"),
        ({"MAX_CONTENT_LENGTH": None}, "core.body-limit"),
        ({"MAX_FORM_MEMORY_SIZE": None}, "core.form-memory-limit"),
        ({"MAX_FORM_PARTS": None}, "core.form-parts-limit"),
        ({"DEBUG": True}, "core.debug"),
        ({"TESTING": True}, "core.testing"),
        ({"SESSION_COOKIE_SECURE": False}, "core.cookie-secure"),
        ({"SESSION_COOKIE_HTTPONLY": False}, "core.cookie-httponly"),
        ({"SESSION_COOKIE_SAMESITE": None}, "core.cookie-samesite"),
        ({"TRUSTED_HOSTS": None}, "core.trusted-hosts"),
    ],
)
def test_each_fault_is_found_alone(config, expected):
    assert found(sound_app(**config)) == {expected}


def test_the_session_interface_has_the_last_word_on_cookie_flags():
    class Strict(SecureCookieSessionInterface):
        def get_cookie_secure(self, app: flask.Flask) -> bool:
            return True

        def get_cookie_samesite(self, app: flask.Flask) -> str:
            return "Lax"

    app = sound_app(SESSION_COOKIE_SECURE=False, SESSION_COOKIE_SAMESITE=None)
    assert found(app) == {"core.cookie-secure", "core.cookie-samesite"}
    app.session_interface = Strict()
    assert found(app) == set()


def test_samesite_none_without_secure_is_an_error_at_any_time():
    app = sound_app(SESSION_COOKIE_SAMESITE="None", SESSION_COOKIE_SECURE=False)
    assert found(app, deploy=False) == {"core.cookie-none-insecure"}


def test_a_missing_proxy_fix_is_only_information():
    app = make_app(**SOUND)
    (finding,) = examine(app, deploy=True).findings
    assert (finding.id, finding.level) == ("core.proxy", Level.INFO)


def test_a_proxy_fix_behind_other_middleware_is_seen():
    class Middleware:
        def __init__(self, app: t.Any) -> None:
            self.app = app

    app = sound_app()
    app.wsgi_app = Middleware(app.wsgi_app)  # type: ignore[assignment]
    assert found(app) == set()


def test_what_only_matters_in_production_waits_for_deploy():
    app = make_app(**{**SOUND, "DEBUG": True, "TRUSTED_HOSTS": None})
    assert found(app, deploy=False) == set()


def test_extensions_are_asked_too(mail_class):
    app = sound_app(MAIL_URL="smtp://x", MAIL_MODE="log")
    mail_class().init_app(app)
    report = examine(app, deploy=True)
    assert report.extensions == ("mail",)
    assert [finding.id for finding in report.findings] == ["mail.mode"]


def test_a_backend_that_does_not_answer_is_an_error_where_people_are_served(mail_class):
    app = sound_app(MAIL_URL="smtp://down")
    mail_class().init_app(app)
    assert found(app, deploy=False) == set()
    (finding,) = examine(app, deploy=True).findings
    assert (finding.id, finding.level) == ("mail.unreachable", Level.ERROR)
    assert finding.message == "MAIL_URL needs a server that answers. Given: refused."
    assert finding.fix


def test_the_worst_comes_first():
    app = sound_app(SECRET_KEY="dev", MAX_CONTENT_LENGTH=None)
    levels = [finding.level for finding in examine(app).findings]
    assert levels == [Level.ERROR, Level.WARNING]


def test_a_finding_is_silenced_by_its_id():
    app = sound_app(
        MAX_CONTENT_LENGTH=None,
        FLASKWARE_SILENCED_CHECKS=["core.body-limit", "core.body-limt"],
    )
    report = examine(app)
    assert report.findings == ()
    assert report.silenced == ("core.body-limit",)
    assert report.unknown_silenced == ("core.body-limt",)


def test_the_command_prints_findings_with_fixes():
    result = sound_app(SECRET_KEY="dev").test_cli_runner().invoke(doctor, [])
    assert result.exit_code == 1
    assert "ERROR  core.secret-key-placeholder" in result.output
    assert "fix: Set it to the output of: python -c" in result.output
    assert "Examined the app: 1 error." in result.output
    app = sound_app(SECRET_KEY="dev", MAX_CONTENT_LENGTH=None, MAX_FORM_PARTS=None)
    output = app.test_cli_runner().invoke(doctor, []).output
    assert "Examined the app: 1 error, 2 warnings." in output


def test_the_command_is_content_with_a_sound_app():
    result = sound_app().test_cli_runner().invoke(doctor, ["--deploy"])
    assert result.exit_code == 0
    assert result.output == "Examined the app: no findings.\n"


@pytest.mark.parametrize(
    ("fail_on", "exit_code"), [("info", 1), ("warning", 1), ("error", 0)]
)
def test_fail_on_sets_the_level_that_fails(fail_on, exit_code):
    runner = sound_app(MAX_CONTENT_LENGTH=None).test_cli_runner()
    assert runner.invoke(doctor, ["--fail-on", fail_on]).exit_code == exit_code


def test_json_is_complete_and_parsable():
    app = sound_app(SECRET_KEY="dev", FLASKWARE_SILENCED_CHECKS=["x.y"])
    report = json.loads(app.test_cli_runner().invoke(doctor, ["--json"]).output)
    assert report["app"] == "flaskware_test"
    assert report["unknown_silenced"] == ["x.y"]
    (finding,) = report["findings"]
    assert finding["level"] == "error"
    assert set(finding) == {"id", "level", "message", "fix"}


def test_no_finding_shows_the_secret_key():
    app = sound_app(SECRET_KEY="hunter2", SECRET_KEY_FALLBACKS=["hunter2"])
    assert "hunter2" not in json.dumps(examine(app, deploy=True).as_dict())


def test_levels_are_ordered():
    assert Level.INFO < Level.WARNING < Level.ERROR
    assert max(Level) is Level.ERROR
