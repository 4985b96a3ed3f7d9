"""Every public signature, as type checkers see it; checked, never run."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path
from typing import assert_type

import flask
import flask.views
import pydantic
import quart
import quart.views
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from quart.typing import ResponseReturnValue as QuartResponseReturnValue
from werkzeug.exceptions import HTTPException

from flaskware_forms import BadBody
from flaskware_forms import BodyTooLarge
from flaskware_forms import Bound
from flaskware_forms import BoundField
from flaskware_forms import BoundSteps
from flaskware_forms import Button
from flaskware_forms import CheckContext
from flaskware_forms import CrossSiteRefused
from flaskware_forms import File
from flaskware_forms import FormError
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import FormsSettings
from flaskware_forms import from_wtforms
from flaskware_forms import Image
from flaskware_forms import openapi_blueprint
from flaskware_forms import Steps
from flaskware_forms import to_wtforms
from flaskware_forms import Ui
from flaskware_forms import UnsupportedBody
from flaskware_forms import Upload
from flaskware_forms.testing import async_csrf_token
from flaskware_forms.testing import async_submit
from flaskware_forms.testing import csrf_token
from flaskware_forms.testing import submit

app = flask.Flask(__name__)
forms = Forms(app)
assert_type(forms.settings, FormsSettings)
assert_type(forms.settings.max_depth, int)


class SignUp(pydantic.BaseModel):
    email: str
    name: t.Annotated[str, Ui(label="Full name", hint="As on letters", rows=2)]
    paper: t.Annotated[Upload, File("pdf", max_bytes=9)] | None = None
    picture: (
        t.Annotated[Upload, Image("png", "jpeg", max_bytes=2 << 20, decode=True)] | None
    ) = None


class SignIn(pydantic.BaseModel):
    email: str


class Lazy:
    """A text of Flask-Babel, which has no annotations."""

    def __html__(self) -> str:
        return ""


lazy = Lazy()
Ui(label=lazy, labels={"a": lazy})
Ui(attributes={"data-x": "1", "inert": True, "title": lazy})
Ui(attributes={"data-x": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
Ui(readonly=True, disabled=True, groups={"a": ["b"]}, choices=lambda: {"a": [1]})


async def rooms() -> list[str]:
    return ["hall"]


Ui(choices=rooms)
Ui(widget="textaera")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


sign_up = FormSpec(SignUp, name="sign-up")
assert_type(sign_up, FormSpec[SignUp])


@sign_up.check("email")
def email_is_free(value: str) -> str | None:
    return "Taken." if value == "a" else None


assert_type(email_is_free("a"), str | None)


@sign_up.check()
def name_is_not_email(data: SignUp) -> str | None:
    return "Different, please." if data.name == data.email else None


@sign_up.check()  # type: ignore[arg-type]
def another_model(data: SignIn) -> str | None:  # pyright: ignore[reportArgumentType]
    return data.email


@sign_up.check("name")
async def name_is_free(value: str) -> str | None:
    return None


@sign_up.check()
async def all_is_well(data: SignUp) -> str | None:
    return data.name


@sign_up.check("name")
def name_of_object(value: str, context: CheckContext[SignUp]) -> str | None:
    return context.data.name


@sign_up.check()
def all_of_object(data: SignUp, context: CheckContext[SignUp]) -> str | None:
    assert_type(context.path, tuple[str | int, ...])
    return str(context.obj)


@sign_up.check()  # type: ignore[arg-type]
def another_context(data: SignUp, context: CheckContext[SignIn]) -> str | None:  # pyright: ignore[reportArgumentType]
    return None


assert_type(name_is_not_email(SignUp(email="a", name="b")), str | None)


@app.route("/<int:user_id>", methods=["GET", "POST"])
@sign_up.handles
def register(form: Bound[SignUp], user_id: int) -> ResponseReturnValue:
    assert_type(form.submitted, bool)
    assert_type(form.is_multipart, bool)
    if data := form.submit():
        assert_type(data, SignUp)
        if data.picture is not None:
            assert_type(data.picture, Upload)
        form.add_error("Taken.", "email", code="taken")
        return form.done("/", data)
    assert_type(form.submit(), SignUp | None)
    form.fill({"email": "a"})
    return form.respond("page.html", block="form", user_id=user_id)


register(1)
assert_type(register(user_id=1), ResponseReturnValue)
register("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
register()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@sign_up.handles
async def register_later(form: Bound[SignUp], *, user_id: int) -> ResponseReturnValue:
    if data := await form.async_submit():
        assert_type(data, SignUp)
    assert_type(await form.async_save(object(), object()), bool)
    return form.respond("page.html", user_id=user_id)


assert_type(register_later(user_id=1), cabc.Awaitable[ResponseReturnValue])


def wrong(form: Bound[SignIn]) -> ResponseReturnValue:
    return form.respond("page.html")


sign_up.handles(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


def show(form: Bound[SignUp]) -> None:
    assert_type(form.errors, tuple[FormError, ...])
    assert_type(form.errors[0].path, tuple[str | int, ...])
    assert_type(form.errors[0].pointer, str)
    assert_type(form.render(action="/", submit="Go", live=True), Markup)
    assert_type(form.rows(live=True), Markup)
    assert_type(form.apply(object()), frozenset[str])
    assert_type(form.save(object(), object()), bool)
    form.as_wtforms()
    assert_type(form["email"].hint(), Markup)
    assert_type(form.title("A page"), str)
    assert_type(form["email"].needed, bool | None)
    assert_type(form["email"].kind, str)
    assert_type(form["email"].text, str)
    assert_type([choice.value for choice in form["email"].choices], list[str])
    assert_type(str(form["email"].attributes), str)
    assert_type(form.csrf(), Markup)
    assert_type(form.errors_summary(), Markup)
    assert_type(form["email"], BoundField)
    assert_type(form["email"].row(), Markup)
    assert_type(form["email"].control(), Markup)
    assert_type(form["email"].label(), Markup)
    assert_type(form["email"].error(), Markup)
    assert_type(form["email"].errors, tuple[FormError, ...])
    assert_type([field.name for field in form], list[str])


assert_type(sign_up.bind(obj={"email": "a"}, prefix="a"), Bound[SignUp])
named = FormSpec(
    SignIn, name="n", buttons={"a": "A", "b": Button(lazy, validates=False)}
)
search = FormSpec(SignIn, name="s", method="get")
FormSpec(SignIn, name="s", method="put")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Edit(flask.views.MethodView):
    @named.handles
    def post(self, form: Bound[SignIn], user_id: int) -> ResponseReturnValue:
        assert_type(form.pressed, str | None)
        assert_type(form.id, str)
        assert_type(form.status, int)
        assert_type(form.buttons(), Markup)
        return form.done("/", form.submit())

    @named.handles
    async def put(self, form: Bound[SignIn], user_id: int) -> ResponseReturnValue:
        return form.done("/", await form.async_submit())


assert_type(Edit().post(1), ResponseReturnValue)
assert_type(Edit().put(user_id=1), cabc.Awaitable[ResponseReturnValue])
Edit().post("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Card(pydantic.BaseModel):
    kind: t.Literal["card"]


class Iban(pydantic.BaseModel):
    kind: t.Literal["iban"]


class Pay(pydantic.BaseModel):
    by: t.Annotated[Card | Iban, pydantic.Field(discriminator="kind")]


pay = FormSpec.for_model(object, Pay, name="pay", view_writes=["by"])
assert_type(pay, FormSpec[Pay])
pay.constraint("uq_pay", "by", "Paid already.")
assert_type(pay.json_schema(), dict[str, t.Any])
assert_type(pay.openapi_body(), dict[str, t.Any])


@pay.handles
def paid(form: Bound[Pay]) -> ResponseReturnValue:
    if data := form.submit():
        assert_type(data.by, Card | Iban)
    return form.respond("page.html")


pages = {"a": ["email"], "b": ["name", "paper", "picture"]}
steps = Steps(SignUp, name="steps", pages=pages)
assert_type(steps, Steps[SignUp])


@steps.check("email")
def email_of_a_page(value: str) -> str | None:
    return value


@steps.handles
def page_of(flow: BoundSteps[SignUp], step: str) -> ResponseReturnValue:
    assert_type(flow.number, int)
    assert_type(flow.is_last, bool)
    assert_type(flow.names, tuple[str, ...])
    assert_type(flow.step, str)
    assert_type(flow.render(action="/", live=True), Markup)
    if data := flow.submit():
        assert_type(data, SignUp)
        return flow.done("/", data)
    return flow.respond("page.html", more=1)


@steps.handles
async def page_later(flow: BoundSteps[SignUp], step: str) -> ResponseReturnValue:
    assert_type(await flow.async_submit(), SignUp | None)
    flow.clear()
    return flow.respond("page.html")


assert_type(page_of("a"), ResponseReturnValue)
assert_type(from_wtforms(object), type[pydantic.BaseModel])
to_wtforms(sign_up)
assert_type(openapi_blueprint(title="A", version="1"), flask.Blueprint)


quart_app = quart.Quart(__name__)
Forms(quart_app)


@quart_app.route("/<int:user_id>", methods=["GET", "POST"])
@sign_up.handles
async def in_quart(form: Bound[SignUp], user_id: int) -> QuartResponseReturnValue:
    await form.async_load()
    if data := await form.async_submit():
        assert_type(data, SignUp)
        return form.done("/", data)
    assert_type(await form.async_respond("page.html", block="a"), flask.Response)
    return await form.async_respond("page.html", user_id=user_id)


assert_type(in_quart(1), cabc.Awaitable[QuartResponseReturnValue])


async def post_in_a_test() -> None:
    client = quart_app.test_client()
    answer = await async_submit(client, "/", form={"email": "a"})
    assert_type(answer.status_code, int)
    assert_type(await async_csrf_token(client, "/"), str)


quart_app.register_blueprint(openapi_blueprint(), url_prefix="/docs")


class EditInQuart(quart.views.MethodView):
    @named.handles
    async def post(self, form: Bound[SignIn]) -> QuartResponseReturnValue:
        return form.done("/", await form.async_submit())


assert_type(EditInQuart().post(), cabc.Awaitable[QuartResponseReturnValue])


@quart_app.route("/pages/<step>", methods=["GET", "POST"])
@steps.handles
async def pages_in_quart(
    flow: BoundSteps[SignUp], step: str
) -> QuartResponseReturnValue:
    assert_type(await steps.async_bind("a"), BoundSteps[SignUp])
    return await flow.async_respond("page.html")


def keep(upload: Upload) -> None:
    assert_type(upload.original_filename, str)
    assert_type(upload.encoding, str | None)
    assert_type(upload.filename, str)
    assert_type(upload.content_type, str)
    assert_type(upload.size, int)
    assert_type(upload.open(), t.IO[bytes])
    assert_type(upload.read(), bytes)
    assert_type(upload.save("here"), Path)


def plain() -> str:
    return ""


assert_type(forms.exempt(plain)(), str)
assert_type(submit(app.test_client(), "/", data={}).status_code, int)
assert_type(csrf_token(app.test_client(), "/"), str)
FormSpec(int, name="no")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]

refusals: list[type[HTTPException]]
refusals = [BadBody, BodyTooLarge, UnsupportedBody, CrossSiteRefused]
