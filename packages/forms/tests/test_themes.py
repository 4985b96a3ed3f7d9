from __future__ import annotations

import typing as t

import annotated_types as at
import flask
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


@pytest.mark.parametrize("theme", ["plain", "bootstrap5", "govuk", "tailwind"])
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
    assert '<u>Tags<input type="hidden" name="tags.*" value="+"><div class=' in text
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


THEMES = ["plain", "bootstrap5", "govuk", "tailwind"]


class Marked(pydantic.BaseModel):
    name: t.Annotated[str, at.MinLen(1)]
    nick: str | None = None
    size: t.Annotated[t.Literal["s", "l"], Ui(widget="radio")]
    terms: t.Literal[True]
    news: bool = False
    fixed: t.Annotated[str, Ui(readonly=True)] = "x"
    secret: t.Annotated[str, Ui(widget="hidden")] = "y"
    code: t.Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9]{4}$")] = "1234"
    owed: int = 0


MARKED = FormSpec(Marked, name="marked")


def words_in(text: str, word: str) -> int:
    return text.count(f"({word})")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("marks", "optional", "required"),
    [("optional", 2, 0), ("required", 0, 4), ("both", 2, 4), ("none", 0, 0)],
)
def test_labels_say_what_must_be_filled_in(theme, marks, optional, required):
    app = make_app(Forms(), FORMS_THEME=theme, FORMS_MARKS=marks)
    with app.test_request_context():
        text = MARKED.bind().render()
    assert words_in(text, "optional") >= optional
    assert words_in(text, "required") == required
    assert bool(words_in(text, "optional")) == bool(optional)


def test_marks_are_in_the_language_of_the_request():
    app = make_app(Forms(), FORMS_LANGUAGES=["en", "de"], FORMS_MARKS="required")
    with app.test_request_context(headers={"Accept-Language": "de"}):
        assert words_in(MARKED.bind().render(), "Pflichtfeld") == 4


def test_a_telephone_shows_the_keys_that_a_value_needs():
    with make_app(Forms()).test_request_context():
        page = Page(MARKED.bind().render())
    assert page.control("code")["inputmode"] == "numeric"
    # It may be negative, and the keyboard of digits may lack a minus sign.
    assert "inputmode" not in page.control("owed")


@pytest.mark.parametrize("theme", THEMES)
def test_errors_get_the_focus_and_are_in_the_title(theme):
    app = make_app(Forms(), FORMS_THEME=theme, FORMS_LANGUAGES=["fr"])
    app.jinja_loader = jinja2.DictLoader(
        {"p.html": "<title>{{ form.title('A page') }}</title>{{ form.render() }}"}
    )

    @app.route("/", methods=["GET", "POST"])
    @MARKED.handles
    def view(form):
        form.submit()
        return form.respond("p.html")

    client = app.test_client()
    assert "<title>A page</title>" in client.get("/").text
    assert "autofocus" not in client.get("/").text
    text = submit(client, "/", data={"name": ""}).text
    assert "<title>Erreur: A page</title>" in text
    page = Page(text.partition("</title>")[2])
    (focused,) = [a for _, a in page.tags if "autofocus" in a]
    assert focused["id"] == "marked--errors"
    assert focused["tabindex"] == "-1"


class Every(pydantic.BaseModel):
    text: t.Annotated[str, at.Len(2, 9), Ui(hint="<Hint>", attributes={"data-x": "1"})]
    bio: t.Annotated[str, Ui(widget="textarea")] = ""
    secret: t.Annotated[pydantic.SecretStr, at.MinLen(8)]
    news: bool = True
    size: t.Annotated[t.Literal["s", "l"], Ui(widget="radio")] = "s"
    picks: list[t.Literal["x", "y"]] = ["y"]
    land: t.Annotated[t.Literal["de", "br"], Ui(groups={"E": ["de"]})] = "de"
    lands: t.Annotated[list[t.Literal["de", "br"]], Ui(widget="select")] = ["br"]
    tags: t.Annotated[list[str], Ui(rows=0)] = ["a"]
    inner: Model = Model(name="Ann")


EVERY = FormSpec(Every, name="every")
ALL_OF_IT = """
{%- macro field(f) %}<x-field>{{ f.label }}{{ f.hint }}{{ f.control }}{{ f.errors }}</x-field>{% endmacro %}
{%- macro control_text(f) %}<input{{ f.attributes }} value="{{ f.value }}" class="mine">{% endmacro %}
{%- macro control_password(f) %}<input{{ f.attributes }} class="mine">{% endmacro %}
{%- macro control_textarea(f) %}<textarea{{ f.attributes }} class="mine">{{ f.value }}</textarea>{% endmacro %}
{%- macro control_checkbox(f) %}<input{{ f.attributes }}{% if f.value %} checked{% endif %} class="mine">{% endmacro %}
{%- macro control_select(f) %}<select{{ f.attributes }} class="mine">{% for c in f.choices %}<option value="{{ c.value }}"{% if c.chosen %} selected{% endif %} data-group="{{ c.group }}">{{ c.label }}</option>{% endfor %}</select>{% endmacro %}
{%- macro boxes(f) %}{% for c in f.choices %}<input{{ c.attributes }} class="mine"><label for="{{ c.id }}">{{ c.label }}</label>{% endfor %}{% endmacro %}
{%- macro control_radio(f) %}{{ boxes(f) }}{% endmacro %}
{%- macro control_checkboxes(f) %}{{ boxes(f) }}{% endmacro %}
"""  # noqa: E501 - macros on a line each


def controls(text: str) -> dict[tuple[str, str], dict[str, t.Any]]:
    """The controls of a page without their classes, by name and id."""
    found = {}
    for tag, attrs in Page(text).tags:
        if tag in {"input", "select", "textarea"} and attrs.get("type") != "hidden":
            kept = {k: v for k, v in attrs.items() if k != "class"}
            found[str(attrs["name"]), str(attrs.get("id"))] = kept
    return found


@pytest.mark.parametrize("sent", [None, {"text": "<", "picks": "x", "land": "zz"}])
def test_a_theme_of_macros_alone_says_the_same_as_the_bundled_ones(tmp_path, sent):
    folder = tmp_path / "house"
    folder.mkdir()
    (folder / "theme.html").write_text(ALL_OF_IT)
    pages = []
    for config in (
        {},
        {"FORMS_THEME": "house", "FORMS_THEMES": {"house": str(folder)}},
    ):
        app = make_app(Forms(), **config)

        @app.route("/", methods=["GET", "POST"])
        @EVERY.handles
        def view(form):
            form.submit()
            return form.render()

        client = app.test_client()
        answer = client.get("/") if sent is None else submit(client, "/", data=sent)
        pages.append(answer.text)
    assert controls(pages[0]) == controls(pages[1])
    own = [a for _, a in Page(pages[1]).tags if a.get("class") == "mine"]
    # Every control is that of the theme, but for those of the token and of buttons.
    assert len(own) == len(controls(pages[1]))
    assert "<x-field>" in pages[1]
    # A macro that it lacks is that of the plain theme.
    assert 'class="form-group"' in pages[1]


def test_a_theme_of_the_app_is_found_below_its_folder(tmp_path):
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "theme.html").write_text(
        "{% import 'bootstrap5/theme.html' as base %}"
        "{% macro classes(f) %}{{ base.classes(f) }} house{% endmacro %}"
    )
    app = flask.Flask("other", root_path=str(tmp_path))
    app.config["SECRET_KEY"] = "x" * 32
    Forms(app, theme="house", themes={"house": "looks"})
    with app.test_request_context():
        page = Page(SPEC.bind().render())
    assert page.control("name")["class"] == "form-control house"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"FORMS_THEME": "bootstrp5"}, "FORMS_THEME = 'bootstrap5'"),
        ({"FORMS_THEME": "q"}, "plain, tailwind"),
        ({"FORMS_THEMES": {"a": "nowhere"}}, "TemplateNotFound"),
        ({"FORMS_MARKS": "some"}, "FORMS_MARKS"),
    ],
)
def test_a_wrong_theme_is_refused_with_what_to_write(config, told):
    with pytest.raises(ConfigError, match=told):
        make_app(Forms(), **config)


def test_a_theme_that_jinja_cannot_read_is_refused_when_the_app_starts(tmp_path):
    (tmp_path / "theme.html").write_text("{% macro field(f) %}")
    with pytest.raises(ConfigError, match="TemplateSyntaxError"):
        make_app(Forms(), FORMS_THEMES={"a": str(tmp_path)})


def test_macros_of_the_app_and_its_templates_see_values_attributes_and_choices():
    own = (
        "{% macro row_size(f) %}<p>{{ f.value }}|{% for c in f.choices %}"
        "{{ c.label }}{% if c.chosen %}*{% endif %} {% endfor %}|{{ f.needed }}</p>"
        "{% endmacro %}"
        "{% macro row_of_text(f) %}<p{{ f.attributes }}>{{ f.value }}</p>{% endmacro %}"
    )
    app = app_with({"f.html": own}, FORMS_TEMPLATE="f.html")
    with app.test_request_context():
        form = SPEC.bind({"name": "<i>", "size": "l"})
        text = form.render()
        assert form["size"].value == "l"
        assert [c.value for c in form["size"].choices if c.chosen] == ["l"]
        assert form["name"].attributes["minlength"] == "2"
        assert str(form["name"].attributes).startswith(' type="text" id="m-name"')
        assert [form["name"].kind, form["name"].text] == ["text", "Name"]
        assert form["name"].needed is True
        assert form["email"].needed is False
    assert "<p>l|S L* |True</p>" in text
    assert 'aria-describedby="m-name--hint">&lt;i&gt;</p>' in text


class Line(pydantic.BaseModel):
    text: str


class Lists(pydantic.BaseModel):
    lines: list[Line] | None = None
    texts: list[str] | None = None


LISTS = FormSpec(Lists, name="lists")


@pytest.mark.parametrize("value", [None, []])
def test_a_macro_around_a_list_says_once_whether_there_is_one(value):
    own = "{% macro row_of_list(f) %}<u>{{ f.control }}</u>{% endmacro %}"
    app = app_with({"f.html": own}, FORMS_TEMPLATE="f.html")
    with app.test_request_context():
        text = LISTS.bind(Lists(lines=value, texts=value)).render()
    for name in ("lines", "texts"):
        assert text.count(f'name="{name}.*"') == 1
    assert text.count('value="+"') == (0 if value is None else 2)


@pytest.mark.parametrize("theme", ["plain", "bootstrap5", "govuk", "tailwind"])
def test_pages_that_are_no_form_have_the_macros_of_the_theme(theme):
    forms = Forms()
    app = make_app(forms, FORMS_THEME=theme)
    with app.test_request_context():
        text = forms.theme_macro("button")(
            {"kind": "submit", "text": "Go & see", "attrs": ""}
        )
    assert "<button" in text
    assert "Go &amp; see" in text
