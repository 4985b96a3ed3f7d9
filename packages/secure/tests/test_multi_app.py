from __future__ import annotations

from flaskware_core.testing import make_app
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp


def _shared() -> str:
    return "shared"


def test_two_apps_of_one_object_have_their_own_policies() -> None:
    secure = SecureHeaders()
    strict = make_app(secure)
    api = make_app(secure, SECURE_POLICY="api", SECURE_HSTS_SECONDS=5)
    assert_csp(strict.test_client().get("/"), connect_src=["'self'"])
    assert_csp(api.test_client().get("/"), default_src=["'none'"])
    assert secure.settings_of(strict).hsts_seconds == 31536000
    assert secure.settings_of(api).hsts_seconds == 5


def test_two_apps_that_share_a_view_share_no_override() -> None:
    def view() -> str:
        return "shared"

    one, other = SecureHeaders(), SecureHeaders()
    one.override(frame_ancestors=["https://partner.example"])(view)
    apps = [make_app(one), make_app(other)]
    for app in apps:
        app.add_url_rule("/", "view", view)
    assert_csp(
        apps[0].test_client().get("/"), frame_ancestors=["https://partner.example"]
    )
    assert_csp(apps[1].test_client().get("/"), frame_ancestors=["'none'"])


def test_an_override_counts_on_the_policy_of_each_app() -> None:
    secure = SecureHeaders()

    @secure.override(referrer="no-referrer")
    def view() -> str:
        return "shared"

    strict, api = make_app(secure), make_app(secure, SECURE_POLICY="api")
    for app in (strict, api):
        app.add_url_rule("/", "view", view)
        response = app.test_client().get("/")
        assert response.headers["Referrer-Policy"] == "no-referrer"
    assert_csp(strict.test_client().get("/"), connect_src=["'self'"])
    assert_csp(api.test_client().get("/"), default_src=["'none'"])


def test_a_preset_is_not_changed_by_what_is_made_from_it() -> None:
    before = Policy.strict()
    Policy.strict(csp={"img-src": ["https://cdn.example"]})
    assert Policy.strict() == before


def test_an_app_without_the_extension_gets_no_header() -> None:
    make_app(SecureHeaders())
    plain = make_app()
    plain.add_url_rule("/", "view", _shared)
    assert "Content-Security-Policy" not in plain.test_client().get("/").headers
