from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_alembic import MigrationError
from flaskware_alembic import PendingRevisions
from flaskware_alembic import UnknownRevision
from flaskware_core.testing import make_app


class Db:
    """What an extension with two databases has."""

    def __init__(self, default: str, audit: str) -> None:
        self.engines: dict[str | None, sa.Engine] = {
            None: sa.create_engine(default),
            "audit": sa.create_engine(audit),
            "elsewhere": sa.create_engine("postgresql+psycopg://x@127.0.0.1:1/x"),
        }
        self.metadatas = {None: sa.MetaData(), "audit": sa.MetaData()}
        for bind, name in ((None, "note"), ("audit", "log")):
            id = sa.Column("id", sa.Integer, primary_key=True)
            sa.Table(name, self.metadatas[bind], id)

    def tables(self, bind: str | None) -> set[str]:
        names = sa.inspect(self.engines[bind]).get_table_names()
        return {name for name in names if not name.endswith("_record")}


@pytest.fixture
def db(tmp_path: Path, postgresql_url: str) -> cabc.Iterator[Db]:
    db = Db(f"sqlite:///{tmp_path}/app.db", postgresql_url)
    yield db
    for engine in db.engines.values():
        engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "migrations"


@pytest.fixture
def alembic() -> Alembic:
    # Finds the engines where the app keeps them.
    return Alembic()


@pytest.fixture
def two(db: Db, alembic: Alembic, folder: Path) -> cabc.Iterator[flask.Flask]:
    app = make_app(alembic, ALEMBIC_DIRECTORY=str(folder))
    app.extensions["sqlalchemy"] = db
    with app.app_context():
        yield app


def test_each_database_has_a_folder_of_its_own(
    two: flask.Flask, alembic: Alembic, folder: Path
) -> None:
    default, audit = alembic.revision("first")
    assert (default.bind, default.path.parent) == (None, folder)
    assert (audit.bind, audit.path.parent) == ("audit", folder / "audit")
    assert "batch_alter" not in audit.path.read_text()


def test_an_upgrade_moves_all(two: flask.Flask, alembic: Alembic, db: Db) -> None:
    alembic.revision("first")
    assert [step.bind for step in alembic.plan()] == [None, "audit"]
    assert [step.bind for step in alembic.upgrade()] == [None, "audit"]
    assert db.tables(None) == {"note", "alembic_version"}
    assert db.tables("audit") == {"log", "alembic_version"}
    assert [info.bind for info in alembic.current()] == [None, "audit"]
    alembic.check()


def test_one_can_be_named(two: flask.Flask, alembic: Alembic, db: Db) -> None:
    alembic.revision("first")
    alembic.upgrade(binds=["audit"])
    assert db.tables(None) == set()
    assert db.tables("audit") == {"log", "alembic_version"}
    with pytest.raises(PendingRevisions, match="audit: up to date") as caught:
        alembic.check()
    assert [bind.bind for bind in caught.value.status.binds] == [None, "audit"]


def test_only_the_one_that_changed_gets_a_revision(
    two: flask.Flask, alembic: Alembic, db: Db
) -> None:
    alembic.revision("first")
    alembic.upgrade()
    db.metadatas["audit"].tables["log"].append_column(sa.Column("at", sa.DateTime))
    assert [info.bind for info in alembic.revision("second")] == ["audit"]


def test_a_revision_as_a_target_moves_the_database_that_has_it(
    two: flask.Flask, alembic: Alembic
) -> None:
    _, audit = alembic.revision("first")
    assert [step.bind for step in alembic.upgrade(audit.id)] == ["audit"]
    with pytest.raises(UnknownRevision, match="nowhere"):
        alembic.upgrade("nowhere")


@pytest.mark.parametrize("target", ["base", "-1"])
def test_what_could_mean_any_of_them_must_name_one(
    target: str, two: flask.Flask, alembic: Alembic, db: Db
) -> None:
    alembic.revision("first")
    alembic.upgrade()
    with pytest.raises(MigrationError, match="of which database"):
        alembic.downgrade(target)
    assert "note" in db.tables(None)
    assert [step.bind for step in alembic.downgrade(target, binds=[None])] == [None]
    assert "log" in db.tables("audit")


def test_an_unknown_name_is_refused_with_the_known_ones(
    two: flask.Flask, alembic: Alembic
) -> None:
    with pytest.raises(MigrationError, match="'default', 'audit', 'elsewhere'"):
        alembic.upgrade(binds=["audits"])


def test_a_database_with_revisions_and_no_models_is_moved_too(
    two: flask.Flask, alembic: Alembic, db: Db, folder: Path, tmp_path: Path
) -> None:
    db.engines["elsewhere"] = sa.create_engine(f"sqlite:///{tmp_path}/elsewhere.db")
    alembic.revision("first")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "aa.py").write_text(
        "revision = 'aa'\ndown_revision = None\ndef upgrade(): pass\n"
    )
    assert [step.bind for step in alembic.upgrade()] == [None, "audit", "elsewhere"]
    alembic.check()
    assert alembic.revision("nothing") == []


def test_the_command_takes_names(two: flask.Flask, alembic: Alembic, db: Db) -> None:
    alembic.revision("first")
    runner = two.test_cli_runner()
    result = runner.invoke(args=["db", "upgrade", "--bind", "default"])
    assert result.exit_code == 0, result.output
    assert db.tables(None) == {"note", "alembic_version"}
    assert db.tables("audit") == set()
    result = runner.invoke(args=["db", "upgrade"])
    assert result.output.startswith("audit: upgrade ")


def test_metadata_and_engines_can_be_mappings(tmp_path: Path, db: Db) -> None:
    alembic = Alembic(
        engine={key: db.engines[key] for key in (None, "audit")},
        metadata=t.cast("t.Any", db.metadatas),
        directory=tmp_path / "migrations",
    )
    with make_app(alembic).app_context():
        assert [info.bind for info in alembic.revision("first")] == [None, "audit"]
