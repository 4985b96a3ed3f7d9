"""Flask-CORS: its origins count for request isolation."""

from __future__ import annotations

import pytest
from flask_cors import CORS

ORIGIN = "https://app.example"
FROM_SITE = {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


@pytest.fixture
def client(app):
    CORS(app, origins=[ORIGIN], supports_credentials=True)
    return app.test_client()


def test_an_origin_that_it_allows_reads_and_posts(client):
    answer = client.get("/names", headers=FROM_SITE)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    answer = client.post("/names", data={"name": "Ann"}, headers=FROM_SITE)
    assert answer.status_code == 201
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_a_preflight_is_answered(client):
    asked = {**FROM_SITE, "Access-Control-Request-Method": "POST"}
    answer = client.options("/names", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_another_origin_is_refused(client):
    other = {**FROM_SITE, "Origin": "https://evil.example"}
    assert client.post("/names", data={"name": "Eve"}, headers=other).status_code == 403
    assert client.get("/names", headers=other).status_code == 403
    assert client.get("/names").json["names"] == []
