"""The record of what revisions made is right, and is read only where it has to be."""

from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic._runtime import record

from .test_drift import by_hand
from .test_drift import drift

Project: t.TypeAlias = t.Any
ONE = "CREATE TABLE one (id INTEGER)"
# Ways to change a schema that no list of statements shows.
HIDDEN: dict[str, tuple[str, str]] = {
    "a cursor of the driver": (
        "sqlite postgresql mariadb",
        f"op.get_bind().connection.cursor().execute({ONE!r})",
    ),
    "a statement after others": (
        "postgresql",
        f"op.execute('SELECT 1; INSERT INTO note VALUES (2); {ONE}')",
    ),
    "a block": (
        "postgresql",
        f"op.execute('DO $$ BEGIN PERFORM 1; {ONE}; END $$')",
    ),
    "a function that is selected": (
        "postgresql",
        f"""
        op.execute('''CREATE FUNCTION pg_temp.make() RETURNS integer
            LANGUAGE plpgsql AS $$ BEGIN {ONE}; RETURN 1; END $$''')
        op.execute('SELECT pg_temp.make()')
        """,
    ),
    "a savepoint": (
        "sqlite postgresql",
        f"with op.get_bind().begin_nested():\n    op.execute({ONE!r})",
    ),
    "a block that commits": (
        "postgresql",
        f"""
        op.execute('INSERT INTO note VALUES (2)')
        with op.get_context().autocommit_block():
            op.execute({ONE!r})
        """,
    ),
    "a procedure": (
        "mariadb",
        f"""
        op.execute('CREATE OR REPLACE PROCEDURE make() BEGIN {ONE}; END')
        op.execute('CALL make()')
        op.execute('DROP PROCEDURE make')
        """,
    ),
    "a prepared statement": (
        "mariadb",
        f"op.execute(\"EXECUTE IMMEDIATE '{ONE}'\")",
    ),
}


@pytest.mark.parametrize("way", HIDDEN)
def test_a_change_is_recorded_in_whatever_way_it_is_sent(
    any_project: Project, way: str
) -> None:
    kinds, code = HIDDEN[way]
    if any_project.engine.dialect.name not in kinds:
        pytest.skip(f"only on {kinds}")
    any_project.write_table("aa", None, "note")
    any_project.write("bb", "aa", "op.execute('INSERT INTO note VALUES (1)')")
    any_project.write("cc", "bb", code, "op.drop_table('one')")
    any_project.alembic.upgrade()
    assert not drift(any_project)
    by_hand(any_project, "ALTER TABLE one ADD COLUMN more INTEGER")
    (change,) = drift(any_project).changes
    assert change.what == "column one.more"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An item for each time that a schema was read."""
    done: list[int] = []

    def read(*args: t.Any, **kwargs: t.Any) -> t.Any:
        done.append(1)
        return original(*args, **kwargs)

    original = record.read_schema
    monkeypatch.setattr(record, "read_schema", read)
    return done


def test_a_revision_that_changes_no_schema_reads_none(
    any_project: Project, reads: list[int]
) -> None:
    any_project.write_table("r0", None, "note")
    for number in range(1, 5):
        rows = (
            f"op.execute('INSERT INTO note VALUES ({number})')\n"
            "op.execute('UPDATE note SET id = id + 10')\n"
            "op.get_bind().execute(sa.text('SELECT count(*) FROM note')).all()"
        )
        back = "op.execute('DELETE FROM note')"
        any_project.write(f"r{number}", f"r{number - 1}", rows, back)
    any_project.alembic.upgrade()
    # Before all of them, and after the first.
    assert len(reads) == 2
    any_project.alembic.downgrade("r0")
    assert len(reads) == 3
    found = drift(any_project)
    assert not found
    assert not found.unrecorded


def test_a_connection_that_commits_each_statement_is_recorded_too(
    make_project: t.Any, postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    project = make_project(postgresql_url)
    project.use(project.engine.execution_options(isolation_level="AUTOCOMMIT"))
    project.write_table("aa", None, "note")
    with project.app.app_context():
        project.alembic.upgrade()
        assert "cannot be read" not in caplog.text
        assert not drift(project)
        by_hand(project, "ALTER TABLE note ADD COLUMN more INTEGER")
        (change,) = drift(project).changes
    assert change.what == "column note.more"


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_partitions_that_come_and_go_with_time_are_data(
    make_project: t.Any, request: pytest.FixtureRequest, kind: str
) -> None:
    project = make_project(request.getfixturevalue(f"{kind}_url"))
    project.write("aa", None, "\n".join(f"op.execute({s!r})" for s in MADE[kind]))
    with project.app.app_context():
        project.alembic.upgrade()
        project.alembic.snapshot()
        sa.Table("log", project.metadata, autoload_with=project.engine)
        for statement in ROTATED[kind]:
            by_hand(project, statement)
            assert not drift(project), statement
            project.alembic.check(models=True)
        # How it is divided is schema.
        for statement in DIVIDED[kind]:
            by_hand(project, statement)
        assert drift(project)


MADE = {
    "postgresql": [
        "CREATE TABLE log (id integer NOT NULL) PARTITION BY RANGE (id)",
        "CREATE INDEX ix_log ON log (id)",
        "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10) TO (20)",
    ],
    "mariadb": [
        """CREATE TABLE log (id INTEGER NOT NULL, KEY ix_log (id))
        PARTITION BY RANGE (id) (PARTITION p1 VALUES LESS THAN (10),
        PARTITION p2 VALUES LESS THAN (20))"""
    ],
}
ROTATED = {
    "postgresql": [
        "CREATE TABLE log_3 PARTITION OF log FOR VALUES FROM (20) TO (30)",
        "DROP TABLE log_1",
    ],
    "mariadb": [
        "ALTER TABLE log ADD PARTITION (PARTITION p3 VALUES LESS THAN (30))",
        "ALTER TABLE log DROP PARTITION p1",
    ],
}
DIVIDED = {
    "postgresql": [
        "DROP TABLE log",
        "CREATE TABLE log (id integer NOT NULL) PARTITION BY LIST (id)",
        "CREATE INDEX ix_log ON log (id)",
    ],
    "mariadb": [
        "ALTER TABLE log PARTITION BY LIST (id) (PARTITION p1 VALUES IN (1, 2))"
    ],
}
