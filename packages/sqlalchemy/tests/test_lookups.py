from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from werkzeug.exceptions import NotFound


@pytest.fixture
def users(site):
    with site.app.app_context():
        site.db.session.add_all([site.User(name="ada"), site.User(name="eve")])
        site.db.session.commit()
        yield site


def test_an_object_is_got_by_its_key(users):
    assert users.db.get_or_404(users.User, 2).name == "eve"


def test_a_key_that_is_not_there_is_a_404_with_its_description(users):
    with pytest.raises(NotFound, match="no such user"):
        users.db.get_or_404(users.User, 3, description="no such user")


@pytest.mark.parametrize("number", [2**15, 2**31, -(2**31) - 1, 2**63, 10**30])
def test_a_number_that_no_column_holds_is_a_404(any_site, number):
    db, User = any_site.db, any_site.User
    with any_site.app.app_context():
        db.session.add(User(name="ada"))
        db.session.flush()
        with pytest.raises(NotFound):
            db.get_or_404(User, number)
        # The transaction goes on.
        assert db.session.scalars(sa.select(User.name)).all() == ["ada"]


def test_one_row_is_returned(users):
    statement = sa.select(users.User).where(users.User.name == "ada")
    assert users.db.one_or_404(statement).id == 1


@pytest.mark.parametrize("name", ["%", "nobody"])
def test_none_or_several_rows_are_a_404(users, name):
    statement = sa.select(users.User).where(users.User.name.like(name))
    with pytest.raises(NotFound, match="gone"):
        users.db.one_or_404(statement, description="gone")


def test_the_first_row_is_returned(users):
    statement = sa.select(users.User.name).order_by(users.User.name.desc())
    assert users.db.first_or_404(statement) == "eve"


def test_a_first_value_of_null_is_a_value(users):
    assert users.db.first_or_404(sa.select(sa.null())) is None


def test_no_first_row_is_a_404(users):
    with pytest.raises(NotFound):
        users.db.first_or_404(sa.select(users.User).where(sa.false()))


def test_a_lookup_takes_the_options_of_get(any_site):
    db, User = any_site.db, any_site.User
    with any_site.app.app_context():
        db.session.add(User(id=1, name="ada", posts=[any_site.Post()]))
        db.session.commit()
        with db.assert_queries(2):
            loader = sa.orm.selectinload(User.posts)
            assert db.get_or_404(User, 1, options=[loader]).posts
        with db.assert_queries(1) as queries:
            db.get_or_404(User, 1, with_for_update=True, populate_existing=True)
        assert any_site.app.testing
        if db.engine.dialect.name != "sqlite":
            assert "FOR UPDATE" in queries[0].statement


def test_an_asynchronous_lookup_takes_them_too(async_site):
    db, User = async_site.db, async_site.User
    with db.session_scope(async_site.app) as session:
        session.add(User(id=1, name="ada", posts=[async_site.Post()]))
        session.commit()

    async def look():
        loader = sa.orm.selectinload(User.posts)
        return (await db.async_get_or_404(User, 1, options=[loader])).posts

    with async_site.app.app_context():
        assert asyncio.run(look())
