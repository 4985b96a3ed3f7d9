"""Fields that a page shows and nobody can change, and checks of rows and of objects."""

from __future__ import annotations

import types
import typing as t

import annotated_types as at
import pydantic
import pytest
from forms_page import Page

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import CheckContext
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Steps
from flaskware_forms import Ui
from flaskware_forms.testing import submit

FIXED = Ui(disabled=True)


class Address(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(1)]
    zip: t.Annotated[str, at.MinLen(1), Ui(readonly=True)]


class Line(pydantic.BaseModel):
    text: str
    price: t.Annotated[int, Ui(readonly=True)] = 5


class Account(pydantic.BaseModel):
    name: t.Annotated[str, at.MinLen(1)]
    email: t.Annotated[str, at.MinLen(1), Ui(readonly=True)]
    role: t.Annotated[t.Literal["user", "admin"], FIXED] = "user"
    paid: t.Annotated[bool, FIXED] = False
    secret: t.Annotated[str, Ui(widget="hidden", readonly=True)] = "s"
    picks: t.Annotated[list[t.Literal["a", "b"]], FIXED] = ["a"]
    tags: t.Annotated[list[str], FIXED] = ["t"]
    home: t.Annotated[Address, FIXED] = Address(city="Ur", zip="1")
    work: Address
    lines: list[Line] = []


ACCOUNT = FormSpec(Account, name="account")
HELD = types.SimpleNamespace(
    name="Ann",
    email="ann@x",
    role="user",
    paid=True,
    secret="mine",
    picks=["b"],
    tags=["x"],
    home={"city": "Rome", "zip": "2"},
    work=types.SimpleNamespace(city="Oz", zip="3"),
)
KEPT = {
    "email": "ann@x", "role": "user", "paid": True, "secret": "mine", "picks": ["b"],
    "tags": ["x"], "home": {"city": "Rome", "zip": "2"},
}  # fmt: skip
FORGED = {
    "email": "evil", "role": "admin", "paid": "", "secret": "stolen", "picks": "a",
    "tags": "forged", "home.city": "Evil", "home.zip": "9", "work.zip": "666",
    "lines-0.price": "0",
}  # fmt: skip
FORGED_JSON = {
    "email": "evil", "role": "admin", "paid": False, "secret": "stolen", "picks": ["a"],
    "tags": ["forged"], "home": {"city": "Evil", "zip": "9"},
    "work": {"city": "New", "zip": "666"}, "lines": [{"text": "l", "price": 0}],
}  # fmt: skip


@pytest.fixture
def site():
    app = make_app(Forms())

    @app.route("/", methods=["GET", "POST"])
    @ACCOUNT.handles
    def view(form: Bound[Account]) -> t.Any:
        form.fill(HELD)
        if data := form.submit():
            return data.model_dump()
        return form.render(), form.status if form.errors else 200

    return app.test_client()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_field_that_cannot_be_changed_cannot_be_forged(site, as_json):
    if as_json:
        got = submit(site, "/", json={"name": "Bo", **FORGED_JSON}).json
    else:
        sent = {"name": "Bo", "work.city": "New", "lines-0.text": "l", **FORGED}
        got = submit(site, "/", data=sent).json
    assert got["name"] == "Bo"
    assert {name: got[name] for name in KEPT} == KEPT
    assert got["work"] == {"city": "New", "zip": "3"}
    assert got["lines"] == [{"text": "l", "price": 5}]


def test_what_cannot_be_changed_is_shown_so_before_and_after_an_error(site):
    forged = {"name": "", "work.city": "", "lines-0.text": "l", **FORGED}
    for text in (site.get("/").text, submit(site, "/", data=forged).text):
        page = Page(text)
        assert page.control("email")["value"] == "ann@x"
        assert "readonly" in page.control("email")
        assert "required" not in page.control("email")
        assert "disabled" in page.control("role")
        assert page.control("work.zip")["value"] == "3"
        assert page.control("home.city")["value"] == "Rome"
        groups = [a for tag, a in page.tags if tag == "fieldset" and "disabled" in a]
        assert {a["id"] for a in groups} == {
            "account-picks--group", "account-tags--group", "account-home--group",
        }  # fmt: skip


def test_a_view_that_shows_no_object_is_told_that_the_value_is_missing():
    app = make_app(Forms())
    headers = {"Sec-Fetch-Site": "same-origin"}
    sent = {"name": "Bo", "work.city": "x"}
    with (
        app.test_request_context("/", method="POST", data=sent, headers=headers),
        pytest.raises(RuntimeError, match=r"Account\.email .* form\.fill\(obj\)"),
    ):
        ACCOUNT.bind().submit()


def test_a_control_without_a_read_only_state_and_a_row_without_a_default_are_refused():
    readonly = Ui(readonly=True)
    for kind in (bool, t.Literal["a", "b"], Address, list[str], list[Address]):
        model = pydantic.create_model("M", a=(t.Annotated[kind, readonly], ...))
        with pytest.raises(DeclarationError, match=r"Ui\(disabled=True\)"):
            FormSpec(model, name="m")
    row = pydantic.create_model("Row", a=(t.Annotated[int, readonly], ...))
    with pytest.raises(DeclarationError, match="Give it a default"):
        FormSpec(pydantic.create_model("M", rows=(list[row], ...)), name="m")


def test_pages_of_a_form_take_no_forged_value():
    class Whole(pydantic.BaseModel):
        name: str
        role: t.Annotated[str, Ui(readonly=True)] = "user"
        last: str

    steps = Steps(Whole, name="s", pages={"a": ["name", "role"], "b": ["last"]})
    app = make_app(Forms())
    got: list[Whole] = []

    @app.route("/<step>", methods=["GET", "POST"])
    @steps.handles
    def page(flow: t.Any, step: str) -> t.Any:
        if data := flow.submit():
            got.append(data)
            return "done"
        return flow.respond("x.html") if step == "a" else "more"

    client = app.test_client()
    submit(client, "/a", data={"name": "n", "role": "admin"})
    submit(client, "/b", data={"last": "l"})
    assert [data.role for data in got] == ["user"]


# Checks of rows, and checks that see the object.


class Item(pydantic.BaseModel):
    text: str
    qty: int = 1


class Card(pydantic.BaseModel):
    kind: t.Literal["card"]
    number: str


class Cash(pydantic.BaseModel):
    kind: t.Literal["cash"]


class Order(pydantic.BaseModel):
    title: str
    items: t.Annotated[list[Item], pydantic.Field(alias="rows")] = []
    grid: list[list[int]] = []
    pay: t.Annotated[Card | Cash, pydantic.Field(discriminator="kind")] = Cash(
        kind="cash"
    )


def order() -> FormSpec[Order]:
    return FormSpec(Order, name="order")


SENT = {
    "title": "t", "rows-0.text": "a", "rows-0.qty": "1", "rows-1.text": "b",
    "rows-1.qty": "9", "rows-2.text": "c", "rows-2.qty": "7", "grid-0": ["1", "2"],
    "grid-1": "3", "pay.kind": "card", "pay.kind:card.number": "12",
}  # fmt: skip


def pointers(answer: t.Any) -> list[str]:
    return [error["pointer"] for error in answer.json["errors"]]


JSON = {"Accept": "application/json"}


def test_a_check_runs_for_each_row_and_its_error_is_at_that_row(make_site):
    spec = order()

    @spec.check("items.qty")
    def not_many(value: int) -> str | None:
        return "Too many." if value > 5 else None

    @spec.check("items.*")
    def not_c(row: Item) -> str | None:
        return "Not c." if row.text == "c" else None

    @spec.check("grid.*.*")
    def odd(value: int) -> str | None:
        return None if value % 2 else "Odd, please."

    @spec.check("pay.number")
    def long_enough(value: str) -> str | None:
        return "Short." if len(value) < 4 else None

    site = make_site(spec)
    answer = site.post(SENT, headers=JSON)
    assert pointers(answer) == [
        "#/rows/1/qty", "#/rows/2/qty", "#/rows/2", "#/grid/0/1", "#/pay/number",
    ]  # fmt: skip
    page = Page(site.post(SENT).text)
    assert page.control("rows-1.qty")["aria-invalid"] == "true"
    assert "aria-invalid" not in page.control("rows-0.qty")
    assert site.post({"title": "t", "pay.kind": "cash"}).status_code == 303


def test_the_view_adds_an_error_to_a_row():
    app = make_app(Forms())
    spec = order()

    @app.post("/<path:field>")
    @spec.handles
    def view(form: Bound[Order], field: str) -> t.Any:
        form.submit()
        form.add_error("Bad.", field)
        return form.respond("page.html")

    client = app.test_client()
    for field, pointer in (
        ("items.1.text", "#/rows/1/text"),
        ("items.2", "#/rows/2"),
        ("items", "#/rows"),
        ("grid.0.1", "#/grid/0/1"),
        ("pay.number", "#/pay/number"),
    ):
        answer = submit(client, f"/{field}", data=SENT, headers=JSON)
        assert pointers(answer) == [pointer]


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("items.text", "Write 'items.0.text' for the first"),
        ("items.3.text", "names row 3, but the form was sent with 3 rows"),
        ("items.1.txt", "Did you mean 'text'"),
        ("items.-1.text", "without saying which"),
        ("title.x", "has no field 'title.x'"),
        ("pay.nummer", "Did you mean 'number'"),
    ],
)
def test_an_error_for_a_wrong_path_says_what_to_write(field, reason):
    spec = order()
    headers = {"Sec-Fetch-Site": "same-origin"}
    with make_app(Forms()).test_request_context(
        "/", method="POST", data=SENT, headers=headers
    ):
        form = spec.bind()
        assert form.submit()
        with pytest.raises((DeclarationError, ValueError), match=reason):
            form.add_error("Bad.", field)


def test_a_check_of_a_wrong_path_is_refused():
    spec = order()
    for field in ("items.txt", "items.*.txt", "title.x", "itms"):
        with pytest.raises(DeclarationError, match="has no field"):
            spec.check(field)
    # A constraint of the database knows no row.
    with pytest.raises(DeclarationError, match="is a list"):
        spec.constraint("uq", "items.text", "Taken.")


class Named(pydantic.BaseModel):
    name: str
    other: str = ""


@pytest.mark.parametrize("is_async", [False, True])
def test_a_check_sees_the_object_and_the_whole_model(is_async):
    app = make_app(Forms())
    spec = FormSpec(Named, name="n")
    taken = {"ann", "bo"}

    def free(value: str, context: CheckContext[Named]) -> str | None:
        assert context.data.name == value
        assert context.path == ("name",)
        own = context.obj and context.obj["name"]
        return "Taken." if value in taken - {own} else None

    async def later(value: str, context: CheckContext[Named]) -> str | None:
        return free(value, context)

    spec.check("name")(later if is_async else free)

    @spec.check()
    def differ(data: Named, context: CheckContext[Named]) -> str | None:
        assert context.data is data
        return "Same." if data.name == data.other else None

    @app.post("/<who>")
    @spec.handles
    def view(form: Bound[Named], who: str) -> t.Any:
        form.fill({"name": who} if who != "new" else None)
        return str(bool(form.submit()))

    client = app.test_client()
    for who, name, expected in (
        ("ann", "ann", True),
        ("ann", "bo", False),
        ("new", "ann", False),
        ("new", "cy", True),
    ):
        answer = submit(client, f"/{who}", data={"name": name})
        assert answer.text == str(expected)
    assert submit(client, "/new", data={"name": "x", "other": "x"}).text == "False"
    # Live validation knows neither, so it leaves such checks to the end.
    live = {"Form-Validate-Only": "name"}
    answer = submit(client, "/ann", data={"name": "bo"}, headers=live)
    assert answer.status_code == 204
