from __future__ import annotations

import typing as t

import annotated_types as at
import jinja2
import pydantic
import pytest
from forms_models import Way
from forms_page import Page
from forms_page import sent_by

from flaskware_core import current_session
from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import BoundSteps
from flaskware_forms import Forms
from flaskware_forms import Steps
from flaskware_forms import Upload
from flaskware_forms.testing import submit


class Order(pydantic.BaseModel):
    email: t.Annotated[str, at.MinLen(3)]
    color: t.Literal["red", "blue"]
    lines: list[str] = []
    pay: Way
    secret: pydantic.SecretStr
    note: str = ""

    @pydantic.field_validator("email")
    @classmethod
    def is_address(cls, email: str) -> str:
        if "@" not in email:
            raise ValueError("Write an address.")
        return email

    @pydantic.model_validator(mode="after")
    def fits(self) -> t.Self:
        if self.color == "red" and self.note == "blue":
            raise ValueError("The note does not fit.")
        return self


PAGES = {"who": ["email", "color", "lines"], "pay": ["pay"], "end": ["secret", "note"]}
WHO = {"email": "ann@x", "color": "red", "lines": ["a", "b"]}
PAY = {"pay.kind": "card", "pay.kind:card.number": "1234"}
END = {"secret": "hidden", "note": ""}


@pytest.fixture
def steps():
    return Steps(Order, name="order", pages=PAGES)


class Shop:
    def __init__(self, steps: Steps[Order], **config: t.Any) -> None:
        self.app = make_app(Forms(), **config)
        page = "<h1>{{ flow.number }} {{ flow.step }}</h1>{{ flow.render() }}"
        self.app.jinja_loader = jinja2.DictLoader({"order.html": page})
        self.data: Order | None = None

        @self.app.route("/<step>", methods=["GET", "POST"])
        @steps.handles
        def view(flow: BoundSteps[Order], step: str):
            assert step == flow.step
            if data := flow.submit():
                self.data = data
                return flow.done("/thanks", data)
            return flow.respond("order.html")

        @self.app.route("/async/<step>", methods=["GET", "POST"])
        @steps.handles
        async def later(flow: BoundSteps[Order], step: str):
            if data := await flow.async_submit():
                self.data = data
                return flow.done("/thanks", data)
            return await flow.async_respond("order.html")

        @self.app.get("/kept")
        def kept():
            return {k: v for k, v in current_session().items() if k[:5] == "flask"}

        self.client = self.app.test_client()

    def send(self, url: str, data: t.Any, **options: t.Any) -> t.Any:
        return submit(self.client, url, data=data, **options)


@pytest.fixture
def shop(steps):
    return Shop(steps)


@pytest.mark.parametrize("prefix", ["", "/async"])
def test_pages_lead_on_until_the_typed_data_is_there(shop, prefix):
    assert shop.send(f"{prefix}/who", WHO).location == f"{prefix}/pay"
    assert shop.send(f"{prefix}/pay", PAY).location == f"{prefix}/end"
    assert shop.data is None
    assert shop.send(f"{prefix}/end", END).location == "/thanks"
    assert shop.data.lines == ["a", "b"]
    assert shop.data.pay.number == "1234"
    assert shop.data.secret.get_secret_value() == "hidden"
    # All is forgotten then.
    assert shop.client.get("/kept").json == {}


def test_a_page_asks_for_its_own_fields_only(shop):
    text = shop.client.get("/who").text
    page = Page(text)
    assert "<h1>1 who</h1>" in text
    assert page.control("email")
    assert not [a for _, a in page.tags if a.get("name") in {"secret", "pay.kind"}]
    assert "_back" not in text
    wrong = shop.send("/who", {**WHO, "email": "noone"})
    assert wrong.status_code == 422
    assert "Write an address." in wrong.text


def test_back_keeps_what_was_typed_right_or_wrong(shop):
    shop.send("/who", WHO)
    back = shop.send(
        "/pay", {"pay.kind": "card", "pay.kind:card.number": "1", "_back": "1"}
    )
    assert back.location == "/who"
    shown = sent_by(Page(shop.client.get("/who").text))
    assert shown["email"] == ["ann@x"]
    assert shown["lines"] == ["a", "b", ""]
    shown = sent_by(Page(shop.client.get("/pay").text))
    assert shown["pay.kind:card.number"] == ["1"]


def test_a_form_is_taken_up_at_the_first_page_that_is_not_right(shop):
    assert shop.client.get("/end").location == "/who"
    shop.send("/who", WHO)
    assert shop.client.get("/end").location == "/pay"
    assert shop.client.get("/pay").status_code == 200
    # Another one has nothing of it.
    assert shop.app.test_client().get("/pay").location == "/who"


def test_the_last_page_leads_to_an_earlier_one_that_is_wrong(shop):
    shop.send("/pay", PAY)
    assert shop.send("/end", END).location == "/who"
    assert shop.data is None


def test_what_the_model_says_of_all_fields_is_shown_on_the_last_page(shop):
    shop.send("/who", WHO)
    shop.send("/pay", PAY)
    response = shop.send("/end", {**END, "note": "blue"})
    assert response.status_code == 422
    assert "The note does not fit." in response.text


def test_checks_are_run_on_the_page_of_their_field_and_of_all_at_the_end(steps):
    @steps.check("email")
    def is_free(value: str) -> str | None:
        return "Taken." if value == "ann@x" else None

    @steps.check()
    def never(data: Order) -> str | None:
        return "Closed." if data.note == "now" else None

    shop = Shop(steps)
    assert "Email: Taken." in shop.send("/who", WHO).text
    shop.send("/who", {**WHO, "email": "bob@x"})
    shop.send("/pay", PAY)
    assert "Closed." in shop.send("/end", {**END, "note": "now"}).text


def test_no_secret_is_kept(shop):
    shop.send("/who", WHO)
    shop.send("/pay", PAY)
    shop.send("/end", {**END, "note": "blue"})
    kept = shop.client.get("/kept").json["flaskware_forms.order"]
    assert "hidden" not in str(kept)
    assert kept["end"]["form"]["note"] == ["blue"]


def test_what_is_kept_is_bounded(steps):
    shop = Shop(steps, FORMS_MAX_STEP_STATE=200)
    response = shop.send("/who", {**WHO, "email": "@" * 300})
    assert response.status_code == 422
    assert "more than can be kept" in response.text
    assert shop.client.get("/kept").json == {}


def test_rows_come_and_go_and_fields_are_validated_alone_on_a_page(shop):
    response = shop.send("/who", {**WHO, "_row": "add:lines"})
    assert response.status_code == 200
    shown = sent_by(Page(response.text))
    assert shown["lines"] == ["a", "b", ""]
    headers = {"Form-Validate-Only": "email"}
    assert shop.send("/who", {"email": "x@"}, headers=headers).status_code == 422
    assert shop.send("/who", {"email": "ann@x"}, headers=headers).status_code == 204


def test_a_json_client_goes_from_page_to_page(shop):
    who = shop.send("/who", None, json=WHO)
    assert who.get_json() == {"step": "pay"}
    pay = {"pay": {"kind": "card", "number": "1234"}}
    assert shop.send("/pay", None, json=pay).get_json() == {"step": "end"}
    assert shop.send("/end", None, json=END).status_code == 201


def test_a_page_that_is_not_there_is_not_found(shop):
    assert shop.client.get("/nope").status_code == 404


def test_another_site_takes_nobody_on(shop):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert shop.send("/who", WHO, headers=headers).status_code == 403
    old = shop.send("/who", WHO, headers={"Sec-Fetch-Site": "none"})
    assert old.status_code == 400
    assert shop.client.get("/pay").location == "/who"


class WithFile(pydantic.BaseModel):
    file: Upload
    name: str


@pytest.mark.parametrize(
    ("model", "pages", "words"),
    [
        (Order, {"a": ["email"]}, "color, lines, note, pay, secret"),
        (Order, {**PAGES, "x": ["email"]}, "see: email"),
        (Order, {"a": ["secret"], "b": [*PAGES["who"], "pay", "note"]}, "last page"),
        (WithFile, {"a": ["file", "name"]}, "file takes a file"),
    ],
)
def test_pages_that_cannot_be_are_refused(model, pages, words):
    with pytest.raises(DeclarationError, match=words):
        Steps(model, name="m", pages=pages)
