from __future__ import annotations

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


def test_commits_of_the_code_under_test_are_undone_on_every_bind(any_site):
    _register(any_site)
    with isolation(any_site.app):
        assert any_site.app.test_client().get("/add/ada").text == "ada"
        assert any_site.names() == ["ada"]
        assert any_site.entries() == ["ada"]
    assert any_site.names() == []
    assert any_site.entries() == []
    assert any_site.in_use() == {None: 0, "audit": 0}


def test_rollbacks_and_savepoints_of_the_code_under_test_work(any_site):
    with any_site.db.test_isolation(any_site.app), any_site.app.app_context():
        session = any_site.db.session
        session.add(any_site.User(name="one"))
        session.commit()
        session.add(any_site.User(name="two"))
        session.rollback()
        savepoint = session.begin_nested()
        session.add(any_site.User(name="one"))
        with pytest.raises(sa_exc.IntegrityError):
            session.flush()
        savepoint.rollback()
        with any_site.db.transaction():
            session.add(any_site.User(name="three"))
        assert session.scalars(sa.select(any_site.User.name)).all() == ["one", "three"]
    assert any_site.names() == []


def test_one_isolation_after_another_sees_nothing_of_it(any_site):
    for _ in range(3):
        with any_site.db.test_isolation(any_site.app):
            assert any_site.names() == []
            with any_site.db.session_scope(any_site.app) as session:
                session.add(any_site.User(name="ada"))
                session.commit()
            assert any_site.names() == ["ada"]


def test_a_context_that_was_active_before_keeps_its_session(site):
    with site.app.app_context():
        outer = site.db.session
        with site.db.test_isolation():
            assert site.db.session is not outer
            site.db.session.add(site.User(name="inner"))
            site.db.session.commit()
        assert site.db.session is outer
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
        with pytest.raises(RuntimeError, match="isolated already"):
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
