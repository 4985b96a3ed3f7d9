from __future__ import annotations

import pytest
import sqlalchemy as sa

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy import UnknownBind


def tables(site):
    engines = site.db.state_of(site.app).router.engines
    return {
        key: sa.inspect(engine).get_table_names() for key, engine in engines.items()
    }


def test_every_database_gets_its_own_tables(site):
    assert tables(site) == {None: ["post", "user"], "audit": ["entry"]}


@pytest.mark.parametrize(
    ("key", "left"),
    [
        (None, {None: [], "audit": ["entry"]}),
        ("audit", {None: ["post", "user"], "audit": []}),
        ([None, "audit"], {None: [], "audit": []}),
    ],
)
def test_tables_of_one_database_are_dropped(site, key, left):
    with site.app.app_context():
        site.db.drop_all(bind_key=key)
    assert tables(site) == left


def test_a_model_whose_database_is_not_configured_is_told(site):
    app = make_app(
        SQLAlchemy(model_class=site.db.Model), SQLALCHEMY_DATABASE_URI="sqlite://"
    )
    db = app.extensions["sqlalchemy"]
    with app.app_context(), pytest.raises(UnknownBind) as info:
        db.create_all()
    assert str(info.value).startswith("There is no database 'audit'")
    assert 'SQLALCHEMY_BINDS = {"audit": "<URL>"}' in str(info.value)


def test_a_core_table_is_declared_on_the_metadata_of_its_database(make_site):
    db = SQLAlchemy()
    sa.Table("log", db.metadatas["logs"], sa.Column("line", sa.Text))
    app = make_app(
        db, SQLALCHEMY_DATABASE_URI="sqlite://", SQLALCHEMY_BINDS={"logs": "sqlite://"}
    )
    table = db.metadatas["logs"].tables["log"]
    with app.app_context():
        db.create_all()
        db.session.execute(table.insert().values(line="x"))
        assert db.session.scalars(sa.select(table.c.line)).all() == ["x"]
        assert sa.inspect(db.engine).get_table_names() == []
