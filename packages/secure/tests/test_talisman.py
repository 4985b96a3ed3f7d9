"""Moving from Flask-Talisman: each option has a line, and sends the same header."""

from __future__ import annotations

import inspect
import typing as t
from pathlib import Path

import flask
import flask_talisman
import pytest

from flaskware_core import current_session
from flaskware_core.testing import make_app
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import parse_csp
from flaskware_secure.testing import parse_permissions

PAGE = Path(__file__).parent.parent / "docs" / "moving.md"
URL = "https://www.example.org"
HSTS = "Strict-Transport-Security"
# Of each option: what it says there, what is written here, and the header of both.
SAME: dict[str, tuple[dict[str, t.Any], Policy | None, dict[str, t.Any], str]] = {
    "no HSTS": (
        {"strict_transport_security": False}, None, {"SECURE_HSTS_SECONDS": 0}, HSTS,
    ),
    "HSTS by default": (
        {},
        None,
        {"SECURE_HSTS_SECONDS": 31556926, "SECURE_HSTS_INCLUDE_SUBDOMAINS": True},
        HSTS,
    ),
    "HSTS for this host alone": (
        {
            "strict_transport_security_max_age": 300,
            "strict_transport_security_include_subdomains": False,
        },
        None,
        {"SECURE_HSTS_SECONDS": 300},
        HSTS,
    ),
    "HSTS with preload": (
        {"strict_transport_security_preload": True},
        None,
        {
            "SECURE_HSTS_SECONDS": 31556926,
            "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
            "SECURE_HSTS_PRELOAD": True,
        },
        HSTS,
    ),
    "permissions": (
        {"permissions_policy": {"geolocation": "(self)"}},
        Policy(),
        {"SECURE_PERMISSIONS": {"geolocation": ["self"]}},
        "Permissions-Policy",
    ),
    "document policy": (
        {"document_policy": {"oversized-images": "2.0"}},
        Policy.strict(extra={"Document-Policy": "oversized-images=2.0"}),
        {},
        "Document-Policy",
    ),
    "referrer": (
        {"referrer_policy": "no-referrer"},
        Policy.strict(referrer="no-referrer"),
        {},
        "Referrer-Policy",
    ),
    "types by content": (
        {"x_content_type_options": False},
        Policy.strict(nosniff=False),
        {},
        "X-Content-Type-Options",
    ),
    "protection from scripts in addresses": (
        {"x_xss_protection": True},
        Policy.strict(extra={"X-XSS-Protection": "1; mode=block"}),
        {},
        "X-XSS-Protection",
    ),
    "downloads": (
        {"force_file_save": True},
        Policy.strict(extra={"X-Download-Options": "noopen"}),
        {},
        "X-Download-Options",
    ),
    "frames": (
        {"frame_options": "DENY"},
        Policy.strict(extra={"X-Frame-Options": "DENY"}),
        {},
        "X-Frame-Options",
    ),
    "CSP": (
        {"content_security_policy": {"img-src": "'self' https://cdn.example"}},
        Policy(),
        {"SECURE_CSP": {"img-src": ["'self'", "https://cdn.example"]}},
        "Content-Security-Policy",
    ),
    "CSP on trial": (
        {
            "content_security_policy": {"img-src": "'self'"},
            "content_security_policy_report_only": True,
            "content_security_policy_report_uri": "/reports",
        },
        Policy(),
        {
            "SECURE_CSP": {"img-src": ["'self'"], "report-uri": ["/reports"]},
            "SECURE_REPORT_ONLY": True,
        },
        "Content-Security-Policy-Report-Only",
    ),
}  # fmt: skip


def test_the_page_names_each_option() -> None:
    options = {*inspect.signature(flask_talisman.Talisman.init_app).parameters}
    page = PAGE.read_text("utf-8")
    assert {name for name in options - {"self", "app"} if name not in page} == set()


@pytest.mark.parametrize("name", SAME)
def test_what_replaces_an_option_sends_the_same_header(name: str) -> None:
    options, policy, config, header = SAME[name]
    theirs = flask.Flask(__name__)
    theirs.add_url_rule("/", view_func=lambda: "page")
    flask_talisman.Talisman(theirs, **options)
    ours = make_app(SecureHeaders(policy=policy or Policy.strict()), **config)
    before, after = (
        app.test_client().get("/", base_url=URL).headers.get(header)
        for app in (theirs, ours)
    )
    assert _read(header, after) == _read(header, before)


def _read(header: str, value: str | None) -> object:
    if value is None:
        return None
    if header.startswith("Content-Security-Policy"):
        return parse_csp(value)
    if header == "Permissions-Policy":
        return parse_permissions(value)
    return value


def test_the_cookie_of_the_session_has_the_same_flags() -> None:
    def cookie(app: flask.Flask) -> set[str]:
        app.secret_key = "k" * 32
        app.add_url_rule("/in", view_func=lambda: current_session().update(a=1) or "in")
        answer = app.test_client().get("/in", base_url=URL)
        return {part.strip() for part in answer.headers["Set-Cookie"].split(";")[1:]}

    theirs = flask.Flask(__name__)
    flask_talisman.Talisman(theirs)
    assert cookie(make_app(SecureHeaders())) >= cookie(theirs)
