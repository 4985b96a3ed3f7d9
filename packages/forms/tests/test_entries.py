"""Dictionaries as rows of a key and a value, and tuples of one length as a group."""

from __future__ import annotations

import enum
import typing as t

import annotated_types as at
import flask
import pydantic
import pytest
from forms_page import encode
from forms_page import Page
from forms_page import sent_by
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import to_wtforms
from flaskware_forms import Ui

Word = t.Annotated[str, at.Len(1, 9)]


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Part(pydantic.BaseModel):
    name: str = ""
    count: int = 1
    fixed: t.Annotated[str, Ui(disabled=True)] = "as it was"


class Stock(pydantic.BaseModel):
    prices: dict[str, int] = {}
    parts: dict[Word, Part] = {}
    flags: dict[str, bool] | None = None
    sizes: dict[Size, int | None] = {}
    deep: dict[str, dict[t.Literal["a", "b"], list[str]]] = {}
    point: tuple[int, str] = (1, "a")
    maybe: tuple[int, Part] | None = None
    points: list[tuple[int, bool]] = []
    single: tuple[t.Annotated[str, Ui(label="Only")]] = ("x",)


STOCK = FormSpec(Stock, name="stock")
APP = make_app(Forms())


def dicts(keys: t.Any, values: t.Any) -> t.Any:
    return st.dictionaries(keys, values, max_size=3)


_TEXT = st.text(" ab\n~=+-", max_size=3)
_COUNT = st.integers(-9, 9)
_PART = st.builds(Part, name=_TEXT, count=_COUNT)
STOCKS = st.builds(
    Stock,
    prices=dicts(_TEXT, _COUNT),
    parts=dicts(st.text("xy", min_size=1, max_size=2), _PART),
    flags=st.none() | dicts(_TEXT, st.booleans()),
    sizes=dicts(st.sampled_from(Size), st.none() | _COUNT),
    deep=dicts(_TEXT, dicts(st.sampled_from("ab"), st.lists(_TEXT, max_size=2))),
    point=st.tuples(_COUNT, _TEXT),
    maybe=st.none() | st.tuples(_COUNT, _PART),
    points=st.lists(st.tuples(_COUNT, st.booleans()), max_size=2),
    single=st.tuples(_TEXT),
)


@settings(deadline=None)
@given(STOCKS)
def test_what_a_page_shows_comes_back_exactly(stock):
    with APP.test_request_context():
        body = sent_by(Page(STOCK.bind(stock).render()))
    with APP.test_request_context(
        "/", method="POST", data=body, headers={"Sec-Fetch-Site": "same-origin"}
    ):
        form = STOCK.bind()
        assert form.submit() == stock, form.errors


@settings(deadline=None)
@given(STOCKS)
def test_json_has_an_object_and_an_array(stock):
    with APP.test_request_context(
        "/", method="POST", json=stock.model_dump(mode="json")
    ):
        assert STOCK.bind().submit() == stock


@pytest.fixture
def site(make_site):
    return make_site(STOCK)


def errors_of(response: t.Any) -> list[tuple[str, str]]:
    return [(e["pointer"], e["code"]) for e in response.get_json()["errors"]]


def test_rows_are_read_and_empty_rows_dropped(site):
    body = {"prices-0.key": "a", "prices-0.value": "1", "prices-4.key": ""}
    assert site.post({**body, "prices-4.value": ""}).status_code == 303
    assert site.data.prices == {"a": 1}


def test_a_key_that_is_there_twice_is_an_error_of_its_row(site):
    body = encode({"prices": [{"key": key, "value": 1} for key in ("a", "b", "a")]})
    page = Page(site.post(body).text)
    assert page.control("prices-2.key")["aria-invalid"] == "true"
    assert page.control("prices-2.key")["value"] == "a"
    assert "aria-invalid" not in page.control("prices-0.key")
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == ["#stock-prices-2-key"]
    found = site.post(body, headers={"Accept": "application/json"})
    assert errors_of(found) == [("#/prices/2/key", "repeated_key")]


def test_keys_that_are_the_same_for_their_type_are_the_same(make_site):
    trimmed = t.Annotated[str, pydantic.StringConstraints(strip_whitespace=True)]
    model = pydantic.create_model("M", d=(dict[trimmed, int], ...))
    site = make_site(FormSpec(model, name="m"))
    body = encode({"d": [{"key": "a", "value": 1}, {"key": " a ", "value": 2}]})
    found = site.post(body, headers={"Accept": "application/json"})
    assert errors_of(found) == [("#/d/1/key", "repeated_key")]


def test_errors_of_a_form_name_rows_and_those_of_json_keys(site):
    as_json = {"Accept": "application/json"}
    parts = [{"key": "k", "value": {"count": "x"}}, {"key": "", "value": {"name": "y"}}]
    body = encode(
        {
            "parts": parts,
            "deep": [{"key": "", "value": [{"key": "q", "value": ["z"]}]}],
            "point": ["n", "a"],
        }
    )
    assert errors_of(site.post(body, headers=as_json)) == [
        ("#/parts/0/value/count", "int_parsing"),
        ("#/parts/1/key", "missing"),
        ("#/deep/0/value/0/key", "literal_error"),
        ("#/point/0", "int_parsing"),
    ]
    sent = {"parts": {"k": {"count": "x"}, "": {}}, "deep": {"": {"q": []}}}
    assert sorted(errors_of(site.post(json={**sent, "point": [1]}))) == [
        ("#/deep//q", "literal_error"),
        ("#/parts/", "missing"),
        ("#/parts/k/count", "int_parsing"),
        ("#/point/1", "missing"),
    ]


def test_two_values_for_one_key_are_an_error_and_not_a_guess(site):
    body = {"prices-0.key": ["a", "b"], "prices-0.value": "1"}
    assert site.post(body).status_code == 422


def test_a_row_comes_and_goes(site):
    body = encode({"prices": [{"key": "a", "value": 1}, {"key": "a", "value": 2}]})
    added = site.post({**body, "_row": "add:prices"})
    assert added.status_code == 200
    shown = sent_by(Page(added.text))
    assert shown["prices-2.key"] == [""]
    assert shown["prices-1.value"] == ["2"]
    removed = sent_by(Page(site.post({**body, "_row": "remove:prices-0"}).text))
    assert removed["prices-0.value"] == ["2"]
    assert "prices-1.key" not in removed


def test_a_field_of_a_row_is_validated_alone(site):
    body = encode({"prices": [{"key": "a", "value": "x"}, {"key": "a", "value": "y"}]})
    for name, code in (("prices-1.key", "repeated_key"), ("point-0", "int_parsing")):
        answer = site.post(
            {**body, "point-0": "q", "point-1": ""},
            headers={"Form-Validate-Only": name},
        )
        assert [found for _, found in errors_of(answer)] == [code]


def test_what_nobody_can_change_stays_inside_of_a_dictionary(site):
    parts = [{"key": "k", "value": {"name": "n", "fixed": "forged"}}]
    assert site.post(encode({"parts": parts})).status_code == 303
    assert site.data.parts["k"].fixed == "as it was"
    assert site.post(json={"parts": {"k": {"fixed": "forged"}}}).status_code == 201
    assert site.data.parts["k"].fixed == "as it was"
    sent = encode({"maybe": ["1", {"fixed": "forged"}]})
    assert site.post(sent).status_code == 303
    assert site.data.maybe[1].fixed == "as it was"


def patched(stock: Stock, body: dict[str, t.Any]) -> Stock | None:
    with APP.test_request_context("/", method="PATCH", json=body):
        return STOCK.bind(stock).submit()


def test_patch_merges_a_dictionary_and_replaces_a_tuple():
    stock = Stock(prices={"a": 1, "b": 2}, parts={"k": Part(name="n", count=3)})
    found = patched(
        stock,
        {
            "prices": {"b": None, "c": 3},
            "parts": {"k": {"count": 4}},
            "point": [2, "b"],
        },
    )
    assert found is not None
    assert found.prices == {"a": 1, "c": 3}
    assert found.parts == {"k": Part(name="n", count=4)}
    assert found.point == (2, "b")
    kept = patched(stock, {"point": [3, ""]})
    assert kept is not None
    assert kept.prices == stock.prices


def test_choices_of_a_query_are_checked_in_rows(make_site):
    offered = t.Annotated[str, Ui(choices=lambda: ["x", "y"])]
    model = pydantic.create_model(
        "M", d=(dict[offered, int], {}), e=(dict[str, offered], {})
    )
    site = make_site(FormSpec(model, name="m"))
    row = {"key": "no", "value": "1"}
    found = site.post(
        encode({"d": [row], "e": [row]}), headers={"Accept": "application/json"}
    )
    assert errors_of(found) == [("#/d/0/key", "choice"), ("#/e/0/value", "choice")]
    found = site.post(json={"d": {"no": 1}, "e": {"no": "1"}})
    assert errors_of(found) == [("#/d/no", "choice"), ("#/e/no", "choice")]


def test_an_error_that_a_view_finds_stands_at_a_row():
    with APP.test_request_context(
        "/",
        method="POST",
        data=encode({"prices": [{"key": "a", "value": 1}]}),
        headers={"Sec-Fetch-Site": "same-origin"},
    ):
        form = STOCK.bind()
        assert form.submit()
        form.add_error("Too low.", "prices.0.value")
        with pytest.raises(ValueError, match="names row 3"):
            form.add_error("Too low.", "prices.3.value")
        page = Page(form.render())
    assert page.control("prices-0.value")["aria-invalid"] == "true"


def test_a_check_gets_a_dictionary_as_a_whole():
    spec = FormSpec(Stock, name="stock")
    with pytest.raises(DeclarationError, match="Check it as a whole, as 'prices'"):
        spec.check("prices.value")
    spec.check("prices")(lambda prices: None)


def test_a_body_of_json_is_shown_as_rows_on_a_page(site):
    sent = {"prices": {"a": "x"}, "point": ["y", "b"]}
    page = Page(site.post(json=sent, headers={"Accept": "text/html"}).text)
    assert page.control("prices-0.key")["value"] == "a"
    assert page.control("prices-0.value")["value"] == "x"
    assert page.control("point-0")["value"] == "y"


def test_the_parts_of_rows_and_of_tuples_have_labels(site):
    page = Page(site.client.get("/").text)
    for label in ("Key", "Value", "Only", "1", "2"):
        assert label in page.text
    assert page.control("single-0")["id"] == "stock-single-0"


def test_dictionaries_and_tuples_are_described_as_they_are_sent():
    content = STOCK.openapi_body()["content"]
    whole = content["application/json"]["schema"]["properties"]
    assert whole["prices"]["additionalProperties"] == {"type": "integer"}
    assert [each["type"] for each in whole["point"]["prefixItems"]] == [
        "integer",
        "string",
    ]
    form = content["multipart/form-data"]["schema"]["properties"]
    assert form["prices-0.key"]["type"] == "string"
    assert form["parts-0.key"] == {"type": "string", "minLength": 1, "maxLength": 9}
    assert form["sizes-0.key"]["enum"] == ["s", "l"]
    assert form["point-0"]["type"] == "integer"
    assert "maybe-1.count" in form


def test_wtforms_has_rows_and_groups_too():
    with APP.test_request_context():
        shown = STOCK.bind(Stock(prices={"a": 1})).as_wtforms()
    assert shown["prices"][0].form["value"].raw_data == ["1"]
    assert shown["point"].form["1"].raw_data == ["a"]
    assert to_wtforms(STOCK)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (dict[int, int], "keys of an object in JSON"),
        (dict[str | None, int], "keys of an object in JSON"),
        (dict[t.Literal["a", 1], int], "keys of an object in JSON"),
        (dict[pydantic.SecretStr, int], "keys of an object in JSON"),
        (dict[str, t.Any], "has no control"),
        (dict[str, bytes], "Write str, or Upload"),
        (dict, "has no control"),
        (tuple[()], "without a value"),
        (tuple[int, t.Any], "has no control"),
        (dict[str, t.Annotated[str, Ui(disabled=True)]], "no object is known for it"),
        (tuple[int, t.Annotated[str, Ui(disabled=True)]], "no object is known for it"),
    ],
)
def test_what_does_not_come_back_is_refused(kind, reason):
    model = pydantic.create_model("M", a=(kind, ...))
    with pytest.raises(DeclarationError, match=reason):
        FormSpec(model, name="m")


class Tree(pydantic.BaseModel):
    name: str
    below: dict[str, Tree] = {}


def test_a_model_may_be_inside_of_itself_by_key():
    tree = Tree(name="a", below={"x": Tree(name="b", below={"y": Tree(name="c")})})
    spec = FormSpec(Tree, name="tree")
    app = make_app(Forms())

    @app.route("/", methods=["GET", "POST"])
    @spec.handles
    def edit(form: Bound[Tree]) -> flask.typing.ResponseReturnValue:
        form.fill(tree)
        return {"same": form.submit() == tree} if form.submitted else form.render()

    body = sent_by(Page(app.test_client().get("/").text))
    headers = {"Sec-Fetch-Site": "same-origin"}
    assert app.test_client().post("/", data=body, headers=headers).json == {
        "same": True
    }
