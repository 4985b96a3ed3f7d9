"""A kind of field is one class: it is read, shown, described and addressed by it."""

from __future__ import annotations

import typing as t

import pydantic
import pytest
from forms_page import Page

from flaskware_forms import FormSpec
from flaskware_forms._body.decoder import converting
from flaskware_forms._body.decoder import Read
from flaskware_forms._fields.input import Leaf


class Color(str):
    """A colour, such as ``#ff0000``."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: t.Any) -> t.Any:
        return handler(t.Annotated[str, pydantic.Field(pattern="^#[0-9a-f]{6}$")])


class ColorInput(Leaf, control="color", types=(Color,)):
    """A control to pick a colour with."""

    @classmethod
    def constraints(cls, found: t.Any) -> t.Any:
        return [("list", "palette")]

    def reader(self) -> Read:
        return converting(super().reader(), str.lower)

    def error_codes(self, code: str, value: t.Any) -> tuple[str, str]:
        return "color", "string_pattern_mismatch"


class Wall(pydantic.BaseModel):
    paint: Color
    edges: list[Color] = []


class House(pydantic.BaseModel):
    roof: Color
    walls: list[Wall] = []


HOUSE = FormSpec(House, name="house")


@pytest.fixture
def site(make_site):
    return make_site(HOUSE)


def test_a_kind_of_its_own_is_read_by_its_class(site):
    body = {"roof": "#FF0000", "walls-0.paint": "#00FF00", "walls-0.edges": "#0000FF"}
    assert site.post(body).status_code == 303
    assert site.data.roof == "#ff0000"
    assert site.data.walls == [Wall(paint=Color("#00ff00"), edges=[Color("#0000ff")])]


def test_a_kind_of_its_own_is_shown_by_its_class(site):
    control = Page(site.client.get("/").text).control("roof")
    assert control["type"] == "color"
    assert control["list"] == "palette"
    assert control["required"] is None
    shown = Page(site.post({"roof": "no", "walls-0.paint": "x"}).text)
    assert shown.control("roof")["value"] == "no"
    assert shown.control("walls-0.paint")["type"] == "color"


def test_a_kind_of_its_own_is_described_by_its_class():
    form = HOUSE.openapi_body()["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["roof"]
    assert form["properties"]["roof"]["pattern"] == "^#[0-9a-f]{6}$"
    assert form["properties"]["walls-0.paint"] == {"pattern": "^#[0-9a-f]{6}$"} | {
        key: form["properties"]["walls-0.paint"][key] for key in ("title", "type")
    }


def test_a_kind_of_its_own_is_addressed_by_path_and_by_name(site):
    page = Page(site.post({"roof": "no", "walls-0.paint": "x"}).text)
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == ["#house-roof", "#house-walls-0-paint"]
    headers = {"Form-Validate-Only": "walls-0.paint"}
    found = site.post({"walls-0.paint": "x"}, headers=headers).get_json()["errors"]
    assert [(e["pointer"], e["code"]) for e in found] == [("#/walls/0/paint", "color")]
