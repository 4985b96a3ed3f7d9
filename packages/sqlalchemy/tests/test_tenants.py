from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
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
