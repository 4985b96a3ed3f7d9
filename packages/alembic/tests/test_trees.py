from __future__ import annotations

import collections.abc as cabc
import importlib.metadata
import typing as t
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from flaskware_alembic import Alembic
from flaskware_alembic import MigrationError
from flaskware_alembic import State
from flaskware_core.testing import make_app

Project: t.TypeAlias = t.Any


@pytest.fixture
def add_tree(any_project: Project) -> cabc.Callable[..., Path]:
    """Registers a tree whose one revision makes the table of its name."""

    def add(name: str, **fields: t.Any) -> Path:
        metadata = sa.MetaData()
        sa.Table(name, metadata, sa.Column("id", sa.Integer, primary_key=True))
        path = any_project.folder.parent / "trees" / name
        id = f"{name}1".replace("-", "_")
        written = any_project.write_table(id, None, name)
        path.mkdir(parents=True)
        written.rename(path / written.name)
        any_project.alembic.register(name, path=path, metadata=metadata, **fields)
        return path

    return add


def names(plan: cabc.Iterable[t.Any]) -> list[str]:
    return [step.revision.id for step in plan]


def test_an_upgrade_moves_every_tree_and_the_apps_own_last(
    any_project: Project, add_tree: cabc.Callable[..., Path]
) -> None:
    any_project.write_table("own1", None, "own")
    add_tree("basket", depends_on=["customer"])
    add_tree("customer")
    assert names(any_project.alembic.plan()) == ["customer1", "basket1", "own1"]
    assert names(any_project.alembic.upgrade()) == ["customer1", "basket1", "own1"]
    assert not any_project.alembic.upgrade()
    assert any_project.tables() == {
        "own",
        "basket",
        "customer",
        "alembic_version",
        "alembic_version_basket",
        "alembic_version_customer",
    }
    assert any_project.alembic.check(models=False).state is State.UP_TO_DATE


def test_a_tree_that_depends_on_the_app_comes_after_it(
    any_project: Project, add_tree: cabc.Callable[..., Path]
) -> None:
    any_project.write_table("own1", None, "own")
    add_tree("a-report", depends_on=["app"])
    add_tree("b-report", depends_on=["a-report"])
    assert names(any_project.alembic.upgrade()) == ["own1", "a_report1", "b_report1"]
    assert "alembic_version_a_report" in any_project.tables()


def test_each_tree_has_its_own_head_and_can_be_moved_alone(
    any_project: Project, add_tree: cabc.Callable[..., Path]
) -> None:
    any_project.write_table("own1", None, "own")
    add_tree("basket")
    alembic = any_project.alembic
    assert names(alembic.upgrade(trees=["basket"])) == ["basket1"]
    assert alembic.status().state is State.PENDING
    assert [info.tree for info in alembic.heads()] == ["basket", None]
    alembic.upgrade()
    assert names(alembic.downgrade("base")) == ["own1"]
    assert names(alembic.downgrade("base", trees=["basket"])) == ["basket1"]
    assert not any_project.tables() & {"own", "basket"}


def test_the_tables_of_a_tree_are_not_the_apps_to_compare(
    any_project: Project, add_tree: cabc.Callable[..., Path]
) -> None:
    add_tree("basket")
    any_project.add_table("own")
    any_project.alembic.upgrade()
    (written,) = any_project.alembic.revision("own")
    assert "basket" not in written.path.read_text()
    any_project.alembic.upgrade()
    assert any_project.alembic.check().state is State.UP_TO_DATE


def test_a_table_missing_from_a_trees_revisions_is_a_change_of_that_tree(
    any_project: Project, add_tree: cabc.Callable[..., Path]
) -> None:
    path = add_tree("basket")
    metadata = any_project.alembic._registered["basket"].metadata
    sa.Table("wish", metadata, sa.Column("id", sa.Integer, primary_key=True))
    any_project.alembic.upgrade()
    (changed,) = [
        status for status in any_project.alembic.status().binds if status.changes
    ]
    assert changed.tree == "basket"
    assert changed.changes == ("add table wish",)
    (written,) = any_project.alembic.revision("wish", trees=["basket"])
    assert written.path.parent == path


def test_alembic_itself_reads_the_version_table_of_a_tree(
    any_project: Project, add_tree: cabc.Callable[..., Path]
) -> None:
    from alembic.runtime.migration import MigrationContext

    add_tree("basket")
    any_project.alembic.upgrade()
    with any_project.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "alembic_version_basket"}
        )
        assert context.get_current_heads() == ("basket1",)


def test_a_tree_may_have_a_database_of_its_own(
    project: Project, tmp_path: Path
) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    path = project.write_table("side1", None, "side")
    (tmp_path / "side").mkdir()
    path.rename(tmp_path / "side" / "side1.py")
    project.alembic.register("side", path=tmp_path / "side", engine=engine)
    with project.app.app_context():
        project.alembic.upgrade()
    assert "side" in sa.inspect(engine).get_table_names()
    assert project.tables() == set()
    engine.dispose()


@pytest.mark.parametrize(
    ("trees", "message"),
    [
        ({"a": ["b"], "b": ["a"]}, "in a circle: "),
        ({"a": ["nowhere"]}, "depends on 'nowhere', which is not there"),
    ],
)
def test_dependencies_that_cannot_be_met_are_named(
    project: Project, tmp_path: Path, trees: dict[str, list[str]], message: str
) -> None:
    for name, depends_on in trees.items():
        project.alembic.register(name, path=tmp_path, depends_on=depends_on)
    with (
        project.app.app_context(),
        pytest.raises(MigrationError, match=message),
    ):
        project.alembic.upgrade()


@pytest.mark.parametrize("name", ["app", "Two Words", ""])
def test_a_name_that_no_version_table_can_end_in_is_refused(
    project: Project, tmp_path: Path, name: str
) -> None:
    with pytest.raises(MigrationError, match="is no name for a tree"):
        project.alembic.register(name, path=tmp_path)


def test_a_second_tree_of_the_same_name_is_refused(
    project: Project, tmp_path: Path
) -> None:
    project.alembic.register("twice", path=tmp_path)
    project.alembic.register("twice", path=tmp_path)
    with pytest.raises(MigrationError, match="is registered already"):
        project.alembic.register("twice", path=tmp_path / "elsewhere")


def test_an_unknown_tree_is_refused_with_the_known_ones(
    any_project: Project, add_tree: cabc.Callable[..., Path]
) -> None:
    add_tree("basket")
    result = any_project.run("upgrade", "--tree", "baskets")
    assert result.exit_code == 1
    assert "known are 'app', 'basket'" in result.output


@pytest.fixture
def entry_point(monkeypatch: pytest.MonkeyPatch) -> cabc.Callable[[t.Any], None]:
    """Installs an entry point that answers what it is told to."""

    def install(answer: t.Any) -> None:
        monkeypatch.setattr(f"{__name__}._answer", answer, raising=False)
        point = importlib.metadata.EntryPoint(
            "shop", f"{__name__}:_tree_of", "flaskware_alembic.trees"
        )
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: (point,))

    return install


_answer: t.Any = None


def _tree_of(app: flask.Flask) -> t.Any:
    return _answer(app) if callable(_answer) else _answer


def test_an_installed_package_brings_its_tree_by_entry_point(
    project: Project, tmp_path: Path, entry_point: cabc.Callable[[t.Any], None]
) -> None:
    path = project.write_table("shop1", None, "shop")
    (tmp_path / "shop").mkdir()
    path.rename(tmp_path / "shop" / "shop1.py")
    seen: list[flask.Flask] = []

    def tree(app: flask.Flask) -> dict[str, t.Any]:
        seen.append(app)
        return {"path": tmp_path / "shop", "metadata": sa.MetaData()}

    entry_point(tree)
    with project.app.app_context():
        project.alembic.upgrade()
        project.alembic.upgrade()
    assert "shop" in project.tables()
    assert seen == [project.app]


def test_a_tree_of_an_async_engine_is_applied_beside_the_others(
    project: Project, tmp_path: Path, entry_point: cabc.Callable[[t.Any], None]
) -> None:
    path = project.write_table("shop1", None, "shop")
    (tmp_path / "shop").mkdir()
    path.rename(tmp_path / "shop" / "shop1.py")
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/other.db")
    entry_point({"path": tmp_path / "shop", "engine": engine})
    with project.app.app_context():
        project.alembic.upgrade()
        assert project.alembic.check().state is State.UP_TO_DATE
    plain = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    assert "shop" in sa.inspect(plain).get_table_names()
    assert project.tables() == set()
    plain.dispose()


def test_a_package_that_the_app_does_not_use_brings_nothing(
    project: Project, entry_point: cabc.Callable[[t.Any], None]
) -> None:
    entry_point(None)
    with project.app.app_context():
        assert [m.label for m in project.alembic.state.selection().migrators] == [
            "default"
        ]


def test_packages_bring_nothing_where_discovery_is_off(
    make_project: cabc.Callable[..., Project],
    entry_point: cabc.Callable[[t.Any], None],
) -> None:
    entry_point(lambda app: pytest.fail("it was asked"))
    project = make_project(ALEMBIC_DISCOVER=False)
    with project.app.app_context():
        assert not project.alembic.upgrade()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"metadata": None}, "has no 'path'"),
        ({"path": ".", "folder": "."}, "has unknown fields: folder"),
        (lambda app: 1 / 0, "cannot be loaded: ZeroDivisionError"),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_named(
    project: Project,
    entry_point: cabc.Callable[[t.Any], None],
    answer: t.Any,
    message: str,
) -> None:
    entry_point(answer)
    with project.app.app_context(), pytest.raises(MigrationError, match=message):
        project.alembic.upgrade()


def test_a_tree_of_a_database_that_the_app_lacks_is_refused(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    alembic = Alembic(metadata=sa.MetaData(), engine=engine)
    app = make_app(alembic, instance_path=tmp_path)
    alembic.register("side", path=tmp_path, bind="audit")
    with app.app_context(), pytest.raises(MigrationError, match="'audit', which"):
        alembic.upgrade()
