from __future__ import annotations

import typing as t

import flask
import pytest

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_core.testing import rendered
from flaskware_secure import NonceError
from flaskware_secure import Policy
from flaskware_secure import PolicyProblem
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_nonces
from flaskware_secure.testing import csp_of


def _page(**settings: t.Any) -> flask.Flask:
    app = make_app(SecureHeaders(**settings))
    page = "<!doctype html><title>page</title>{{ trusted_types() }}"
    app.add_url_rule("/", "index", lambda: rendered(page))
    return app


@pytest.mark.parametrize("mode", ["report", "enforce"])
def test_the_mode_decides_which_policy_asks_for_trusted_types(mode: str) -> None:
    response = _page(trusted_types=mode).test_client().get("/")
    asked = {"require-trusted-types-for", "trusted-types"}
    trial = csp_of(response, report_only=True) if mode == "report" else {}
    assert asked <= (csp_of(response) if mode == "enforce" else trial).keys()
    assert asked.isdisjoint(csp_of(response)) == (mode == "report")
    assert_nonces(response)


def test_without_the_setting_neither_header_nor_script_is_sent() -> None:
    response = _page().test_client().get("/")
    assert "trusted" not in str(response.headers)
    assert response.text == "<!doctype html><title>page</title>"


def test_an_api_of_the_extension_returns_the_script_too() -> None:
    app = _page(trusted_types="report", trusted_types_origins=["https://pay.example"])
    with app.test_request_context():
        script = app.extensions["secure"].trusted_types()
    assert script.startswith('<script nonce="')
    assert '["https://pay.example"]' in script


def test_directives_of_the_policy_win() -> None:
    own = {"trusted-types": ["default", "dompurify"]}
    app = _page(trusted_types="report", policy=Policy.strict(csp_report_only=own))
    trial = csp_of(app.test_client().get("/"), report_only=True)
    assert trial["trusted-types"] == ("default", "dompurify")
    assert trial["require-trusted-types-for"] == ("'script'",)


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "a.example", "https://A.example", "</script>", "*"]
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_app(SecureHeaders(trusted_types_origins=[origin]))
    [problem] = t.cast("list[PolicyProblem]", list(caught.value.problems))
    assert problem.code == "trusted-types.bad-origin"


def test_a_policy_that_takes_no_nonce_says_so() -> None:
    app = _page(policy="legacy", trusted_types="report")
    with app.test_request_context("/"), pytest.raises(NonceError, match="no directive"):
        app.extensions["secure"].trusted_types()
