from __future__ import annotations

import asyncio
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_core.testing import async_app_context
from flaskware_sqlalchemy import TransactionBegun
from flaskware_sqlalchemy._sessions import transaction as _transaction


def add_and_fail(site):
    site.db.session.add(site.User(name="lost"))
    site.db.session.flush()
    raise LookupError


def test_a_block_commits(any_site):
    with any_site.app.app_context(), any_site.db.transaction() as session:
        assert session is any_site.db.session()
        session.add_all([any_site.User(name="ada"), any_site.Entry(what="ada")])
    assert (any_site.names(), any_site.entries()) == (["ada"], ["ada"])
    assert any_site.in_use() == {None: 0, "audit": 0}


def test_an_error_rolls_the_block_back(any_site):
    with any_site.app.app_context():
        with pytest.raises(LookupError), any_site.db.transaction():
            add_and_fail(any_site)
        assert any_site.db.session.scalars(sa.select(any_site.User)).all() == []
    assert any_site.names() == []


def test_an_inner_block_is_a_savepoint(any_site):
    with any_site.app.app_context(), any_site.db.transaction() as session:
        session.add(any_site.User(name="outer"))
        with pytest.raises(LookupError), any_site.db.transaction():
            add_and_fail(any_site)
        with any_site.db.transaction():
            session.add(any_site.User(name="inner"))
    assert any_site.names() == ["outer", "inner"]


def test_an_error_after_an_inner_block_undoes_both(any_site):
    @any_site.db.transaction()
    def both():
        with any_site.db.transaction() as session:
            session.add(any_site.User(name="inner"))
        raise LookupError

    with any_site.app.app_context(), pytest.raises(LookupError):
        both()
    assert any_site.names() == []


def test_a_block_takes_up_what_was_begun_before_it(site):
    with site.app.app_context():
        site.db.session.add(site.User(name="before"))
        site.db.session.flush()
        with site.db.transaction():
            pass
    assert site.names() == ["before"]


def test_a_block_after_a_failed_one_is_an_outer_one_again(site):
    with site.app.app_context():
        with pytest.raises(LookupError), site.db.transaction():
            raise LookupError
        with site.db.transaction() as session:
            session.add(site.User(name="ada"))
    assert site.names() == ["ada"]


def test_it_is_a_decorator(site):
    @site.db.transaction()
    def add(name):
        site.db.session.add(site.User(name=name))
        return name

    with site.app.app_context():
        assert add("ada") == "ada"
        add("eve")
    assert site.names() == ["ada", "eve"]


def test_reads_before_a_block_do_not_keep_it_from_writing(site):
    """SQLite refuses to write in a transaction that read what has changed since."""
    with site.app.app_context():
        session = site.db.session
        assert session.scalar(sa.select(sa.func.count(site.User.id))) == 0
        with site.db.session_scope(site.app) as other:
            other.add(site.User(name="first"))
            other.commit()
        with site.db.transaction():
            number = session.scalar(sa.select(sa.func.count(site.User.id)))
            session.add(site.User(name=f"after {number}"))
    assert site.names() == ["first", "after 1"]


def test_what_was_read_before_a_block_is_read_again_in_it(site):
    with site.app.app_context():
        site.db.session.add(site.User(name="old"))
        site.db.session.commit()
        user = site.db.session.get(site.User, 1)
        assert user.name == "old"
        with site.db.session_scope(site.app) as other:
            other.get(site.User, 1).name = "new"
            other.commit()
        with site.db.transaction():
            assert user.name == "new"
            user.name += "er"
    assert site.names() == ["newer"]


def failing(code):
    """An error as the driver of each database raises it."""
    cause = Exception(code, "x")
    if isinstance(code, str):
        cause.sqlstate = code
    return sa_exc.OperationalError("select", {}, cause)


@pytest.mark.parametrize("code", ["40001", "40P01", "57P01", "08006", 1213, 1205, 1020])
def test_a_function_is_run_again_where_the_database_asks_for_it(site, code):
    calls = []

    @site.db.transaction(retries=2)
    def work():
        calls.append(1)
        site.db.session.add(site.User(name=f"call {len(calls)}"))
        site.db.session.flush()
        if len(calls) < 3:
            raise failing(code)
        return "done"

    with site.app.app_context():
        assert work() == "done"
    assert site.names() == ["call 3"]


@pytest.mark.parametrize("code", ["23505", "42601", 1062])
def test_other_errors_are_raised_at_once(site, code):
    calls = []

    @site.db.transaction(retries=5)
    def work():
        calls.append(1)
        raise failing(code)

    with site.app.app_context(), pytest.raises(sa_exc.OperationalError):
        work()
    assert calls == [1]


def test_retries_end_and_each_waits_longer_at_most(site, monkeypatch):
    waited = []
    monkeypatch.setattr(_transaction.time, "sleep", waited.append)

    @site.db.transaction(retries=3)
    def work():
        raise failing("40001")

    with site.app.app_context(), pytest.raises(sa_exc.OperationalError):
        work()
    first = _transaction.FIRST_DELAY
    assert len(waited) == 3
    for number, seconds in enumerate(waited):
        assert first * 2**number / 2 <= seconds <= first * 2**number
    assert _transaction.delay(99) <= _transaction.LONGEST_DELAY


def test_a_block_that_cannot_run_again_says_so(site):
    with (
        site.app.app_context(),
        pytest.raises(sa_exc.OperationalError) as info,
        site.db.transaction(retries=1),
    ):
        raise failing("40001")
    assert "@db.transaction(retries=…)" in info.value.__notes__[0]


def test_a_savepoint_leaves_the_retry_to_the_block_around_it(site):
    outer, inner = [], []

    @site.db.transaction(retries=1)
    def inside():
        inner.append(1)
        if len(inner) == 1:
            raise failing("40001")

    @site.db.transaction(retries=1)
    def around():
        outer.append(1)
        inside()

    with site.app.app_context():
        around()
    assert (len(outer), len(inner)) == (2, 2)


def test_a_coroutine_function_is_refused(site):
    with pytest.raises(TypeError, match=r"@db\.async_transaction"):

        @site.db.transaction()
        async def work(): ...


def run_both(work):
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)


def test_two_serializable_transactions_that_conflict_both_succeed(pg_site):
    """PostgreSQL ends one of them, at its commit or before."""
    meet = threading.Barrier(2)
    calls = []

    def run():
        @pg_site.db.transaction(retries=20, isolation_level="SERIALIZABLE")
        def work():
            session = pg_site.db.session
            number = session.scalar(sa.select(sa.func.count(pg_site.User.id)))
            calls.append(number)
            if len(calls) <= 2:
                meet.wait(10)
            session.add(pg_site.User(name=f"user {number}"))

        with pg_site.app.app_context():
            work()

    run_both(run)
    assert sorted(pg_site.names()) == ["user 0", "user 1"]
    assert len(calls) >= 3
    assert pg_site.in_use() == {None: 0, "audit": 0}


@pytest.mark.parametrize("backend", ["postgresql", "mariadb"])
def test_of_two_that_deadlock_both_succeed(make_site, request, backend, cross):
    url = request.getfixturevalue(f"{backend}_url")
    site = make_site(url, url)
    rename = sa.update(site.User).values(name=site.User.name + "+")

    def go_on(session, first, second):
        session.execute(rename.where(site.User.id == second))

    assert cross(site, go_on) == 3
    assert site.names() == ["one++", "two++"]


def test_a_connection_that_is_lost_is_replaced(pg_site):
    calls = []

    @pg_site.db.transaction(retries=1)
    def work():
        calls.append(1)
        session = pg_site.db.session
        session.add(pg_site.User(name="ada"))
        session.flush()
        if len(calls) == 1:
            pid = session.scalar(sa.text("select pg_backend_pid()"))
            with pg_site.db.engines["audit"].begin() as connection:
                connection.execute(sa.text(f"select pg_terminate_backend({pid})"))
            session.execute(sa.text("select 1"))

    with pg_site.app.app_context():
        work()
    assert (calls, pg_site.names()) == ([1, 1], ["ada"])
    assert pg_site.in_use() == {None: 0, "audit": 0}


def test_a_connection_lost_by_the_commit_itself_is_not_tried_again(pg_site):
    """Nobody knows whether the server has committed."""
    calls = []

    @pg_site.db.transaction(retries=5)
    def work():
        calls.append(1)
        pg_site.db.session.add(pg_site.User(name=f"call {len(calls)}"))
        pg_site.db.session.flush()
        pid = pg_site.db.session.scalar(sa.text("select pg_backend_pid()"))
        with pg_site.db.engines["audit"].begin() as connection:
            connection.execute(sa.text(f"select pg_terminate_backend({pid})"))

    with pg_site.app.app_context(), pytest.raises(sa_exc.OperationalError):
        work()
    assert calls == [1]


def level(site):
    return site.db.session.scalar(sa.text("show transaction_isolation"))


def test_a_block_has_its_own_isolation_level(pg_site):
    with pg_site.app.app_context():
        assert level(pg_site) == "read committed"
        with pg_site.db.transaction(isolation_level="SERIALIZABLE"):
            assert level(pg_site) == "serializable"
        assert level(pg_site) == "read committed"


def test_a_database_has_its_own_isolation_level(make_site, postgresql_url):
    site = make_site(
        postgresql_url,
        postgresql_url,
        SQLALCHEMY_ISOLATION_LEVEL={"default": "REPEATABLE READ"},
    )
    with site.app.app_context():
        assert level(site) == "repeatable read"
        audit = {"bind": site.db.engines["audit"]}
        shown = site.db.session.scalar(
            sa.text("show transaction_isolation"), bind_arguments=audit
        )
    assert shown == "read committed"


def test_a_level_is_too_late_once_the_transaction_has_written(any_site):
    with any_site.app.app_context():
        any_site.db.session.add(any_site.User(name="ada"))
        any_site.db.session.flush()
        block = any_site.db.transaction(isolation_level="SERIALIZABLE")
        with pytest.raises(TransactionBegun, match="Commit before the block"), block:
            pass
        any_site.db.session.commit()
        with any_site.db.transaction(isolation_level="SERIALIZABLE"):
            inner = any_site.db.transaction(timeout=1)
            with pytest.raises(TransactionBegun, match="outer block"), inner:
                pass
    assert any_site.names() == ["ada"]


SLOW = {
    "sqlite": "with recursive n(x) as (select 1 union all select x + 1 from n"
    " where x < 300000000) select max(x) from n",
    "postgresql": "select pg_sleep(20)",
    "mysql": "select sleep(20) from information_schema.columns",
}


def run_slow(site):
    session = site.db.session
    name = site.db.engine.dialect.name.replace("mariadb", "mysql")
    session.execute(sa.text(SLOW[name])).all()


def test_a_block_limits_its_statements(any_site):
    with any_site.app.app_context():
        with (
            pytest.raises(sa_exc.OperationalError),
            any_site.db.transaction(timeout=0.1),
        ):
            run_slow(any_site)
        with any_site.db.transaction() as session:
            session.add(any_site.User(name="ada"))
        if any_site.db.engine.dialect.name in {"mariadb", "mysql"}:
            limit = sa.text("select @@max_statement_time")
            assert any_site.db.session.scalar(limit) == 0
    assert any_site.names() == ["ada"]
    assert any_site.in_use() == {None: 0, "audit": 0}


@pytest.mark.parametrize("backend", ["sqlite", "postgresql", "mariadb"])
def test_a_database_limits_its_statements(make_site, request, backend):
    url = "sqlite:///app.db"
    if backend != "sqlite":
        url = request.getfixturevalue(f"{backend}_url")
    site = make_site(url, SQLALCHEMY_STATEMENT_TIMEOUT=0.3)
    with site.app.app_context():
        with pytest.raises(sa_exc.OperationalError):
            run_slow(site)
        site.db.session.rollback()
        site.db.session.add(site.User(name="ada"))
        site.db.session.commit()
    assert site.names() == ["ada"]


def answer(site, status):
    @site.app.route("/")
    def view():
        site.db.session.add(site.User(name="ada"))
        site.db.get_session("other").add(site.Entry(what="seen"))
        if status is None:
            raise LookupError
        return "", status

    site.app.testing = False
    response = site.app.test_client().get("/")
    return response.status_code, site.names(), site.entries()


@pytest.mark.parametrize("status", [200, 201, 302])
def test_a_view_that_succeeds_is_committed_on_request(make_site, status):
    site = make_site(SQLALCHEMY_COMMIT_ON_SUCCESS=True)
    assert answer(site, status) == (status, ["ada"], ["seen"])


@pytest.mark.parametrize("status", [400, 404, 500, None])
def test_a_view_that_fails_is_not_committed(make_site, status):
    site = make_site(SQLALCHEMY_COMMIT_ON_SUCCESS=True)
    assert answer(site, status) == (status or 500, [], [])


def test_nothing_is_committed_where_nobody_asked_for_it(site):
    assert answer(site, 200) == (200, [], [])


def test_a_commit_that_fails_is_an_error_of_the_request(make_site):
    site = make_site(SQLALCHEMY_COMMIT_ON_SUCCESS=True)
    with site.db.session_scope(site.app) as session:
        session.add(site.User(name="ada"))
        session.commit()
    assert answer(site, 200)[0] == 500


def test_a_statement_that_names_an_engine_is_part_of_the_block(any_site):
    @any_site.db.transaction()
    def work():
        session = any_site.db.session
        session.add(any_site.User(name="model"))
        session.flush()
        insert = sa.insert(any_site.User).values(name="named")
        session.execute(insert, bind_arguments={"bind": any_site.db.engine})
        raise LookupError

    with any_site.app.app_context():
        with pytest.raises(LookupError):
            work()
        assert any_site.in_use()[None] == 0
    assert any_site.names() == []


def held_object(session, site):
    session.add(site.User(name="before"))


def held_row(session, site):
    session.add(site.User(name="before"))
    session.flush()


def held_change(session, site):
    session.get(site.User, 1).name = "changed"


def held_removal(session, site):
    session.delete(session.get(site.User, 1))


def held_statement(session, site):
    session.execute(sa.update(site.User).values(name="changed"))


def held_text(session, _site):
    session.execute(sa.text("update user set name = 'changed'"))


def held_connection(session, site):
    session.connection().execute(sa.insert(site.User).values(name="before"))


def held_savepoint(session, site):
    with session.begin_nested():
        session.add(site.User(name="before"))


HELD = [
    held_object,
    held_row,
    held_change,
    held_removal,
    held_statement,
    held_text,
    held_connection,
    held_savepoint,
]


@pytest.fixture
def ada_site(site):
    with site.db.session_scope(site.app) as session:
        session.add(site.User(id=1, name="ada"))
        session.commit()
    return site


@pytest.mark.parametrize("hold", HELD, ids=lambda hold: hold.__name__)
def test_a_function_that_may_be_retried_does_not_begin_on_changes(ada_site, hold):
    """A retry would undo them, and the call then succeed without them."""
    calls = []

    @ada_site.db.transaction(retries=2)
    def work():
        calls.append(1)

    with ada_site.app.app_context():
        hold(ada_site.db.session, ada_site)
        with pytest.raises(TransactionBegun, match="Commit before the call"):
            work()
        assert calls == []
        ada_site.db.session.commit()  # they are not lost
        work()
    assert ada_site.names() != ["ada"]


@pytest.mark.parametrize("hold", HELD, ids=lambda hold: hold.__name__)
def test_a_function_without_retries_takes_changes_up(ada_site, hold):
    @ada_site.db.transaction()
    def work(): ...

    with ada_site.app.app_context():
        hold(ada_site.db.session, ada_site)
        work()
    assert ada_site.names() != ["ada"]


def test_what_was_read_does_not_keep_a_function_from_its_retries(ada_site):
    @ada_site.db.transaction(retries=1)
    def work(user):
        user.name += "+"
        ada_site.db.session.flush()
        if user.name == "ada+" and not seen:
            seen.append(1)
            raise failing("40001")

    seen = []
    with ada_site.app.app_context():
        session = ada_site.db.session
        assert session.scalar(sa.text("select count(*) from user")) == 1
        session.connection().execute(sa.select(ada_site.User))
        user = session.get(ada_site.User, 1)
        user.name = user.name  # set, and not changed
        work(user)
        work(user)
    assert ada_site.names() == ["ada++"]


def test_changes_before_a_coroutine_that_may_be_retried_are_refused(site):
    @site.db.async_transaction(retries=1)
    async def work(): ...

    async def main():
        async with async_app_context(site.app):
            site.db.async_session.add(site.User(name="before"))
            with pytest.raises(TransactionBegun):
                await work()
            await site.db.async_session.commit()

    asyncio.run(main())
    assert site.names() == ["before"]
