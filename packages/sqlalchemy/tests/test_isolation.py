from __future__ import annotations

import subprocess
import sys
import threading

import psycopg.sql
import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_core.testing import isolation


def _register(site):
    @site.app.route("/add/<name>")
    def add(name):
        site.db.session.add_all([site.User(name=name), site.Entry(what=name)])
        site.db.session.commit()
        return name


def test_commits_of_the_code_under_test_are_undone_on_every_bind(each_site):
    _register(each_site)
    with isolation(each_site.app):
        assert each_site.app.test_client().get("/add/ada").text == "ada"
        assert each_site.names() == ["ada"]
        assert each_site.entries() == ["ada"]
    assert each_site.names() == []
    assert each_site.entries() == []
    assert each_site.in_use() == {None: 0, "audit": 0}


def test_rollbacks_and_savepoints_of_the_code_under_test_work(each_site):
    with each_site.db.test_isolation(each_site.app), each_site.app.app_context():
        session = each_site.db.session
        session.add(each_site.User(name="one"))
        session.commit()
        session.add(each_site.User(name="two"))
        session.rollback()
        savepoint = session.begin_nested()
        session.add(each_site.User(name="one"))
        with pytest.raises(sa_exc.IntegrityError):
            session.flush()
        savepoint.rollback()
        with each_site.db.transaction():
            session.add(each_site.User(name="three"))
        assert session.scalars(sa.select(each_site.User.name)).all() == [
            "one",
            "three",
        ]
    assert each_site.names() == []


def test_one_isolation_after_another_sees_nothing_of_it(each_site):
    for _ in range(3):
        with each_site.db.test_isolation(each_site.app):
            assert each_site.names() == []
            with each_site.db.session_scope(each_site.app) as session:
                session.add(each_site.User(name="ada"))
                session.commit()
            assert each_site.names() == ["ada"]


def test_a_context_that_was_active_before_keeps_its_session(site):
    with site.app.app_context():
        outer = site.db.session()
        with site.db.test_isolation():
            assert site.db.session() is not outer
            site.db.session.add(site.User(name="inner"))
            site.db.session.commit()
        assert site.db.session() is outer
        outer.add(site.User(name="outer"))
        outer.commit()
    assert site.names() == ["outer"]


def test_a_call_that_names_an_engine_is_isolated_too(site):
    with site.app.app_context(), site.db.test_isolation():
        audit = {"bind": site.db.engines["audit"]}
        statement = sa.text("insert into entry (what) values ('raw')")
        site.db.session.execute(statement, bind_arguments=audit)
        site.db.session.commit()
        assert site.entries() == ["raw"]
    assert site.entries() == []


def test_an_error_in_the_test_undoes_everything_too(site):
    @site.db.test_isolation(site.app)
    def test():
        with site.db.session_scope(site.app) as session:
            session.add(site.User(name="ada"))
            session.commit()
        raise LookupError

    with pytest.raises(LookupError):
        test()
    assert site.names() == []


def test_a_second_isolation_inside_is_refused(site):
    with site.db.test_isolation(site.app):
        second = site.db.test_isolation(site.app)
        with pytest.raises(RuntimeError, match="already isolated"):
            second.__enter__()
        with site.db.session_scope(site.app) as session:
            session.add(site.User(name="ada"))
            session.commit()
    assert site.names() == []


def test_tables_made_in_isolation_are_undone_where_the_database_can(pg_site):
    with pg_site.app.app_context():
        pg_site.db.drop_all()
        with pg_site.db.test_isolation():
            pg_site.db.create_all()
            pg_site.db.session.add(pg_site.User(name="ada"))
            pg_site.db.session.commit()
        assert sa.inspect(pg_site.db.engine).get_table_names() == []


def test_tables_cannot_be_made_in_isolation_where_that_commits(make_site, mariadb_url):
    site = make_site(mariadb_url, mariadb_url)
    before = pytest.raises(RuntimeError, match="in a fixture that runs before")
    with site.app.app_context(), site.db.test_isolation(), before:
        site.db.drop_all()


def insert(site, connection, name):
    connection.execute(sa.insert(site.User).values(name=name))


def test_connections_of_an_engine_are_undone_too(each_site):
    """Work of an extension on a connection of its own, unknown to any session."""
    engine = each_site.db.state_of(each_site.app).router.engines[None]
    with each_site.db.test_isolation(each_site.app):
        with engine.begin() as connection:
            insert(each_site, connection, "begun")
        with engine.connect() as connection:
            insert(each_site, connection, "committed")
            connection.commit()
            insert(each_site, connection, "rolled back")
            connection.rollback()
            with connection.begin_nested():
                insert(each_site, connection, "nested")
            connection.commit()
        raw = engine.raw_connection()
        raw.cursor().execute("insert into post (id, user_id) values (7, 1)")
        raw.commit()
        raw.close()
        assert each_site.names() == ["begun", "committed", "nested"]
    assert each_site.names() == []
    assert each_site.in_use() == {None: 0, "audit": 0}


def test_autocommit_and_a_disposed_engine_are_undone_too(each_site):
    engine = each_site.db.state_of(each_site.app).router.engines[None]
    with each_site.db.test_isolation(each_site.app):
        auto = engine.execution_options(isolation_level="AUTOCOMMIT")
        with auto.connect() as connection:
            insert(each_site, connection, "auto")
        engine.dispose()
        assert each_site.names() == ["auto"]
        with each_site.app.app_context():
            with each_site.db.transaction(isolation_level="SERIALIZABLE") as session:
                session.add(each_site.User(name="serial"))
            assert each_site.names() == ["auto", "serial"]
    assert each_site.names() == []


def test_threads_see_and_undo_what_the_test_does(each_site):
    def work(number):
        with each_site.db.session_scope(each_site.app) as session:
            session.add(each_site.User(name=f"thread {number}"))
            session.flush()
            if number % 2:
                session.commit()

    with each_site.db.test_isolation(each_site.app), each_site.app.app_context():
        each_site.db.session.scalars(
            sa.select(each_site.User)
        ).all()  # is open meanwhile
        for number in range(4):
            thread = threading.Thread(target=work, args=(number,))
            thread.start()
            thread.join()
        assert each_site.names() == ["thread 1", "thread 3"]
        threads = [threading.Thread(target=work, args=(n,)) for n in (5, 7, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(each_site.names()) == 5
    assert each_site.names() == []


def test_savepoints_of_two_connections_do_not_meet(each_site):
    with each_site.db.test_isolation(each_site.app), each_site.app.app_context():
        one, two = each_site.db.session, each_site.db.get_session("two")
        with one.begin_nested():
            one.add(each_site.User(name="one"))
            one.flush()
            with two.begin_nested():
                two.add(each_site.User(name="two"))
            two.commit()
        one.commit()
        assert each_site.names() == ["one", "two"]
    assert each_site.names() == []


def test_a_rollback_below_what_was_written_later_is_refused(each_site):
    """It would undo the other's work, which the real databases would keep."""
    with each_site.db.test_isolation(each_site.app):
        engine = each_site.db.state_of(each_site.app).router.engines[None]
        connection = engine.connect()
        insert(each_site, connection, "one")
        with engine.begin() as other:
            insert(each_site, other, "two")
        with pytest.raises(RuntimeError, match="Commit or roll back the first before"):
            connection.rollback()
        connection.close()
    assert each_site.names() == []


def test_a_reader_that_ends_late_disturbs_nobody(each_site):
    with each_site.db.test_isolation(each_site.app):
        with each_site.db.session_scope(each_site.app) as reader:
            reader.scalars(sa.select(each_site.User)).all()
            with each_site.db.session_scope(each_site.app) as writer:
                writer.add(each_site.User(name="kept"))
                writer.commit()
            reader.rollback()
        assert each_site.names() == ["kept"]
    assert each_site.names() == []


def test_a_pool_keeps_its_connections_over_an_isolation(pg_site):
    pid = sa.text("select pg_backend_pid()")
    with pg_site.db.session_scope(pg_site.app) as session:
        before = session.scalar(pid)
    with pg_site.db.test_isolation(pg_site.app):
        pg_site.names()
    with pg_site.db.session_scope(pg_site.app) as session:
        assert session.scalar(pid) == before


PYTEST = """
import pytest

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy

db = SQLAlchemy()

class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)

made = make_app(db, instance_path={path!r}, SQLALCHEMY_DATABASE_URI="sqlite:///a.db")
with made.app_context():
    db.create_all()

@pytest.fixture
def app():
    return made

@pytest.mark.parametrize("number", range(3))
def test_it_starts_empty(app, number):
    with app.app_context():
        assert db.session.scalars(db.select(User)).all() == []
        db.session.add(User())
        db.session.commit()
        with db.engine.begin() as connection:
            connection.execute(db.insert(User))
"""


def test_the_fixture_isolates_each_test(tmp_path):
    (tmp_path / "test_it.py").write_text(PYTEST.format(path=str(tmp_path)))
    (tmp_path / "pytest.ini").write_text("[pytest]\nflaskware_isolation = true\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path
    )
    assert "3 passed" in done.stdout, done.stdout


def test_a_transaction_that_has_only_read_can_write_after_others_and_be_undone(
    each_site,
):
    _register(each_site)
    db, app = each_site.db, each_site.app
    with db.test_isolation(app), db.session_scope(app) as session:
        assert session.scalars(sa.select(each_site.User)).all() == []
        app.test_client().get("/add/ada")
        session.add(each_site.User(name="ada"))
        with pytest.raises(sa_exc.IntegrityError):
            session.flush()
        session.rollback()
        assert each_site.names() == ["ada"]
        assert each_site.entries() == ["ada"]
    assert each_site.names() == []


def test_a_statement_that_is_no_text_is_undone_with_its_transaction(
    pg_site,
):
    with pg_site.db.test_isolation(pg_site.app), pg_site.app.app_context():
        raw = pg_site.db.engine.raw_connection()
        insert = psycopg.sql.SQL("insert into {} (name) values ('ada')")
        raw.cursor().execute(insert.format(psycopg.sql.Identifier("user")))
        raw.cursor().execute(b"""insert into "user" (name) values ('eve')""")
        raw.commit()
        raw.cursor().execute(b'delete from "user"')
        raw.rollback()
        raw.close()
        assert pg_site.names() == ["ada", "eve"]
