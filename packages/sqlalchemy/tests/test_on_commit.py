from __future__ import annotations

import asyncio
import contextlib

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import orm

from flaskware_core.testing import async_app_context
from flaskware_sqlalchemy import OnCommitError
from flaskware_sqlalchemy import TransactionBegun


@pytest.fixture
def calls():
    return []


def test_a_function_is_called_after_the_commit_and_sees_it(each_site, calls):
    site = each_site
    with site.app.app_context():
        site.db.session.add(site.User(name="ada"))
        site.db.on_commit(lambda: calls.append(site.names()))
        site.db.session.flush()
        assert calls == []
        site.db.session.commit()
        assert calls == [["ada"]]
        site.db.session.commit()
        assert calls == [["ada"]]


@pytest.mark.parametrize("isolated", [False, True])
def test_each_way_to_commit_counts_and_the_function_may_use_the_session(
    site, calls, isolated
):
    def write(name):
        def after():
            calls.append(name)
            with site.db.transaction() as session:
                session.add(site.User(name=name))

        site.db.on_commit(after)

    def program():
        db = site.db
        with site.app.app_context():
            write("commit")
            db.session.commit()
            with db.transaction():
                write("block")
                with db.transaction():
                    write("savepoint")
                    assert calls == ["commit"]
                assert calls == ["commit"]
            db.transaction(retries=2)(lambda: write("decorator"))()
            with db.session.begin():
                write("begin")
                with db.session.begin_nested():
                    write("begin nested")
            db.session.begin()
            write("begun")
            db.session.commit()
            write("object")
            assert len(calls) == 7
        with site.app.app_context(), db.session_scope() as session:
            db.on_commit(lambda: calls.append("scope"), session=session)
            session.commit()

    expected = ["commit", "block", "savepoint", "decorator", "begin", "begin nested"]
    if isolated:
        with site.db.test_isolation(site.app):
            program()
        assert site.names() == []
    else:
        program()
        assert sorted(site.names()) == sorted([*expected, "begun"])
    assert calls == [*expected, "begun", "scope"]


def test_a_rollback_drops_what_waited_however_it_comes(site, calls):
    with site.app.app_context():
        db = site.db
        db.on_commit(lambda: calls.append("rolled back before any query"))
        db.session.rollback()
        with contextlib.suppress(LookupError), db.transaction():
            db.on_commit(lambda: calls.append("block"))
            raise LookupError
        with contextlib.suppress(LookupError), db.session.begin():
            db.on_commit(lambda: calls.append("begin"))
            raise LookupError
        db.on_commit(lambda: calls.append("closed"))
        db.session.close()
        db.session.add_all([site.User(name="same"), site.User(name="same")])
        db.on_commit(lambda: calls.append("failed flush"))
        with pytest.raises(sa.exc.IntegrityError):
            db.session.commit()
        db.session.rollback()
        db.session.commit()
        db.on_commit(lambda: calls.append("context ended"))
    assert calls == []


def test_reads_before_a_block_do_not_release_what_waits(site, calls):
    with site.app.app_context():
        site.db.session.execute(sa.select(site.User))
        site.db.on_commit(lambda: calls.append(1))
        with contextlib.suppress(LookupError), site.db.transaction():
            assert calls == []
            raise LookupError
        site.db.session.execute(sa.select(site.User))
        site.db.on_commit(lambda: calls.append(2))
        with pytest.raises(TransactionBegun), site.db.transaction(timeout=3):
            pass
    assert calls == []


def test_each_attempt_of_a_retried_transaction_has_functions_of_its_own(
    pg_site, cross, calls
):
    def go_on(session, first, second):
        pg_site.db.on_commit(lambda: calls.append(first))
        session.execute(
            sa.update(pg_site.User)
            .values(name=pg_site.User.name + "-")
            .where(pg_site.User.id == second)
        )

    assert cross(pg_site, go_on) > 2
    assert sorted(calls) == [1, 2]


def test_errors_are_told_after_all_functions_were_called(site, calls):
    def fail():
        raise sa.exc.OperationalError("after", None, ConnectionError("gone"))

    @site.db.transaction(retries=3)
    def work():
        site.db.session.add(site.User(name="ada"))
        site.db.on_commit(fail)
        site.db.on_commit(lambda: calls.append("later"))

    with site.app.app_context():
        with pytest.raises(OnCommitError, match=r"committed.* 1 of 2") as info:
            work()
        assert [type(error) for error in info.value.exceptions] == [
            sa.exc.OperationalError
        ]
    assert calls == ["later"]
    assert site.names() == ["ada"]


def test_a_function_added_by_another_waits_for_the_next_commit(site, calls):
    with site.app.app_context():
        db = site.db
        db.on_commit(lambda: db.on_commit(lambda: calls.append("second")))
        db.session.commit()
        assert calls == []
        db.session.commit()
    assert calls == ["second"]


def test_what_is_no_session_of_the_extension_is_refused(site):
    async def coroutine():
        pass

    with site.app.app_context():
        with pytest.raises(TypeError, match=r"db\.get_session"):
            site.db.on_commit(list, session=orm.Session())
        with pytest.raises(TypeError, match="async_on_commit"):
            site.db.on_commit(coroutine)


def test_nothing_listens_to_a_session_without_functions(site):
    with site.app.app_context():
        site.db.session.commit()
        assert not list(site.db.session.dispatch.after_commit)


def test_coroutines_are_awaited_after_their_commit(async_site, calls):
    site = async_site

    async def after(name):
        async with site.db.async_session_scope(site.app) as session:
            found = await session.scalars(sa.select(site.User.name))
            calls.append((name, sorted(found)))

    async def main():
        async with async_app_context(site.app):
            session = site.db.async_session
            session.add(site.User(name="ada"))
            site.db.async_on_commit(lambda: after("commit"))
            await session.commit()
            async with site.db.async_transaction() as session:
                session.add(site.User(name="grace"))
                site.db.async_on_commit(lambda: after("block"))
                site.db.async_on_commit(lambda: calls.append("plain"))
                with contextlib.suppress(LookupError):
                    async with site.db.async_transaction():
                        site.db.async_on_commit(lambda: calls.append("savepoint"))
                        raise LookupError
            async with session.begin():
                site.db.async_on_commit(lambda: after("begin"), session=session)
                assert len(calls) == 3
            await session.close()

    asyncio.run(main())
    both = ["ada", "grace"]
    assert calls == [("commit", ["ada"]), ("block", both), "plain", ("begin", both)]


# A program is a tree: a hook, or a block with an end and programs inside.
LEAF = st.just("hook")
TREE = st.recursive(
    LEAF,
    lambda inside: st.tuples(
        st.sampled_from(["commit", "roll back"]), st.lists(inside, max_size=4)
    ),
    max_leaves=12,
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(programs=st.lists(TREE, max_size=4), data=st.data())
def test_exactly_what_no_rollback_undid_is_called_in_order(site, programs, data):
    called: list[int] = []
    added: list[int] = []

    class Stop(Exception):
        pass

    def run(program, surviving):
        if program == "hook":
            number = len(added)
            added.append(number)
            site.db.on_commit(lambda: called.append(number))
            surviving.append(number)
            return
        end, inside = program
        own: list[int] = []
        begin = data.draw(
            st.sampled_from([site.db.transaction, site.db.session.begin_nested])
        )
        try:
            with begin():
                for one in inside:
                    run(one, own)
                if end == "roll back":
                    raise Stop
        except Stop:
            return
        surviving += own

    with site.app.app_context():
        expected: list[int] = []
        for program in programs:
            own: list[int] = []
            with site.db.transaction():
                run(program, own)
                assert called == expected
            expected += own
        assert called == expected
