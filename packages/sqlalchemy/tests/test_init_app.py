from __future__ import annotations

import socket

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core import AlreadyInitialised
from flaskware_core import check_connections
from flaskware_core import ConfigError
from flaskware_core import NotInitialised
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy import UnknownBind
from flaskware_sqlalchemy._engines.probe import unreachable


def test_the_extension_is_where_other_extensions_look(site):
    assert site.app.extensions["sqlalchemy"] is site.db


def test_engines_and_metadatas_have_the_shapes_of_flask_sqlalchemy(site):
    with site.app.app_context():
        assert list(site.db.engines) == [None, "audit"]
        assert site.db.engine is site.db.engines[None]
        assert site.db.get_engine("audit") is site.db.engines["audit"]
        assert site.db.get_engine() is site.db.engine
        assert site.db.metadata is site.db.metadatas[None] is site.db.Model.metadata
        assert list(site.db.metadatas["audit"].tables) == ["entry"]
        assert site.db.metadatas["audit"].info == {"bind_key": "audit"}


def test_an_unknown_engine_is_refused_with_the_names_there_are(site):
    with site.app.app_context(), pytest.raises(UnknownBind) as info:
        site.db.get_engine("adit")
    assert "SQLALCHEMY_BINDS has 'audit'." in str(info.value)


def test_a_second_call_is_refused(site):
    with pytest.raises(AlreadyInitialised, match=r"test_init_app\.py"):
        site.db.init_app(site.app)


def test_nothing_is_connected_at_init_app(tmp_path):
    db = SQLAlchemy()
    make_app(
        db,
        instance_path=tmp_path / "instance",
        SQLALCHEMY_DATABASE_URI="sqlite:///x.db",
    )
    assert not (tmp_path / "instance" / "x.db").exists()


def test_outside_a_context_the_error_says_what_to_write(site):
    with pytest.raises(NotInitialised, match=r"with db\.session_scope\(app\)"):
        site.db.session.execute(sa.select(1))
    with pytest.raises(NotInitialised, match=r"with db\.session_scope\(app\)"):
        site.db.get_session("log")
    with pytest.raises(NotInitialised, match=r"with app\.app_context\(\)"):
        site.db.engines  # noqa: B018


def test_an_app_that_was_not_initialised_is_named(site):
    other = flask.Flask("another")
    with other.app_context(), pytest.raises(NotInitialised, match="'another'"):
        site.db.session()


def test_a_base_is_made_where_none_is_given():
    first, second = SQLAlchemy(), SQLAlchemy()
    assert issubclass(first.Model, Model)
    assert first.metadata is not second.metadata


def test_a_plain_declarative_base_gets_a_subclass_with_names():
    class Plain(DeclarativeBase):
        metadata = sa.MetaData(schema="app")

    db = SQLAlchemy(model_class=Plain)
    assert issubclass(db.Model, Plain)
    assert db.metadata is Plain.metadata

    class SalesOrder(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    assert SalesOrder.__tablename__ == "sales_order"
    assert list(Plain.metadata.tables) == ["app.sales_order"]


def test_a_class_that_is_no_base_is_refused():
    with pytest.raises(TypeError, match=r"class Base\(Model, DeclarativeBase\)"):
        SQLAlchemy(model_class=sa.orm.registry())  # type: ignore[type-var]


def test_the_shell_has_the_models(site):
    names = site.app.make_shell_context()
    assert names["db"] is site.db
    assert names["User"] is site.User


def test_the_folder_of_a_relative_path_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    db = SQLAlchemy()
    app = make_app(
        db,
        instance_path=tmp_path / "instance",
        SQLALCHEMY_DATABASE_URI="sqlite:///data/app.db",
    )
    with app.app_context(), db.engine.connect():
        pass
    db.state_of(app).router.engines[None].dispose()
    assert (tmp_path / "instance/data/app.db").is_file()


def test_a_folder_that_cannot_be_made_is_a_problem_of_the_key(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="a path whose folder can be made") as info:
        make_app(
            SQLAlchemy(),
            instance_path=tmp_path / "file",
            SQLALCHEMY_DATABASE_URI="sqlite:///app.db",
        )
    assert info.value.problems[0].key == "SQLALCHEMY_DATABASE_URI"


def test_databases_that_answer_pass_the_connection_check(pg_site):
    check_connections(pg_site.app)
    assert pg_site.in_use() == {None: 0, "audit": 0}


def test_a_database_that_does_not_answer_is_named_without_its_password():
    db = SQLAlchemy()
    app = make_app(
        db,
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SQLALCHEMY_BINDS={
            "reports": "postgresql+psycopg://me:s3cret-word@127.0.0.1:1/reports"
        },
    )
    with pytest.raises(ConfigError) as info:
        check_connections(app)
    assert [problem.key for problem in info.value.problems] == [
        "SQLALCHEMY_BINDS['reports']"
    ]
    assert "s3cret-word" not in str(info.value)
    assert "postgresql+psycopg://me:***@127.0.0.1:1/reports" in str(info.value)


def test_a_replica_that_does_not_answer_is_named_too():
    app = make_app(
        SQLAlchemy(),
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SQLALCHEMY_REPLICAS={"default": ["postgresql+psycopg://me@127.0.0.1:1/shop"]},
    )
    with pytest.raises(ConfigError) as info:
        check_connections(app)
    (problem,) = info.value.problems
    assert problem.key == "SQLALCHEMY_REPLICAS['default'][0]"


def test_a_database_that_never_answers_is_not_waited_for():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        engine = sa.create_engine(f"postgresql+psycopg://me@127.0.0.1:{port}/x")
        reasons = unreachable({"slow": engine}, patience=0.2)
    assert reasons == {"slow": "no answer within 0.2 seconds"}
