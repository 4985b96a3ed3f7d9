"""Authlib: a sign-in whose answer another site posts, `response_mode=form_post`."""

from __future__ import annotations

import browser
import family
import flask
import oidc
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from browser import chromium

from flaskware_core.testing import serving

NONE = {"SESSION_COOKIE_SAMESITE": "None"}


def create_app(folder, provider, *, marked, **config):
    app, extensions = family.create_app(folder, **config)
    metadata = f"{provider}/.well-known/openid-configuration"
    oauth = OAuth(app)
    client = oauth.register("provider", server_metadata_url=metadata, **oidc.CLIENT)

    @app.get("/begin")
    def begin():
        flask.session["cart"] = 3
        return client.authorize_redirect(
            flask.url_for("signed_in", _external=True),
            scope="openid",
            response_type="code id_token",
            response_mode="form_post",
        )

    @app.post("/signed-in")
    @extensions.secure.override(cross_site=marked)
    def signed_in():
        token = client.authorize_access_token()
        extensions.sessions.login(token["userinfo"]["sub"])
        return flask.redirect("/me", 303)

    @app.get("/me")
    def me():
        return f"{extensions.sessions.user_id} has {flask.session.get('cart')}"

    @app.errorhandler(OAuthError)
    def failed(error):
        return error.error, 400

    return app


@pytest.fixture
def sign_in(tmp_path, monkeypatch):
    """Sign in by a Chromium; see ``browser.sign_in``."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")

    def run(*, marked=True, **config):
        with (
            serving(oidc.make_provider()) as provider,
            chromium("ignore-certificate-errors") as driver,
        ):
            # Another name of this machine is another site.
            elsewhere = provider.replace("127.0.0.1", "localhost")
            app = create_app(tmp_path, elsewhere, marked=marked, **config)
            with serving(app, certificate="adhoc") as address:
                return browser.sign_in(driver, address)

    return run


def test_chromium_signs_in_and_keeps_the_session_that_began_it(sign_in):
    assert sign_in(**NONE) == ("ann has 3", "ann has 3")


def test_with_a_lax_cookie_the_sign_in_fails_and_the_session_stays(sign_in):
    assert sign_in() == ("mismatching_state", "None has 3")


def test_without_the_marker_the_answer_is_refused(sign_in):
    end, after = sign_in(marked=False, **NONE)
    assert end.startswith("Forbidden")
    assert after == "None has 3"
