from __future__ import annotations

from pathlib import Path

import flask
import sqlalchemy as sa

from flaskware_alembic import Alembic


class Db:
    """One extension object for several apps, an engine for each."""

    def __init__(self) -> None:
        self.metadatas: dict[str | None, sa.MetaData] = {None: sa.MetaData()}

    @property
    def engines(self) -> dict[str | None, sa.Engine]:
        return {None: flask.current_app.config["ENGINE"]}


def make(alembic: Alembic, folder: Path) -> flask.Flask:
    folder.mkdir()
    app = flask.Flask(folder.name, root_path=str(folder))
    app.config["ENGINE"] = sa.create_engine(f"sqlite:///{folder}/app.db")
    alembic.init_app(app)
    return app


def test_two_apps_of_one_extension_never_see_each_other(tmp_path: Path) -> None:
    db = Db()
    sa.Table("note", db.metadatas[None], sa.Column("id", sa.Integer, primary_key=True))
    alembic = Alembic(db)
    one, two = make(alembic, tmp_path / "one"), make(alembic, tmp_path / "two")
    with one.app_context():
        alembic.revision("note")
        alembic.upgrade()
        assert len(alembic.current()) == 1
    with two.app_context():
        assert alembic.history() == []
        assert alembic.current() == []
        assert "note" not in sa.inspect(two.config["ENGINE"]).get_table_names()
    assert not (tmp_path / "two" / "migrations").exists()
    for app in (one, two):
        app.config["ENGINE"].dispose()


def test_two_extensions_on_two_apps_keep_their_own_settings(tmp_path: Path) -> None:
    first, second = Alembic(Db(), lock_timeout=1), Alembic(Db(), lock_timeout=2)
    one, two = make(first, tmp_path / "one"), make(second, tmp_path / "two")
    with one.app_context():
        assert first.settings.lock_timeout == 1
    with two.app_context():
        assert second.settings.lock_timeout == 2
