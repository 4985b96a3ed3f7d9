from __future__ import annotations

import itertools
import pickle

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy import orm
from werkzeug.exceptions import HTTPException

from flaskware_sqlalchemy import Page
from flaskware_sqlalchemy._pagination import page as _page


@pytest.fixture
def users(site):
    """A site with 45 users; the first of them has three posts."""
    with site.app.app_context():
        site.db.session.add_all([site.User(name=f"user {n:02}") for n in range(1, 46)])
        site.db.session.flush()
        site.db.session.add_all([site.Post(user_id=1) for _ in range(3)])
        site.db.session.commit()
    with site.app.app_context():
        yield site


@pytest.fixture
def statements(users):
    seen: list[str] = []

    def note(conn, cursor, statement, *rest):
        seen.append(statement)

    event.listen(users.db.engine, "before_cursor_execute", note)
    return seen


def fill(site, count):
    with site.app.app_context():
        users = [site.User(name=f"user {number}") for number in range(count)]
        site.db.session.add_all(users)
        site.db.session.commit()


def by_id(site):
    return sa.select(site.User).order_by(site.User.id)


def test_a_page_has_its_items_and_what_links_need(users):
    page = users.db.paginate(by_id(users), page=2, per_page=20)
    assert [user.id for user in page] == list(range(21, 41))
    assert (page.total, page.pages, page.page, page.per_page) == (45, 3, 2, 20)
    assert (page.has_prev, page.prev_num, page.has_next, page.next_num) == (
        True,
        1,
        True,
        3,
    )
    assert (page.first, page.last, len(page)) == (21, 40, 20)


def test_the_last_page_has_what_is_left(users, statements):
    page = users.db.paginate(by_id(users), page=3, per_page=20)
    assert len(page) == 5
    assert (page.total, page.has_next, page.next_num) == (45, False, None)
    assert len(statements) == 1


def test_no_rows_are_an_empty_first_page(users):
    page = users.db.paginate(by_id(users).where(users.User.id < 0))
    assert (list(page), page.total, page.pages, page.has_next) == ([], 0, 0, False)
    assert (page.first, page.last, list(page.iter_pages())) == (0, 0, [])
    assert page


def test_without_a_count_the_next_page_is_known_by_one_statement(users, statements):
    page = users.db.paginate(by_id(users), page=1, per_page=20, count="none")
    assert (page.total, page.pages, page.has_next) == (None, None, True)
    assert len(page) == 20
    assert len(statements) == 1


def test_a_capped_count_stops(users, monkeypatch):
    monkeypatch.setattr(_page, "CAP", 30)
    page = users.db.paginate(by_id(users), page=1, per_page=20, count="capped")
    assert (page.total, page.pages, page.is_capped, page.has_next) == (
        30,
        2,
        True,
        True,
    )
    third = users.db.paginate(by_id(users), page=3, per_page=20, count="capped")
    assert (third.total, third.is_capped) == (45, False)


def test_a_capped_count_below_the_cap_is_exact(users):
    page = users.db.paginate(by_id(users), per_page=20, count="capped")
    assert (page.total, page.is_capped) == (45, False)


def test_a_select_of_several_columns_keeps_its_rows(users):
    statement = sa.select(users.User, users.User.name).order_by(users.User.id)
    page = users.db.paginate(statement, per_page=2)
    user, name = page.items[0]
    assert user.name == name == page.items[0].name == "user 01"
    assert page.total == 45


def test_equal_values_of_a_column_are_all_there(users):
    statement = sa.select(users.Post.user_id)
    assert list(users.db.paginate(statement)) == [1, 1, 1]


def test_a_collection_loaded_by_a_join_does_not_change_the_page(users):
    statement = by_id(users).options(orm.joinedload(users.User.posts))
    page = users.db.paginate(statement, per_page=2)
    assert [(user.id, len(user.posts)) for user in page] == [(1, 3), (2, 0)]
    assert page.total == 45


def test_a_grouped_statement_is_counted_by_its_rows(users):
    statement = (
        sa.select(users.Post.user_id, sa.func.count())
        .group_by(users.Post.user_id)
        .order_by(users.Post.user_id)
    )
    assert users.db.paginate(statement, per_page=5).total == 1


def ask(site, query):
    @site.app.route("/users")
    def view():
        page = site.db.paginate(by_id(site), max_per_page=30)
        return {"ids": [user.id for user in page], "per_page": page.per_page}

    return site.app.test_client().get(f"/users?{query}")


@pytest.mark.parametrize(
    ("query", "ids", "per_page"),
    [
        ("", range(1, 21), 20),
        ("page=3", range(41, 46), 20),
        ("page=2&per_page=5", range(6, 11), 5),
        ("per_page=1000000000", range(1, 31), 30),
        (f"per_page={10**18}", range(1, 31), 30),
    ],
)
def test_page_and_size_come_from_the_query_string(users, query, ids, per_page):
    answer = ask(users, query)
    assert answer.json == {"ids": list(ids), "per_page": per_page}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("page=4", 404),
        ("page=0", 404),
        ("page=-1", 404),
        ("page=1000000000", 404),
        (f"page={10**18}", 404),
        (f"page={'9' * 5000}", 404),
        ("page=x", 400),
        ("page=", 400),
        ("page=1.5", 400),
        ("page=1_0", 400),
        ("page=%D9%A1", 400),
        ("per_page=0", 400),
        ("per_page=-1", 400),
        ("per_page=x", 400),
    ],
)
def test_a_page_that_there_is_not_is_a_404_and_no_number_a_400(users, query, status):
    assert ask(users, query).status_code == status


@pytest.mark.parametrize("page", [0, -1, 10**9, 10**40])
def test_a_page_of_the_route_that_there_is_not_is_a_404(users, page):
    with pytest.raises(HTTPException) as info:
        users.db.paginate(by_id(users), page=page)
    assert info.value.code == 404


def test_the_query_string_is_not_asked_for_what_a_call_gives(users):
    with users.app.test_request_context("/?page=x&per_page=x"):
        assert users.db.paginate(by_id(users), page=1, per_page=3).per_page == 3


def test_links_leave_out_what_is_far_away():
    page = Page([1], page=10, per_page=1, total=20, has_next=True)
    assert list(page.iter_pages()) == [
        1, 2, None, 8, 9, 10, 11, 12, 13, 14, None, 19, 20,
    ]  # fmt: skip


def test_links_without_a_count_end_with_the_next_page():
    page = Page([1], page=3, per_page=1, total=None, has_next=True)
    assert list(page.iter_pages()) == [1, 2, 3, 4]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 4), st.integers(0, 4))
def test_links_are_in_order_and_mark_every_gap_once(total, number, edge, around):
    number = min(number, total)
    page = Page([1], page=number, per_page=1, total=total, has_next=number < total)
    links = list(
        page.iter_pages(
            left_edge=edge,
            right_edge=edge,
            left_current=around,
            right_current=around,
        )
    )
    numbers = [link for link in links if link is not None]
    assert number in numbers
    assert numbers == sorted(set(numbers))
    assert all(1 <= link <= total for link in numbers)
    for before, link in zip([0, *links], links, strict=False):
        if before is not None and link is not None:
            assert link == before + 1
    assert not any(
        first is second is None for first, second in itertools.pairwise(links)
    )


def test_a_page_may_have_no_limit(site):
    fill(site, 150)
    with site.app.test_request_context("/?per_page=140"):
        statement = sa.select(site.User).order_by(site.User.id)
        assert len(site.db.paginate(statement)) == 100
        assert len(site.db.paginate(statement, max_per_page=None)) == 140
        assert len(site.db.paginate(statement, max_per_page=None, per_page=150)) == 150


def test_a_page_made_by_hand_needs_no_request(site):
    fill(site, 5)
    statement = sa.select(site.User.name).order_by(site.User.id)
    with site.db.session_scope(site.app) as session:
        page = Page.of(statement, session, page=2, per_page=2)
        assert (len(page), page.total, page.has_next) == (2, 5, True)
        assert len(page.next()) == 1
        assert Page.of(statement, session, per_page=2, count="none").total is None
        with pytest.raises(LookupError, match="no page 9"):
            Page.of(statement, session, page=9)
        with pytest.raises(LookupError):
            Page.of(statement, session, page=0)
        with pytest.raises(ValueError, match="at least 1"):
            Page.of(statement, session, per_page=0)


def test_a_page_can_be_kept_in_a_cache_and_its_items_replaced(site):
    fill(site, 5)
    with site.app.app_context():
        page = site.db.paginate(sa.select(site.User).order_by(site.User.id), per_page=2)
        page.items = [user.name for user in page]
        kept = pickle.loads(pickle.dumps(page))
        assert page.next().page == 2
    assert kept == page
    assert (kept.pages, kept.next_num, list(kept)) == (3, 2, page.items)
    with pytest.raises(ValueError, match="no statement"):
        kept.next()
