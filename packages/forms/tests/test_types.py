"""A type that is not of this package comes back exactly, or is refused as declared."""

from __future__ import annotations

import collections
import dataclasses as dc
import datetime as dt
import decimal
import fractions
import ipaddress
import pathlib
import re
import typing as t
import uuid
import zoneinfo

import pydantic
import pytest
from forms_page import Page
from forms_page import sent_by
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pydantic_core import core_schema

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec


class Money:
    """An amount that has its own text, in forms and in JSON."""

    def __init__(self, amount: int, currency: str) -> None:
        self.parts = amount, currency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    @classmethod
    def parse(cls, value: t.Any) -> t.Any:
        if isinstance(value, cls):
            return value
        amount, currency = str(value).split(" ")
        return cls(int(amount), currency)

    def write(self) -> str:
        return " ".join(map(str, self.parts))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: t.Any) -> t.Any:
        write = core_schema.plain_serializer_function_ser_schema(cls.write)
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=write
        )


class Unwritten(Money):
    """An amount whose text is not read again."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: t.Any) -> t.Any:
        return core_schema.no_info_plain_validator_function(cls.parse)


class NeverEqual(Money):
    __hash__ = Money.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@dc.dataclass(frozen=True)
class Point:
    x: int
    y: int


class Cents(int):
    """Euros in a text, cents in the program."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: t.Any) -> t.Any:
        return core_schema.no_info_plain_validator_function(
            lambda value: cls(round(float(value) * 100))
        )


def parse_point(value: t.Any) -> t.Any:
    return value if isinstance(value, Point) else Point(*map(int, value.split(",")))


def parse_german(value: t.Any) -> t.Any:
    if not isinstance(value, str):
        return value
    return decimal.Decimal(value.replace(".", "").replace(",", "."))


PointText = t.Annotated[
    Point,
    pydantic.PlainValidator(parse_point),
    pydantic.PlainSerializer(lambda point: f"{point.x},{point.y}"),
]
German = t.Annotated[decimal.Decimal, pydantic.BeforeValidator(parse_german)]
GermanText = t.Annotated[
    German, pydantic.PlainSerializer(lambda value: f"{value:f}".replace(".", ","))
]
_NAMES = st.text("abc", min_size=1, max_size=3)
_WORDS = st.text("a bc", min_size=1, max_size=4).map(str.strip).filter(bool)
_MONEY = st.builds(Money, st.integers(-9, 9), _NAMES)
KINDS: list[tuple[t.Any, st.SearchStrategy[t.Any]]] = [
    (Money, _MONEY),
    (PointText, st.builds(Point, st.integers(), st.integers())),
    (GermanText, st.decimals(-999, 999, places=2)),
    (t.Annotated[str, pydantic.BeforeValidator(lambda v: v.strip())], _WORDS),
    (pydantic.Base64Str, st.text("abc\n é", max_size=9)),
    (pydantic.ByteSize, st.integers(0, 2**60).map(pydantic.ByteSize)),
    (uuid.UUID, st.uuids()),
    (dt.timedelta, st.timedeltas(dt.timedelta(0), dt.timedelta(days=999))),
    (fractions.Fraction, st.fractions()),
    (complex, st.complex_numbers(allow_nan=False, allow_infinity=False)),
    (zoneinfo.ZoneInfo, st.sampled_from(["UTC", "Asia/Tokyo"]).map(zoneinfo.ZoneInfo)),
    (ipaddress.IPv4Address, st.ip_addresses(v=4)),
    (ipaddress.IPv6Address, st.ip_addresses(v=6)),
    (ipaddress.IPv4Network, st.ip_addresses(v=4).map(ipaddress.IPv4Network)),
    (pydantic.IPvAnyAddress, st.ip_addresses()),
    (pathlib.Path, st.lists(_NAMES, max_size=3).map(lambda p: pathlib.Path(*p))),
    (pydantic.RedisDsn, st.just(pydantic.RedisDsn("redis://localhost:6379/1"))),
    (pydantic.PostgresDsn, st.just(pydantic.PostgresDsn("postgresql://a:b@c:5/d"))),
]  # fmt: skip


def spec_of(kind: t.Any, **options: t.Any) -> FormSpec[t.Any]:
    model = pydantic.create_model("M", a=(kind, ...), **options)
    return FormSpec(model, name="m")


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=[str(k)[:30] for k, _ in KINDS])
def test_a_value_of_any_type_comes_back_from_each_way_as_it_was(kind, values):
    more = {"b": (kind | None, None), "c": (list[kind], [])}
    spec = spec_of(kind, **more, d=(list[kind] | None, []))
    lists = st.lists(values, max_size=2)
    fields = {"a": values, "b": st.none() | values, "c": lists, "d": st.none() | lists}

    @settings(max_examples=12, deadline=None)
    @given(st.fixed_dictionaries(fields))
    def check(drawn):
        comes_back(spec, drawn)

    check()


def comes_back(spec, values):
    whole = spec.model.model_construct(**values)
    app = make_app(Forms())
    with app.test_request_context():
        body = sent_by(Page(spec.bind(whole).render()))
    for options in (
        {"method": "POST", "data": body},
        {"method": "POST", "data": body, "content_type": "multipart/form-data"},
        {"method": "POST", "json": whole.model_dump(mode="json")},
        {"method": "PATCH", "json": {}},
    ):
        headers = {"Sec-Fetch-Site": "same-origin"}
        with app.test_request_context("/", headers=headers, **options):
            form = spec.bind(whole)
            assert form.submit() == whole, (form.errors, options)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (re.Pattern, "a pattern, which does not come back"),
        (collections.deque, "is deque, and no text is known"),
        (type, "is type, and no text is known"),
        (pydantic.InstanceOf[Money], "is Money, and no text is known"),
        (Point, "is Point, which has no control"),
        (Unwritten, "is Unwritten, which does not come back"),
        (NeverEqual, "is NeverEqual, which does not come back"),
        (Cents, r"Cents, .* 100 is shown as '100', which is read as 10000"),
        (German, r"Decimal\('1.5'\) is shown as '1.5', which is read as Decimal\('15'"),
        (
            t.Annotated[Point, pydantic.PlainValidator(parse_point)],
            r"Point\(x=1, y=5\)', which is not valid\. Write .*PlainSerializer",
        ),
        (pydantic.SkipValidation[int], "SkipValidation, so what a form sends stays"),
    ],
)
@pytest.mark.parametrize("around", [lambda x: x, lambda x: x | None, lambda x: list[x]])
def test_a_type_that_does_not_come_back_is_refused(kind, reason, around):
    with pytest.raises(DeclarationError, match=reason):
        spec_of(around(kind))


def parse_code(value: t.Any) -> t.Any:
    if not str(value).startswith("code:"):
        raise ValueError
    return value


def test_an_example_is_a_text_that_is_read():
    class Code:
        def __init__(self, text: str) -> None:
            self.text = text

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Code) and self.text == other.text

        def __hash__(self) -> int:
            return hash(self.text)

        def __str__(self) -> str:
            return self.text

    def parse(value: t.Any) -> t.Any:
        return value if isinstance(value, Code) else Code(parse_code(value))

    kind = t.Annotated[Code, pydantic.PlainValidator(parse)]
    with pytest.raises(DeclarationError, match=r"Write Field\(examples="):
        spec_of(kind)
    spec_of(t.Annotated[kind, pydantic.Field(examples=["code:a"])])
    spec_of(list[t.Annotated[kind, pydantic.Field(examples=["code:a"])]])
    with pytest.raises(DeclarationError, match="and no text is known"):
        spec_of(t.Annotated[kind, pydantic.Field(examples=["other"])])


def test_a_check_of_the_app_is_not_called_when_a_form_is_declared():
    calls: list[object] = []
    for kind in (str, Money, PointText):
        spec_of(t.Annotated[kind, pydantic.AfterValidator(calls.append)])

    class Model(pydantic.BaseModel):
        name: str

        @pydantic.field_validator("name")
        @classmethod
        def look_up(cls, value: str) -> str:
            calls.append(value)
            return value

    FormSpec(Model, name="m")
    assert calls == []


def test_a_text_that_is_wrong_is_shown_as_it_was_typed(make_site):
    site = make_site(spec_of(Money, b=(Money | None, None)))
    shown = Page(site.post({"a": "no", "b": ""}).text)
    assert shown.control("a")["value"] == "no"
    assert shown.control("a")["aria-invalid"] == "true"
    assert site.post({"a": "3 EUR", "b": ""}).status_code == 303
    assert site.data.a == Money(3, "EUR")
    assert site.data.b is None


def test_a_browser_requires_nothing_where_a_blank_is_a_value(make_site):
    kind = t.Annotated[str, pydantic.PlainValidator(str.strip)]
    site = make_site(spec_of(kind))
    assert "required" not in Page(site.client.get("/").text).control("a")
    assert site.post({"a": ""}).status_code == 303


def test_a_default_may_be_a_text_that_is_not_validated(make_site):
    model = pydantic.create_model(
        "M",
        site=(
            pydantic.AnyHttpUrl,
            "https://xn--9ca.example",
        ),
        money=(Money, "3 EUR"),
    )
    site = make_site(FormSpec(model, name="m"))
    body = sent_by(Page(site.client.get("/").text))
    assert site.post(body).status_code == 303
    assert site.data.money == Money(3, "EUR")
