"""Comparisons of models that Alembic cannot compare, or not without a word from us."""

from __future__ import annotations

import typing as t

import flask
import pytest
import sqlalchemy as sa
from alembic.operations import ops

from flaskware_alembic import Alembic
from flaskware_alembic import ModelsChanged
from flaskware_alembic import RevisionFileError
from flaskware_alembic import State
from flaskware_core import ConfigError

Project: t.TypeAlias = t.Any


def migrate(project: Project) -> str:
    (written,) = project.alembic.revision("change", in_place=True)
    project.alembic.upgrade()
    assert project.alembic.check().state is State.UP_TO_DATE
    return str(written.path.read_text())


def declare(project: Project, *items: t.Any, **options: t.Any) -> None:
    project.metadata.clear()
    id = sa.Column("id", sa.Integer, sa.Identity(), primary_key=True)
    sa.Table("item", project.metadata, id, *items, **options)


def test_a_default_becomes_an_identity_and_back(pg: Project) -> None:
    def key(default: t.Any) -> None:
        pg.metadata.clear()
        items = [default] if isinstance(default, sa.Identity) else []
        server_default = default if isinstance(default, str) else None
        column: t.Any = sa.Column(
            "k", sa.Integer, *items, nullable=False, server_default=server_default
        )
        sa.Table("item", pg.metadata, column)

    key("4")
    migrate(pg)
    key(sa.Identity(start=5))
    assert "sa.Identity(" in migrate(pg)
    pg.alembic.downgrade("-1")
    pg.alembic.upgrade()
    key("6")
    migrate(pg)
    key(None)
    migrate(pg)


def test_a_schema_is_made_with_its_tables_and_compared(pg: Project) -> None:
    declare(pg, sa.Column("n", sa.Integer), schema="shop")
    with pg.engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA other")
        connection.exec_driver_sql("CREATE TABLE other.foreign_table (id INTEGER)")
    assert "CREATE SCHEMA IF NOT EXISTS shop" in migrate(pg)
    declare(pg, sa.Column("m", sa.Integer), schema="shop")
    assert [*pg.alembic.status().binds[0].changes] == [
        "add column item.m",
        "remove column item.n",
    ]
    migrate(pg)
    pg.alembic.downgrade("base")


def test_tables_that_no_revision_made_are_left_alone(any_project: Project) -> None:
    with any_project.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (id INTEGER)")
    declare(any_project)
    assert "theirs" not in migrate(any_project)
    ids = {found.id: found.message for found in any_project.alembic.explain()}
    assert "theirs" in ids["not-ours"]
    any_project.metadata.clear()
    any_project.add_table("another")
    assert "op.drop_table('item')" in migrate(any_project)
    assert "theirs" in any_project.tables()


def test_a_tree_without_metadata_keeps_its_tables(project: Project) -> None:
    folder = project.folder.parent / "brought"
    project.write_table("aa", None, "brought")
    folder.mkdir()
    (project.folder / "aa.py").rename(folder / "aa.py")
    project.alembic.register("brought", path=folder)
    with project.app.app_context():
        project.alembic.upgrade()
        declare(project)
        assert "brought" not in migrate(project)
        assert project.alembic.revision("nothing", trees=["brought"]) == []
        assert "brought" in project.tables()


def test_the_primary_key_is_compared(any_project: Project) -> None:
    def columns(*keys: str) -> None:
        any_project.metadata.clear()
        sa.Table(
            "item",
            any_project.metadata,
            *(
                sa.Column(
                    name, sa.Integer, primary_key=name in keys,
                    nullable=False, autoincrement=False,
                )
                for name in ("a", "b")
            ),
        )  # fmt: skip

    columns("a")
    migrate(any_project)
    columns("a", "b")
    with pytest.raises(ModelsChanged, match="primary key of item: a -> a, b"):
        any_project.alembic.check()
    migrate(any_project)
    any_project.alembic.downgrade("-1")
    any_project.alembic.upgrade()


def test_a_new_required_column_asks_for_the_value_of_rows(any_project: Project) -> None:
    declare(any_project)
    migrate(any_project)
    with any_project.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO item (id) VALUES (1)")
    declare(any_project, sa.Column("n", sa.Integer, nullable=False))
    said = any_project.run("migrate").output
    assert "needs a value for the rows that are there" in said
    (written,) = any_project.alembic.heads()
    code = written.path.read_text()
    assert "server_default=..." in code
    # One cause is one finding.
    rules = [finding.rule for finding in any_project.alembic.lint(written.id)]
    assert rules == ["to-fill-in"]
    with pytest.raises(RevisionFileError, match="is not finished"):
        any_project.alembic.upgrade()
    written.path.write_text(code.replace("server_default=...", "server_default='70'"))
    any_project.alembic.upgrade()
    assert any_project.alembic.check().state is State.UP_TO_DATE
    with any_project.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT n FROM item")) == 70
    any_project.alembic.downgrade("-1")


def test_rows_get_the_default_of_a_column_that_becomes_required(
    any_project: Project,
) -> None:
    declare(any_project, sa.Column("s", sa.String(9)))
    migrate(any_project)
    with any_project.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO item (id) VALUES (1)")
    declare(
        any_project, sa.Column("s", sa.String(9), nullable=False, server_default="it's")
    )
    migrate(any_project)
    with any_project.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT s FROM item")) == "it's"


def test_hooks_of_an_env_py_take_part(project: Project) -> None:
    seen: list[str] = []

    def include_object(item: t.Any, name: t.Any, kind: str, *_: object) -> bool:
        return not (kind == "column" and name == "hidden")

    def include_name(name: t.Any, kind: str, _: object) -> bool:
        seen.append(kind)
        return name != "unseen"

    def render_item(kind: str, item: t.Any, _: object) -> t.Any:
        return "sa.Text()" if kind == "type" and isinstance(item, sa.String) else False

    def process(_: object, __: object, directives: list[t.Any]) -> None:
        directives[0].upgrade_ops.ops.append(ops.ExecuteSQLOp("SELECT 'processed'"))

    alembic = Alembic(
        metadata=project.metadata,
        engine=project.engine,
        include_object=include_object,
        include_name=include_name,
        compare_type=lambda *_: False,
        render_item=render_item,
        process_revision_directives=process,
    )
    app = flask.Flask("hooks", root_path=str(project.folder.parent))
    alembic.init_app(app, directory=project.folder)
    declare(project, sa.Column("s", sa.String(9)))
    with app.app_context():
        code = alembic.revision("one")[0].path.read_text()
        assert "sa.Column('s', sa.Text()" in code
        assert "processed" in code
        alembic.upgrade()
        declare(project, sa.Column("s", sa.String(9)), sa.Column("hidden", sa.Integer))
        alembic.check()
    assert "table" in seen


def test_a_wrong_schema_is_a_wrong_setting(project: Project) -> None:
    with pytest.raises(ConfigError, match="schemas"):
        Alembic(engine=project.engine, schemas=3).init_app(flask.Flask("x"))
