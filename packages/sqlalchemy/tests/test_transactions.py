from __future__ import annotations

import pytest
import sqlalchemy as sa


def add_and_fail(site):
    site.db.session.add(site.User(name="lost"))
    site.db.session.flush()
    raise LookupError


def test_a_block_commits(any_site):
    with any_site.app.app_context(), any_site.db.transaction() as session:
        assert session is any_site.db.session
        session.add_all([any_site.User(name="ada"), any_site.Entry(what="ada")])
    assert (any_site.names(), any_site.entries()) == (["ada"], ["ada"])
    assert any_site.in_use() == {None: 0, "audit": 0}


def test_an_error_rolls_the_block_back(any_site):
    with any_site.app.app_context():
        with pytest.raises(LookupError), any_site.db.transaction():
            add_and_fail(any_site)
        assert any_site.db.session.scalars(sa.select(any_site.User)).all() == []
    assert any_site.names() == []


def test_an_inner_block_is_a_savepoint(any_site):
    with any_site.app.app_context(), any_site.db.transaction() as session:
        session.add(any_site.User(name="outer"))
        with pytest.raises(LookupError), any_site.db.transaction():
            add_and_fail(any_site)
        with any_site.db.transaction():
            session.add(any_site.User(name="inner"))
    assert any_site.names() == ["outer", "inner"]


def test_an_error_after_an_inner_block_undoes_both(any_site):
    @any_site.db.transaction()
    def both():
        with any_site.db.transaction() as session:
            session.add(any_site.User(name="inner"))
        raise LookupError

    with any_site.app.app_context(), pytest.raises(LookupError):
        both()
    assert any_site.names() == []


def test_a_block_takes_up_what_was_begun_before_it(site):
    with site.app.app_context():
        site.db.session.add(site.User(name="before"))
        site.db.session.flush()
        with site.db.transaction():
            pass
    assert site.names() == ["before"]


def test_a_block_after_a_failed_one_is_an_outer_one_again(site):
    with site.app.app_context():
        with pytest.raises(LookupError), site.db.transaction():
            raise LookupError
        with site.db.transaction() as session:
            session.add(site.User(name="ada"))
    assert site.names() == ["ada"]


def test_it_is_a_decorator(site):
    @site.db.transaction()
    def add(name):
        site.db.session.add(site.User(name=name))
        return name

    with site.app.app_context():
        assert add("ada") == "ada"
        add("eve")
    assert site.names() == ["ada", "eve"]
