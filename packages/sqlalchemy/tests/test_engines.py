from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy._engines import engine as engine_module


def pragma(engine, name):
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


@pytest.fixture
def engine(site):
    with site.app.app_context():
        yield site.db.engine


def memory(**config):
    db = SQLAlchemy()
    app = make_app(db, SQLALCHEMY_DATABASE_URI="sqlite://", **config)
    engine = db.state_of(app).router.engines[None]
    engine.app_of_this_test = app  # it disposes of the engine once it is forgotten
    return engine


def test_sqlite_enforces_foreign_keys(site):
    with site.app.app_context():
        site.db.session.add(site.Post(user_id=99))
        with pytest.raises(sa_exc.IntegrityError, match="FOREIGN KEY"):
            site.db.session.flush()


def test_a_sqlite_file_has_a_write_ahead_log_and_waits_for_others(engine):
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "busy_timeout") == 10_000
    assert pragma(engine, "foreign_keys") == 1


def test_pragmas_that_are_configured_win_over_the_defaults(make_site):
    site = make_site(
        SQLALCHEMY_SQLITE_PRAGMAS={
            "foreign_keys": False,
            "journal_mode": "PERSIST",
            "cache_size": -4000,
        }
    )
    with site.app.app_context():
        assert pragma(site.db.engine, "foreign_keys") == 0
        assert pragma(site.db.engine, "journal_mode") == "persist"
        assert pragma(site.db.engine, "cache_size") == -4000
        site.db.session.add(site.Post(user_id=99))
        site.db.session.flush()


@pytest.mark.parametrize("pragmas", [{"a; b": 1}, {"synchronous": "NORMAL; x"}])
def test_a_pragma_that_is_none_is_refused(make_site, pragmas):
    with pytest.raises(ConfigError, match="SQLALCHEMY_SQLITE_PRAGMAS"):
        make_site(SQLALCHEMY_SQLITE_PRAGMAS=pragmas)


def test_a_mode_that_the_file_has_already_is_kept(make_site, tmp_path):
    path = tmp_path / "own.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    site = make_site(f"sqlite:///{path}")
    with site.app.app_context():
        assert pragma(site.db.engine, "journal_mode") == "wal"


def test_a_timeout_that_is_configured_wins(make_site):
    options = {"connect_args": {"timeout": 3}}
    site = make_site(SQLALCHEMY_ENGINE_OPTIONS=options)
    with site.app.app_context():
        assert pragma(site.db.engine, "busy_timeout") == 3000


def test_reads_of_sqlite_are_in_a_transaction(site):
    with site.db.session_scope(site.app) as reader:
        assert reader.scalars(sa.select(site.User)).all() == []
        with site.db.session_scope(site.app) as writer:
            writer.add(site.User(name="ada"))
            writer.commit()
        assert reader.scalars(sa.select(site.User)).all() == []
        reader.rollback()
        assert len(reader.scalars(sa.select(site.User)).all()) == 1


def test_a_savepoint_of_sqlite_is_undone_with_its_transaction(engine):
    with engine.connect() as connection:
        connection.begin()
        with connection.begin_nested():
            connection.execute(sa.text("insert into user (name) values ('ada')"))
        connection.rollback()
        assert connection.scalar(sa.text("select count(*) from user")) == 0


def test_ddl_of_sqlite_is_undone_with_its_transaction(engine):
    with engine.connect() as connection:
        connection.execute(sa.text("create table extra (x integer)"))
        connection.rollback()
    assert "extra" not in sa.inspect(engine).get_table_names()


def test_autocommit_of_sqlite_is_left_alone(engine):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("insert into user (name) values ('ada')"))
        connection.rollback()
        connection.execute(sa.text("vacuum"))
    with engine.connect() as connection:
        connection.execute(sa.text("insert into user (name) values ('eve')"))
        connection.rollback()
        names = connection.scalars(sa.text("select name from user")).all()
    assert names == ["ada"]


def test_a_database_in_memory_is_one_for_all_threads():
    engine = memory()
    with engine.begin() as connection:
        connection.execute(sa.text("create table t (x integer)"))
    seen = []
    thread = threading.Thread(
        target=lambda: seen.extend(sa.inspect(engine).get_table_names())
    )
    thread.start()
    thread.join()
    assert seen == ["t"]
    engine.dispose()


def test_two_connections_to_a_database_in_memory_share_a_transaction():
    engine = memory()
    with engine.connect() as one, engine.connect() as two:
        one.execute(sa.text("create table t (x integer)"))
        two.execute(sa.text("insert into t values (1)"))
        assert one.scalar(sa.text("select count(*) from t")) == 1
    engine.dispose()


_ID = {"postgresql": "pg_backend_pid()", "mariadb": "connection_id()"}
_KILL = {
    "postgresql": "select pg_terminate_backend({}, 5000)",
    "mariadb": "kill {}",
}


@pytest.fixture(params=["postgresql", "mariadb"])
def killed(request, make_site):
    """A site whose pool has a connection that the server has ended."""
    url = request.getfixturevalue(f"{request.param}_url")

    def make(**config):
        site = make_site(url, url, **config)
        with site.db.session_scope(site.app) as session:
            number = session.scalar(sa.text(f"select {_ID[request.param]}"))
        engines = site.db.state_of(site.app).router.engines
        with engines["audit"].begin() as connection:
            connection.execute(sa.text(_KILL[request.param].format(number)))
        return site

    return make


def test_a_connection_that_was_idle_is_tested_before_it_is_used(killed, monkeypatch):
    monkeypatch.setattr(engine_module, "IDLE", 0.0)
    site = killed()
    with site.db.session_scope(site.app) as session:
        assert session.scalar(sa.select(1)) == 1


def test_a_connection_that_was_just_used_is_not_tested(killed, monkeypatch):
    monkeypatch.setattr(engine_module, "IDLE", 3600.0)
    site = killed()
    with site.db.session_scope(site.app) as session:
        with pytest.raises(sa.exc.OperationalError):
            session.scalar(sa.select(1))
        session.rollback()
        assert session.scalar(sa.select(1)) == 1


@pytest.mark.parametrize("pings", [True, False])
def test_pool_pre_ping_of_the_app_wins(killed, monkeypatch, pings):
    monkeypatch.setattr(engine_module, "IDLE", 3600.0 if pings else 0.0)
    site = killed(SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": pings})
    with site.db.session_scope(site.app) as session:
        expected = pytest.raises(sa.exc.OperationalError)
        with contextlib.nullcontext() if pings else expected:
            assert session.scalar(sa.select(1)) == 1


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_coroutines_have_idle_connections_tested(
    make_site, postgresql_url, monkeypatch, driver
):
    monkeypatch.setattr(engine_module, "IDLE", 0.0)
    site = make_site(
        postgresql_url,
        postgresql_url,
        SQLALCHEMY_ASYNC_DRIVERS={"postgresql": driver},
    )

    async def main():
        async with site.db.async_session_scope(site.app) as session:
            number = await session.scalar(sa.text("select pg_backend_pid()"))
        engines = site.db.state_of(site.app).router.engines
        with engines["audit"].begin() as connection:
            connection.execute(sa.text(f"select pg_terminate_backend({number}, 5000)"))
        async with site.db.async_session_scope(site.app) as session:
            return await session.scalar(sa.select(1))

    assert asyncio.run(main()) == 1


def test_mariadb_keeps_all_of_unicode(make_site, mariadb_url):
    site = make_site(mariadb_url, mariadb_url)
    with site.db.session_scope(site.app) as session:
        assert session.bind is None
        session.add(site.User(name="Ada 🎉"))
        session.commit()
    assert site.names() == ["Ada 🎉"]
    with site.app.app_context():
        assert site.db.engine.url.query["charset"] == "utf8mb4"


def test_a_charset_that_is_configured_is_kept(mariadb_url):
    db = SQLAlchemy()
    app = make_app(db, SQLALCHEMY_DATABASE_URI=f"{mariadb_url}?charset=latin1")
    engine = db.state_of(app).router.engines[None]
    assert engine.url.query["charset"] == "latin1"


def test_options_of_each_database_are_its_own(postgresql_url):
    db = SQLAlchemy()
    app = make_app(
        db,
        SQLALCHEMY_DATABASE_URI=postgresql_url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 7},
        SQLALCHEMY_BINDS={"b": {"url": postgresql_url, "pool_size": 2}},
        SQLALCHEMY_ECHO=False,
    )
    engines = db.state_of(app).router.engines
    assert engines[None].pool.size() == 7
    assert engines["b"].pool.size() == 2


def test_echo_is_for_every_database(caplog):
    engine = memory(SQLALCHEMY_ECHO=True)
    with engine.connect() as connection:
        connection.execute(sa.text("select 'told'"))
    engine.dispose()
    assert "select 'told'" in caplog.text


def test_a_block_that_writes_waits_its_turn(site):
    """Each thread reads a value and writes it back; nobody fails, nothing is lost."""
    with site.db.session_scope(site.app) as session:
        session.add(site.User(name="0"))
        session.commit()
    errors = []

    def increment():
        try:
            for _ in range(10):
                with site.app.app_context(), site.db.transaction() as session:
                    user = session.scalars(sa.select(site.User)).one()
                    user.name = str(int(user.name) + 1)
        except sa_exc.OperationalError as error:
            errors.append(error)

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert site.names() == ["40"]


@pytest.mark.slow
def test_processes_that_start_at_once_share_a_new_file(tmp_path):
    program = textwrap.dedent(
        """
        import sys
        import sqlalchemy as sa
        from flask import Flask
        from flaskware_sqlalchemy import SQLAlchemy

        app = Flask("x", instance_path=sys.argv[1])
        db = SQLAlchemy(app, database_uri="sqlite:///app.db")
        with app.app_context(), db.transaction() as session:
            session.execute(sa.text("create table if not exists t (x integer)"))
            session.execute(sa.text("insert into t values (1)"))
        """
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
        for _ in range(6)
    ]
    assert [process.wait() for process in started] == [0] * 6
    with sqlite3.connect(tmp_path / "app.db") as connection:
        assert connection.execute("select count(*) from t").fetchone() == (6,)
    connection.close()


@pytest.mark.flask_only("the event loop of an app for tests holds it")
def test_an_app_that_is_forgotten_leaves_no_connection_open(make_site):
    site = make_site()
    with site.app.app_context():
        connection = site.db.engine.raw_connection()
        opened = connection.dbapi_connection
        connection.close()
    opened.execute("SELECT 1")
    app = weakref.ref(site.app)
    del site
    gc.collect()
    assert app() is None
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        opened.execute("SELECT 1")


@pytest.mark.parametrize(
    "name", ["file:a%20b.db?uri=true", "file:a%20b.db?uri=1&mode=rwc"]
)
def test_a_relative_path_of_a_uri_is_in_the_instance_folder(tmp_path, name):
    db = SQLAlchemy()
    app = make_app(
        db,
        instance_path=tmp_path / "in stance",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{name}",
    )
    with app.app_context():
        db.session.execute(sa.text("CREATE TABLE made (id INTEGER)"))
        db.session.commit()
    assert (tmp_path / "in stance" / "a b.db").stat().st_size
    absolute = f"sqlite:///file:{tmp_path}/in%20stance/a%20b.db?mode=ro&uri=true"
    other = SQLAlchemy()
    app = make_app(other, SQLALCHEMY_DATABASE_URI=absolute)
    with app.app_context():
        assert sa.inspect(other.engine).get_table_names() == ["made"]


def test_a_uri_that_would_be_the_name_of_a_file_is_refused():
    with pytest.raises(ConfigError, match=r"sqlite:///file:name\.db\?uri=true"):
        make_app(SQLAlchemy(), SQLALCHEMY_DATABASE_URI="sqlite:///file:app.db")


def test_the_first_broken_foreign_key_on_sqlite_names_the_switch(make_site, caplog):
    def fail(site):
        with site.app.app_context():
            site.db.session.add(site.Post(user_id=9))
            with pytest.raises(sa.exc.IntegrityError):
                site.db.session.commit()
        return caplog.text.count("SQLALCHEMY_SQLITE_PRAGMAS")

    site = make_site()
    assert (fail(site), fail(site)) == (1, 1)
    caplog.clear()
    assert fail(make_site(SQLALCHEMY_SQLITE_PRAGMAS={"foreign_keys": True})) == 0
