from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import DatabaseAhead
from flaskware_alembic import DatabaseDiverged
from flaskware_alembic import ModelsChanged
from flaskware_alembic import PendingRevisions
from flaskware_alembic import State

Project: t.TypeAlias = t.Any


def test_up_to_date_is_returned(any_project: Project) -> None:
    any_project.add_table("one")
    any_project.write_table("aa", None, "one")
    any_project.alembic.upgrade()
    status = any_project.alembic.check()
    assert status.state is State.UP_TO_DATE
    assert status.binds[0].current == ("aa",)
    assert str(status) == "default: up to date"


def test_pending_revisions_are_listed_in_order(any_project: Project) -> None:
    any_project.add_table("one")
    any_project.write_table("bb", None, "one")
    any_project.write("aa", "bb")
    with pytest.raises(PendingRevisions) as caught:
        any_project.alembic.check()
    assert caught.value.exit_code == 5
    assert caught.value.status.state is State.PENDING
    [bind] = caught.value.status.binds
    assert [info.id for info in bind.pending] == ["bb", "aa"]
    assert "flask db upgrade" in str(caught.value)


def test_changed_models_are_listed(any_project: Project) -> None:
    any_project.add_table("one")
    any_project.add_table("two", sa.Column("one_id", sa.ForeignKey("one.id")))
    any_project.write_table("aa", None, "one")
    any_project.alembic.upgrade()
    with pytest.raises(ModelsChanged, match="add table two") as caught:
        any_project.alembic.check()
    assert caught.value.exit_code == 6
    assert caught.value.status.binds[0].changes == ("add table two",)


def test_tables_that_no_model_has_count_as_a_change(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    any_project.alembic.upgrade()
    with pytest.raises(ModelsChanged, match="remove table one"):
        any_project.alembic.check()


def test_models_need_not_be_compared(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    any_project.alembic.upgrade()
    assert any_project.alembic.check(models=False).state is State.UP_TO_DATE


def test_ahead_says_which_revision(any_project: Project) -> None:
    path = any_project.write_table("aa", None, "one")
    any_project.alembic.upgrade()
    path.unlink()
    status = any_project.alembic.status()
    assert status.state is State.AHEAD
    assert status.binds[0].unknown == ("aa",)
    with pytest.raises(DatabaseAhead, match="aa is not in the code"):
        any_project.alembic.check()


def test_asking_leaves_the_database_as_it_was(any_project: Project) -> None:
    any_project.add_table("one")
    any_project.write_table("aa", None, "one")
    any_project.alembic.status()
    any_project.alembic.plan()
    any_project.alembic.current()
    assert any_project.tables() == set()


def test_the_version_table_can_have_another_name(make_project: t.Any) -> None:
    project = make_project(ALEMBIC_VERSION_TABLE="shop_version")
    project.add_table("one")
    project.write_table("aa", None, "one")
    with project.app.app_context():
        project.alembic.upgrade()
        project.alembic.check()
    assert project.tables() == {"one", "shop_version"}


def test_a_database_on_another_line_of_history_is_diverged(
    any_project: Project,
) -> None:
    any_project.write_table("aa", None, "one")
    any_project.alembic.upgrade()
    other = any_project.write_table("bb", "aa", "theirs")
    any_project.alembic.upgrade()
    other.unlink()
    any_project.add_table("one")
    any_project.write_table("cc", "aa", "ours")
    assert any_project.alembic.status().state is State.AHEAD
    any_project.add_table("ours")
    with pytest.raises(DatabaseDiverged, match="add table ours") as caught:
        any_project.alembic.check()
    assert caught.value.revisions == ("bb",)
    assert any_project.run("check").exit_code == 14


def test_two_heads_in_the_database_of_which_one_is_unknown_are_diverged(
    any_project: Project,
) -> None:
    any_project.write_table("aa", None, "one")
    other = any_project.write_table("bb", "aa", "theirs")
    any_project.write_table("cc", "aa", "ours")
    any_project.alembic.upgrade()
    other.unlink()
    any_project.write_table("dd", "cc", "later")
    (status,) = any_project.alembic.status(models=False).binds
    assert status.state is State.DIVERGED
    assert [info.id for info in status.pending] == ["dd"]


def test_what_is_wrong_comes_first(project: Project, tmp_path: t.Any) -> None:
    path = project.write_table("s1", None, "shop")
    (tmp_path / "shop").mkdir()
    path.rename(tmp_path / "shop" / "s1.py")
    project.alembic.register("shop", path=tmp_path / "shop")
    project.run("upgrade")
    project.write_table("aa", None, "one")
    output = project.run("check", "--no-models").output
    assert output.startswith("Error: default: pending\n")
    assert "shop: up to date" in output
