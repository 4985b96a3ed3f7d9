"""Several forms on one page, several buttons, search forms and classes of views."""

from __future__ import annotations

import io
import typing as t

import annotated_types as at
import flask
import jinja2
import pydantic
import pytest
from forms_frameworks import method_view_for
from forms_page import Page
from forms_page import sent_by

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Button
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Upload
from flaskware_forms.testing import submit


class SignIn(pydantic.BaseModel):
    email: t.Annotated[str, at.MinLen(3)]
    password: t.Annotated[pydantic.SecretStr, at.MinLen(8)]


class SignUp(pydantic.BaseModel):
    email: t.Annotated[str, at.MinLen(3)]
    name: t.Annotated[str, at.MinLen(1)]
    tags: list[str] = []


SIGN_IN = FormSpec(SignIn, name="in")
SIGN_UP = FormSpec(SignUp, name="up")
PAGE = "{{ form.render() }}<hr>{{ other.render() }}"


def two_forms() -> tuple[flask.Flask, list[t.Any]]:
    app = make_app(Forms())
    app.jinja_loader = jinja2.DictLoader({"page.html": PAGE})
    got: list[t.Any] = []

    @app.route("/", methods=["GET", "POST"])
    @SIGN_IN.handles
    def view(form: Bound[SignIn]) -> flask.typing.ResponseReturnValue:
        other = SIGN_UP.bind()
        if data := form.submit():
            got.append(data)
            return form.done("/in")
        if sign_up := other.submit():
            got.append(sign_up)
            return other.done("/up")
        got.append([form.submitted, other.submitted])
        return form.respond("page.html", other=other)

    return app, got


def parts(text: str) -> list[Page]:
    return [Page(part) for part in text.split("<hr>")]


def test_only_the_form_that_is_sent_is_read():
    app, got = two_forms()
    client = app.test_client()
    pages = parts(client.get("/").text)
    assert got.pop() == [False, False]
    for page, extra, where in (
        (pages[0], {"email": "a@b", "password": "longenough"}, "/in"),
        (pages[1], {"email": "a@b", "name": "Ann"}, "/up"),
    ):
        answer = submit(client, "/", data={**sent_by(page), **extra})
        assert answer.status_code == 303
        assert answer.location == where
    assert [type(each) for each in got] == [SignIn, SignUp]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_errors_are_on_the_form_that_is_sent(accept):
    app, got = two_forms()
    client = app.test_client()
    page = parts(client.get("/").text)[1]
    sent = {**sent_by(page), "email": "a@b", "name": ""}
    answer = submit(client, "/", data=sent, headers={"Accept": accept})
    assert answer.status_code == 422
    assert got.pop() == [False, True]
    if accept == "application/json":
        assert [e["pointer"] for e in answer.json["errors"]] == ["#/name"]
        return
    first, second = parts(answer.text)
    assert "in--errors" not in first.ids()
    assert first.control("email").get("value") == ""
    assert second.control("name")["aria-invalid"] == "true"
    assert second.control("email")["value"] == "a@b"


def test_a_row_is_added_to_the_form_that_has_it():
    app, _ = two_forms()
    client = app.test_client()
    page = parts(client.get("/").text)[1]
    answer = submit(client, "/", data={**sent_by(page), "_row": "add:tags"})
    assert answer.status_code == 200
    _, second = parts(answer.text)
    assert [a["name"] for tag, a in second.tags if tag == "input"].count("tags") == 2


def test_a_field_of_the_second_form_is_validated_live():
    app, got = two_forms()
    page = parts(app.test_client().get("/").text)[1]
    got.clear()
    answer = submit(
        app.test_client(),
        "/",
        data={**sent_by(page), "name": ""},
        headers={"Form-Validate-Only": "name"},
    )
    assert answer.status_code == 422
    assert [e["pointer"] for e in answer.json["errors"]] == ["#/name"]
    assert got == []


def test_a_form_whose_token_is_missing_is_not_read_whichever_it_is():
    app, got = two_forms()
    for name in ("in", "up"):
        answer = app.test_client().post("/", data={"_form": name, "email": "a@b"})
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
    answer = app.test_client().post("/", data={"_form": "neither"})
    assert answer.status_code == 400
    assert got[-1] == [False, False]


class Comment(pydantic.BaseModel):
    text: t.Annotated[str, at.MinLen(1)]
    lines: list[str] = []


COMMENT = FormSpec(Comment, name="comment")


def app_with_prefixes() -> tuple[flask.Flask, dict[str, t.Any]]:
    app = make_app(Forms())
    got: dict[str, t.Any] = {}

    @app.route("/", methods=["GET", "POST"])
    def view() -> str:
        forms = {p: COMMENT.bind({"text": p}, prefix=p) for p in ("a", "b")}
        for prefix, form in forms.items():
            if data := form.submit():
                got[prefix] = data.text
        return "<hr>".join(form.render() for form in forms.values())

    return app, got


def test_one_form_stands_twice_on_a_page_with_prefixes():
    app, got = app_with_prefixes()
    client = app.test_client()
    text = client.get("/").text
    first, second = parts(text)
    ids = [*first.ids(), *second.ids()]
    assert len(ids) == len(set(ids))
    assert second.control("b.text")["value"] == "b"
    submit(client, "/", data={**sent_by(second), "b.text": "new"})
    assert got == {"b": "new"}
    # Both in one form element: each takes what is its own.
    both = {**sent_by(first), **sent_by(second), "_form": ["comment-a", "comment-b"]}
    submit(client, "/", data=both)
    assert got == {"a": "a", "b": "b"}


def test_errors_rows_and_live_fields_work_with_a_prefix():
    app, got = app_with_prefixes()
    client = app.test_client()
    _, second = parts(client.get("/").text)
    sent = sent_by(second)
    text = submit(client, "/", data={**sent, "b.text": ""}).text
    wrong = Page(text.partition("<hr>")[2])
    assert wrong.control("b.text")["aria-invalid"] == "true"
    assert 'href="#comment-b-text"' in text
    added = submit(client, "/", data={**sent, "_row": "add:b.lines"}).text
    assert added.count('name="b.lines"') == 2
    assert added.count('name="a.lines"') == 1
    assert got == {}
    headers = {"Form-Validate-Only": "b.text", "HX-Request": "true"}
    live = submit(client, "/", data={**sent, "b.text": ""}, headers=headers)
    assert 'name="b.text"' in live.text
    assert 'aria-invalid="true"' in live.text


@pytest.mark.parametrize("prefix", ["a-b", "a.b", "a b", '"'])
def test_a_prefix_that_reads_like_a_name_is_refused(prefix):
    with (
        make_app(Forms()).test_request_context(),
        pytest.raises(DeclarationError, match="prefix"),
    ):
        COMMENT.bind(prefix=prefix)


class Post(pydantic.BaseModel):
    title: t.Annotated[str, at.MinLen(1)]
    tags: list[str] = []


BUTTONS = {
    "publish": "Publish <now>",
    "draft": "Save as draft",
    "delete": Button("Delete", validates=False),
}


@pytest.fixture
def pressing():
    spec = FormSpec(Post, name="post", buttons=BUTTONS)
    app = make_app(Forms())

    @app.route("/", methods=["GET", "POST"])
    @spec.handles
    def view(form: Bound[Post]) -> t.Any:
        data = form.submit()
        if data or form.pressed == "delete":
            return {"pressed": form.pressed, "valid": bool(data)}
        return form.render(), 422 if form.errors else 200

    return app.test_client()


def test_the_view_knows_which_button_was_pressed(pressing):
    page = Page(pressing.get("/").text)
    buttons = [a for tag, a in page.tags if tag == "button" and a.get("name")]
    named = [a for a in buttons if a["name"] == "_button"]
    assert [a["value"] for a in named] == ["publish", "draft", "delete"]
    assert [a["value"] for a in named if "formnovalidate" in a] == ["delete"]
    assert "Publish <now>" in page.text
    for name in ("publish", "draft"):
        answer = submit(pressing, "/", data={"title": "x", "_button": name})
        assert answer.json == {"pressed": name, "valid": True}
    # The Enter key sends no button's name, as the first button has none.
    answer = submit(pressing, "/", data={"title": "x"})
    assert answer.json == {"pressed": "publish", "valid": True}


def test_a_button_that_does_not_validate_leaves_the_form_unread(pressing):
    answer = submit(pressing, "/", data={"title": "", "_button": "delete"})
    assert answer.json == {"pressed": "delete", "valid": False}
    assert submit(pressing, "/", data={"title": ""}).status_code == 422


def test_a_button_is_not_pressed_by_another_site_nor_by_a_made_up_name(pressing):
    answer = pressing.post("/", data={"_button": "delete"})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    answer = submit(pressing, "/", data={"title": "x", "_button": "made-up"})
    assert answer.status_code == 400
    # A row is no button of the form.
    answer = submit(pressing, "/", data={"_row": "add:tags", "_button": "delete"})
    assert "add:tags" in answer.text


class Search(pydantic.BaseModel):
    q: t.Annotated[str, at.MaxLen(5)] = ""
    kinds: list[t.Literal["a", "b"]] = []
    page: t.Annotated[int, at.Ge(1)] = 1


SEARCH = FormSpec(Search, name="search", method="get")


@pytest.fixture
def searching():
    app = make_app(Forms())
    app.jinja_loader = jinja2.DictLoader({"page.html": "{{ form.render() }}"})

    @app.get("/")
    @SEARCH.handles
    def view(form: Bound[Search]) -> t.Any:
        if data := form.submit():
            return data.model_dump()
        return form.respond("page.html")

    return app.test_client()


def test_a_search_form_reads_the_query_string(searching):
    answer = searching.get("/?q=abc&kinds=a&kinds=b&utm_source=x")
    assert answer.json == {"q": "abc", "kinds": ["a", "b"], "page": 1}
    page = Page(searching.get("/?utm_source=x").text)
    form = next(attrs for tag, attrs in page.tags if tag == "form")
    assert form["method"] == "get"
    # What the form sends is an address to share: no token, nothing but its fields.
    heads = {name.partition(".")[0] for name in sent_by(page)}
    assert heads <= {"q", "kinds", "page"}
    assert searching.get("/", query_string=sent_by(page)).json["page"] == 1


def test_a_search_form_stores_nothing_and_shows_its_errors(searching):
    assert "Set-Cookie" not in searching.get("/").headers
    answer = searching.get("/?q=toolong&page=0")
    assert answer.status_code == 422
    page = Page(answer.text)
    assert page.control("q")["value"] == "toolong"
    assert page.control("page")["aria-invalid"] == "true"
    assert searching.get("/?q=%00").status_code == 400


def test_files_and_secrets_do_not_go_into_a_url():
    for kind in (pydantic.SecretStr, Upload, list[Upload]):
        model = pydantic.create_model("M", a=(kind, ...))
        with pytest.raises(DeclarationError, match="does not belong in a URL"):
            FormSpec(model, name="m", method="get")
    with pytest.raises(DeclarationError, match="Write 'post' or 'get'"):
        FormSpec(Search, name="m", method=t.cast("t.Any", "GET"))
    with (
        make_app(Forms()).test_request_context(),
        pytest.raises(DeclarationError, match="not validated live"),
    ):
        SEARCH.bind().render(live=True)


class Picture(pydantic.BaseModel):
    file: Upload


PICTURE = FormSpec(Picture, name="picture")


def view_class() -> flask.Flask:
    app = make_app(Forms())

    class Edit(method_view_for(app)):
        def get(self, number: int) -> str:
            return SIGN_UP.bind().render()

        @SIGN_UP.handles
        def post(self, form: Bound[SignUp], number: int) -> t.Any:
            if data := form.submit():
                return {"name": data.name, "number": number, "of": type(self).__name__}
            return form.render(), form.status

        @SIGN_UP.handles
        async def put(self, form: Bound[SignUp], number: int) -> t.Any:
            data = await form.async_submit()
            return {"name": data and data.name, "number": number}

    app.add_url_rule("/<int:number>", view_func=Edit.as_view("edit"))
    return app


def test_a_method_of_a_class_of_views_handles_a_form():
    app = view_class()
    client = app.test_client()
    answer = submit(client, "/7", data={"email": "a@b", "name": "Ann"})
    assert answer.json == {"name": "Ann", "number": 7, "of": "Edit"}
    answer = client.put("/7", json={"email": "a@b", "name": "Ann"})
    assert answer.json == {"name": "Ann", "number": 7}
    assert submit(client, "/7", data={"email": ""}).status_code == 422


def test_a_class_of_views_shows_an_old_form_again_and_is_described():
    app = view_class()
    answer = app.test_client().post("/7", data={"email": "a@b", "name": "Ann"})
    assert answer.status_code == 400
    assert 'value="Ann"' in answer.text
    found = app.test_cli_runner().invoke(args=["forms", "openapi"])
    assert '"/{number}"' in found.output


def test_a_second_form_may_take_files():
    app = make_app(Forms(), FORMS_MAX_BODY_SIZE=1000)

    @app.post("/")
    @SIGN_IN.handles
    def view(form: Bound[SignIn]) -> t.Any:
        picture = PICTURE.bind()
        assert form.submit() is None
        data = picture.submit()
        return {"size": data.file.size if data else None}

    file = (io.BytesIO(b"x" * 100_000), "a.txt")
    sent = {"_form": "picture", "file": file}
    assert submit(app.test_client(), "/", data=sent).json == {"size": 100_000}
