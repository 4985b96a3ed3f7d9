"""Forms as pages have them: attributes, words, buttons, and several on one page."""

from __future__ import annotations

import typing as t

import annotated_types as at
import flask_babel
import pydantic
import pytest
from forms_page import Page

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui


def model(**fields: t.Any) -> type[pydantic.BaseModel]:
    return pydantic.create_model("Model", **fields)


def shown(**fields: t.Any) -> Page:
    """The page of a form with these fields."""
    app = make_app(Forms())
    with app.test_request_context():
        return Page(FormSpec(model(**fields), name="m").bind().render())


Attributes = t.Annotated[
    str,
    Ui(
        attributes={
            "data-controller": 'a"b',
            "spellcheck": "false",
            "autofocus": True,
            "hx-get": None,
            "inert": False,
            "maxlength": "5",
            "class": "wide",
        }
    ),
    at.MaxLen(9),
]


def test_a_control_has_the_attributes_of_its_declaration():
    control = shown(a=(Attributes, "")).control("a")
    assert control["data-controller"] == 'a"b'
    assert control["spellcheck"] == "false"
    assert control["autofocus"] is None
    assert control["class"] == "wide"
    # Once, although the type has a length of its own.
    assert control["maxlength"] == "5"
    assert not {"hx-get", "inert"} & set(control)


@pytest.mark.parametrize(
    "kind",
    [list[str], list[t.Literal["x", "y"]], t.Literal["x", "y"], bool, int],
)
def test_each_control_of_a_field_has_its_attributes(kind):
    ui = Ui(attributes={"data-x": "1", "aria-label": "Mine", "class": "own"})
    page = shown(a=(t.Annotated[kind, ui], ...))
    named = [attrs for _, attrs in page.tags if attrs.get("name") == "a"]
    controls = [attrs for attrs in named if attrs.get("type") != "hidden"]
    assert controls
    assert {attrs["data-x"] for attrs in controls} == {"1"}
    assert {attrs["aria-label"] for attrs in controls} == {"Mine"}
    assert {attrs["class"] for attrs in controls} == {"own"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("name", "form writes itself"),
        ("aria-describedby", "form writes itself"),
        ("required", "form writes itself"),
        ("onclick", "Content-Security-Policy"),
        ("style", "Content-Security-Policy"),
        ("a b", "not the name"),
        ("x>", "not the name"),
    ],
)
def test_an_attribute_that_breaks_the_markup_is_refused(name, reason):
    with pytest.raises(DeclarationError, match=reason):
        Ui(attributes={name: "x"})


def test_attributes_of_a_model_are_refused_because_it_has_no_control():
    ui = Ui(attributes={"data-x": "1"})
    inner = model(b=(str, ""))
    for kind in (inner, list[inner], inner | None):
        with pytest.raises(DeclarationError, match="no control of its own"):
            FormSpec(model(a=(t.Annotated[kind, ui], ...)), name="m")


def test_a_widget_that_does_not_exist_is_refused():
    with pytest.raises(DeclarationError, match="Did you mean 'textarea'"):
        Ui(widget=t.cast("t.Any", "textaera"))
    with pytest.raises(DeclarationError, match="Write one of"):
        Ui(widget=t.cast("t.Any", "qqq"))


Lazy = flask_babel.lazy_gettext


class Inner(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(1), Ui(label=Lazy("City <b>"))]


class Translated(pydantic.BaseModel):
    """Every place that takes words, with lazy ones."""

    name: t.Annotated[
        str,
        at.MinLen(1),
        Ui(
            label=Lazy("Name <b>"),
            hint=Lazy("Hint <b>"),
            placeholder=Lazy("Like <b>"),
            messages={"missing": Lazy("Missing <b>")},
            attributes={"data-word": Lazy("Word <b>")},
        ),
    ]
    size: t.Annotated[t.Literal["s", "l"], Ui(labels={"s": Lazy("Small <b>")})]
    look: t.Annotated[
        t.Literal["s"], Ui(widget="radio", labels={"s": Lazy("Look <b>")})
    ]
    inner: t.Annotated[Inner, Ui(label=Lazy("Inner <b>"))]
    rows: t.Annotated[list[Inner], Ui(label=Lazy("Rows <b>"))]
    tags: t.Annotated[list[int], Ui(label=Lazy("Tags <b>"))] = []


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_words_may_be_lazy_everywhere(make_site, accept):
    site = make_site(FormSpec(Translated, name="m"))
    flask_babel.Babel(site.app)
    sent = {"name": "", "rows-0.city": "", "rows-1.x": "y", "tags": "x"}
    answer = site.post(sent, headers={"Accept": accept})
    assert answer.status_code == 422
    assert "Missing <b>" in answer.text or "Missing &lt;b&gt;" in answer.text
    if accept == "text/html":
        assert "<b>" not in answer.text
        for word in ("Name", "Hint", "Like", "Word", "Small", "Look", "Rows", "Tags"):
            assert f"{word} &lt;b&gt;" in answer.text
