"""A post of 100 fields, of 200 rows, and 100 fields rendered, beside what others take.

FastAPI reads forms into a model too, but no rows.
"""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import typing as t
from urllib.parse import urlencode

import annotated_types as at
import flask
import pydantic

from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec

BASELINE = "bare Flask, 100 fields"

_FORM = "application/x-www-form-urlencoded"
_NAMES = [f"field{number}" for number in range(100)]
_FIELDS = {name: str(n) if n % 3 == 1 else f"text {n}" for n, name in enumerate(_NAMES)}
_ROWS = {
    f"rows-{n}-{name}": text
    for n in range(200)
    for name, text in (("name", f"name {n}"), ("count", str(n)))
}
_Text = t.Annotated[str, at.Len(1, 40)]


class Row(pydantic.BaseModel):
    """One of 200 rows."""

    name: _Text
    count: t.Annotated[int, at.Ge(0)]


class Rows(pydantic.BaseModel):
    """A list of rows."""

    rows: list[Row]


_declared: dict[str, t.Any] = {
    name: (t.Annotated[int, at.Ge(0)] if n % 3 == 1 else _Text, ...)
    for n, name in enumerate(_NAMES)
}
Hundred = pydantic.create_model("Hundred", **_declared)
_HUNDRED: FormSpec[t.Any] = FormSpec(Hundred, name="hundred")
_MANY = FormSpec(Rows, name="many")


def cases() -> dict[str, cabc.Callable[[], object]]:
    """Each posts the fields or the rows once, or renders the fields once."""
    found = {
        BASELINE: _post(_bare(), _FIELDS),
        "flaskware-forms, 100 fields": _post(_typed(_HUNDRED), _FIELDS),
        "flaskware-forms, 200 rows": _post(_typed(_MANY), _ROWS),
        "flaskware-forms, 100 fields rendered": _render_typed(),
    }
    with contextlib.suppress(ImportError):
        found["Flask-WTF, 100 fields"] = _post(_flask_wtf(_hundred_form()), _FIELDS)
        found["Flask-WTF, 200 rows"] = _post(_flask_wtf(_rows_form()), _ROWS)
        found["WTForms, 100 fields rendered"] = _render_wtforms()
    with contextlib.suppress(ImportError):
        found["FastAPI, 100 fields"] = _post_asgi(_fastapi(), _FIELDS)
    return found


def _app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.config.update(
        SECRET_KEY="0123456789abcdef" * 4,
        WTF_CSRF_ENABLED=False,
        MAX_FORM_MEMORY_SIZE=1 << 20,
    )
    return app


def _bare() -> flask.Flask:
    app = _app()

    @app.post("/")
    def view() -> str:
        form = flask.request.form
        return str(len([form[name] for name in _FIELDS]))

    return app


def _typed(spec: FormSpec[t.Any]) -> flask.Flask:
    app = _app()
    Forms(app)

    @app.post("/")
    @spec.handles
    def view(form: Bound[t.Any]) -> flask.typing.ResponseReturnValue:
        if form.submit():
            return "ok"
        raise AssertionError(form.errors)

    return app


def _hundred_form() -> type[t.Any]:
    import flask_wtf
    import wtforms
    from wtforms import validators

    fields: dict[str, t.Any] = {
        name: wtforms.IntegerField(validators=[validators.NumberRange(min=0)])
        if n % 3 == 1
        else wtforms.StringField(validators=[validators.Length(1, 40)])
        for n, name in enumerate(_NAMES)
    }
    return type("HundredForm", (flask_wtf.FlaskForm,), fields)


def _rows_form() -> type[t.Any]:
    import flask_wtf
    import wtforms
    from wtforms import validators

    class RowForm(wtforms.Form):  # type: ignore[misc]
        name = wtforms.StringField(validators=[validators.Length(1, 40)])
        count = wtforms.IntegerField(validators=[validators.NumberRange(min=0)])

    class RowsForm(flask_wtf.FlaskForm):  # type: ignore[misc]
        rows = wtforms.FieldList(wtforms.FormField(RowForm))

    return RowsForm


def _flask_wtf(form_class: type[t.Any]) -> flask.Flask:
    app = _app()

    @app.post("/")
    def view() -> str:
        form = form_class()
        assert form.validate_on_submit(), form.errors
        return "ok"

    return app


def _post(app: flask.Flask, body: cabc.Mapping[str, str]) -> cabc.Callable[[], object]:
    client, data = app.test_client(), urlencode(body)

    def post() -> object:
        response = client.post("/", data=data, content_type=_FORM)
        assert response.status_code == 200
        return response

    return post


def _fastapi() -> t.Any:
    import fastapi

    app = fastapi.FastAPI()

    async def view(data: t.Any) -> str:
        return "ok"

    # A local name is no annotation that FastAPI can look up.
    view.__annotations__["data"] = t.Annotated[Hundred, fastapi.Form()]
    app.post("/")(view)
    return app


def _post_asgi(app: t.Any, body: cabc.Mapping[str, str]) -> cabc.Callable[[], object]:
    """Call an app of ASGI, as cheaply as Werkzeug's client calls one of WSGI."""
    data = urlencode(body).encode()
    scope: dict[str, t.Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1",
        "method": "POST", "scheme": "http", "path": "/", "raw_path": b"/",
        "query_string": b"", "root_path": "", "client": None, "server": None,
        "headers": [
            (b"host", b"localhost"), (b"content-type", _FORM.encode()),
            (b"content-length", str(len(data)).encode()),
        ],
    }  # fmt: skip
    loop = asyncio.new_event_loop()

    async def call() -> int:
        status = 0

        async def receive() -> dict[str, t.Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: dict[str, t.Any]) -> None:
            nonlocal status
            status = message.get("status", status)

        await app(dict(scope), receive, send)
        return status

    def post() -> object:
        status = loop.run_until_complete(call())
        assert status == 200
        return status

    return post


def _render_typed() -> cabc.Callable[[], object]:
    app = _typed(_HUNDRED)

    def render() -> object:
        with app.test_request_context():
            return _HUNDRED.bind(_FIELDS).rows()

    return render


def _render_wtforms() -> cabc.Callable[[], object]:
    form_class, app = _hundred_form(), _app()

    def render() -> object:
        with app.test_request_context():
            form = form_class(data=_FIELDS)
            return "".join(f"<div>{field.label}{field()}</div>" for field in form)

    return render
