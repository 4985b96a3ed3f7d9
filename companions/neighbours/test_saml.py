"""SAML: a sign-in whose answer the identity provider posts, by python3-saml."""

from __future__ import annotations

import browser
import family
import flask
import pytest
import saml_provider
from browser import chromium
from onelogin.saml2.auth import OneLogin_Saml2_Auth

from flaskware_core.testing import serving

NONE = {"SESSION_COOKIE_SAMESITE": "None"}


def create_app(folder, provider, certificate, *, marked, **config):
    app, extensions = family.create_app(folder, **config)

    def auth():
        request = flask.request
        place = request.host_url.rstrip("/")
        about = {
            "https": "on" if request.is_secure else "off",
            "http_host": request.host,
            "script_name": request.path,
            "get_data": request.args,
            "post_data": request.form,
        }
        service = {"url": f"{place}/signed-in"}
        sso = {"url": f"{provider}/sso"}
        return OneLogin_Saml2_Auth(
            about,
            {
                "strict": True,
                "sp": {
                    "entityId": f"{place}/metadata",
                    "assertionConsumerService": service,
                },
                "idp": {
                    "entityId": f"{provider}/metadata",
                    "singleSignOnService": sso,
                    "x509cert": certificate,
                },
                "security": {
                    "wantMessagesSigned": True,
                    "wantAttributeStatement": False,
                },
            },
        )

    @app.get("/begin")
    def begin():
        asking = auth()
        address = asking.login(return_to="")
        flask.session.update(cart=3, request=asking.get_last_request_id())
        return flask.redirect(address)

    @app.post("/signed-in")
    @extensions.secure.override(cross_site=marked)
    def signed_in():
        asked = flask.session.pop("request", "none")
        answer = auth()
        answer.process_response(request_id=asked)
        if answer.get_errors():
            return answer.get_last_error_reason(), 400
        extensions.sessions.login(answer.get_nameid())
        return flask.redirect("/me", 303)

    @app.get("/me")
    def me():
        return f"{extensions.sessions.user_id} has {flask.session.get('cart')}"

    return app


@pytest.fixture
def sign_in(tmp_path):
    """Sign in by a Chromium; see ``browser.sign_in``."""

    def run(*, marked=True, **config):
        key, certificate = saml_provider.make_keys()
        with (
            serving(saml_provider.make_provider(key, certificate)) as provider,
            chromium("ignore-certificate-errors") as driver,
        ):
            # Another name of this machine is another site.
            elsewhere = provider.replace("127.0.0.1", "localhost")
            app = create_app(tmp_path, elsewhere, certificate, marked=marked, **config)
            with serving(app, certificate="adhoc") as address:
                return browser.sign_in(driver, address)

    return run


def test_chromium_signs_in_and_keeps_the_session_that_began_it(sign_in):
    assert sign_in(**NONE) == ("ann has 3", "ann has 3")


def test_with_a_lax_cookie_the_answer_belongs_to_no_request(sign_in):
    end, after = sign_in()
    assert "InResponseTo" in end
    assert after == "None has 3"


def test_without_the_marker_the_answer_is_refused(sign_in):
    end, after = sign_in(marked=False, **NONE)
    assert end.startswith("Forbidden")
    assert after == "None has 3"
