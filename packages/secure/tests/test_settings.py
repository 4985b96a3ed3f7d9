from __future__ import annotations

import datetime

import flask
import pytest

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_secure import append
from flaskware_secure import SecureHeaders
from flaskware_secure import SecureSettings
from flaskware_secure.testing import assert_csp


def test_an_unknown_key_names_the_closest_one() -> None:
    with pytest.raises(ConfigError) as caught:
        make_app(SecureHeaders(), SECURE_HSTS_SECOND=1)
    assert "did you mean SECURE_HSTS_SECONDS?" in str(caught.value)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        make_app(SecureHeaders(), SECURE_POLICY="strickt")
    message = str(caught.value)
    assert "'strict', 'api' or 'legacy'" in message
    assert "given     'strickt'" in message
    assert "SECURE_POLICY = 'strict'" in message


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        make_app(
            SecureHeaders(),
            SECURE_CSP={"scirpt-src": ["'self'"], "img-src": ["self"]},
            SECURE_PERMISSIONS={"gelocation": []},
            SECURE_PERMISSIONS_REPORT_ONLY={"usb": ["'self'"]},
            SECURE_HSTS_PRELOAD=True,
            SECURE_HSTS_SECONDS=60,
            SECURE_HTTPS_HOST="https://www.example.org/",
            SECURE_REDIRECT_EXEMPT=["healthz"],
        )
    codes = [problem.code for problem in caught.value.problems]  # type: ignore[attr-defined]
    assert sorted(codes) == [
        "csp.unknown-directive",
        "csp.unquoted-keyword",
        "hsts.preload-seconds",
        "hsts.preload-subdomains",
        "permissions.bad-member",
        "permissions.unknown-feature",
        "redirect.bad-host",
        "redirect.bad-path",
    ]
    assert (
        "SECURE_CSP['scirpt-src']  (csp.unknown-directive)\n"
        "    expected  a directive that browsers know\n"
        "    given     'scirpt-src'\n"
        "    write     script-src"
    ) in str(caught.value)


def test_a_keyword_is_written_with_its_own_quotes() -> None:
    with pytest.raises(ConfigError) as caught:
        make_app(SecureHeaders(), SECURE_CSP={"img-src": ["self"]})
    assert str(caught.value.problems[0]) == (
        "  SECURE_CSP['img-src']  (csp.unquoted-keyword)\n"
        "    expected  a keyword in single quotes; without, it names a host\n"
        "    given     'self'\n"
        "    write     \"'self'\""
    )


def test_the_environment_can_set_a_directive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_SECURE_CSP", '{"img-src": ["https://cdn.example"]}')
    monkeypatch.setenv("FLASK_SECURE_HSTS_SECONDS", "60")
    app = flask.Flask("from_environment")
    app.config.from_prefixed_env()
    SecureHeaders(app)
    response = app.test_client().get("/", base_url="https://www.example.org")
    assert_csp(response, img_src=["https://cdn.example"], base_uri=["'none'"])
    assert response.headers["Strict-Transport-Security"] == "max-age=60"


def test_a_directive_in_the_configuration_is_replaced_appended_to_or_dropped() -> None:
    csp = {
        "img-src": "'self' https://cdn.example",
        "style-src": append("https://fonts.example"),
        "form-action": None,
    }
    response = make_app(SecureHeaders(), SECURE_CSP=csp).test_client().get("/")
    assert_csp(
        response,
        img_src=["'self'", "https://cdn.example"],
        style_src=["'self'", "https://fonts.example"],
        form_action=None,
    )


def test_hsts_says_what_the_settings_say() -> None:
    app = make_app(
        SecureHeaders(), SECURE_HSTS_INCLUDE_SUBDOMAINS=True, SECURE_HSTS_PRELOAD=True
    )
    response = app.test_client().get("/", base_url="https://www.example.org")
    assert (
        response.headers["Strict-Transport-Security"]
        == "max-age=31536000; includeSubDomains; preload"
    )


def test_hsts_of_no_seconds_is_not_sent() -> None:
    app = make_app(SecureHeaders(), SECURE_HSTS_SECONDS=0)
    response = app.test_client().get("/", base_url="https://www.example.org")
    assert "Strict-Transport-Security" not in response.headers


def test_hsts_is_raised_by_the_steps_that_have_begun() -> None:
    steps = {"2026-01-10": 300, "2026-02-10": 31536000}
    settings = SecureSettings.from_config({"SECURE_HSTS_STEPS": steps})
    found = {
        day: settings.hsts_on(datetime.date.fromisoformat(day)).seconds
        for day in (
            "2026-01-09",
            "2026-01-10",
            "2026-02-09",
            "2026-02-10",
            "2030-01-01",
        )
    }
    assert [*found.values()] == [0, 300, 300, 31536000, 31536000]


def test_a_step_of_today_is_sent() -> None:
    yesterday = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)
    app = make_app(SecureHeaders(), SECURE_HSTS_STEPS={yesterday: 300})
    response = app.test_client().get("/", base_url="https://www.example.org")
    assert response.headers["Strict-Transport-Security"] == "max-age=300"


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"HSTS_STEPS": {"2026-01-10": 300, "2026-02-10": 60}}, "hsts.lowered"),
        (
            {
                "HSTS_STEPS": {"2026-01-10": 300},
                "HSTS_PRELOAD": True,
                "HSTS_INCLUDE_SUBDOMAINS": True,
            },
            "hsts.preload-seconds",
        ),
        ({"REPORTS": "nowhere"}, "reports.unknown-store"),
        ({"REPORTS_PATH": "reports"}, "SECURE_REPORTS_PATH"),
        ({"REPORTS_PATH": "/<int:a>\r\n"}, "SECURE_REPORTS_PATH"),
        ({"COOKIES": "fixed"}, "SECURE_COOKIES"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    config: dict[str, object], code: str
) -> None:
    keys = {f"SECURE_{key}": value for key, value in config.items()}
    with pytest.raises(ConfigError, match=code):
        make_app(SecureHeaders(), **keys)


def test_each_setting_has_a_description() -> None:
    for name, field in SecureSettings.model_fields.items():
        assert field.description, name
