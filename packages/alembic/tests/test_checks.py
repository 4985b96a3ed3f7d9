from __future__ import annotations

import typing as t

import click
import sqlalchemy as sa

from flaskware_core import examine
from flaskware_core import Level

Project: t.TypeAlias = t.Any


def found(project: Project) -> dict[str, Level]:
    report = examine(project.app)
    return {f.id: f.level for f in report.findings if f.id.startswith("alembic.")}


def test_a_database_that_is_up_to_date_gives_no_finding(project: Project) -> None:
    project.write_table("aa", None, "one")
    project.run("upgrade")
    assert found(project) == {}


def test_pending_revisions_are_found(project: Project) -> None:
    project.write_table("aa", None, "one")
    assert found(project) == {"alembic.pending": Level.WARNING}


def test_a_database_ahead_is_found(project: Project) -> None:
    path = project.write_table("aa", None, "one")
    project.run("upgrade")
    path.unlink()
    assert found(project) == {"alembic.ahead": Level.ERROR}


def test_several_heads_are_found(project: Project) -> None:
    project.write("aa", None)
    project.write("bb", "aa")
    project.write("cc", "aa")
    project.run("upgrade")
    assert found(project) == {"alembic.several-heads": Level.ERROR}


def test_revision_files_that_cannot_be_used_are_found(project: Project) -> None:
    project.write("aa", "zz")
    assert found(project) == {"alembic.unusable": Level.ERROR}


def test_a_database_that_does_not_answer_is_found(make_project: t.Any) -> None:
    project = make_project("postgresql+psycopg://x@127.0.0.1:1/x")
    assert found(project) == {"alembic.unreachable": Level.WARNING}


def test_a_command_that_another_took_later_is_found(project: Project) -> None:
    project.app.cli.add_command(click.Group("db"))
    assert found(project) == {"alembic.command-taken": Level.WARNING}


def test_a_revision_that_edits_a_table_of_another_tree_is_found(
    project: Project, tmp_path: t.Any
) -> None:
    metadata = sa.MetaData()
    sa.Table("shop", metadata, sa.Column("id", sa.Integer, primary_key=True))
    path = project.write_table("s1", None, "shop")
    (tmp_path / "shop").mkdir()
    path.rename(tmp_path / "shop" / "s1.py")
    project.alembic.register("shop", path=tmp_path / "shop", metadata=metadata)
    project.write("aa", None, "op.add_column('shop', sa.Column('n', sa.Integer))")
    with project.app.app_context():
        project.alembic.upgrade()
    assert found(project) == {"alembic.foreign-table": Level.WARNING}


def test_a_database_on_another_line_is_found(project: Project) -> None:
    path = project.write("aa", None)
    project.write("bb", None)
    project.run("upgrade")
    path.unlink()
    project.write("cc", "bb")
    assert found(project) == {"alembic.diverged": Level.ERROR}


LIMITS = {"alembic.no-lock-timeout", "alembic.no-statement-timeout"}


def limits(project: Project) -> set[str]:
    report = examine(project.app, deploy=True)
    return {f.id for f in report.findings} & LIMITS


def test_a_wait_without_a_limit_is_said_once_and_for_deploys(
    any_project: Project, make_project: t.Any
) -> None:
    any_project.write_table("aa", None, "one")
    any_project.write_table("bb", "aa", "two")
    any_project.alembic.upgrade()
    has_locks = any_project.engine.dialect.name != "sqlite"
    assert limits(any_project) == (LIMITS if has_locks else set())
    assert not LIMITS & set(found(any_project))
    url = any_project.engine.url.render_as_string(hide_password=False)
    settings = {"ALEMBIC_TABLE_LOCK_TIMEOUT": 5, "ALEMBIC_STATEMENT_TIMEOUT": 60}
    assert limits(make_project(url, **settings)) == set()


def test_a_limit_of_the_server_is_enough(
    make_project: t.Any, postgresql_url: str
) -> None:
    more = "&" if "?" in postgresql_url else "?"
    options = "options=-c%20lock_timeout%3D5s%20-c%20statement_timeout%3D60s"
    assert limits(make_project(f"{postgresql_url}{more}{options}")) == set()
