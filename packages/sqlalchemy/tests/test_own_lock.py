from __future__ import annotations

import contextlib
import threading

import pytest
import sqlalchemy as sa

from flaskware_sqlalchemy import WaitForItself

OUTER = ["transaction", "flush", "read"]
INNER = ["transaction", "commit", "engine"]


@contextlib.contextmanager
def outer_work(site, kind):
    """Work of a request that is not committed yet."""
    with site.app.app_context():
        if kind == "transaction":
            with site.db.transaction() as session:
                session.add(site.User(name="outer"))
                session.flush()
                yield
            return
        if kind == "flush":
            site.db.session.add(site.User(name="outer"))
            site.db.session.flush()
        else:
            site.db.session.scalars(sa.select(site.User)).all()
        yield
        site.db.session.commit()


def inner_work(site, kind):
    """Work of a task with an app context of its own."""
    with site.app.app_context():
        name = f"inner {len(site.names())}"
        user = site.User(name=name)
        if kind == "transaction":
            with site.db.transaction() as session:
                session.add(user)
        elif kind == "commit":
            site.db.session.add(user)
            site.db.session.commit()
        else:
            with site.db.engine.begin() as connection:
                statement = site.User.__table__.insert().values(name=name)
                connection.execute(statement)


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_a_thread_never_waits_for_its_own_lock(site, outer, inner):
    with outer_work(site, outer):
        if outer == "read":
            inner_work(site, inner)
        else:
            with pytest.raises(WaitForItself, match="on_commit"):
                inner_work(site, inner)
    with site.app.app_context():
        assert site.names() == (["inner 0"] if outer == "read" else ["outer"])
    inner_work(site, inner)


def test_a_task_reads_while_its_request_writes(site):
    with outer_work(site, "transaction"), site.app.app_context():
        assert site.names() == []


def test_a_connection_waits_for_other_threads_after_a_refusal(site):
    with outer_work(site, "transaction"), pytest.raises(WaitForItself):
        inner_work(site, "transaction")
    with site.app.app_context():
        assert _patience(site) == {10000}
    written, release = threading.Event(), threading.Event()

    def write():
        with site.db.session_scope(site.app) as session:
            session.add(site.User(name="other"))
            session.flush()
            written.set()
            release.wait(60)
            session.commit()

    thread = threading.Thread(target=write)
    thread.start()
    written.wait(60)
    threading.Timer(0.5, release.set).start()
    inner_work(site, "transaction")
    thread.join()
    with site.app.app_context():
        assert sorted(site.names()) == ["inner 1", "other", "outer"]


def _patience(site):
    """The busy timeout of each pooled connection, in milliseconds."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(site.db.engine.connect()) for _ in range(3)]
        return {one.exec_driver_sql("PRAGMA busy_timeout").scalar() for one in found}
