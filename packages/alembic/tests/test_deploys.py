"""Deploys as they are: poolers, requests too early, sessions in the way, data lost."""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import logging
import typing as t
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_alembic import MigrationError
from flaskware_alembic import TableLocked
from flaskware_core.testing import temporary_pgbouncer

Project: t.TypeAlias = t.Any


@pytest.fixture
def pooled_url(postgresql_url: str) -> cabc.Iterator[sa.URL]:
    """The URL of a pgbouncer in transaction mode, whose clients share connections."""
    with temporary_pgbouncer(postgresql_url, pool_size=10) as url:
        yield sa.make_url(url)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_deploys_race_through_a_pooler(
    make_project: t.Any, pooled_url: sa.URL, driver: str
) -> None:
    url = pooled_url.set(drivername=f"postgresql+{driver}")
    project = make_project(url, ALEMBIC_TABLE_LOCK_TIMEOUT=5)
    before: str | None = None
    for number in range(6):
        project.write_table(f"r{number}", before, f"t{number}")
        before = f"r{number}"

    def deploy(_: int) -> int:
        engine = sa.create_engine(url)
        alembic = Alembic(metadata=project.metadata, engine=engine)
        app = flask.Flask("pooled", root_path=str(project.folder.parent))
        alembic.init_app(app, directory=project.folder, table_lock_timeout=5)
        try:
            with app.app_context():
                return len(alembic.upgrade())
        finally:
            engine.dispose()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(deploy, range(6)))[-1] == 6
    # Nothing stays on the connections that the pooler keeps.
    with project.engine.connect() as connection:
        locks = (
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND d.datname = current_database()"
        )
        assert connection.scalar(sa.text(locks)) == 0
        assert connection.scalar(sa.text("SHOW lock_timeout")) == "0"
    with project.app.app_context():
        assert project.alembic.upgrade() == project.alembic.plan()


def serving(project: Project) -> flask.Flask:
    app = project.app
    table = sa.table("one", sa.column("id"), sa.column("n"))

    @app.get("/")
    def index() -> str:
        with project.engine.connect() as connection:
            return str(connection.execute(sa.select(table)).all())

    return t.cast("flask.Flask", app)


def test_a_request_too_early_says_which_revision_lacks(
    any_project: Project,
    caplog: pytest.LogCaptureFixture,
    pytestconfig: pytest.Config,
) -> None:
    program = pytestconfig.getoption("--framework")
    any_project.write_table("aa", None, "one")
    any_project.write("bb", "aa", "op.add_column('one', sa.Column('n', sa.Integer))")
    app = serving(any_project)
    for lacking, target in (("aa", None), ("bb", "aa")):
        if target is not None:
            any_project.alembic.upgrade(target)
        caplog.clear()
        with (
            caplog.at_level(logging.ERROR),
            pytest.raises(sa.exc.DBAPIError) as caught,
        ):
            app.test_client().get("/")
        for text in (caplog.text, "".join(caught.value.__notes__)):
            assert f"lacks revision {lacking} " in text
            assert f"{program} db upgrade" in text
    any_project.alembic.upgrade()
    assert app.test_client().get("/").status_code == 200


def test_other_errors_of_requests_get_no_hint(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.write_table("aa", None, "other")

    @project.app.get("/")
    def index() -> str:
        raise KeyError("x")

    with pytest.raises(KeyError) as caught:
        project.app.test_client().get("/")
    assert not hasattr(caught.value, "__notes__")
    assert "lacks revision" not in caplog.text


def test_in_debug_mode_each_page_says_the_command_until_it_was_run(
    make_project: t.Any, pytestconfig: pytest.Config
) -> None:
    program = pytestconfig.getoption("--framework")
    project = make_project(DEBUG=True, TESTING=False)
    project.write_table("aa", None, "one")
    project.write("bb", "aa", "op.add_column('one', sa.Column('n', sa.Integer))")
    client = serving(project).test_client()
    with project.app.app_context():
        for lacking, target in (("aa", None), ("bb", "aa")):
            if target is not None:
                project.alembic.upgrade(target)
            page = client.get("/", headers={"Accept": "text/html"})
            assert page.status_code == 503
            assert 'name="viewport"' in page.text
            assert f"lacks revision {lacking} " in page.text
            assert f"<code>{program} db upgrade</code>" in page.text
            text = client.get("/", headers={"Accept": "application/json"})
            assert text.status_code == 503
            assert text.mimetype == "text/plain"
            assert f"run `{program} db upgrade`" in text.text
        project.alembic.upgrade()
    assert client.get("/").status_code == 200
    # It does not ask again: the reloader starts another process for another file.
    project.write("cc", "bb")
    assert client.get("/").status_code == 200


def test_in_debug_mode_a_revision_that_can_wait_stops_no_page(
    make_project: t.Any,
) -> None:
    project = make_project(DEBUG=True, TESTING=False)
    columns = "sa.Column('id', sa.Integer), sa.Column('n', sa.Integer)"
    project.write("aa", None, f"op.create_table('one', {columns})")
    project.write("bb", "aa", "op.drop_column('one', 'n')", extra="contracts = 'aa'")
    client = serving(project).test_client()
    with project.app.app_context():
        project.alembic.upgrade("aa")
        (bind,) = project.alembic.status(models=False).binds
        assert [str(info.id) for info in bind.pending] == ["bb"]
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("debug", [False, True])
def test_tests_and_production_get_no_such_page(
    make_project: t.Any, debug: bool
) -> None:
    project = make_project(DEBUG=debug, TESTING=debug, PROPAGATE_EXCEPTIONS=False)
    project.write_table("aa", None, "one")
    assert serving(project).test_client().get("/").status_code == 500


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_who_holds_the_lock_is_named(
    make_project: t.Any, request: pytest.FixtureRequest, kind: str
) -> None:
    project = make_project(
        request.getfixturevalue(f"{kind}_url"),
        ALEMBIC_TABLE_LOCK_TIMEOUT=1,
        ALEMBIC_LOCK_RETRIES=0,
    )
    project.write_table("aa", None, "one")
    project.write("bb", "aa", "op.add_column('one', sa.Column('n', sa.Integer))")
    with project.app.app_context(), project.engine.connect() as other:
        project.alembic.upgrade("aa")
        other.execute(sa.text("INSERT INTO one (id) VALUES (1)"))
        session = other.scalar(
            sa.text(
                "SELECT pg_backend_pid()" if kind == "postgresql"
                else "SELECT connection_id()"
            )
        )  # fmt: skip
        with pytest.raises(TableLocked, match=f"session {session} of ") as caught:
            project.alembic.upgrade()
    assert session in [holder.session for holder in caught.value.holders]
    assert all(holder.since for holder in caught.value.holders)


def test_a_downgrade_that_drops_data_needs_a_yes(project: Project) -> None:
    project.write_table("aa", None, "one")
    project.write("bb", "aa")
    project.run("upgrade")
    assert project.run("downgrade").exit_code == 0
    refused = project.run("downgrade")
    assert refused.exit_code == 1
    assert "drop table one" in refused.output
    assert "--yes" in refused.output
    assert "one" in project.tables()
    assert project.run("downgrade", "--yes").exit_code == 0
    assert "one" not in project.tables()


def test_a_tree_that_others_need_is_not_taken_back(project: Project) -> None:
    for name in ("base", "top"):
        folder = project.folder.parent / name
        folder.mkdir()
        project.write_table(name[0] * 2, None, name).rename(folder / "first.py")
    project.alembic.register("base", path=project.folder.parent / "base")
    project.alembic.register(
        "top", path=project.folder.parent / "top", depends_on=["base"]
    )
    with project.app.app_context():
        project.alembic.upgrade()
        for method in (project.alembic.downgrade, project.alembic.losses):
            with pytest.raises(MigrationError, match="'top' is applied, and depends"):
                method("base", trees=["base"])
        project.alembic.downgrade("base", trees=["top"])
        project.alembic.downgrade("base", trees=["base"])
        assert project.tables().isdisjoint({"base", "top"})


def test_the_source_is_given_with_the_app(project: Project) -> None:
    class Engines:
        engines: t.ClassVar = {None: project.engine}
        metadatas: t.ClassVar = {None: project.metadata}

    db, alembic = Engines(), Alembic()
    app = flask.Flask("factory", root_path=str(project.folder.parent))
    alembic.init_app(app, db, directory=project.folder)
    project.write_table("aa", None, "one")
    with app.app_context():
        assert len(alembic.upgrade()) == 1
    other = Alembic(engine=project.engine)
    with pytest.raises(TypeError, match="engines already"):
        other.init_app(flask.Flask("other"), db)


def test_a_file_that_cannot_be_opened_is_no_missing_server(
    make_project: t.Any, tmp_path: Path
) -> None:
    project = make_project(f"sqlite:///{tmp_path}/missing/app.db")
    project.write_table("aa", None, "one")
    with project.app.app_context():
        with pytest.raises(MigrationError, match="folder is there") as caught:
            project.alembic.upgrade()
        assert "server" not in str(caught.value)
