from __future__ import annotations

import typing as t

import annotated_types as at
import jinja2
import pydantic
import pytest
from forms_models import PAY
from forms_page import Page

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui
from flaskware_forms.testing import submit


class Model(pydantic.BaseModel):
    name: t.Annotated[str, at.MinLen(2), Ui(hint="On paper")]
    email: str = ""
    news: bool = False
    bio: t.Annotated[str, Ui(widget="textarea")] = ""
    size: t.Annotated[t.Literal["s", "l"], Ui(widget="radio")] = "s"
    level: t.Literal["low", "high"] = "low"
    tags: list[str] = []


SPEC = FormSpec(Model, name="m")


def app_with(templates: dict[str, str], **config: t.Any):
    app = make_app(Forms(), **config)
    app.jinja_loader = jinja2.DictLoader(templates)

    @app.route("/", methods=["GET", "POST"])
    @SPEC.handles
    def view(form):
        form.submit()
        return str(form.render())

    return app


def test_bootstrap_has_its_classes_where_bootstrap_wants_them():
    client = app_with({}, FORMS_THEME="bootstrap5").test_client()
    page = Page(submit(client, "/", data={"name": "x"}).text)
    assert page.control("name")["class"] == "form-control is-invalid"
    assert page.control("bio")["class"] == "form-control"
    assert page.control("news")["class"] == "form-check-input"
    assert page.control("size")["class"] == "form-check-input"
    assert page.control("level")["class"] == "form-select"
    classes = [attrs.get("class", "") for _, attrs in page.tags]
    assert "invalid-feedback d-block" in classes
    assert "alert alert-danger" in classes
    assert "btn btn-primary" in classes


@pytest.mark.parametrize("theme", ["plain", "bootstrap5"])
def test_ids_and_references_are_whole_in_each_theme(theme):
    app = make_app(Forms(), FORMS_THEME=theme)
    with app.test_request_context():
        for spec in (SPEC, PAY):
            page = Page(spec.bind().render())
            ids = page.ids()
            assert len(ids) == len(set(ids))
            for _, attrs in page.tags:
                for name in ("for", "aria-describedby"):
                    assert set((attrs.get(name) or "").split()) <= set(ids)


def test_an_app_renders_a_field_by_its_name_or_kind_with_macros_of_its_own():
    own = (
        "{% macro row_name(f) %}<b>{{ f.text }} {{ f.kind }} {{ f.invalid }}</b>"
        "{{ f.label }}{{ f.hint }}{{ f.control }}{{ f.errors }}{% endmacro %}"
        "{% macro row_of_textarea(f) %}<i>{{ f.field }}{{ f.control }}</i>"
        "{% endmacro %}"
        "{% macro row_of_list(f) %}<u>{{ f.text }}{{ f.control }}</u>{% endmacro %}"
    )
    app = app_with({"forms.html": own}, FORMS_TEMPLATE="forms.html")
    client = app.test_client()
    text = submit(client, "/", data={"name": "<"}).text
    assert "<b>Name text True</b>" in text
    page = Page(text)
    assert page.control("name")["value"] == "<"
    assert "m-name--error" in page.ids()
    assert "<i>bio<textarea" in text
    assert '<u>Tags<input type="hidden" name="tags.*" value=""><div class=' in text
    # All others look as the theme has them.
    assert '<div class="form-field"><label for="m-email">' in text
    assert "<b>Name text False</b>" in client.get("/").text


def test_a_template_that_is_changed_is_read_again_where_templates_are():
    templates = {"forms.html": "{% macro row_name(f) %}one{% endmacro %}"}
    app = app_with(templates, FORMS_TEMPLATE="forms.html", TEMPLATES_AUTO_RELOAD=True)
    client = app.test_client()
    assert "one" in client.get("/").text
    templates["forms.html"] = "{% macro row_name(f) %}two{% endmacro %}"
    assert "two" in client.get("/").text


def test_a_macro_sees_each_request_anew():
    own = "{% macro row_name(f) %}{{ request.args.get('q') }}{% endmacro %}"
    client = app_with({"f.html": own}, FORMS_TEMPLATE="f.html").test_client()
    assert "first" in client.get("/?q=first").text
    second = client.get("/?q=second").text
    assert "second" in second
    assert "first" not in second


def test_a_theme_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="FORMS_THEME"):
        make_app(Forms(), FORMS_THEME="material")
