from __future__ import annotations

import subprocess
import sys
import typing as t
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from flaskware_alembic import MigrationError
from flaskware_alembic import PendingRevisions

Project: t.TypeAlias = t.Any


def make_user(project: Project) -> sa.Table:
    return project.add_table(
        "user",
        sa.Column("name", sa.String(40), nullable=False, server_default="nobody"),
        sa.Column("mail", sa.String(80), index=True),
    )


def test_what_the_models_say_becomes_a_revision(any_project: Project) -> None:
    make_user(any_project)
    [info] = any_project.alembic.revision("Add users!")
    assert info.path.parent == any_project.folder
    assert info.path.name.endswith(f"_{info.id}_add_users.py")
    assert info.message == "Add users!"
    any_project.alembic.upgrade()
    assert any_project.tables() == {"user", "alembic_version"}
    any_project.alembic.check()


def test_no_change_makes_no_file(any_project: Project) -> None:
    make_user(any_project)
    any_project.alembic.revision("users")
    any_project.alembic.upgrade()
    before = set(any_project.folder.iterdir())
    assert any_project.alembic.revision("nothing") == []
    assert set(any_project.folder.iterdir()) == before


def test_types_defaults_and_columns_are_compared(any_project: Project) -> None:
    user = make_user(any_project)
    any_project.alembic.revision("users")
    any_project.alembic.upgrade()
    user.c.mail.type = sa.String(120)
    user.c.name.server_default = sa.DefaultClause("somebody")
    user.append_column(sa.Column("age", sa.Integer))
    [bind] = any_project.alembic.status().binds
    assert "add column user.age" in bind.changes
    assert any("change type of user.mail" in change for change in bind.changes)
    defaults = [change for change in bind.changes if "default" in change]
    assert len(defaults) == 1
    assert "nobody" in defaults[0]
    assert "somebody" in defaults[0]
    any_project.alembic.revision("more")
    any_project.alembic.upgrade()
    any_project.alembic.check()
    any_project.alembic.downgrade("-1")
    columns = sa.inspect(any_project.engine).get_columns("user")
    assert [column["name"] for column in columns] == ["id", "name", "mail"]


def test_comparing_types_can_be_turned_off(make_project: t.Any) -> None:
    project = make_project(ALEMBIC_COMPARE_TYPE=False)
    user = make_user(project)
    with project.app.app_context():
        project.alembic.revision("users")
        project.alembic.upgrade()
        user.c.mail.type = sa.String(120)
        assert project.alembic.revision("nothing") == []


def test_indexes_and_constraints_are_named_in_a_change(project: Project) -> None:
    user = make_user(project)
    with project.app.app_context():
        project.alembic.revision("users")
        project.alembic.upgrade()
        user.indexes.clear()
        sa.Index("by_name", user.c.name)
        user.append_constraint(sa.UniqueConstraint("mail", name="one_mail"))
        [bind] = project.alembic.status().binds
    assert set(bind.changes) == {
        "remove index ix_user_mail of user",
        "add index by_name of user",
        "add constraint one_mail of user",
    }


def test_batch_mode_is_used_on_sqlite_only(any_project: Project) -> None:
    user = make_user(any_project)
    any_project.alembic.revision("users")
    any_project.alembic.upgrade()
    user.append_column(sa.Column("age", sa.Integer))
    [info] = any_project.alembic.revision("age")
    is_sqlite = any_project.engine.dialect.name == "sqlite"
    assert ("batch_alter_table" in info.path.read_text()) == is_sqlite


def test_types_of_a_dialect_are_imported(
    postgresql_url: str, make_project: t.Any
) -> None:
    project = make_project(postgresql_url)
    project.add_table("doc", sa.Column("body", postgresql.JSONB))
    with project.app.app_context():
        project.alembic.revision("docs")
        project.alembic.upgrade()
        project.alembic.check()


class Shout(sa.types.TypeDecorator[str]):
    impl = sa.String
    cache_ok = True


def test_types_of_the_app_are_imported(
    project: Project, in_context: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shout, "__module__", "app_types")
    module = t.cast("t.Any", type(sys)("app_types"))
    module.Shout = Shout
    monkeypatch.setitem(sys.modules, "app_types", module)
    project.add_table("call", sa.Column("text", Shout(20)))
    [info] = project.alembic.revision("calls")
    assert "import app_types\n" in info.path.read_text()
    project.alembic.upgrade()


def test_a_database_that_is_behind_cannot_be_compared(any_project: Project) -> None:
    make_user(any_project)
    any_project.alembic.revision("users")
    with pytest.raises(PendingRevisions, match="flask db upgrade"):
        any_project.alembic.revision("again")


def test_an_empty_revision_is_for_the_default_database(
    project: Project, in_context: t.Any
) -> None:
    make_user(project)
    [info] = project.alembic.revision("by hand", autogenerate=False, rev_id="abc")
    assert info.id == "abc"
    text = info.path.read_text()
    assert "import sqlalchemy as sa\nfrom alembic import op\n" in text
    project.alembic.upgrade()
    assert project.tables() == {"alembic_version"}


def test_any_message_makes_a_file_that_loads(
    project: Project, in_context: t.Any
) -> None:
    for message in ('say "hi"', 'a """ and a \\', "two\nlines", '"'):
        project.alembic.revision(message, autogenerate=False)
    messages = {info.message for info in project.alembic.history()}
    assert messages == {'say "hi"', 'a """ and a \\', "two lines", '"'}


def test_an_id_that_exists_is_refused(project: Project, in_context: t.Any) -> None:
    project.alembic.revision("one", autogenerate=False, rev_id="abc")
    with pytest.raises(MigrationError, match="abc"):
        project.alembic.revision("two", autogenerate=False, rev_id="abc")
    assert len(project.alembic.history()) == 1


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is not installed")
def test_what_is_written_passes_ruff(any_project: Project, tmp_path: Path) -> None:
    user = make_user(any_project)
    any_project.alembic.revision("users")
    any_project.alembic.upgrade()
    user.append_column(sa.Column("age", sa.Integer))
    any_project.alembic.revision("age")
    any_project.alembic.upgrade()
    any_project.alembic.revision("left", autogenerate=False, head="heads")
    rules = "E,F,W,I,UP,B,ANN,FA,N,C4,RET,PIE,SIM"
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--no-cache",
        "--select",
        rules,
    ]
    ignored = ["--ignore", "E501,F401"]
    folder = str(any_project.folder)
    done = subprocess.run([*command, *ignored, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
