"""One law for data: every kind of field, alone and nested, on every way to a database.

What a page shows, sent back untouched, changes nothing: not one statement is written.
What a page does not show is not written. What somebody changes is written, alone.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import decimal
import enum
import io
import re
import time
import typing as t
import uuid
import zoneinfo

import annotated_types as at
import flask
import jinja2
import pydantic
import pytest
import sqlalchemy as sa
from forms_page import Page
from forms_page import sent_by
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.asyncio import create_async_engine

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui
from flaskware_forms import Upload

pytestmark = pytest.mark.filterwarnings(
    "ignore:Dialect sqlite.*does .not. support Decimal"
)


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"


def countries() -> list[tuple[int, str]]:
    return [(1, "Oz"), (2, "Ur")]


class Leaves(pydantic.BaseModel):
    """Every kind of field of one value."""

    word: t.Annotated[str, at.Len(1, 40)]
    text: str = "as it\nwas"
    note: t.Annotated[str, Ui(widget="textarea")] = "one\r\ntwo"
    token: t.Annotated[str, Ui(widget="hidden")] = "\n"
    nick: str | None = "nick"
    email: pydantic.EmailStr = "ann@example.com"
    site: pydantic.HttpUrl | None = None
    number: int = 77
    maybe: int | None = 5
    price: decimal.Decimal = decimal.Decimal("1.5")
    ratio: float = 0.1
    on: bool = True
    answer: bool | None = True
    day: dt.date = dt.date(2000, 1, 1)
    clock: dt.time = dt.time(10, 0)
    naive: dt.datetime = dt.datetime(2000, 1, 1)  # noqa: DTZ001
    moment: dt.datetime = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    aware: pydantic.AwareDatetime = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    utc: pydantic.AwareDatetime | None = None
    size: t.Literal["s", "l\n"] = "s"
    mood: t.Annotated[t.Literal["", "good"], Ui(widget="radio")] = "good"
    color: t.Annotated[Color | None, Ui(widget="radio")] = Color.RED
    country: t.Annotated[int | None, Ui(choices=countries)] = 1
    uid: uuid.UUID = uuid.UUID(int=1)
    span: dt.timedelta = dt.timedelta(hours=1)


class Entry(pydantic.BaseModel):
    """A row without a key, in a column of JSON."""

    name: t.Annotated[str, at.MinLen(1)]
    when: dt.datetime | None = None
    on: bool = True


class Card(pydantic.BaseModel):
    kind: t.Literal["card"]
    number: str = ""
    limit: decimal.Decimal = decimal.Decimal(9)


class Iban(pydantic.BaseModel):
    kind: t.Literal["iban", "bank-transfer"]
    number: t.Annotated[str, at.MinLen(1)]
    instant: bool = True
    since: pydantic.AwareDatetime | None = None


Letter = t.Literal["a", "b", "c"]
Word = t.Annotated[str, at.MinLen(1)]
Way = t.Annotated[Card | Iban, pydantic.Field(discriminator="kind")]


class Lists(pydantic.BaseModel):
    """Every kind of field of several values, in columns of JSON."""

    texts: list[str] = ["x"]
    nicks: list[str | None] = [None]
    numbers: list[int] | None = [1]
    days: list[dt.date] = [dt.date(2000, 1, 1)]
    moments: list[dt.datetime] = []
    awares: list[pydantic.AwareDatetime] = []
    boxes: list[Letter] = ["a"]
    several: t.Annotated[set[Letter], Ui(widget="select")] = {"b"}
    ids: frozenset[int] = frozenset({1})
    pair: tuple[int, ...] = (1,)
    grid: list[list[int]] = [[1]]
    entries: list[Entry] = [Entry(name="x")]
    entry: Entry | None = Entry(name="x")
    prices: dict[str, decimal.Decimal] = {"x": decimal.Decimal(1)}
    by_name: dict[Word, Entry] | None = {"x": Entry(name="x")}
    by_letter: dict[Letter, list[str]] = {"a": ["x"]}
    point: tuple[int, str] = (1, "x")
    spot: tuple[float, Entry] | None = (1.0, Entry(name="x"))
    spots: list[tuple[int, bool]] = [(1, True)]
    way: Way = Card(kind="card", number="x")
    other_way: Way | None = Card(kind="card", number="x")
    ways: list[Way] = [Card(kind="card", number="x")]


class Sub(Leaves):
    id: t.Annotated[int | None, Ui(widget="hidden")] = None


class Row(Sub):
    subs: list[Sub] = []


class Whole(Leaves, Lists):
    secret: pydantic.SecretStr | None = None
    file: Upload | None = None
    one: Leaves
    other: Leaves | None = None
    rows: list[Row] = []


class Base(orm.DeclarativeBase):
    pass


class LeafColumns:
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    word: orm.Mapped[str] = orm.mapped_column(sa.String(40))
    text: orm.Mapped[str]
    note: orm.Mapped[str]
    token: orm.Mapped[str]
    nick: orm.Mapped[str | None]
    email: orm.Mapped[str]
    site: orm.Mapped[str | None]
    number: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)
    maybe: orm.Mapped[int | None]
    price: orm.Mapped[decimal.Decimal] = orm.mapped_column(sa.Numeric(12, 4))
    ratio: orm.Mapped[float]
    on: orm.Mapped[bool]
    answer: orm.Mapped[bool | None]
    day: orm.Mapped[dt.date]
    clock: orm.Mapped[dt.time]
    naive: orm.Mapped[dt.datetime]
    moment: orm.Mapped[dt.datetime] = orm.mapped_column(sa.DateTime(timezone=True))
    aware: orm.Mapped[dt.datetime] = orm.mapped_column(sa.DateTime(timezone=True))
    utc: orm.Mapped[dt.datetime | None]
    size: orm.Mapped[str]
    mood: orm.Mapped[str]
    color: orm.Mapped[Color | None]
    country: orm.Mapped[int | None]
    uid: orm.Mapped[uuid.UUID]
    span: orm.Mapped[dt.timedelta]


def json_column() -> t.Any:
    return orm.mapped_column(sa.JSON(none_as_null=True))


def children(**options: t.Any) -> t.Any:
    return orm.relationship(cascade="all, delete-orphan", lazy="selectin", **options)


class WholeTable(LeafColumns, Base):
    __tablename__ = "whole"
    texts: orm.Mapped[list[str]] = json_column()
    nicks: orm.Mapped[list[str]] = json_column()
    numbers: orm.Mapped[list[int] | None] = json_column()
    days: orm.Mapped[list[str]] = json_column()
    moments: orm.Mapped[list[str]] = json_column()
    awares: orm.Mapped[list[str]] = json_column()
    boxes: orm.Mapped[list[str]] = json_column()
    several: orm.Mapped[list[str]] = json_column()
    ids: orm.Mapped[list[int]] = json_column()
    pair: orm.Mapped[list[int]] = json_column()
    grid: orm.Mapped[list[t.Any]] = json_column()
    entries: orm.Mapped[list[t.Any]] = json_column()
    entry: orm.Mapped[dict[str, t.Any] | None] = json_column()
    prices: orm.Mapped[dict[str, t.Any]] = json_column()
    by_name: orm.Mapped[dict[str, t.Any] | None] = json_column()
    by_letter: orm.Mapped[dict[str, t.Any]] = json_column()
    point: orm.Mapped[list[t.Any]] = json_column()
    spot: orm.Mapped[list[t.Any] | None] = json_column()
    spots: orm.Mapped[list[t.Any]] = json_column()
    way: orm.Mapped[dict[str, t.Any]] = json_column()
    other_way: orm.Mapped[dict[str, t.Any] | None] = json_column()
    ways: orm.Mapped[list[t.Any]] = json_column()
    hidden: orm.Mapped[str] = orm.mapped_column(default="hush")
    one: orm.Mapped[OneTable] = children()
    other: orm.Mapped[OtherTable | None] = children()
    rows: orm.Mapped[list[RowTable]] = children(order_by="RowTable.id")


class OneTable(LeafColumns, Base):
    __tablename__ = "one"
    of: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("whole.id"))


class OtherTable(LeafColumns, Base):
    __tablename__ = "other"
    of: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("whole.id"))


class RowTable(LeafColumns, Base):
    __tablename__ = "rows"
    of: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("whole.id"))
    subs: orm.Mapped[list[SubTable]] = children(order_by="SubTable.id")


class SubTable(LeafColumns, Base):
    __tablename__ = "subs"
    of: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("rows.id"))


SPEC = FormSpec.for_model(
    WholeTable, Whole, name="whole", view_writes=["secret", "file"]
)

# No control holds U+0000, and no encoding a surrogate.
_SIGNS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
_TEXT = st.text(st.sampled_from("\r\n é") | _SIGNS, max_size=6)
_FIRST = dt.datetime.fromisoformat("1950-01-01")
_LAST = dt.datetime.fromisoformat("2090-01-01")
_NAIVE = st.datetimes(_FIRST, _LAST)
_ZONES = st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=45))])
_AWARE = st.datetimes(_FIRST, _LAST, timezones=_ZONES)
LEAVES = st.fixed_dictionaries({
    "word": st.text("ab", min_size=1, max_size=3),
    "text": _TEXT,
    "note": _TEXT,
    "token": _TEXT,
    "nick": st.none() | _TEXT,
    "email": st.sampled_from(["a@example.com", "ü@example.org"]),
    "site": st.sampled_from([None, "https://example.com/", "http://a.example/?b=1"]),
    "number": st.integers(-(2**60), 2**60),
    "maybe": st.none() | st.integers(-9, 9),
    "price": st.decimals(-99999, 99999, places=4),
    "ratio": st.floats(allow_nan=False, allow_infinity=False),
    "on": st.booleans(),
    "answer": st.none() | st.booleans(),
    "day": st.dates(_FIRST.date(), _LAST.date()),
    "clock": st.times(),
    "naive": _NAIVE,
    "moment": _AWARE,
    "aware": _AWARE,
    "utc": st.none() | _AWARE,
    "size": st.sampled_from(["s", "l\n"]),
    "mood": st.sampled_from(["", "good"]),
    "color": st.sampled_from([None, *Color]),
    # The last is not offered any more.
    "country": st.sampled_from([None, 1, 2, 3]),
    "uid": st.uuids(),
    "span": st.timedeltas(dt.timedelta(0), dt.timedelta(days=99)),
})  # fmt: skip
_ENTRY = st.fixed_dictionaries({
    "name": st.text("ab", min_size=1, max_size=2),
    "when": st.none() | _AWARE,
    "on": st.booleans(),
})  # fmt: skip
_CARD = st.fixed_dictionaries({
    "kind": st.just("card"),
    "number": _TEXT,
    "limit": st.decimals(0, 9, places=2),
})  # fmt: skip
_IBAN = st.fixed_dictionaries({
    "kind": st.sampled_from(["iban", "bank-transfer"]),
    "number": st.text("ab", min_size=1, max_size=2),
    "instant": st.booleans(),
    "since": st.none() | _AWARE,
})  # fmt: skip
_WAY = _CARD | _IBAN
_DIGITS = st.integers(0, 9)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LISTS = st.fixed_dictionaries({
    "texts": st.lists(_TEXT, max_size=3),
    "nicks": st.lists(st.none() | _TEXT, max_size=3),
    "numbers": st.none() | st.lists(_DIGITS, max_size=3),
    "days": st.lists(st.dates(_FIRST.date()), max_size=2),
    "moments": st.lists(_AWARE | _NAIVE, max_size=2),
    "awares": st.lists(_AWARE, max_size=2),
    "boxes": st.lists(st.sampled_from("abc"), max_size=3),
    "several": st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    "ids": st.lists(_DIGITS, max_size=3, unique=True),
    "pair": st.lists(_DIGITS, max_size=3),
    "grid": st.lists(st.lists(_DIGITS, max_size=2), max_size=2),
    "entries": st.lists(_ENTRY, max_size=2),
    "entry": st.none() | _ENTRY,
    "prices": st.dictionaries(_TEXT, st.decimals(-9, 9, places=2), max_size=2),
    "by_name": st.none() | st.dictionaries(st.sampled_from("xy"), _ENTRY, max_size=2),
    "by_letter": st.dictionaries(
        st.sampled_from("abc"), st.lists(_TEXT, max_size=2), max_size=2
    ),
    "point": st.tuples(_DIGITS, _TEXT),
    "spot": st.none() | st.tuples(_FLOATS, _ENTRY),
    "spots": st.lists(st.tuples(_DIGITS, st.booleans()), max_size=2),
    "way": _WAY,
    "other_way": st.none() | _WAY,
    "ways": st.lists(_WAY, max_size=2),
})  # fmt: skip
ROWS = st.tuples(LEAVES, st.lists(LEAVES, max_size=1))
VALUES = st.tuples(
    LEAVES, LISTS, LEAVES, st.none() | LEAVES, st.lists(ROWS, max_size=2)
)
NESTED = ("", "one.", "other.", "rows-0.", "rows-0.subs-0.")


def record(values: t.Any) -> WholeTable:
    """The object with these values, as a database keeps them."""
    leaves, lists, one, other, rows = values
    stored = pydantic.TypeAdapter(dict[str, t.Any]).dump_python(lists, mode="json")
    return WholeTable(
        id=1,
        **leaves,
        **stored,
        one=OneTable(**one),
        other=None if other is None else OtherTable(**other),
        rows=[
            RowTable(**row, subs=[SubTable(**sub) for sub in subs])
            for row, subs in rows
        ],
    )


def leaves_of(whole: t.Any) -> cabc.Iterator[t.Any]:
    yield from filter(None, (whole, whole.one, whole.other))
    for row in whole.rows:
        yield from (row, *row.subs)


def in_utc(whole: WholeTable) -> WholeTable:
    """The object with moments as a database without zones keeps them."""
    for leaves in leaves_of(whole):
        leaves.aware = leaves.aware.astimezone(dt.UTC)
        if leaves.utc is not None:
            leaves.utc = leaves.utc.astimezone(dt.UTC).replace(tzinfo=None)
    return whole


def with_zones(whole: WholeTable) -> WholeTable:
    """The object of a database with the zones that it does not keep."""
    for leaves in leaves_of(whole):
        for name in ("aware", "utc"):
            value = getattr(leaves, name)
            if value is not None and value.tzinfo is None:
                value = value.replace(tzinfo=dt.UTC)
                orm.attributes.set_committed_value(leaves, name, value)
    return whole


def keep(data: Whole, whole: WholeTable) -> None:
    """Write what only a view writes: a blank is no new secret, and no file."""
    if data.secret is not None:
        whole.hidden = data.secret.get_secret_value()
    assert data.file is None


class Db:
    """An app that edits one object of a database, by one driver."""

    def __init__(self, url: sa.URL, driver: str, **config: t.Any) -> None:
        self.engine = sa.create_engine(url)
        Base.metadata.create_all(self.engine)
        self.is_async = driver == "asyncpg"
        self.statements: list[str] = []
        own = create_async_engine(
            url.set(drivername=f"{url.get_backend_name()}+{driver}"),
            poolclass=sa.NullPool,
        )
        self.own = own.sync_engine if self.is_async else self.engine
        sa.event.listen(self.own, "before_cursor_execute", self._keep)
        app = make_app(Forms(), **config)
        app.jinja_loader = jinja2.DictLoader({"page.html": "{{ form.render() }}"})

        @SPEC.handles
        def edit(form: Bound[Whole]) -> flask.typing.ResponseReturnValue:
            with orm.Session(self.engine) as session:
                whole = session.get_one(WholeTable, 1)
                form.fill(whole)
                data = form.submit()
                if data is not None:
                    keep(data, whole)
                    if form.save(session, whole):
                        return form.done("/done")
                return form.respond("page.html")

        @SPEC.handles
        async def async_edit(form: Bound[Whole]) -> flask.typing.ResponseReturnValue:
            async with AsyncSession(own) as session:
                whole = await session.get_one(WholeTable, 1)
                form.fill(whole)
                data = await form.async_submit()
                if data is not None:
                    keep(data, whole)
                    if await form.async_save(session, whole):
                        return form.done("/done")
                return await form.async_respond("page.html")

        view = async_edit if self.is_async else edit
        app.add_url_rule("/", "edit", view, methods=["GET", "POST", "PATCH"])
        self.client = app.test_client()

    def _keep(self, conn: t.Any, cursor: t.Any, statement: str, *rest: t.Any) -> None:
        if not statement.startswith("SELECT"):
            self.statements.append(" ".join(statement.split()))

    def store(self, values: t.Any) -> None:
        with orm.Session(self.engine) as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(sa.delete(table))
            session.add(in_utc(record(values)))
            session.commit()

    def shown(self) -> dict[str, list[str]]:
        return sent_by(Page(self.client.get("/").text))

    def json(self) -> dict[str, t.Any]:
        with orm.Session(self.engine) as session:
            whole = with_zones(session.get_one(WholeTable, 1))
            found = Whole.model_validate(whole, from_attributes=True)
            shown = found.model_dump(mode="json", exclude={"secret", "file"})
            return without_gone_choices(shown)

    def send(self, method: str = "POST", **options: t.Any) -> list[str]:
        """Send a body, and return the statements that write."""
        self.statements.clear()
        headers = {"Sec-Fetch-Site": "same-origin", "Accept": "application/json"}
        answer = self.client.open("/", method=method, headers=headers, **options)
        assert answer.status_code == (201 if method == "POST" else 200), answer.text
        return self.statements


def without_gone_choices(value: t.Any) -> t.Any:
    """JSON as a client may send it, who names no choice that is not offered."""
    if isinstance(value, list):
        return [*map(without_gone_choices, value)]
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if (k, v) != ("country", 3)}
        return {key: without_gone_choices(each) for key, each in kept.items()}
    return value


DRIVERS = ["sqlite", "psycopg", "asyncpg"]
# The zone and the locale of the person, by driver.
PERSONS: dict[str, tuple[t.Any, t.Any]] = {
    "sqlite": (lambda: zoneinfo.ZoneInfo("Australia/Lord_Howe"), None),
    "psycopg": ("Asia/Kathmandu", "de"),
    "asyncpg": (lambda: "Europe/Berlin", lambda: "fr"),
}


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"sqlite": f"sqlite:///{tmp_path_factory.mktemp('law')}/db.sqlite"}


@pytest.fixture(params=DRIVERS)
def db(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    urls: dict[str, str],
) -> cabc.Iterator[Db]:
    # A driver would take a moment without a zone for one in the zone of the process.
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    url = urls["sqlite"]
    if request.param != "sqlite":
        url = request.getfixturevalue("postgresql_url")
    driver = {"sqlite": "aiosqlite"}.get(request.param, request.param)
    parsed = sa.make_url(url)
    if request.param != "sqlite":
        parsed = parsed.set(drivername="postgresql+psycopg")
    zone, locale = PERSONS[request.param]
    made = Db(parsed, driver, FORMS_TIMEZONE=zone, FORMS_LOCALE=locale)
    yield made
    made.engine.dispose()
    monkeypatch.undo()
    time.tzset()


def examples(count: int) -> t.Any:
    return settings(
        max_examples=count,
        deadline=None,
        # The values of all kinds at once take long to shrink.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.function_scoped_fixture,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )


def is_of(name: str, field: str) -> bool:
    return re.match(rf"{re.escape(field)}(?![^.\-])", name) is not None


def keep_the_law(db: Db, values: t.Any, data: st.DataObject) -> None:
    db.store(values)
    body = db.shown()
    assert "hush" not in str(body)
    assert db.send(data=body) == []
    # A browser sends a file without a name for a control without a file.
    parts = {**body, "file": (io.BytesIO(), "")}
    assert db.send(data=parts, content_type="multipart/form-data") == []
    whole = db.json()
    assert db.send(json=whole) == []
    some = data.draw(st.lists(st.sampled_from(sorted(whole)), max_size=9))
    assert db.send("PATCH", json={name: whole[name] for name in some}) == []
    # A page that shows less: of the form, of a group, or of a row.
    fields = st.sampled_from(sorted({*Leaves.model_fields} - {"word"}))
    gone = data.draw(
        st.lists(st.builds(str.__add__, st.sampled_from(NESTED), fields), max_size=9)
    )
    gone += data.draw(st.lists(st.sampled_from([*Lists.model_fields, "rows"])))
    rest = {n: v for n, v in body.items() if not any(is_of(n, each) for each in gone)}
    assert db.send(data=rest) == []
    # What somebody writes is written, and nothing beside it.
    (statement,) = db.send(data={**body, "secret": ["new"]})
    assert re.fullmatch(r"UPDATE whole SET hidden=\S+ WHERE .*", statement)
    start = data.draw(st.sampled_from(NESTED))
    if f"{start}word" in body and body[f"{start}word"] != [""]:
        (statement,) = db.send(data={**body, f"{start}word": ["changed"]})
        assert re.fullmatch(r"UPDATE \w+ SET word=\S+ WHERE .*", statement)


@examples(12)
@given(values=VALUES, data=st.data())
def test_what_is_shown_and_sent_back_changes_nothing(db, values, data):
    keep_the_law(db, values, data)


@pytest.mark.slow
@examples(90)
@given(values=VALUES, data=st.data())
def test_what_is_shown_and_sent_back_changes_nothing_of_anything(db, values, data):
    keep_the_law(db, values, data)


@examples(40)
@given(values=VALUES)
def test_what_a_page_shows_comes_back_exactly(values):
    whole = Whole.model_validate(record(values), from_attributes=True)
    # Boxes have the order of the page, and a choice that is gone is none.
    whole.boxes = [letter for letter in t.get_args(Letter) if letter in whole.boxes]
    for leaves in leaves_of(whole):
        leaves.country = None if leaves.country == 3 else leaves.country
    app = make_app(Forms())
    with app.test_request_context():
        body = sent_by(Page(SPEC.bind(whole).render()))
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        with app.test_request_context(
            "/",
            method="POST",
            data=body,
            content_type=kind,
            headers={"Sec-Fetch-Site": "same-origin"},
        ):
            form = SPEC.bind()
            assert form.submit() == whole, form.errors


class Weight(enum.Flag):
    LIGHT = 1
    HEAVY = 2


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (t.Literal[1, "1"], "1 and '1', which are the same"),
        (t.Literal["true", True], "'true' and True, which are the same"),
        (t.Literal[1, True], "1 and True, which are the same"),
        (t.Literal["", "x"] | None, "'', which in a form is the same as no choice"),
        (list[t.Literal["", "x"]], "'', which in a form is the same as no choice"),
        (Weight, "whose members are combined"),
    ],
)
def test_choices_that_do_not_come_back_are_refused(kind, reason):
    model = pydantic.create_model("M", a=(kind, ...))
    with pytest.raises(DeclarationError, match=reason):
        FormSpec(model, name="m")


def test_none_among_choices_is_no_choice(make_site):
    model = pydantic.create_model("M", a=(t.Literal["x", None], ...))
    site = make_site(FormSpec(model, name="m"))
    for text, value in (("", None), ("x", "x")):
        assert site.post({"a": text}).status_code == 303
        assert site.data.a == value


def test_a_list_in_one_select_can_be_emptied(make_site):
    several = t.Annotated[list[Letter], Ui(widget="select")]
    model = pydantic.create_model("M", a=(several, ["a"]))
    site = make_site(FormSpec(model, name="m"))
    body = sent_by(Page(site.client.get("/").text))
    assert body.pop("a") == ["a"]
    assert site.post(body).status_code == 303
    assert site.data.a == []


@pytest.mark.parametrize("kind", [pydantic.SecretStr, Upload])
def test_secrets_and_files_do_not_go_into_a_column_of_json(kind):
    inner = pydantic.create_model("In", name=(kind, ...))
    model = pydantic.create_model("M", entries=(list[inner], []))
    with pytest.raises(DeclarationError, match="has name, which whole"):
        FormSpec.for_model(WholeTable, model, name="m")
