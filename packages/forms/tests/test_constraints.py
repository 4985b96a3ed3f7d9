"""What the attributes of a control refuse in a browser, the server refuses too."""

from __future__ import annotations

import datetime as dt
import decimal
import re
import typing as t

import annotated_types as at
import pydantic
import pytest
from forms_page import Page
from hypothesis import assume
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui
from flaskware_forms._fields.scalars import html_pattern

APP = make_app(Forms())


def control_of(model: type[pydantic.BaseModel], name: str = "x") -> dict[str, t.Any]:
    with APP.test_request_context():
        return Page(FormSpec(model, name="m").bind().render()).control(name)


def model_of(kind: t.Any, *marks: t.Any) -> type[pydantic.BaseModel]:
    annotation: t.Any = t.Annotated[(kind, *marks)] if marks else kind
    return pydantic.create_model("M", x=(annotation, ...))


def browser_takes(control: dict[str, t.Any], text: str) -> bool:
    """What HTML says of a text in a control ("constraint validation")."""
    if not text:
        return "required" not in control
    if "minlength" in control and units(text) < int(control["minlength"]):
        return False
    if "maxlength" in control and units(text) > int(control["maxlength"]):
        return False
    if "pattern" in control and not re.fullmatch(control["pattern"], text):
        return False
    if control["type"] == "number":
        return number_fits(control, text)
    if control["type"] in {"date", "time"}:
        low, high = control.get("min", ""), control.get("max", "~")
        return low <= text <= high
    return True


def units(text: str) -> int:
    # Lengths in a browser count the units of UTF-16.
    return len(text.encode("utf-16-le")) // 2


def number_fits(control: dict[str, t.Any], text: str) -> bool:
    number = decimal.Decimal(text)
    low = decimal.Decimal(control.get("min", "-Infinity"))
    high = decimal.Decimal(control.get("max", "Infinity"))
    if not low <= number <= high:
        return False
    step = control.get("step", "1")
    if step == "any":
        return True
    base = low if low.is_finite() else decimal.Decimal(0)
    return (number - base) % decimal.Decimal(step) == 0


def server_takes(model: type[pydantic.BaseModel], text: str) -> bool:
    spec = FormSpec(model, name="m")
    decoded = spec.compiled.decoder.decode({"x": [text]}, max_depth=8, max_entries=9)
    try:
        model.model_validate(decoded)
    except pydantic.ValidationError:
        return False
    return True


def agree(model: type[pydantic.BaseModel], text: str) -> None:
    control = control_of(model)
    if not browser_takes(control, text):
        assert not server_takes(model, text), (control, text)


NUMBERS = st.decimals(-60, 60, places=2).map(str) | st.integers(-60, 60).map(str)
BOUNDS = st.none() | st.integers(-40, 40)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([int, float, decimal.Decimal]),
    st.sampled_from([at.Ge, at.Gt]),
    BOUNDS,
    st.sampled_from([at.Le, at.Lt]),
    BOUNDS,
    st.none() | st.sampled_from([1, 2, 5, 10]),
    NUMBERS,
)
def test_numbers(kind, low_kind, low, high_kind, high, step, text):
    marks = [low_kind(low)] if low is not None else []
    marks += [high_kind(high)] if high is not None else []
    marks += [at.MultipleOf(step)] if step is not None else []
    agree(model_of(kind, *marks), text)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3), st.none() | st.sampled_from(["0", "0.5", "0.25"]), NUMBERS)
def test_decimal_places(places, low, text):
    marks: list[t.Any] = [pydantic.Field(decimal_places=places)]
    if low is not None:
        marks.append(at.Ge(decimal.Decimal(low)))
    agree(model_of(decimal.Decimal, *marks), text)


@settings(max_examples=150, deadline=None)
@given(
    st.none() | st.integers(0, 4),
    st.none() | st.integers(1, 6),
    # Signs beyond the basic plane count twice in a browser.
    st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8),
)
def test_lengths(shortest, longest, text):
    assume(shortest is None or longest is None or shortest <= longest)
    marks = [at.MinLen(shortest)] if shortest is not None else []
    marks += [at.MaxLen(longest)] if longest is not None else []
    agree(model_of(str, *marks), text)


@settings(max_examples=100, deadline=None)
@given(st.dates(), st.none() | st.dates(), st.none() | st.dates())
def test_dates(day, low, high):
    marks = [at.Ge(low)] if low is not None else []
    marks += [at.Le(high)] if high is not None else []
    agree(model_of(dt.date, *marks), day.isoformat())


PATTERNS = [
    r"^[a-z]{2,4}$", r"^[A-Z0-9]+-[0-9]*$", r"^(?:a|bc)+x?$", r"^\+[0-9]{3,9}$",
    r"^a\.b$", r"^$", r"^(ab){2}$", r"^[a-z]+@[a-z]+\.(com|org)$",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_that_means_the_same_is_told(pattern):
    assert control_of(model_of(str, pydantic.StringConstraints(pattern=pattern)))[
        "pattern"
    ] == pattern.removeprefix("^").removesuffix("$")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PATTERNS), st.data())
def test_patterns(pattern, data):
    text = data.draw(
        st.from_regex(pattern, fullmatch=True) | st.text("ab.x@c+0A-", max_size=6)
    )
    agree(model_of(str, pydantic.StringConstraints(pattern=pattern)), text)


@pytest.mark.parametrize(
    "pattern",
    [
        r"[a-z]", r"^[a-z]", r"[a-z]$", r"^a|b$", r"^\d+$", r"^\w+$", r"^.$", r"^[^a]$",
        r"^[ä-ü]$", r"^(?i)a$", r"^[a-z&&b]$", r"^\p{L}$", r"^a$|^b$", r"^((a))$",
        r"^[[:alpha:]]$",
    ],
)  # fmt: skip
def test_a_pattern_that_may_mean_something_else_is_not_told(pattern):
    assert html_pattern(pattern) is None


def test_what_the_choices_and_kinds_of_a_control_are():
    class Model(pydantic.BaseModel):
        x: t.Annotated[list[t.Literal["a"]], Ui(label="X")]

    assert control_of(Model)["type"] == "checkbox"
