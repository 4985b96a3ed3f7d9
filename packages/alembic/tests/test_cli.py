from __future__ import annotations

import typing as t

import pytest

Project: t.TypeAlias = t.Any


def test_init_says_that_nothing_needs_to_be_made(project: Project) -> None:
    result = project.run("init")
    assert result.exit_code == 0
    assert "nothing to configure" in result.output
    assert project.folder.is_dir()
    assert list(project.folder.iterdir()) == []


def test_what_users_of_flask_migrate_type_works(project: Project) -> None:
    project.add_table("one")
    assert project.run("init").exit_code == 0
    assert "Wrote " in project.run("migrate", "-m", "one").output
    assert "upgrade " in project.run("upgrade").output
    assert project.tables() == {"one", "alembic_version"}
    assert "(head)" in project.run("current").output
    assert "one (head)" in project.run("history").output
    assert "one (head)" in project.run("heads").output
    assert project.run("check").output == "default: up to date\n"
    assert "downgrade " in project.run("downgrade", "--yes").output
    assert project.tables() == {"alembic_version"}
    assert "stamp " in project.run("stamp", "head").output
    assert "stamp " in project.run("stamp", "base").output


def test_no_changes_are_said_and_no_file_is_written(project: Project) -> None:
    result = project.run("migrate", "-m", "nothing")
    assert result.exit_code == 0
    assert "No changes detected" in result.output
    assert not project.folder.exists()


def test_a_revision_is_empty_unless_told_otherwise(project: Project) -> None:
    project.add_table("one")
    project.run("revision", "-m", "by hand", "--rev-id", "aa")
    project.run("upgrade")
    assert project.tables() == {"alembic_version"}
    project.run("revision", "-m", "one", "--autogenerate", "--rev-id", "bb")
    project.run("upgrade")
    assert project.tables() == {"one", "alembic_version"}


def test_plan_shows_what_an_upgrade_would_do(project: Project) -> None:
    project.write_table("aa", None, "one")
    output = project.run("plan").output
    assert output.startswith("upgrade aa revision aa\n")
    assert "CREATE TABLE one" in output
    assert project.tables() == set()
    project.run("upgrade")
    assert "Nothing to do" in project.run("plan").output
    output = project.run("plan", "base", "--down").output
    assert output.startswith("downgrade aa revision aa\n")
    assert "DROP TABLE one" in output


def test_sql_is_printed_and_not_run(project: Project) -> None:
    project.write_table("aa", None, "one")
    for arguments in (("sql",), ("upgrade", "--sql")):
        assert "CREATE TABLE one" in project.run(*arguments).output
    assert project.tables() == set()
    project.run("upgrade")
    for arguments in (("sql", "base", "--down"), ("downgrade", "base", "--sql")):
        assert "DROP TABLE one" in project.run(*arguments).output


def test_a_target_may_start_with_a_minus(project: Project) -> None:
    project.write_table("aa", None, "one")
    project.run("upgrade")
    output = project.run("plan", "-1", "--down").output
    assert output.startswith("downgrade aa revision aa\n")
    assert "DROP TABLE one" in project.run("downgrade", "-1", "--sql").output
    assert project.run("downgrade", "-1", "--yes").exit_code == 0
    assert project.tables() == {"alembic_version"}


def test_merge_joins_the_heads(project: Project) -> None:
    project.write("aa", None)
    project.write("bb", "aa")
    project.write("cc", "aa")
    assert "Wrote " in project.run("merge", "heads", "-m", "together").output
    assert "Nothing to do" in project.run("merge").output
    assert "together (head)" in project.run("heads").output


def test_exit_codes_tell_what_went_wrong(project: Project) -> None:
    project.add_table("one")
    assert project.run("check").exit_code == 6
    path = project.write_table("aa", None, "one")
    assert project.run("check").exit_code == 5
    assert project.run("upgrade", "zz").exit_code == 4
    assert project.run("upgrade").exit_code == 0
    assert project.run("check").exit_code == 0
    path.unlink()
    assert project.run("check").exit_code == 3
    assert project.run("upgrade").exit_code == 3
    path.write_text("revision = (")
    assert project.run("check").exit_code == 9


def test_an_error_is_one_message_without_a_traceback(project: Project) -> None:
    project.write("aa", None, "raise RuntimeError('no luck')")
    result = project.run("upgrade")
    assert result.exit_code == 11
    assert result.output.startswith("Error: The upgrade of revision aa")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["current", "history", "heads"])
def test_nothing_to_show_is_said(command: str, project: Project) -> None:
    result = project.run(command)
    assert result.exit_code == 0
    assert "yet" in result.output


def test_a_revision_that_the_code_does_not_have_is_shown(project: Project) -> None:
    path = project.write_table("aa", None, "one")
    project.run("upgrade")
    path.unlink()
    result = project.run("current")
    assert result.output == "aa is not in the code\n"
    assert result.exit_code == 0


def test_the_rules_name_databases_as_their_page_does(project: Project) -> None:
    assert (
        "; PostgreSQL, MySQL, MariaDB, SQLite)" in project.run("lint", "--list").output
    )


def test_the_planned_sql_has_whole_transactions(
    make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(postgresql_url)
    project.write_table("aa", None, "one")
    create = "op.create_index('ix', 'one', ['id'], postgresql_concurrently=True)"
    project.write("bb", "aa", f"with op.get_context().autocommit_block(): {create}")
    with project.app.app_context():
        one, two = (step.sql for step in project.alembic.plan())
    assert one.startswith("BEGIN;")
    assert one.endswith("COMMIT;")
    assert one.count("BEGIN;") == one.count("COMMIT;") == 1
    assert two.startswith("CREATE INDEX CONCURRENTLY")
    assert two.count("BEGIN;") == two.count("COMMIT;")
