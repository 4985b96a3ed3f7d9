"""Sessions behind pgbouncer in transaction mode."""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures

import flask
import pytest
import sqlalchemy as sa

from flaskware_core.testing import temporary_pgbouncer
from flaskware_session import AsyncSQLAlchemyStore
from flaskware_session import BlockingStore
from flaskware_session import Sessions
from flaskware_session import SQLAlchemyStore
from flaskware_session import Store
from flaskware_session.testing import StoreSuite

Build = cabc.Callable[..., flask.Flask]
DRIVERS = ["psycopg", "asyncpg"]


@pytest.fixture
def pooled_url(postgresql_url: str) -> cabc.Iterator[sa.URL]:
    """The URL of a pgbouncer whose clients share three connections."""
    with temporary_pgbouncer(postgresql_url, pool_size=3) as url:
        yield sa.make_url(url)


def opened(url: sa.URL, driver: str) -> Store:
    url = url.set(drivername=f"postgresql+{driver}")
    if driver != "asyncpg":
        store = SQLAlchemyStore(url, timeout=10)
        store.create_table()
        return store
    coroutines = AsyncSQLAlchemyStore(url, timeout=10)
    bridge = BlockingStore(coroutines)
    bridge.wait(coroutines.create_table())
    return bridge


@pytest.mark.slow
class TestBehindPgbouncer(StoreSuite):
    @pytest.fixture(params=DRIVERS)
    def store(
        self, pooled_url: sa.URL, request: pytest.FixtureRequest
    ) -> cabc.Iterator[Store]:
        store = opened(pooled_url, request.param)
        yield store
        store.close()


@pytest.mark.parametrize("driver", DRIVERS)
def test_many_requests_share_few_connections(
    build: Build, pooled_url: sa.URL, driver: str
) -> None:
    opened(pooled_url, driver).close()
    url = pooled_url.set(drivername=f"postgresql+{driver}")
    sessions = Sessions(store=str(url), store_timeout=10, budget=60)
    app = build(sessions)
    counts = []

    def browse(number: int) -> list[int]:
        client = app.test_client()
        pages = [f"/login/u{number}", *(f"/set/k{n}/1" for n in range(15)), "/read"]
        statuses = [client.get(page).status_code for page in pages]
        counts.append(len(client.get("/read").json["data"]))
        return statuses

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        statuses = [status for one in pool.map(browse, range(12)) for status in one]
    assert set(statuses) == {200}
    assert counts == [15] * 12


def test_a_time_limit_is_set_in_no_connection_of_others(pooled_url: sa.URL) -> None:
    store = SQLAlchemyStore(pooled_url, timeout=0.5)
    store.create_table()
    store.ping()
    plain = sa.create_engine(pooled_url, poolclass=sa.NullPool)
    with plain.connect() as connection:
        assert connection.scalar(sa.text("SHOW statement_timeout")) == "0"
        assert connection.scalar(sa.text("SHOW synchronous_commit")) == "on"
    store.close()


def test_without_a_pooler_a_statement_has_a_limit_unless_the_url_names_one(
    postgresql_url: str,
) -> None:
    url = sa.make_url(postgresql_url)
    for options, limit in (
        ("", "2s"),
        ("-c statement_timeout=7000 -c application_name=mine", "7s"),
    ):
        store = SQLAlchemyStore(
            url.set(query={"options": options} if options else {}), timeout=2
        )
        with store.engine.connect() as connection:
            shown = connection.scalar(sa.text("SHOW statement_timeout"))
            name = connection.scalar(sa.text("SHOW application_name"))
        assert shown == limit
        assert (name == "mine") == bool(options)
        store.close()
