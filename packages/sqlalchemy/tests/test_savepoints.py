"""Inner blocks whose own flush fails, and what the block around them can still do."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_core.testing import async_app_context


@pytest.fixture
def any_site(any_site):
    """A site with a name that nobody else can have."""
    with any_site.db.session_scope(any_site.app) as session:
        session.add(any_site.User(name="taken"))
        session.commit()
    return any_site


def add_taken(site):
    """Write a row that is accepted, and leave a row that is not to the block's end."""
    site.db.session.add(site.User(name="lost"))
    site.db.session.flush()
    site.db.session.add(site.User(name="taken"))


def add_in_another_block(site):
    site.db.session.add(site.User(name="lost"))
    with site.db.transaction():
        site.db.session.add(site.User(name="taken"))


def hide_failure(site):
    site.db.session.add(site.User(name="taken"))
    with pytest.raises(sa_exc.IntegrityError):
        site.db.session.flush()


def test_an_inner_block_whose_own_flush_fails_leaves_the_outer_one_whole(any_site):
    with any_site.app.app_context():
        with any_site.db.transaction() as session:
            session.add(any_site.User(name="before"))
            with pytest.raises(sa_exc.IntegrityError), any_site.db.transaction():
                add_taken(any_site)
            session.add(any_site.User(name="between"))
            with any_site.db.transaction():
                session.add(any_site.User(name="inner"))
        assert not session.in_transaction()
    assert any_site.names() == ["taken", "before", "between", "inner"]
    assert any_site.in_use() == {None: 0, "audit": 0}


def test_each_of_several_nested_blocks_undoes_its_own_work_only(any_site):
    with any_site.app.app_context(), any_site.db.transaction() as session:
        with any_site.db.transaction():
            session.add(any_site.User(name="middle"))
            with pytest.raises(sa_exc.IntegrityError), any_site.db.transaction():
                session.add(any_site.User(name="taken"))
        with pytest.raises(sa_exc.IntegrityError), any_site.db.transaction():
            add_in_another_block(any_site)
    assert any_site.names() == ["taken", "middle"]


def test_a_failed_flush_that_an_inner_block_hides_ends_that_block_alone(any_site):
    with any_site.app.app_context(), any_site.db.transaction() as session:
        session.add(any_site.User(name="before"))
        with pytest.raises(sa_exc.PendingRollbackError), any_site.db.transaction():
            hide_failure(any_site)
        session.add(any_site.User(name="after"))
    assert any_site.names() == ["taken", "before", "after"]


def test_an_inner_decorator_that_fails_leaves_the_outer_one_whole(any_site):
    calls = []

    @any_site.db.transaction(retries=3)
    def add(name):
        calls.append(name)
        any_site.db.session.add(any_site.User(name=name))

    @any_site.db.transaction(retries=3)
    def add_both():
        with pytest.raises(sa_exc.IntegrityError):
            add("taken")
        add("free")

    with any_site.app.app_context():
        add_both()
    assert calls == ["taken", "free"]  # another try would fail the same
    assert any_site.names() == ["taken", "free"]


def test_a_session_can_be_used_after_an_outermost_commit_that_failed(any_site):
    with any_site.app.app_context():
        session = any_site.db.session
        with pytest.raises(sa_exc.IntegrityError), any_site.db.transaction():
            add_taken(any_site)
        names = sa.select(any_site.User.name)
        assert session.scalars(names).all() == ["taken"]
        with any_site.db.transaction():
            session.add(any_site.User(name="next"))
    assert any_site.names() == ["taken", "next"]
    assert any_site.in_use() == {None: 0, "audit": 0}


def test_a_block_runs_again_after_its_inner_one_failed_in_passing(any_site):
    calls = []

    class Conflict(Exception):
        sqlstate = "40001"

    @any_site.db.transaction(retries=1)
    def work():
        session = any_site.db.session
        calls.append(1)
        session.add(any_site.User(name=f"outer {len(calls)}"))
        with any_site.db.transaction():
            session.add(any_site.User(name=f"inner {len(calls)}"))
            if len(calls) == 1:
                sa.event.listen(session, "before_flush", fail, once=True)

    def fail(*_):
        raise sa_exc.OperationalError("insert", None, Conflict())

    with any_site.app.app_context():
        work()
    assert len(calls) == 2
    assert any_site.names() == ["taken", "outer 2", "inner 2"]


@pytest.mark.parametrize("backend", ["postgresql", "mariadb"])
@pytest.mark.parametrize("flushes", [False, True])
def test_of_two_that_deadlock_in_an_inner_block_both_succeed(
    make_site, request, backend, flushes, cross
):
    """MariaDB has undone the savepoint too, and says so in place of the deadlock."""
    url = request.getfixturevalue(f"{backend}_url")
    site = make_site(url, url)

    def go_on(session, first, second):
        with site.db.transaction():
            session.add(site.Post(user_id=second))
            session.get_one(site.User, second).name = f"by {first}"
            if flushes:
                session.flush()

    assert cross(site, go_on) == 3
    assert sorted(site.names()) in (["by 1", "by 2+"], ["by 1+", "by 2"])
    assert site.in_use() == {None: 0, "audit": 0}


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg", "asyncmy"])
@pytest.mark.parametrize("flushes", [False, True])
def test_of_two_coroutines_that_deadlock_in_an_inner_block_both_succeed(
    make_site, request, driver, flushes
):
    name = "mariadb" if driver == "asyncmy" else "postgresql"
    url = request.getfixturevalue(f"{name}_url")
    drivers = {"mysql": driver, "mariadb": driver, "postgresql": driver}
    site = make_site(url, url, SQLALCHEMY_ASYNC_DRIVERS=drivers)
    db = site.db
    with db.session_scope(site.app) as session:
        session.add_all([site.User(id=1, name="one"), site.User(id=2, name="two")])
        session.commit()
    calls = []

    async def run(first, second, both_have_begun):
        @db.async_transaction(retries=5)
        async def work():
            calls.append(1)
            session = db.async_session
            update = sa.update(site.User).values(name=site.User.name + "+")
            await session.execute(update.where(site.User.id == first))
            both_have_begun[first].set()
            await asyncio.wait_for(both_have_begun[second].wait(), 10)
            async with db.async_transaction():
                session.add(site.Post(user_id=second))
                user = await session.get_one(site.User, second)
                user.name = f"by {first}"
                if flushes:
                    await session.flush()

        async with async_app_context(site.app):
            await work()

    async def main():
        begun = {1: asyncio.Event(), 2: asyncio.Event()}
        await asyncio.gather(run(1, 2, begun), run(2, 1, begun))

    asyncio.run(asyncio.wait_for(main(), 30))
    assert len(calls) == 3
    assert sorted(site.names()) in (["by 1", "by 2+"], ["by 1+", "by 2"])


def test_an_inner_block_of_coroutines_leaves_the_outer_one_whole(async_site):
    db, user = async_site.db, async_site.User
    calls = []

    @db.async_transaction(retries=3)
    async def add(name):
        calls.append(name)
        db.async_session.add(user(name=name))

    async def add_twice():
        async with db.async_transaction() as session:
            session.add(user(name="lost"))
            await session.flush()
            session.add(user(name="before"))

    async def main():
        context = async_app_context(async_site.app)
        async with context, db.async_transaction() as session:
            session.add(user(name="before"))
            with pytest.raises(sa_exc.IntegrityError):
                await add_twice()
            with pytest.raises(sa_exc.IntegrityError):
                await add("before")
            await add("after")

    asyncio.run(main())
    assert calls == ["before", "after"]
    assert async_site.names() == ["before", "after"]


def test_a_session_of_coroutines_can_be_used_after_a_commit_that_failed(async_site):
    db, user = async_site.db, async_site.User

    async def main():
        async with async_app_context(async_site.app):
            session = db.async_session
            async with db.async_transaction():
                session.add(user(name="taken"))
            with pytest.raises(sa_exc.IntegrityError):
                async with db.async_transaction():
                    session.add(user(name="taken"))
            found = await session.scalars(sa.select(user.name))
            assert found.all() == ["taken"]
            async with db.async_transaction():
                session.add(user(name="next"))

    asyncio.run(main())
    assert async_site.names() == ["taken", "next"]


def test_a_wait_for_a_lock_that_ends_is_tried_again(make_site, mariadb_url):
    """The driver gives a number and, in some releases, a state that says nothing."""
    site = make_site(mariadb_url, mariadb_url)
    with site.db.session_scope(site.app) as session:
        session.add(site.User(id=1, name="one"))
        session.commit()
    update = sa.update(site.User).values(name=site.User.name + "+")
    calls = []

    with site.app.app_context(), site.db.engine.connect() as holder:
        holder.execute(update)

        @site.db.transaction(retries=1)
        def work():
            calls.append(1)
            if len(calls) == 2:
                holder.rollback()
            site.db.session.execute(sa.text("set innodb_lock_wait_timeout = 0"))
            site.db.session.execute(update)

        work()
    assert (calls, site.names()) == ([1, 1], ["one+"])
