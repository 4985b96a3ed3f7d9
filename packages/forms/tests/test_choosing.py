"""Choices: asked once, in groups, several in one select, and related objects."""

from __future__ import annotations

import enum
import typing as t

import annotated_types as at
import pydantic
import pytest
import sqlalchemy as sa
from forms_page import Page
from forms_page import sent_by
from sqlalchemy import orm

from flaskware_core import current_context
from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui
from flaskware_forms.testing import submit


def spec(**fields: t.Any) -> FormSpec[t.Any]:
    return FormSpec(pydantic.create_model("M", **fields), name="m")


def test_choices_are_asked_once_per_request_however_many_there_are(make_site):
    calls: list[int] = []

    def numbers() -> list[tuple[int, str]]:
        calls.append(1)
        return [(n, str(n)) for n in range(10)]

    row = pydantic.create_model(
        "Row", n=(t.Annotated[int | None, Ui(choices=numbers)], None)
    )
    field = t.Annotated[list[int], Ui(choices=numbers)]
    site = make_site(spec(a=(field, []), b=(field, []), rows=(list[row], [])))
    sent = {"a": [str(n % 10) for n in range(300)], "rows-0.n": "1", "rows-1.n": "2"}
    assert site.post(sent).status_code == 303
    assert len(calls) == 1
    wrong = site.post({**sent, "b": "77"})
    assert wrong.status_code == 422
    assert len(calls) == 2
    site.client.get("/")
    assert len(calls) == 3


class Land(enum.Enum):
    DE = "de"
    FR = "fr"
    BR = "br"


GROUPS = {"Europe <1>": ["de", "fr"], "America": ["br"]}


def labels(page: Page) -> list[str | None]:
    return [a["label"] for tag, a in page.tags if tag == "optgroup"]


def test_choices_of_a_type_stand_in_groups(make_site):
    site = make_site(spec(a=(t.Annotated[Land, Ui(groups=GROUPS)], Land.FR)))
    page = Page(site.client.get("/").text)
    assert labels(page) == ["Europe <1>", "America"]
    assert sent_by(page)["a"] == ["fr"]
    assert site.post({"a": "br"}).status_code == 303
    assert site.data.a is Land.BR


def test_a_function_gives_groups_as_a_mapping(make_site):
    def choices() -> dict[str, list[t.Any]]:
        return {"Odd": [(1, "One"), 3], "Even": [(2, "Two")]}

    field = t.Annotated[int, Ui(choices=choices)]
    site = make_site(spec(a=(field, 2), b=(t.Annotated[field, Ui(choices=choices)], 1)))
    page = Page(site.client.get("/").text)
    assert labels(page) == ["Odd", "Even"] * 2
    assert sent_by(page)["a"] == ["2"]
    assert site.post({"a": "3", "b": "1"}).status_code == 303
    assert site.post({"a": "4", "b": "1"}).status_code == 422


def test_groups_that_cannot_be_shown_are_refused():
    with pytest.raises(DeclarationError, match="'xx', which is no choice"):
        spec(a=(t.Annotated[Land, Ui(groups={"G": ["xx"]})], ...))
    with pytest.raises(DeclarationError, match="radio buttons lack"):
        spec(a=(t.Annotated[Land, Ui(groups=GROUPS, widget="radio")], ...))
    with pytest.raises(DeclarationError, match="widget='select'"):
        spec(a=(t.Annotated[list[Land], Ui(groups=GROUPS)], ...))


def test_several_choices_stand_in_one_select(make_site):
    ui = Ui(widget="select", groups=GROUPS, hint="Hold Ctrl")
    field = t.Annotated[list[Land], at.MinLen(1), at.MaxLen(2), ui]
    site = make_site(spec(a=(field, [Land.DE])))
    page = Page(site.client.get("/").text)
    assert "multiple" in page.control("a")
    assert labels(page) == ["Europe <1>", "America"]
    selected = [a["value"] for tag, a in page.tags if "selected" in a]
    assert selected == ["de"]
    assert site.post({"a": ["fr", "br"]}).status_code == 303
    assert site.data.a == [Land.FR, Land.BR]
    answer = site.post({"a": ["fr", "xx"]})
    page = Page(answer.text)
    assert page.control("a")["aria-invalid"] == "true"
    assert 'href="#m-a"' in answer.text
    assert [a["value"] for tag, a in page.tags if "selected" in a] == ["fr"]


def test_a_radio_that_may_be_left_out_can_be_chosen_back(make_site):
    kind = t.Annotated[t.Literal["x", "y"] | None, Ui(widget="radio")]
    site = make_site(spec(a=(kind, "x")))
    page = Page(site.client.get("/").text)
    radios = [a for _, a in page.tags if a.get("type") == "radio"]
    assert [a["value"] for a in radios] == ["", "x", "y"]
    assert [a["value"] for a in radios if "checked" in a] == ["x"]
    assert site.post({"a": ""}).status_code == 303
    assert site.data.a is None
    needed = make_site(spec(a=(t.Annotated[t.Literal["x"], Ui(widget="radio")], ...)))
    assert "None of these" not in needed.client.get("/").text


@pytest.mark.parametrize("widget", [None, "radio", "select"])
@pytest.mark.parametrize("value", [True, False, None])
def test_yes_no_and_no_answer_are_three_states(make_site, widget, value):
    site = make_site(spec(a=(t.Annotated[bool | None, Ui(widget=widget)], value)))
    page = Page(site.client.get("/").text)
    assert site.post(sent_by(page)).status_code == 303
    assert site.data.a is value
    assert site.post({"a": "maybe"}).status_code == 422


def test_yes_and_no_are_in_the_language_of_the_request(make_site):
    field = t.Annotated[bool, Ui(widget="radio")]
    site = make_site(spec(a=(field, ...)), FORMS_LANGUAGES=["en", "de"])
    assert ">Yes<" in site.client.get("/").text
    german = site.client.get("/", headers={"Accept-Language": "de"}).text
    assert ">Ja<" in german
    assert ">Nein<" in german
    answer = site.post({})
    assert answer.status_code == 422


# Related objects.


class Base(orm.DeclarativeBase):
    pass


POST_TAG = sa.Table(
    "post_tag",
    Base.metadata,
    sa.Column("post_id", sa.ForeignKey("post.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tag.id"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "tag"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(20))

    def __str__(self) -> str:
        return self.name


class Post(Base):
    __tablename__ = "post"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    main_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("tag.id"))
    main: orm.Mapped[Tag | None] = orm.relationship()
    tags: orm.Mapped[list[Tag]] = orm.relationship(secondary=POST_TAG)


class Pair(Base):
    __tablename__ = "pair"
    a: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    b: orm.Mapped[int] = orm.mapped_column(primary_key=True)


class Holder(Base):
    __tablename__ = "holder"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    a: orm.Mapped[int]
    b: orm.Mapped[int]
    pair: orm.Mapped[Pair] = orm.relationship(
        primaryjoin="and_(Holder.a == foreign(Pair.a), Holder.b == foreign(Pair.b))",
        viewonly=True,
        uselist=False,
    )


def all_tags() -> t.Any:
    return current_context().g.session.scalars(sa.select(Tag).order_by(Tag.name)).all()


def pairs_of_tags() -> t.Any:
    return current_context().g.session.execute(sa.select(Tag.id, Tag.name)).all()


class PostIn(pydantic.BaseModel):
    title: t.Annotated[str, at.Len(1, 20)]
    main: t.Annotated[int | None, Ui(choices=pairs_of_tags)] = None
    tags: t.Annotated[list[int], Ui(choices=all_tags)] = []


POST = FormSpec.for_model(Post, PostIn, name="post")


@pytest.fixture
def posts():
    engine = sa.create_engine(
        "sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    app = make_app(Forms())
    session = orm.Session(engine, expire_on_commit=False)
    a, b, c = Tag(id=1, name="a"), Tag(id=2, name="b"), Tag(id=3, name="c")
    session.add_all([a, b, c, Post(id=1, title="One", main=a, tags=[a, b])])
    session.commit()

    @app.before_request
    def connect() -> None:
        current_context().g.session = session

    @app.route("/<int:number>", methods=["GET", "POST"])
    @POST.handles
    def edit(form: Bound[PostIn], number: int) -> t.Any:
        post = session.get(Post, number) or Post()
        form.fill(post)
        if form.submit() and form.save(session, post):
            return {"id": post.id}
        return form.render(), form.status if form.errors else 200

    yield app.test_client(), session
    session.close()
    engine.dispose()


def test_related_objects_are_shown_and_come_back_as_they_were(posts):
    client, session = posts
    page = Page(client.get("/1").text)
    ticked = [a["value"] for _, a in page.tags if "checked" in a]
    assert ticked == ["1", "2"]
    assert page.text.count("c") >= 1
    sent = {**sent_by(page), "main": "1"}
    assert submit(client, "/1", data=sent).json == {"id": 1}
    post = session.get(Post, 1)
    assert [post.main.id, [tag.id for tag in post.tags]] == [1, [1, 2]]


def test_related_objects_are_chosen(posts):
    client, session = posts
    sent = {"title": "One", "main": "3", "tags": ["2", "3"]}
    assert submit(client, "/1", data=sent).json == {"id": 1}
    post = session.get(Post, 1)
    assert [post.main.name, [tag.name for tag in post.tags]] == ["c", ["b", "c"]]
    assert submit(client, "/1", data={"title": "One", "main": ""}).json == {"id": 1}
    assert session.get(Post, 1).main is None


def test_a_new_object_gets_related_objects(posts):
    client, session = posts
    sent = {"title": "New", "main": "2", "tags": ["1"]}
    assert submit(client, "/9", json={**sent, "main": 2, "tags": [1]}).json == {"id": 2}
    post = session.get(Post, 2)
    assert [post.main.name, [tag.name for tag in post.tags]] == ["b", ["a"]]


def test_what_is_not_offered_is_not_related(posts):
    client, session = posts
    for sent in ({"main": "9"}, {"tags": ["1", "9"]}):
        answer = submit(client, "/1", data={"title": "One", **sent})
        assert answer.status_code == 422
    assert [tag.id for tag in session.get(Post, 1).tags] == [1, 2]


def test_a_new_object_without_a_session_is_told_what_it_lacks(posts):
    _, session = posts
    with make_app(Forms()).test_request_context(
        "/",
        method="POST",
        data={"title": "x", "main": "1"},
        headers={"Sec-Fetch-Site": "same-origin"},
    ):
        current_context().g.session = session
        form = POST.bind()
        assert form.submit()
        with pytest.raises(RuntimeError, match=r"form\.save\(session, obj\)"):
            form.apply(Post())


def test_relationships_that_no_choice_fits_are_refused():
    choose = Ui(choices=list)
    one = pydantic.create_model("One", tags=(t.Annotated[int, choose], ...))
    many = pydantic.create_model("Many", main=(t.Annotated[list[int], choose], ...))
    two = pydantic.create_model("Two", pair=(t.Annotated[int, choose], ...))
    bare = pydantic.create_model("Bare", main=(int, ...))
    for entity, model, reason in (
        (Post, one, "takes a list of keys"),
        (Post, many, "takes one key"),
        (Holder, two, "has several primary keys"),
        (Post, bare, r"Ui\(choices=\.\.\.\)"),
    ):
        with pytest.raises(DeclarationError, match=reason):
            FormSpec.for_model(entity, model, name="m")
