"""Deploys of several processes behind pgbouncer in transaction mode."""

from __future__ import annotations

import contextlib
import typing as t

import pytest
import sqlalchemy as sa

from flaskware_core.testing import temporary_pgbouncer

from .test_lock import hold
from .test_lock import processes as processes

Project: t.TypeAlias = t.Any
DRIVERS = ["psycopg", "psycopg2"]


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def any_url(postgresql_url: str) -> str:
    """The URL of the database itself, for what a test looks at."""
    return postgresql_url


@pytest.fixture
def project(any_project: Project) -> Project:
    """Six revisions, of which the third commits half way."""
    before: str | None = None
    for number in range(6):
        any_project.write_table(f"r{number}", before, f"t{number}")
        before = f"r{number}"
    any_project.write(
        "r2",
        "r1",
        "op.create_table('t2', sa.Column('id', sa.Integer))\n"
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('ix', 't1', ['id'], postgresql_concurrently=True)",
    )
    return t.cast("Project", any_project)


@contextlib.contextmanager
def pooled(project: Project, driver: str, size: int) -> t.Iterator[str]:
    """The URL of the database behind a pgbouncer with some connections."""
    url = project.engine.url.render_as_string(hide_password=False)
    with temporary_pgbouncer(url, pool_size=size) as pooled:
        made = sa.make_url(pooled).set(drivername=f"postgresql+{driver}")
        yield made.render_as_string(hide_password=False)


def advisory_locks(project: Project) -> int:
    query = (
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE l.locktype = 'advisory' AND d.datname = current_database()"
    )
    with project.engine.connect() as connection:
        return int(connection.scalar(sa.text(query)) or 0)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 20])
def test_one_of_eight_processes_runs_the_revisions_and_the_others_wait(
    project: Project, processes: t.Any, driver: str, size: int
) -> None:
    with pooled(project, driver, size) as url:
        started = [processes("upgrade", DB=url, WAIT="300") for _ in range(8)]
        outputs = [process.communicate(timeout=600) for process in started]
        assert [process.returncode for process in started] == [0] * 8, outputs
        assert sum("upgrade r" in out for out, _ in outputs) == 1
        assert not any("Traceback" in error for _, error in outputs)
        # Nothing stays on the connections that the pooler keeps.
        assert advisory_locks(project) == 0
        again = processes("upgrade", DB=url)
        assert again.communicate(timeout=60)[0].startswith("Nothing to do")
    assert len(project.tables()) == 7


@pytest.mark.slow
def test_the_next_deploy_goes_on_where_one_was_killed(
    project: Project, processes: t.Any, driver: str
) -> None:
    with pooled(project, driver, 3) as url:

        def behind(*args: str) -> t.Any:
            return processes(*args, DB=url)

        holder = hold(project, behind)
        late = processes("upgrade", DB=url, WAIT="0.3")
        _, error = late.communicate(timeout=60)
        assert late.returncode == 7
        assert "the PostgreSQL session" in error
        assert "Traceback" not in error
        holder.kill()
        holder.communicate()
        project.write_table("r0", None, "t0")
        after = behind("upgrade")
        out, error = after.communicate(timeout=60)
        assert after.returncode == 0, error
        assert "upgrade r5" in out
        assert advisory_locks(project) == 0


def test_a_pool_of_one_is_refused_in_words(
    project: Project, processes: t.Any, driver: str
) -> None:
    with pooled(project, driver, 1) as url:
        alone = processes("upgrade", DB=url, WAIT="0.3")
        _, error = alone.communicate(timeout=120)
        assert alone.returncode == 1
        assert "Waiting for a second connection of the pooler" in error
        assert "gave no second connection in 10 seconds. An upgrade needs two" in error
        assert "default_pool_size" in error
        assert "Traceback" not in error
        # What needs no lock goes on as before, and nothing of the upgrade stays.
        shown = processes("current", DB=url)
        assert "No database has a revision yet" in shown.communicate(timeout=60)[0]
        assert shown.returncode == 0
    assert advisory_locks(project) == 0
    assert project.tables() == set()
