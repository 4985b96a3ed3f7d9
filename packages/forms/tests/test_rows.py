from __future__ import annotations

import typing as t

import annotated_types as at
import pydantic
import pytest
from forms_models import PAY
from forms_models import TREE
from forms_page import Page

from flaskware_forms import FormSpec


class Place(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(1)]
    tags: list[str] = []


class Trip(pydantic.BaseModel):
    name: t.Annotated[str, at.MinLen(1)]
    places: t.Annotated[list[Place], at.MaxLen(3)] = []
    notes: list[str] = []


SPEC = FormSpec(Trip, name="trip")


def cities(page: Page) -> list[str]:
    return [
        a["value"] or ""
        for tag, a in page.tags
        if tag == "input" and (a["name"] or "").endswith("city")
    ]


def buttons(page: Page) -> list[str]:
    return [a["value"] or "" for tag, a in page.tags if tag == "button" and "name" in a]


def test_a_button_adds_a_row_and_keeps_what_was_typed(make_site):
    site = make_site(SPEC)
    response = site.post(
        {"name": "", "places-0.city": "Rome", "places-1.city": "", "_row": "add:places"}
    )
    page = Page(response.text)
    # Nothing is validated, and nothing saved.
    assert response.status_code == 200
    assert site.data is None
    assert not [a for _, a in page.tags if "aria-invalid" in a]
    assert cities(page) == ["Rome", "", ""]


def test_a_button_removes_its_row(make_site):
    body = {"places-0.city": "Rome", "places-1.city": "Ur", "_row": "remove:places-0"}
    assert cities(Page(make_site(SPEC).post(body).text)) == ["Ur"]


def test_the_last_row_goes_too(make_site):
    body = {"places-0.city": "Rome", "_row": "remove:places-0"}
    assert cities(Page(make_site(SPEC).post(body).text)) == []


def test_rows_of_rows_and_of_texts_come_and_go(make_site):
    site = make_site(SPEC)
    body = {"places-0.city": "Rome", "places-0.tags": ["a", "b"], "notes": ["x", "y"]}
    more = Page(site.post({**body, "_row": "add:places-0.tags"}).text)
    tags = [a["value"] for _, a in more.tags if a.get("name") == "places-0.tags"]
    assert tags == ["a", "b", ""]
    less = Page(site.post({**body, "_row": "remove:notes-0"}).text)
    assert [a["value"] for _, a in less.tags if a.get("name") == "notes"] == ["y"]


def test_a_full_list_has_no_button_to_add(make_site):
    site = make_site(SPEC)
    body = {f"places-{i}.city": "x" for i in range(3)}
    page = Page(site.post({**body, "_row": "add:notes"}).text)
    assert "add:places" not in buttons(page)
    assert cities(Page(site.post({**body, "_row": "add:places"}).text)) == ["x"] * 3


def test_a_model_inside_of_itself_grows_by_its_buttons(make_site):
    site = make_site(TREE)
    page = Page(site.client.get("/").text)
    assert buttons(page) == ["add:below", "add:twin"]
    page = Page(site.post({"name": "a", "_row": "add:twin"}).text)
    assert page.control("twin.name")["value"] == ""
    page = Page(site.post({"name": "a", "_row": "add:below"}).text)
    assert page.control("below-0.name")["value"] == ""
    assert "add:below-0.below" in buttons(page)
    body = {"name": "a", "below-0.name": "b", "_row": "add:below-0.below"}
    assert Page(site.post(body).text).control("below-0.below-0.name")


def test_rows_of_a_union_come_and_go(make_site):
    site = make_site(PAY)
    body = {"more-0.kind": "card", "more-0.kind:card.number": "1", "_row": "add:more"}
    page = Page(site.post(body).text)
    assert page.control("more-0.kind:card.number")["value"] == "1"
    assert page.control("more-1.kind:card.number")["value"] == ""


@pytest.mark.parametrize(
    "asked",
    ["", "add:", "add:name", "add:nope", "remove:places", "remove:places-9", "x:places",
     "remove:places-x", "add:places-0.city", "add:places-5.tags", "remove:name-0",
     "add:places-99999999999999999999.tags"],
)  # fmt: skip
def test_a_row_that_is_not_there_is_a_bad_request(make_site, asked):
    body = {"places-0.city": "Rome", "_row": asked}
    assert make_site(SPEC).post(body).status_code == 400


def test_a_row_is_not_added_for_another_site(make_site):
    site = make_site(SPEC)
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert site.post({"_row": "add:places"}, headers=headers).status_code == 403


def test_the_enter_key_presses_no_button_of_a_row(make_site):
    page = Page(make_site(SPEC).client.get("/").text)
    names = [tag for tag, _ in page.tags]
    first = names.index("button")
    assert page.tags[first][1] == {"type": "submit", "tabindex": "-1", "hidden": None}
    # No style sheet shows its content by accident.
    assert names[first - 1] == "datalist"


def test_the_buttons_of_rows_say_whose_they_are(make_site):
    site = make_site(SPEC)

    def names(text: str) -> list[str]:
        buttons = [a for tag, a in Page(text).tags if tag == "button" and "name" in a]
        return [a["aria-label"] for a in buttons]

    # A row that the page offers by itself needs no button to be removed.
    assert not [name for name in names(site.client.get("/").text) if "Remove" in name]
    named = names(site.post({"_row": "add:places"}).text)
    assert len(named) == len(set(named))
    assert "Remove: Places 1" in named


@pytest.mark.parametrize(
    ("pressed", "focused"),
    [
        ("add:places", "places-1-"),
        ("add:notes", "notes-1"),
        ("remove:places-0", "places--add"),
    ],
)
def test_the_focus_is_where_one_goes_on_after_a_row_came_or_went(
    make_site, pressed, focused
):
    sent = {"_row": pressed, "places-0.city": "x", "notes": "a"}
    page = Page(make_site(SPEC).post(sent).text)
    (here,) = [a for _, a in page.tags if "autofocus" in a]
    assert here["id"].startswith(f"{SPEC.name}-{focused}")
