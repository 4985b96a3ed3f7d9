from __future__ import annotations

import collections.abc as cabc
import typing as t

import annotated_types as at
import flask
import jinja2
import pydantic
import pytest
import sqlalchemy as sa
from forms_page import Page
from forms_page import sent_by
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.ext.asyncio import create_async_engine

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui
from flaskware_forms.testing import submit


class Base(orm.DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "country"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(40))


class User(Base):
    __tablename__ = "user_account"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    email: orm.Mapped[str] = orm.mapped_column(sa.String(80))
    name: orm.Mapped[str] = orm.mapped_column(sa.String(40))
    nick: orm.Mapped[str | None] = orm.mapped_column(sa.String(40))
    age: orm.Mapped[int] = orm.mapped_column(default=30)
    site: orm.Mapped[str | None] = orm.mapped_column(sa.String(200))
    secret: orm.Mapped[str] = orm.mapped_column(sa.String(80), default="")
    country_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("country.id"))
    version: orm.Mapped[int] = orm.mapped_column()
    lines: orm.Mapped[list[Line]] = orm.relationship(
        cascade="all, delete-orphan", order_by="Line.id"
    )
    home: orm.Mapped[Home | None] = orm.relationship(cascade="all, delete-orphan")
    __mapper_args__: t.ClassVar = {"version_id_col": version}
    __table_args__ = (
        sa.UniqueConstraint("email", name="uq_user_email"),
        sa.CheckConstraint("age < 200", name="ck_user_age"),
    )


class Line(Base):
    __tablename__ = "line"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    user_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("user_account.id"))
    text: orm.Mapped[str] = orm.mapped_column(sa.String(40))


class Home(Base):
    __tablename__ = "home"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    user_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("user_account.id"))
    city: orm.Mapped[str] = orm.mapped_column(sa.String(40))


Short = t.Annotated[str, at.Len(1, 40)]


class LineIn(pydantic.BaseModel):
    id: t.Annotated[int | None, Ui(widget="hidden")] = None
    text: Short


class HomeIn(pydantic.BaseModel):
    city: Short


class ProfileIn(pydantic.BaseModel):
    email: t.Annotated[str, at.Len(3, 80)]
    name: Short
    nick: Short | None = None
    age: int = 30
    site: pydantic.HttpUrl | None = None
    lines: list[LineIn] = []
    home: HomeIn | None = None


PROFILE = FormSpec.for_model(User, ProfileIn, name="profile")


class Place:
    """An app that edits the first user of a database."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(url)
        Base.metadata.create_all(self.engine)
        self.statements: list[str] = []
        sa.event.listen(self.engine, "before_cursor_execute", self._keep)
        self.app = make_app(Forms())
        self.app.jinja_loader = jinja2.DictLoader({"page.html": "{{ form.render() }}"})
        with orm.Session(self.engine) as session:
            lines = [Line(text="one"), Line(text="two")]
            session.add(User(id=1, email="ann@x", name="Ann", lines=lines))
            session.add(User(id=2, email="bob@x", name="Bob", lines=[Line(text="b")]))
            session.commit()
        self.changed: frozenset[str] | None = None
        self.meanwhile: cabc.Callable[[], None] = lambda: None

        @self.app.route("/", methods=["GET", "POST"])
        @PROFILE.handles
        def edit(form: Bound[ProfileIn]) -> flask.typing.ResponseReturnValue:
            with orm.Session(self.engine) as session:
                user = session.get_one(User, 1)
                form.fill(user)
                if form.submit():
                    self.meanwhile()
                    if form.save(session, user):
                        return form.done("/done")
                return form.respond("page.html")

        self.client = self.app.test_client()

    def _keep(self, conn: t.Any, cursor: t.Any, statement: str, *rest: t.Any) -> None:
        self.statements.append(statement.split("\n")[0])

    def shown(self) -> dict[str, list[str]]:
        return sent_by(Page(self.client.get("/").text))

    def send(self, body: t.Any, **options: t.Any) -> t.Any:
        self.statements.clear()
        return submit(self.client, "/", data=body, **options)

    def user(self) -> User:
        with orm.Session(self.engine) as session:
            user = session.get_one(User, 1)
            _ = user.lines, user.home
            return user

    def rename_by_somebody_else(self) -> None:
        with orm.Session(self.engine) as session:
            session.get_one(User, 1).name = "Anne"
            session.commit()


def serve(url: str) -> cabc.Iterator[Place]:
    made = Place(url)
    yield made
    made.engine.dispose()


@pytest.fixture
def place(tmp_path) -> cabc.Iterator[Place]:
    yield from serve(f"sqlite:///{tmp_path}/db.sqlite")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def each(request, tmp_path) -> cabc.Iterator[Place]:
    """The same on each kind of database."""
    if request.param == "sqlite":
        yield from serve(f"sqlite:///{tmp_path}/db.sqlite")
    else:
        driver = {"postgresql": "psycopg", "mariadb": "pymysql"}[request.param]
        url = sa.make_url(request.getfixturevalue(f"{request.param}_url"))
        url = url.set(drivername=f"{url.get_backend_name()}+{driver}")
        yield from serve(url.render_as_string(hide_password=False))


def writes(place: Place) -> list[str]:
    kinds = ("INSERT", "UPDATE", "DELETE")
    return [s for s in place.statements if s.startswith(kinds)]


def test_what_is_shown_and_sent_back_writes_nothing(place):
    body = place.shown()
    assert body["name"] == ["Ann"]
    assert body["lines-0.text"] == ["one"]
    assert place.send(body).status_code == 303
    assert writes(place) == []


def test_only_what_changed_is_written(each):
    assert each.send({**each.shown(), "name": "Anna"}).status_code == 303
    assert each.user().name == "Anna"
    (update,) = writes(each)
    assert "name" in update
    assert "email" not in update


def test_rows_are_matched_with_children_by_key(each):
    body = each.shown()
    one = each.user().lines[0].id
    # The first goes, the second changes, another comes.
    body.pop("lines-0.id")
    body["lines-0.text"] = [""]
    body["lines-1.text"] = ["TWO"]
    body["lines-5.text"] = ["three"]
    assert each.send(body).status_code == 303
    lines = each.user().lines
    assert [line.text for line in lines] == ["TWO", "three"]
    assert one not in {line.id for line in lines}


def test_a_child_of_somebody_else_is_not_taken_over(place):
    body = place.shown()
    with orm.Session(place.engine) as session:
        other = session.scalars(sa.select(Line.id).where(Line.text == "b")).one()
    body["lines-0.id"] = [str(other)]
    response = place.send(body, headers={"Accept": "application/json"})
    assert response.status_code == 422
    (error,) = response.get_json()["errors"]
    assert (error["pointer"], error["code"]) == ("#/lines/0", "unknown_child")
    assert writes(place) == []


def test_a_model_of_its_own_comes_changes_and_goes(place):
    body = {**place.shown(), "home.city": ["Rome"]}
    assert place.send(body).status_code == 303
    assert place.user().home.city == "Rome"
    place.send({**place.shown(), "home.city": ["Ur"]})
    assert place.user().home.city == "Ur"
    place.send({**place.shown(), "home.city": [""]})
    assert place.user().home is None


def test_what_a_json_client_leaves_out_stays(place):
    body = {"email": "ann@x", "name": "Anna"}
    assert place.send(None, json=body).status_code == 201
    user = place.user()
    assert user.name == "Anna"
    assert [line.text for line in user.lines] == ["one", "two"]


def test_an_address_is_written_as_text(place):
    place.send({**place.shown(), "site": "https://example.com"})
    assert place.user().site == "https://example.com/"


def test_a_violated_constraint_is_an_error_of_its_field(each):
    response = each.send({**each.shown(), "email": "bob@x"})
    assert response.status_code == 422
    page = Page(response.text)
    assert page.control("email")["aria-invalid"] == "true"
    assert page.control("email")["value"] == "bob@x"
    assert "This is taken already." in page.text


def test_a_named_constraint_has_the_words_of_the_app(each):
    response = each.send({**each.shown(), "age": "300"})
    (first, *_) = [a for _, a in Page(response.text).tags if "aria-invalid" in a]
    assert first["name"] == "age"
    assert "Nobody is that old." in response.text


PROFILE.constraint("ck_user_age", "age", "Nobody is that old.")


def test_a_constraint_of_no_field_is_raised(place):
    user = place.user()

    class NickIn(pydantic.BaseModel):
        name: Short

    spec = FormSpec.for_model(User, NickIn, name="n")
    with place.app.test_request_context(
        "/",
        method="POST",
        data={"name": "x"},
        headers={"Sec-Fetch-Site": "same-origin"},
    ):
        form = spec.bind(user)
        assert form.submit()
        with orm.Session(place.engine) as session:
            mine = session.get_one(User, 1)
            mine.email = "bob@x"
            with pytest.raises(sa.exc.IntegrityError):
                form.save(session, mine)


def test_an_older_version_is_a_conflict_with_both_values(place):
    body = {**place.shown(), "name": "Annie"}
    place.rename_by_somebody_else()
    response = place.send(body, headers={"Accept": "application/json"})
    assert response.status_code == 409
    whole, name = response.get_json()["errors"]
    assert (whole["pointer"], whole["code"]) == ("#", "conflict")
    assert (name["pointer"], name["current"], name["sent"]) == (
        "#/name",
        "Anne",
        "Annie",
    )
    assert place.user().name == "Anne"


def test_who_saw_the_conflict_and_sends_again_is_heard(place):
    body = {**place.shown(), "name": "Annie"}
    place.rename_by_somebody_else()
    shown = place.send(body)
    assert shown.status_code == 409
    again = sent_by(Page(shown.text))
    assert again["name"] == ["Annie"]
    assert place.send(again).status_code == 303
    assert place.user().name == "Annie"


def test_one_who_saves_in_between_is_a_conflict_too(each):
    each.meanwhile = each.rename_by_somebody_else
    response = each.send({**each.shown(), "name": "Annie"})
    if each.engine.dialect.name == "sqlite":
        # SQLite has one writer at a time; the second sees the first one's version.
        assert response.status_code in {303, 409}
    else:
        assert response.status_code == 409
        assert each.user().name == "Anne"


def test_a_version_that_was_shown_stays_with_what_was_typed(place):
    body = {**place.shown(), "name": ""}
    place.rename_by_somebody_else()
    wrong = sent_by(Page(place.send(body).text))
    assert wrong["_version"] == body["_version"]
    assert place.send({**wrong, "name": "x"}).status_code == 409


def test_a_json_client_names_the_version_by_if_match(place):
    version = place.shown()["_version"][0]
    body = {"email": "ann@x", "name": "Anna"}
    place.rename_by_somebody_else()
    headers = {"If-Match": f'"{version}"'}
    assert place.send(None, json=body, headers=headers).status_code == 409
    known = {**body, "_version": int(version) + 1}
    assert place.send(None, json=known).status_code == 201


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"nmae": (Short, ...)}, r"nmae is not an attribute of User.* mean 'name'"),
        ({"name": (str, ...)}, "name may be longer than the 40 characters"),
        ({"name": (t.Annotated[str, at.MaxLen(50)], ...)}, "may be longer than the 40"),
        ({"name": (Short | None, None)}, "name may be None, but user_account.name may"),
        ({"id": (int, ...)}, "id is the primary key"),
        ({"age": (str, ...)}, "age is str, but user_account.age is int"),
        ({"secret": (pydantic.SecretStr, ...)}, "secret is a secret: hash it"),
        ({"lines": (list[str], [])}, "lines is a relationship"),
        ({"lines": (list[HomeIn], [])}, "city is not an attribute of Line"),
        ({"lines": (list[pydantic.create_model("L", text=(Short, ...))], [])},
         "L has no field 'id'"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_fit_is_refused_when_the_form_is_declared(fields, words):
    model = pydantic.create_model("M", **fields)
    with pytest.raises(DeclarationError, match=words):
        FormSpec.for_model(User, model, name="m")


def test_every_problem_is_listed_at_once():
    model = pydantic.create_model("M", id=(int, ...), name=(str, ...), x=(int, 1))
    with pytest.raises(DeclarationError) as caught:
        FormSpec.for_model(User, model, name="m")
    assert len(str(caught.value).splitlines()) == 4


def test_what_the_view_writes_itself_is_passed_over(place):
    class In(pydantic.BaseModel):
        name: Short
        secret: pydantic.SecretStr

    spec = FormSpec.for_model(User, In, name="m", view_writes=["secret"])
    headers = {"Sec-Fetch-Site": "same-origin"}
    data = {"name": "x", "secret": "y"}
    with place.app.test_request_context("/", method="POST", data=data, headers=headers):
        form = spec.bind()
        user = User(name="a", secret="hash")
        assert form.submit() is not None
        assert form.apply(user) == {"name"}
        assert user.secret == "hash"


def test_a_form_of_no_class_or_without_data_cannot_be_applied(place):
    with place.app.test_request_context("/"):
        with pytest.raises(DeclarationError, match=r"FormSpec\.for_model"):
            FormSpec(ProfileIn, name="p").bind().apply(User())
        with pytest.raises(RuntimeError, match=r"if form\.submit\(\)"):
            PROFILE.bind().apply(User())


def test_an_async_session_saves_and_tells_of_constraints(tmp_path):
    import asyncio

    pytest.importorskip("aiosqlite")

    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a.sqlite")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        app = make_app(Forms())
        async with async_sessionmaker(engine)() as session:
            session.add(User(id=2, email="bob@x", name="Bob"))
            await session.commit()
            for email, saved in (("ann@x", True), ("bob@x", False)):
                with app.test_request_context(
                    "/",
                    method="POST",
                    data={"email": email, "name": "Ann"},
                    headers={"Sec-Fetch-Site": "same-origin"},
                ):
                    form = PROFILE.bind()
                    assert await form.async_submit()
                    assert await form.async_save(session, User()) is saved
            assert form.errors[0].path == ("email",)
        await engine.dispose()

    asyncio.run(main())


def test_choices_come_from_a_query(place):
    with orm.Session(place.engine) as session:
        session.add_all([Country(id=1, name="Utopia"), Country(id=2, name="Oz")])
        session.commit()

    def countries() -> list[t.Any]:
        with orm.Session(place.engine) as session:
            return list(session.execute(sa.select(Country.id, Country.name)))

    class In(pydantic.BaseModel):
        country_id: t.Annotated[int | None, Ui(label="Country", choices=countries)]

    spec = FormSpec.for_model(User, In, name="m")

    @place.app.route("/country", methods=["GET", "POST"], endpoint="country")
    @spec.handles
    def view(form: Bound[In]) -> flask.typing.ResponseReturnValue:
        if data := form.submit():
            return str(data.country_id)
        return form.respond("page.html")

    text = place.client.get("/country").text
    assert '<option value="2">Oz</option>' in text
    assert submit(place.client, "/country", data={"country_id": "2"}).text == "2"
    refused = submit(place.client, "/country", data={"country_id": "3"})
    assert refused.status_code == 422
    assert "Choose one of the offered values." in refused.text
