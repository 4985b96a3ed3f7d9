from __future__ import annotations

import typing as t

import annotated_types as at
import jinja2
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Steps
from flaskware_forms.testing import submit


class Address(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(1)]


class SignUp(pydantic.BaseModel):
    email: pydantic.EmailStr
    name: t.Annotated[str, at.Len(2, 5)]
    age: t.Annotated[int, at.Ge(18)] = 18
    tags: t.Annotated[list[str], at.MaxLen(2)] = []
    address: Address | None = None


RIGHT = {"email": "ann@example.com", "name": "Ann", "age": "20", "tags": ["x"]}
WRONG = {"email": "no", "name": "A", "age": "x", "tags": ["1", "2", "3"]}
POINTERS = {
    "#/email": "email",
    "#/name": "string_too_short",
    "#/age": "int_parsing",
    "#/tags": "too_long",
}


@pytest.fixture
def spec():
    return FormSpec(SignUp, name="sign-up")


@pytest.mark.parametrize("kind", ["urlencoded", "multipart", "json", "htmx"])
def test_every_kind_of_request_gives_the_same_object(make_site, spec, kind):
    site = make_site(spec)
    options: dict[str, t.Any] = {
        "urlencoded": {"data": RIGHT},
        "multipart": {"data": RIGHT, "content_type": "multipart/form-data"},
        "json": {"json": RIGHT},
        "htmx": {"data": RIGHT, "headers": {"HX-Request": "true"}},
    }[kind]
    site.post(**options)
    assert site.data == SignUp(email="ann@example.com", name="Ann", age=20, tags=["x"])


@pytest.mark.parametrize("body", ["data", "json"])
def test_every_kind_of_request_gives_the_same_errors(make_site, spec, body):
    site = make_site(spec)
    response = site.post(
        **{body: WRONG}, headers={"Accept": "application/problem+json"}
    )
    assert response.status_code == 422
    assert response.content_type == "application/problem+json"
    document = response.get_json()
    assert document["status"] == 422
    assert {e["pointer"]: e["code"] for e in document["errors"]} == POINTERS


def test_a_problem_repeats_nothing_of_what_was_sent(make_site):
    class Secret(pydantic.BaseModel):
        password: t.Annotated[pydantic.SecretStr, at.MinLen(20)]
        number: int
        day: pydantic.NaiveDatetime

    site = make_site(FormSpec(Secret, name="s"))
    sent = {"password": "hunter2", "number": "hunter2", "day": "hunter2"}
    response = site.post(json=sent)
    assert response.status_code == 422
    assert "hunter2" not in response.text


def test_a_pointer_escapes_what_json_pointer_reserves(make_site):
    class Odd(pydantic.BaseModel):
        x: int = pydantic.Field(alias="a/b~c")

    response = make_site(FormSpec(Odd, name="o")).post(json={"a/b~c": "?"})
    assert response.get_json()["errors"][0]["pointer"] == "#/a~1b~0c"


def test_a_page_is_sent_on_with_303(make_site, spec):
    response = make_site(spec).post(RIGHT)
    assert (response.status_code, response.location) == (303, "/done")


def test_a_json_client_gets_201_with_the_object(make_site, spec):
    response = make_site(spec).post(json=RIGHT)
    assert (response.status_code, response.location) == (201, "/done")
    assert response.get_json()["email"] == "ann@example.com"


@pytest.mark.parametrize("kind", ["json", "data"])
def test_only_a_post_creates_something(make_site, spec, kind):
    headers = {"Accept": "application/json", "Sec-Fetch-Site": "same-origin"}
    send = make_site(spec).client.put
    response = send("/", **{kind: RIGHT}, headers=headers)
    assert (response.status_code, response.location) == (200, None)
    assert response.get_json()["email"] == "ann@example.com"


def test_htmx_is_told_where_to_go(make_site, spec):
    response = make_site(spec).post(RIGHT, headers={"HX-Request": "true"})
    assert response.headers["HX-Redirect"] == "/done"
    assert response.status_code == 204


def test_errors_are_a_page_with_422_and_what_was_typed(make_site, spec):
    response = make_site(spec).post(WRONG)
    assert response.status_code == 422
    assert "<title>A page</title>" in response.text
    assert 'value="no"' in response.text
    assert "Write at least 2 characters." in response.text


def test_htmx_gets_the_block_of_the_template_alone(make_site, spec):
    response = make_site(spec).post(WRONG, headers={"HX-Request": "true"})
    assert response.status_code == 422
    assert response.text.startswith("<form")
    assert "<title>" not in response.text


def test_a_boosted_request_gets_the_page(make_site, spec):
    headers = {"HX-Request": "true", "HX-Boosted": "true"}
    assert "<title>" in make_site(spec).post(WRONG, headers=headers).text


def test_without_the_block_htmx_gets_the_form(spec):
    app = make_app(Forms())
    app.jinja_loader = jinja2.DictLoader({"bare.html": "no block"})

    @app.post("/")
    @spec.handles
    def view(form):
        form.submit()
        return form.respond("bare.html")

    response = submit(app.test_client(), "/", headers={"HX-Request": "true"})
    assert response.text.startswith("<form")


def test_answers_say_what_they_vary_by(make_site, spec):
    assert set(make_site(spec).post(WRONG).vary) >= {"Accept", "HX-Request"}


@pytest.mark.parametrize(
    ("accept", "sent_as", "kind"),
    [
        ("text/html,*/*;q=0.8", "data", "text/html"),
        ("*/*", "data", "text/html"),
        ("*/*", "json", "application/problem+json"),
        ("application/json", "data", "application/problem+json"),
        ("text/html", "json", "text/html"),
        ("application/json;q=0.5, text/html", "json", "text/html"),
    ],
)
def test_accept_decides_the_kind_of_the_answer(make_site, spec, accept, sent_as, kind):
    response = make_site(spec).post(**{sent_as: WRONG}, headers={"Accept": accept})
    assert response.mimetype == kind


def test_a_check_of_a_field_runs_once_all_types_have_passed(make_site, spec):
    seen = []

    @spec.check("email")
    def free(value: str) -> str | None:
        seen.append(value)
        return "That address is taken." if value == "ann@example.com" else None

    site = make_site(spec)
    site.post(WRONG)
    assert seen == []
    response = site.post(RIGHT)
    assert response.status_code == 422
    assert "Email: That address is taken." in response.text
    assert site.data is None
    assert site.post({**RIGHT, "email": "bob@example.com"}).status_code == 303


def test_a_check_of_the_whole_form_belongs_to_no_field(make_site, spec):
    @spec.check()
    def plausible(data: SignUp) -> str | None:
        return "Not plausible." if data.age > 100 else None

    site = make_site(spec)
    response = site.post(json={**RIGHT, "age": 101})
    assert response.get_json()["errors"] == [
        {"pointer": "#", "code": "check", "detail": "Not plausible."}
    ]


def test_a_check_of_a_nested_field_is_passed_over_where_there_is_none(make_site, spec):
    @spec.check("address.city")
    def known(value: str) -> str | None:
        return None if value == "Rome" else "Unknown."

    site = make_site(spec)
    assert site.post(RIGHT).status_code == 303
    response = site.post(json={**RIGHT, "address": {"city": "Ur"}})
    assert response.get_json()["errors"][0]["pointer"] == "#/address/city"


def test_a_check_of_a_field_that_is_not_there_names_the_closest(spec):
    with pytest.raises(DeclarationError, match="Did you mean 'email'"):
        spec.check("emial")


def test_an_async_check_is_run_for_a_view_that_is_not_async(make_site, spec):
    @spec.check("email")
    async def later(value: str) -> str | None:
        return "Taken." if value == "ann@example.com" else None

    response = make_site(spec).post(json=RIGHT)
    assert response.get_json()["errors"] == [
        {"pointer": "#/email", "code": "check", "detail": "Taken."}
    ]


def test_checks_of_both_kinds_are_run_for_an_async_view(spec):
    app = make_app(Forms())

    @spec.check("email")
    async def later(value: str) -> str | None:
        return "Taken." if value == "ann@example.com" else None

    @spec.check()
    def now(data: SignUp) -> str | None:
        return "Never Bob." if data.name == "Bob" else None

    @app.post("/")
    @spec.handles
    async def view(form: Bound[SignUp]):
        if data := await form.async_submit():
            assert await form.async_submit() is data
            return data.name
        return await form.async_respond("-")

    client = app.test_client()
    taken = submit(client, "/", json=RIGHT).get_json()["errors"]
    assert [error["detail"] for error in taken] == ["Taken."]
    headers = {"Accept": "text/html"}
    other = {**RIGHT, "email": "bob@example.com"}
    assert submit(client, "/", json=other, headers=headers).text == RIGHT["name"]
    bob = submit(client, "/", json={**other, "name": "Bob"}).get_json()["errors"]
    assert [error["detail"] for error in bob] == ["Never Bob."]


def test_an_async_check_in_an_async_view_says_how_to_await_it(spec):
    app = make_app(Forms())

    @spec.check("email")
    async def later(value: str) -> str | None:
        return None

    @app.post("/")
    @spec.handles
    async def view(form: Bound[SignUp]):
        with pytest.raises(RuntimeError, match=r"await form\.async_submit\(\)"):
            form.submit()
        return ""

    assert submit(app.test_client(), "/", json=RIGHT).status_code == 200


def test_a_view_can_add_what_only_it_found_out(spec):
    app = make_app(Forms())
    app.jinja_loader = jinja2.DictLoader({"p.html": "{{ form.render() }}"})

    @app.post("/")
    @spec.handles
    def view(form: Bound[SignUp]):
        assert form.submit() is not None
        form.add_error("Taken meanwhile.", "email", code="unique")
        assert form.submit() is None
        return form.respond("p.html")

    response = submit(app.test_client(), "/", data=RIGHT)
    assert response.status_code == 422
    assert "Email: Taken meanwhile." in response.text
    assert 'value="Ann"' in response.text


def test_a_view_keeps_the_arguments_of_its_route(spec):
    app = make_app(Forms())

    @app.get("/<int:number>/<path:rest>")
    @spec.handles
    def view(form, number, rest):
        return {"number": number, "rest": rest, "submitted": form.submitted}

    response = app.test_client().get("/7/a/b")
    assert response.get_json() == {"number": 7, "rest": "a/b", "submitted": False}


def test_an_async_view_gets_the_same_form(spec):
    app = make_app(Forms())

    @app.post("/")
    @spec.handles
    async def view(form: Bound[SignUp]):
        data = await form.async_submit()
        return data.name if data else "wrong"

    assert submit(app.test_client(), "/", data=RIGHT).text == "Ann"


def test_a_plain_view_can_bind_the_form_itself(spec):
    app = make_app(Forms())

    @app.route("/", methods=["GET", "POST"])
    def view():
        form = spec.bind({"name": "Before"})
        data = form.submit()
        return data.name if data else str(form["name"].control())

    client = app.test_client()
    assert 'value="Before"' in client.get("/").text
    assert submit(client, "/", data=RIGHT).text == "Ann"
    assert client.post("/", data=RIGHT).status_code == 400


def test_a_strict_model_takes_text_from_a_form(make_site):
    class Strict(pydantic.BaseModel, strict=True):
        number: int

    site = make_site(FormSpec(Strict, name="s"))
    assert site.post({"number": "3"}).status_code == 303
    assert site.post(json={"number": "3"}).status_code == 422


def messages(make_site, body, **fields):
    model = pydantic.create_model("M", **fields)
    response = make_site(FormSpec(model, name="m")).post(json=body)
    return [
        (e["pointer"], e["code"], e["detail"]) for e in response.get_json()["errors"]
    ]


def no_spam(value: str) -> str:
    if value in {"spam", ""}:
        raise ValueError("No spam, please.")
    return value


@pytest.mark.parametrize("value", ["spam", ""])
def test_a_validator_of_the_model_speaks_for_itself(make_site, value):
    kind = t.Annotated[str, pydantic.AfterValidator(no_spam)]
    assert messages(make_site, {"x": value}, x=(kind, ...)) == [
        ("#/x", "value_error", "No spam, please.")
    ]


def test_one_is_singular(make_site):
    kind = t.Annotated[str, at.MaxLen(1)]
    assert messages(make_site, {"x": "ab"}, x=(kind, ...)) == [
        ("#/x", "string_too_long", "Write at most 1 character.")
    ]


def test_a_blank_is_missing_where_none_is_allowed(make_site):
    assert messages(make_site, {"x": ""}, x=(int, 1)) == [
        ("#/x", "missing", "Fill in this field.")
    ]


def test_consent_that_is_not_given_says_tick_the_box(make_site):
    assert messages(make_site, {"x": False}, x=(t.Literal[True], ...)) == [
        ("#/x", "literal_error", "Tick this box to go on.")
    ]


def test_an_error_of_the_model_itself_is_of_the_form(make_site):
    class Model(pydantic.BaseModel):
        x: int

        @pydantic.model_validator(mode="after")
        def refuse(self) -> t.Self:
            raise ValueError("Never.")

    response = make_site(FormSpec(Model, name="m")).post({"x": "1"})
    assert "<li>Never.</li>" in response.text


def test_a_field_that_is_not_known_is_told_where_the_model_forbids_it(make_site):
    class Model(pydantic.BaseModel, extra="forbid"):
        x: int = 1

    site = make_site(FormSpec(Model, name="m"))
    refused = site.post(json={"y": 1}).get_json()["errors"]
    assert [(e["pointer"], e["code"]) for e in refused] == [("#/y", "extra_forbidden")]
    as_json = {"Accept": "application/json"}
    form = site.post({"y": "1", "csrf_token": "z"}, headers=as_json)
    assert form.get_json()["errors"] == refused
    # What the markup itself adds is no field.
    ours = {"x": "1", "csrf_token": "z", "_version": "1"}
    assert site.post(ours).status_code == 303


def test_an_object_that_is_no_model_is_written_by_the_app(spec):
    app = make_app(Forms())

    @app.post("/")
    @spec.handles
    def view(form):
        return form.done("/x", {"id": 7} if form.submit() else None)

    assert submit(app.test_client(), "/", json=RIGHT).get_json() == {"id": 7}
    assert submit(app.test_client(), "/", json={}).get_json() == {}


def test_a_default_that_depends_on_other_fields_is_not_shown():
    class Model(pydantic.BaseModel):
        name: str = "x"
        nick: str = pydantic.Field(default_factory=lambda data: data["name"])

    app = make_app(Forms())
    with app.test_request_context():
        form = FormSpec(Model, name="m").bind()
        assert form["nick"].value is None
        assert form["name"].value == "x"


@pytest.mark.parametrize("named", [None, ["GET", "POST"], ["POST"], ["GET"]])
def test_a_route_without_methods_takes_a_form_and_one_with_methods_takes_these(named):
    app = make_app(Forms())
    spec = FormSpec(Address, name="address")

    @app.route("/", methods=named)
    @spec.handles
    def view(form: Bound[Address]) -> str:
        return str(form.submit())

    taken = [app.test_client().get("/"), submit(app.test_client(), "/", data={})]
    wanted = [(m in (named or ["GET", "POST"])) for m in ("GET", "POST")]
    assert [response.status_code == 200 for response in taken] == wanted


class Home(pydantic.BaseModel, extra="allow"):
    city: str = ""


class Cat(Home):
    kind: t.Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: t.Literal["dog"]


class Open(pydantic.BaseModel, extra="allow"):
    title: str
    home: Home = Home()
    homes: list[Home] = []
    pet: t.Annotated[Cat | Dog | None, pydantic.Field(discriminator="kind")] = None


_WORDS = st.text("ab", min_size=1, max_size=2)
_MORE = st.dictionaries(_WORDS, _WORDS | st.lists(_WORDS, min_size=2), max_size=3)


@given(_MORE, _MORE, _MORE, _MORE)
def test_what_no_field_has_is_kept_of_a_form_as_of_json(first, home, row, pet):
    body = {
        "title": "x",
        **first,
        "home": {"city": "Ur", **home},
        "homes": [{"city": "Oz", **row}],
        "pet": {"kind": "cat", "city": "Ib", **pet},
    }
    sent = {"title": "x", **first}
    for start, fields in (
        ("home", body["home"]),
        ("homes-0", body["homes"][0]),
        ("pet", body["pet"]),
    ):
        sent |= {f"{start}.{name}": value for name, value in fields.items()}
    # What the markup itself adds is no field.
    sent |= {"csrf_token": "z", "_version": "1"}
    spec = FormSpec(Open, name="open")
    app = make_app(Forms())
    found = []
    for options in ({"json": body}, {"data": sent}):
        headers = {"Sec-Fetch-Site": "same-origin"}
        with app.test_request_context("/", method="POST", headers=headers, **options):
            form = spec.bind()
            found.append(form.submit())
            assert not form.errors
    assert found[0] == found[1] == Open.model_validate(body)
    assert found[1].model_extra == first


def test_a_union_without_extras_in_one_model_drops_them_as_json_does(make_site):
    site = make_site(FormSpec(Open, name="open"))
    assert site.post({"title": "x", "pet.kind": "dog", "pet.a": "1"}).status_code == 303
    assert site.data.pet == Dog(kind="dog")


def test_the_pages_of_a_form_keep_only_what_has_a_field():
    pages = {"one": ["title"], "two": ["home", "homes", "pet"]}
    with pytest.raises(DeclarationError, match="keep only what has a field"):
        Steps(Open, name="s", pages=pages)
