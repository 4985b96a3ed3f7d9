"""Upsert: rows that are inserted, or update the rows that exist."""

from __future__ import annotations

import asyncio
import typing as t

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import ReadOnlySession
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy import Timestamps


class Base(Model, orm.DeclarativeBase):
    pass


class Stock(Timestamps, Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    shop: Mapped[int]
    item: Mapped[str] = mapped_column("item_code", sa.String(20))
    count: Mapped[int] = mapped_column(default=7)
    note: Mapped[str | None] = mapped_column(sa.String(20))

    __table_args__ = (sa.UniqueConstraint("shop", "item_code"),)


class Person(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(80), unique=True)
    name: Mapped[str | None] = mapped_column(sa.String(80))


class Animal(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    name: Mapped[str | None] = mapped_column(sa.String(20), server_default="Rex")
    changed: Mapped[int | None] = mapped_column(onupdate=lambda: 3)

    __mapper_args__: t.ClassVar = {
        "polymorphic_on": "kind",
        "polymorphic_identity": "animal",
    }


class Dog(Animal):
    __mapper_args__: t.ClassVar = {"polymorphic_identity": "dog"}


class Child(Person):
    id: Mapped[int] = mapped_column(sa.ForeignKey(Person.id), primary_key=True)


@pytest.fixture(params=["sqlite", "psycopg", "psycopg2", "mariadb"])
def shop(request, tmp_path):
    url = "sqlite:///app.db"
    if request.param != "sqlite":
        name = "mariadb" if request.param == "mariadb" else "postgresql"
        url = request.getfixturevalue(f"{name}_url")
        url = url.replace("+psycopg:", f"+{request.param}:")
    db = SQLAlchemy(model_class=Base)
    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI=url)
    with app.app_context():
        db.create_all()
        yield db


BY = [Stock.shop, Stock.item]
keys = st.tuples(st.integers(1, 3), st.sampled_from(["ink", "pen", "tea"]))
values = st.tuples(st.integers(0, 9), st.none() | st.sampled_from(["a", "b"]))
batches = st.lists(
    st.tuples(
        st.lists(st.tuples(keys, values), max_size=6),
        st.sampled_from([None, ["count"], ["note"], []]),
    ),
    max_size=5,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches)
def test_rows_are_those_of_a_dictionary(shop, work):
    shop.session.execute(sa.delete(Stock))
    model = {}
    for rows, update in work:
        shop.upsert(
            Stock,
            [
                {"shop": key[0], "item": key[1], "count": count, "note": note}
                for key, (count, note) in rows
            ],
            by=BY,
            update=update,
        )
        for key, (count, note) in dict(rows).items():
            old = model.get(key)
            changed = ["count", "note"] if update is None else update
            model[key] = (count, note) if old is None else (
                count if "count" in changed else old[0],
                note if "note" in changed else old[1],
            )  # fmt: skip
    found = shop.session.scalars(sa.select(Stock)).all()
    assert {(s.shop, s.item): (s.count, s.note) for s in found} == model
    shop.session.commit()


def test_the_primary_key_is_the_usual_key_and_defaults_are_set(shop):
    shop.session.add(Stock(id=100, shop=1, item="ink"))
    shop.session.commit()
    row = shop.session.get_one(Stock, 100)
    made = row.updated_at
    if shop.engine.dialect.name == "mariadb":
        # It would look at the other unique key too.
        new = {"shop": 1, "item": "ink", "note": "new"}
        shop.upsert(Stock, [new], by=BY)
    else:
        shop.upsert(Stock, [{"id": 100, "shop": 1, "item": "pen", "note": "new"}])
        assert row.item == "pen"
    assert (row.note, row.count) == ("new", 7)  # the object is read again
    assert row.created_at == made
    assert row.updated_at > made
    shop.upsert(Stock, [{"shop": 9, "item": "ink"}], by=BY)
    other = shop.session.scalars(sa.select(Stock).where(Stock.shop == 9)).one()
    assert (other.count, other.updated_at) == (7, other.created_at)


def test_changes_of_the_session_are_kept(shop):
    person = Person(id=1, email="a@x", name="Ada")
    shop.session.add(person)
    shop.session.flush()
    person.name = "Ada L."
    shop.upsert(Person, [{"email": "a@x"}], by=["email"])
    assert person.name == "Ada L."
    shop.session.commit()


def test_none_is_stored_and_a_subclass_has_its_identity(shop):
    for number in range(2):
        rows = [{"id": key, "name": None} for key in (1, 2)]
        shop.upsert(Dog, rows)
        for dog in shop.session.scalars(sa.select(Animal)):
            assert (type(dog), dog.kind, dog.name) == (Dog, "dog", None)
            assert dog.changed == (3 if number else None)
        shop.session.commit()


def test_many_rows_are_sent(shop):
    rows = [{"email": f"{number}@x", "name": "x"} for number in range(3000)]
    shop.upsert(Person, rows, by=[Person.email])
    shop.upsert(Person, [{**row, "name": "y"} for row in rows], by=[Person.email])
    counted = sa.select(Person.name, sa.func.count()).group_by(Person.name)
    assert [tuple(row) for row in shop.session.execute(counted)] == [("y", 3000)]


def test_what_is_not_clear_is_refused(shop):
    cases = [
        ({"rows": [{"id": 1, "nme": "x"}]}, "no column 'nme'; it has id, email, name"),
        ({"rows": [{"name": "x"}]}, r"no id, .*by=\[User.email\]"),
        ({"rows": [{"name": "x"}], "by": [Person.name]}, "no unique constraint"),
        ({"rows": [{"id": 1, "name": "x"}, {"id": 2}]}, r"different columns \(name\)"),
        ({"rows": [{"id": 1, "email": "x"}], "update": ["name"]}, "update has name"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            shop.upsert(Person, **options)
    with pytest.raises(ValueError, match="several tables"):
        shop.upsert(Child, [{"id": 1}])
    shop.upsert(Person, [])


def test_a_second_unique_key_is_refused_where_it_would_be_looked_at(shop):
    shop.session.add(Person(id=1, email="a@x"))
    shop.session.commit()
    rows = [{"id": 2, "email": "a@x", "name": "Eve"}]
    is_mariadb = shop.engine.dialect.name == "mariadb"
    # The others find the row by the key that was named, and keep the constraint.
    error = ValueError if is_mariadb else sa.exc.IntegrityError
    with pytest.raises(error, match="same email" if is_mariadb else "(?i)unique"):
        shop.upsert(Person, rows)
    shop.session.rollback()
    assert shop.session.get_one(Person, 1).name is None


def test_a_session_that_only_reads_refuses_it(shop):
    with pytest.raises(ReadOnlySession), shop.transaction(read_only=True):
        shop.upsert(Person, [{"email": "a@x"}], by=[Person.email])


def test_coroutines_upsert(async_site):
    db, User = async_site.db, async_site.User

    async def main():
        async with db.async_session_scope(async_site.app) as session:
            rows = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Lin"}]
            session.add_all([User(**row) for row in rows])
            await session.flush()
            for user in (1, 2):
                await db.async_upsert(
                    async_site.Post, [{"id": 1, "user_id": user}], session=session
                )
            await session.commit()

    asyncio.run(main())
    with db.session_scope(async_site.app) as session:
        assert session.get_one(async_site.Post, 1).user_id == 2
