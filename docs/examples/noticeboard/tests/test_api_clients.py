"""Clients of an API beside the forms, and the page of devices behind the headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from noticeboard import create_app
from noticeboard.extensions import alembic
from noticeboard.extensions import sessions
from noticeboard.seed import PASSWORD
from noticeboard.seed import seed


@pytest.fixture
def app(tmp_path: Path):
    app = create_app(instance_path=str(tmp_path), TESTING=True, SESSION_BEARER=True)
    with app.app_context():
        alembic.upgrade()
        seed()
    return app


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_needs_no_csrf_token_and_a_cookie_does(app, ada):
    with app.app_context():
        token = sessions.issue_token("1", label="Script")
    assert ada.post("/sign-out").status_code == 400
    # Beside a header the cookie is ignored, so that this signs nobody out.
    assert ada.post("/sign-out", headers=bearer("x")).status_code == 303
    assert ada.get("/devices/").status_code == 200
    client = app.test_client()
    assert client.get("/devices/", headers=bearer(token)).status_code == 200
    done = client.post("/sign-out", headers=bearer(token))
    assert (done.status_code, done.headers.get("Set-Cookie")) == (303, None)
    assert client.get("/devices/", headers=bearer(token)).status_code == 303
    assert ada.get("/devices/").status_code == 200


def test_without_bearer_tokens_a_header_beside_a_cookie_proves_nothing(tmp_path, post):
    app = create_app(instance_path=str(tmp_path), TESTING=True)
    with app.app_context():
        alembic.upgrade()
        seed()
    ada = app.test_client()
    post(ada, "/sign-in", email="ada@example.org", password=PASSWORD)
    assert ada.post("/sign-out", headers=bearer("x")).status_code == 400
    assert ada.get("/devices/").status_code == 200


def test_the_page_of_devices_has_the_token_and_the_nonce_of_its_neighbours(app, ada):
    with app.app_context():
        sessions.issue_token("1", label="Script")
    page = ada.get("/devices/")
    [nonce] = set(re.findall(r'nonce="([^"]+)"', page.text))
    assert nonce in page.headers["Content-Security-Policy"]
    form = re.findall(r"<form.*?</form>", page.text, re.DOTALL)[-1]
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    assert fields["device"] == "others"
    without = {key: value for key, value in fields.items() if key != "csrf_token"}
    assert ada.post("/devices/end", data=without).status_code == 400
    assert ada.post("/devices/end", data=fields).status_code == 303
    assert "All other devices are signed out." in ada.get("/devices/").text
