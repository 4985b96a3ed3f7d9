from __future__ import annotations

import datetime as dt
import decimal
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import typing as t
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from flaskware_alembic import backfill
from flaskware_alembic import BackfillInfo
from flaskware_alembic import BackfillState
from flaskware_alembic import MigrationError
from flaskware_alembic import RevisionFailed
from flaskware_alembic import State
from flaskware_alembic._runtime.batches import decode
from flaskware_alembic._runtime.batches import encode
from flaskware_alembic._runtime.holders import running_statements
from flaskware_core import examine

Project: t.TypeAlias = t.Any
HEADER = "from flaskware_alembic import backfill\n"
FILL = """
@backfill("item", batch={batch}{more})
def fill(connection, batch):
    {before}
    connection.execute(
        sa.update(batch.table).where(batch.where).values(n=batch.table.c.n + 1)
    )
"""


def write(
    project: Project, *, batch: int = 10, more: str = "", before: str = "pass"
) -> None:
    """Write a revision that makes a table of 25 rows, and one that fills it."""
    project.write(
        "aa",
        None,
        "op.create_table('item', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('n', sa.Integer, nullable=False))\n"
        "for i in range(25): op.execute(f'INSERT INTO item VALUES ({i * 3}, 0)')",
        "op.drop_table('item')",
    )
    fill = FILL.format(batch=batch, more=more, before=before)
    project.write("bb", "aa", extra=HEADER + fill)


def values(project: Project) -> set[int]:
    with project.engine.connect() as connection:
        return set(connection.scalars(sa.text("SELECT n FROM item")))


def test_a_backfill_goes_through_all_rows_in_batches(any_project: Project) -> None:
    write(any_project)
    seen: list[BackfillInfo] = []
    any_project.alembic.upgrade(on_progress=seen.append)
    assert values(any_project) == {1}
    assert [info.rows for info in seen] == [10, 20, 25]
    assert seen[-1].state is BackfillState.DONE
    (info,) = any_project.alembic.backfills()
    assert (info.revision, info.name, info.table, info.rows) == (
        "bb",
        "fill",
        "item",
        25,
    )
    assert not any_project.alembic.upgrade()
    assert values(any_project) == {1}


def test_a_backfill_that_is_not_done_is_told_of_everywhere(
    project: Project, in_context: object
) -> None:
    write(project, before="assert max(batch.keys) < (50,), 'too far'")
    assert "backfill fill, after it: the rows of item, 10 at a time" in (
        project.run("plan").output
    )
    with pytest.raises(RevisionFailed):
        project.alembic.upgrade()
    assert project.alembic.status(models=False).state is State.UNFINISHED
    result = project.run("check", "--no-models")
    assert result.exit_code == 5
    told = "backfill bb fill: running, 10 rows of item"
    assert told in result.output
    assert "Run: flask db backfill" in result.output
    assert project.run("check", "--serving").exit_code == 0
    assert f"go on with the {told}" in project.run("plan").output
    findings = {f.id: f for f in examine(project.app).findings}
    assert findings["alembic.backfill-unfinished"].fix == "flask db backfill"
    project.add_table("item", sa.Column("n", sa.Integer, nullable=False))
    assert "Run: flask db backfill" in project.run("doctor").output
    write(project)
    result = project.run("upgrade")
    assert result.output == "bb fill: done, 25 rows of item\n"
    assert project.run("check", "--no-models").exit_code == 0
    assert "Nothing to do" in project.run("upgrade").output


def test_an_estimate_that_was_too_low_is_not_told() -> None:
    info = BackfillInfo("bb", "fill", "item", None, BackfillState.RUNNING, 60, 50)
    assert str(info) == "bb fill: running, 60 rows of item"


def test_a_backfill_that_failed_goes_on_after_the_last_batch(
    any_project: Project,
) -> None:
    write(any_project, before="assert max(batch.keys) < (50,), 'too far'")
    with pytest.raises(
        RevisionFailed, match=r"fill of revision bb .*too far"
    ) as caught:
        any_project.alembic.upgrade()
    assert "flask db backfill" in str(caught.value)
    (info,) = any_project.alembic.backfills()
    assert (info.state, info.rows) == (BackfillState.RUNNING, 10)
    assert values(any_project) == {0, 1}
    write(any_project)
    (info,) = any_project.alembic.backfill()
    assert (info.state, info.rows) == (BackfillState.DONE, 25)
    assert values(any_project) == {1}


def test_the_next_revision_waits_until_a_backfill_is_done(any_project: Project) -> None:
    write(any_project, before="raise RuntimeError('not now')")
    any_project.write_table("cc", "bb", "later")
    with pytest.raises(RevisionFailed):
        any_project.alembic.upgrade()
    assert "later" not in any_project.tables()
    with pytest.raises(RevisionFailed):
        any_project.alembic.upgrade()
    write(any_project)
    any_project.alembic.upgrade()
    assert "later" in any_project.tables()
    assert values(any_project) == {1}


def test_a_backfill_may_run_before_its_revision(any_project: Project) -> None:
    write(any_project, more=", before=True")
    any_project.write(
        "bb",
        "aa",
        "rows = op.get_bind().scalars(sa.text('SELECT n FROM item')).all()\n"
        "assert set(rows) == {1}",
        extra=HEADER + FILL.format(batch=7, more=", before=True", before="pass"),
    )
    any_project.alembic.upgrade()
    assert values(any_project) == {1}


def test_a_key_of_several_columns_is_gone_through_in_order(
    any_project: Project,
) -> None:
    any_project.write(
        "aa",
        None,
        "op.create_table('item', sa.Column('a', sa.Integer, primary_key=True),"
        " sa.Column('b', sa.String(9), primary_key=True),"
        " sa.Column('n', sa.Integer, nullable=False))\n"
        "for i in range(20):"
        " op.execute(f\"INSERT INTO item VALUES ({i % 3}, 'k{i:02}', 0)\")",
        extra=HEADER + FILL.format(batch=3, more="", before="pass"),
    )
    any_project.alembic.upgrade()
    assert values(any_project) == {1}


def test_a_downgrade_forgets_the_backfill(any_project: Project) -> None:
    write(any_project)
    any_project.alembic.upgrade()
    any_project.alembic.downgrade("aa")
    assert any_project.alembic.backfills() == []
    any_project.alembic.upgrade()
    assert values(any_project) == {2}


def test_a_backfill_of_a_stamped_revision_is_not_recorded(any_project: Project) -> None:
    write(any_project)
    any_project.alembic.upgrade("aa")
    any_project.alembic.stamp("bb")
    (info,) = any_project.alembic.backfills()
    assert info.state is BackfillState.NOT_RECORDED
    assert not any_project.alembic.upgrade()
    assert values(any_project) == {0}


def test_the_commands_show_and_finish_backfills(any_project: Project) -> None:
    assert "No applied revision" in any_project.run("backfill", "status").output
    write(any_project, before="assert max(batch.keys) < (50,)")
    assert any_project.run("upgrade").exit_code == RevisionFailed.exit_code
    assert "bb fill: running, 10 rows" in any_project.run("backfill", "status").output
    write(any_project)
    assert "bb fill: done, 25" in any_project.run("backfill").output


@pytest.mark.parametrize(
    ("table", "more", "message"),
    [
        ("nowhere", "", "'nowhere', which the database does not have"),
        ("bare", "", "no primary key to order by"),
        ("bare", ", key=['m']", "'m', which 'bare' does not have"),
    ],
)
def test_a_table_without_a_key_to_go_by_is_refused(
    project: Project, table: str, more: str, message: str
) -> None:
    fill = FILL.format(batch=1, more=more, before="pass").replace("item", table)
    project.write(
        "aa", None, "op.execute('CREATE TABLE bare (n INTEGER)')", extra=HEADER + fill
    )
    with project.app.app_context(), pytest.raises(MigrationError, match=message):
        project.alembic.upgrade()


def test_keys_of_every_usual_type_are_noted_exactly() -> None:
    key = (
        7,
        "text",
        uuid.UUID(int=3),
        dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
        dt.date(2026, 1, 2),
        decimal.Decimal("1.10"),
        b"\x00\xff",
    )
    assert decode(encode(key)) == key
    with pytest.raises(MigrationError, match="A key of type object"):
        encode([object()])


@pytest.mark.parametrize("arguments", [{"batch": 0}, {"pause": -1}])
def test_a_batch_of_nothing_is_refused(arguments: dict[str, t.Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        backfill("item", **arguments)


APP = """
    import os, pathlib
    import flask, sqlalchemy as sa
    from flaskware_alembic import Alembic
    app = flask.Flask("app", root_path=str(pathlib.Path(__file__).parent))
    app.secret_key = "k3y-0f-a-test:0123456789abcdef-XYZ"
    Alembic(
        metadata=sa.MetaData(), engine=sa.create_engine(os.environ["DB"]), app=app
    )
"""


@pytest.mark.slow
def test_a_backfill_that_was_killed_does_each_row_once(
    any_project: Project, any_url: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    marker = tmp_path / "batch"
    slow = (
        f"import pathlib, time; pathlib.Path({str(marker)!r}).touch(); time.sleep(0.2)"
    )
    write(any_project, batch=1, before=slow)
    command = [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"]
    for _ in range(3):
        marker.unlink(missing_ok=True)
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "DB": any_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 600
        while not marker.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (info,) = any_project.alembic.backfills()
    assert info.state is BackfillState.RUNNING
    assert 0 < info.rows < 25
    write(any_project)
    any_project.alembic.upgrade()
    assert values(any_project) == {1}


def test_progress_says_how_long_the_rest_takes(any_project: Project) -> None:
    write(any_project)
    any_project.alembic.upgrade("aa")
    with any_project.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE item")
        elif connection.dialect.name != "sqlite":
            connection.exec_driver_sql("ANALYZE TABLE item").all()
    seen: list[BackfillInfo] = []
    any_project.alembic.upgrade(on_progress=seen.append)
    assert seen[0].seconds_left is not None
    assert seen[0].seconds_left > 0
    assert " left" in str(seen[0])
    assert " left" not in str(seen[-1])


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.6, "5 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")]
)
def test_the_rest_is_said_in_the_units_that_suit(seconds: float, text: str) -> None:
    info = BackfillInfo(
        "bb", "fill", "item", None, BackfillState.RUNNING, 6, 50, seconds
    )
    assert str(info).endswith(f"item, about {text} left")


def test_the_keys_of_a_batch_are_read_when_they_are_asked_for(
    any_project: Project,
) -> None:
    write(
        any_project,
        before="assert [k for k, in batch.keys] == sorted(k for k, in batch.keys);"
        " assert len(batch.keys) == len(batch); assert batch.keys[-1] == batch.last",
    )
    any_project.alembic.upgrade()
    assert values(any_project) == {1}


LOCKS = {
    "postgresql": ("SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)"),
    "mysql": ("SELECT GET_LOCK('busy', 600)", "SELECT RELEASE_LOCK('busy')"),
}


def test_a_backfill_pauses_while_the_server_is_busy(
    make_project: t.Any, any_url: str
) -> None:
    project = make_project(any_url, ALEMBIC_BACKFILL_MAX_RUNNING=4)
    name = project.engine.dialect.name.replace("mariadb", "mysql")
    if name not in LOCKS:
        pytest.skip("nothing else runs in a file")
    take, release = LOCKS[name]
    said: list[str] = []

    def wait() -> None:
        with project.engine.connect() as connection:
            connection.exec_driver_sql(take)
            connection.exec_driver_sql(release)

    class Listener(logging.Handler):
        """Ends what keeps the server busy once the backfill says that it pauses."""

        def emit(self, record: logging.LogRecord) -> None:
            if not said:
                holder.exec_driver_sql(release)
            said.append(record.getMessage())

    waiting = [threading.Thread(target=wait) for _ in range(8)]
    listener, logger = Listener(), logging.getLogger("flaskware.alembic")
    with project.app.app_context(), project.engine.connect() as holder:
        write(project)
        project.alembic.upgrade("aa")
        holder.exec_driver_sql(take)
        for thread in waiting:
            thread.start()
        with project.engine.connect() as connection:
            while running_statements(connection) <= 4:
                connection.rollback()
        logger.addHandler(listener)
        before, level = logger.level, logging.INFO
        logger.setLevel(level)
        try:
            project.alembic.upgrade()
        finally:
            logger.setLevel(before)
            logger.removeHandler(listener)
            for thread in waiting:
                thread.join()
        assert "statements run for others" in said[0]
        assert values(project) == {1}
