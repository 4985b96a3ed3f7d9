from __future__ import annotations

import typing as t

import pytest

from flaskware_alembic import RevisionFileError

Project: t.TypeAlias = t.Any


@pytest.fixture(autouse=True)
def _context(project: Project, in_context: t.Any) -> None:
    project.write_table("aa", None, "one")


def refusal(project: Project) -> RevisionFileError:
    """The error of an upgrade, which must leave the database as it was."""
    with pytest.raises(RevisionFileError) as caught:
        project.alembic.upgrade()
    assert project.tables() == set()
    assert caught.value.exit_code == 9
    return caught.value


def test_a_syntax_error_is_told_with_file_and_line(project: Project) -> None:
    path = project.folder / "bb.py"
    path.write_text("revision = 'bb'\ndown_revision = 'aa'\ndef upgrade(:\n")
    error = refusal(project)
    assert f"{path}:3" in str(error)
    assert "SyntaxError" in str(error)
    assert error.paths == (path,)
    assert error.line == 3


def test_an_import_error_is_told_with_file_and_line(project: Project) -> None:
    path = project.write("bb", "aa", extra="import no_such_module_here")
    error = refusal(project)
    assert f"{path}:6" in str(error)
    assert "no_such_module_here" in str(error)


def test_a_missing_parent_is_told_with_file_and_line(project: Project) -> None:
    path = project.write("cc", "bb")
    error = refusal(project)
    assert f"{path}:5" in str(error)
    assert "'bb'" in str(error)


def test_a_missing_dependency_is_told_with_file_and_line(project: Project) -> None:
    path = project.write("bb", "aa", extra="depends_on = 'zz'")
    assert f"{path}:6: depends_on is 'zz'" in str(refusal(project))


def test_two_files_of_one_id_are_both_named(project: Project) -> None:
    first = project.folder / "aa.py"
    second = project.folder / "copy_of_aa.py"
    second.write_text(first.read_text())
    error = refusal(project)
    assert error.paths == (first, second)
    assert str(first) in str(error)
    assert str(second) in str(error)


def test_a_circle_is_told_with_each_of_its_files(project: Project) -> None:
    files = {
        project.write("bb", "dd"),
        project.write("cc", "bb"),
        project.write("dd", "cc"),
    }
    project.write("ee", "dd")
    error = refusal(project)
    assert set(error.paths) == files
    assert "in a circle" in str(error)


def test_a_revision_that_follows_itself_is_a_circle(project: Project) -> None:
    path = project.write("bb", "bb")
    assert refusal(project).paths == (path,)


def test_a_file_without_an_id_is_told(project: Project) -> None:
    path = project.folder / "helpers.py"
    path.write_text("x = 1\n")
    assert f"{path} is no revision" in str(refusal(project))


def test_a_file_without_a_parent_is_told(project: Project) -> None:
    path = project.folder / "bb.py"
    path.write_text("revision = 'bb'\n")
    assert f"{path} does not say what it follows" in str(refusal(project))


def test_a_file_without_upgrade_is_told(project: Project) -> None:
    path = project.folder / "bb.py"
    path.write_text("revision = 'bb'\ndown_revision = 'aa'\n")
    assert f"{path} has no function `upgrade`" in str(refusal(project))


def test_a_file_without_downgrade_is_told_when_it_is_taken_back(
    project: Project,
) -> None:
    path = project.folder / "bb.py"
    path.write_text("revision = 'bb'\ndown_revision = 'aa'\ndef upgrade(): pass\n")
    project.alembic.upgrade()
    with pytest.raises(RevisionFileError, match="no function `downgrade`") as caught:
        project.alembic.downgrade("base")
    assert caught.value.paths == (path,)
    assert project.tables() == {"one", "alembic_version"}


def test_a_circle_of_dependencies_is_told(project: Project) -> None:
    project.write("bb", None, extra="depends_on = 'cc'")
    project.write("cc", None, extra="depends_on = 'bb'")
    assert "ependency cycle" in str(refusal(project))


def test_a_label_that_two_revisions_have_is_told(project: Project) -> None:
    project.write("bb", None, extra="branch_labels = 'side'")
    project.write("cc", None, extra="branch_labels = 'side'")
    assert "'side'" in str(refusal(project))


def test_each_function_is_called_with_what_it_takes(project: Project) -> None:
    (project.folder / "bb.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\n"
        "revision = 'bb'\ndown_revision = 'aa'\n"
        "def upgrade(engine_name):\n"
        "    op.create_table(f't{engine_name}', sa.Column('id', sa.Integer))\n"
        "def downgrade(engine_name=''): op.drop_table('t')\n"
    )
    project.write_table("cc", "bb", "three")
    assert [step.revision.id for step in project.alembic.upgrade()] == [
        "aa",
        "bb",
        "cc",
    ]
    assert {"t", "three"} <= project.tables()
    project.alembic.downgrade("aa")
    assert project.tables().isdisjoint({"t", "three"})


def test_the_graph_is_read_without_an_import(project: Project) -> None:
    (project.folder / "bb.py").write_text(
        "import package_that_is_gone\nrevision = 'bb'\ndown_revision = 'aa'\n"
        "def upgrade(): pass\n"
    )
    ids = [info.id for info in project.alembic.history()]
    assert ids == ["bb", "aa"]
    assert [info.id for info in project.alembic.heads()] == ["bb"]
    assert project.alembic.current() == []
    with pytest.raises(RevisionFileError, match=r"bb\.py:1 cannot be loaded"):
        project.alembic.upgrade()


def test_constants_that_code_makes_are_read_by_running_it(project: Project) -> None:
    (project.folder / "bb.py").write_text(
        "revision = 'b' * 2\ndown_revision = 'aa'\nlist(map(print, ['x']))\n"
        "from _helper import upgrade\n".replace("_helper", "string").replace(
            "upgrade", "capwords as upgrade"
        )
    )
    assert [info.id for info in project.alembic.history()] == ["bb", "aa"]


def test_a_file_in_another_encoding_says_so(project: Project) -> None:
    path = project.folder / "bb.py"
    text = "revision = 'bb'\ndown_revision = 'aa'\n# h\xe9\ndef upgrade(): pass\n"
    path.write_bytes(text.encode("latin-1"))
    assert "is not written in UTF-8" in str(refusal(project))
    path.write_bytes(f"# coding: latin-1\n{text}".encode("latin-1"))
    assert [step.revision.id for step in project.alembic.upgrade()] == ["aa", "bb"]
    assert project.alembic.lint() is not None


def test_files_that_start_with_an_underscore_are_no_revisions(project: Project) -> None:
    (project.folder / "_helpers.py").write_text("raise RuntimeError\n")
    (project.folder / "__init__.py").write_text("raise RuntimeError\n")
    assert [step.revision.id for step in project.alembic.upgrade()] == ["aa"]


def test_a_changed_file_is_loaded_again(project: Project) -> None:
    assert project.alembic.heads()[0].message == "revision aa"
    path = project.folder / "aa.py"
    path.write_text(path.read_text().replace("revision aa", "a longer message"))
    assert project.alembic.heads()[0].message == "a longer message"


def test_an_id_that_alembic_cannot_keep_is_refused(project: Project) -> None:
    path = project.write("a-b", None)
    error = refusal(project)
    assert f"{path}:" in str(error)
    assert "'-' not allowed" in str(error)
