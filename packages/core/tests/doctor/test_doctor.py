from __future__ import annotations

import datetime
import functools
import itertools
import json
import logging
import re
import secrets
import threading
import traceback
import typing as t
from pathlib import Path

import flask
import flask_cors
import pytest
from flask.sessions import SecureCookieSessionInterface
from werkzeug.debug import DebuggedApplication
from werkzeug.middleware.proxy_fix import ProxyFix

from flaskware_core import examine
from flaskware_core import Finding
from flaskware_core import Level
from flaskware_core._cli.doctor import doctor
from flaskware_core._doctor import secret_key
from flaskware_core._doctor.middleware import middleware_of
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
Change = t.Callable[[flask.Flask], object]


def sound_app(**config: t.Any) -> flask.Flask:
    app = make_app(**{**SOUND, **config})
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    app.after_request(_set_headers)
    return app


def _set_headers(response: flask.Response) -> flask.Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def found(app: flask.Flask, *, deploy: bool = True) -> set[str]:
    return {finding.id for finding in examine(app, deploy=deploy).findings}


def _proxied(**counts: int) -> Change:
    def change(app: flask.Flask) -> None:
        app.wsgi_app = ProxyFix(app.wsgi_app.app, **counts)  # type: ignore[attr-defined, method-assign]

    return change


def _unproxied(app: flask.Flask) -> None:
    app.wsgi_app = app.wsgi_app.app  # type: ignore[attr-defined]


def _without_hooks(app: flask.Flask) -> None:
    app.after_request_funcs.clear()


def _posting(app: flask.Flask) -> None:
    app.add_url_rule("/post", "post", lambda: "", methods=["POST"])


def _protected(app: flask.Flask) -> None:
    _posting(app)
    app.extensions["csrf"] = object()


def _guarded_by_hook(app: flask.Flask) -> None:
    def check() -> None: ...

    check.__module__ = "flask_seasurf"
    _posting(app)
    app.before_request(check)


def _leaking(app: flask.Flask) -> None:
    app.register_error_handler(Exception, lambda error: traceback.format_exc())


def _discreet(app: flask.Flask) -> None:
    def failed(error: Exception) -> tuple[str, int]:
        app.logger.warning("A request failed: %s", type(error))
        return "We are looking into it.", 500

    app.register_error_handler(Exception, failed)


def _toolbar(app: flask.Flask) -> None:
    app.register_blueprint(flask.Blueprint("debugtoolbar", __name__))


def _debugged(app: flask.Flask) -> None:
    app.wsgi_app = DebuggedApplication(app.wsgi_app)  # type: ignore[method-assign]


def _unescaped(app: flask.Flask) -> None:
    app.jinja_env.autoescape = False


def _unescaped_by_option(app: flask.Flask) -> None:
    app.jinja_options = {"autoescape": False}


def _shared(origins: t.Any, *, credentials: bool, **options: t.Any) -> Change:
    def share(app: flask.Flask) -> None:
        flask_cors.CORS(
            app, origins=origins, supports_credentials=credentials, **options
        )

    return share


def _nothing(app: flask.Flask) -> None:
    """Change nothing."""


PROXY_ONCE = ({}, _proxied(x_for=1))
# By finding: a bad app, and a good app that resembles it. Config, or what to do.
CASES: dict[str, list[tuple[t.Any, t.Any]]] = {
    "core.secret-key-missing": [({"SECRET_KEY": None}, {})],
    "core.secret-key-placeholder": [
        ({"SECRET_KEY": key}, {"SECRET_KEY": secrets.token_urlsafe(48)})
        for key in (
            "dev",
            b"Secret",
            "django-insecure-a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6",
            "dev-key-please-change-it-0123456789",
            "your-key-0123456789abcdefghijk",
            "0123456789-this-is-a-test-0123456789",
            "MyPassword0123456789abcdefghij",
        )
    ],
    "core.secret-key-published": [
        ({"SECRET_KEY": key}, {"SECRET_KEY": secrets.token_hex()})
        for key in (
            "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
            b'_5#y2L"F4Q8z\n\xec]/',
        )
    ],
    "core.secret-key-short": [
        ({"SECRET_KEY": "only-20-characters-!"}, {"SECRET_KEY": secrets.token_bytes()}),
        ({"SECRET_KEY": "a" * 64}, {}),
    ],
    "core.secret-key-fallback-same": [
        (
            {"SECRET_KEY_FALLBACKS": [STRONG]},
            {"SECRET_KEY_FALLBACKS": [secrets.token_hex()]},
        )
    ],
    "core.secret-key-fallback-placeholder": [
        ({"SECRET_KEY_FALLBACKS": ["dev"]}, {"SECRET_KEY_FALLBACKS": []})
    ],
    "core.secret-key-fallback-published": [
        ({"SECRET_KEY_FALLBACKS": ["5791628bb0b13ce0c676dfde280ba245"]}, {})
    ],
    "core.secret-key-fallback-short": [({"SECRET_KEY_FALLBACKS": ["short"]}, {})],
    "core.cookie-domain": [({"SESSION_COOKIE_DOMAIN": "example.org"}, {})],
    "core.cookie-prefix": [
        (
            {"SESSION_COOKIE_NAME": "__Host-s", "SESSION_COOKIE_PATH": "/x"},
            {"SESSION_COOKIE_NAME": "__Host-s"},
        ),
        (
            {"SESSION_COOKIE_NAME": "__Host-s", "APPLICATION_ROOT": "/app"},
            {"SESSION_COOKIE_NAME": "__Secure-s", "APPLICATION_ROOT": "/app"},
        ),
    ],
    "core.session-lifetime": [
        (
            {"PERMANENT_SESSION_LIFETIME": datetime.timedelta(days=3650)},
            {"PERMANENT_SESSION_LIFETIME": datetime.timedelta(days=7)},
        )
    ],
    "core.cookie-secure": [({"SESSION_COOKIE_SECURE": False}, {})],
    "core.cookie-httponly": [({"SESSION_COOKIE_HTTPONLY": False}, {})],
    "core.cookie-samesite": [
        ({"SESSION_COOKIE_SAMESITE": None}, {"SESSION_COOKIE_SAMESITE": "Strict"})
    ],
    "core.cookie-samesite-none": [({"SESSION_COOKIE_SAMESITE": "None"}, {})],
    "core.body-limit": [({"MAX_CONTENT_LENGTH": None}, {})],
    "core.body-limit-high": [
        ({"MAX_CONTENT_LENGTH": 10 << 30}, {"MAX_CONTENT_LENGTH": 64 << 20})
    ],
    "core.form-memory-limit": [({"MAX_FORM_MEMORY_SIZE": None}, {})],
    "core.form-memory-limit-high": [({"MAX_FORM_MEMORY_SIZE": 1 << 30}, {})],
    "core.form-parts-limit": [({"MAX_FORM_PARTS": None}, {})],
    "core.form-parts-limit-high": [({"MAX_FORM_PARTS": 10**6}, {})],
    "core.trusted-hosts": [({"TRUSTED_HOSTS": None}, {})],
    "core.trusted-hosts-never": [
        ({"TRUSTED_HOSTS": hosts}, {"TRUSTED_HOSTS": good})
        for hosts, good in (
            (["*"], [".example.org"]),
            (["https://www.example.org"], ["www.example.org:8443"]),
            ("www.example.org", ["www.example.org", "[::1]"]),
            (["www.example.org/"], ["xn--bcher-kva.example"]),
        )
    ],
    "core.trusted-hosts-wide": [
        ({"TRUSTED_HOSTS": hosts}, {"TRUSTED_HOSTS": [".example.org"]})
        for hosts in (["."], [".com"])
    ],
    "core.proxy": [(_unproxied, {})],
    "core.proxy-twice": [
        (lambda app: setattr(app, "wsgi_app", ProxyFix(app.wsgi_app)), PROXY_ONCE)
    ],
    "core.proxy-hops": [(_proxied(x_for=50), _proxied(x_for=2, x_proto=1))],
    "core.proxy-host": [
        (
            ({"TRUSTED_HOSTS": None}, _proxied(x_host=1)),
            _proxied(x_host=1),
        )
    ],
    "core.autoescape": [(_unescaped, {}), (_unescaped_by_option, {})],
    "core.upload-folder": [
        (
            {"UPLOAD_FOLDER": "static/uploads"},
            {"UPLOAD_FOLDER": "/var/lib/app/uploads"},
        )
    ],
    "core.cors-any-with-credentials": [
        (_shared(".*", credentials=True), _shared(".*", credentials=False)),
        (
            _shared("*", credentials=True, resources={"/static/*": {}}),
            _shared("*", credentials=True, resources={"/nowhere/*": {}}),
        ),
        (
            _shared(["*"], credentials=True),
            _shared(["https://app.example"], credentials=True),
        ),
    ],
    "core.csrf-off": [({"WTF_CSRF_ENABLED": False}, {"WTF_CSRF_ENABLED": True})],
    "core.csrf-absent": [(_posting, _protected), (_posting, _guarded_by_hook)],
    "core.no-headers": [(_without_hooks, {})],
    "core.error-page-leaks": [(_leaking, _discreet)],
    "core.debug": [({"DEBUG": True}, {})],
    "core.testing": [({"TESTING": True}, {})],
    "core.debugger": [(_debugged, {})],
    "core.debug-toolbar": [(_toolbar, {})],
    "core.trap-errors": [
        ({"TRAP_HTTP_EXCEPTIONS": True}, {}),
        ({"TRAP_BAD_REQUEST_ERRORS": True}, {}),
    ],
    "core.propagate-exceptions": [({"PROPAGATE_EXCEPTIONS": True}, {})],
    "core.development-setting": [
        ({"TEMPLATES_AUTO_RELOAD": True}, {}),
        ({"EXPLAIN_TEMPLATE_LOADING": True}, {}),
    ],
}
# With a test of their own below.
ELSEWHERE = {
    "core.cookie-none-insecure", "core.late-setting", "core.log-debug",
    "core.log-secrets",
}  # fmt: skip
# Reported beside the finding, since the same setting is wrong twice.
BESIDE = {"core.proxy-host": {"core.trusted-hosts"}}


def _app_of(case: t.Any) -> flask.Flask:
    config, change = case if isinstance(case, tuple) else (case, _nothing)
    if callable(config):
        config, change = {}, config
    app = sound_app(**config)
    change(app)
    return app


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
    ("expected", "bad", "good"),
    [(id, bad, good) for id, cases in CASES.items() for bad, good in cases],
)
def test_each_fault_is_found_alone_and_not_where_it_is_not(expected, bad, good):
    assert found(_app_of(bad)) == {expected} | BESIDE.get(expected, set())
    assert found(_app_of(good)) == set()


def test_every_finding_has_a_bad_app_a_good_app_and_a_requirement():
    folder = Path(secret_key.__file__).parent
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    written = set(re.findall(r'"(core\.[a-z-]+)"', source))
    derived = {
        f"core.secret-key{role}-{kind}"
        for role in ("", "-fallback")
        for kind in ("placeholder", "published", "short")
    }
    assert written | derived == CASES.keys() | ELSEWHERE
    for cases in CASES.values():
        for finding in examine(_app_of(cases[0][0]), deploy=True).findings:
            assert re.fullmatch(r"\d+\.\d+\.\d+", finding.asvs)


def test_a_log_that_shows_what_signs_somebody_in_is_found(monkeypatch):
    app = sound_app()
    root = logging.getLogger()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    monkeypatch.setattr(root, "handlers", [handler])
    monkeypatch.setattr(root, "level", logging.INFO)
    assert found(app) == set()
    handler.setFormatter(logging.Formatter("%(message)s %(session_id)s"))
    assert found(app) == {"core.log-secrets"}
    handler.setFormatter(logging.Formatter("{message} {cookies}", style="{"))
    assert found(app) == {"core.log-secrets"}
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", logging.DEBUG)
    assert found(app) == {"core.log-debug"}
    monkeypatch.setattr(root, "level", logging.INFO)
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--access-logformat '%({cookie}i)s'")
    assert found(app) == {"core.log-secrets"}


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
    app.after_request(_set_headers)
    (finding,) = examine(app, deploy=True).findings
    assert (finding.id, finding.level) == ("core.proxy", Level.INFO)


class _ByAttribute:
    def __init__(self, app: t.Any) -> None:
        self.app = app

    def __call__(self, environ: t.Any, start: t.Any) -> t.Any:
        return self.app(environ, start)


class _BySlot:
    __slots__ = ("_inner",)

    def __init__(self, inner: t.Any) -> None:
        self._inner = inner

    def __call__(self, environ: t.Any, start: t.Any) -> t.Any:
        return self._inner(environ, start)


def _by_closure(inner: t.Any) -> t.Any:
    return lambda environ, start: inner(environ, start)


def _by_partial(inner: t.Any) -> t.Any:
    return functools.partial(lambda inner, *given: inner(*given), inner)


_WRAPS = (_ByAttribute, _BySlot, _by_closure, _by_partial)


@pytest.mark.parametrize("outside", [*itertools.permutations(_WRAPS, 2)])
@pytest.mark.parametrize("inside", _WRAPS)
def test_a_proxy_fix_is_seen_in_whatever_middleware(outside: t.Any, inside: t.Any):
    app: t.Any = make_app(**SOUND)
    app.wsgi_app = inside(app.wsgi_app)
    fix = app.wsgi_app = ProxyFix(app.wsgi_app)
    for wrap in outside:
        app.wsgi_app = wrap(app.wsgi_app)
    assert fix in middleware_of(app)
    assert "core.proxy" not in found(app)
    assert app.test_client().get("/", base_url="https://example.org").status_code == 404


def test_what_only_matters_in_production_waits_for_deploy():
    app = make_app(**{**SOUND, "DEBUG": True, "TRUSTED_HOSTS": None})
    _posting(app)
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


def test_an_extension_answers_for_what_it_takes_care_of(mail_class):
    class Careful(mail_class):
        def _covers(self, app: flask.Flask) -> tuple[str, ...]:
            return ("core.cookie-secure", "core.no-headers")

    app = sound_app(MAIL_URL="smtp://x", SESSION_COOKIE_SECURE=False)
    _without_hooks(app)
    assert found(app) == {"core.cookie-secure", "core.no-headers"}
    Careful().init_app(app)
    assert found(app) == set()


def test_what_gives_no_answer_is_left_behind_and_others_are_examined(mail_class):
    waiting = threading.Event()

    class Hanging(mail_class):
        name = "hanging"

        def _check(self, app: flask.Flask, *, deploy: bool) -> t.Any:
            yield Finding("hanging.seen", Level.INFO, "Seen.", "Nothing.")
            waiting.wait(60)

        def _probe(self, app: flask.Flask) -> t.Any:
            waiting.wait(60)
            return ()

    app = sound_app(MAIL_URL="smtp://down")
    Hanging().init_app(app)
    mail_class().init_app(app)
    findings = examine(app, deploy=True, timeout=0.1).findings
    waiting.set()
    ids = [finding.id for finding in findings]
    assert sorted(ids) == [
        "hanging.no-answer", "hanging.no-answer", "hanging.seen", "mail.unreachable",
    ]  # fmt: skip
    checks, backend = (f for f in findings if f.id == "hanging.no-answer")
    assert "The checks of hanging" in checks.message
    assert "The backend of hanging" in backend.message


def test_a_check_that_fails_is_an_error_of_its_own(mail_class):
    class Broken(mail_class):
        def _check(self, app: flask.Flask, *, deploy: bool) -> t.Any:
            raise ZeroDivisionError

    app = sound_app(MAIL_URL="smtp://x")
    Broken().init_app(app)
    with pytest.raises(ZeroDivisionError):
        examine(app)


def test_a_check_has_the_context_of_the_app(mail_class):
    class Curious(mail_class):
        def _check(self, app: flask.Flask, *, deploy: bool) -> t.Any:
            assert flask.current_app == app
            return ()

    app = sound_app(MAIL_URL="smtp://x")
    Curious().init_app(app)
    with app.app_context():
        assert examine(app).findings == ()


def test_an_app_with_an_extension_has_the_command_in_its_own_runner(mail_class):
    app = sound_app(MAIL_URL="smtp://x")
    mail_class().init_app(app)
    result = app.test_cli_runner().invoke(args=["doctor", "--deploy"])
    assert result.output == "Examined the app, mail: no findings.\n"
    assert result.exit_code == 0


def test_annotations_and_sarif_point_at_the_call_of_init_app(mail_class):
    app = sound_app(MAIL_URL="smtp://x", MAIL_MODE="log", SECRET_KEY="dev")
    mail_class().init_app(app)
    run = app.test_cli_runner().invoke
    lines = run(args=["doctor", "--deploy", "--format", "github"]).output.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.match(
            r"::(error|warning|notice) file=.*test_doctor\.py,line=\d+", line
        )
    sarif = json.loads(run(args=["doctor", "--deploy", "--format", "sarif"]).output)
    [result] = [r for r in sarif["runs"][0]["results"] if r["level"] == "error"]
    assert result["ruleId"] == "core.secret-key-placeholder"
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place.endswith("test_doctor.py")
    rules = {rule["id"]: rule for rule in sarif["runs"][0]["tool"]["driver"]["rules"]}
    tags = rules["core.secret-key-placeholder"]["properties"]["tags"]
    assert tags == ["security", "OWASP-ASVS-5.0-11.5.1"]


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
    assert "ERROR  core.secret-key-placeholder\n" in result.output
    assert "  ASVS 5.0: 11.5.1\n" in result.output
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
    assert set(finding) == {"id", "level", "message", "fix", "asvs"}


def test_no_finding_shows_the_secret_key():
    app = sound_app(SECRET_KEY="hunter2", SECRET_KEY_FALLBACKS=["hunter2"])
    assert "hunter2" not in json.dumps(examine(app, deploy=True).as_dict())


def test_levels_are_ordered():
    assert Level.INFO < Level.WARNING < Level.ERROR
    assert max(Level) is Level.ERROR
