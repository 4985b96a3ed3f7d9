from __future__ import annotations

import datetime as dt
import decimal
import io
import re
import typing as t

import annotated_types as at
import flask_wtf
import flask_wtf.file as wf
import pydantic
import pytest
import wtforms
from forms_models import PAY
from forms_page import Page
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict
from wtforms import validators as wv

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_core.testing import rendered
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import from_wtforms
from flaskware_forms import to_wtforms
from flaskware_forms import Ui
from flaskware_forms import Upload
from flaskware_forms.testing import csrf_token
from flaskware_forms.testing import submit


class Home(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(2)]


class Person(pydantic.BaseModel):
    name: t.Annotated[str, at.Len(2, 40), Ui(label="Full name", hint="On paper")]
    email: pydantic.EmailStr
    age: t.Annotated[int, at.Ge(18)]
    price: decimal.Decimal | None = None
    born: dt.date | None = None
    news: bool = False
    level: t.Literal["low", "high"]
    picks: list[t.Literal["a", "b"]] = []
    tags: list[str] = []
    home: Home
    homes: list[Home] = []
    picture: Upload | None = None


SPEC = FormSpec(Person, name="person")
MACRO = (
    "{% for field in form %}{{ field.label }}{{ field }}"
    "{% for e in field.errors %}<em>{{ e }}</em>{% endfor %}{% endfor %}"
)


def test_a_typed_form_is_a_class_of_wtforms():
    form_class = to_wtforms(SPEC)
    form = form_class(MultiDict({"name": "x", "age": "7", "email": "a@example.com"}))
    assert not form.validate()
    assert set(form.errors) == {"name", "age", "level", "home"}
    assert form.name.label.text == "Full name"
    assert form.name.description == "On paper"
    assert [c[0] for c in form.picks.iter_choices()] == ["a", "b"]


def test_what_wtforms_cannot_have_is_refused():
    with pytest.raises(DeclarationError, match="a union, which WTForms lacks"):
        to_wtforms(PAY)


def test_a_macro_for_wtforms_shows_what_was_typed_and_what_is_wrong(make_site):
    app = make_app(Forms())

    @app.post("/")
    @SPEC.handles
    def view(form):
        assert form.submit() is None
        return rendered(MACRO, form=form.as_wtforms())

    body = {
        "name": "x", "age": "seven", "born": "soon", "news": "true", "level": "low",
        "picks": "b", "tags": ["q"], "home-city": "Y", "homes-0-city": "Z",
    }  # fmt: skip
    text = submit(app.test_client(), "/", data=body).text
    page = Page(text)
    assert page.control("age")["value"] == "seven"
    assert page.control("born")["value"] == "soon"
    assert "checked" in page.control("news")
    assert page.control("home-city")["value"] == "Y"
    assert page.control("homes-0-city")["value"] == "Z"
    assert page.control("tags-0")["value"] == "q"
    assert "<em>Write at least 2 characters.</em>" in text
    assert "<em>Write a whole number.</em>" in text


def test_a_box_that_wtforms_shows_sends_its_tick():
    class Letters(pydantic.BaseModel):
        news: bool = False

    spec = FormSpec(Letters, name="letters")
    app = make_app(Forms())

    @app.route("/", methods=["GET", "POST"])
    @spec.handles
    def view(form):
        if data := form.submit():
            return str(data.news)
        return str(form.as_wtforms().news())

    box = Page(app.test_client().get("/").text).control("news")
    assert "checked" not in box
    sent = submit(app.test_client(), "/", data={"news": box["value"]})
    assert sent.text == "True"


class HomeForm(wtforms.Form):
    city = wtforms.StringField("City", [wv.InputRequired()])


class OldForm(flask_wtf.FlaskForm):
    name = wtforms.StringField("Full name", [wv.Length(2, 40)], description="On paper")
    email = wtforms.StringField(validators=[wv.DataRequired(), wv.Email()])
    age = wtforms.IntegerField(validators=[wv.InputRequired(), wv.NumberRange(18, 99)])
    code = wtforms.StringField(validators=[wv.Regexp(r"[a-z](?=\d)")], default="a1")
    level = wtforms.RadioField(choices=["low", "high"], validators=[wv.InputRequired()])
    number = wtforms.SelectField(
        choices=["1", "2"], coerce=int, validators=[wv.Optional()]
    )
    picks = wtforms.SelectMultipleField(choices=["a", "b"])
    bio = wtforms.TextAreaField()
    secret = wtforms.PasswordField(validators=[wv.InputRequired()])
    news = wtforms.BooleanField(default=True)
    born = wtforms.DateField(validators=[wv.Optional()])
    tags = wtforms.FieldList(wtforms.StringField(validators=[wv.Length(max=9)]))
    home = wtforms.FormField(HomeForm)
    homes = wtforms.FieldList(wtforms.FormField(HomeForm))
    picture = wtforms.FileField()
    send = wtforms.SubmitField()


@pytest.fixture
def moved():
    with make_app(Forms(), framework="flask").test_request_context():
        return from_wtforms(OldForm)


def test_a_form_of_wtforms_becomes_a_model(moved):
    data = {
        "name": "Ann", "email": "ann@example.com", "age": 33, "code": "b2",
        "level": "low", "secret": "x", "home": {"city": "Rome"},
    }  # fmt: skip
    made = moved(**data)
    assert made.number is None
    assert made.picks == []
    assert made.homes == []
    assert made.news is True
    assert made.born is None
    wrong = {**data, "name": "x", "age": 7, "code": "bb", "level": "no", "number": 3}
    with pytest.raises(pydantic.ValidationError) as caught:
        moved(**wrong, tags=["x" * 10], homes=[{}])
    assert [e["loc"] for e in caught.value.errors()] == [
        ("name",),
        ("age",),
        ("code",),
        ("level",),
        ("number",),
        ("tags", 0),
        ("homes", 0, "city"),
    ]


def test_the_form_of_that_model_looks_as_before(moved):
    with make_app(Forms()).test_request_context():
        page = Page(FormSpec(moved, name="moved").bind().render())
    assert page.control("name")["maxlength"] == "40"
    assert page.control("level")["type"] == "radio"
    assert page.control("secret")["type"] == "password"
    assert "On paper" in page.text
    assert page.control("picture")["type"] == "file"


def test_a_validator_that_no_declaration_stands_for_is_told():
    def is_odd(form, field):
        return None

    class Form(wtforms.Form):
        a = wtforms.StringField(validators=[is_odd])
        b = wtforms.StringField(validators=[wv.EqualTo("a")])
        c = wtforms.SelectField(choices=[])

        def validate_b(self, field):
            return None

    with pytest.raises(DeclarationError) as caught:
        from_wtforms(Form)
    told = str(caught.value).splitlines()[1:]
    assert [line.split()[:2] for line in told] == [
        ["a:", "is_odd"],
        ["b:", "EqualTo"],
        ["b:", "validate_b"],
        ["c:", "its"],
    ]

    class Fewer(Form):
        c = None

    assert set(from_wtforms(Fewer, leave_out=["a", "b"]).model_fields) == {"a", "b"}


@pytest.mark.flask_only("a FlaskForm knows Flask alone")
@pytest.mark.parametrize("theme", ["plain", "bootstrap5"])
def test_a_hand_written_form_works_in_the_same_app_and_theme(theme):
    app = make_app(Forms(), FORMS_THEME=theme)
    template = "{{ form.hidden_tag() }}{% for f in form %}{{ wtf_row(f) }}{% endfor %}"

    @app.route("/", methods=["GET", "POST"])
    def view():
        form = OldForm()
        if form.validate_on_submit():
            return form.name.data
        return rendered(template, form=form)

    client = app.test_client()
    token = csrf_token(client, "/")
    body = {"name": "x", "csrf_token": token}
    page = Page(client.post("/", data=body).text)
    name = page.control("name")
    assert name["aria-invalid"] == "true"
    assert name["aria-describedby"] == "name--hint name--error"
    assert {"name--hint", "name--error"} <= set(page.ids())
    if theme == "bootstrap5":
        assert name["class"] == "form-control is-invalid"
    right = {
        "name": "Ann", "email": "ann@example.com", "age": "33", "code": "b2",
        "level": "low", "number": "1", "secret": "x", "home-city": "Rome",
    }  # fmt: skip
    assert submit(client, "/", data=right).text == "Ann"


class Source(wtforms.Form):
    name = wtforms.StringField(validators=[wv.DataRequired(), wv.Length(1, 20)])
    site = wtforms.StringField(validators=[wv.Optional(), wv.URL()])
    code = wtforms.StringField(validators=[wv.Optional(), wv.Regexp("^[a-z]+$")])
    short = wtforms.StringField(validators=[wv.Length(min=3)])
    day = wtforms.DateField(validators=[wv.Optional()])
    count = wtforms.IntegerField(validators=[wv.DataRequired(), wv.NumberRange(0, 9)])
    ratio = wtforms.FloatField(validators=[wv.Optional(), wv.NumberRange(0, 1)])
    mail = wtforms.EmailField(validators=[wv.Optional(), wv.Length(max=12)])
    agree = wtforms.BooleanField(validators=[wv.DataRequired()])
    one = wtforms.SelectField(choices=["a", "b"])


_RIGHT = {"name": "Ann", "short": "abc", "count": "3", "agree": "true", "one": "a"}
_ODD = st.sampled_from(
    ["", " ", "a", "abc", "a\n", "abc!", "javascript:alert(1)", "data:text/html,x",
     "http://example.com", "https://[::1", "http:///x.com", "2024-01-01", "2024-1-1",
     "2024-01-01T00:00:00", "0", "00", "5", "1e0", "nan", "NaN", "0.5", "1_0", "false",
     "ann@example.com", "a" * 21],
) | st.text(max_size=6)  # fmt: skip


@given(st.dictionaries(st.sampled_from(list(Source()._fields)), _ODD, max_size=4))
def test_a_moved_form_takes_nothing_that_its_source_refuses(changed):
    body = {**_RIGHT, **changed}
    if "\0" in "".join(body.values()):
        return
    app = make_app(Forms())
    with app.test_request_context(
        "/", method="POST", data=body, headers={"Sec-Fetch-Site": "same-origin"}
    ):
        if MOVED.bind().submit() is not None:
            source = Source(MultiDict(body))
            assert source.validate(), source.errors


def test_what_the_source_demands_is_demanded():
    for name in _RIGHT:
        rest = {key: value for key, value in _RIGHT.items() if key != name}
        assert not Source(MultiDict(rest)).validate()
        app = make_app(Forms())
        with app.test_request_context(
            "/", method="POST", data=rest, headers={"Sec-Fetch-Site": "same-origin"}
        ):
            assert MOVED.bind().submit() is None, name


MOVED = FormSpec(from_wtforms(Source), name="moved")


def grouped(**groups: tuple[str, str]) -> t.Any:
    # WTForms 3.3 has a class for what was a dictionary of pairs.
    kind = getattr(wtforms.fields, "SelectChoice", None)
    if kind is None:
        return {group: [pair] for group, pair in groups.items()}
    return [kind(*pair, optgroup=group) for group, pair in groups.items()]


class RowForm(wtforms.Form):
    city = wtforms.StringField(validators=[wv.InputRequired(), wv.Length(max=3)])
    note = wtforms.StringField(validators=[wv.Regexp("^[a-z]*$")])


class Several(flask_wtf.FlaskForm):
    """Fields of several values, and files."""

    class Meta:
        csrf = False

    picks = wtforms.SelectMultipleField(
        choices=["a", "b", "c"], validators=[wv.InputRequired(), wv.Length(max=2)]
    )
    numbers = wtforms.SelectMultipleField(
        choices=grouped(Low=("1", "One"), High=("2", "Two")), coerce=int
    )
    tags = wtforms.FieldList(
        wtforms.StringField(validators=[wv.DataRequired(), wv.Length(2, 4)]),
        validators=[wv.Length(max=3)],
    )
    counts = wtforms.FieldList(
        wtforms.IntegerField(validators=[wv.NumberRange(0, 9)]), max_entries=2
    )
    least = wtforms.FieldList(
        wtforms.StringField(validators=[wv.InputRequired()]), min_entries=2
    )
    rows = wtforms.FieldList(wtforms.FormField(RowForm), validators=[wv.DataRequired()])
    trimmed = wtforms.StringField(
        filters=[lambda text: text.strip() if text else text],
        validators=[wv.DataRequired()],
    )
    one = wf.FileField(
        validators=[wf.FileRequired(), wf.FileAllowed(["txt", "png"]), wf.FileSize(5)]
    )
    maybe = wf.FileField(validators=[wf.FileAllowed(["txt"])])
    several = wf.MultipleFileField(
        validators=[wf.FileRequired(), wf.FileAllowed(["txt"]), wf.FileSize(6, 2)]
    )
    plain = wtforms.MultipleFileField()


_WORD = st.sampled_from(["", " ", "a", "bc", "abcde", "1", "12", "x y", "A", "-1"])
_FILE = st.tuples(st.sampled_from(["a.txt", "b.TXT", "c.png", "d"]), st.integers(1, 7))
_RIGHT_SEVERAL: dict[str, list[t.Any]] = {
    "picks": ["a"], "tags-0": ["ab"], "least-0": ["x"], "least-1": ["y"],
    "rows-0-city": ["Ur"], "trimmed": ["t"], "one": [("a.txt", 3)],
    "several": [("a.txt", 3)],
}  # fmt: skip
_TEXTS = st.lists(_WORD, max_size=2)
_CHANGES = st.fixed_dictionaries({}, optional={
    "picks": st.lists(st.sampled_from("abcx"), max_size=3),
    "numbers": st.lists(st.sampled_from(["1", "2", "3", "x"]), max_size=2),
    **{
        name: _TEXTS.map(lambda texts: texts[:1])
        for name in (
            "tags-0", "tags-1", "tags-2", "tags-3", "counts-0", "counts-1", "counts-2",
            "least-0", "least-1", "least-5", "rows-0-city", "rows-0-note",
            "rows-1-city", "rows-1-note", "trimmed",
        )
    },
    **{
        name: st.lists(_FILE, max_size=2)
        for name in ("one", "maybe", "several", "plain")
    },
})  # fmt: skip


def without_blank_rows(body: dict[str, list[t.Any]]) -> dict[str, list[t.Any]]:
    """The body without rows that nobody filled in, which a typed form drops."""
    filled = {
        re.split(r"(?<=\d)-", name)[0]
        for name, values in body.items()
        if re.search(r"-\d", name) and any(values)
    }
    return {
        name: values
        for name, values in body.items()
        if not re.search(r"-\d", name) or re.split(r"(?<=\d)-", name)[0] in filled
    }


def sent(body: dict[str, list[t.Any]]) -> list[tuple[str, t.Any]]:
    return [
        (
            name,
            (io.BytesIO(b"x" * value[1]), value[0]) if type(value) is tuple else value,
        )
        for name, values in body.items()
        for value in values
    ]


with make_app(framework="flask").app_context():
    SEVERAL = FormSpec(from_wtforms(Several), name="several")


@pytest.mark.flask_only("a FlaskForm knows Flask alone")
@settings(max_examples=300, deadline=None)
@given(_CHANGES)
@example({})
@example({"picks": []})
@example({"several": []})
@example({"least-0": [], "least-1": []})
def test_a_form_of_lists_and_files_takes_nothing_that_its_source_refuses(changes):
    body = {**_RIGHT_SEVERAL, **changes}
    app = make_app(Forms())
    options = {"method": "POST", "content_type": "multipart/form-data"}
    headers = {"Sec-Fetch-Site": "same-origin"}
    data = MultiDict(sent(body))
    with app.test_request_context("/", data=data, headers=headers, **options):
        form = SEVERAL.bind()
        accepted = form.submit()
        assert accepted is not None or changes, form.errors
        if accepted is not None:
            assert accepted.trimmed == accepted.trimmed.strip()
            assert [len(file.read()) for file in accepted.several] == [
                size for _, size in body["several"]
            ]
    if accepted is not None:
        data = MultiDict(sent(without_blank_rows(body)))
        with app.test_request_context("/", data=data, headers=headers, **options):
            source = Several()
            assert source.validate(), (source.errors, accepted)


def test_a_moved_form_of_lists_and_files_looks_as_before():
    with make_app(Forms()).test_request_context():
        page = Page(text := SEVERAL.bind().render())
    assert page.control("one")["accept"] == ".txt,.png"
    assert "multiple" in page.control("several")
    assert "multiple" in page.control("picks")
    assert '<optgroup label="High">' in text


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (wtforms.FieldList(wtforms.BooleanField()), "FieldList of BooleanField"),
        (wtforms.FieldList(wf.FileField()), "FieldList of FileField"),
        (wtforms.SelectField(choices=["1"], coerce=float), "its coerce gives float"),
    ],
)
def test_a_field_that_a_typed_form_cannot_have_is_refused(field, reason):
    with pytest.raises(DeclarationError, match=reason):
        from_wtforms(type("Form", (wtforms.Form,), {"a": field}))
