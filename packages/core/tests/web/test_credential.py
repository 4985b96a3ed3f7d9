from __future__ import annotations

import flask
import quart
from flask.sessions import SecureCookieSessionInterface
from werkzeug.sansio.request import Request

from flaskware_core import Credential
from flaskware_core import CredentialSource
from flaskware_core import request_credential


class ByHeader(SecureCookieSessionInterface):
    def credential_of(self, request: Request) -> Credential | None:
        return "header" if "Authorization" in request.headers else None


def test_the_session_interface_says_what_signs_a_request_in() -> None:
    app = flask.Flask("x")
    app.session_interface = ByHeader()
    assert isinstance(app.session_interface, CredentialSource)
    with app.test_request_context(headers={"Authorization": "Bearer x"}):
        assert request_credential(flask.request) == "header"
    with app.test_request_context():
        assert request_credential(flask.request) is None
        assert request_credential(flask.request, app=flask.Flask("y")) is None


def test_a_session_interface_that_cannot_tell_is_not_asked() -> None:
    app = flask.Flask("x")
    with app.test_request_context(headers={"Cookie": "session=x"}):
        assert request_credential(flask.request) is None
    request = flask.Request.from_values()
    assert request_credential(request, app=quart.Quart("x")) is None
