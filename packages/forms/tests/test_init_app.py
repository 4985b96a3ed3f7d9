from __future__ import annotations

import subprocess
import sys

import jinja2
import pydantic
import pytest
from flask_wtf import CSRFProtect
from flask_wtf import FlaskForm
from wtforms import StringField

from flaskware_core import AlreadyInitialised
from flaskware_core import NotInitialised
from flaskware_core.testing import make_app
from flaskware_core.testing import rendered
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec


class Model(pydantic.BaseModel):
    name: str


SPEC = FormSpec(Model, name="m")


def test_the_extension_is_found_under_its_name():
    forms = Forms()
    app = make_app(forms)
    assert app.extensions["forms"] is forms


def test_the_style_sheet_is_served():
    app = make_app(Forms())
    with app.test_client().get("/flaskware-forms/forms.css") as response:
        assert response.status_code == 200
        assert ".form-error" in response.text


def test_macros_link_the_style_sheet_and_configure_htmx_without_inline_script():
    app = make_app(Forms())
    template = (
        "{% from 'flaskware_forms/macros.html' import styles, htmx_config %}"
        "{{ styles() }}{{ htmx_config() }}"
    )
    with app.test_request_context():
        text = rendered(template)
    assert "/flaskware-forms/forms.css" in text
    assert "4(00|09|22)" in text
    assert "<script" not in text


def test_the_live_form_macro_posts_by_htmx_and_without_it():
    app = make_app(Forms())
    app.jinja_loader = jinja2.ChoiceLoader([])
    template = (
        "{% from 'flaskware_forms/macros.html' import live_form %}{{ live_form(form) }}"
    )
    with app.test_request_context():
        text = rendered(template, form=SPEC.bind())
    assert '<form method="post" id="m" class="form" hx-post=""' in text
    assert 'name="csrf_token"' in text
    assert 'name="name"' in text


@pytest.mark.flask_only("Flask-WTF knows Flask alone")
def test_an_app_that_has_csrfprotect_is_told_to_remove_it():
    app = make_app()
    CSRFProtect(app)
    with pytest.raises(AlreadyInitialised, match=r"Remove it.*forms\.exempt"):
        Forms(app)


def test_a_form_in_an_app_without_forms_says_what_to_call():
    app = make_app()
    with (
        app.test_request_context(),
        pytest.raises(NotInitialised, match=r"Forms\(app\)"),
    ):
        SPEC.bind()


@pytest.mark.flask_only("a FlaskForm knows Flask alone")
def test_a_hand_written_flaskform_works_beside_typed_ones():
    class Old(FlaskForm):
        name = StringField()

    app = make_app(Forms())

    @app.route("/old", methods=["GET", "POST"])
    def old() -> str:
        form = Old()
        if form.validate_on_submit():
            return f"ok {form.name.data}"
        return f"{form.hidden_tag()}{form.errors}"

    client = app.test_client()
    page = client.get("/old").text
    token = page.split('value="')[1].split('"')[0]
    proven = client.post(
        "/old", data={"name": "a"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert proven.text == "ok a"
    by_token = client.post("/old", data={"name": "b", "csrf_token": token})
    assert by_token.text == "ok b"
    assert client.post("/old", data={"name": "c"}).status_code == 400


def test_a_view_without_the_decorator_of_its_form_is_told_what_to_write():
    app = make_app(Forms(), TESTING=True)

    @app.get("/")
    def index(form: Bound[Model]) -> str:
        return form.render()

    @app.get("/other/<word>")
    def other(form: Bound[Model]) -> str:
        return form.render()

    with pytest.raises(TypeError) as caught:
        app.test_client().get("/")
    assert "@<the spec>.handles between @app.route(...)" in caught.value.__notes__[0]
    with pytest.raises(TypeError) as caught:
        app.test_client().get("/other/x")
    assert not hasattr(caught.value, "__notes__")


def test_a_mistake_in_a_declaration_is_told_without_a_traceback(tmp_path):
    (tmp_path / "shop.py").write_text(
        "import flask, pydantic, flaskware_forms as ff\n"
        "class Order(pydantic.BaseModel):\n"
        "    data: bytes\n"
        "app = flask.Flask('shop')\n"
        "ff.FormSpec(Order, name='order')\n"
    )
    command = [sys.executable, "-m", "flask", "--app", "shop", "routes"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "Order.data is bytes" in done.stderr
    assert "shop.py:5" in done.stderr
    assert "Traceback" not in done.stderr
