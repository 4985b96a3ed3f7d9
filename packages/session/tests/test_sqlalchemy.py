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
from sqlalchemy.util import greenlet_spawn

from flaskware_core import check_connections
from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_session import AsyncSQLAlchemyStore
from flaskware_session import BlockingStore
from flaskware_session import Record
from flaskware_session import Sessions
from flaskware_session import SQLAlchemyStore
from flaskware_session import Store
from flaskware_session import StoreUnavailable
from flaskware_session._migrations import tree
from flaskware_session._stores.protocol import AmendingStore
from flaskware_session._stores.sql.driver import Link
from flaskware_session._stores.sql.statements import Statement
from flaskware_session.testing import FakeClock

Build = cabc.Callable[..., flask.Flask]
DATABASES = ["postgresql", "mariadb"]
RECORD = Record(
    *("a" * 76, "{}", 1),
    created=0,
    last_seen=0,
    expires=10**9,
    idle=10**9,
    until=10**9,
    user_id="ann",
    proofs="x",
)


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


ONLY_FLASK = pytest.mark.flask_only("Quart reads a session before the view")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is executed on the connections of any request, in order."""
    seen: list[str] = []
    run = Statement.run

    def note(statement: Statement, cursor: t.Any, values: t.Any) -> t.Any:
        seen.append(str(statement).split(None, 1)[0])
        return run(statement, cursor, values)

    monkeypatch.setattr(Statement, "run", note)
    return seen


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/untouched", [], marks=ONLY_FLASK),
        pytest.param("/nowhere", [], marks=ONLY_FLASK),
        ("/static/none.css", []),
        ("/read", ["SELECT"]),
        ("/set/a/1", ["SELECT"]),
        ("/set/a/2", ["SELECT", "UPDATE"]),
        ("/login/ann", ["SELECT", "UPDATE"]),
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
    for later in (False, True):
        for before in ("/set/a/1", "/read"):
            client.get(before)
        if later:  # than the touch interval
            clock.advance(minutes=10)
        statements.clear()
        client.get(path)
        touch = ["UPDATE"] if later and expected else []
        assert statements == [*expected[:1], *touch, *expected[1:]]


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


def test_a_user_is_found_by_an_index_and_nothing_that_changes_is_in_one(
    empty_url: str,
) -> None:
    store = SQLAlchemyStore(empty_url)
    store.create_table()
    indexes = sa.inspect(store.engine).get_indexes("flaskware_session")
    assert [index["column_names"] for index in indexes] == [["user_id"]]
    store.close()


@pytest.mark.parametrize("made_before", [False, True])
@pytest.mark.parametrize("names", [{}, {"table": "web", "table_schema": "own"}])
def test_the_migrations_make_the_table_that_the_store_uses(
    empty_url: str, made_before: bool, names: dict[str, str]
) -> None:
    if names:
        engine = sa.create_engine(empty_url)
        if engine.dialect.name != "postgresql":
            pytest.skip("a schema of MariaDB is a database")
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema("own"))
        engine.dispose()
    sessions = Sessions(store=empty_url, **names)
    app = make_app(sessions)
    with app.app_context():
        found = tree(app)
    assert found is not None
    store = t.cast("SQLAlchemyStore", sessions.state_of(app).manager.store)
    assert found["engine"] is store.engine
    metadata = found["metadata"]
    assert metadata is store.table.metadata
    if made_before:
        store.create_table()
    assert isinstance(found["path"], Path)
    script = ScriptDirectory(str(found["path"]), version_locations=[str(found["path"])])
    [head] = script.get_heads()
    revision = script.get_revision(head)
    with app.app_context(), store.engine.connect() as connection:
        context = alembic.migration.MigrationContext.configure(
            connection, opts={"include_schemas": bool(names)}
        )
        with Operations.context(context):
            revision.module.upgrade()
            assert compare_metadata(context, metadata) == []
            store.ping()
            revision.module.downgrade()
        table = names.get("table", "flaskware_session")
        schema = names.get("table_schema")
        assert not sa.inspect(connection).has_table(table, schema=schema)
    store.close()


def test_an_app_whose_sessions_are_elsewhere_has_no_tree() -> None:
    app = make_app(Sessions(store="memory://"))
    with app.app_context():
        assert tree(app) is None


def _close_by_server(store: Store, admin_url: str) -> None:
    engine = sa.create_engine(admin_url, poolclass=sa.NullPool)
    with engine.connect() as other:
        if engine.dialect.name == "postgresql":
            query = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            other.execute(sa.text(query))
            return
        query = (
            "SELECT id FROM information_schema.processlist"
            " WHERE db = database() AND id <> connection_id()"
        )
        for number in other.execute(sa.text(query)).scalars():
            other.execute(sa.text(f"KILL {number}"))


def _close_by_driver(store: Store, admin_url: str) -> None:
    """Close the connections that are waiting in the pool, as a driver does itself."""
    is_bridged = isinstance(store, BlockingStore)
    inner: t.Any = store.store if is_bridged else store
    pool = (inner.engine.sync_engine if is_bridged else inner.engine).pool

    def close() -> None:
        fairies = [pool.connect() for _ in range(pool.checkedin())]
        for fairy in fairies:
            fairy.dbapi_connection.close()
        for fairy in fairies:
            fairy.close()

    if isinstance(store, BlockingStore):
        store.wait(greenlet_spawn(close))
    else:
        close()


_CALLS: dict[str, cabc.Callable[[Store], object]] = {
    "read": lambda store: store.read(RECORD.key, 1, 10) == RECORD,
    "note a use": lambda store: store.read(RECORD.key, 99, 10),
    "create": lambda store: store.create(dc.replace(RECORD, key="b" * 76), 1),
    "update": lambda store: store.update(dc.replace(RECORD, version=2), 1).saved,
    "amend": lambda store: (
        t.cast("AmendingStore", store)
        .amend(RECORD.key, 1, lambda found: dc.replace(found, version=2))
        .saved
    ),
    "replace": lambda store: (
        store.replace(RECORD.key, dc.replace(RECORD, key="c" * 76, version=2), 1).saved
    ),
    "delete": lambda store: store.delete(RECORD.key),
    "delete one version": lambda store: store.delete(RECORD.key, version=1),
    "for_user": lambda store: store.for_user("ann", 1) == [RECORD],
    "delete_user": lambda store: store.delete_user("ann") == 1,
    "limit_user": lambda store: store.limit_user("ann", 1, 1, keep=RECORD.key) == 0,
    "scan": lambda store: store.scan("", 10, 1),
    "prune": lambda store: store.prune(1, 10) == 0,
    "stats": lambda store: store.stats(1).sessions == 1,
    "ping": lambda store: store.ping() is None,
}
_DRIVERS = {
    "psycopg": SQLAlchemyStore,
    "psycopg2": SQLAlchemyStore,
    "pymysql": SQLAlchemyStore,
    "asyncpg": lambda url: BlockingStore(AsyncSQLAlchemyStore(url)),
    "psycopg (async)": lambda url: BlockingStore(AsyncSQLAlchemyStore(url)),
}


@pytest.mark.parametrize("close", [_close_by_server, _close_by_driver])
@pytest.mark.parametrize("driver", _DRIVERS)
def test_a_connection_that_was_closed_is_opened_again(
    driver: str,
    close: cabc.Callable[[Store, str], None],
    request: pytest.FixtureRequest,
) -> None:
    server = "mariadb" if driver == "pymysql" else "postgresql"
    admin_url: str = request.getfixturevalue(f"{server}_url")
    base = sa.make_url(admin_url)
    name = f"{base.get_backend_name()}+{driver.partition(' ')[0]}"
    store = _DRIVERS[driver](base.set(drivername=name))
    Sessions(app := flask.Flask(__name__), store=store)
    app.test_cli_runner().invoke(args=["session", "create-table"])
    failed: dict[str, object] = {}
    for call, ask in _CALLS.items():
        store.delete_user("ann")
        assert store.create(RECORD, 1)
        close(store, admin_url)
        try:
            answer = ask(store)
        except Exception as error:  # noqa: BLE001 # each of them is a finding
            failed[call] = error
        else:
            if not answer:
                failed[call] = answer
    store.close()
    assert not failed


def test_a_connection_in_use_while_others_are_lost_is_closed_in_the_end(
    postgresql_url: str,
) -> None:
    """The pool that it came from is none any more when it is given back."""
    engine = sa.create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    link = Link(engine, timeout=5)
    used: list[t.Any] = []

    def lose(cursor: t.Any) -> None:
        used.append(cursor.connection)
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def outlive(cursor: t.Any) -> None:
        with pytest.raises(StoreUnavailable):
            link.run(lose)
        used.append(cursor.connection)
        cursor.execute("SELECT 1")

    def outlive_in_transaction(connection: sa.Connection) -> None:
        outlive(connection.connection.cursor())

    link.run(outlive)
    link.transact(outlive_in_transaction, None)
    link.transact(outlive_in_transaction, "READ COMMITTED")
    assert [connection.closed for connection in used] == [True] * 9
    # The pool of today keeps what it gets back.
    link.run(lambda cursor: used.append(cursor.connection))
    assert not used[-1].closed
    link.close()


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

    def sign_in(records: list[Record]) -> None:
        start.wait(30)
        for one in records:
            new = dc.replace(one, key=secrets.token_hex(32), version=2)
            store.replace(one.key, new, 0)

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
            tasks += [pool.submit(sign_in, records[:20]), pool.submit(prune)]
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
    store.create(stored, 0)
    before = rollbacks()
    assert store.read(stored.key, 0, 10**8) is not None
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
    assert store.read(record.key, 10_000, 10_000) == record
    with pytest.raises(StoreUnavailable):
        store.update(dc.replace(record, version=2), 10_000)
    store.close()
