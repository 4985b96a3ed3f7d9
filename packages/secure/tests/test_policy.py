from __future__ import annotations

import typing as t

import pytest
import secure as secure_library

from flaskware_core.testing import make_app
from flaskware_secure import append
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp
from flaskware_secure.testing import parse_csp
from flaskware_secure.testing import parse_permissions


@pytest.mark.parametrize("preset", list(secure_library.Preset))
def test_a_preset_of_the_secure_library_is_sent_as_it_says(
    preset: secure_library.Preset,
) -> None:
    built = secure_library.Secure.from_preset(preset)
    app = make_app(SecureHeaders(policy=Policy.from_secure(preset)))
    headers = app.test_client().get("/", base_url="https://www.example.org").headers
    for name, value in built.header_items():
        if name == "Content-Security-Policy":
            assert parse_csp(headers[name]) == parse_csp(value)
        elif name == "Permissions-Policy":
            assert parse_permissions(headers[name]) == parse_permissions(value)
        elif value:
            assert headers[name] == value


@pytest.mark.parametrize("seconds", [300, 63072000])
@pytest.mark.parametrize("subdomains", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"SECURE_HSTS_SECONDS": 86400},
        {"SECURE_HSTS_INCLUDE_SUBDOMAINS": True},
        {"SECURE_HSTS_INCLUDE_SUBDOMAINS": False},
        {"SECURE_HSTS_STEPS": {"2020-01-01": 600}},
    ],
)
def test_a_moved_hsts_is_the_same_but_for_what_a_setting_says(
    seconds: int, subdomains: bool, settings: dict[str, t.Any]
) -> None:
    header = secure_library.StrictTransportSecurity().max_age(seconds)
    if subdomains:
        header = header.include_subdomains()
    built = secure_library.Secure(hsts=header)
    app = make_app(SecureHeaders(policy=Policy.from_secure(built)), **settings)
    client = app.test_client()
    said = client.get("/", base_url="https://www.example.org").headers
    seconds = settings.get("SECURE_HSTS_SECONDS", seconds)
    if "SECURE_HSTS_STEPS" in settings:
        seconds = 600
    wide = settings.get("SECURE_HSTS_INCLUDE_SUBDOMAINS", subdomains)
    expected = f"max-age={seconds}{'; includeSubDomains' if wide else ''}"
    assert said["Strict-Transport-Security"] == expected
    assert "Strict-Transport-Security" not in client.get("/").headers


@pytest.mark.parametrize("value", ["", "includeSubDomains", "max-age=x"])
def test_an_hsts_without_a_time_cannot_be_moved(value: str) -> None:
    header = secure_library.CustomHeader("Strict-Transport-Security", value)
    built = secure_library.Secure(custom=[header])
    with pytest.raises(ValueError, match="needs one max-age"):
        Policy.from_secure(built)


def test_a_secure_object_can_be_taken_and_changed() -> None:
    built = secure_library.Secure(
        csp=secure_library.ContentSecurityPolicy().default_src("'self'"),
        custom=[secure_library.CustomHeader("X-Robots-Tag", "noindex")],
    )
    policy = Policy.from_secure(built, img_src=["https://cdn.example"])
    response = make_app(SecureHeaders(policy=policy)).test_client().get("/")
    assert_csp(response, default_src=["'self'"], img_src=["https://cdn.example"])
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert "X-Content-Type-Options" not in response.headers


def test_an_embedded_page_names_who_may_frame_it() -> None:
    policy = Policy.embedded(["https://partner.example"])
    response = make_app(SecureHeaders(policy=policy)).test_client().get("/")
    assert_csp(response, frame_ancestors=["https://partner.example"])
    # Who may frame a page is not who may load it as an image or a script.
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-site"


def test_the_legacy_preset_lets_inline_scripts_run() -> None:
    app = make_app(SecureHeaders(policy="legacy"))
    assert_csp(
        app.test_client().get("/"),
        script_src=["'self'", "'unsafe-inline'"],
        script_src_attr=None,
    )


def test_cross_origin_isolation_is_two_values() -> None:
    policy = Policy.strict(coop="same-origin", coep="require-corp")
    headers = make_app(SecureHeaders(policy=policy)).test_client().get("/").headers
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_permission_can_be_given_to_an_origin() -> None:
    policy = Policy.strict(
        permissions={"camera": ["self", "https://call.example"], "usb": None}
    )
    headers = make_app(SecureHeaders(policy=policy)).test_client().get("/").headers
    value = headers["Permissions-Policy"]
    assert 'camera=(self "https://call.example")' in value
    assert "usb=" not in value


def test_permissions_are_tried_out_in_a_header_of_their_own() -> None:
    built = secure_library.Secure(
        custom=[
            secure_library.CustomHeader(
                "Permissions-Policy-Report-Only", "usb=(), hid=(self)"
            )
        ]
    )
    app = make_app(
        SecureHeaders(policy=Policy.from_secure(built)),
        SECURE_PERMISSIONS_REPORT_ONLY={"usb": append("self"), "midi": []},
    )
    app.add_url_rule("/data", "data", lambda: {"a": 1})
    headers = app.test_client().get("/").headers
    value = headers["Permissions-Policy-Report-Only"]
    expected = {"usb": ("self",), "hid": ("self",), "midi": ()}
    assert parse_permissions(value) == expected
    assert "Permissions-Policy" not in headers
    data = app.test_client().get("/data").headers
    assert "Permissions-Policy-Report-Only" not in data


def test_an_override_tries_a_permission_out_for_one_view() -> None:
    secure = SecureHeaders()
    app = make_app(secure)

    @app.get("/page")
    @secure.override(permissions_report_only={"autoplay": append("self")})
    def page() -> str:
        return "page"

    name = "Permissions-Policy-Report-Only"
    client = app.test_client()
    assert client.get("/page").headers[name] == "autoplay=(self)"
    assert name not in client.get("/").headers
    assert "camera=()" in client.get("/page").headers["Permissions-Policy"]


def test_a_csp_is_read_as_a_browser_reads_it() -> None:
    assert parse_csp("IMG-SRC a b;;img-src c; sandbox ") == {
        "img-src": ("a", "b"),
        "sandbox": (),
    }


def test_a_report_only_policy_of_the_secure_library_stays_one() -> None:
    built = secure_library.Secure(
        csp=secure_library.ContentSecurityPolicy().default_src("'self'").report_only()
    )
    app = make_app(SecureHeaders(policy=Policy.from_secure(built)))
    headers = app.test_client().get("/").headers
    assert headers["Content-Security-Policy-Report-Only"] == "default-src 'self'"
    assert "Content-Security-Policy" not in headers


def test_two_enforced_policies_of_the_secure_library_are_both_sent() -> None:
    built = secure_library.Secure()
    for source in ("'self'", "'none'"):
        built.headers_list.append(
            secure_library.ContentSecurityPolicy().default_src(source)
        )
    app = make_app(SecureHeaders(policy=Policy.from_secure(built)))
    lines = app.test_client().get("/").headers.getlist("Content-Security-Policy")
    assert lines == ["default-src 'self'", "default-src 'none'"]
