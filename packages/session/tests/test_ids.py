from __future__ import annotations

import collections.abc as cabc
import logging
import traceback

import flask
import pytest

from flaskware_session import MemoryStore
from flaskware_session import session_conflict
from flaskware_session import session_created
from flaskware_session import session_renewed
from flaskware_session import session_revoked
from flaskware_session import Sessions
from flaskware_session import StoreUnavailable
from flaskware_session.testing import CountingStore

from .conftest import session

Build = cabc.Callable[..., flask.Flask]


def test_an_id_and_its_key_are_told_nowhere(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    secrets: set[str] = set()
    store = MemoryStore()
    sessions = Sessions(store=store)
    app = build(sessions)

    def note(sender: object, **details: object) -> None:
        told.append(repr(details))

    signals = (session_created, session_renewed, session_revoked, session_conflict)
    for signal in signals:
        signal.connect(note)

    @app.get("/too-large")
    def too_large() -> str:
        told.append(repr(session))
        session["big"] = "x" * 70_000
        return "ok"

    client = app.test_client()
    with caplog.at_level(logging.DEBUG):
        for path in ("/set/a/1", "/login/ann", "/regenerate", "/too-large", "/logout"):
            try:
                client.get(path)
            except ValueError as error:
                told.append("".join(traceback.format_exception(error)))
            cookie = client.get_cookie("session")
            secrets |= {cookie.value} if cookie else set()
            secrets |= set(store._records)
            told += map(repr, store._records.values())
    for signal in signals:
        signal.disconnect(note)
    text = "\n".join((*told, caplog.text))
    assert len(secrets) >= 5
    assert not [secret for secret in secrets if secret in text]


@pytest.mark.parametrize(
    "store_url", ["redis", "postgresql", "mariadb", "sqlite", "memcached"],
    indirect=True,
)  # fmt: skip
def test_an_outage_tells_neither_id_nor_key_nor_content(
    build: Build, caplog: pytest.LogCaptureFixture, store_url: str
) -> None:
    place = {
        "redis": "redis://127.0.0.1:1/0",
        "postgresql": "postgresql+psycopg://postgres@127.0.0.1:1/x",
        "mysql": "mysql+pymysql://root@127.0.0.1:1/x",
        "mariadb": "mysql+pymysql://root@127.0.0.1:1/x",
        "sqlite": "sqlite:////proc/nowhere/s.db",
        "memcached": "memcached://127.0.0.1:1",
    }[store_url.partition(":")[0].partition("+")[0]]
    app = build(Sessions(store=place))
    told: list[str] = []

    @app.errorhandler(StoreUnavailable)
    def outage(error: StoreUnavailable) -> tuple[str, int]:
        told.append("".join(traceback.format_exception(error)) + error.reason)
        return "down", 503

    client = app.test_client()
    token = "A" * 77
    client.set_cookie("session", token)
    assert client.get("/read").status_code == 503
    assert app.test_client().get("/set/a/s3cret").status_code == 503
    text = "\n".join((*told, caplog.text))
    assert token not in text
    assert "s3cret" not in text.replace("/set/a/s3cret", "")


@pytest.mark.parametrize(
    "cookie",
    ["", "A" * 76, "A" * 78, "A" * 76 + "=", "A" * 76 + "é", "../" + "A" * 74],
)
def test_an_id_of_another_form_costs_no_trip_and_is_not_adopted(
    build: Build, cookie: str
) -> None:
    store = CountingStore(MemoryStore())
    app = build(Sessions(store=store))
    headers = {"Cookie": f"session={cookie}".encode().decode("latin-1")}
    app.test_client(use_cookies=False).get("/read", headers=headers)
    assert store.trips == []


def test_an_id_that_was_not_issued_is_never_adopted(
    build: Build, store_url: str
) -> None:
    client = build(Sessions(store=store_url)).test_client()
    client.set_cookie("session", "A" * 77)
    client.get("/set/a/1")
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert cookie.value != "A" * 77
