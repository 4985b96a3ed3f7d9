"""The pages of errors."""

from __future__ import annotations

import flask
import pytest

from noticeboard import create_app
from noticeboard.seed import PASSWORD

HTML = {"Accept": "text/html"}


@pytest.fixture
def app(tmp_path):
    app = create_app(
        instance_path=str(tmp_path),
        PROPAGATE_EXCEPTIONS=False,
        MAX_CONTENT_LENGTH=100_000,
    )

    @app.get("/fail/<int:code>")
    def fail(code: int) -> str:
        if code == 500:
            raise RuntimeError("a secret of the server")
        flask.abort(code)

    from noticeboard.extensions import alembic
    from noticeboard.seed import seed

    with app.app_context():
        alembic.upgrade()
        seed()
    return app


@pytest.mark.parametrize("code", [400, 403, 404, 405, 413, 418, 429, 500, 503])
def test_a_browser_gets_a_page_with_a_way_on(client, code):
    reply = client.get(f"/fail/{code}", headers=HTML)
    assert reply.status_code == code
    assert 'name="viewport"' in reply.text
    assert f"Error {code}" in reply.text
    assert "All notices" in reply.text
    assert "secret" not in reply.text
    assert reply.headers["Content-Security-Policy"]


def test_other_clients_get_no_page(client):
    reply = client.get("/fail/404", headers={"Accept": "application/json"})
    assert reply.status_code == 404
    assert "viewport" not in reply.text


def test_a_wrong_method_says_which_are_allowed(client):
    reply = client.open("/sign-out", headers=HTML)
    assert reply.status_code == 405
    assert "POST" in reply.headers["Allow"]
    assert "That does not work here" in reply.text


def test_a_body_that_is_too_large_is_told_with_the_limit(client, post):
    post(client, "/sign-in", email="ada@example.org", password=PASSWORD)
    reply = client.post("/notices/new", data={"body": "x" * 200_000}, headers=HTML)
    assert reply.status_code == 413
    assert "A picture may have 2 MB" in reply.text


def test_a_post_from_another_site_is_refused_with_a_page(client):
    headers = {**HTML, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    reply = client.post("/sign-out", headers=headers)
    assert reply.status_code == 403


def test_without_a_database_the_page_says_so(tmp_path):
    app = create_app(
        instance_path=str(tmp_path),
        SQLALCHEMY_DATABASE_URI="postgresql+psycopg://localhost:1/x",
        SESSION_STORE="redis://localhost:1",
    )
    client = app.test_client()
    reply = client.get("/", headers=HTML)
    assert reply.status_code == 503
    assert "The board is out for a moment" in reply.text
    assert reply.headers["Retry-After"]
    assert client.get("/livez").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.get_json()["session"] == "unreachable"
    assert ready.get_json()["sqlalchemy"] == "unreachable"
