from __future__ import annotations

import typing as t

import annotated_types as at
import pydantic
import pytest
from forms_models import PAY
from forms_page import Page

from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui
from flaskware_forms.testing import submit


class Place(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(2)]


class Join(pydantic.BaseModel):
    email: pydantic.EmailStr
    name: t.Annotated[str, at.Len(2, 40)]
    nick: str = ""
    secret: pydantic.SecretStr
    size: t.Annotated[t.Literal["s", "l"], Ui(widget="radio")] = "s"
    places: list[Place] = []

    @pydantic.field_validator("nick")
    @classmethod
    def is_not_name(cls, nick: str, info: pydantic.ValidationInfo) -> str:
        if nick and nick == info.data.get("name"):
            raise ValueError("Take another nick than your name.")
        return nick

    @pydantic.model_validator(mode="after")
    def never_alone(self) -> t.Self:
        assert self.name, "needs all fields"
        return self


@pytest.fixture
def spec() -> FormSpec[Join]:
    spec = FormSpec(Join, name="join")

    @spec.check("email")
    def is_free(value: str) -> str | None:
        return "Taken." if value == "ann@example.com" else None

    @spec.check()
    def whole(data: Join) -> str | None:
        raise AssertionError("a check of the whole form is not run")

    return spec


def ask(site, names, body, **headers):
    return site.post(body, headers={"Form-Validate-Only": names, **headers})


def test_only_the_fields_that_are_asked_for_are_told(make_site, spec):
    site = make_site(spec)
    response = ask(site, "name", {"name": "x", "email": "no"})
    assert response.status_code == 422
    assert [e["pointer"] for e in response.get_json()["errors"]] == ["#/name"]
    assert site.calls == 0
    assert "Form-Validate-Only" in response.headers["Vary"]
    assert response.headers["Cache-Control"] == "no-store"


def test_a_right_field_is_204_however_empty_the_rest_is(make_site, spec):
    site = make_site(spec)
    assert ask(site, "name", {"name": "Ann"}).status_code == 204
    assert (
        ask(site, "name, email", {"name": "Ann", "email": "a@example.com"}).status_code
        == 204
    )
    assert site.calls == 0


def test_the_checks_of_a_field_are_run_when_it_is_asked_for(make_site, spec):
    site = make_site(spec)
    body = {"email": "ann@example.com"}
    assert ask(site, "email", body).get_json()["errors"][0]["detail"] == "Taken."
    assert ask(site, "name", {**body, "name": "Ann"}).status_code == 204


def test_a_validator_that_looks_at_other_fields_sees_those_that_are_right(
    make_site, spec
):
    site = make_site(spec)
    body = {"name": "Ann", "nick": "Ann"}
    told = ask(site, "nick", body).get_json()["errors"]
    assert told[0]["detail"] == "Take another nick than your name."
    assert ask(site, "nick", {"name": "", "nick": "Ann"}).status_code == 204


def test_json_is_validated_in_part_too(make_site, spec):
    site = make_site(spec)
    headers = {"Form-Validate-Only": "name"}
    assert site.post(json={"name": "x"}, headers=headers).status_code == 422
    assert site.post(json={"name": "xy"}, headers=headers).status_code == 204
    assert site.post(json=[1], headers=headers).status_code in {204, 422}


def test_htmx_gets_the_row_of_the_field(make_site, spec):
    site = make_site(spec)
    text = ask(
        site, "name", {"name": "x", "email": "no"}, **{"HX-Request": "true"}
    ).text
    page = Page(text)
    assert page.control("name")["value"] == "x"
    assert page.control("name")["aria-invalid"] == "true"
    assert page.tags[0][1]["hx-headers"] == '{"Form-Validate-Only": "name"}'
    assert "no" not in [a.get("value") for _, a in page.tags]
    right = ask(site, "name", {"name": "Ann"}, **{"HX-Request": "true"})
    assert (right.status_code, "aria-invalid" in right.text) == (200, False)


def test_a_field_in_a_row_is_asked_for_by_its_name(make_site, spec):
    site = make_site(spec)
    body = {"places-0.city": "", "places-1.city": "x"}
    headers = {"HX-Request": "true"}
    page = Page(ask(site, "places-1.city", body, **headers).text)
    assert page.control("places-1.city")["value"] == "x"
    assert page.control("places-1.city")["aria-invalid"] == "true"
    pay = make_site(PAY)
    body = {"by.kind": "card", "by.kind:card.number": "1"}
    page = Page(ask(pay, "by.kind:card.number", body, **headers).text)
    assert page.control("by.kind:card.number")["aria-invalid"] == "true"


@pytest.mark.parametrize("names", ["", "nope", "name,nope", "name.x", "places-x", ","])
def test_a_field_that_is_not_there_is_a_bad_request(make_site, spec, names):
    assert ask(make_site(spec), names, {"name": "x"}).status_code == 400


def test_a_field_that_is_named_often_counts_once(make_site, spec):
    once = ask(make_site(spec), "name", {"name": "x"})
    often = ask(make_site(spec), ",".join(["name"] * 60), {"name": "x"})
    assert once.status_code == often.status_code != 400


def test_another_site_is_refused(make_site, spec):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert ask(make_site(spec), "name", {"name": "x"}, **headers).status_code == 403
    headers = {"Sec-Fetch-Site": "none"}
    assert ask(make_site(spec), "name", {"name": "x"}, **headers).status_code == 400


def test_a_live_form_marks_what_htmx_asks_for_again(make_site, spec):
    app = make_app(Forms())
    with app.test_request_context():
        form = spec.bind()
        live, still = str(form.render(live=True)), str(form.render())
    assert "hx-" not in still
    page = Page(live)
    asked = [a["hx-headers"] for _, a in page.tags if "hx-headers" in a]
    # A password would be lost with its control.
    assert asked == [
        f'{{"Form-Validate-Only": "{name}"}}'
        for name in ("email", "name", "nick", "size", "places-0.city")
    ]


def test_async_checks_are_awaited(spec):
    @spec.check("name")
    async def later(value: str) -> str | None:
        return f"Not {value}."

    app = make_app(Forms())

    @app.post("/async")
    @spec.handles
    async def later_view(form: Bound[Join]):
        raise AssertionError("the view is not run")

    @app.post("/sync")
    @spec.handles
    def view(form: Bound[Join]):
        raise AssertionError("the view is not run")

    for url in ("/async", "/sync"):
        headers = {"Form-Validate-Only": "name"}
        told = submit(app.test_client(), url, data={"name": "Ann"}, headers=headers)
        assert told.get_json()["errors"][0]["detail"] == "Not Ann."


def test_a_get_is_never_validated(make_site, spec):
    site = make_site(spec)
    headers = {"Form-Validate-Only": "name"}
    assert site.client.get("/", headers=headers).status_code == 200
