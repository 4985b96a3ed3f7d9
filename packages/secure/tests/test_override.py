from __future__ import annotations

import functools
import typing as t

import flask
import pytest
from flask.views import View

from flaskware_core import ConfigError
from flaskware_core.testing import blueprint_for
from flaskware_secure import append
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp
from flaskware_secure.testing import parse_permissions

PARTNER = "https://partner.example"


def test_a_view_replaces_appends_and_drops_directives(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/framed")
    @secure.override(
        frame_ancestors=[PARTNER],
        img_src=append("https://cdn.example"),
        form_action=None,
        coop="unsafe-none",
        corp=None,
    )
    def framed() -> str:
        return "framed"

    response = app.test_client().get("/framed")
    assert_csp(
        response,
        frame_ancestors=[PARTNER],
        img_src=["'self'", "data:", "https://cdn.example"],
        form_action=None,
        base_uri=["'none'"],
    )
    assert response.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
    assert "Cross-Origin-Resource-Policy" not in response.headers
    assert_csp(app.test_client().get("/plain"), frame_ancestors=["'none'"])


def test_appending_keeps_what_the_directive_inherits(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/fonts")
    @secure.override(
        font_src=append("https://fonts.example"),
        style_src_elem=append("https://css.example"),
        object_src=append("https://old.example"),
    )
    def fonts() -> str:
        return secure.csp_nonce()

    assert_csp(
        app.test_client().get("/fonts"),
        font_src=["'self'", "https://fonts.example"],
        style_src_elem=["'self'", "'nonce'", "https://css.example"],
        object_src=["https://old.example"],
    )


def test_nested_blueprints_and_the_view_compose_from_the_outside_in(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    outer = blueprint_for(app, "outer", url_prefix="/outer")
    inner = blueprint_for(app, "inner", url_prefix="/inner")
    secure.override(
        frame_ancestors=[PARTNER], img_src=["https://outer.example"], referrer="origin"
    )(outer)
    secure.override(img_src=append("https://inner.example"))(inner)

    @inner.get("/view")
    @secure.override(frame_ancestors=["'self'"])
    def view() -> str:
        return "view"

    @outer.get("/other")
    def other() -> str:
        return "other"

    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    client = app.test_client()
    response = client.get("/outer/inner/view")
    assert_csp(
        response,
        frame_ancestors=["'self'"],
        img_src=["https://outer.example", "https://inner.example"],
    )
    assert response.headers["Referrer-Policy"] == "origin"
    assert_csp(
        client.get("/outer/other"),
        frame_ancestors=[PARTNER],
        img_src=["https://outer.example"],
    )
    assert_csp(client.get("/plain"), frame_ancestors=["'none'"])


def test_a_blueprints_error_page_has_its_policy(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    blueprint = blueprint_for(app, "embed")
    secure.override(frame_ancestors=[PARTNER])(blueprint)

    @blueprint.get("/gone")
    def gone() -> t.NoReturn:
        flask.abort(410)

    app.register_blueprint(blueprint)
    response = app.test_client().get("/gone")
    assert response.status_code == 410
    assert_csp(response, frame_ancestors=[PARTNER])


def test_a_class_based_view_can_be_overridden(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @secure.override(frame_ancestors=[PARTNER])
    class Embedded(View):
        def dispatch_request(self) -> str:
            return "embedded"

    app.add_url_rule("/class", view_func=Embedded.as_view("class"))
    assert_csp(app.test_client().get("/class"), frame_ancestors=[PARTNER])


def test_an_override_survives_a_decorator_that_wraps_the_view(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    def login_required(view: t.Callable[[], str]) -> t.Callable[[], str]:
        @functools.wraps(view)
        def wrapped() -> str:
            return view()

        return wrapped

    @app.get("/wrapped")
    @login_required
    @secure.override(frame_ancestors=[PARTNER])
    def wrapped() -> str:
        return "wrapped"

    assert_csp(app.test_client().get("/wrapped"), frame_ancestors=[PARTNER])


def test_the_last_of_two_overrides_is_the_outer_one(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/twice")
    @secure.override(img_src=["https://outer.example"])
    @secure.override(img_src=["https://inner.example"], font_src=["'none'"])
    def twice() -> str:
        return "twice"

    assert_csp(
        app.test_client().get("/twice"),
        img_src=["https://outer.example"],
        font_src=["'none'"],
    )


@pytest.mark.parametrize(
    "source",
    ["https://a.example\r\nSet-Cookie: x=1", "'self'; script-src *", "a,b", ""],
)
def test_an_override_cannot_inject_a_header_or_directive(
    secure: SecureHeaders, source: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        secure.override(frame_ancestors=[source])
    assert "csp.injection" in str(caught.value)


def test_a_misspelled_directive_is_refused_where_it_is_written(
    secure: SecureHeaders,
) -> None:
    with pytest.raises(ConfigError) as caught:
        secure.override(frame_ancestor=["'self'"])  # type: ignore[call-arg]
    assert "write     frame-ancestors" in str(caught.value)


def test_the_policy_of_an_endpoint_can_be_asked_for(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/framed")
    @secure.override(frame_ancestors=[PARTNER])
    def framed() -> str:
        return "framed"

    assert secure.policy_of(app, "framed").csp["frame-ancestors"] == (PARTNER,)
    assert secure.policy_of(app, None).csp["frame-ancestors"] == ("'none'",)


def test_directives_can_be_written_as_a_mapping_or_as_text(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    @app.get("/mapped")
    @secure.override(
        csp={
            "img-src": append("https://cdn.example"),
            "form-action": None,
            "base-uri": append("https://base.example"),
            "sandbox": append("allow-scripts"),
        },
        media_src="'self' https://media.example",
        permissions={"camera": append("self"), "usb": None},
    )
    def mapped() -> str:
        return "mapped"

    response = app.test_client().get("/mapped")
    assert_csp(
        response,
        img_src=["'self'", "data:", "https://cdn.example"],
        form_action=None,
        base_uri=["https://base.example"],
        sandbox=["allow-scripts"],
        media_src=["'self'", "https://media.example"],
    )
    features = parse_permissions(response.headers["Permissions-Policy"])
    assert features["camera"] == ("self",)
    assert "usb" not in features


def test_static_files_can_be_overridden(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    secure.override(corp="cross-origin")(app.view_functions["static"])
    response = app.test_client().get("/static/missing.css")
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_a_method_is_overridden_in_its_class_and_not_on_its_object(
    app: flask.Flask, secure: SecureHeaders
) -> None:
    class Views:
        @secure.override(frame_ancestors=[PARTNER])
        def framed(self) -> str:
            return "framed"

    views = Views()
    app.add_url_rule("/method", "method", views.framed)
    assert_csp(app.test_client().get("/method"), frame_ancestors=[PARTNER])
    with pytest.raises(TypeError, match="Decorate the function itself"):
        secure.override(frame_ancestors=[PARTNER])(views.framed)
