# ruff: noqa: ARG002 Authlib passes more than these need.
"""A provider of OpenID Connect, built with Authlib, that posts its answers."""

from __future__ import annotations

import time

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oidc.core import AuthorizationCodeMixin
from authlib.oidc.core import OpenIDCode
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDHybridGrant
from joserfc.jwk import KeySet
from joserfc.jwk import RSAKey

CLIENT = {"client_id": "family", "client_secret": "a secret of the test"}
KEYS = KeySet([RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})])
CODES: dict[str, Code] = {}


class Client(ClientMixin):
    def get_client_id(self):
        return CLIENT["client_id"]

    def get_allowed_scope(self, scope):
        return scope

    def check_client_secret(self, client_secret):
        return client_secret == CLIENT["client_secret"]

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri.endswith("/signed-in")

    def check_response_type(self, response_type):
        return response_type == "code id_token"

    def check_grant_type(self, grant_type):
        return grant_type == "authorization_code"

    def check_endpoint_auth_method(self, method, endpoint):
        return True


class Code(AuthorizationCodeMixin):
    def __init__(self, request):
        self.asked = request.payload.data

    def get_redirect_uri(self):
        return self.asked["redirect_uri"]

    def get_scope(self):
        return self.asked["scope"]

    def get_nonce(self):
        return self.asked["nonce"]

    def get_auth_time(self):
        return int(time.time())

    def get_acr(self):
        return None

    def get_amr(self):
        return None


class Identity:
    def exists_nonce(self, nonce, request):
        return False

    def resolve_client_private_key(self, client):
        return KEYS

    def get_client_algorithm(self, client):
        return "RS256"

    def get_encode_header(self, client):
        return {"alg": "RS256", "kid": "1"}

    def get_client_claims(self, client):
        return {"iss": _place(), "aud": [client.get_client_id()]}

    def generate_user_info(self, user, scope):
        return UserInfo(sub=user)


class Hybrid(Identity, OpenIDHybridGrant):
    def save_authorization_code(self, code, request):
        CODES[code] = Code(request)


class Codes(AuthorizationCodeGrant):
    def query_authorization_code(self, code, client):
        return CODES.get(code)

    def delete_authorization_code(self, authorization_code):
        CODES.clear()

    def authenticate_user(self, authorization_code):
        return "ann"


class Extension(Identity, OpenIDCode):
    pass


def make_provider():
    """Make the provider, at which everybody is signed in as "ann"."""
    app = flask.Flask("provider")
    server = AuthorizationServer(
        app, query_client=lambda _: Client(), save_token=lambda *_: None
    )
    server.register_grant(Hybrid)
    server.register_grant(Codes, [Extension(require_nonce=True)])

    @app.get("/.well-known/openid-configuration")
    def configuration():
        place = _place()
        return {
            "issuer": place,
            "authorization_endpoint": f"{place}/authorize",
            "token_endpoint": f"{place}/token",
            "jwks_uri": f"{place}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    @app.get("/keys")
    def keys():
        return KEYS.as_dict(private=False)

    @app.get("/authorize")
    def authorize():
        return server.create_authorization_response(
            grant=server.get_consent_grant("ann"), grant_user="ann"
        )

    @app.post("/token")
    def token():
        return server.create_token_response()

    return app


def _place():
    return flask.request.host_url.rstrip("/")
