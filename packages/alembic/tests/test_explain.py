from __future__ import annotations

import typing as t

import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_core.testing import make_app

Project: t.TypeAlias = t.Any


def ids(project: Project) -> list[str]:
    return [found.id for found in project.alembic.explain()]


def test_models_that_were_not_imported_are_the_reason(any_project: Project) -> None:
    assert ids(any_project) == ["no-models"]
    output = any_project.run("migrate").output
    assert "Why: flask db doctor" in output
    assert "were not imported" in any_project.run("doctor").output


def test_tables_that_create_all_made_are_the_reason(any_project: Project) -> None:
    any_project.add_table("item")
    any_project.metadata.create_all(any_project.engine)
    first, second = any_project.alembic.explain()
    assert first.id == "made-by-create-all"
    assert "item" in first.message
    assert second.id == "same"


def test_pending_revisions_are_the_reason(any_project: Project) -> None:
    any_project.add_table("item")
    any_project.write_table("aa", None, "item")
    assert ids(any_project) == ["pending"]


def test_what_is_compared_is_listed_where_all_is_the_same(any_project: Project) -> None:
    any_project.add_table("item")
    any_project.write_table("aa", None, "item")
    any_project.alembic.upgrade()
    (found,) = any_project.alembic.explain()
    assert found.id == "same"
    assert "item" in found.message
    assert "a model is missing from that list" in found.advice


def test_changes_are_named_where_there_are_some(any_project: Project) -> None:
    any_project.add_table("item")
    (found,) = any_project.alembic.explain()
    assert found.id == "changes"
    assert "add table item" in found.message


def test_a_database_ahead_is_the_reason(any_project: Project) -> None:
    any_project.add_table("item")
    path = any_project.write_table("aa", None, "item")
    any_project.alembic.upgrade()
    path.unlink()
    assert ids(any_project) == ["ahead"]


def test_a_database_without_metadata_is_the_reason(make_project: t.Any) -> None:
    project = make_project()
    engines = {None: project.engine, "audit": project.engine}
    alembic = Alembic(metadata={"audit": sa.MetaData()}, engine=engines)
    app = make_app(alembic, ALEMBIC_DIRECTORY=str(project.folder))
    project.write("aa", None)
    with app.app_context():
        assert [found.id for found in alembic.explain()] == ["no-metadata", "no-models"]
