"""JSON bodies are validated as Pydantic validates JSON."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import typing as t
import uuid

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskware_forms import BadBody
from flaskware_forms import BodyTooLarge
from flaskware_forms import FormSpec
from flaskware_forms import FormsSettings
from flaskware_forms._body.body import depth_and_entries
from flaskware_forms._body.body import JsonBody


class Level(enum.Enum):
    LOW = 1
    HIGH = "high"


class Strict(pydantic.BaseModel, strict=True):
    day: dt.date | None = None
    ids: set[int] = set()
    price: decimal.Decimal | None = None
    key: uuid.UUID | None = None
    level: Level | None = None
    all: tuple[int, ...] = ()
    number: int = 1


STRICT = FormSpec(Strict, name="strict")


@pytest.mark.parametrize(
    "body",
    [{"day": "2024-01-01"}, {"ids": [1, 2]}, {"price": "1.5"}, {"level": "high"},
     {"level": 1}, {"all": [1]}, {"key": str(uuid.UUID(int=1))}, {"number": "1"},
     {"day": 5}, {"ids": "x"}, [], 3],
)  # fmt: skip
def test_a_strict_model_takes_what_it_takes_as_json(make_site, body):
    site = make_site(STRICT)
    response = site.post(json=body)
    wanted: Strict | list[str]
    try:
        wanted = Strict.model_validate_json(json.dumps(body))
    except pydantic.ValidationError as error:
        wanted = [found["type"] for found in error.errors()]
    if isinstance(wanted, Strict):
        assert site.data == wanted
    else:
        assert response.status_code == 422
        codes = [found["code"] for found in response.get_json()["errors"]]
        assert codes == wanted


@pytest.mark.parametrize(
    "text", ["", "{", '{"number": NaN}', '{"number": -Infinity}', "[1,]", "{'a': 1}"]
)
def test_what_is_no_json_is_a_bad_request(make_site, text):
    response = make_site(STRICT).post(text, content_type="application/json")
    assert response.status_code == 400


# A text with U+0000 is refused for that.
_SIGNS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
_KEY = st.text(_SIGNS, max_size=3)
_JSON = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('[]{},"\\a'), max_size=6),
    lambda inner: st.lists(inner) | st.dictionaries(_KEY, inner),
    max_leaves=20,
)


@given(_JSON, st.integers(1, 4), st.integers(1, 12))
def test_a_body_is_as_deep_and_large_as_its_data(data, max_depth, max_entries):
    settings = FormsSettings(max_depth=max_depth, max_entries=max_entries)
    depth, entries = depth_and_entries(data)
    fits = depth <= max_depth and entries <= max_entries
    try:
        body = JsonBody(json.dumps(data).encode(), settings)
    except BodyTooLarge:
        assert entries > max_entries
    except BadBody:
        assert depth > max_depth
    else:
        assert fits
        assert body.data == data


def test_a_multipart_body_without_parts_is_an_empty_form(make_site):
    class News(pydantic.BaseModel):
        news: bool = False
        days: list[t.Literal["mo", "tu"]] = []

    site = make_site(FormSpec(News, name="news"))
    kind = "multipart/form-data; boundary=b0undary"
    # As Chromium sends a FormData without entries.
    assert site.post(b"--b0undary--\r\n", content_type=kind).status_code == 303
    assert site.data == News()
    for broken in (b"--b0undar---\r\n", b"--b0undary--x", b"--b0undary\r\n", b"x"):
        assert site.post(broken, content_type=kind).status_code == 400
