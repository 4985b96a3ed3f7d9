"""Rows that are marked as deleted, and no query sees."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SoftDelete
from flaskware_sqlalchemy import SQLAlchemy


class Base(Model, orm.DeclarativeBase):
    pass


class Author(SoftDelete, Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(20))
    books: Mapped[list[Book]] = orm.relationship(
        back_populates="author", order_by="Book.id"
    )


class Book(SoftDelete, Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey(Author.id))
    author: Mapped[Author] = orm.relationship(back_populates="books")


class Shop(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    best_id: Mapped[int] = mapped_column(sa.ForeignKey(Book.id))
    best: Mapped[Book | None] = orm.relationship()


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def library(request, tmp_path):
    """Ada, and Lin, who is deleted; of the two books of each, the second is deleted."""
    url = "sqlite:///app.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    db = SQLAlchemy(model_class=Base)
    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI=url)
    with app.app_context():
        db.create_all()
        ada, lin = Author(id=1, name="Ada"), Author(id=2, name="Lin")
        ada.books = [Book(id=11), Book(id=12)]
        lin.books = [Book(id=21), Book(id=22)]
        db.session.add_all([ada, lin])
        db.session.flush()
        db.session.add(Shop(id=1, best_id=12))
        for gone in (lin, ada.books[1], lin.books[1]):
            gone.soft_delete()
        db.session.commit()
        db.session.expunge_all()
        yield db


ALIAS = orm.aliased(Author)
BOOKS = sa.select(Book.id).subquery()
QUERIES = {
    "entities": (sa.select(Author.id), [1]),
    "alias": (sa.select(ALIAS.id), [1]),
    "columns": (sa.select(Author.name), ["Ada"]),
    "count": (sa.select(sa.func.count()).select_from(Author), [1]),
    "join": (sa.select(Book.id).join(Book.author), [11]),
    "outer join": (
        sa.select(Book.id, Author.name).outerjoin(Book.author).order_by(Book.id),
        [11, 21],
    ),
    "subquery": (sa.select(BOOKS.c.id).order_by(BOOKS.c.id), [11, 21]),
    "cte": (sa.select(sa.select(Author.id).cte().c.id), [1]),
    "in": (sa.select(Author.id).where(Author.id.in_(sa.select(Book.author_id))), [1]),
    "exists": (sa.select(Shop.id).where(Shop.best.has()), []),
    "any": (sa.select(Author.id).where(Author.books.any(Book.id == 12)), []),
    "scalar": (
        sa.select(sa.select(sa.func.count(Book.id)).scalar_subquery()),
        [2],
    ),
    "union": (sa.union(sa.select(Author.id), sa.select(Book.id)), [1, 11, 21]),
    "union all of unions": (
        sa.union_all(
            sa.union(sa.select(Author.id), sa.select(Book.id)).subquery().select(),
            sa.select(Shop.id),
        ),
        [1, 1, 11, 21],
    ),
    "select from a union": (
        sa.select(sa.union(sa.select(Author.id), sa.select(Book.id)).subquery()),
        [1, 11, 21],
    ),
    "from statement": (
        sa.select(Author).from_statement(sa.select(Author).order_by(Author.id)),
        ["Ada"],
    ),
}


@pytest.mark.parametrize("kind", QUERIES)
def test_no_part_of_a_statement_sees_them(library, kind):
    statement, expected = QUERIES[kind]
    if kind in {"exists", "any"} and sa.__version__ < "2.1":
        expected = [1]  # the criteria of SQLAlchemy 2.0 do not reach these
    found = library.session.scalars(statement).all()
    assert sorted(getattr(one, "name", one) for one in found) == expected
    all_of_them = statement.execution_options(include_deleted=True)
    assert len(library.session.scalars(all_of_them).all()) >= len(found)


LOADERS = {
    "lazy": orm.lazyload,
    "joined": orm.joinedload,
    "select in": orm.selectinload,
    "subquery": orm.subqueryload,
    "immediate": orm.immediateload,
}


@pytest.mark.parametrize("loader", LOADERS)
def test_no_loader_of_a_relationship_sees_them(library, loader):
    load = LOADERS[loader]
    session = library.session
    author = session.scalars(sa.select(Author).options(load(Author.books))).unique()
    assert [book.id for one in author for book in one.books] == [11]
    shop = session.scalars(sa.select(Shop).options(load(Shop.best))).one()
    assert shop.best is None
    session.expunge_all()
    both = sa.select(Author).options(load(Author.books)).order_by(Author.id)
    found = session.scalars(both.execution_options(include_deleted=True)).unique()
    assert [book.id for one in found for book in one.books] == [11, 12, 21, 22]


def test_get_does_not_find_them_in_the_database_nor_in_the_session(library):
    session = library.session
    assert session.get(Author, 2) is None
    both = {"include_deleted": True}
    gone = session.get(Author, 2, execution_options=both)
    assert gone.is_soft_deleted
    assert session.get(Author, 2) is None  # the session holds it
    assert session.get(Author, 2, execution_options=both) is gone
    with pytest.raises(sa.exc.NoResultFound):
        session.get_one(Author, 2)
    session.expire(gone)
    assert gone.name == "Lin"  # an object that is held can be read
    session.refresh(gone)
    gone.restore()
    session.commit()
    assert session.get(Author, 2) is gone


def test_a_relationship_to_an_object_that_the_session_holds_returns_it(library):
    session = library.session
    both = sa.select(Book).where(Book.id == 12).execution_options(include_deleted=True)
    book = session.scalars(both).one()
    assert session.get_one(Shop, 1).best is book
    session.expunge_all()
    assert session.get_one(Shop, 1).best is None


def test_pages_and_lookups_do_not_see_them(library):
    page = library.paginate(sa.select(Author).order_by(Author.id))
    assert (page.total, [one.id for one in page]) == (1, [1])
    library.session.get_one(Author, 1).soft_delete()
    assert library.session.scalars(sa.select(Author)).all() == []


def test_the_time_is_kept_and_rows_stay(library):
    ada = library.session.get_one(Author, 1)
    ada.soft_delete()
    first = ada.deleted_at
    ada.soft_delete()
    assert ada.deleted_at == first <= dt.datetime.now(dt.UTC)
    library.session.commit()
    counted = sa.text("SELECT count(*) FROM author")
    assert library.session.scalar(counted) == 2
    # A statement that changes rows changes these too.
    library.session.execute(sa.delete(Shop))
    done = library.session.execute(sa.delete(Book))
    assert done.rowcount == 4


def test_coroutines_do_not_see_them(library):
    async def main():
        async with library.async_session_scope() as session:
            found = await session.scalars(sa.select(Author.name))
            return found.all(), await session.get(Author, 2)

    assert asyncio.run(main()) == (["Ada"], None)
