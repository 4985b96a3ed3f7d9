from __future__ import annotations

import asyncio
import contextlib

import pytest
import sqlalchemy as sa

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy import TransactionBegun
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


def linked(named):
    """Two tables that refer to each other, and a third that refers to itself."""
    metadata = sa.MetaData() if not named else None
    db = SQLAlchemy(metadata=metadata)

    class A(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        b_id = db.Column(db.ForeignKey("b.id"))

    class B(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        a_id = db.Column(db.ForeignKey("a.id"))

    class C(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        c_id = db.Column(db.ForeignKey("c.id"))
        b_id = db.Column(db.ForeignKey("b.id"))

    return db, A, B, C


@pytest.mark.filterwarnings("ignore:Can't sort tables:sqlalchemy.exc.SAWarning")
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("server", ["sqlite", "file", "postgresql", "mariadb"])
@pytest.mark.parametrize("isolated", [False, True])
def test_tables_in_a_circle_are_made_filled_dropped_and_made_again(
    request, tmp_path, server, named, isolated
):
    if isolated and server == "mariadb":
        pytest.skip("MariaDB commits with each change of a table")
    urls = {"sqlite": "sqlite://", "file": "sqlite:///app.db"}
    url = urls.get(server) or request.getfixturevalue(f"{server}_url")
    db, A, B, C = linked(named)
    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI=url)
    isolation = db.test_isolation(app) if isolated else contextlib.nullcontext()
    with isolation, app.app_context():
        for _ in range(2):
            db.create_all()
            a = A()
            db.session.add(a)
            db.session.flush()
            b = B(a_id=a.id)
            db.session.add(b)
            db.session.flush()
            a.b_id = b.id
            first = C(b_id=b.id)
            db.session.add(first)
            db.session.flush()
            db.session.add(C(c_id=first.id))
            db.session.commit()
            assert db.session.scalar(sa.select(sa.func.count()).select_from(C)) == 2
            db.drop_all()
            assert sa.inspect(db.engine).get_table_names() == []
    with app.app_context():
        # Foreign keys are still checked.
        db.create_all()
        db.session.add(A(b_id=9))
        with pytest.raises(sa.exc.IntegrityError):
            db.session.commit()


def test_drop_all_never_waits_for_the_session_of_its_context(any_site):
    db, User = any_site.db, any_site.User
    with any_site.app.app_context():
        db.session.add(User(name="ada"))
        db.session.commit()
        assert db.session.scalars(sa.select(User)).all()
        db.get_session("other").scalars(sa.select(User)).all()
        db.session.add(User(name="eve"))
        db.session.flush()
        db.drop_all()
        db.create_all()
        assert db.session.scalars(sa.select(User)).all() == []


def test_dropping_one_database_loses_no_change_of_another(any_site):
    db, User = any_site.db, any_site.User
    with any_site.app.app_context():
        assert db.session.scalars(sa.select(any_site.Entry)).all() == []
        db.drop_all("audit")
        db.session.add(User(name="kept"))
        for step in (lambda: None, db.session.flush):
            step()
            with pytest.raises(TransactionBegun, match=r"db\.session\.commit\(\)"):
                db.drop_all("audit")
        db.session.commit()
        db.drop_all("audit")
        with db.transaction(), pytest.raises(TransactionBegun, match="after the block"):
            db.drop_all()
    assert any_site.names() == ["kept"]


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
@pytest.mark.slow
def test_a_table_that_another_transaction_holds_is_an_error_with_a_remedy(
    server, request, make_site
):
    url = request.getfixturevalue(f"{server}_url")
    site = make_site(url, url)
    with site.app.app_context():
        site.db.session.scalars(sa.select(site.User)).all()
        with (
            site.app.app_context(),
            pytest.raises(sa.exc.OperationalError) as caught,
        ):
            site.db.drop_all()
        assert "end its app context" in caught.value.__notes__[0]
        site.db.drop_all()


async def drop_behind_async_sessions(site):
    session = site.db.async_session
    await session.execute(sa.select(site.User))
    site.db.session.execute(sa.select(site.User))
    await site.db.async_drop_all()
    await site.db.async_create_all()
    assert (await session.execute(sa.select(site.User))).all() == []


@pytest.mark.flask_only("its coroutines run in the context of another thread")
def test_async_drop_all_never_waits_for_the_sessions_of_its_context(async_site):
    with async_site.app.app_context():
        asyncio.run(drop_behind_async_sessions(async_site))


def test_tables_are_read_from_every_database(make_site, tmp_path):
    site = make_site()
    db = SQLAlchemy()
    app = make_app(
        db,
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/instance0/app.db",
        SQLALCHEMY_BINDS={"audit": f"sqlite:///{tmp_path}/instance0/audit.db"},
    )
    with app.app_context():
        db.reflect("audit")
        assert (set(db.metadata.tables), set(db.metadatas["audit"].tables)) == (
            set(),
            {"entry"},
        )
        db.reflect()
        assert set(db.metadata.tables) == {"user", "post"}
        users = db.metadata.tables["user"]
        assert db.session.execute(sa.select(users)).all() == []
        db.metadatas["audit"].clear()
        asyncio.run(db.async_reflect("audit"))
        assert set(db.metadatas["audit"].tables) == {"entry"}
    assert site.names() == []
