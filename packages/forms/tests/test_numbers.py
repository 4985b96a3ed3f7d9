"""Decimals and floats in the locale of the person: shown, read, and exact."""

from __future__ import annotations

import decimal
import typing as t

import annotated_types as at
import flask_babel
import pydantic
import pytest
from forms_page import Page
from forms_page import sent_by
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec


class Prices(pydantic.BaseModel):
    price: decimal.Decimal
    ratio: float = 0.5
    maybe: t.Annotated[decimal.Decimal, at.Ge(0)] | None = None
    more: list[decimal.Decimal] = []
    gaps: list[float | None] = []
    grid: list[list[decimal.Decimal]] = []
    by_name: dict[str, decimal.Decimal] = {}
    pair: tuple[float, int] = (1.0, 1)
    count: int = 1


class One(pydantic.BaseModel):
    price: t.Annotated[decimal.Decimal, at.Ge(decimal.Decimal("-0.5")), at.Le(5000)]


PRICES = FormSpec(Prices, name="prices")
ONE = FormSpec(One, name="one")
LOCALES: list[t.Any] = [None, "en", "de", "fr", "de_CH", "hi", "sv", "ar", lambda: "pl"]
APPS = {locale: make_app(Forms(), FORMS_LOCALE=locale) for locale in LOCALES}
_DECIMAL = st.decimals(allow_nan=False, allow_infinity=False)
_FLOAT = st.floats(allow_nan=False, allow_infinity=False)


def send(locale: t.Any, body: t.Any, spec: t.Any = PRICES) -> t.Any:
    with APPS[locale].test_request_context(
        "/", method="POST", data=body, headers={"Sec-Fetch-Site": "same-origin"}
    ):
        form = spec.bind()
        return form.submit() or (form.errors, Page(form.render()))


def page_of(locale: t.Any, obj: object, spec: t.Any = PRICES) -> Page:
    with APPS[locale].test_request_context():
        return Page(spec.bind(obj).render())


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(LOCALES),
    st.sampled_from(LOCALES),
    st.builds(
        Prices,
        price=_DECIMAL,
        ratio=_FLOAT,
        maybe=st.none() | st.decimals(0, 99),
        more=st.lists(_DECIMAL, max_size=3),
        gaps=st.lists(st.none() | _FLOAT, max_size=3),
        grid=st.lists(st.lists(_DECIMAL, max_size=2), max_size=2),
        by_name=st.dictionaries(st.text("ab", max_size=1), _DECIMAL, max_size=2),
        pair=st.tuples(_FLOAT, st.integers()),
    ),
)
def test_a_number_that_nobody_touches_comes_back_exactly(locale, other, prices):
    body = sent_by(page_of(locale, prices))
    # The other: a person who chose another locale meanwhile.
    for now in (locale, other):
        found = send(now, body)
        assert found.model_dump_json() == prices.model_dump_json()


@pytest.mark.parametrize(
    ("locale", "typed", "value"),
    [
        ("de", "1234,50", "1234.50"),
        ("de", "1.234,5", "1234.5"),
        ("de", "1.500", "1500"),
        ("de", " 7 ", "7"),
        ("de", "-0,5", "-0.5"),
        ("de", "\N{MINUS SIGN}0,5", "-0.5"),
        ("en", "1,234.5", "1234.5"),
        ("en", "1.500", "1.500"),
        ("fr", "1 234,5", "1234.5"),
        ("fr", "1\N{NARROW NO-BREAK SPACE}234,5", "1234.5"),
        ("de_CH", "1'234.5", "1234.5"),
        ("hi", "1,234.5", "1234.5"),
        (None, "1.500", "1.500"),
    ],
)
def test_a_number_is_read_as_the_person_writes_it(locale, typed, value):
    body = sent_by(page_of(locale, None, ONE))
    body["price"] = [typed]
    assert str(send(locale, body, ONE).price) == value


@pytest.mark.parametrize(
    ("locale", "typed", "example"),
    [
        ("de", "1.5", "1.234,5"),
        ("de", "1,5,0", "1.234,5"),
        ("en", "1,5", "1,234.5"),
        ("fr", "abc", "1\N{NARROW NO-BREAK SPACE}234,5"),
    ],
)
def test_a_number_of_another_locale_is_an_error_with_an_example(locale, typed, example):
    body = sent_by(page_of(locale, None, ONE))
    body["price"] = [typed]
    (error,), page = send(locale, body, ONE)
    assert error.code == "number_format"
    assert error.message == f"Write a number, such as {example}."
    assert page.control("price")["value"] == typed
    assert sent_by(page)["price.*"] == [f"~{locale}"]


def test_a_bound_is_told_in_the_locale():
    body = sent_by(page_of("de", None, ONE)) | {"price": ["-0,7"]}
    (error,), page = send("de", body, ONE)
    assert error.message == "Write -0,5 or more."
    assert page.control("price")["value"] == "-0,7"


def test_a_form_that_shows_no_locale_is_read_as_a_program_writes_it():
    assert send("de", {"price": "1.500"}, ONE).price == decimal.Decimal("1.5")
    (error,), _ = send("de", {"price": "1,500"}, ONE)
    assert error.message == "Write a number."
    with APPS["de"].test_request_context("/", method="POST", json={"price": 1.5}):
        assert ONE.bind().submit() == One(price=decimal.Decimal("1.5"))


@pytest.mark.parametrize("tag", ["nl", "xx", "", "../de", "~", "de" * 40])
def test_a_client_has_no_locale_read_that_no_page_had(tag):
    errors, page = send("de", {"price.*": f"~{tag}", "price": "1,5"}, ONE)
    assert [error.code for error in errors] == ["number_format"]
    assert page.control("price")["value"] == "1,5"
    assert send("de", {"price.*": f"~{tag}", "price": "15"}, ONE).price == 15


def test_a_locale_of_a_field_that_has_none_is_an_unknown_name():
    for name in ("price.*", "price.x"):
        errors, _ = send("de", {name: "+", "price": "1"}, ONE)
        assert [error.code for error in errors] == ["extra_forbidden"]


def test_a_control_of_a_locale_is_a_text_with_the_keys_of_a_number():
    page = page_of("de", Prices(price=decimal.Decimal("1.5"), maybe=2))
    price, maybe = page.control("price"), page.control("maybe")
    assert (price["type"], price["value"]) == ("text", "1,5")
    # Not every telephone has a minus sign beside such keys.
    assert "inputmode" not in price
    assert maybe["inputmode"] == "decimal"
    assert {"min", "max", "step"}.isdisjoint(maybe)
    assert page.control("count")["type"] == "number"
    plain = page_of(None, Prices(price=decimal.Decimal("1.5"), maybe=2))
    assert plain.control("price")["type"] == "number"
    assert plain.control("maybe")["min"] == "0"


def test_a_theme_sees_the_control_that_the_locale_needs():
    with APPS["de"].test_request_context():
        field = PRICES.bind(Prices(price=decimal.Decimal("1.5")))["price"]
        assert field.attributes["type"] == "text"
        assert 'name="price.*"' in field.control()


def test_each_person_has_a_locale_of_their_own():
    asked = iter(["de", "en", None])
    app = make_app(Forms(), FORMS_LOCALE=lambda: next(asked))
    texts = []
    for _ in range(3):
        with app.test_request_context():
            shown = PRICES.bind(Prices(price=decimal.Decimal("1.5"), more=[2])).render()
            texts.append(Page(shown).control("price")["value"])
    assert texts == ["1,5", "1.5", "1.5"]


@pytest.mark.flask_only("Flask-Babel knows Flask alone")
def test_the_locale_of_flask_babel_decides():
    app = make_app(Forms(), FORMS_LOCALE="en")
    flask_babel.Babel(app, default_locale="de_AT")
    with app.test_request_context():
        page = Page(ONE.bind(One(price=decimal.Decimal("1.5"))).render())
    assert sent_by(page)["price.*"] == ["~de_AT"]
    assert page.control("price")["value"] == "1,5"


@pytest.mark.parametrize("locale", ["xx_XX", "", "../de"])
def test_a_locale_that_does_not_exist_is_refused(locale):
    with pytest.raises(ConfigError, match="FORMS_LOCALE"):
        make_app(Forms(), FORMS_LOCALE=locale)
    app = make_app(Forms(), FORMS_LOCALE=lambda: locale)
    with app.test_request_context(), pytest.raises(ValueError, match="no locale"):
        ONE.bind().render()
