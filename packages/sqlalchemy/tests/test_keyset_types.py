"""Keyset pages have every row exactly once, for every type of column."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import typing as t

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import orm
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core.testing import async_app_context
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"
    AMBER = "a"


class Shout(sa.TypeDecorator[str]):
    """A type whose values differ from what is stored."""

    impl = sa.String(20)
    cache_ok = True

    def process_result_value(self, value: str | None, _dialect: object) -> str | None:
        return None if value is None else value.upper() + "!"


class Doubled(sa.TypeDecorator[int]):
    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: object) -> int | None:
        return None if value is None else value // 2

    def process_result_value(self, value: int | None, _dialect: object) -> int | None:
        return None if value is None else 7


WORDS = ["one", "two", "three"]
texts = st.text(st.sampled_from("aAbBäß %_'\\9"), max_size=6).map(str.strip)
floats = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.1, 0.2, 0.3, 1e-30, 1e30])
times = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1))  # noqa: DTZ001
KINDS: dict[str, tuple[t.Any, st.SearchStrategy[t.Any]]] = {
    "small": (sa.SmallInteger(), st.integers(-3, 3)),
    "big": (sa.BigInteger(), st.integers(-(2**63), 2**63 - 1)),
    "real": (sa.REAL(), floats),
    "float": (sa.Float(), floats | st.floats(-1e15, 1e15)),
    "single": (sa.Float(24), floats),
    "double": (sa.Double(), floats | st.floats(-1e15, 1e15)),
    "numeric": (sa.Numeric(12, 4), st.decimals(-99999, 99999, places=4)),
    "as_float": (
        sa.Numeric(18, 12, asdecimal=False),
        st.decimals(-9999, 9999, places=12),
    ),
    "flag": (sa.Boolean(), st.booleans()),
    "short": (sa.String(20), texts),
    "long": (sa.Text(), texts),
    "fixed": (sa.CHAR(8), texts),
    "bytes": (sa.LargeBinary(20), st.binary(max_size=6)),
    "day": (sa.Date(), st.dates(dt.date(1970, 1, 2))),
    "moment": (sa.DateTime(), times),
    "exact": (
        sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb"),
        times,
    ),
    "aware": (
        sa.DateTime(timezone=True),
        times.map(lambda at: at.replace(tzinfo=dt.UTC)),
    ),
    "clock": (sa.Time(), st.times()),
    "span": (sa.Interval(), st.timedeltas(dt.timedelta(0), dt.timedelta(9999))),
    "colour": (sa.Enum(Colour), st.sampled_from(Colour)),
    "word": (
        sa.Enum(*WORDS, name="word"),
        st.sampled_from(WORDS),
    ),
    "loose": (sa.Enum(Colour, native_enum=False), st.sampled_from(Colour)),
    "token": (sa.Uuid(), st.uuids()),
    "shout": (Shout(), texts),
    "doubled": (Doubled(), st.integers(-9, 9)),
    "pickled": (sa.PickleType(), st.integers(0, 3)),
}
ONLY: dict[str, dict[str, tuple[t.Any, st.SearchStrategy[t.Any]]]] = {
    "postgresql": {
        "array": (postgresql.ARRAY(sa.Integer), st.lists(st.integers(0, 3))),
        "json": (postgresql.JSONB(), st.dictionaries(texts, st.integers(0, 3))),
        "net": (postgresql.INET(), st.sampled_from(["10.0.0.1", "10.0.0.2/8", "::1"])),
        "period": (
            postgresql.INTERVAL(),
            st.timedeltas(dt.timedelta(-99), dt.timedelta(9999)),
        ),
        "free": (
            sa.Numeric(),
            st.decimals(-9999, 9999, places=9) | st.just(decimal.Decimal("NaN")),
        ),
    },
    "mariadb": {
        "cents": (mysql.FLOAT(9, 2), st.floats(-999, 999, width=32)),
        "set": (mysql.SET("a", "b", "c"), st.sets(st.sampled_from("abc"))),
        "bit": (mysql.BIT(4), st.integers(0, 15)),
        "year": (mysql.YEAR(), st.integers(1980, 2030)),
        "stamp": (mysql.TIMESTAMP(fsp=3), times),
        "number": (mysql.DOUBLE(12, 3), st.floats(-999, 999)),
        # Its type takes only those of RFC 9562, and orders each version by itself.
        "token": (sa.Uuid(), st.uuids(version=4)),
    },
    "sqlite": {},
}
# The order of a page, and the same for databases that cannot place NULL.
ORDERS: list[t.Callable[[t.Any], tuple[t.Any, list[t.Any]]]] = [
    lambda column: (column.asc(), [column.asc()]),
    lambda column: (column.desc(), [column.desc()]),
    lambda column: (column.asc().nulls_first(), [column.is_not(None), column.asc()]),
    lambda column: (column.desc().nulls_last(), [column.is_(None), column.desc()]),
]
DATABASES = {
    "sqlite": "sqlite",
    "psycopg": "postgresql",
    "psycopg2": "postgresql",
    "asyncpg": "postgresql",
    "mariadb": "mariadb",
    "aiosqlite": "sqlite",
    "asyncmy": "mariadb",
}
SETTINGS = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Site:
    """A database with a table that has a column of each kind."""

    def __init__(self, name: str, url: str, folder: t.Any) -> None:
        class Base(Model, orm.DeclarativeBase):
            pass

        self.kinds = {**KINDS, **ONLY[DATABASES[name]]}
        body: dict[str, t.Any] = {
            kind: mapped_column(type_, nullable=True)
            for kind, (type_, _) in self.kinds.items()
        }

        class Thing(Base):
            id: Mapped[int] = mapped_column(primary_key=True)
            other: Mapped[int | None]
            locals().update(body)

        self.thing: t.Any = Thing
        # One event loop, and so one connection, for thousands of walks.
        self.runner = asyncio.Runner()
        self.is_async = name in {"asyncpg", "aiosqlite", "asyncmy"}
        drivers = {"postgresql": "asyncpg"} if name == "asyncpg" else {}
        self.db = SQLAlchemy(model_class=Base)
        self.app = make_app(
            self.db,
            instance_path=folder,
            SQLALCHEMY_DATABASE_URI=url.replace("+psycopg:", "+psycopg2:")
            if name == "psycopg2"
            else url,
            SQLALCHEMY_ASYNC_DRIVERS=drivers,
        )
        with self.app.app_context():
            self.db.create_all()

    def fill(self, rows: list[dict[str, t.Any]]) -> None:
        with self.db.session_scope(self.app) as session:
            session.execute(sa.delete(self.thing))
            if rows:
                session.execute(sa.insert(self.thing.__table__), rows)
            session.commit()

    def walk(self, statement: t.Any, limit: int) -> tuple[list[int], list[int]]:
        """Return the ids in the order of the pages, forwards and then backwards."""
        if self.is_async:
            return self.runner.run(self._walk_async(statement, limit))
        with self.app.app_context():
            forwards, page = [], self.db.keyset(statement, limit=limit)
            forwards += page.items
            while page.has_next and len(forwards) < 99:
                page = self.db.keyset(statement, after=page.next_cursor, limit=limit)
                forwards += page.items
            backwards = list(page.items)
            while page.has_prev and len(backwards) < 99:
                page = self.db.keyset(statement, before=page.prev_cursor, limit=limit)
                backwards = [*page.items, *backwards]
        return forwards, backwards

    async def _walk_async(
        self, statement: t.Any, limit: int
    ) -> tuple[list[int], list[int]]:
        async with async_app_context(self.app):
            forwards, page = [], await self.db.async_keyset(statement, limit=limit)
            forwards += page.items
            while page.has_next and len(forwards) < 99:
                page = await self.db.async_keyset(
                    statement, after=page.next_cursor, limit=limit
                )
                forwards += page.items
            backwards = list(page.items)
            while page.has_prev and len(backwards) < 99:
                page = await self.db.async_keyset(
                    statement, before=page.prev_cursor, limit=limit
                )
                backwards = [*page.items, *backwards]
            await self.db.async_session.close()
        return forwards, backwards

    def sorted(self, statement: t.Any) -> list[int]:
        with self.db.session_scope(self.app) as session:
            return list(session.scalars(statement.order_by(self.thing.id)))


@pytest.fixture(params=DATABASES)
def typed(request, tmp_path):
    backend = DATABASES[request.param]
    url = "sqlite:///app.db"
    if backend != "sqlite":
        url = request.getfixturevalue(f"{backend}_url")
    site = Site(request.param, url, tmp_path)
    with site.runner:
        yield site


# SQLAlchemy 2.1 warns of types of its own.
@pytest.mark.filterwarnings(
    r"ignore:.*mysql\.types\.(BIT|YEAR).*operator_classes"
    ":sqlalchemy.exc.SADeprecationWarning"
)
@pytest.mark.slow
def test_each_row_is_on_one_page_for_every_type(typed):
    for kind in typed.kinds:
        check_kind(typed, kind)


def check_kind(typed: Site, kind: str) -> None:
    values = st.none() | typed.kinds[kind][1]
    rows = st.lists(st.tuples(values, st.integers(0, 2)), max_size=9)
    thing, column = typed.thing, getattr(typed.thing, kind)

    @SETTINGS
    @given(rows, st.sampled_from(ORDERS), st.integers(1, 4))
    def check(rows, order, limit):
        typed.fill(
            [
                {"id": number, kind: value, "other": other}
                for number, (value, other) in enumerate(rows, 1)
            ]
        )
        given, same = order(column)
        for clauses, same_clauses in (
            ([given, thing.other.desc()], [*same, thing.other.desc()]),
            ([thing.other, given], [thing.other, *same]),
        ):
            statement = sa.select(thing.id).order_by(*clauses)
            expected = typed.sorted(sa.select(thing.id).order_by(*same_clauses))
            assert typed.walk(statement, limit) == (expected, expected)

    try:
        check()
    except BaseException as error:
        error.add_note(f"column {kind}")
        raise


EXPRESSIONS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "equal": lambda thing: (thing.small == 1).desc(),
    "is null": lambda thing: thing.small.is_(None),
    "not flag": lambda thing: ~thing.flag,
    "in": lambda thing: thing.small.in_([1, 2]).desc(),
    "lower": lambda thing: sa.func.lower(thing.short),
    "coalesce": lambda thing: sa.func.coalesce(thing.real, 0.1).desc(),
    "product": lambda thing: thing.real * thing.real,
    "division": lambda thing: thing.big / 7,
    "case": lambda thing: sa.case((thing.small > 0, thing.big), else_=thing.other),
    "enum": lambda thing: sa.func.coalesce(thing.loose, "RED"),
    "count": lambda thing: (
        sa.select(sa.func.sum(thing.small))
        .where(thing.small > 0)
        .correlate(None)
        .scalar_subquery()
    ),
    "cast": lambda thing: sa.cast(thing.small, sa.Numeric(9, 3)),
    "length": lambda thing: sa.func.length(thing.short).desc(),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_each_row_is_on_one_page_for_expressions(typed, name):
    typed.fill(
        [
            {
                "id": number,
                "small": number % 4 if number % 5 else None,
                "other": number % 3,
                "real": number / 10 if number % 4 else None,
                "big": 2**40 * (number % 7),
                "flag": [True, False, None][number % 3],
                "short": ["a", "B", None, "c"][number % 4],
                "loose": [Colour.RED, Colour.BLUE, None][number % 3],
            }
            for number in range(1, 25)
        ]
    )
    thing = typed.thing
    for order in (
        (EXPRESSIONS[name](thing),),
        (thing.other.desc(), EXPRESSIONS[name](thing)),
    ):
        statement = sa.select(thing.id).order_by(*order)
        expected = typed.sorted(statement)
        assert typed.walk(statement, 3) == (expected, expected)
