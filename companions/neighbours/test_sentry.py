"""Sentry: events of errors, with breadcrumbs of the queries, and none of refusals."""

from __future__ import annotations

import json

import family
import pytest
import sentry_sdk
import sqlalchemy as sa
from sentry_sdk.transport import Transport

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
ITEMS = []


class Local(Transport):
    def capture_envelope(self, envelope):
        ITEMS.extend(item.payload.json for item in envelope.items if item.payload.json)


@pytest.fixture
def made(tmp_path):
    sentry_sdk.init(
        dsn="https://key@sentry.example/1", transport=Local, traces_sample_rate=1.0
    )
    app, extensions = family.create_app(tmp_path, PROPAGATE_EXCEPTIONS=False)

    @app.get("/fail")
    def fail():
        extensions.db.session.scalar(sa.select(family.User.name))
        raise ZeroDivisionError

    ITEMS.clear()
    yield app, extensions
    sentry_sdk.get_client().close()


def errors():
    return [item for item in ITEMS if "exception" in item]


def transactions():
    return [item for item in ITEMS if item.get("type") == "transaction"]


def test_an_error_is_sent_once_with_the_queries_before_it(client):
    assert client.get("/fail").status_code == 500
    [error] = errors()
    assert error["exception"]["values"][-1]["type"] == "ZeroDivisionError"
    crumbs = [each["message"] for each in error["breadcrumbs"]["values"]]
    assert any('FROM "user"' in text or "FROM user" in text for text in crumbs)


def test_refusals_are_no_errors_and_keep_their_transaction(client):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/names", data={"name": "x"}, headers=headers).status_code == 403
    assert client.post("/names", data={"name": "x"}).status_code == 400
    assert errors() == []
    assert [each["contexts"]["trace"]["status"] for each in transactions()] == [
        "permission_denied",
        "invalid_argument",
    ]


def test_no_secret_of_the_session_is_in_an_event(client):
    client.post("/sign-in", data={"user": "7"}, headers=SAME_ORIGIN)
    client.get("/fail")
    cookie = client.get_cookie("session").value
    assert errors()
    assert cookie not in json.dumps(ITEMS, default=str)
