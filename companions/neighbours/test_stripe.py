"""Stripe: its signed webhooks are posts from elsewhere by design."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

import family
import flask
import pytest
import stripe

SECRET = "whsec_test"
CROSS_SITE = {"Origin": "https://stripe.example", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture
def made(tmp_path):
    app, extensions = family.create_app(tmp_path)

    def take():
        signature = flask.request.headers.get("Stripe-Signature", "")
        try:
            event = stripe.Webhook.construct_event(
                flask.request.get_data(), signature, SECRET
            )
        except stripe.SignatureVerificationError:
            return {"error": "signature"}, 400
        with extensions.db.transaction() as session:
            session.add(family.User(name=event["data"]["object"]["name"]))
        return {"received": True}

    marked = extensions.secure.override(cross_site=True)(take)
    app.add_url_rule("/webhook", "webhook", marked, methods=["POST"])

    @app.post("/unmarked")
    def unmarked():
        return take()

    return app, extensions


def send(client, path="/webhook", secret=SECRET, headers=None):
    """Send an event as Stripe signs it."""
    event = {"id": "evt_1", "object": "event", "type": "customer.created"}
    event["data"] = {"object": {"object": "customer", "name": "Ann"}}
    body = json.dumps(event)
    seconds = int(time.time())
    text = f"{seconds}.{body}".encode()
    signed = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    signature = {"Stripe-Signature": f"t={seconds},v1={signed}"}
    return client.post(
        path,
        data=body,
        content_type="application/json",
        headers={**signature, **(headers or {})},
    )


@pytest.mark.parametrize("headers", [{}, CROSS_SITE], ids=["server", "browser"])
def test_a_signed_event_is_taken_and_its_row_written(client, headers):
    client.get("/page")  # a browser may have a cookie
    assert send(client, headers=headers).json == {"received": True}
    assert client.get("/names").json["names"] == ["Ann"]


def test_a_wrong_signature_is_refused(client):
    assert send(client, secret="whsec_other").status_code == 400
    assert client.get("/names").json["names"] == []


def test_without_the_marker_a_browser_is_refused_and_debug_names_it(app, client):
    app.debug = True
    refused = send(client, "/unmarked", headers={**CROSS_SITE, "Accept": "text/html"})
    assert refused.status_code == 403
    assert "@secure.override(cross_site=True)" in refused.text
    assert client.get("/names").json["names"] == []
