from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa

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
