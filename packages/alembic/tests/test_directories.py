"""Directories that other extensions made are used as they stand."""

from __future__ import annotations

import collections.abc as cabc
import shutil
import typing as t
from pathlib import Path

import flask
import flask_alembic
import flask_migrate
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy

from flaskware_alembic import Alembic
from flaskware_alembic import State


class Site:
    """An app with two databases, a model in each, and a directory for both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = SQLAlchemy()
        for bind, name in ((None, "page"), ("audit", "entry")):
            id = sa.Column("id", sa.Integer, primary_key=True)
            sa.Table(name, self.db.metadatas.setdefault(bind, sa.MetaData()), id)
        if "audit" not in self.db.metadatas:
            raise AssertionError

    def app(self) -> flask.Flask:
        """A new app, with the same databases."""
        app = flask.Flask("site", root_path=str(self.folder))
        app.config["SECRET_KEY"] = "k3y-0f-a-test:0123456789abcdef-XYZ"
        app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{self.folder}/app.db"
        app.config["SQLALCHEMY_BINDS"] = {"audit": f"sqlite:///{self.folder}/audit.db"}
        self.db.init_app(app)
        return app


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def quiet_logging(caplog: pytest.LogCaptureFixture) -> cabc.Iterator[None]:
    """Puts logging back as it was: both extensions configure it."""
    import logging

    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    # Flask-Migrate disables every logger that its file does not name.
    for known in root.manager.loggerDict.values():
        if isinstance(known, logging.Logger):
            known.disabled = False
    for name in ("alembic", "sqlalchemy", "sqlalchemy.engine", "flask_migrate"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def tables(app: flask.Flask, site: Site) -> dict[str | None, set[str]]:
    with app.app_context():
        found: dict[str | None, set[str]] = {}
        for bind, engine in site.db.engines.items():
            names = set(sa.inspect(engine).get_table_names())
            found[bind] = names - {"alembic_version_record"}
            engine.dispose()
        return found


# What their own code uses is not ours to mend.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:flask_sqlalchemy")
@pytest.mark.filterwarnings("ignore:'get_engine':DeprecationWarning")
@pytest.mark.usefixtures("quiet_logging")
def test_a_flask_migrate_directory_for_several_databases_goes_on(site: Site) -> None:
    theirs = site.app()
    flask_migrate.Migrate(theirs, site.db, directory=str(site.folder / "migrations"))
    with theirs.app_context():
        flask_migrate.init(multidb=True)
        flask_migrate.migrate(message="first", rev_id="aa")
        flask_migrate.upgrade()

    id = sa.Column("id", sa.Integer, primary_key=True)
    sa.Table("later", site.db.metadatas["audit"], id)
    app = site.app()
    app.config["ALEMBIC_COMMAND"] = "db"
    # Their template asks the app for their extension.
    app.extensions["migrate"] = theirs.extensions["migrate"]
    alembic = Alembic(site.db, app)
    with app.app_context():
        assert [info.id for info in alembic.current()] == ["aa", "aa"]
        (written,) = alembic.revision("second", rev_id="bb")
        assert written.path.parent == site.folder / "migrations" / "versions"
        code = written.path.read_text()
        assert "create_table('later'" in code.split("def upgrade_audit")[1]
        assert "create_table" not in code.split("def upgrade_audit")[0]
        alembic.upgrade()
        assert alembic.check().state is State.UP_TO_DATE
    assert tables(app, site) == {
        None: {"page", "alembic_version"},
        "audit": {"entry", "later", "alembic_version"},
    }
    with theirs.app_context():
        flask_migrate.downgrade(revision="aa")
    assert "later" not in tables(app, site)["audit"]
    with app.app_context():
        alembic.downgrade("base", binds=[None, "audit"])
    assert tables(app, site) == {
        None: {"alembic_version"},
        "audit": {"alembic_version"},
    }


@pytest.mark.usefixtures("quiet_logging")
@pytest.mark.parametrize("several", [False, True])
def test_a_flask_alembic_directory_goes_on(site: Site, several: bool) -> None:
    names = {"default": None, "audit": "audit"} if several else {"default": None}
    metadatas: dict[str, t.Any] = {
        name: site.db.metadatas[bind] for name, bind in names.items()
    }
    theirs = site.app()
    theirs.config["ALEMBIC"] = {"script_location": "history"}
    their_alembic = flask_alembic.Alembic(theirs, metadatas=metadatas)
    with theirs.app_context():
        their_alembic.revision("first")
        their_alembic.upgrade()

    id = sa.Column("id", sa.Integer, primary_key=True)
    sa.Table("later", site.db.metadatas[None], id)
    app = site.app()
    app.config["ALEMBIC"] = {"script_location": "history", "version_locations": []}
    alembic = Alembic(site.db, app, metadata=metadatas)
    with app.app_context():
        assert len(alembic.current()) == len(names)
        (written,) = alembic.revision("second")
        assert written.path.parent == site.folder / "history"
        alembic.upgrade()
        assert alembic.check().state is State.UP_TO_DATE
    assert tables(app, site)[None] == {"page", "later", "alembic_version"}
    if several:
        assert tables(app, site)["audit"] == {"entry", "alembic_version"}


def test_further_folders_of_flask_alembic_are_read(site: Site) -> None:
    revision = (
        "revision = {0!r}\ndown_revision = {1!r}\ndef upgrade(): pass\n"
        "def downgrade(): pass\n"
    )
    for folder, id, down in (("migrations", "aa", None), ("more", "bb", "aa")):
        (site.folder / folder).mkdir()
        (site.folder / folder / f"{id}.py").write_text(revision.format(id, down))
    app = site.app()
    app.config["ALEMBIC"] = {"version_locations": [("branch", "more")]}
    alembic = Alembic(site.db, app, metadata=site.db.metadatas[None])
    with app.app_context():
        assert [info.id for info in alembic.history(binds=[None])] == ["bb", "aa"]
        alembic.upgrade()
        assert [info.id for info in alembic.current(binds=[None])] == ["bb"]
    shutil.rmtree(site.folder / "more")
