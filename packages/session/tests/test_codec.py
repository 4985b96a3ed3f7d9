from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import math
import typing as t
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from flaskware_session import UnstorableValue
from flaskware_session._records.codec import decode
from flaskware_session._records.codec import encode
from flaskware_session._records.codec import join

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=20)
    | st.binary(max_size=20)
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.decimals(allow_nan=False)
    | st.text(max_size=10).map(Markup)
    | st.sampled_from(["~t", "~d", "~", "~~"])
)
tagged_keys = st.text(max_size=5) | st.sampled_from(["~t", "~d", "~x", "~~t", "~"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(tagged_keys | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def round_trip(data: dict[str, t.Any]) -> dict[str, t.Any] | None:
    return decode(join(encode(data)))


def same(one: object, two: object) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict) and isinstance(two, dict):
        return len(one) == len(two) and all(
            same(a, b) for a, b in zip(one.items(), two.items(), strict=True)
        )
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


@given(st.dictionaries(tagged_keys, values, max_size=4))
def test_what_is_read_is_exactly_what_was_stored(data: dict[str, t.Any]) -> None:
    assert same(round_trip(data), data)


@given(st.text() | st.recursive(st.none(), lambda i: st.lists(i)).map(str))
def test_a_foreign_text_is_never_an_error(text: str) -> None:
    assert decode(text) is None or isinstance(decode(text), dict)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"~t":[1]}',
        '{"a":{"~b":"*"}}',
        '{"a":{"~u":7}}',
        '{"a":{"~s":"yesterday"}}',
        '{"a":{"~n":"one"}}',
        '{"a":{"~d":[1]}}',
        "\x80\x04\x95pickle",
    ],
)
def test_a_corrupt_text_is_no_data(text: str) -> None:
    assert decode(text) is None


def test_what_flask_stores_of_a_subclass_is_its_plain_value() -> None:
    class Colour(enum.StrEnum):
        RED = "red"

    class Pair(t.NamedTuple):
        one: int
        two: int

    counts = collections.Counter("aab")
    data = {"colour": Colour.RED, "pair": Pair(1, 2), "counts": counts}
    stored = {"colour": "red", "pair": (1, 2), "counts": {"a": 2, "b": 1}}
    assert same(round_trip(data), stored)


def test_a_lazy_text_is_stored_as_markup() -> None:
    class Lazy:
        def __html__(self) -> str:
            return "<b>"

    assert same(round_trip({"a": Lazy()}), {"a": Markup("<b>")})


def test_not_a_number_stays_so() -> None:
    data = round_trip({"a": float("nan"), "b": decimal.Decimal("NaN")})
    assert data is not None
    assert math.isnan(data["a"])
    assert data["b"].is_nan()


def test_the_error_names_the_key_and_the_type() -> None:
    with pytest.raises(UnstorableValue) as caught:
        encode({"fine": 1, "cart": [{"item": object()}]})
    assert caught.value.key == "cart"
    assert str(caught.value).startswith(
        "session['cart'] holds an object of builtins.object. A session takes None,"
    )


@pytest.mark.parametrize("kind", ["circle", "set", "large"])
def test_what_cannot_be_written_is_refused(kind: str) -> None:
    circle: list[object] = []
    circle.append(circle)
    value = {"circle": circle, "set": {1}, "large": 10**5000}[kind]
    with pytest.raises(UnstorableValue, match="session\\['a'\\] holds"):
        encode({"a": value})


def test_a_key_that_is_not_text_is_refused() -> None:
    with pytest.raises(UnstorableValue, match=r"session\[1\] has a key of type int"):
        encode(t.cast("dict[str, object]", {1: 1}))


def test_values_are_compared_by_their_encoded_form() -> None:
    one = {"a": uuid.UUID(int=1), "b": [1, {"c": 2}]}
    two = {"b": [1, {"c": 2}], "a": uuid.UUID(int=1)}
    assert encode(one) == encode(two)
    assert encode({"a": (1,)}) != encode({"a": [1]})
    assert encode({"a": True}) != encode({"a": 1})
