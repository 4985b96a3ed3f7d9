from __future__ import annotations

import datetime as dt
import decimal
import enum
import re
import types
import typing as t

import annotated_types as at
import pydantic
import pytest
from forms_page import Page
from forms_page import sent_by
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from markupsafe import Markup

from flaskware_core.testing import make_app
from flaskware_forms import FormError
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Image
from flaskware_forms import Ui
from flaskware_forms import Upload


class Color(enum.Enum):
    DARK_RED = "dr"
    BLUE = "b"


class Place(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(1)]


class All(pydantic.BaseModel):
    name: t.Annotated[str, at.Len(2, 40), Ui(label="Full name", hint="On paper")]
    email: pydantic.EmailStr
    password: t.Annotated[pydantic.SecretStr, Ui(autocomplete="new-password")]
    age: t.Annotated[int, at.Gt(17), at.Le(99)]
    price: t.Annotated[decimal.Decimal, at.Ge(0)] = decimal.Decimal("1.5")
    ratio: float | None = None
    news: bool = True
    terms: t.Literal[True]
    born: t.Annotated[dt.date, at.Ge(dt.date(1900, 1, 2))] | None = None
    when: dt.datetime | None = None
    site: pydantic.HttpUrl | None = None
    color: Color
    size: t.Annotated[t.Literal["s", "l"], Ui(widget="radio", labels={"s": "Small"})]
    tags: t.Annotated[list[str], Ui(rows=3)] = []
    picks: list[t.Literal["x", "y"]] = []
    bio: t.Annotated[str, Ui(widget="textarea", rows=7, placeholder="Me")] = ""
    home: Place
    places: list[Place] = []
    avatar: t.Annotated[Upload, Image("png", "jpeg")] | None = None
    files: list[Upload] = []


SPEC = FormSpec(All, name="all")


def render(obj: object = None, spec: FormSpec[t.Any] = SPEC) -> Page:
    app = make_app(Forms())
    with app.test_request_context():
        return Page(spec.bind(obj).render())


def attributes_of(name: str) -> dict[str, t.Any]:
    found = render().control(name)
    return {k: v for k, v in found.items() if k not in {"id", "name", "value"}}


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        (
            "name",
            {
                "type": "text",
                "required": None,
                "minlength": "2",
                "maxlength": "40",
                "aria-describedby": "all-name--hint",
            },
        ),
        ("email", {"type": "email", "required": None, "autocomplete": "email"}),
        ("password", {"type": "password", "autocomplete": "new-password"}),
        (
            "age",
            {
                "type": "number",
                "required": None,
                "min": "18",
                "max": "99",
                "inputmode": "numeric",
            },
        ),
        (
            "price",
            {
                "type": "number",
                "required": None,
                "min": "0",
                "step": "any",
                "inputmode": "decimal",
            },
        ),
        ("ratio", {"type": "number", "step": "any"}),
        ("news", {"type": "checkbox", "checked": None}),
        ("terms", {"type": "checkbox", "required": None}),
        ("born", {"type": "date", "min": "1900-01-02"}),
        ("when", {"type": "datetime-local", "step": "any"}),
        ("site", {"type": "url"}),
        ("color", {"required": None}),
        ("size", {"type": "radio", "required": None}),
        ("bio", {"rows": "7", "placeholder": "Me"}),
        ("home.city", {"type": "text", "required": None, "minlength": "1"}),
        # An empty row is no entry, so nothing in it is required.
        ("places-0.city", {"type": "text", "minlength": "1"}),
        ("avatar", {"type": "file", "accept": "image/png,image/jpeg"}),
        ("files", {"type": "file", "multiple": None, "aria-label": "Files"}),
    ],
)
def test_the_declaration_constrains_the_control(name, attributes):
    found = attributes_of(name)
    direction = found.pop("dir", None)
    assert found == attributes
    # Text of a person runs as it is written, an address from left to right.
    kind = found.get("type", "textarea" if "rows" in found else "")
    addresses = {"email", "url", "password", "tel"}
    expected = {"text": "auto", "textarea": "auto"}.get(kind)
    assert direction == ("ltr" if kind in addresses else expected)


def test_every_id_is_there_once_and_every_reference_leads_somewhere(make_site):
    site = make_site(SPEC)
    for text in (site.client.get("/").text, site.post({"places-0.city": ""}).text):
        page = Page(text)
        ids = page.ids()
        assert len(ids) == len(set(ids))
        for tag, attrs in page.tags:
            for name in ("for", "aria-describedby"):
                for id in (attrs.get(name) or "").split():
                    assert id in ids, (tag, name, id)
            if tag == "a":
                assert attrs["href"].removeprefix("#") in ids


def test_every_control_has_a_label():
    page = render()
    labelled = {attrs["for"] for tag, attrs in page.tags if tag == "label"}
    for tag, attrs in page.tags:
        if tag in {"input", "select", "textarea"} and attrs.get("type") != "hidden":
            assert attrs["id"] in labelled or attrs["aria-label"]


def test_groups_have_a_legend():
    page = render()
    count = [tag for tag, _ in page.tags].count
    assert count("fieldset") == count("legend") == 7


def test_an_error_is_tied_to_its_control_and_linked_from_the_summary(make_site):
    page = Page(make_site(SPEC).post({"name": "x"}).text)
    control = page.control("name")
    assert control["aria-invalid"] == "true"
    assert control["aria-describedby"] == "all-name--hint all-name--error"
    assert ("a", {"href": "#all-name"}) in page.tags
    assert "Full name: Write at least 2 characters." in page.text
    alert = next(a for _, a in page.tags if a.get("role") == "alert")
    assert alert["id"] == "all--errors"


def test_errors_in_rows_stand_at_their_row(make_site):
    class Rows(pydantic.BaseModel):
        ids: list[int]
        places: list[Place]

    site = make_site(FormSpec(Rows, name="r"))
    response = site.post({"ids": ["1", "x"], "places-3.city": "", "places-4.city": "a"})
    page = Page(response.text)
    assert ("a", {"href": "#r-ids-1"}) in page.tags
    second = [a for tag, a in page.tags if a.get("name") == "ids"][1]
    assert second["value"] == "x"
    assert second["aria-invalid"] == "true"
    assert page.control("places-0.city")["value"] == "a"


def test_each_entry_and_the_list_itself_have_errors_of_their_own(make_site):
    class Rows(pydantic.BaseModel):
        ids: list[int]

    spec = FormSpec(Rows, name="r")
    app = make_app(Forms())
    with app.test_request_context():
        form = spec.bind({"ids": [1]})
        form.add_error("Of the list.", "ids")
        form._submission.reject(FormError(("ids", 0), "x", "Of the entry."))
        page = Page(form.render())
    assert len(page.ids()) == len(set(page.ids()))
    assert page.control("ids")["aria-describedby"] == "r-ids-0--error"


def test_errors_of_boxes_and_files_stand_at_the_group_and_are_linked(make_site):
    class Groups(pydantic.BaseModel):
        picks: list[t.Literal["a", "b"]]
        files: list[Upload]

    site = make_site(FormSpec(Groups, name="g"))
    page = Page(site.post({"picks": ["a", "zz"], "files": ["x", "y"]}).text)
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == ["#g-picks", "#g-files", "#g-files"]
    assert {"g-picks", "g-files"} <= set(page.ids())
    groups = [a for tag, a in page.tags if tag == "fieldset"]
    assert [g["aria-describedby"] for g in groups] == [
        "g-picks--error",
        "g-files--error",
    ]


def test_a_file_sent_for_a_text_is_not_shown_in_its_control(make_site):
    import io

    site = make_site(SPEC)
    page = Page(site.post({"name": (io.BytesIO(b"x"), "secret-name.txt")}).text)
    assert page.control("name")["value"] == ""


def test_a_duration_is_shown_as_it_can_be_sent():
    class Model(pydantic.BaseModel):
        x: dt.timedelta

    page = render({"x": dt.timedelta(days=1, minutes=5)}, FormSpec(Model, name="m"))
    assert Model(x=page.control("x")["value"]).x == dt.timedelta(days=1, minutes=5)


def test_a_form_with_files_says_how_it_is_encoded():
    assert render().tags[0][1]["enctype"] == "multipart/form-data"


def test_a_form_shows_an_object():
    obj = types.SimpleNamespace(
        name="Ann",
        password=pydantic.SecretStr("hunter2"),
        price=decimal.Decimal("2.50"),
        news=False,
        born=dt.date(2000, 1, 2),
        when=dt.datetime(2000, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        color=Color.BLUE,
        size="l",
        tags=["a", "b"],
        picks={"y"},
        bio="\nline",
        home=types.SimpleNamespace(city="Rome"),
        places=[{"city": "Ur"}],
    )
    page = render(obj)
    assert page.control("name")["value"] == "Ann"
    assert page.control("price")["value"] == "2.50"
    assert "checked" not in page.control("news")
    assert page.control("born")["value"] == "2000-01-02"
    exact, text = sent_by(page)["when"]
    assert (exact, text) == ("=2000-01-02T03:04:05+00:00", "2000-01-02T03:04:05")
    assert page.control("home.city")["value"] == "Rome"
    assert page.control("places-0.city")["value"] == "Ur"
    chosen = [a["value"] for _, a in page.tags if "selected" in a or "checked" in a]
    assert chosen == ["b", "l", "y"]
    assert [a["value"] for _, a in page.tags if a.get("name") == "tags"][:3] == [
        "a",
        "b",
        "",
    ]
    assert "\n\nline" in "".join(page.text)


def test_a_secret_is_never_shown_again(make_site):
    site = make_site(SPEC)
    assert "hunter2" not in site.post({"password": "hunter2", "name": "x"}).text
    assert "hunter2" not in str(render({"password": "hunter2"}).tags)


def test_a_form_shows_the_defaults_of_its_declaration():
    class Defaults(pydantic.BaseModel):
        number: int = 7
        made: list[str] = pydantic.Field(default_factory=lambda: ["x"])

    page = render(spec=FormSpec(Defaults, name="d"))
    assert page.control("number")["value"] == "7"
    assert page.control("made")["value"] == "x"


def test_fill_shows_an_object_until_something_was_typed():
    class Model(pydantic.BaseModel):
        name: str
        number: int

    from flaskware_forms.testing import submit

    app = make_app(Forms())

    @app.route("/", methods=["GET", "POST"])
    @FormSpec(Model, name="m").handles
    def view(form):
        form.submit()
        form.fill({"name": "stored", "number": 3})
        return str(form["name"].control())

    client = app.test_client()
    assert 'value="stored"' in client.get("/").text
    assert 'value="typed"' in submit(client, "/", data={"name": "typed"}).text


def test_nothing_in_the_markup_is_a_script_or_a_style(make_site):
    text = make_site(SPEC).post({"name": "x"}).text
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", text)


_HOSTILE = "\"'><script>alert(1)</script>&{{7*7}}"


def test_hostile_text_is_escaped_wherever_it_comes_from(make_site):
    class Hostile(pydantic.BaseModel):
        text: t.Annotated[
            str,
            Ui(
                label=_HOSTILE,
                hint=_HOSTILE,
                placeholder=_HOSTILE,
                autocomplete=_HOSTILE,
            ),
        ]
        key: str = pydantic.Field(alias=_HOSTILE)
        area: t.Annotated[str, Ui(widget="textarea")]
        hidden: t.Annotated[str, Ui(widget="hidden")]
        pick: t.Annotated[t.Literal["\"'><script>alert(1)</script>"], Ui(labels={})]
        many: list[t.Literal["<script>"]]
        tags: list[str]
        number: int

    spec = FormSpec(Hostile, name="h")

    @spec.check()
    def always(data: Hostile) -> str | None:
        return _HOSTILE

    site = make_site(spec)
    names = ["text", _HOSTILE, "area", "hidden", "pick", "many", "tags", "number"]
    for body in (dict.fromkeys(names, _HOSTILE), {_HOSTILE: [_HOSTILE] * 2}):
        text = site.post(body).text
        assert "<script" not in text
        assert "{{7*7}}" in text
        Page(text)
    extra = site.post(json={_HOSTILE: 1}, headers={"Accept": "text/html"})
    assert "<script" not in extra.text


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\0"), max_size=20))
def test_any_text_comes_back_from_its_control_as_it_was(text):
    class One(pydantic.BaseModel):
        name: str

    page = render({"name": text}, FormSpec(One, name="o"))
    *_, control = [a for _, a in page.tags if a.get("name") == "name"]
    # A browser leaves out the ends of lines, so the exact text stands beside.
    kept = text.translate({10: None, 13: None})
    assert control["value"] == kept
    assert FormSpec(One, name="o").compiled.decoder.decode(
        sent_by(page), max_depth=1, max_entries=9
    ) == {"name": text}


@settings(max_examples=60, deadline=None)
@given(number=st.integers(-50, 50), low=st.integers(-40, 40), high=st.integers(-40, 40))
def test_what_the_attributes_of_a_number_refuse_the_server_refuses(number, low, high):
    model = pydantic.create_model(
        "M", n=(t.Annotated[int, at.Gt(low), at.Lt(high)], ...)
    )
    control = render(spec=FormSpec(model, name="m")).control("n")
    browser = int(control["min"]) <= number <= int(control["max"])
    try:
        model(n=number)
        server = True
    except pydantic.ValidationError:
        server = False
    assert browser == server


def test_a_field_is_rendered_by_itself_and_the_form_is_iterated():
    app = make_app(Forms())
    with app.test_request_context():
        form = SPEC.bind({"name": "Ann"})
        assert form["name"].row() in form.rows()
        assert form["name"].control() in form["name"].row()
        assert form["name"].label() == '<label for="all-name">Full name</label>'
        assert form["name"].error() == ""
        assert (form["name"].name, form["name"].id) == ("name", "all-name")
        assert [field.name for field in form] == list(All.model_fields)
        with pytest.raises(KeyError, match="has no field 'nmae'"):
            form["nmae"]


@pytest.mark.parametrize(
    ("annotation", "control"),
    [
        (pydantic.PastDate, "date"),
        (pydantic.FutureDatetime, "datetime-local"),
        (pydantic.AwareDatetime, "datetime-local"),
        (dt.time, "time"),
        (pydantic.PositiveInt, "number"),
        (pydantic.UUID4, "text"),
        (pydantic.AnyUrl, "url"),
    ],
)
def test_types_of_pydantic_have_the_control_of_their_kind(annotation, control):
    model = pydantic.create_model("M", x=(annotation, ...))
    assert render(spec=FormSpec(model, name="m")).control("x")["type"] == control


def test_labels_come_from_the_name_where_none_is_given():
    class Named(pydantic.BaseModel):
        given_name: str
        titled: str = pydantic.Field(title="As titled")

    text = render(spec=FormSpec(Named, name="n")).text
    assert "Given name" in text
    assert "As titled" in text


def test_the_text_of_a_button_is_escaped_unless_it_is_markup():
    app = make_app(Forms())
    with app.test_request_context():
        form = SPEC.bind()
        for _ in range(2):
            assert "&lt;b&gt;Go&lt;/b&gt;" in form.render(submit="<b>Go</b>")
            assert "<b>Go</b>" in form.render(submit=Markup("<b>Go</b>"))
