from __future__ import annotations

import collections.abc as cabc
import textwrap
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_alembic import MigrationError

ENV_PY = "raise RuntimeError('env.py was run')\n"
THEIR_REVISION = '''
    """users

    Revision ID: 1975ea83b712
    Revises:
    Create Date: 2023-11-08 11:40:27.089406

    """
    from alembic import op
    import sqlalchemy as sa


    # revision identifiers, used by Alembic.
    revision = '1975ea83b712'
    down_revision = None
    branch_labels = None
    depends_on = None


    def upgrade():
        op.create_table('user', sa.Column('id', sa.Integer(), primary_key=True))


    def downgrade():
        op.drop_table('user')
'''
THEIR_TEMPLATE = """\
# by their template
from alembic import op
import sqlalchemy as sa
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
def upgrade():
    ${upgrades if upgrades else "pass"}
def downgrade():
    ${downgrades if downgrades else "pass"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory as Flask-Migrate's `init` and `migrate` make it."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions.parent / "env.py").write_text(ENV_PY)
    (versions.parent / "alembic.ini").write_text("[alembic]\n")
    (versions.parent / "script.py.mako").write_text(THEIR_TEMPLATE)
    revision = versions / "1975ea83b712_users.py"
    revision.write_text(textwrap.dedent(THEIR_REVISION))
    return versions.parent


@pytest.fixture
def engine(tmp_path: Path) -> cabc.Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    yield engine
    engine.dispose()


def make(engine: sa.Engine, root: Path) -> tuple[flask.Flask, Alembic, sa.MetaData]:
    metadata = sa.MetaData()
    sa.Table("user", metadata, sa.Column("id", sa.Integer, primary_key=True))
    app = flask.Flask("some_app", root_path=str(root))
    return app, Alembic(app=app, metadata=metadata, engine=engine), metadata


def test_a_directory_of_flask_migrate_is_used_as_it_stands(
    folder: Path, engine: sa.Engine, tmp_path: Path
) -> None:
    app, alembic, metadata = make(engine, tmp_path)
    with app.app_context():
        assert [step.revision.id for step in alembic.upgrade()] == ["1975ea83b712"]
        alembic.check()
        metadata.tables["user"].append_column(sa.Column("age", sa.Integer))
        [info] = alembic.revision("age")
        assert info.path.parent == folder / "versions"
        assert info.down == ("1975ea83b712",)
        assert info.path.read_text().startswith("# by their template")
        alembic.upgrade()
        alembic.check()


def test_it_is_found_above_the_package_of_the_app(
    folder: Path, engine: sa.Engine, tmp_path: Path
) -> None:
    (tmp_path / "shop").mkdir()
    app, alembic, _ = make(engine, tmp_path / "shop")
    with app.app_context():
        assert alembic.directory() == folder
        assert [info.id for info in alembic.heads()] == ["1975ea83b712"]


def test_a_database_that_flask_migrate_upgraded_goes_on_from_there(
    folder: Path, engine: sa.Engine, tmp_path: Path
) -> None:
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE user (id INTEGER NOT NULL, PRIMARY KEY (id))",
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
            "INSERT INTO alembic_version VALUES ('1975ea83b712')",
        ):
            connection.exec_driver_sql(statement)
    app, alembic, _ = make(engine, tmp_path)
    with app.app_context():
        assert not alembic.upgrade()
        alembic.check()


def test_alembic_itself_reads_what_was_written(
    engine: sa.Engine, tmp_path: Path
) -> None:
    from alembic.script import ScriptDirectory

    app, alembic, _ = make(engine, tmp_path)
    with app.app_context():
        [info] = alembic.revision("users")
    scripts = ScriptDirectory(
        str(tmp_path), version_locations=[str(tmp_path / "migrations")]
    )
    assert scripts.get_current_head() == info.id


def test_flask_sqlalchemy_lite_is_adapted(tmp_path: Path) -> None:
    lite = pytest.importorskip("flask_sqlalchemy_lite")
    db = lite.SQLAlchemy()
    app = flask.Flask("some_app", root_path=str(tmp_path), instance_path=str(tmp_path))
    app.config["SQLALCHEMY_ENGINES"] = {
        "default": "sqlite:///app.db",
        "audit": "sqlite:///audit.db",
    }
    db.init_app(app)
    main, audit = sa.MetaData(), sa.MetaData()
    sa.Table("note", main, sa.Column("id", sa.Integer, primary_key=True))
    sa.Table("log", audit, sa.Column("id", sa.Integer, primary_key=True))
    alembic = Alembic(db, app, metadata={"default": main, "audit": audit})
    with app.app_context():
        assert [info.bind for info in alembic.revision("first")] == [None, "audit"]
        alembic.upgrade()
        alembic.check()
        for engine in db.engines.values():
            engine.dispose()


def test_lite_without_metadata_says_what_to_write(tmp_path: Path) -> None:
    lite = pytest.importorskip("flask_sqlalchemy_lite")
    db = lite.SQLAlchemy()
    app = flask.Flask("some_app", root_path=str(tmp_path), instance_path=str(tmp_path))
    app.config["SQLALCHEMY_ENGINES"] = {"default": "sqlite:///app.db"}
    db.init_app(app)
    alembic = Alembic(app=app)
    with app.app_context(), pytest.raises(MigrationError, match=r"metadata=Base"):
        alembic.check()


# Flask-SQLAlchemy 3.1 cannot be imported beside SQLAlchemy 2.1.
@pytest.mark.skipif(
    not sa.__version__.startswith("2.0."), reason="Flask-SQLAlchemy needs 2.0"
)
def test_flask_sqlalchemy_is_used_as_it_is(tmp_path: Path) -> None:
    fsa = pytest.importorskip("flask_sqlalchemy")
    db = fsa.SQLAlchemy()
    app = flask.Flask("some_app", root_path=str(tmp_path), instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"
    app.config["SQLALCHEMY_BINDS"] = {"audit": "sqlite:///audit.db"}
    db.init_app(app)
    for bind, name in ((None, "note"), ("audit", "log")):
        id = db.Column("id", db.Integer, primary_key=True)
        db.Table(name, id, bind_key=bind)
    alembic = Alembic(db, app)
    with app.app_context():
        assert [info.bind for info in alembic.revision("first")] == [None, "audit"]
        alembic.upgrade()
        alembic.check()
        for engine in db.engines.values():
            engine.dispose()
