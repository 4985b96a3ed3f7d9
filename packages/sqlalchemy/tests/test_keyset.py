from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from werkzeug.exceptions import BadRequest

from flaskware_core import current_app_object
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy

NO_LIMIT = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class Base(Model, orm.DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Thing(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    a: Mapped[int | None]
    b: Mapped[int | None]
    c: Mapped[str] = mapped_column(sa.String(20))
    at: Mapped[dt.datetime | None]
    price: Mapped[decimal.Decimal | None] = mapped_column(sa.Numeric(9, 2))
    colour: Mapped[Colour | None]
    token: Mapped[uuid.UUID | None]
    day: Mapped[dt.date | None]
    parts: Mapped[list[Part]] = orm.relationship()


class Part(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    thing_id: Mapped[int] = mapped_column(sa.ForeignKey("thing.id"))


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def db(request, tmp_path):
    url = "sqlite:///app.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    db = SQLAlchemy(model_class=Base)
    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI=url)
    with app.app_context():
        db.create_all()
        yield db


@pytest.fixture
def sqlite(tmp_path):
    db = SQLAlchemy(model_class=Base)
    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://")
    with app.app_context():
        db.create_all()
        yield db


def fill(db, rows):
    db.session.rollback()
    db.session.execute(sa.delete(Thing))
    if rows:
        db.session.execute(sa.insert(Thing), rows)
    db.session.commit()


def forwards(db, statement, limit):
    found, after = [], None
    while True:
        page = db.keyset(statement, after=after, limit=limit)
        found += page.items
        assert len(page) <= limit
        assert page.has_prev == (after is not None)
        if not page.has_next:
            return found, page
        after = page.next_cursor


def backwards(db, statement, page, limit):
    found = list(page.items)
    while page.has_prev:
        page = db.keyset(statement, before=page.prev_cursor, limit=limit)
        found = [*page.items, *found]
        assert page.has_next
    return found


COLUMNS = {"a": Thing.a, "b": Thing.b, "c": Thing.c}
DIRECTIONS = {
    "asc": lambda column: column.asc(),
    "desc": lambda column: column.desc(),
    "asc nulls first": lambda column: column.asc().nulls_first(),
    "asc nulls last": lambda column: column.asc().nulls_last(),
    "desc nulls first": lambda column: column.desc().nulls_first(),
    "desc nulls last": lambda column: column.desc().nulls_last(),
}
small = st.none() | st.integers(-2, 2)
rows = st.lists(
    st.fixed_dictionaries({"a": small, "b": small, "c": st.sampled_from("xyz")}),
    max_size=14,
)
orders = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(list(DIRECTIONS))),
    max_size=3,
    unique_by=lambda pair: pair[0],
)


def value_order(dialect, name, direction):
    """A key that sorts as the database is asked to, in Python."""
    descending = direction.startswith("desc")
    first = "first" in direction
    if "nulls" not in direction:
        first = descending == (dialect == "postgresql")

    def key(row):
        value = row[name]
        if value is None:
            return (0 if first else 2, 0)
        number = ord(value) if isinstance(value, str) else value
        return (1, -number if descending else number)

    return key


@given(rows, orders, st.integers(1, 5), st.sampled_from(["asc", "desc"]))
@NO_LIMIT
def test_pages_in_both_directions_are_the_full_sort(db, things, order, limit, last):
    things = [{**row, "id": number} for number, row in enumerate(things, 1)]
    fill(db, things)
    dialect = db.engine.dialect.name
    statement = sa.select(Thing).order_by(
        *(DIRECTIONS[direction](COLUMNS[name]) for name, direction in order),
        DIRECTIONS[last](Thing.id),
    )
    keys = [value_order(dialect, *pair) for pair in [*order, ("id", last)]]
    expected = [
        row["id"]
        for row in sorted(things, key=lambda row: tuple(key(row) for key in keys))
    ]
    found, page = forwards(db, statement, limit)
    assert [thing.id for thing in found] == expected
    assert [thing.id for thing in backwards(db, statement, page, limit)] == expected


@given(rows, orders, st.integers(1, 4), st.data())
@NO_LIMIT
def test_what_is_added_and_removed_repeats_and_hides_nothing(
    sqlite, things, order, limit, data
):
    things = [{**row, "id": number} for number, row in enumerate(things, 1)]
    fill(sqlite, things)
    statement = sa.select(Thing.id).order_by(
        *(DIRECTIONS[direction](COLUMNS[name]) for name, direction in order)
    )
    found, after, removed, number = [], None, set(), len(things)
    while True:
        page = sqlite.keyset(statement, after=after, limit=limit)
        found += page.items
        if not page.has_next:
            break
        after = page.next_cursor
        if data.draw(st.booleans()):
            number += 1
            extra = {"id": number, **data.draw(rows.filter(bool))[0]}
            sqlite.session.execute(sa.insert(Thing), [extra])
        else:
            gone = data.draw(st.sampled_from([row["id"] for row in things]))
            removed.add(gone)
            sqlite.session.execute(sa.delete(Thing).where(Thing.id == gone))
        sqlite.session.commit()
        if number > 40:
            break
    assert len(found) == len(set(found))
    if number <= 40:
        assert {row["id"] for row in things} - removed <= set(found)


def test_a_page_is_one_query(sqlite):
    fill(sqlite, [{"c": "x"} for _ in range(9)])
    statement = sa.select(Thing).order_by(Thing.a.desc(), Thing.c)
    page = sqlite.keyset(statement, limit=4)
    with sqlite.assert_queries(1):
        second = sqlite.keyset(statement, after=page.next_cursor, limit=4)
    with sqlite.assert_queries(1):
        first = sqlite.keyset(statement, before=second.prev_cursor, limit=4)
    assert list(first) == list(page)
    assert page
    assert first.per_page == 4


@pytest.mark.parametrize("column", ["at", "price", "colour", "token", "day", "c"])
def test_an_order_by_any_kind_of_value_continues(db, column):
    values = [
        {
            "id": number,
            "c": f"{number % 3}é%",
            "at": dt.datetime(2026, 1, 1 + number % 4, 7) if number % 5 else None,  # noqa: DTZ001
            "price": decimal.Decimal(number % 4) / 4 if number % 5 else None,
            "colour": list(Colour)[number % 2] if number % 5 else None,
            "token": uuid.UUID(int=number % 4) if number % 5 else None,
            "day": dt.date(2026, 1, 1 + number % 4) if number % 5 else None,
        }
        for number in range(1, 12)
    ]
    fill(db, values)
    statement = sa.select(Thing).order_by(getattr(Thing, column).desc())
    expected = list(db.session.scalars(statement.order_by(Thing.id)))
    found, page = forwards(db, statement, 2)
    assert found == expected == backwards(db, statement, page, 2)


def test_rows_of_several_columns_keep_all_of_them(sqlite):
    fill(sqlite, [{"id": n, "a": n % 2, "c": "x"} for n in range(1, 6)])
    statement = sa.select(Thing, Thing.a, Thing.c.label("name")).order_by(Thing.a)
    page = sqlite.keyset(statement, limit=2)
    assert page.items[0]._fields == ("Thing", "a", "name")
    assert [(row.Thing.id, row.a, row.name) for row in page] == [
        (2, 0, "x"),
        (4, 0, "x"),
    ]
    found, last = forwards(sqlite, statement, 2)
    assert [row.Thing.id for row in found] == [2, 4, 1, 3, 5]
    assert backwards(sqlite, statement, last, 2) == found


def test_expressions_labels_and_aliases_can_be_ordered_by(sqlite):
    fill(sqlite, [{"id": n, "a": n, "c": "x"} for n in range(1, 8)])
    other = orm.aliased(Thing)
    label = (other.a % 3).label("rest")
    statement = sa.select(other, label).order_by(sa.desc(label), -other.a)
    expected = [row[0].id for row in sqlite.session.execute(statement)]
    found, page = forwards(sqlite, statement, 2)
    assert [row[0].id for row in found] == expected
    assert [row[0].id for row in backwards(sqlite, statement, page, 2)] == expected


def test_a_table_without_a_model_continues_by_its_primary_key(sqlite):
    fill(sqlite, [{"id": n, "a": 1, "c": "x"} for n in range(1, 6)])
    table = Thing.__table__
    found, _ = forwards(sqlite, sa.select(table.c.c, table.c.id).order_by(table.c.a), 2)
    assert [row.id for row in found] == [1, 2, 3, 4, 5]


def test_columns_of_an_outer_join_may_be_null(db):
    fill(db, [{"id": n, "c": "x"} for n in range(1, 7)])
    db.session.add_all([Part(id=n, thing_id=n) for n in (2, 3, 5)])
    db.session.commit()
    for direction in DIRECTIONS.values():
        statement = (
            sa.select(Thing, Part.id)
            .outerjoin(Part, Part.thing_id == Thing.id)
            .order_by(direction(Part.id))
        )
        found, page = forwards(db, statement, 2)
        assert sorted(row[0].id for row in found) == [1, 2, 3, 4, 5, 6]
        assert backwards(db, statement, page, 2) == found
    db.session.execute(sa.delete(Part))
    db.session.commit()


def test_a_collection_loaded_by_a_join_does_not_change_the_page(sqlite):
    fill(sqlite, [{"id": n, "c": "x"} for n in range(1, 5)])
    sqlite.session.add_all([Part(thing_id=n % 2 + 1) for n in range(6)])
    statement = sa.select(Thing).options(orm.joinedload(Thing.parts))
    found, _ = forwards(sqlite, statement, 2)
    assert [(thing.id, len(thing.parts)) for thing in found] == [
        (1, 3),
        (2, 3),
        (3, 0),
        (4, 0),
    ]


def test_a_page_that_was_emptied_leads_back(sqlite):
    fill(sqlite, [{"id": n, "c": "x"} for n in range(1, 5)])
    statement = sa.select(Thing.id).order_by(Thing.id)
    page = sqlite.keyset(statement, limit=2)
    sqlite.session.execute(sa.delete(Thing).where(Thing.id > 2))
    empty = sqlite.keyset(statement, after=page.next_cursor, limit=2)
    assert (list(empty), empty.has_next) == ([], False)
    back = sqlite.keyset(statement, before=empty.prev_cursor, limit=2)
    assert list(back) == [1, 2]


def cursor_of(db, statement):
    fill(db, [{"id": n, "a": n, "c": "x"} for n in range(1, 5)])
    return db.keyset(statement, limit=2).next_cursor


STATEMENT = sa.select(Thing).order_by(Thing.a)


@pytest.mark.parametrize(
    "other",
    [
        sa.select(Thing).order_by(Thing.a.desc()),
        sa.select(Thing).order_by(Thing.b),
        sa.select(Thing).order_by(Thing.a.nulls_first()),
        sa.select(Thing).order_by(Thing.a, Thing.b),
        sa.select(Thing).where(Thing.c == "x").order_by(Thing.a),
        sa.select(Part),
    ],
)
def test_a_cursor_of_another_statement_is_a_400(sqlite, other):
    cursor = cursor_of(sqlite, STATEMENT)
    with pytest.raises(BadRequest, match="another list"):
        sqlite.keyset(other, after=cursor)


def test_a_cursor_stays_right_when_only_the_values_of_a_filter_change(sqlite):
    cursor = cursor_of(sqlite, STATEMENT.where(Thing.b < 3))
    assert cursor is None
    cursor = cursor_of(sqlite, STATEMENT.where(Thing.a < 9))
    page = sqlite.keyset(STATEMENT.where(Thing.a < 4), after=cursor)
    assert [thing.id for thing in page] == [3]


@pytest.mark.parametrize("text", ["", "x", ".", "a.b", "é", "W10.x", "9" * 9000, "\0"])
def test_a_forged_cursor_is_a_400(sqlite, text):
    with pytest.raises(BadRequest):
        sqlite.keyset(STATEMENT, before=text)


def test_every_change_of_a_cursor_is_a_400(sqlite):
    cursor = cursor_of(sqlite, STATEMENT)
    for place in range(len(cursor) - 1):
        changed = "A" if cursor[place] != "A" else "B"
        with pytest.raises(BadRequest):
            sqlite.keyset(
                STATEMENT, after=cursor[:place] + changed + cursor[place + 1 :]
            )


def test_a_cursor_of_another_key_is_a_400_and_one_of_an_earlier_key_is_not(sqlite):
    cursor = cursor_of(sqlite, STATEMENT)
    config = current_app_object().config
    earlier, config["SECRET_KEY"] = config["SECRET_KEY"], "another-k3y:0123456789"
    with pytest.raises(BadRequest):
        sqlite.keyset(STATEMENT, after=cursor)
    config["SECRET_KEY_FALLBACKS"] = [earlier]
    assert [thing.id for thing in sqlite.keyset(STATEMENT, after=cursor)] == [3, 4]


def test_without_a_key_the_error_says_what_to_set(sqlite):
    current_app_object().config["SECRET_KEY"] = None
    with pytest.raises(RuntimeError, match="Set SECRET_KEY"):
        sqlite.keyset(STATEMENT)


@pytest.mark.parametrize(
    "statement",
    [
        sa.select(Thing.a).group_by(Thing.a),
        sa.select(Thing).distinct(),
        sa.select(Thing).limit(3),
        sa.select(Thing).offset(3),
        sa.select(Thing).order_by("a"),
        sa.select(sa.literal(1)),
    ],
)
def test_a_statement_that_cannot_be_continued_is_refused(sqlite, statement):
    with pytest.raises(ValueError, match=r"statement|order"):
        sqlite.keyset(statement)


def test_a_limit_below_one_is_refused(sqlite):
    with pytest.raises(ValueError, match="at least 1"):
        sqlite.keyset(STATEMENT, limit=0)


def serve(db):
    app = current_app_object()

    @app.get("/things")
    def things():
        page = db.keyset(STATEMENT, limit=2)
        return rendered(
            "{% from 'flaskware_sqlalchemy/pages.html' import keyset_links %}"
            "{{ page.items | map(attribute='id') | join(',') }}{{ keyset_links(page) }}",  # noqa: E501
            page=page,
        )

    @app.get("/numbered")
    def numbered():
        return rendered(
            "{% from 'flaskware_sqlalchemy/pages.html' import page_links %}"
            "{{ page_links(page) }}",
            page=db.paginate(STATEMENT, per_page=1),
        )

    return app.test_client()


def links(text):
    import html
    import re

    found = re.findall(r'<a rel="(\w+)" href="([^"]*)"', text)
    return {rel: html.unescape(href) for rel, href in found}


def rendered(source, **names):
    return current_app_object().jinja_env.from_string(source).render(**names)


def test_the_macro_links_from_page_to_page_and_keeps_other_arguments(sqlite):
    fill(sqlite, [{"id": n, "a": n, "c": "x"} for n in range(1, 6)])
    client = serve(sqlite)
    first = client.get("/things?q=a%26b&q=2&_external=1&_scheme=javascript").text
    assert first.startswith("1,2")
    assert set(links(first)) == {"next"}
    href = links(first)["next"]
    assert href.startswith("?q=a%26b&q=2&_external=1&_scheme=javascript&after=")
    second = client.get(f"/things{href}").text
    assert second.startswith("3,4")
    assert set(links(second)) == {"prev", "next"}
    third = client.get(f"/things{links(second)['next']}").text
    assert third.startswith("5")
    assert set(links(third)) == {"prev"}
    again = client.get(f"/things{links(third)['prev']}").text
    assert again.startswith("3,4")


def test_both_cursors_at_once_are_a_400(sqlite):
    client = serve(sqlite)
    assert client.get("/things?after=x&before=y").status_code == 400
    assert client.get("/things?after=x").status_code == 400


def test_the_macro_of_numbered_pages_marks_where_it_is(sqlite):
    fill(sqlite, [{"id": n, "a": n, "c": "x"} for n in range(1, 4)])
    text = serve(sqlite).get("/numbered?page=2&q=x").text
    assert links(text) == {"prev": "?page=1&q=x", "next": "?page=3&q=x"}
    assert '<a aria-current="page" href="?page=2&amp;q=x">2</a>' in text
