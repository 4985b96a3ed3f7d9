from __future__ import annotations

import typing as t

import flask
import pytest

from flaskware_core import ConfigError
from flaskware_core.testing import blueprint_for
from flaskware_core.testing import make_app
from flaskware_secure import append
from flaskware_secure import Csp
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp
from flaskware_secure.testing import csp_of
from flaskware_secure.testing import nonce_of

PARTNER = "https://partner.example"


def test_path_rules_come_before_blueprints_and_views(secure: SecureHeaders) -> None:
    app = make_app(
        secure,
        SECURE_PATHS={
            "/embed/deep": {"font_src": append("https://fonts.example")},
            "/embed/": {"frame_ancestors": [PARTNER], "font_src": ["'none'"]},
        },
    )
    app.add_url_rule("/embed/deep/a", "a", lambda: "a")
    app.add_url_rule(
        "/embed/b", "b", secure.override(frame_ancestors=["'self'"])(lambda: "b")
    )
    app.add_url_rule("/embedded", "c", lambda: "c")
    client = app.test_client()
    assert_csp(
        client.get("/embed/deep/a"),
        frame_ancestors=[PARTNER],
        font_src=["https://fonts.example"],
    )
    assert_csp(client.get("/embed/b"), frame_ancestors=["'self'"], font_src=["'none'"])
    assert_csp(client.get("/embed/missing"), frame_ancestors=[PARTNER])
    assert_csp(client.get("/embedded"), frame_ancestors=["'none'"], font_src=["'self'"])
    by_path = secure.policy_of(app, "a", path="/embed/deep/a")
    assert by_path.csp["font-src"] == ("https://fonts.example",)


def test_path_rules_reach_the_static_files_of_a_blueprint(
    secure: SecureHeaders,
) -> None:
    app = make_app(secure, SECURE_PATHS={"/admin/static": {"corp": "cross-origin"}})
    app.register_blueprint(
        blueprint_for(app, "admin", static_folder="static", url_prefix="/admin")
    )
    response = app.test_client().get("/admin/static/missing.css")
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_two_apps_of_one_object_have_their_own_path_rules(
    secure: SecureHeaders,
) -> None:
    apps = [
        make_app(secure, SECURE_PATHS={"/": {"frame_ancestors": [PARTNER]}}),
        make_app(secure),
    ]
    assert_csp(apps[0].test_client().get("/"), frame_ancestors=[PARTNER])
    assert_csp(apps[1].test_client().get("/"), frame_ancestors=["'none'"])


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        ({"embed": {}}, "paths.bad-path"),
        ({"/": {"frame_ancestor": ["'self'"]}}, "csp.unknown-directive"),
        ({"/": {"img_src": 7}}, "paths.bad-changes"),
        ({"/": {"img_src": ["'self'; script-src *"]}}, "csp.injection"),
        ({"/": {"extra": {"X-A": "1\r\nSet-Cookie: b=2"}}}, "header.injection"),
        ({"/": {"script_src": append("'unsafe-inline'")}}, "unsafe-inline-cancelled"),
        ({"/": {"script_src": ["https://a.example"] * 6000}}, "csp.too-long"),
    ],
)
def test_a_path_rule_that_is_wrong_is_refused_at_start_up(
    paths: dict[str, object], code: str
) -> None:
    with pytest.raises(ConfigError, match=code):
        make_app(SecureHeaders(), SECURE_PATHS=paths)


def test_an_error_handler_has_its_own_policy(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.errorhandler(404)
    @secure.override_error(style_src=append("https://css.example"), referrer="origin")
    def missing(error: Exception) -> tuple[str, int]:
        return "missing", 404

    @app.get("/view")
    @secure.override(img_src=["'none'"])
    def view() -> t.NoReturn:
        flask.abort(404)

    client = app.test_client()
    response = client.get("/view")
    assert response.headers["Referrer-Policy"] == "origin"
    assert_csp(
        response, img_src=["'none'"], style_src=["'self'", "https://css.example"]
    )
    assert client.get("/none").headers["Referrer-Policy"] == "origin"
    assert client.get("/plain").headers["Referrer-Policy"] == "same-origin"


def test_an_asynchronous_error_handler_has_its_own_policy(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.errorhandler(404)
    @secure.override_error(referrer="origin")
    async def missing(error: Exception) -> tuple[str, int]:
        return "missing", 404

    assert app.test_client().get("/none").headers["Referrer-Policy"] == "origin"


def test_an_error_handler_of_two_apps_counts_for_its_own_object(
    secure: SecureHeaders,
) -> None:
    handler = secure.override_error(referrer="origin")(lambda error: ("missing", 404))
    apps = [make_app(secure), make_app(SecureHeaders())]
    for app in apps:
        app.register_error_handler(404, handler)
    found = [app.test_client().get("/").headers["Referrer-Policy"] for app in apps]
    assert found == ["origin", "same-origin"]


def test_an_override_can_start_from_another_policy(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    admin = blueprint_for(app, "admin")
    secure.override(policy=Policy.legacy(), frame_ancestors=["'self'"])(admin)
    admin.add_url_rule("/admin", "index", lambda: "admin")
    app.register_blueprint(admin)
    response = app.test_client().get("/admin")
    assert_csp(
        response, script_src=["'self'", "'unsafe-inline'"], frame_ancestors=["'self'"]
    )


def test_pages_of_others_are_given_nonces(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    page = (
        "<!doctype html><script>write('<script>1<' + '/script>')</script>"
        "<SCRIPT src=/a.js></SCRIPT><style\nmedia=print>a{}</style>"
        "<script nonce=own>1</script><scripted>text</scripted>"
    )
    others = blueprint_for(app, "others")
    others.add_url_rule("/others", "page", lambda: page)
    others.add_url_rule("/others.json", "json", lambda: {"a": "<script>"})
    others.after_request(secure.add_nonces)
    app.register_blueprint(others)
    client = app.test_client()
    response = client.get("/others")
    nonce = nonce_of(response)
    assert nonce is not None
    assert response.text == (
        f"<!doctype html><script nonce={nonce}>"
        f"write('<script nonce={nonce}>1<' + '/script>')</script>"
        f"<SCRIPT nonce={nonce} src=/a.js></SCRIPT>"
        f"<style nonce={nonce}\nmedia=print>a{{}}</style>"
        "<script nonce=own>1</script><scripted>text</scripted>"
    )
    assert response.content_length == len(response.data)
    assert nonce_of(client.get("/others.json")) is None


def test_several_policies_are_each_a_line_of_its_own() -> None:
    policy = Policy.strict(
        csp_report_only={"require-trusted-types-for": ["'script'"]},
        also=[
            Csp({"script-src": ("'nonce'",)}),
            Csp({"img-src": ("'none'",)}, report_only=True),
        ],
    )
    secure = SecureHeaders(policy=policy)
    app = make_app(secure)
    app.add_url_rule("/", "index", secure.csp_nonce)
    response = app.test_client().get("/")
    nonce = response.text
    enforced = response.headers.getlist("Content-Security-Policy")
    assert f"'nonce-{nonce}'" in enforced[0]
    assert enforced[1:] == [f"script-src 'nonce-{nonce}'"]
    trials = response.headers.getlist("Content-Security-Policy-Report-Only")
    assert trials == ["require-trusted-types-for 'script'", "img-src 'none'"]


def test_more_policies_are_checked_too() -> None:
    policy = Policy.strict(
        also=[Csp({"scirpt-src": ("'self'",)}), Csp({"sandbox": ()}, report_only=True)]
    )
    with pytest.raises(ConfigError) as caught:
        make_app(SecureHeaders(policy=policy))
    text = str(caught.value)
    assert "also[0]['scirpt-src']  (csp.unknown-directive)" in text
    assert "also[1]['sandbox']  (csp.not-in-report-only)" in text


def test_isolated_documents_and_trials_have_their_headers() -> None:
    policy = Policy.strict(
        document_isolation="isolate-and-credentialless",
        integrity=["script", "style"],
        integrity_report_only=["style"],
        coop_report_only="same-origin-allow-popups",
        coep_report_only="require-corp",
    )
    response = make_app(SecureHeaders(policy=policy)).test_client().get("/")
    headers = response.headers
    assert headers["Document-Isolation-Policy"] == "isolate-and-credentialless"
    assert headers["Integrity-Policy"] == "blocked-destinations=(script style)"
    trial = headers["Integrity-Policy-Report-Only"]
    assert trial == "blocked-destinations=(style)"
    name = "Cross-Origin-Opener-Policy-Report-Only"
    assert headers[name] == "same-origin-allow-popups"
    assert headers["Cross-Origin-Embedder-Policy-Report-Only"] == "require-corp"
    assert "require-trusted-types-for" not in csp_of(response)


@pytest.mark.parametrize(
    ("changes", "write"),
    [
        ({"integrity": ["scripts"]}, "script"),
        ({"document_isolation": "isolate-and-requirecorp"}, "isolate-and-require-corp"),
        ({"coep_report_only": "require"}, "require-corp"),
    ],
)
def test_a_misspelled_value_is_refused_with_the_right_one(
    changes: dict[str, t.Any], write: str
) -> None:
    with pytest.raises(ConfigError, match=f"write +{write}"):
        make_app(SecureHeaders(policy=Policy.strict(**changes)))


def test_headers_that_tell_what_an_app_is_made_of_are_removed(
    app: flask.Flask,
) -> None:
    @app.get("/leaky")
    def leaky() -> flask.Response:
        headers = {"Server": "gunicorn", "x-powered-by": "Flask"}
        return flask.Response("leaky", headers=headers)

    headers = app.test_client().get("/leaky").headers
    assert "Server" not in headers
    assert "X-Powered-By" not in headers
