from __future__ import annotations

import typing as t
from pathlib import Path

import click
import flask
import pytest
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_alembic import MigrationError
from flaskware_core import AlreadyInitialised
from flaskware_core import check_connections
from flaskware_core import ConfigError
from flaskware_core import NotInitialised
from flaskware_core.testing import make_app


def test_the_app_gets_the_command_group_and_the_extension() -> None:
    alembic = Alembic()
    app = make_app(alembic)
    assert app.extensions["alembic"] is alembic
    assert "db" in app.cli.commands


def test_the_command_group_can_have_another_name() -> None:
    app = make_app(Alembic(), ALEMBIC_COMMAND="migrations")
    assert "migrations" in app.cli.commands
    assert "db" not in app.cli.commands


def test_a_command_that_another_extension_has_is_refused() -> None:
    app = make_app()
    app.cli.add_command(click.Group("db"))
    with pytest.raises(ConfigError, match='ALEMBIC_COMMAND = "migrations"'):
        Alembic(app=app)
    Alembic(app=app, command="migrations")


def test_init_app_touches_no_file_and_no_database(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    app = flask.Flask("some_app", root_path=str(tmp_path))
    Alembic(metadata=sa.MetaData(), engine=engine).init_app(app)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_beside_the_module_of_the_app(tmp_path: Path) -> None:
    app = flask.Flask("some_app", root_path=str(tmp_path))
    alembic = Alembic(app=app)
    with app.app_context():
        assert alembic.directory() == tmp_path / "migrations"


def test_the_folder_can_be_given_as_an_argument(tmp_path: Path) -> None:
    app = flask.Flask("some_app", root_path=str(tmp_path))
    alembic = Alembic(app=app, directory="revisions")
    with app.app_context():
        assert alembic.directory() == tmp_path / "revisions"


def test_an_app_in_place_of_the_engines_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"Alembic\(db, app\)"):
        Alembic(flask.Flask("some_app"))  # type: ignore[arg-type]


def test_two_places_for_engines_are_refused(tmp_path: Path) -> None:
    class Db:
        engines: t.ClassVar[dict[str | None, sa.Engine]] = {}
        metadatas: t.ClassVar[dict[str | None, sa.MetaData]] = {}

    with pytest.raises(TypeError, match="not both"):
        Alembic(Db(), engine=sa.create_engine("sqlite://"))


def test_without_engines_the_error_says_what_to_give() -> None:
    alembic = Alembic()
    app = make_app(alembic)
    with app.app_context(), pytest.raises(MigrationError, match=r"Alembic\(db\)"):
        alembic.current()


def test_without_metadata_the_error_says_what_to_give() -> None:
    alembic = Alembic(engine=sa.create_engine("sqlite://"))
    app = make_app(alembic)
    with (
        app.app_context(),
        pytest.raises(MigrationError, match=r"metadata=Base\.metadata"),
    ):
        alembic.current()


def test_models_without_an_engine_are_named() -> None:
    metadata = sa.MetaData()
    sa.Table("log", metadata, sa.Column("id", sa.Integer, primary_key=True))
    alembic = Alembic(
        metadata={None: sa.MetaData(), "audit": metadata},
        engine=sa.create_engine("sqlite://"),
    )
    app = make_app(alembic)
    with app.app_context(), pytest.raises(MigrationError, match="'audit'"):
        alembic.current()


def test_outside_of_an_app_context_the_error_says_what_to_write() -> None:
    alembic = Alembic()
    make_app(alembic)
    with pytest.raises(NotInitialised, match="app_context"):
        alembic.upgrade()


def test_initialising_twice_is_refused() -> None:
    alembic = Alembic()
    app = make_app(alembic)
    with pytest.raises(AlreadyInitialised):
        alembic.init_app(app)


def test_an_engine_that_does_not_answer_is_told_by_check_connections() -> None:
    engine = sa.create_engine("sqlite:////nowhere/at/all/app.db")
    app = make_app(Alembic(metadata=sa.MetaData(), engine=engine))
    with pytest.raises(ConfigError, match="unable to open database file"):
        check_connections(app)
