from __future__ import annotations

import datetime as dt
import enum
import typing as t

import annotated_types as at
import pydantic
import pytest
from forms_page import encode
from hypothesis import given
from hypothesis import strategies as st

from flaskware_forms import BadBody
from flaskware_forms import FormSpec
from flaskware_forms import Ui
from flaskware_forms import Upload


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


class Card(pydantic.BaseModel):
    number: str
    main: bool = False


class Everything(pydantic.BaseModel):
    text: str
    maybe: str | None = None
    number: int | None = None
    on: bool = True
    level: Level | None = None
    tags: list[str] = ["default"]
    picks: list[t.Literal["a", "b", 3]] = []
    day: dt.date | None = None
    note: t.Annotated[str, Ui(widget="textarea")] = ""
    card: Card | None = None
    cards: list[Card] = []


SPEC = FormSpec(Everything, name="e")


def decode(raw: dict[str, list[t.Any]], **limits: int) -> dict[str, t.Any]:
    return SPEC.compiled.decoder.decode(
        raw, **{"max_depth": 8, "max_entries": 1000, **limits}
    )


def load(raw: dict[str, list[t.Any]]) -> Everything:
    return Everything.model_validate(decode(raw))


def test_a_blank_is_none_only_where_none_is_allowed():
    got = load({"text": [""], "maybe": [""], "number": [""]})
    assert (got.text, got.maybe, got.number) == ("", None, None)


def test_an_unticked_box_is_false_and_one_that_no_page_shows_has_its_default():
    assert load({"text": ["a"], "on": [""]}).on is False
    assert load({"text": ["a"], "on": ["", "on"]}).on is True
    assert load({"text": ["a"], "on": ["on"]}).on is True
    assert load({"text": ["a"]}).on is True


def test_a_checkbox_after_a_hidden_input_takes_the_last_value():
    assert load({"text": ["a"], "on": ["false", "true"]}).on is True


def test_a_list_comes_from_one_or_many_values_of_one_key():
    assert load({"text": ["a"], "tags": ["x"]}).tags == ["x"]
    assert load({"text": ["a"], "tags": ["x", "y"]}).tags == ["x", "y"]


def test_blank_entries_of_a_list_are_dropped():
    assert load({"text": ["a"], "tags": ["", "x", ""]}).tags == ["x"]


@pytest.mark.parametrize("name", ["tags.*", "tags[*]", "tags", "tags[]"])
def test_a_shown_list_without_entries_is_empty(name):
    assert load({"text": ["a"], name: [""]}).tags == []


def test_a_list_that_no_page_shows_has_its_default():
    assert load({"text": ["a"]}).tags == ["default"]


def test_without_a_default_what_no_page_shows_is_empty_and_marked():
    class Bare(pydantic.BaseModel):
        on: bool
        tags: list[str]
        card: Card

    raw = FormSpec(Bare, name="b").compiled.decoder.decode(
        {}, max_depth=8, max_entries=9
    )
    assert raw == {"on": False, "tags": [], "card": {}}
    assert raw.unsent == {"on", "tags", "card"}


@pytest.mark.parametrize("key", ["tags-{}", "tags[{}]", "tags.{}"])
def test_numbered_entries_keep_the_order_of_their_numbers(key):
    raw = {"text": ["a"], key.format(10): ["ten"], key.format(9): ["nine"]}
    assert load(raw).tags == ["nine", "ten"]


def test_a_php_style_list_is_a_list():
    assert load({"text": ["a"], "tags[]": ["x", "y"]}).tags == ["x", "y"]


@pytest.mark.parametrize("key", ["card.number", "card[number]", "card-number"])
def test_a_nested_model_is_found_by_each_way_to_write_it(key):
    assert load({"text": ["a"], key: ["4"]}).card == Card(number="4")


def test_an_optional_model_whose_fields_are_blank_is_none():
    assert load({"text": ["a"], "card.number": [""]}).card is None


def test_rows_of_models_are_read_and_blank_rows_dropped():
    raw = {
        "text": ["a"],
        "cards-0.number": ["1"],
        "cards-0.main": ["true"],
        "cards-1.number": [""],
        "cards-7.number": ["2"],
    }
    assert load(raw).cards == [Card(number="1", main=True), Card(number="2")]


@pytest.mark.parametrize(
    "key", ["cards-{}.number", "cards[{}][number]", "cards.{}.number"]
)
def test_a_row_is_found_by_each_way_to_write_it(key):
    raw = {"text": ["a"], key.format(1): ["2"], key.format(0): ["1"]}
    assert load(raw).cards == [Card(number="1"), Card(number="2")]


def test_choices_are_the_values_that_their_texts_stand_for():
    got = load({"text": ["a"], "level": ["2"], "picks": ["a", "3"]})
    assert got.level is Level.HIGH
    assert got.picks == ["a", 3]


def test_two_values_for_one_field_are_an_error_not_a_guess():
    with pytest.raises(pydantic.ValidationError) as caught:
        load({"text": ["a", "b"]})
    assert caught.value.errors()[0]["loc"] == ("text",)


@pytest.mark.parametrize("stamp", ["0", "1700000000", "-5", "1.5"])
def test_a_number_is_no_date(stamp):
    with pytest.raises(pydantic.ValidationError):
        load({"text": ["a"], "day": [stamp]})


def test_line_ends_of_a_textarea_are_those_that_the_browser_counts():
    assert load({"text": ["a"], "note": ["x\r\ny"]}).note == "x\ny"


def test_unknown_names_are_left_alone():
    assert load({"text": ["a"], "csrf_token": ["t"], "z-1.q": ["?"]}).text == "a"


def test_more_values_than_allowed_are_refused():
    with pytest.raises(BadBody, match="more than 3 values"):
        decode({"tags": ["a"] * 4}, max_entries=3)


def test_deeper_names_than_allowed_are_refused():
    with pytest.raises(BadBody, match="2 levels"):
        decode({"cards-0.number": ["1"]}, max_depth=2)


@pytest.mark.parametrize("index", ["1000", "999999999", "9" * 5000])
def test_an_index_beyond_the_limit_is_refused(index):
    with pytest.raises(BadBody, match="1000 entries"):
        decode({f"tags-{index}": ["a"]})


def test_a_list_of_uploads_takes_each_file():
    class Files(pydantic.BaseModel):
        files: list[Upload]

    spec = FormSpec(Files, name="f")
    raw = {"files": ["x", "", "y"]}
    assert spec.compiled.decoder.decode(raw, max_depth=1, max_entries=9) == {
        "files": ["x", "y"]
    }


# Names and values that mean something to the decoder, in any order.
_KEYS = st.lists(
    st.sampled_from(["text", "tags", "card", "cards", "number", "0", "1", "x", ""]),
    min_size=1,
    max_size=4,
).flatmap(
    lambda steps: st.lists(
        st.sampled_from(["-", ".", "[", "]", "]["]),
        min_size=len(steps),
        max_size=len(steps),
    ).map(lambda seps: "".join(a + b for a, b in zip(steps, seps, strict=True)))
)


@given(
    st.dictionaries(
        st.one_of(_KEYS, st.text(max_size=8)),
        st.lists(st.text(max_size=5), max_size=3),
        max_size=8,
    )
)
def test_any_names_and_values_are_decoded_or_refused(raw):
    try:
        data = decode(raw)
    except BadBody:
        return
    assert set(data) <= set(Everything.model_fields)


class Row(pydantic.BaseModel):
    name: t.Annotated[str, at.MinLen(1)]
    on: bool


class Tree(pydantic.BaseModel):
    text: str
    number: int | None
    tags: list[t.Annotated[str, at.MinLen(1)]]
    rows: list[Row]
    one: Row


_TEXT = st.text(min_size=1, max_size=6)
_ROW = st.builds(Row, name=_TEXT, on=st.booleans())


@given(
    st.builds(
        Tree,
        text=st.text(max_size=6),
        number=st.none() | st.integers(-(10**9), 10**9),
        tags=st.lists(_TEXT, max_size=12),
        rows=st.lists(_ROW, max_size=12),
        one=_ROW,
    )
)
def test_what_is_encoded_decodes_to_itself(tree):
    decoder = FormSpec(Tree, name="t").compiled.decoder
    raw = encode(tree.model_dump())
    assert (
        Tree.model_validate(decoder.decode(raw, max_depth=8, max_entries=999)) == tree
    )
