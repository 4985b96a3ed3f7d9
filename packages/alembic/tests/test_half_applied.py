"""A revision that MariaDB cut off half way is noticed, and can be finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flaskware_alembic import HalfApplied
from flaskware_alembic import MigrationError
from flaskware_alembic import RevisionFailed
from flaskware_alembic._runtime.journal import Journal

from .test_backfill import APP

Project: t.TypeAlias = t.Any
STEPS = [
    (
        "op.create_table('one', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('n', sa.Integer))"
    ),
    "op.execute('INSERT INTO one VALUES (1, 10)')",
    "op.create_index('ix_n', 'one', ['n'])",
    "op.execute('UPDATE one SET n = n + 1')",
    "op.add_column('one', sa.Column('m', sa.Integer, server_default='5'))",
    "op.create_unique_constraint('uq_m', 'one', ['id', 'm'])",
    "op.drop_index('ix_n', 'one')",
    "op.execute('ALTER TABLE one RENAME COLUMN n TO k')",
    "op.execute('INSERT INTO one VALUES (2, 20, 6)')",
]


@pytest.fixture
def maria(mariadb_url: str, make_project: t.Any) -> t.Any:
    project = make_project(mariadb_url)
    with project.app.app_context():
        yield project


def state(project: Project) -> tuple[object, ...]:
    """The schema, with the rows."""
    with project.engine.connect() as connection:
        made = connection.exec_driver_sql("SHOW CREATE TABLE one").one()[1]
        rows = connection.exec_driver_sql("SELECT * FROM one ORDER BY id").all()
        return made, tuple(rows), tuple(sorted(project.tables()))


@pytest.fixture
def whole(maria: Project) -> tuple[object, ...]:
    """What the revision makes when nothing goes wrong."""
    maria.write("aa", None, "\n".join(STEPS), "op.drop_table('one')")
    maria.alembic.upgrade()
    found = state(maria)
    maria.alembic.downgrade("base")
    return found


@pytest.mark.parametrize("place", range(1, len(STEPS) + 1))
def test_a_revision_that_raised_is_finished_with_resume(
    maria: Project, whole: tuple[object, ...], place: int
) -> None:
    steps = [*STEPS[:place], "raise RuntimeError('cut')", *STEPS[place:]]
    maria.write("aa", None, "\n".join(steps), "op.drop_table('one')")
    with pytest.raises(RevisionFailed, match="--resume"):
        maria.alembic.upgrade()
    maria.write("aa", None, "\n".join(STEPS), "op.drop_table('one')")
    with pytest.raises(HalfApplied, match="flask db upgrade --resume") as caught:
        maria.alembic.upgrade()
    assert caught.value.exit_code == 13
    assert "CREATE TABLE one" in caught.value.entries[0].statement
    maria.alembic.upgrade(resume=True)
    assert state(maria) == whole
    maria.alembic.check(models=False)


def test_a_statement_that_the_database_refused_is_not_taken_for_done(
    maria: Project,
) -> None:
    maria.write("aa", None, f"{STEPS[0]}\nop.drop_column('one', 'nowhere')")
    with pytest.raises(RevisionFailed):
        maria.alembic.upgrade()
    maria.write("aa", None, "\n".join(STEPS[:1]))
    with pytest.raises(HalfApplied) as caught:
        maria.alembic.upgrade()
    assert len(caught.value.entries) == 1
    maria.alembic.upgrade(resume=True)


def test_what_was_done_may_not_be_changed_before_it_goes_on(maria: Project) -> None:
    maria.write("aa", None, f"{STEPS[0]}\nraise RuntimeError('cut')")
    with pytest.raises(RevisionFailed):
        maria.alembic.upgrade()
    maria.write_table("aa", None, "two")
    with pytest.raises(MigrationError, match="was changed where it had been applied"):
        maria.alembic.upgrade(resume=True)


def test_a_stamp_says_that_it_was_mended_by_hand(maria: Project) -> None:
    maria.write("aa", None, f"{STEPS[0]}\nraise RuntimeError('cut')")
    with pytest.raises(RevisionFailed):
        maria.alembic.upgrade()
    maria.write("aa", None, STEPS[0])
    maria.alembic.stamp("aa")
    assert not maria.alembic.upgrade()


def test_a_statement_of_which_the_schema_is_silent_is_asked_about(
    maria: Project,
) -> None:
    maria.write("aa", None, "op.execute('CREATE TABLE two (id INT) COMMENT = \"x\"')")
    (migrator,) = maria.alembic.state.selection().migrators
    journal = Journal(migrator.versions)
    with maria.engine.connect() as connection:
        journal.create(connection)
        connection.execute(
            sa.insert(journal._table).values(
                revision="aa",
                direction="upgrade",
                position=0,
                statement="ALTER DATABASE x COMMENT 'y'",
                is_done=False,
            )
        )
        connection.commit()
    with pytest.raises(HalfApplied, match="--assume done or --assume undone"):
        maria.alembic.upgrade(resume=True)
    result = maria.run("upgrade", "--resume", "--assume", "undone")
    assert result.exit_code == 0, result.output
    assert "two" in maria.tables()


@pytest.mark.slow
def test_a_revision_that_was_killed_at_any_moment_ends_the_same(
    maria: Project,
    whole: tuple[object, ...],
    mariadb_url: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    marker = tmp_path / "step"
    for place in (2, 4, 6, 8):
        pause = f"import time; open({str(marker)!r}, 'w').close(); time.sleep(30)"
        steps = [*STEPS[:place], pause, *STEPS[place:]]
        maria.write("aa", None, "\n".join(steps), "op.drop_table('one')")
        marker.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"],
            cwd=tmp_path,
            env={**os.environ, "DB": mariadb_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 600
        while not marker.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        maria.write("aa", None, "\n".join(STEPS), "op.drop_table('one')")
        with pytest.raises(HalfApplied):
            maria.alembic.upgrade()
        maria.alembic.upgrade(resume=True)
        assert state(maria) == whole
        maria.alembic.downgrade("base")
