from __future__ import annotations

import asyncio
import logging

import quart

from flaskware_core import add_health
from flaskware_core.testing import make_app


def test_an_app_whose_backends_answer_is_alive_and_ready(mail_class):
    app = make_app(mail_class(), MAIL_URL="smtp://localhost")
    add_health(app)
    client = app.test_client()
    for path, body in (
        ("/livez", {"status": "ok"}),
        ("/readyz", {"status": "ok", "mail": "ok"}),
    ):
        response = client.get(path)
        assert (response.status_code, response.get_json()) == (200, body)
        assert response.headers["Cache-Control"] == "no-store"


def test_an_app_whose_backend_is_down_lives_and_is_not_ready(mail_class, caplog):
    app = make_app(mail_class(), MAIL_URL="smtp://secret.example/down")
    add_health(app, live="/up", ready="/ready")
    client = app.test_client()
    assert client.get("/up").status_code == 200
    with caplog.at_level(logging.WARNING):
        response = client.get("/ready")
    assert response.status_code == 503
    assert response.get_json() == {"status": "unavailable", "mail": "unreachable"}
    assert "secret.example" not in response.text
    assert "MAIL_URL needs a server that answers" in caplog.text


def test_an_app_without_extensions_is_ready():
    app = make_app()
    add_health(app)
    assert app.test_client().get("/readyz").get_json() == {"status": "ok"}


def test_health_in_quart(mail_class):
    app = quart.Quart(__name__)
    app.config["MAIL_URL"] = "smtp://down"
    mail_class(app)
    add_health(app)

    async def ask() -> list[int]:
        client = app.test_client()
        return [(await client.get(path)).status_code for path in ("/livez", "/readyz")]

    assert asyncio.run(ask()) == [200, 503]
