"""A fault of the data that one request sends is never an outage of the store."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import random

import flask
import pytest
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st

from flaskware_session import MemcachedStore
from flaskware_session import Sessions
from flaskware_session import SQLAlchemyStore
from flaskware_session import StoreRefused
from flaskware_session._core.operations import Create
from flaskware_session._core.operations import Steps
from flaskware_session._core.visit import Visit
from flaskware_session._drive.sync import StoreClient
from flaskware_session._records.record import Record

Build = cabc.Callable[..., flask.Flask]
RECORD = Record(
    *("u" * 12 + "a" * 64, "{}", 1, 0, 0, 10**6),
    idle=10**6,
    until=10**6,
    proofs="x",
)
HEADERS = st.text(st.characters(exclude_categories=()), max_size=700)


@pytest.mark.flask_only("its texts are those of a server of WSGI")
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(address=HEADERS, agent=HEADERS)
def test_any_address_and_browser_can_sign_in(
    build: Build, store_url: str, address: str, agent: str
) -> None:
    sessions = Sessions(store=store_url)
    app = build(sessions)
    for sent in (address, "1" * 300, "\x00", "\ud800é\U0001f600" * 100):
        client = app.test_client()
        sender = {"REMOTE_ADDR": sent, "HTTP_USER_AGENT": sent[::-1] + agent}
        assert client.get("/login/ann", environ_overrides=sender).status_code == 200
        assert client.get("/read").json["user"] == "ann"
    with app.app_context():
        assert all(len(one.address) <= 64 for one in sessions.for_user("ann"))
    sessions.state_of(app).manager.store.close()


def too_long(text: str, client: StoreClient) -> None:
    def create() -> Steps[object]:
        return (yield Create(dc.replace(RECORD, user_id=text[:20_000], data=text), 0))

    client.run(create(), Visit(None))


@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "memcached"])
def test_a_value_that_does_not_fit_is_refused_and_opens_no_breaker(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """Ids of users that ``login`` would not let through."""
    url = str(request.getfixturevalue(f"{kind}_url"))
    namespace = f"test-{random.randbytes(8).hex()}"
    store: SQLAlchemyStore | MemcachedStore
    if kind == "memcached":
        store = MemcachedStore(url, namespace=namespace)
    else:
        store = SQLAlchemyStore(url)
        store.create_table()
    client = StoreClient(store)
    # It cannot be compressed, so that no index of PostgreSQL can hold it.
    text = random.Random(1).randbytes(1_500_000).hex()
    for _ in range(10):
        with pytest.raises(StoreRefused) as caught:
            too_long(text, client)
        assert text[:20] not in str(caught.value)
    assert not client.guard.writes.is_open
    too_long("ann", client)
    assert [one.user_id for one in store.for_user("ann", 0)] == ["ann"]
    store.close()


@pytest.mark.parametrize("store_url", ["sqlite", "redis", "postgresql"], indirect=True)
def test_the_id_of_a_user_that_is_no_text_is_that_request_s_error(
    build: Build, store_url: str
) -> None:
    app = build(Sessions(store=store_url))
    sessions = app.extensions["session"]

    @app.get("/odd")
    def odd() -> str:
        sessions.for_user("\ud800")
        return "ok"

    client = app.test_client()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    for _ in range(7):
        assert client.get("/odd").status_code == 500
    assert client.get("/login/ann").status_code == 200
