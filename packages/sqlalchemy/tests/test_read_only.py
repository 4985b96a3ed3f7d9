"""Sessions and transactions that only read."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_core.testing import async_app_context
from flaskware_sqlalchemy import ReadOnlySession
from flaskware_sqlalchemy import TransactionBegun


def test_a_block_that_only_reads_refuses_each_kind_of_write(each_site):
    site = each_site
    with site.db.session_scope(site.app) as session:
        session.add(site.User(name="Ada"))
        session.commit()
    writes = [
        lambda session: session.add(site.User(name="Lin")),
        lambda session: session.execute(sa.update(site.User).values(name="x")),
        lambda session: session.execute(sa.text("DELETE FROM post")),
        lambda session: session.connection().exec_driver_sql("DELETE FROM post"),
    ]
    with site.app.app_context():
        for write in writes:
            with (  # noqa: PT012 what is read before is part of it
                pytest.raises(ReadOnlySession, match="this statement writes"),
                site.db.transaction(read_only=True) as session,
            ):
                assert session.scalars(sa.select(site.User.name)).all() == ["Ada"]
                write(session)
        with site.db.transaction() as session:
            session.add(site.User(name="Bob"))
    assert site.names() == ["Ada", "Bob"]
    assert set(site.in_use().values()) == {0}


def test_the_server_refuses_what_is_hidden(each_site):
    site = each_site
    name = site.db.state_of(site.app).router.engines[None].dialect.name
    hidden = {
        "postgresql": "WITH gone AS (DELETE FROM post RETURNING id) SELECT * FROM gone",
        "mariadb": "/* not */ DELETE FROM post",
        "sqlite": "/* not */ DELETE FROM post",
    }
    with site.app.app_context():
        with (
            pytest.raises(sa_exc.DBAPIError, match=r"(?i)read.?only|query_only"),
            site.db.transaction(read_only=True) as session,
        ):
            session.execute(sa.text(hidden[name]))
        with site.db.transaction() as session:
            session.execute(sa.text(hidden[name]))  # the connection can write again


def test_a_session_of_a_script_only_reads(each_site):
    site = each_site
    with site.db.session_scope(site.app, read_only=True) as session:
        for _ in range(2):
            assert session.scalars(sa.select(site.User)).all() == []
            session.add(site.User(name="Ada"))
            with pytest.raises(ReadOnlySession):
                session.commit()
            session.rollback()
    assert site.names() == []


def test_a_block_inside_another_does_not_change_it(site):
    with site.app.app_context(), site.db.transaction() as session:
        session.add(site.User(name="Ada"))
        with pytest.raises(TransactionBegun, match="outer block"):
            site.db.transaction(read_only=True).__enter__()
    with (
        site.app.app_context(),
        site.db.transaction(read_only=True),
        site.db.transaction(read_only=True) as session,
    ):
        assert session.scalars(sa.select(site.User.name)).all() == ["Ada"]


def test_a_session_with_changes_does_not_become_read_only(site):
    with site.app.app_context():
        site.db.session.add(site.User(name="Ada"))
        site.db.session.flush()
        with pytest.raises(TransactionBegun, match="read-only"):
            site.db.transaction(read_only=True).__enter__()


def test_an_isolated_test_refuses_writes_and_lets_others_write(each_site):
    site = each_site
    with site.db.test_isolation(site.app), site.app.app_context():
        with (  # noqa: PT012 what is written meanwhile is part of it
            pytest.raises(ReadOnlySession),
            site.db.transaction(read_only=True) as one,
        ):
            with site.db.session_scope(site.app) as other:
                other.add(site.User(name="Ada"))
                other.commit()
            assert one.scalars(sa.select(site.User.name)).all() == ["Ada"]
            one.add(site.User(name="Lin"))
        with site.db.transaction() as session:
            session.add(site.User(name="Lin"))


def test_coroutines_only_read_too(async_site):
    db, User = async_site.db, async_site.User

    async def main():
        async with async_app_context(async_site.app):
            with pytest.raises(ReadOnlySession):
                async with db.async_transaction(read_only=True) as session:
                    session.add(User(name="Ada"))
            async with db.async_session_scope(read_only=True) as session:
                assert (await session.scalars(sa.select(User))).all() == []
                with pytest.raises(ReadOnlySession):
                    await session.execute(sa.delete(User))
            async with db.async_transaction() as session:
                session.add(User(name="Lin"))
            await db.async_session.close()

    asyncio.run(main())
    assert async_site.names() == ["Lin"]
