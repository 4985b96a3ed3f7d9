"""What a page does not show is not written, and what it shows untouched is the same."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid

import annotated_types as at
import flask
import jinja2
import pydantic
import pytest
import sqlalchemy as sa
from forms_page import Page
from forms_page import sent_by
from sqlalchemy import orm

from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui

Short = t.Annotated[str, at.Len(1, 20)]


class Base(orm.DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "post"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    on: orm.Mapped[bool]
    tags: orm.Mapped[list[str]] = orm.mapped_column(sa.JSON)
    lines: orm.Mapped[list[Line]] = orm.relationship(
        cascade="all, delete-orphan", order_by="Line.id"
    )
    place: orm.Mapped[Place | None] = orm.relationship(cascade="all, delete-orphan")


class Line(Base):
    __tablename__ = "line"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    post_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("post.id"))
    text: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    done: orm.Mapped[bool]


class Place(Base):
    __tablename__ = "place"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    post_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("post.id"))
    city: orm.Mapped[str] = orm.mapped_column(sa.String(20))


class LineIn(pydantic.BaseModel):
    id: t.Annotated[int | None, Ui(widget="hidden")] = None
    text: Short
    done: bool = True


class PlaceIn(pydantic.BaseModel):
    city: Short


class PostIn(pydantic.BaseModel):
    title: Short
    on: bool = True
    tags: list[str] = []
    lines: list[LineIn] = []
    place: PlaceIn | None


POST = FormSpec.for_model(Post, PostIn, name="post")
SHOWN: dict[str, str] = {
    "all": "{{ form.render() }}",
    "title": "{{ form.csrf() }}{{ form['title'].row() }}",
    "on": "{{ form.csrf() }}{{ form['title'].row() }}{{ form['on'].control() }}",
}


class Blog:
    def __init__(self) -> None:
        self.engine = sa.create_engine(
            "sqlite://",
            poolclass=sa.StaticPool,
            connect_args={"check_same_thread": False},
        )
        Base.metadata.create_all(self.engine)
        with orm.Session(self.engine) as session:
            lines = [Line(text="one", done=True), Line(text="two", done=False)]
            post = Post(id=1, title="t", on=True, tags=["a", "", "b"], lines=lines)
            post.place = Place(city="Rome")
            session.add(post)
            session.commit()
        app = make_app(Forms())
        app.jinja_loader = jinja2.DictLoader(SHOWN)
        self.changed: frozenset[str] | None = None

        @app.route("/<page>", methods=["GET", "POST", "PUT", "PATCH"])
        @POST.handles
        def edit(form: Bound[PostIn], page: str) -> flask.typing.ResponseReturnValue:
            with orm.Session(self.engine) as session:
                post = session.get_one(Post, 1)
                form.fill(post)
                if form.submit() is not None:
                    self.changed = form.apply(post)
                    session.commit()
                    return form.done("/done")
                return form.respond(page)

        self.client = app.test_client()

    def sent(self, page: str) -> dict[str, list[str]]:
        return sent_by(Page(self.client.get(f"/{page}").text))

    def send(self, page: str, method: str = "POST", **options: t.Any) -> t.Any:
        headers = {"Sec-Fetch-Site": "same-origin"}
        return self.client.open(f"/{page}", method=method, headers=headers, **options)

    def state(self) -> tuple[t.Any, ...]:
        with orm.Session(self.engine) as session:
            post = session.get_one(Post, 1)
            lines = [(line.text, line.done) for line in post.lines]
            place = None if post.place is None else post.place.city
            return post.title, post.on, post.tags, lines, place


@pytest.fixture
def blog() -> cabc.Iterator[Blog]:
    made = Blog()
    yield made
    made.engine.dispose()


REST = (["a", "", "b"], [("one", True), ("two", False)], "Rome")


@pytest.mark.parametrize("page", SHOWN)
def test_a_page_sent_back_untouched_changes_nothing(blog, page):
    before = blog.state()
    assert blog.send(page, data=blog.sent(page)).status_code == 303
    assert blog.changed == frozenset()
    assert blog.state() == before


def test_a_page_with_the_title_alone_writes_the_title_alone(blog):
    body = {**blog.sent("title"), "title": "new"}
    assert blog.send("title", data=body).status_code == 303
    assert blog.changed == {"title"}
    assert blog.state() == ("new", True, *REST)


def test_a_body_by_hand_writes_what_it_names(blog):
    assert blog.send("title", data={"title": "new"}).status_code == 303
    assert blog.state() == ("new", True, *REST)


def test_a_box_that_is_shown_can_be_unticked(blog):
    body = blog.sent("on")
    assert body["on"] == ["", "true"]
    body["on"] = [""]
    assert blog.send("on", data=body).status_code == 303
    assert blog.state() == ("t", False, *REST)


def test_a_list_that_is_shown_can_be_emptied(blog):
    body = blog.sent("all")
    kept = {name: v for name, v in body.items() if not name.startswith("tags-")}
    kept = {name: v for name, v in kept.items() if not name.startswith("lines-")}
    assert blog.send("all", data=kept).status_code == 303
    assert blog.state()[2:4] == ([], [])


def test_an_error_shows_what_the_page_did_not_send_as_it_was(blog):
    again = sent_by(Page(blog.send("all", data={"title": ""}).text))
    assert again["on"] == ["", "true"]
    assert blog.send("all", data={**again, "title": "new"}).status_code == 303
    assert blog.state() == ("new", True, *REST)


def test_json_keeps_what_it_does_not_name(blog):
    body = {"title": "new", "place": {"city": "Ur"}}
    assert blog.send("all", json=body).status_code == 201
    assert blog.state() == ("new", True, *REST[:2], "Ur")


def test_patch_takes_from_the_object_what_the_body_does_not_name(blog):
    # The title is required, and the place has no default.
    assert blog.send("all", "PATCH", json={"on": False}).status_code == 200
    assert blog.changed == {"on"}
    assert blog.state() == ("t", False, *REST)
    assert blog.send("all", "PATCH", json={"lines": [{"text": "x"}]}).status_code == 200
    assert blog.state() == ("t", False, REST[0], [("x", True)], "Rome")


def test_put_says_what_the_whole_object_is(blog):
    assert blog.send("all", "PUT", json={"title": "x"}).status_code == 422
    body = {"title": "x", "place": None}
    assert blog.send("all", "PUT", json=body).status_code == 200
    assert blog.state() == ("x", True, [], [], None)


def test_names_of_rows_and_fields_that_are_not_there_are_errors(blog):
    for name in (
        "lines.text", "lines[][text]", "lines-+1.text", "title.x", "on-0", "place",
        "place.x", "lines-0.x", "tags.x", "lines", "lines-01.text",
    ):  # fmt: skip
        response = blog.client.post(
            "/all",
            data={"title": "new", name: "x"},
            headers={"Sec-Fetch-Site": "same-origin", "Accept": "application/json"},
        )
        assert response.status_code == 422, name
        errors = response.get_json()["errors"]
        assert "extra_forbidden" in {error["code"] for error in errors}, name
    assert blog.state()[0] == "t"


class Item(pydantic.BaseModel):
    name: Short
    key: t.Annotated[uuid.UUID, Ui(widget="hidden")] = pydantic.Field(
        default_factory=uuid.uuid4
    )
    qty: int = 1
    kind: t.Literal["a", "b"] = "a"
    urgent: bool = True
    tags: list[str] = ["x"]


class A(pydantic.BaseModel):
    kind: t.Literal["a"]
    n: int = 5


class B(pydantic.BaseModel):
    kind: t.Literal["b"]
    m: int = 6


class Basket(pydantic.BaseModel):
    items: list[Item] = []
    extra: Item | None = None
    ways: list[t.Annotated[A | B, pydantic.Field(discriminator="kind")]] = []


BASKET = FormSpec(Basket, name="basket")


def untouched(site: t.Any) -> dict[str, list[str]]:
    return sent_by(Page(site.client.get("/").text))


def test_an_empty_row_and_an_optional_model_show_defaults_and_are_none(make_site):
    site = make_site(BASKET)
    body = untouched(site)
    assert body["items-0.qty"] == body["extra.qty"] == ["1"]
    assert body["items-0.kind"] == ["a"]
    assert body["items-0.urgent"] == ["", "true"]
    assert site.post(body).status_code == 303
    assert site.data == Basket()


@pytest.mark.parametrize("name", ["items-0", "extra"])
def test_a_row_that_is_filled_in_has_the_defaults_that_it_showed(make_site, name):
    site = make_site(BASKET)
    assert site.post({**untouched(site), f"{name}.name": "apple"}).status_code == 303
    (item,) = [*site.data.items, site.data.extra][: 1 if name != "extra" else None]
    assert (item.name, item.qty, item.kind, item.urgent) == ("apple", 1, "a", True)
    assert item.tags == ["x"]


def test_a_default_that_somebody_changes_is_not_lost(make_site):
    site = make_site(BASKET)
    answer = site.post({**untouched(site), "items-0.qty": "2"})
    # The name is missing, which is told; the row is not dropped.
    assert answer.status_code == 422
    assert Page(answer.text).control("items-0.qty")["value"] == "2"


def test_an_empty_row_stays_one_when_another_is_added(make_site):
    site = make_site(BASKET)
    more = sent_by(Page(site.post({**untouched(site), "_row": "add:items"}).text))
    assert more["items-1.qty"] == ["1"]
    assert site.post(more).status_code == 303
    assert site.data == Basket()


class Bare(pydantic.BaseModel):
    on: bool = False


class Empties(pydantic.BaseModel):
    """Values that look like nothing."""

    texts: list[str] = []
    maybe: list[str | None] = []
    numbers: list[int] | None = None
    grid: list[list[int]] = []
    boxes: list[Bare] = []
    box: Bare | None = None
    picks: list[t.Literal["x"]] | None = None


@pytest.mark.parametrize(
    "value",
    [
        Empties(),
        Empties(numbers=[], picks=[], box=Bare()),
        Empties(texts=["", "x", ""], maybe=[None, "y", None]),
        Empties(grid=[[], [1], []], boxes=[Bare(), Bare(on=True), Bare()]),
    ],
)
def test_values_that_look_like_nothing_come_back(value):
    app = make_app(Forms())
    spec = FormSpec(Empties, name="e")
    with app.test_request_context():
        body = sent_by(Page(spec.bind(value).render()))
    with app.test_request_context(
        "/", method="POST", data=body, headers={"Sec-Fetch-Site": "same-origin"}
    ):
        assert spec.bind().submit() == value
    # A row that is added or removed changes nothing about them.
    with app.test_request_context(
        "/",
        method="POST",
        data={**body, "_row": "add:texts"},
        headers={"Sec-Fetch-Site": "same-origin"},
    ):
        form = spec.bind()
        assert form.submit() is None
        again = sent_by(Page(form.render()))
    with app.test_request_context(
        "/", method="POST", data=again, headers={"Sec-Fetch-Site": "same-origin"}
    ):
        assert spec.bind().submit() == value


class Blank(pydantic.BaseModel):
    """A model that may hold nothing but blanks and empty lists."""

    name: str = ""
    tags: list[str] = []
    words: dict[str, str] = {}


@pytest.mark.parametrize("shown", [{"rows": [Blank()]}, {"one": Blank()}, {}])
def test_what_exists_stays_even_if_it_holds_only_blanks_and_empty_lists(
    make_site, shown
):
    model = pydantic.create_model("M", rows=(list[Blank], []), one=(Blank | None, None))
    site = make_site(spec := FormSpec(model, name="m"))
    with site.app.test_request_context():
        body = sent_by(Page(spec.bind(model(**shown)).render()))
    assert site.post(body).status_code == 303
    assert site.data == model(**shown)
