from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SchemaUnusable
from flaskware_sqlalchemy import SQLAlchemy


class Base(Model, DeclarativeBase):
    pass


class Note(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class Plan(Base):
    __table_args__ = ({"schema": "shared"},)

    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def db(postgresql_url):
    db = SQLAlchemy(model_class=Base)
    app = make_app(db, SQLALCHEMY_DATABASE_URI=postgresql_url)
    with app.app_context():
        with db.engine.begin() as connection:
            for name in ("acme", "umbrella", "shared"):
                connection.execute(sa.schema.CreateSchema(name))
        for name in ("acme", "umbrella"):
            with db.schemas({None: name}):
                db.create_all()
        yield db


def texts(session):
    return session.scalars(sa.select(Note.text).order_by(Note.id)).all()


def test_tables_are_made_in_the_schema_of_the_tenant(db):
    inspector = sa.inspect(db.engine)
    assert inspector.get_table_names("acme") == ["note"]
    assert inspector.get_table_names("umbrella") == ["note"]
    assert inspector.get_table_names("shared") == ["plan"]
    assert inspector.get_table_names("public") == []


def test_each_tenant_sees_what_is_its_own(db):
    for name in ("acme", "umbrella"):
        with db.schemas({None: name}), db.transaction() as session:
            session.add_all([Note(text=name), Plan()])
    for name in ("acme", "umbrella"):
        with db.schemas({None: name}):
            assert texts(db.session) == [name]
            assert db.paginate(sa.select(Note).order_by(Note.id)).total == 1
            assert len(db.keyset(sa.select(Note))) == 1
    assert db.session.scalar(sa.select(sa.func.count(Plan.id))) == 2


def test_a_block_has_sessions_of_its_own(db):
    outside = db.session()
    with db.schemas({None: "acme"}):
        inside = db.session()
        assert inside is db.session() is not outside
        assert db.get_session("other") is not inside
        inside.add(Note(text="uncommitted"))
        inside.flush()
    assert db.session() is outside
    with db.schemas({None: "acme"}):
        assert db.session() is inside
        assert texts(inside) == ["uncommitted"]


def test_scopes_and_nested_blocks_use_the_innermost_schema(db):
    with db.schemas({None: "acme"}), db.schemas({None: "umbrella"}):
        with db.session_scope() as session:
            session.add(Note(text="inner"))
            session.commit()
        assert texts(db.session) == ["inner"]
    with db.schemas({None: "acme"}):
        assert texts(db.session) == []


def test_coroutines_use_the_schema_too(db):
    async def main():
        with db.schemas({None: "acme"}):
            db.async_session.add(Note(text="async"))
            await db.async_session.commit()
            assert len((await db.async_session.scalars(sa.select(Note))).all()) == 1
            await db.async_session.close()

    asyncio.run(main())
    with db.schemas({None: "acme"}):
        assert texts(db.session) == ["async"]


def test_a_level_of_a_block_keeps_the_schema(db):
    with (
        db.schemas({None: "acme"}),
        db.transaction(isolation_level="SERIALIZABLE") as session,
    ):
        session.add(Note(text="serial"))
    with db.schemas({None: "acme"}):
        assert texts(db.session) == ["serial"]


def by_text(db):
    return db.session.scalars(sa.text("select text from note")).all()


def by_text_of_engine(db):
    with db.engine.connect() as connection:
        return connection.exec_driver_sql("select text from note").scalars().all()


def by_model_of_engine(db):
    with db.engines[None].connect() as connection:
        return connection.scalars(sa.select(Note.text)).all()


def by_name(db):
    return db.session.scalars(
        sa.select(sa.column("text")).select_from(sa.table("note"))
    )


def by_scope(db):
    with db.session_scope() as session:
        return session.scalars(sa.text("select text from note")).all()


def by_connection(db):
    return db.session.connection().scalars(sa.text("select text from note")).all()


def by_autocommit(db):
    engine = db.get_engine().execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        return connection.scalars(sa.text("select text from note")).all()


def by_coroutine(db):
    async def read():
        async with db.async_session_scope() as session:
            return (await session.scalars(sa.text("select text from note"))).all()

    return asyncio.run(read())


def by_async_engine(db):
    async def read():
        async with db.async_engine.connect() as connection:
            return (await connection.scalars(sa.text("select text from note"))).all()

    return asyncio.run(read())


WAYS = [
    by_text,
    by_text_of_engine,
    by_model_of_engine,
    by_name,
    by_scope,
    by_connection,
    by_autocommit,
    by_coroutine,
    by_async_engine,
]


@pytest.fixture
def both(db):
    """Each tenant has a note of its name, and so has the default schema."""
    db.create_all()
    for name in ("acme", "umbrella", None):
        with db.schemas({None: name}), db.transaction() as session:
            session.add(Note(text=name or "default"))
    return db


@pytest.mark.parametrize("read", WAYS, ids=lambda way: way.__name__)
def test_each_way_to_read_sees_the_tenant_and_then_the_default_again(both, read):
    for name in ("acme", "umbrella"):
        with both.schemas({None: name}):
            assert list(read(both)) == [name]
        both.session.rollback()
        assert list(read(both)) == ["default"]


def test_a_table_that_a_tenant_lacks_is_not_that_of_the_default_schema(both):
    with both.engine.begin() as connection:
        connection.exec_driver_sql("create table only_here (id int)")
    with both.schemas({None: "acme"}), pytest.raises(sa.exc.ProgrammingError):
        both.session.execute(sa.text("select * from only_here"))
    with both.schemas({None: "acme"}, shared=["public"]):
        assert both.session.execute(sa.text("select * from only_here")).all() == []


@pytest.mark.parametrize("read", WAYS[:6], ids=lambda way: way.__name__)
def test_the_schema_of_a_tenant_ends_with_its_block_in_isolated_tests(both, read):
    with both.test_isolation():
        for name in ("acme", "umbrella"):
            with both.schemas({None: name}):
                assert list(read(both)) == [name]
                with both.schemas({None: "acme"}):
                    assert list(read(both)) == ["acme"]
                assert list(read(both)) == [name]
            assert list(read(both)) == ["default"]


def test_the_databases_of_mariadb_are_schemas_too(mariadb_url):
    db = SQLAlchemy()

    class Word(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str] = mapped_column(sa.String(20))

    app = make_app(db, SQLALCHEMY_DATABASE_URI=mariadb_url)
    with app.app_context():
        db.create_all()
        name = f"{db.engine.url.database}_tenant"
        with db.engine.begin() as connection:
            connection.exec_driver_sql(f"create database `{name}`")
        try:
            with db.schemas({None: name}):
                db.create_all()
                db.session.execute(sa.text("insert into word (text) values ('x')"))
                db.session.commit()
                with db.engine.connect() as connection:
                    statement = "select text from word"
                    assert connection.scalars(sa.text(statement)).all() == ["x"]
            assert db.session.scalars(sa.text("select text from word")).all() == []
            assert db.session.scalars(sa.select(Word.text)).all() == []
        finally:
            db.session.rollback()
            with db.engine.begin() as connection:
                connection.exec_driver_sql(f"drop database `{name}`")


def test_text_on_sqlite_in_a_block_is_refused():
    db = SQLAlchemy()
    app = make_app(db, SQLALCHEMY_DATABASE_URI="sqlite://")
    with app.app_context(), db.schemas({None: "acme"}):
        with pytest.raises(SchemaUnusable, match="the default schema of sqlite"):
            db.session.execute(sa.text("select * from note"))
        with (
            db.engine.connect() as connection,
            pytest.raises(SchemaUnusable),
        ):
            connection.exec_driver_sql("delete from note")
