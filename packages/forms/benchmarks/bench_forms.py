"""A post of ten fields, and the same ten fields rendered."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t
from urllib.parse import urlencode

import annotated_types as at
import flask
import pydantic
from flask.testing import FlaskClient

from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec

BASELINE = "bare Flask"

_BODY = {
    "name": "Ann Smith",
    "email": "ann@example.com",
    "street": "1 Long Street",
    "city": "Springfield",
    "country": "Utopia",
    "age": "33",
    "height": "1.75",
    "notes": "Nothing to say",
    "news": "true",
    "level": "high",
}
_Text = t.Annotated[str, at.Len(1, 40)]


class Ten(pydantic.BaseModel):
    """Ten fields of the usual kinds."""

    name: _Text
    email: _Text
    street: _Text
    city: _Text
    country: _Text
    age: t.Annotated[int, at.Ge(18)]
    height: float
    notes: _Text
    news: bool
    level: t.Literal["low", "high"]


_SPEC = FormSpec(Ten, name="ten")


def cases() -> dict[str, cabc.Callable[[], object]]:
    """Each posts the ten fields once, or renders them twenty times."""
    found: dict[str, cabc.Callable[[], object]] = {
        BASELINE: _post(_bare()),
        "flaskware-forms, no CSRF": _post(_typed(WTF_CSRF_ENABLED=False)),
        "flaskware-forms, layered CSRF": _post(_typed()),
        "flaskware-forms, errors as a problem": _post(
            _typed(), {**_BODY, "age": "x"}, HTTP_ACCEPT="application/json"
        ),
        "flaskware-forms, rendered 20 times": _render_typed(),
    }
    with contextlib.suppress(ImportError):
        found["Flask-WTF, no CSRF"] = _post(_flask_wtf(WTF_CSRF_ENABLED=False))
        found["Flask-WTF, CSRF"] = _post_with_token(_flask_wtf())
        found["WTForms, rendered 20 times"] = _render_wtforms()
    return found


def _app(**config: t.Any) -> flask.Flask:
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY="0123456789abcdef" * 4, **config)
    return app


def _bare() -> flask.Flask:
    app = _app()

    @app.post("/")
    def view() -> str:
        form = flask.request.form
        return str(len([form[name] for name in _BODY]))

    return app


def _typed(**config: t.Any) -> flask.Flask:
    app = _app(**config)
    Forms(app)

    @app.post("/")
    @_SPEC.handles
    def view(form: Bound[Ten]) -> flask.typing.ResponseReturnValue:
        if data := form.submit():
            return data.name
        return form.respond("never.html")

    return app


def _flask_wtf_form() -> type[t.Any]:
    import flask_wtf
    import wtforms
    from wtforms import validators

    def text() -> t.Any:
        return wtforms.StringField(
            validators=[validators.InputRequired(), validators.Length(1, 40)]
        )

    class TenForm(flask_wtf.FlaskForm):  # type: ignore[misc]
        name = text()
        email = text()
        street = text()
        city = text()
        country = text()
        age = wtforms.IntegerField(validators=[validators.NumberRange(min=18)])
        height = wtforms.FloatField(validators=[validators.InputRequired()])
        notes = text()
        news = wtforms.BooleanField()
        level = wtforms.SelectField(choices=["low", "high"])

    return TenForm


def _flask_wtf(**config: t.Any) -> flask.Flask:
    form_class = _flask_wtf_form()
    app = _app(**config)

    @app.route("/", methods=["GET", "POST"])
    def view() -> str:
        form = form_class()
        if flask.request.method == "GET":
            return t.cast("str", form.csrf_token.current_token)
        assert form.validate_on_submit(), form.errors
        return t.cast("str", form.name.data)

    return app


def _post(
    app: flask.Flask, body: cabc.Mapping[str, str] = _BODY, **environ: str
) -> cabc.Callable[[], object]:
    return _post_by(app.test_client(), body, **environ)


def _post_by(
    client: FlaskClient, body: cabc.Mapping[str, str], **environ: str
) -> cabc.Callable[[], object]:
    data = urlencode(body)
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}

    def post() -> object:
        return client.post(
            "/",
            data=data,
            content_type="application/x-www-form-urlencoded",
            headers=headers,
            environ_overrides=environ,
        )

    return post


def _post_with_token(app: flask.Flask) -> cabc.Callable[[], object]:
    client = app.test_client()
    token = client.get("/").text
    return _post_by(client, {**_BODY, "csrf_token": token})


def _render_typed() -> cabc.Callable[[], object]:
    app = _typed(WTF_CSRF_ENABLED=False)

    def render() -> object:
        with app.test_request_context():
            form = _SPEC.bind(_BODY)
            return [form.rows() for _ in range(20)]

    return render


def _render_wtforms() -> cabc.Callable[[], object]:
    form_class = _flask_wtf_form()
    app = _app(WTF_CSRF_ENABLED=False)

    def render() -> object:
        with app.test_request_context():
            form = form_class(data=_BODY)
            return [
                "".join(f"<div>{field.label}{field()}</div>" for field in form)
                for _ in range(20)
            ]

    return render
