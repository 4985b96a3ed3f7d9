from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import dataclasses as dc
import secrets
import threading
import typing as t
from pathlib import Path

import alembic.migration
import flask
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from flaskware_core import check_connections
from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_session import AsyncSQLAlchemyStore
from flaskware_session import BlockingStore
from flaskware_session import Lifetime
from flaskware_session import Record
from flaskware_session import Sessions
from flaskware_session import SQLAlchemyStore
from flaskware_session import Store
from flaskware_session import StoreUnavailable
from flaskware_session._migrations import tree
from flaskware_session._stores.sql.table import metadata
from flaskware_session.testing import FakeClock

Build = cabc.Callable[..., flask.Flask]
DATABASES = ["postgresql", "mariadb"]
RECORD = Record("", "{}", 1, created=0, last_seen=0, expires=10**9)


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def statements() -> cabc.Iterator[list[str]]:
    """What any engine executes, in order."""
    seen: list[str] = []

    def note(connection: t.Any, cursor: t.Any, statement: str, *rest: object) -> None:
        seen.append(statement.split(None, 1)[0])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/untouched", []),
        ("/nowhere", []),
        ("/static/none.css", []),
        ("/read", ["WITH"]),
        ("/set/a/1", ["WITH"]),
        ("/set/a/2", ["WITH", "UPDATE"]),
        ("/login/ann", ["WITH", "UPDATE"]),
    ],
)
def test_a_request_executes_these_statements_and_no_more(
    build: Build,
    store_url: str,
    statements: list[str],
    path: str,
    expected: list[str],
) -> None:
    clock = FakeClock()
    client = build(Sessions(store=store_url, clock=clock)).test_client()
    client.get("/set/b/1")
    clock.advance(days=2)
    statements.clear()
    client.get("/set/a/1")
    assert statements == ["WITH", "UPDATE"]
    clock.advance(days=2)
    statements.clear()
    client.get(path)
    assert statements == expected


@pytest.mark.parametrize("store_url", DATABASES, indirect=True)
def test_a_new_session_is_one_statement(
    build: Build, store_url: str, statements: list[str]
) -> None:
    app = build(Sessions(store=store_url))
    app.test_client().get("/set/a/1")  # and what has expired is removed for a minute
    statements.clear()
    app.test_client().get("/set/a/1")
    assert statements == ["INSERT"]


def test_the_table_is_not_made_at_start_and_its_absence_is_explained(
    empty_url: str, build: Build
) -> None:
    app = build(Sessions(store=empty_url))
    assert app.test_client().get("/set/a/1").status_code == 503
    with pytest.raises(ConfigError, match="flask session create-table"):
        check_connections(app)
    runner = app.test_cli_runner()
    for _ in range(2):
        done = runner.invoke(args=["session", "create-table"])
        assert done.output == "The table is there.\n"
    check_connections(app)
    assert app.test_client().get("/set/a/1").status_code == 200


def test_a_store_that_needs_no_table_says_so(build: Build) -> None:
    runner = build(Sessions(store="memory://")).test_cli_runner()
    done = runner.invoke(args=["session", "create-table", "--json"])
    assert done.output == '{"table": false}\n'


def test_what_expires_and_a_user_are_found_by_an_index(empty_url: str) -> None:
    store = SQLAlchemyStore(empty_url)
    store.create_table()
    indexes = sa.inspect(store.engine).get_indexes("flaskware_session")
    assert {tuple(index["column_names"]) for index in indexes} == {
        ("user_id",),
        ("expires",),
    }
    store.close()


@pytest.mark.parametrize("made_before", [False, True])
def test_the_migrations_make_the_table_that_the_store_uses(
    empty_url: str, made_before: bool
) -> None:
    sessions = Sessions(store=empty_url)
    app = make_app(sessions)
    with app.app_context():
        found = tree(app)
    assert found is not None
    assert found["metadata"] is metadata
    store = t.cast("SQLAlchemyStore", sessions.state_of(app).manager.store)
    assert found["engine"] is store.engine
    if made_before:
        store.create_table()
    assert isinstance(found["path"], Path)
    script = ScriptDirectory(str(found["path"]), version_locations=[str(found["path"])])
    [head] = script.get_heads()
    revision = script.get_revision(head)
    with store.engine.connect() as connection:
        context = alembic.migration.MigrationContext.configure(connection)
        with Operations.context(context):
            revision.module.upgrade()
            assert compare_metadata(context, metadata) == []
            revision.module.downgrade()
        assert not sa.inspect(connection).has_table("flaskware_session")
    store.close()


def test_an_app_whose_sessions_are_elsewhere_has_no_tree() -> None:
    app = make_app(Sessions(store="memory://"))
    with app.app_context():
        assert tree(app) is None


def test_a_connection_that_the_server_closed_is_opened_again(
    postgresql_url: str,
) -> None:
    store = SQLAlchemyStore(postgresql_url)
    store.create_table()
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.connect() as other:
        other.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    record = Record("a" * 64, "{}", 1, 1, 1, 10**15)
    assert store.create(record, 1)
    assert store.read(record.key, 1, Lifetime(10, 10, 10)) == record
    store.close()


def test_an_error_of_the_database_shows_no_value(empty_url: str) -> None:
    store = SQLAlchemyStore(empty_url)
    with pytest.raises(StoreUnavailable) as caught:
        store.create(Record("a" * 64, "s3cret", 1, 1, 1, 2), 1)
    assert "s3cret" not in caught.value.reason
    assert "a" * 64 not in caught.value.reason
    store.close()


def test_two_users_whose_ids_differ_in_case_or_blanks_are_two(empty_url: str) -> None:
    store = SQLAlchemyStore(empty_url)
    store.create_table()
    for number, user_id in enumerate(("ann", "Ann", "ann ", "änn")):
        store.create(Record(f"{number:064}", "{}", 1, 1, 1, 10, user_id), 1)
    assert [record.user_id for record in store.for_user("ann", 1)] == ["ann"]
    assert store.delete_user("ann") == 1
    assert store.stats(1).users == 3
    store.close()


@pytest.mark.parametrize("kind", [*DATABASES, "postgresql async"])
def test_steps_on_several_rows_of_a_user_at_once_do_not_block_each_other(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """Those that lock in different orders would wait for each other."""
    server, _, is_async = kind.partition(" ")
    url = str(request.getfixturevalue(f"{server}_url"))
    plain = SQLAlchemyStore(url, timeout=10, pool_size=8)
    plain.create_table()
    store: Store = plain
    if is_async:
        store = BlockingStore(AsyncSQLAlchemyStore(url, timeout=10, pool_size=8))
    start = threading.Barrier(6)

    def renew(records: list[Record]) -> None:
        start.wait(30)
        for one in records:
            new = dc.replace(one, key=secrets.token_hex(32), version=2)
            alias = dc.replace(one, version=0, user_id=None, address=new.key)
            store.replace(one.key, new, 0, alias=alias)

    def end(user_id: str, keep: str | None) -> None:
        start.wait(30)
        store.delete_user(user_id, keep=keep)

    def limit(user_id: str, keep: str) -> None:
        start.wait(30)
        store.limit_user(user_id, 3, 0, keep=keep)

    def prune() -> None:
        start.wait(30)
        store.prune(10**10, 20)

    for turn in range(10):
        # They lie in the table in another order than that of their keys.
        mine = dc.replace(RECORD, user_id=f"ann{turn}")
        records = [
            dc.replace(mine, key=secrets.token_hex(32), last_seen=n) for n in range(40)
        ]
        for one in records:
            store.create(one, 0)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            who = (f"ann{turn}", records[turn].key)
            tasks = [pool.submit(end, *who), pool.submit(end, who[0], None)]
            tasks += [pool.submit(limit, *who), pool.submit(limit, *who)]
            tasks += [pool.submit(renew, records[:20]), pool.submit(prune)]
            for task in tasks:
                task.result()
    store.close()
    plain.close()


def test_mariadb_gets_no_rollback_for_what_has_committed_by_itself(
    mariadb_url: str,
) -> None:
    store = SQLAlchemyStore(mariadb_url)
    if not hasattr(sa.engine.Dialect, "detect_autocommit_setting"):
        pytest.skip("SQLAlchemy 2.0.43 is the first that can leave it out")
    store.create_table()

    def rollbacks() -> object:
        raw = store.engine.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute("SHOW SESSION STATUS LIKE 'Com_rollback'")
            return cursor.fetchall()
        finally:
            raw.close()

    stored = dc.replace(RECORD, key="a" * 64)
    lifetime = Lifetime(idle=10**8, absolute=10**9, touch_interval=10**8)
    store.create(stored, 0)
    before = rollbacks()
    assert store.read(stored.key, 0, lifetime) is not None
    assert store.update(dc.replace(stored, version=2), 0).saved
    assert rollbacks() == before
    store.close()


_REFUSE_CHANGES = {
    "postgresql": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET"
    " default_transaction_read_only = on', current_database()); END $$",
    "mariadb": "CREATE TRIGGER refuse BEFORE UPDATE ON flaskware_session FOR EACH ROW"
    " SIGNAL SQLSTATE '45000'",
}


@pytest.mark.parametrize("kind", [*DATABASES, "postgresql async"])
def test_a_database_that_takes_no_writes_still_tells_who_is_signed_in(
    request: pytest.FixtureRequest, kind: str
) -> None:
    server, _, is_async = kind.partition(" ")
    empty_url = str(request.getfixturevalue(f"{server}_url"))
    maker = SQLAlchemyStore(empty_url, timeout=30)
    maker.create_table()
    record = dc.replace(RECORD, key="a" * 64, user_id="ann")
    maker.create(record, 0)
    with maker.engine.connect() as connection:
        connection.execute(sa.text(_REFUSE_CHANGES[server]))
    maker.close()
    store: Store = SQLAlchemyStore(empty_url, timeout=30)
    if is_async:
        url = sa.make_url(empty_url).set(drivername="postgresql+asyncpg")
        store = BlockingStore(AsyncSQLAlchemyStore(url, timeout=30))
    lifetime = Lifetime(idle=10**9, absolute=10**9, touch_interval=10_000)
    assert store.read(record.key, 10_000, lifetime) == record
    with pytest.raises(StoreUnavailable):
        store.update(dc.replace(record, version=2), 10_000)
    store.close()
