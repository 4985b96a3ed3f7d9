"""Advisory locks: names that one transaction at a time holds."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest
import sqlalchemy as sa

from flaskware_core.testing import async_app_context
from flaskware_sqlalchemy import LockTaken
from flaskware_sqlalchemy import ReadOnlySession
from flaskware_sqlalchemy import TransactionBegun

SERVERS = ["psycopg", "psycopg2", "mariadb"]


def test_no_two_transactions_hold_a_lock_at_once(each_site):
    site = each_site
    inside = []
    most = []

    def work(number):
        with site.app.app_context(), site.db.transaction() as session:
            site.db.advisory_lock("report")
            inside.append(number)
            most.append(len(inside))
            session.add(site.User(name=str(number)))
            session.flush()
            inside.remove(number)

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for one in [threads.submit(work, number) for number in range(8)]:
            one.result()
    assert set(most) == {1}
    assert sorted(site.names()) == [str(number) for number in range(8)]


@pytest.mark.parametrize("each_site", SERVERS, indirect=True)
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_lock_is_held_until_the_transaction_ends(each_site, ends):
    site = each_site
    held, over = threading.Event(), threading.Event()

    def hold():
        with site.app.app_context():
            try:
                with site.db.transaction():
                    site.db.advisory_lock("report")
                    site.db.advisory_lock("report")  # again
                    held.set()
                    assert over.wait(30)
                    if ends == "rollback":
                        raise LookupError
            except LookupError:
                pass

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    with site.app.app_context():
        for timeout in (0, 0.05):
            with site.db.transaction() as session:
                session.add(site.User(name="kept"))
                session.flush()
                with pytest.raises(LockTaken, match="'report'"):
                    site.db.advisory_lock("report", timeout=timeout)
                # The transaction can go on.
                site.db.advisory_lock("another", timeout=timeout)
                session.execute(sa.delete(site.User))
        over.set()
        with site.db.transaction():
            site.db.advisory_lock("report", timeout=30)
    thread.join()
    with site.app.app_context(), site.db.transaction():
        site.db.advisory_lock("report", timeout=0)
    assert set(site.in_use().values()) == {0}


def test_a_timeout_leaves_that_of_the_transaction_alone(pg_site):
    with pg_site.app.app_context(), pg_site.db.transaction() as session:
        session.execute(sa.text("SET LOCAL lock_timeout = '7s'"))
        pg_site.db.advisory_lock("report", timeout=3)
        assert session.scalar(sa.text("SHOW lock_timeout")) == "7s"


def test_a_lock_needs_a_block_that_writes(any_site):
    db = any_site.db
    with any_site.app.app_context():
        with pytest.raises(TransactionBegun, match=r"with db\.transaction"):
            db.advisory_lock("report")
        with db.transaction(read_only=True), pytest.raises(ReadOnlySession):
            db.advisory_lock("report")


def test_coroutines_lock(async_site):
    db = async_site.db
    is_sqlite = "sqlite" in async_site.app.config["SQLALCHEMY_DATABASE_URI"]

    async def main():
        async with async_app_context(async_site.app):
            async with db.async_transaction():
                await db.async_advisory_lock("report", timeout=0)
                if not is_sqlite:
                    async with db.async_transaction(name="other"):
                        with pytest.raises(LockTaken):
                            await db.async_advisory_lock(
                                "report", timeout=0, session="other"
                            )
            async with db.async_transaction(name="other"):
                await db.async_advisory_lock("report", timeout=0, session="other")

    asyncio.run(main())
