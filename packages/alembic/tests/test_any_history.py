"""Revisions as people write them: each command says why it cannot follow one."""

from __future__ import annotations

import json
import typing as t
from importlib.metadata import version

import pytest
import sqlalchemy as sa

from flaskware_alembic import PlanStep
from flaskware_alembic import RevisionFileError

Project: t.TypeAlias = t.Any

# What revisions do, and what is said of it.
HABITS = {
    "reads": ("op.get_bind().execute(sa.text('SELECT 1')).scalar_one()", "reads from"),
    "loops": (
        "for _ in op.get_bind().execute(sa.text('SELECT 1')): pass",
        "reads from",
    ),
    "inspects": ("sa.inspect(op.get_bind()).get_table_names()", "inspects the schema"),
    "url": ("str(op.get_bind().engine.url)", "asks the connection for `url`"),
    "offline": (
        "if context.is_offline_mode(): raise RuntimeError('not offline')",
        "not offline",
    ),
    "raises": ("raise KeyError('x')", "KeyError"),
    "session": (
        "sa.orm.Session(bind=op.get_bind()).scalar(sa.text('SELECT 1'))",
        "reads from",
    ),
    "older": (
        "op.get_bind().execute(sa.text('SELECT 1'), one=1)",
        "Connection.execute()",
    ),
    "exits": ("op.get_bind().begin_twophase()", "asks the connection for"),
}


apart = pytest.mark.skipif(
    version("click").startswith(("8.0", "8.1")), reason="its runner mixes both outputs"
)


def write(project: Project, id: str, down: str | None, code: str) -> None:
    project.write(
        id, down, code, extra="from alembic import context\nimport sqlalchemy.orm"
    )


def steps(project: Project) -> dict[str, PlanStep]:
    return {step.revision.id: step for step in project.alembic.plan()}


@pytest.mark.parametrize("habit", HABITS)
def test_one_line_says_why_a_revision_is_not_written(
    project: Project, in_context: t.Any, habit: str
) -> None:
    code, reason = HABITS[habit]
    project.write_table("aa", None, "one")
    write(project, "bb", "aa", code)
    project.write_table("cc", "bb", "three")
    planned = steps(project)
    assert "CREATE TABLE one" in str(planned["aa"].sql)
    assert planned["bb"].sql is None
    assert reason in str(planned["bb"].reason)
    assert "CREATE TABLE three" in str(planned["cc"].sql)
    sql = project.alembic.sql()
    assert "CREATE TABLE three" in sql
    assert "-- Revision bb is not written here: " in sql
    assert reason in project.run("plan").output
    project.alembic.lint()


def test_types_that_are_made_on_the_connection_are_followed(
    make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(postgresql_url)
    with project.app.app_context():
        write(
            project, "aa", None,
            "sa.Enum('a', name='kind').create(op.get_bind(), checkfirst=True)\n"
            "op.get_bind().execute(sa.text('CREATE TABLE one (id INTEGER)'))",
        )  # fmt: skip
        sql = project.alembic.sql()
        assert "CREATE TYPE kind" in sql
        assert "CREATE TABLE one" in sql
        assert "not-readable" not in {f.rule for f in project.alembic.lint()}
        project.alembic.upgrade()


@apart
def test_what_a_revision_prints_is_in_no_report(
    project: Project, in_context: t.Any
) -> None:
    project.write("aa", None, "print('inside')", extra="print('outside')")
    for arguments in (("lint", "--format", "json"), ("lint", "--format", "sarif")):
        json.loads(project.run(*arguments).stdout)
    for name in ("plan", "current", "history", "upgrade", "check"):
        json.loads(project.run(name, "--json").stdout)


@apart
def test_json_has_what_python_has(project: Project, in_context: t.Any) -> None:
    project.write_table("aa", None, "one")
    project.add_table("one")
    [step] = json.loads(project.run("plan", "--json").stdout)["steps"]
    assert step["revision"]["id"] == "aa"
    assert step["direction"] == "upgrade"
    assert "CREATE TABLE one" in step["sql"]
    result = project.run("check", "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["state"] == "pending"
    [step] = json.loads(project.run("upgrade", "--json").stdout)["steps"]
    assert step["seconds"] >= 0
    assert json.loads(project.run("check", "--json").stdout)["state"] == "up to date"
    [info] = json.loads(project.run("history", "--json").stdout)
    assert info["is_head"] is True
    [bind] = json.loads(project.run("current", "--json").stdout)
    assert bind["current"] == ["aa"]


def test_long_ids_are_held(any_project: Project) -> None:
    long, longer = "a" * 40, "b" * 60
    any_project.write_table("aa", None, "one")
    any_project.alembic.upgrade()
    any_project.write_table(long, "aa", "two")
    any_project.write_table(longer, long, "three")
    any_project.alembic.upgrade()
    assert [info.id for info in any_project.alembic.current()] == [longer]
    any_project.alembic.downgrade(long)
    assert [info.id for info in any_project.alembic.current()] == [long]


def test_a_new_version_table_holds_long_ids(any_project: Project) -> None:
    any_project.write_table("a" * 40, None, "one")
    assert "VARCHAR(255)" in any_project.alembic.sql()
    any_project.alembic.upgrade()
    with any_project.engine.connect() as connection:
        found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    assert found == "a" * 40


def test_a_file_that_cannot_be_imported_is_one_line(
    project: Project, in_context: t.Any
) -> None:
    project.write_table("aa", None, "one")
    project.write("bb", "aa", extra="import no_such_package")
    project.write_table("cc", "bb", "three")
    assert project.run("current").exit_code == 0
    planned = steps(project)
    reason = "its file cannot be imported: ModuleNotFoundError: No module named"
    assert reason in str(planned["bb"].reason)
    assert "CREATE TABLE three" in str(planned["cc"].sql)
    assert f"is not written here: {reason}" in project.alembic.sql()
    (finding,) = (f for f in project.alembic.lint() if f.revision.id == "bb")
    assert finding.rule == "not-readable"
    assert finding.line is not None
    assert project.run("check").exit_code == 5
    with pytest.raises(RevisionFileError, match="no_such_package"):
        project.alembic.upgrade()
    # Nothing was applied, not even what comes before it.
    assert project.tables() <= {"alembic_version"}
    project.alembic.upgrade("aa")
    with pytest.raises(RevisionFileError, match="no_such_package"):
        project.alembic.upgrade()


def test_a_dependency_that_code_makes_is_read_where_that_runs(
    project: Project, in_context: t.Any
) -> None:
    project.write("aa", None)
    project.write("bb", None, extra="depends_on = ['a' + 'a']")
    project.write("cc", "bb", extra="import no_such_package\ndepends_on = ['a' + 'a']")
    found = {info.id: info.depends_on for info in project.alembic.history()}
    assert found == {"aa": (), "bb": ("aa",), "cc": ()}
    with pytest.raises(RevisionFileError, match="no_such_package"):
        project.alembic.upgrade()


def test_a_word_in_a_comment_declares_no_backfill(
    project: Project, in_context: t.Any
) -> None:
    project.write("aa", None, extra="import no_such_package  # to backfill(rows)")
    project.alembic.stamp("aa")
    assert [info.id for info in project.alembic.history()] == ["aa"]
    assert project.run("check", "--json").exit_code == 0
    assert project.alembic.backfills() == []


def test_functions_that_come_from_elsewhere_are_found(
    project: Project, in_context: t.Any
) -> None:
    path = project.write("aa", None)
    text = path.read_text("utf-8").partition("def upgrade")[0]
    (project.folder / "_shared.py").write_text("def upgrade(): pass\n", "utf-8")
    extra = (
        "import importlib.util as u, pathlib\n"
        "path = pathlib.Path(__file__).parent / '_shared.py'\n"
        "spec = u.spec_from_file_location('s', path)\n"
        "m = u.module_from_spec(spec); spec.loader.exec_module(m)\n"
        "globals().update(upgrade=m.upgrade, downgrade=m.upgrade)\n"
    )
    path.write_text(text + extra, "utf-8")
    project.alembic.upgrade()
    project.alembic.downgrade("base")
