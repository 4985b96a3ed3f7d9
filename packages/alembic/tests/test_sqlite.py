from __future__ import annotations

import collections.abc as cabc
import sys
import typing as t

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from flaskware_alembic import MigrationError

Project: t.TypeAlias = t.Any

PARENTS = """
op.create_table("author", sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("name", sa.String(20)))
op.create_table("book", sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("author_id", sa.Integer,
                          sa.ForeignKey("author.id", ondelete="CASCADE")))
op.execute("INSERT INTO author VALUES (1, 'Ada')")
op.execute("INSERT INTO book VALUES (1, 1)")
"""
REBUILD = """
with op.batch_alter_table("author") as batch:
    batch.alter_column("name", type_=sa.String(90), nullable=False)
"""


@pytest.fixture
def guarded(project: Project, in_context: t.Any) -> Project:
    """A project whose connections have foreign keys on."""

    @event.listens_for(project.engine, "connect")
    def turn_on(connection: t.Any, record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    return project


def test_rebuilding_a_table_keeps_the_rows_that_refer_to_it(guarded: Project) -> None:
    guarded.write("aa", None, PARENTS)
    guarded.write("bb", "aa", REBUILD)
    guarded.alembic.upgrade()
    with guarded.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM book")) == 1


def test_foreign_keys_are_on_again_afterwards(guarded: Project) -> None:
    guarded.write("aa", None, PARENTS)
    guarded.alembic.upgrade()
    with guarded.engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA foreign_keys")) == 1


def test_a_revision_that_breaks_a_reference_is_refused(guarded: Project) -> None:
    guarded.write("aa", None, PARENTS)
    guarded.write("bb", "aa", "op.execute('DELETE FROM author')")
    with pytest.raises(MigrationError, match="book -> author"):
        guarded.alembic.upgrade()
    with guarded.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM author")) == 1
    assert [info.id for info in guarded.alembic.current()] == ["aa"]


def test_references_that_were_broken_before_do_not_stop_a_revision(
    guarded: Project,
) -> None:
    guarded.write("aa", None, PARENTS)
    guarded.alembic.upgrade()
    with guarded.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("DELETE FROM author")
        connection.commit()
    guarded.write("bb", "aa", REBUILD)
    assert len(guarded.alembic.upgrade()) == 1


def test_an_engine_that_begins_by_itself_is_left_to_it(
    guarded: Project, in_context: t.Any
) -> None:
    # The recipe of SQLAlchemy's documentation for transactions on SQLite.
    @event.listens_for(guarded.engine, "connect")
    def no_driver_transactions(connection: t.Any, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(guarded.engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    guarded.write("aa", None, PARENTS)
    guarded.write("bb", "aa", REBUILD + "raise RuntimeError\n")
    with pytest.raises(MigrationError):
        guarded.alembic.upgrade()
    columns = sa.inspect(guarded.engine).get_columns("author")
    assert str(columns[1]["type"]) == "VARCHAR(20)"
    assert [info.id for info in guarded.alembic.current()] == ["aa"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
@pytest.mark.parametrize("autocommit", [True, False])
def test_both_modes_of_the_driver_work(
    autocommit: bool, make_project: cabc.Callable[..., Project]
) -> None:
    project = make_project()
    project.engine.dispose()
    project.use(
        sa.create_engine(project.engine.url, connect_args={"autocommit": autocommit})
    )

    @event.listens_for(project.engine, "connect")
    def turn_on(connection: t.Any, record: object) -> None:
        connection.autocommit = True
        connection.execute("PRAGMA foreign_keys = ON")
        connection.autocommit = autocommit

    project.write("aa", None, PARENTS)
    project.write("bb", "aa", REBUILD)
    with project.app.app_context():
        assert len(project.alembic.upgrade()) == 2
        assert [info.id for info in project.alembic.current()] == ["bb"]
    with project.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM book")) == 1
        assert connection.scalar(sa.text("PRAGMA foreign_keys")) == 1


def test_an_autocommit_block_is_outside_of_any_transaction(
    project: Project, in_context: t.Any
) -> None:
    project.write(
        "aa",
        None,
        """
        op.execute("CREATE TABLE one (id INTEGER)")
        with op.get_context().autocommit_block():
            op.execute("VACUUM")
        """,
    )
    assert len(project.alembic.upgrade()) == 1


def test_a_lock_file_that_cannot_be_opened_is_named(
    project: Project, in_context: t.Any, tmp_path: t.Any
) -> None:
    project.write_table("aa", None, "one")
    (tmp_path / "app.db.migrate-lock").mkdir()
    with pytest.raises(MigrationError, match=r"app\.db\.migrate-lock cannot be opened"):
        project.alembic.upgrade()
    assert project.tables() == set()


def test_the_sql_of_a_rebuild_needs_a_database(
    project: Project, in_context: t.Any
) -> None:
    project.write("aa", None, PARENTS)
    project.write("bb", "aa", REBUILD)
    sql = project.alembic.sql()
    assert "CREATE TABLE" in sql
    assert "Revision bb is not written here: it rebuilds a table" in sql


def test_a_database_in_memory_needs_no_lock_file(
    make_project: cabc.Callable[..., Project], tmp_path: t.Any
) -> None:
    project = make_project("sqlite://")
    project.write_table("aa", None, "one")
    with project.app.app_context():
        project.alembic.upgrade()
        assert [info.id for info in project.alembic.current()] == ["aa"]
    assert [path.name for path in tmp_path.iterdir()] == ["migrations"]
