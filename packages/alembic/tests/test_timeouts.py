from __future__ import annotations

import collections.abc as cabc
import threading
import time
import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import RevisionFailed
from flaskware_alembic import TableLocked

Project: t.TypeAlias = t.Any


@pytest.fixture
def hold(any_project: Project) -> cabc.Iterator[t.Any]:
    """Holds a lock on the table for some seconds, in a session of its own."""
    threads: list[threading.Thread] = []
    held = threading.Event()
    statement = {
        "postgresql": "LOCK TABLE item IN ACCESS SHARE MODE",
        "mariadb": "SELECT * FROM item FOR UPDATE",
        "sqlite": "DELETE FROM item",
    }[any_project.engine.dialect.name]

    def work(seconds: float) -> None:
        with any_project.engine.begin() as connection:
            connection.exec_driver_sql(statement)
            held.set()
            time.sleep(seconds)

    def start(seconds: float) -> None:
        threads.append(threading.Thread(target=work, args=(seconds,)))
        threads[-1].start()
        held.wait(10)

    yield start
    for thread in threads:
        thread.join()


@pytest.fixture
def item(any_project: Project) -> Project:
    """A project with a table, and a revision that waits for whoever uses it."""
    any_project.write_table("aa", None, "item")
    any_project.alembic.upgrade()
    any_project.write(
        "bb",
        "aa",
        "op.add_column('item', sa.Column('n', sa.Integer))",
        extra="lock_timeout = 0.2",
    )
    return any_project


def test_a_revision_that_meets_a_lock_is_tried_again(
    item: Project, hold: t.Any
) -> None:
    hold(1.0)
    started = time.monotonic()
    assert len(item.alembic.upgrade()) == 1
    assert time.monotonic() - started > 0.5
    columns = sa.inspect(item.engine).get_columns("item")
    assert [column["name"] for column in columns] == ["id", "n"]


def test_a_lock_that_stays_ends_in_an_error_of_its_own(
    make_project: t.Any, any_url: str, hold: t.Any, item: Project
) -> None:
    project = make_project(any_url, ALEMBIC_LOCK_RETRIES=0)
    hold(2.5)
    with (
        project.app.app_context(),
        pytest.raises(TableLocked, match="waited for a lock that") as caught,
    ):
        project.alembic.upgrade()
    assert caught.value.revision.id == "bb"
    assert caught.value.exit_code == 12
    assert [info.id for info in item.alembic.current()] == ["aa"]


def test_the_settings_count_where_a_revision_says_nothing(
    make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(
        postgresql_url, ALEMBIC_TABLE_LOCK_TIMEOUT=3, ALEMBIC_STATEMENT_TIMEOUT=4.5
    )
    show = "assert op.get_bind().scalar(sa.text('SHOW {}')) == {!r}"
    project.write(
        "aa",
        None,
        show.format("lock_timeout", "3s")
        + "\n"
        + show.format("statement_timeout", "4500ms"),
    )
    project.write(
        "bb",
        "aa",
        show.format("lock_timeout", "3s")
        + "\n"
        + show.format("statement_timeout", "0"),
        extra="statement_timeout = 0",
    )
    with project.app.app_context():
        project.alembic.upgrade()


def test_a_statement_that_takes_too_long_is_ended(
    make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(postgresql_url)
    project.write(
        "aa", None, "op.execute('SELECT pg_sleep(20)')", extra="statement_timeout = 0.2"
    )
    with (
        project.app.app_context(),
        pytest.raises(RevisionFailed, match="statement timeout"),
    ):
        project.alembic.upgrade()


@pytest.mark.parametrize("fails", [False, True])
def test_the_connection_gets_its_own_timeouts_back(
    any_url: str, make_project: t.Any, fails: bool
) -> None:
    project = make_project(
        any_url, ALEMBIC_TABLE_LOCK_TIMEOUT=7, ALEMBIC_STATEMENT_TIMEOUT=8
    )
    project.engine.dispose()
    project.use(sa.create_engine(any_url, pool_size=1, max_overflow=0))
    read = {
        "postgresql": "SELECT current_setting('lock_timeout')"
        " || current_setting('statement_timeout')",
        "mariadb": "SELECT CONCAT(@@lock_wait_timeout, ':', @@innodb_lock_wait_timeout,"
        " ':', @@max_statement_time)",
        "sqlite": "PRAGMA busy_timeout",
    }[project.engine.dialect.name]

    def timeouts() -> t.Any:
        with project.engine.connect() as connection:
            return connection.exec_driver_sql(read).scalar()

    before = timeouts()
    project.write("aa", None, "raise RuntimeError('no')" if fails else "pass")
    with project.app.app_context():
        if fails:
            with pytest.raises(RevisionFailed):
                project.alembic.upgrade()
        else:
            project.alembic.upgrade()
    assert timeouts() == before
