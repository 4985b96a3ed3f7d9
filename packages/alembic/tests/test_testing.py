from __future__ import annotations

import subprocess
import sys
import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic.testing import assert_data_survives
from flaskware_alembic.testing import assert_migrations
from flaskware_alembic.testing import assert_models_match
from flaskware_alembic.testing import assert_round_trip
from flaskware_alembic.testing import assert_single_head

Project: t.TypeAlias = t.Any


def test_good_migrations_pass(any_project: Project) -> None:
    any_project.add_table("one", sa.Column("name", sa.String(20), index=True))
    any_project.alembic.revision("one")
    assert_migrations(any_project.alembic)
    assert any_project.tables() == {"one", "alembic_version"}


def test_several_heads_fail(project: Project, in_context: t.Any) -> None:
    project.write("aa", None)
    project.write("bb", "aa")
    project.write("cc", "aa")
    with pytest.raises(AssertionError, match="bb revision bb"):
        assert_single_head(project.alembic)


def test_a_downgrade_that_leaves_a_table_fails(any_project: Project) -> None:
    any_project.write("aa", None, "op.execute('CREATE TABLE one (id INTEGER)')")
    with pytest.raises(AssertionError, match="leaves the tables one"):
        assert_round_trip(any_project.alembic)


def test_a_table_that_was_there_before_may_stay(any_project: Project) -> None:
    with any_project.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE older (id INTEGER)"))
    any_project.write_table("aa", None, "one")
    assert_round_trip(any_project.alembic)
    assert any_project.tables() == {"older", "one", "alembic_version"}


def test_models_without_a_revision_fail(any_project: Project) -> None:
    any_project.add_table("one")
    any_project.write_table("aa", None, "one")
    assert_models_match(any_project.alembic)
    any_project.add_table("two")
    with pytest.raises(AssertionError, match="add table two"):
        assert_models_match(any_project.alembic)


def write_split(project: Project, copy: str) -> None:
    project.write(
        "aa",
        None,
        "op.create_table('person', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('name', sa.String(40)))",
        "op.drop_table('person')",
    )
    project.write(
        "bb",
        "aa",
        "op.add_column('person', sa.Column('last', sa.String(40)))\n" + copy,
        "with op.batch_alter_table('person') as b: b.drop_column('last')",
    )


BEFORE = {"person": [{"id": 1, "name": "Ada Lovelace"}, {"id": 2, "name": "Alan"}]}


def test_rows_that_a_revision_keeps_pass(any_project: Project) -> None:
    write_split(any_project, 'op.execute("UPDATE person SET last = name")')
    assert_data_survives(any_project.alembic, "bb", BEFORE)
    assert_data_survives(
        any_project.alembic,
        "bb",
        BEFORE,
        {"person": [{"last": "Ada Lovelace"}, {"last": "Alan"}]},
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("op.execute('DELETE FROM person WHERE id = 2')", "lost are .*'id': 2"),
        ("op.execute(\"UPDATE person SET name = 'x'\")", "there are .*'name': 'x'"),
        (
            "with op.batch_alter_table('person') as b: b.drop_column('name')",
            "leaves no column name",
        ),
    ],
)
def test_rows_that_a_revision_loses_fail(
    any_project: Project, code: str, message: str
) -> None:
    write_split(any_project, code)
    with pytest.raises(AssertionError, match=message):
        assert_data_survives(any_project.alembic, "bb", BEFORE)


PLUGIN_TEST = """
import flask, pytest, sqlalchemy as sa
from flaskware_alembic import Alembic

pytest_plugins = ["flaskware_alembic.testing"]

@pytest.fixture
def app(tmp_path):
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "aa.py").write_text(
        "import sqlalchemy as sa\\nfrom alembic import op\\n"
        "revision = 'aa'\\ndown_revision = None\\n"
        "def upgrade(): op.create_table('item', sa.Column('id', sa.Integer))\\n"
        "def downgrade(): op.drop_table('item')\\n"
    )
    metadata = sa.MetaData()
    sa.Table("item", metadata, sa.Column("id", sa.Integer))
    app = flask.Flask("site", root_path=str(tmp_path))
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    Alembic(metadata=metadata, engine=engine, app=app)
    yield app
    engine.dispose()

def test_all(alembic_runner):
    alembic_runner.check_all()

def test_data(alembic_runner):
    alembic_runner.check_data("aa", {}, {"item": []})
    alembic_runner.upgrade()
"""


def test_the_plugin_gives_a_runner_for_the_app(tmp_path: t.Any) -> None:
    (tmp_path / "test_it.py").write_text(PLUGIN_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "2 passed" in done.stdout, done.stdout
