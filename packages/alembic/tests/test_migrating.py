from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import DatabaseAhead
from flaskware_alembic import DatabaseUnreachable
from flaskware_alembic import MigrationError
from flaskware_alembic import PlanStep
from flaskware_alembic import RevisionFailed
from flaskware_alembic import SeveralHeads
from flaskware_alembic import UnknownRevision

# The fixtures are made of a class that only conftest.py has.
Project: t.TypeAlias = t.Any


def ids(items: cabc.Iterable[t.Any]) -> list[str]:
    return [getattr(item, "revision", item).id for item in items]


def test_revisions_go_up_down_and_up_again(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    any_project.write_table("bb", "aa", "two")
    alembic = any_project.alembic
    assert ids(alembic.plan()) == ["aa", "bb"]
    assert ids(alembic.upgrade()) == ["aa", "bb"]
    assert any_project.tables() == {"one", "two", "alembic_version"}
    assert ids(alembic.current()) == ["bb"]
    assert ids(alembic.downgrade("-1")) == ["bb"]
    assert ids(alembic.current()) == ["aa"]
    assert any_project.tables() == {"one", "alembic_version"}
    assert ids(alembic.upgrade()) == ["bb"]
    assert ids(alembic.downgrade("base")) == ["bb", "aa"]
    assert any_project.tables() == {"alembic_version"}


def test_an_upgrade_with_nothing_to_do_does_nothing(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    any_project.alembic.upgrade()
    assert not any_project.alembic.upgrade()


def test_without_revisions_not_even_the_version_table_is_made(
    any_project: Project,
) -> None:
    assert not any_project.alembic.upgrade()
    assert any_project.tables() == set()


def test_alembic_itself_reads_the_version_table(any_project: Project) -> None:
    from alembic.runtime.migration import MigrationContext

    any_project.write_table("aa", None, "one")
    any_project.alembic.upgrade()
    with any_project.engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_heads() == ("aa",)


def test_a_revision_may_leave_its_transaction(any_project: Project) -> None:
    any_project.write(
        "aa",
        None,
        """
        op.create_table("one", sa.Column("id", sa.Integer, primary_key=True))
        with op.get_context().autocommit_block():
            op.execute("INSERT INTO one (id) VALUES (7)")
        """,
    )
    any_project.alembic.upgrade()
    with any_project.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT id FROM one")) == 7
    assert ids(any_project.alembic.current()) == ["aa"]


def test_a_revision_that_raises_is_named_with_its_line(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    path = any_project.write("bb", "aa", "op.execute('SELECT nonsense FROM nowhere')")
    line = path.read_text().splitlines().index("def upgrade() -> None:") + 2
    with pytest.raises(RevisionFailed) as caught:
        any_project.alembic.upgrade()
    assert f"{path}:{line}" in str(caught.value)
    assert caught.value.revision.id == "bb"
    assert caught.value.__cause__ is not None
    assert ids(any_project.alembic.current()) == ["aa"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_revision_that_raises_leaves_nothing_of_it(
    kind: str,
    request: pytest.FixtureRequest,
    make_project: cabc.Callable[..., Project],
) -> None:
    url = request.getfixturevalue("postgresql_url") if kind == "postgresql" else None
    project = make_project(url)
    project.write(
        "aa",
        None,
        """
        op.create_table("one", sa.Column("id", sa.Integer, primary_key=True))
        op.execute("INSERT INTO one (id) VALUES (1)")
        raise RuntimeError("half way")
        """,
    )
    with (
        project.app.app_context(),
        pytest.raises(RevisionFailed, match=r"half way\. Its transaction was"),
    ):
        project.alembic.upgrade()
    assert "one" not in project.tables()


def test_a_mariadb_revision_that_raises_says_that_its_ddl_stays(
    mariadb_url: str, make_project: cabc.Callable[..., Project]
) -> None:
    project = make_project(mariadb_url)
    project.write_table("aa", None, "one")
    with (project.folder / "aa.py").open("a") as file:
        file.write("    raise RuntimeError('half way')\n")
    project.write(
        "bb",
        "aa",
        "op.create_table('two', sa.Column('id', sa.Integer, primary_key=True))\n"
        "raise RuntimeError('half way')",
    )
    with (
        project.app.app_context(),
        pytest.raises(RevisionFailed, match="Its earlier changes stay"),
    ):
        project.alembic.upgrade()
    assert "two" in project.tables()


def test_a_target_can_be_the_start_of_an_id(
    project: Project, in_context: t.Any
) -> None:
    project.write_table("abcdef", None, "one")
    project.write_table("bcdefa", "abcdef", "two")
    assert ids(project.alembic.upgrade("abcd")) == ["abcdef"]
    assert ids(project.alembic.upgrade("+1")) == ["bcdefa"]


def test_an_unknown_target_is_its_own_error(
    project: Project, in_context: t.Any
) -> None:
    project.write_table("aa", None, "one")
    for call in (
        project.alembic.upgrade,
        project.alembic.downgrade,
        project.alembic.plan,
        project.alembic.stamp,
    ):
        with pytest.raises(UnknownRevision, match="'zz'") as caught:
            call("zz")
        assert caught.value.exit_code == 4


def test_a_database_ahead_of_the_code_is_its_own_error(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    path = any_project.write_table("bb", "aa", "two")
    alembic = any_project.alembic
    alembic.upgrade()
    path.unlink()
    for call in (
        alembic.upgrade,
        alembic.plan,
        alembic.current,
        alembic.check,
        lambda: alembic.downgrade("base"),
    ):
        with pytest.raises(DatabaseAhead, match="bb") as caught:
            call()
        assert caught.value.revisions == ("bb",)
        assert caught.value.exit_code == 3


def test_stamping_with_purge_forgets_an_unknown_revision(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    path = any_project.write_table("bb", "aa", "two")
    alembic = any_project.alembic
    alembic.upgrade()
    path.unlink()
    with pytest.raises(DatabaseAhead):
        alembic.stamp("aa")
    assert ids(alembic.stamp("aa", purge=True)) == ["aa"]
    assert ids(alembic.current()) == ["aa"]


def test_stamping_runs_nothing(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    alembic = any_project.alembic
    assert ids(alembic.stamp()) == ["aa"]
    assert any_project.tables() == {"alembic_version"}
    assert ids(alembic.current()) == ["aa"]
    assert ids(alembic.stamp("base")) == ["aa"]
    assert alembic.current() == []


def test_several_heads_are_joined_by_a_merge(
    project: Project, in_context: t.Any
) -> None:
    project.write_table("aa", None, "one")
    project.write_table("bb", "aa", "two")
    project.write_table("cc", "aa", "three")
    alembic = project.alembic
    assert sorted(ids(alembic.heads())) == ["bb", "cc"]
    with pytest.raises(SeveralHeads, match="flask db merge"):
        alembic.upgrade("head")
    with pytest.raises(SeveralHeads, match="flask db merge"):
        alembic.revision("more")
    [merge] = alembic.merge()
    assert sorted(merge.down) == ["bb", "cc"]
    assert ids(alembic.heads()) == [merge.id]
    assert alembic.merge() == []
    assert len(alembic.upgrade()) == 4
    assert ids(alembic.current()) == [merge.id]


def test_merging_what_does_not_exist_is_refused(
    project: Project, in_context: t.Any
) -> None:
    project.write_table("aa", None, "one")
    with pytest.raises(UnknownRevision, match="zz"):
        project.alembic.merge(revisions=["aa", "zz"])


def test_history_is_the_newest_first_and_asks_no_database(
    make_project: cabc.Callable[..., Project],
) -> None:
    project = make_project("postgresql+psycopg://nobody@127.0.0.1:1/none")
    project.write_table("aa", None, "one")
    project.write_table("bb", "aa", "two")
    with project.app.app_context():
        first, second = project.alembic.history()
    assert (first.id, first.down, first.is_head) == ("bb", ("aa",), True)
    assert (second.id, second.down, second.is_head) == ("aa", (), False)
    assert second.message == "revision aa"
    assert second.path == project.folder / "aa.py"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://someone:hush@127.0.0.1:1/none",
        "mysql+pymysql://someone:hush@127.0.0.1:1/none",
        "sqlite:////nowhere/at/all/app.db",
    ],
)
def test_a_database_that_does_not_answer_is_named_without_its_password(
    url: str, make_project: cabc.Callable[..., Project]
) -> None:
    project = make_project(url)
    with (
        project.app.app_context(),
        pytest.raises(DatabaseUnreachable, match="'default'") as caught,
    ):
        project.alembic.upgrade()
    assert "hush" not in str(caught.value)
    assert caught.value.exit_code == 10


def test_steps_are_told_as_they_are_done(project: Project, in_context: t.Any) -> None:
    project.write_table("aa", None, "one")
    project.write_table("bb", "aa", "two")
    seen: list[PlanStep] = []
    plan = project.alembic.upgrade(on_step=seen.append)
    assert tuple(seen) == plan.steps
    assert all(step.seconds is not None and step.seconds > 0 for step in seen)


def test_no_right_to_create_a_table_is_told_on_mariadb(
    mariadb_url: str, make_project: cabc.Callable[..., Project]
) -> None:
    admin = sa.create_engine(mariadb_url)
    url = sa.engine.make_url(mariadb_url)
    role = f"reader_{url.database}"[:60]
    with admin.begin() as connection:
        connection.exec_driver_sql(f"CREATE USER '{role}' IDENTIFIED BY 'x'")
        connection.exec_driver_sql(f"GRANT SELECT ON `{url.database}`.* TO '{role}'")
    try:
        theirs = url.set(username=role, password="x")
        project = make_project(theirs.render_as_string(hide_password=False))
        project.write_table("aa", None, "one")
        with (
            project.app.app_context(),
            pytest.raises(MigrationError, match="command denied"),
        ):
            project.alembic.upgrade()
        assert project.tables() == set()
        project.engine.dispose()
    finally:
        with admin.begin() as connection:
            connection.exec_driver_sql(f"DROP USER '{role}'")
        admin.dispose()


def test_no_right_to_create_a_table_is_told(
    postgresql_url: str, make_project: cabc.Callable[..., Project]
) -> None:
    admin = sa.create_engine(postgresql_url)
    name = sa.engine.make_url(postgresql_url).database
    role = f"{name}_reader"
    with admin.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN PASSWORD 'x'"))
        connection.execute(sa.text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    try:
        url = sa.engine.make_url(postgresql_url).set(username=role, password="x")
        project = make_project(url.render_as_string(hide_password=False))
        project.write_table("aa", None, "one")
        with (
            project.app.app_context(),
            pytest.raises(MigrationError, match="permission denied"),
        ):
            project.alembic.upgrade()
        assert project.tables() == set()
        project.engine.dispose()
    finally:
        with admin.begin() as connection:
            connection.execute(sa.text(f"DROP OWNED BY {role}"))
            connection.execute(sa.text(f"DROP ROLE {role}"))
        admin.dispose()


def test_the_sql_of_an_upgrade_is_what_it_would_run(any_project: Project) -> None:
    any_project.write_table("aa", None, "one")
    sql = any_project.alembic.sql()
    assert any_project.tables() == set()
    assert "CREATE TABLE one" in sql
    assert "alembic_version" in sql
    assert "DROP TABLE one" in any_project.alembic.sql(
        "base", direction="downgrade", start="aa"
    )


def test_logging_is_left_alone(project: Project, in_context: t.Any) -> None:
    import logging

    loggers = [logging.getLogger(name) for name in (None, "alembic", "sqlalchemy")]
    before = [(lg.level, list(lg.handlers), lg.disabled) for lg in loggers]
    project.write_table("aa", None, "one")
    project.alembic.upgrade()
    assert [(lg.level, list(lg.handlers), lg.disabled) for lg in loggers] == before


def test_constraints_are_dropped_by_name(any_project: Project) -> None:
    if any_project.engine.dialect.name == "sqlite":
        pytest.skip("SQLite drops constraints by rebuilding the table")
    any_project.write(
        "aa",
        None,
        """
        op.create_table("one", sa.Column("id", sa.Integer, primary_key=True))
        op.create_table("two", sa.Column("n", sa.Integer))
        op.create_foreign_key("n_is_one", "two", "one", ["n"], ["id"])
        op.create_unique_constraint("n_is_unique", "two", ["n"])
        """,
    )
    any_project.write(
        "bb",
        "aa",
        """
        op.drop_constraint("n_is_one", "two", type_="foreignkey")
        op.drop_constraint("n_is_unique", "two", type_="unique")
        """,
    )
    assert len(any_project.alembic.upgrade()) == 2
    assert sa.inspect(any_project.engine).get_foreign_keys("two") == []
