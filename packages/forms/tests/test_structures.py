"""Unions, models inside of themselves and lists of lists, from end to end."""

from __future__ import annotations

import string
import typing as t

import pydantic
import pytest
from forms_models import Branch
from forms_models import Card
from forms_models import GRID
from forms_models import Iban
from forms_models import PAY
from forms_models import Pay
from forms_models import TREE
from forms_page import encode
from forms_page import Page
from forms_page import sent_by
from hypothesis import assume
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st

from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec

FORM = {"amount": "3", "by.kind": "card", "by.kind:card.number": "1234"}


def test_a_form_tells_which_model_of_a_union_is_meant(make_site):
    site = make_site(PAY)
    assert site.post(FORM).status_code == 303
    assert site.data.by == Card(kind="card", number="1234")
    assert site.data.refund is None


def test_what_stands_in_the_other_models_does_not_count(make_site):
    site = make_site(PAY)
    site.post({**FORM, "by.kind:iban.number": "other", "refund.kind": ""})
    assert site.data.by == Card(kind="card", number="1234")
    assert site.data.refund is None


def test_a_client_may_leave_the_model_out_of_the_names(make_site):
    site = make_site(PAY)
    site.post({"amount": "3", "by[kind]": "bank-transfer", "by[number]": "123456"})
    assert site.data.by == Iban(kind="bank-transfer", number="123456", instant=True)


def test_json_and_a_form_have_the_same_error_paths_in_a_union(make_site):
    site = make_site(PAY)
    as_json = {"Accept": "application/json"}
    form = site.post(
        {
            "amount": "3",
            "by.kind": "card",
            "by.kind:card.number": "1",
            "more-0.kind": "x",
        },
        headers=as_json,
    )
    json = site.post(
        json={
            "amount": 3,
            "by": {"kind": "card", "number": "1"},
            "more": [{"kind": "x"}],
        }
    )
    assert form.get_json()["errors"] == json.get_json()["errors"]
    assert [e["pointer"] for e in json.get_json()["errors"]] == [
        "#/by/number",
        "#/more/0",
    ]


@pytest.mark.parametrize("by", [None, 3, [], {}, {"kind": 3}, {"kind": ["card"]}])
def test_a_union_of_a_wrong_shape_is_an_error_of_the_field(make_site, by):
    response = make_site(PAY).post(json={"amount": 3, "by": by})
    assert response.status_code == 422
    assert [e["pointer"] for e in response.get_json()["errors"]] == ["#/by"]


def test_the_error_of_a_chosen_model_stands_at_its_control_and_is_linked(make_site):
    response = make_site(PAY).post({**FORM, "by.kind:card.number": "1"})
    page = Page(response.text)
    control = page.control("by.kind:card.number")
    assert control["aria-invalid"] == "true"
    assert control["value"] == "1"
    assert "aria-invalid" not in page.control("by.kind:iban.number")
    assert ("a", {"href": f"#{control['id']}"}) in page.tags
    ids = page.ids()
    assert len(ids) == len(set(ids))
    assert "Way to pay, Number: Write at least 4 characters." in page.text


def test_nothing_of_a_model_that_is_not_chosen_is_required_by_the_browser(make_site):
    page = Page(make_site(PAY).client.get("/").text)
    assert "required" not in page.control("by.kind:card.number")
    assert page.control("amount")["required"] is None


def test_an_object_shows_the_model_that_it_is():
    app = make_app(Forms())
    with app.test_request_context():
        obj = Pay(amount=1, by=Iban(kind="iban", number="123456", instant=False))
        page = Page(PAY.bind(obj).render())
    chosen = [
        a["value"]
        for _, a in page.tags
        if "checked" in a and a["name"] in {"by.kind", "refund.kind"}
    ]
    assert chosen == ["iban", ""]
    assert page.control("by.kind:iban.number")["value"] == "123456"
    assert page.control("by.kind:card.number")["value"] == ""


def test_a_model_inside_of_itself_is_read_and_shown_again(make_site):
    site = make_site(TREE)
    body = {
        "name": "a",
        "below-0.name": "b",
        "below-0.below-0.name": "c",
        "twin.name": "d",
        "twin.below-0.name": "",
    }
    site.post(body)
    b = Branch(name="b", below=[Branch(name="c")])
    assert site.data == Branch(name="a", below=[b], twin=Branch(name="d"))
    page = Page(site.post({**body, "name": ""}).text)
    assert page.control("below-0.below-0.name")["value"] == "c"
    assert page.control("twin.name")["value"] == "d"


def test_the_form_of_a_model_inside_of_itself_ends(make_site):
    page = Page(make_site(TREE).client.get("/").text)
    names = [a["name"] for tag, a in page.tags if tag == "input"]
    ours = {"csrf_token", "_form"}
    assert [name for name in names if name not in ours] == ["name", "below.*"]


def test_nesting_of_a_model_inside_of_itself_is_bounded(make_site):
    site = make_site(TREE)
    name = "below-0." * 9 + "name"
    assert site.post({"name": "a", name: "b"}).status_code == 400
    deep: dict[str, t.Any] = {"name": "a"}
    for _ in range(20):
        deep = {"name": "a", "below": [deep]}
    assert site.post(json=deep).status_code == 400


def test_lists_of_lists_are_read_and_their_errors_stand_at_the_entry(make_site):
    site = make_site(GRID)
    assert site.post({"cells-0": ["1", "2"], "cells-1": ["3", ""]}).status_code == 303
    assert site.data.cells == [[1, 2], [3]]
    assert site.post({"cells-0-1": "2", "cells-0-0": "1"}).status_code == 303
    assert site.data.cells == [[1, 2]]
    body = {"cells-1": ["x"], "rows-0-0.name": "a"}
    page = Page(site.post(body).text)
    wrong = [a for _, a in page.tags if a.get("aria-invalid")]
    assert [(a["name"], a["value"]) for a in wrong] == [("cells-0", "x")]
    assert ("a", {"href": f"#{wrong[0]['id']}"}) in page.tags
    assert page.control("rows-0-0.name")["value"] == "a"


# Models of every shape, and values for them. A blank text or an empty row is nothing
# in a form, so there are none among the values of lists.
_NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=3).filter(
    lambda name: not hasattr(pydantic.BaseModel, name)
)
_WORDS = st.text(min_size=1, max_size=5)
_SIMPLE: list[tuple[t.Any, st.SearchStrategy[t.Any]]] = [
    (str, st.text(max_size=5)),
    (int, st.integers(-(2**40), 2**40)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (t.Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    (int | None, st.none() | st.integers(0, 9)),
]
Shape: t.TypeAlias = tuple[t.Any, st.SearchStrategy[t.Any]]


def model_of(fields: dict[str, Shape], **extra: t.Any) -> Shape:
    model = pydantic.create_model(
        "Made", **extra, **{name: (kind, ...) for name, (kind, _) in fields.items()}
    )
    values = st.fixed_dictionaries({name: each for name, (_, each) in fields.items()})
    return model, values


@st.composite
def shapes(draw: st.DrawFn, depth: int = 2) -> Shape:
    kinds = ["leaf", "list"] + (["model", "models", "union", "lists"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "leaf":
        return draw(st.sampled_from(_SIMPLE))
    if kind == "list":
        return list[str], st.lists(_WORDS, max_size=3)
    if kind == "lists":
        return list[list[str]], st.lists(
            st.lists(_WORDS, min_size=1, max_size=3), max_size=3
        )
    fields = draw(st.dictionaries(_NAMES, shapes(depth - 1), min_size=1, max_size=3))
    if kind == "model":
        return model_of(fields)
    if kind == "models":
        # One field that is never blank, so that no row is.
        model, values = model_of({**fields, "zzzz": (int, st.integers(0, 9))})
        return list[model], st.lists(values, max_size=3)
    other = draw(st.dictionaries(_NAMES, shapes(depth - 1), min_size=1, max_size=3))
    one, of_one = model_of(fields, type=(t.Literal["one"], ...))
    two, of_two = model_of(other, type=(t.Literal["two-b"], ...))
    union = t.Annotated[one | two, pydantic.Field(discriminator="type")]
    return union, of_one.map(lambda v: {"type": "one", **v}) | of_two.map(
        lambda v: {"type": "two-b", **v}
    )


@st.composite
def filled_models(draw: st.DrawFn) -> tuple[type[pydantic.BaseModel], t.Any]:
    fields = draw(st.dictionaries(_NAMES, shapes(), min_size=1, max_size=4))
    model, values = model_of(fields)
    return model, draw(values)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(filled_models())
def test_what_is_encoded_for_any_model_decodes_to_itself(made):
    model, value = made
    # A browser has one kind of line end, and no mark beside it says more.
    assume("\\r" not in repr(value))
    spec = FormSpec(model, name="made")
    decoded = spec.compiled.decoder.decode(encode(value), max_depth=20, max_entries=999)
    assert model.model_validate(decoded) == model.model_validate(value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(filled_models())
def test_what_a_form_of_any_model_shows_is_what_it_sends_back(made):
    model, value = made
    spec = FormSpec(model, name="made")
    app = make_app(Forms())
    with app.test_request_context():
        page = Page(spec.bind(value).render())
    raw = sent_by(page)
    raw.pop("csrf_token")
    decoded = spec.compiled.decoder.decode(raw, max_depth=20, max_entries=999)
    assert model.model_validate(decoded) == model.model_validate(value)
