from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses as dc
import gc
import sys
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import NotFound

from flaskware_core import ConfigError
from flaskware_core import is_async
from flaskware_core import NotInitialised
from flaskware_core.testing import async_app_context
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import AsyncDriverMissing
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy import TransactionBegun
from flaskware_sqlalchemy import UnknownBind
from flaskware_sqlalchemy._engines.engine import checked_out


@pytest.fixture
def site(async_site):
    return async_site


def run(coroutine_function):
    return asyncio.run(coroutine_function())


def in_use(db):
    return {key: checked_out(one.sync_engine) for key, one in db.async_engines.items()}


NONE_IN_USE = {None: 0, "audit": 0}


def test_a_session_of_coroutines_reads_and_writes(site):
    async def main():
        async with async_app_context(site.app):
            session = site.db.async_session
            assert session is site.db.async_session
            session.add_all([site.User(name="ada"), site.Entry(what="seen")])
            await session.commit()
            assert site.db.async_engine.dialect.is_async
            names = await session.scalars(sa.select(site.User.name))
            assert names.all() == ["ada"]
            pooled = isinstance(site.db.async_engine.pool, QueuePool)
            assert in_use(site.db) == {None: int(pooled), "audit": 0}
        await asyncio.sleep(0.05)  # the loop closes what the context could not wait for
        async with async_app_context(site.app):
            assert in_use(site.db) == NONE_IN_USE

    run(main)
    assert (site.names(), site.entries()) == (["ada"], ["seen"])


def test_threads_that_come_first_at_once_share_the_asynchronous_engines(make_site):
    site = make_site()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for _ in range(100):
        databases = dc.replace(site.db.state_of(site.app), _asynchronous=None)
        barrier = threading.Barrier(4)

        def find(databases=databases, barrier=barrier):
            barrier.wait()
            return databases.asynchronous

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            found = [threads.submit(find) for _ in range(4)]
        assert len({one.result() for one in found}) == 1
    sys.setswitchinterval(usual)


def test_an_async_view_gives_its_connections_back(site):
    seen = []

    @site.app.get("/<name>")
    async def view(name):
        session = site.db.async_session
        session.add(site.User(name=name))
        await session.flush()
        seen.append(site.db.async_engine)
        if name == "fails":
            raise LookupError
        if name != "lost":
            await session.commit()
        found = await session.scalars(sa.select(site.User.name).order_by(site.User.id))
        return list(found.all())

    client = site.app.test_client()
    assert client.get("/ada").json == ["ada"]
    assert client.get("/lost").json == ["ada", "lost"]
    assert client.get("/eve").json == ["ada", "eve"]
    with pytest.raises(LookupError):
        client.get("/fails")
    assert site.names() == ["ada", "eve"]
    assert all(checked_out(engine.sync_engine) == 0 for engine in seen)
    # Flask runs each coroutine in an event loop of its own, Quart all in its loop.
    pools = 1 if is_async(site.app) else 4
    assert len({id(engine.pool) for engine in seen}) == pools


def test_each_event_loop_has_a_pool_of_its_own_and_keeps_it(site):
    pools = []

    async def main():
        async with async_app_context(site.app):
            pools.append(site.db.async_engine.pool)
            async with site.db.async_session_scope() as one:
                await one.execute(sa.select(site.User))
            await site.db.async_session.execute(sa.select(site.User))
            pools.append(site.db.async_engine.pool)

    threads = [threading.Thread(target=run, args=(main,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pools) == 4
    assert len({id(pool) for pool in pools}) == 2


def test_sessions_of_one_loop_work_at_once(site):
    async def main():
        async def add(number):
            async with site.db.async_session_scope(site.app) as session:
                session.add(site.User(name=f"user {number}"))
                await session.commit()

        await asyncio.gather(*(add(number) for number in range(4)))

    run(main)
    assert sorted(site.names()) == [f"user {n}" for n in range(4)]


def test_every_helper_has_its_twin(site):
    user = sa.select(site.User).order_by(site.User.id)

    async def main():
        db = site.db
        async with async_app_context(site.app):
            db.async_session.add_all([site.User(name=f"user {n}") for n in range(1, 6)])
            await db.async_session.commit()
            assert (await db.async_get_or_404(site.User, 2)).name == "user 2"
            assert (await db.async_first_or_404(user)).id == 1
            assert (await db.async_one_or_404(user.where(site.User.id == 3))).id == 3
            page = await db.async_paginate(user, page=2, per_page=2)
            assert [one.id for one in page] == [3, 4]
            assert page.total == 5
            keyset = await db.async_keyset(user, limit=2)
            keyset = await db.async_keyset(user, after=keyset.next_cursor, limit=2)
            assert [one.id for one in keyset] == [3, 4]
            for missing in (
                db.async_get_or_404(site.User, 99),
                db.async_get_or_404(site.User, 2**80),
                db.async_first_or_404(user.where(site.User.id > 9)),
                db.async_one_or_404(user),
                db.async_paginate(user, page=9),
            ):
                with pytest.raises(NotFound):
                    await missing
            with pytest.raises(BadRequest):
                await db.async_keyset(user, after="forged")
            await db.async_session.close()

    run(main)


def test_tables_are_made_and_dropped(site):
    async def main():
        async with async_app_context(site.app):
            await site.db.async_drop_all()
            await site.db.async_create_all()
            async with site.db.async_engine.connect() as connection:
                count = sa.select(sa.func.count()).select_from(site.User)
                assert await connection.scalar(count) == 0

    run(main)


async def fail_in_block(site, name):
    async with site.db.async_transaction() as session:
        session.add(site.User(name=name))
        await session.flush()
        raise LookupError


def test_a_block_commits_nests_and_rolls_back(site):
    async def main():
        async with async_app_context(site.app):
            async with site.db.async_transaction() as session:
                session.add(site.User(name="outer"))
                with pytest.raises(LookupError):
                    await fail_in_block(site, "inner")
            with pytest.raises(LookupError):
                await fail_in_block(site, "lost")

    run(main)
    assert site.names() == ["outer"]


def test_a_decorated_coroutine_is_run_again(site):
    calls = []

    @site.db.async_transaction(retries=2)
    async def work(name):
        calls.append(name)
        site.db.async_session.add(site.User(name=name))
        await site.db.async_session.flush()
        if len(calls) == 1:
            error = Exception("x")
            error.sqlstate = "40001"
            raise sa.exc.OperationalError("select", {}, error)
        return name

    async def main():
        async with async_app_context(site.app):
            assert await work("ada") == "ada"

    run(main)
    assert (calls, site.names()) == (["ada", "ada"], ["ada"])


def test_a_block_has_its_level_and_its_timeout(site):
    statements = {
        "sqlite": "with recursive n(x) as (select 1 union all select x + 1 from n"
        " where x < 300000000) select max(x) from n",
        "postgresql": "select pg_sleep(20)",
    }
    slow = statements.get(
        site.db.state_of(site.app).router.engines[None].dialect.name,
        "select sleep(20) from information_schema.columns",
    )

    async def main():
        async with async_app_context(site.app):
            with pytest.raises(sa.exc.DBAPIError):
                async with site.db.async_transaction(
                    isolation_level="SERIALIZABLE", timeout=0.1
                ) as session:
                    await session.execute(sa.text(slow))
            site.db.async_session.add(site.User(name="ada"))
            await site.db.async_session.flush()
            with pytest.raises(TransactionBegun):
                async with site.db.async_transaction(timeout=1):
                    pass
            await site.db.async_session.commit()

    run(main)
    assert site.names() == ["ada"]


def test_sqlite_enforces_foreign_keys_for_coroutines_too(make_site):
    site = make_site()

    async def main():
        async with async_app_context(site.app):
            site.db.async_session.add(site.Post(user_id=99))
            with pytest.raises(sa.exc.IntegrityError):
                await site.db.async_session.commit()
            await site.db.async_session.rollback()
            mode = await site.db.async_session.scalar(sa.text("pragma journal_mode"))
            assert mode == "wal"

    run(main)


def test_a_database_in_memory_is_the_one_of_synchronous_sessions(make_site):
    site = make_site("sqlite://")

    async def main():
        async with async_app_context(site.app):
            site.db.async_session.add(site.User(name="ada"))
            await site.db.async_session.commit()
            names = sa.select(site.User.__table__.c.name)
            for session in (site.db.async_session, site.db.get_async_session("two")):
                assert (await session.execute(names)).all() == [("ada",)]
            with pytest.raises(AsyncDriverMissing, match="use a file"):
                site.db.async_engine  # noqa: B018

    run(main)
    assert site.names() == ["ada"]


def test_an_unknown_bind_and_no_context_are_told(make_site):
    site = make_site()

    async def main():
        with pytest.raises(NotInitialised):
            site.db.async_session  # noqa: B018
        async with async_app_context(site.app):
            with pytest.raises(UnknownBind):
                site.db.get_async_engine("adit")

    run(main)


def test_a_driver_that_is_not_installed_is_named(make_site):
    site = make_site(SQLALCHEMY_ASYNC_DRIVERS={"sqlite": "nosuchdriver"})

    async def main():
        async with async_app_context(site.app):
            with pytest.raises(AsyncDriverMissing, match=r"nosuchdriver \(sqlite\)"):
                site.db.async_session  # noqa: B018

    run(main)


def test_what_only_sync_code_uses_needs_no_asyncio_part():
    import subprocess
    import sys

    code = (
        "import sys, flask, flaskware_sqlalchemy\n"
        "app = flask.Flask('x'); app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite://'\n"
        "db = flaskware_sqlalchemy.SQLAlchemy(app)\n"
        "with app.app_context(): db.session.execute(db.select(1))\n"
        "print('sqlalchemy.ext.asyncio' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_replica_is_read_by_coroutines_too(make_site, tmp_path):
    site = make_site(
        SQLALCHEMY_REPLICAS={"default": [f"sqlite:///{tmp_path}/replica.db"]}
    )
    databases = site.db.state_of(site.app)
    site.db.metadata.create_all(databases.copies[None][0].engine)

    async def main():
        async with async_app_context(site.app):
            site.db.async_session.add(site.User(name="ada"))
            await site.db.async_session.commit()
            assert (await site.db.async_session.scalars(sa.select(site.User))).all()
        async with async_app_context(site.app):
            statement = sa.select(site.User)
            assert not (await site.db.async_session.scalars(statement)).all()
            with site.db.primary():
                assert (await site.db.async_session.scalars(statement)).all()
            await site.db.async_session.close()

    run(main)


async def add_and_roll_back(site):
    async with site.db.async_session_scope(site.app) as session:
        session.add(site.User(name="kept"))
        await session.commit()
        session.add(site.User(name="undone"))
        await session.flush()
        await session.rollback()
        async with session.begin_nested():
            session.add(site.Entry(what="nested"))
        await session.commit()


def test_isolation_undoes_what_coroutines_did(site):
    async def main():
        for _ in range(2):
            async with async_app_context(site.app), site.db.async_test_isolation():
                await add_and_roll_back(site)
                async with site.db.async_engine.begin() as connection:
                    await connection.execute(sa.insert(site.User).values(name="core"))
                names = sa.select(site.User.name).order_by(site.User.name)
                found = await site.db.async_session.scalars(names)
                assert found.all() == ["core", "kept"]
                entries = await site.db.async_session.scalars(sa.select(site.Entry))
                assert len(entries.all()) == 1
            assert await asyncio.to_thread(site.names) == []

    run(main)
    assert (site.names(), site.entries()) == ([], [])


def test_isolation_waits_for_the_session_of_a_context_that_ended_in_it(site):
    errors = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, told: errors.append(told))
        isolated = site.db.async_test_isolation(site.app)
        async with isolated, async_app_context(site.app):
            site.db.async_session.add(site.User(name="ada"))
            await site.db.async_session.flush()
        async with async_app_context(site.app):
            assert in_use(site.db) == NONE_IN_USE
        await asyncio.sleep(0.05)

    run(main)
    gc.collect()
    assert (errors, site.names()) == ([], [])


def test_synchronous_isolation_takes_in_async_views(site):
    @site.app.get("/")
    async def view():
        await add_and_roll_back(site)
        site.db.async_session.add(site.User(name="view"))
        await site.db.async_session.commit()
        found = await site.db.async_session.execute(sa.text("select 'raw'"))
        return found.scalar_one()

    with site.db.test_isolation(site.app):
        assert site.app.test_client().get("/").text == "raw"
        assert sorted(site.names()) == ["kept", "view"]
        assert site.entries() == ["nested"]
    assert (site.names(), site.entries()) == ([], [])


def test_what_was_read_is_still_there_after_a_commit(site):
    @site.app.get("/users/<int:id>/name")
    async def name(id):
        user = await site.db.async_get_or_404(site.User, id)
        async with site.db.async_transaction() as session:
            session.add(site.User(name=f"like {user.name}"))
        return user.name

    with site.db.session_scope(site.app) as session:
        session.add(site.User(name="ada"))
        session.commit()
    assert site.app.test_client().get("/users/1/name").text == "ada"
    assert site.names() == ["ada", "like ada"]


def test_session_options_decide_whether_a_commit_expires():
    db = SQLAlchemy(session_options={"expire_on_commit": True})
    app = make_app(db, SQLALCHEMY_DATABASE_URI="sqlite://")

    async def main():
        async with async_app_context(app):
            return db.async_session.sync_session.expire_on_commit

    assert run(main) is True


LIBPQ = (
    "sslmode=prefer&application_name=shop&connect_timeout=7&options=-c%20jit%3Doff"
    "&keepalives_idle=30&target_session_attrs=any&channel_binding=prefer"
    "&client_encoding=utf8&gssencmode=disable"
)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_arguments_of_libpq_are_understood(make_site, postgresql_url, driver):
    url = f"{postgresql_url}{'&' if '?' in postgresql_url else '?'}{LIBPQ}"
    site = make_site(url, url, SQLALCHEMY_ASYNC_DRIVERS={"postgresql": driver})

    @site.app.get("/")
    async def view():
        show = [sa.text("SHOW application_name"), sa.text("SHOW jit")]
        return [await site.db.async_session.scalar(one) for one in show]

    assert site.app.test_client().get("/").json == ["shop", "off"]


def test_an_argument_that_asyncpg_lacks_is_refused_at_once(make_site, postgresql_url):
    url = f"{postgresql_url.partition('?')[0]}?channel_binding=require&sslmode=require"
    drivers = {"postgresql": "asyncpg"}
    with pytest.raises(ConfigError, match="none of channel_binding") as info:
        make_site(url, SQLALCHEMY_ASYNC_DRIVERS=drivers)
    assert '"psycopg"' in str(info.value)
