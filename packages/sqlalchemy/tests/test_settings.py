from __future__ import annotations

import pytest
import sqlalchemy as sa

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy import SQLAlchemySettings
from flaskware_sqlalchemy import UnknownBind


def problems(**config):
    with pytest.raises(ConfigError) as info:
        make_app(SQLAlchemy(), **{f"SQLALCHEMY_{k}": v for k, v in config.items()})
    return {problem.key: problem for problem in info.value.problems}


def test_without_a_database_the_error_says_what_to_write():
    problem = problems()["SQLALCHEMY_DATABASE_URI"]
    assert problem.given == "nothing: this key or SQLALCHEMY_BINDS is required"
    assert problem.write == "SQLALCHEMY_DATABASE_URI = 'sqlite:///app.db'"


@pytest.mark.parametrize("url", ["", "not a url", "user:hunter2@host/db", "//x"])
def test_a_malformed_url_is_not_repeated(url):
    problem = problems(DATABASE_URI=url)["SQLALCHEMY_DATABASE_URI"]
    assert problem.expected.startswith("a database URL: dialect+driver://")
    assert "hunter2" not in str(problem)


def test_a_port_that_is_no_number_is_a_malformed_url():
    found = problems(DATABASE_URI="postgresql+psycopg://me:hunter2@host:port/db")
    assert "dialect+driver" in found["SQLALCHEMY_DATABASE_URI"].expected
    assert "hunter2" not in str(found)


def test_an_unknown_dialect_is_told_with_the_right_name():
    problem = problems(DATABASE_URI="postgres://me:hunter2@host/db")[
        "SQLALCHEMY_DATABASE_URI"
    ]
    assert problem.write == "postgresql+psycopg://…"
    assert problem.given == "'postgres://…' (the rest is hidden)"


@pytest.mark.parametrize(
    ("url", "write"),
    [
        ("mysql+nope://host/db", "mysql+pymysql://…"),
        ("mongodb://host/db", "sqlite, postgresql+psycopg, mysql+pymysql or another"),
    ],
)
def test_an_unknown_driver_is_told_with_one_that_is_known(url, write):
    problem = problems(DATABASE_URI=url)["SQLALCHEMY_DATABASE_URI"]
    assert problem.write.startswith(write)


def test_a_missing_driver_is_told_with_what_to_install():
    found = problems(
        DATABASE_URI="sqlite://",
        BINDS={"old": "mysql+mysqlconnector://me:hunter2@host/db"},
    )
    problem = found["SQLALCHEMY_BINDS['old']"]
    assert problem.expected == "the driver mysqlconnector, which is not installed"
    assert "pip install 'mysql-connector-python'" in problem.write
    assert "hunter2" not in str(problem)


def test_an_asynchronous_driver_is_refused():
    problem = problems(DATABASE_URI="postgresql+asyncpg://host/db")[
        "SQLALCHEMY_DATABASE_URI"
    ]
    assert problem.write == "postgresql+psycopg://…"


def test_an_unknown_engine_option_is_reported_with_the_closest():
    found = problems(
        DATABASE_URI="postgresql+psycopg://host/db",
        ENGINE_OPTIONS={"pool_sizee": 5},
        BINDS={"b": {"url": "postgresql+psycopg://host/b", "ecko": True}},
    )
    problem = found["SQLALCHEMY_ENGINE_OPTIONS"]
    assert problem.expected.endswith("unknown: pool_sizee")
    assert problem.write == "did you mean pool_size?"
    assert found["SQLALCHEMY_BINDS['b']"].write == "did you mean echo?"


def test_an_option_of_the_wrong_type_is_told_without_its_value():
    found = problems(
        DATABASE_URI="postgresql+psycopg://host/db",
        ENGINE_OPTIONS={"isolation_level": {"hunter2": 1}, "pool_size": "hunter2"},
    )
    assert "hunter2" not in str(found)
    assert "SQLALCHEMY_ENGINE_OPTIONS" in found


def test_a_bind_without_a_url_is_refused():
    found = problems(
        DATABASE_URI="sqlite://", BINDS={"a": {"uri": "mysql://p:hunter2"}}
    )
    (problem,) = found.values()
    assert problem.key.startswith("SQLALCHEMY_BINDS")
    assert "url" in problem.expected
    assert "hunter2" not in str(problem)


def test_a_misspelled_key_is_told_with_the_closest():
    problem = problems(DATABASE_URL="sqlite://")["SQLALCHEMY_DATABASE_URL"]
    assert "SQLALCHEMY_DATABASE_URI" in problem.write


def test_keys_of_other_extensions_are_told_with_their_replacement():
    found = problems(DATABASE_URI="sqlite://", POOL_SIZE=3, ENGINES={})
    assert (
        found["SQLALCHEMY_POOL_SIZE"].write
        == "SQLALCHEMY_ENGINE_OPTIONS = {'pool_size': …}"
    )
    assert "SQLALCHEMY_BINDS" in found["SQLALCHEMY_ENGINES"].write


@pytest.mark.parametrize("value", [False, "False", "0"])
def test_track_modifications_may_stay_off(value):
    make_app(
        SQLAlchemy(),
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SQLALCHEMY_TRACK_MODIFICATIONS=value,
    )


def test_track_modifications_warns_of_what_replaces_it():
    with pytest.warns(UserWarning, match=r"listens_for\(db\.session, \"after_flush"):
        make_app(
            SQLAlchemy(),
            SQLALCHEMY_DATABASE_URI="sqlite://",
            SQLALCHEMY_TRACK_MODIFICATIONS=True,
        )


@pytest.mark.parametrize(
    "config",
    [
        {"BINDS": {"a": "sqlite:///a.db"}},
        {"BINDS": {"a": "sqlite:///a.db"}, "REPLICAS": {"a": ["sqlite:///b.db"]}},
    ],
)
def test_an_app_may_have_binds_and_no_default_database(config, tmp_path):
    db = SQLAlchemy()

    class Note(db.Model):
        __bind_key__ = "a"
        id = db.Column(db.Integer, primary_key=True)

    class Lost(db.Model):
        id = db.Column(db.Integer, primary_key=True)

    config = {f"SQLALCHEMY_{name}": value for name, value in config.items()}
    app = make_app(db, instance_path=tmp_path, **config)
    with app.app_context():
        db.create_all("a")
        db.session.add(Note())
        db.session.commit()
        assert list(db.engines) == ["a"]
        with pytest.raises(UnknownBind, match="no default database"):
            db.session.scalars(sa.select(Lost))
        with pytest.raises(UnknownBind, match="bind_arguments"):
            db.engine  # noqa: B018


def test_the_name_none_is_the_default_database(tmp_path):
    db = SQLAlchemy()
    binds = {None: {"url": "sqlite:///a.db", "echo": True}, "b": "sqlite:///b.db"}
    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_BINDS=binds)
    with app.app_context():
        assert db.engine.url.database == str(tmp_path / "a.db")
        assert (db.engine.echo, db.engines["b"].echo) == (True, False)


def test_the_options_of_the_extension_are_defaults_of_every_engine(tmp_path):
    db = SQLAlchemy(engine_options={"echo": True, "pool_recycle": 60})
    app = make_app(
        db,
        instance_path=tmp_path,
        SQLALCHEMY_DATABASE_URI="sqlite:///a.db",
        SQLALCHEMY_ENGINE_OPTIONS={"pool_recycle": 30},
        SQLALCHEMY_BINDS={"b": {"url": "sqlite:///b.db", "echo": False}},
        SQLALCHEMY_REPLICAS={"default": ["sqlite:///c.db"]},
    )
    sources = db.state_of(app).sources
    assert {key: source.options["echo"] for key, source in sources.items()} == {
        None: True,
        "b": False,
    }
    assert sources[None].options["pool_recycle"] == 30
    assert sources["b"].options["pool_recycle"] == 60
    assert db.state_of(app).copies[None][0].options["pool_recycle"] == 60
    with pytest.raises(ConfigError, match=r"engine_options=…(.|\n)*pool_size") as info:
        make_app(
            SQLAlchemy(engine_options={"pool_sise": 3}),
            SQLALCHEMY_DATABASE_URI="sqlite://",
        )
    assert "pool_sise" in str(info.value)


def test_a_url_object_is_a_url():
    url = sa.URL.create("sqlite", database=":memory:")
    settings = SQLAlchemySettings.from_config(
        {"SQLALCHEMY_DATABASE_URI": url, "SQLALCHEMY_BINDS": {"a": {"url": url}}}
    )
    for text, options in settings.databases().values():
        assert sa.make_url(text).database == ":memory:"
        assert options == {}


def test_no_password_is_in_the_repr_of_the_settings():
    settings = SQLAlchemySettings.from_config(
        {
            "SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://me:hunter2@host/db",
            "SQLALCHEMY_BINDS": {"a": "postgresql+psycopg://me:hunter2@host/db"},
            "SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"password": "hunter2"}},
        }
    )
    assert "hunter2" not in repr(settings)


def test_nested_environment_variables_configure_binds(monkeypatch):
    import flask

    monkeypatch.setenv("FLASK_SQLALCHEMY_DATABASE_URI", "sqlite://")
    monkeypatch.setenv("FLASK_SQLALCHEMY_BINDS__audit", "sqlite://")
    monkeypatch.setenv("FLASK_SQLALCHEMY_ECHO", "false")
    app = flask.Flask("x")
    app.config.from_prefixed_env()
    db = SQLAlchemy(app)
    assert list(db.state_of(app).router.engines) == [None, "audit"]
    assert db.settings_of(app).echo is False


def test_arguments_win_over_the_config():
    db = SQLAlchemy(database_uri="sqlite://", binds={"a": "sqlite://"})
    app = make_app(db, SQLALCHEMY_DATABASE_URI="sqlite:///unused.db")
    assert db.settings_of(app).database_uri == "sqlite://"


def test_an_option_of_the_wrong_type_is_named_with_its_type():
    problem = problems(
        DATABASE_URI="postgresql+psycopg://host/db",
        ENGINE_OPTIONS={"pool_size": "5", "max_overflow": 1},
    )["SQLALCHEMY_ENGINE_OPTIONS"]
    assert problem.given == "{'pool_size': (hidden) text of 1 characters}"


def test_a_misspelled_isolation_level_gets_the_closest():
    problem = problems(DATABASE_URI="sqlite://", ISOLATION_LEVEL="SERIALISABLE")[
        "SQLALCHEMY_ISOLATION_LEVEL"
    ]
    assert problem.write == "SQLALCHEMY_ISOLATION_LEVEL = 'SERIALIZABLE'"
