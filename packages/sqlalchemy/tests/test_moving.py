"""An app written for Flask-SQLAlchemy 3, and the extensions such apps use."""

from __future__ import annotations

import contextlib
import importlib
import sys

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import MappedAsDataclass
from werkzeug.exceptions import NotFound

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy

APP = '''
from __future__ import annotations

from flask import Flask, abort, jsonify, render_template_string, request
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_sqlalchemy import SQLAlchemy


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)

tags = db.Table(
    "book_tag",
    db.Column("book_id", db.ForeignKey("book.id"), primary_key=True),
    db.Column("tag_id", db.ForeignKey("tag.id"), primary_key=True),
)


class Tag(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(db.String(40), unique=True)


class Author(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = db.relationship(back_populates="author")


class Book(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(80), nullable=False)
    author_id = db.mapped_column(db.ForeignKey("author.id"))
    created = db.Column(db.DateTime, server_default=db.func.now())
    author = db.relationship("Author", back_populates="books")
    tags = db.relationship("Tag", secondary=tags, backref=db.backref("books"))


class AuditEntry(db.Model):
    __bind_key__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str]


def create_app(**config):
    app = Flask("library", instance_path=config.pop("INSTANCE_PATH"))
    app.config.from_mapping(config)
    db.init_app(app)

    @app.post("/books")
    def add():
        author = db.session.execute(
            db.select(Author).filter_by(name=request.form["author"])
        ).scalar_one_or_none() or Author(name=request.form["author"])
        db.session.add(Book(title=request.form["title"], author=author))
        db.session.add(AuditEntry(what="added"))
        db.session.commit()
        return "", 201

    @app.get("/books")
    def books():
        page = db.paginate(
            db.select(Book).order_by(Book.title), per_page=2, error_out=False
        )
        return render_template_string(TEMPLATE, page=page)

    @app.get("/books/<int:id>")
    def book(id):
        return jsonify(title=db.get_or_404(Book, id, description="no book").title)

    @app.get("/authors/<name>")
    def author(name):
        found = db.one_or_404(db.select(Author).filter_by(name=name))
        return jsonify(books=len(found.books), again=db.first_or_404(
            db.select(Author).where(db.or_(Author.name == name))).name)

    return app


TEMPLATE = """{{ page.total }}:{{ page.pages }}:{% for book in page.items %}
{{- book.title }},{% endfor %}
{%- for n in page.iter_pages() %}{{ n }} {% endfor -%}
{{ page.has_next }} {{ page.next_num }} {{ page.prev_num }} {{ page.first }}"""
'''


@pytest.fixture(params=["flask_sqlalchemy", "flaskware_sqlalchemy"])
def library(request, tmp_path):
    """The same app with either import."""
    if request.param == "flask_sqlalchemy" and sa.__version__ >= "2.1":
        pytest.importorskip(request.param)
    path = tmp_path / f"library_{request.param}.py"
    text = APP.replace("from flask_sqlalchemy", f"from {request.param}")
    path.write_text(text)
    sys.path.insert(0, str(tmp_path))
    try:
        module = __import__(path.stem)
    finally:
        sys.path.remove(str(tmp_path))
    app = module.create_app(
        TESTING=True,
        SECRET_KEY="k3y-0f-a-test:0123456789abcdef-XYZ",
        SQLALCHEMY_DATABASE_URI="sqlite:///library.db",
        SQLALCHEMY_BINDS={"audit": {"url": "sqlite:///audit.db"}},
        SQLALCHEMY_TRACK_MODIFICATIONS=False,
        SQLALCHEMY_RECORD_QUERIES=True,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_recycle": 300},
        INSTANCE_PATH=str(tmp_path / "instance"),
    )
    with app.app_context():
        module.db.create_all()
    yield module, app
    with app.app_context():
        for engine in module.db.engines.values():
            engine.dispose()
    del sys.modules[path.stem]


def test_an_app_answers_the_same_with_either_import(library):
    module, app = library
    client = app.test_client()
    for number in range(5):
        form = {"title": f"book {number}", "author": "ada"}
        assert client.post("/books", data=form).status_code == 201
    assert client.get("/books").text == ("5:3:book 0,book 1,1 2 3 True 2 None 1")
    assert client.get("/books?page=3").text.startswith("5:3:book 4,1 2 3 False None 2")
    assert client.get("/books?page=x").text.startswith("5:3:book 0,")
    assert client.get("/books?page=9").text.startswith("5:3:1 2 ")
    assert client.get("/books/1").json == {"title": "book 0"}
    assert client.get("/books/99").status_code == 404
    assert "no book" in client.get("/books/99").text
    assert client.get("/authors/ada").json == {"books": 5, "again": "ada"}
    assert client.get("/authors/eve").status_code == 404
    with app.app_context():
        db = module.db
        statement = db.select(db.func.count(module.AuditEntry.id))
        assert db.session.scalar(statement) == 5
        page = db.paginate(db.select(module.Book), page=1, per_page=2, count=False)
        assert (page.total, [book.id for book in page]) == (None, [1, 2])
        assert [book.id for book in db.paginate(db.select(module.Book)).items]
        pages = db.paginate(db.select(module.Book), per_page=2)
        assert [book.id for book in pages.next()] == [3, 4]
        assert [book.id for book in pages.next().prev()] == [1, 2]
        assert module.AuditEntry.__table__.metadata is db.metadatas["audit"]
        assert db.session.get_bind(module.AuditEntry) is db.engines["audit"]


@pytest.fixture
def legacy(tmp_path):
    db = SQLAlchemy()

    class User(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(40))

    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://")
    with app.app_context():
        db.create_all()
        db.session.add_all([User(name=name) for name in ("ada", "eve", "joe")])
        db.session.commit()
        yield db, User


def test_legacy_queries_work_and_say_what_to_write(legacy):
    db, User = legacy
    with pytest.warns(DeprecationWarning, match=r"db\.session\.scalars\(db\.select\(U"):
        assert User.query.filter_by(name="ada").one().id == 1
    with pytest.warns(DeprecationWarning, match="Use|is deprecated") as caught:
        assert User.query.order_by(User.id.desc()).first().name == "joe"
    assert caught[0].filename == __file__
    with pytest.warns(
        DeprecationWarning, match=r"write `db\.get_or_404\(User, ident\)`"
    ):
        assert db.session.query(User).get_or_404(2).name == "eve"
    with pytest.warns(
        DeprecationWarning, match=r"db\.first_or_404\(db\.select\(User\)"
    ):
        assert db.session.query(User).filter(User.id > 2).first_or_404().name == "joe"
    with pytest.warns(DeprecationWarning, match=r"db\.one_or_404"):
        assert db.session.query(User).filter_by(id=1).one_or_404().name == "ada"
    with pytest.warns(DeprecationWarning, match=r"db\.paginate\(db\.select\(User\)\)"):
        page = db.session.query(User).order_by(User.id).paginate(page=2, per_page=2)
    assert ([user.name for user in page], page.total) == (["joe"], 3)


@pytest.mark.filterwarnings("ignore:Query:DeprecationWarning")
@pytest.mark.parametrize(
    "ask",
    [
        lambda query: query.get_or_404(9),
        lambda query: query.filter_by(id=9).first_or_404(),
        lambda query: query.one_or_404(),
        lambda query: query.paginate(page=9),
    ],
)
def test_legacy_queries_that_find_nothing_are_a_404(legacy, ask):
    db, User = legacy
    with pytest.raises(NotFound):
        ask(db.session.query(User))


class PlainBase(DeclarativeBase):
    metadata = sa.MetaData(naming_convention={"pk": "the_pk_%(table_name)s"})


class DataBase(MappedAsDataclass, DeclarativeBase):
    pass


def test_bases_of_an_existing_app_are_taken_as_they_are(tmp_path):
    for base in (PlainBase, DataBase):
        db = SQLAlchemy(model_class=base)

        class OrderLine(db.Model):
            id = db.mapped_column(db.Integer, primary_key=True)

        assert OrderLine.__tablename__ == "order_line"
        assert issubclass(OrderLine, base)
        name = "the_pk_order_line" if base is PlainBase else None
        assert OrderLine.__table__.primary_key.name == name


def test_every_name_of_sqlalchemy_is_an_attribute():
    db = SQLAlchemy()
    for module in (sa, sa.orm):
        for name in module.__all__ if hasattr(module, "__all__") else ():
            assert getattr(db, name) is not None
    assert db.select is sa.select
    assert db.joinedload is sa.orm.joinedload
    with pytest.raises(AttributeError, match="no 'sesion'"):
        db.sesion  # noqa: B018


def test_options_of_the_session_are_used(tmp_path):
    db = SQLAlchemy(session_options={"expire_on_commit": False, "autoflush": False})
    app = make_app(db, SQLALCHEMY_DATABASE_URI="sqlite://")
    with app.app_context():
        assert db.session.expire_on_commit is db.session.autoflush is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"class_": dict}, "class_=.*subclass of sqlalchemy.orm.Session"),
        ({"close_resets_only": True}, "'close_resets_only'.*Write nothing"),
        ({"bind": None}, "'bind'.*SQLALCHEMY_DATABASE_URI"),
        ({"binds": {}}, "'binds'.*__bind_key__"),
        ({"autobegin": False}, "'autobegin'"),
        ({"scopefunc": id}, r"'scopefunc'.*db\.session_scope\(\)"),
        ({"autoflsh": False}, "'autoflsh'.*It knows autocommit, autoflush"),
        ({"autocommit": True}, "autocommit"),
    ],
)
def test_an_option_that_no_session_could_have_is_refused_at_once(options, words):
    with pytest.raises((TypeError, sa.exc.ArgumentError), match=words):
        SQLAlchemy(session_options=options)


def add_view(site, session):
    admin = pytest.importorskip("flask_admin")
    from flask_admin.contrib.sqla import ModelView

    with contextlib.suppress(ImportError):  # where it is installed, it is asked
        importlib.import_module("flask_babel").Babel(site.app)
    admin.Admin(site.app, name="x").add_view(ModelView(site.User, session))


@pytest.mark.flask_only("Flask-Admin knows Flask alone")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["extension", "session"])
def test_flask_admin_lists_adds_edits_and_deletes(site, kind):
    add_view(site, site.db if kind == "extension" else site.db.session)
    client = site.app.test_client()
    assert client.get("/admin/user/").status_code == 200
    answer = client.post("/admin/user/new/", data={"name": "ada"})
    assert (answer.status_code, site.names()) == (302, ["ada"])
    assert "ada" in client.get("/admin/user/").text
    client.post("/admin/user/edit/?id=1", data={"name": "eve"})
    assert site.names() == ["eve"]
    client.post("/admin/user/delete/", data={"id": "1"})
    assert site.names() == []
    assert site.in_use() == {None: 0, "audit": 0}


def test_the_extension_is_a_session_for_what_takes_it_for_one(site):
    db, User = site.db, site.User
    with site.app.app_context():
        db.add(User(name="ada"))
        db.flush()
        db.rollback()
        db.add(ann := User(name="ann"))
        db.commit()
        assert db.query(User).count() == 1
        with db.no_autoflush:
            assert db.get(User, ann.id) is ann
        statement = db.delete(User).where(User.name == "nobody")
        assert db.session.execute(statement).rowcount == 0
        db.delete(ann)
        db.commit()
    assert site.names() == []
    with pytest.raises(AttributeError, match=r"write `db\.session\.scalars`"):
        db.scalars(sa.select(User))


def test_a_session_can_be_handed_on_before_there_is_a_context(site):
    session = site.db.session
    for name in ("ada", "eve"):
        with site.app.app_context():
            session.add(site.User(name=name))
            assert session() is site.db.session()
            session.commit()
    with site.app.app_context():
        session.execute(sa.select(1))
        session.remove()
        assert not site.db.session.in_transaction()
    assert site.names() == ["ada", "eve"]


@pytest.mark.flask_only("Flask-Security knows Flask alone")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_flask_security_registers_and_logs_in(tmp_path):
    pytest.importorskip("flask_security")
    from flask_security import hash_password
    from flask_security import Security
    from flask_security import SQLAlchemyUserDatastore
    from flask_security.models import fsqla_v3

    db = SQLAlchemy()
    fsqla_v3.FsModels.set_db_info(db)

    class Role(db.Model, fsqla_v3.FsRoleMixin):
        pass

    class User(db.Model, fsqla_v3.FsUserMixin):
        pass

    app = make_app(
        db,
        instance_path=tmp_path,
        SQLALCHEMY_DATABASE_URI="sqlite:///users.db",
        SECURITY_PASSWORD_SALT="146585145368132386173505678016728509634",
        SECURITY_PASSWORD_HASH="plaintext",
        SECURITY_PASSWORD_SCHEMES=["plaintext"],
        SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},
        WTF_CSRF_ENABLED=False,
    )
    users = SQLAlchemyUserDatastore(db, User, Role)
    app.security = Security(app, users)
    with app.app_context():
        db.create_all()
        role = users.find_or_create_role("editor")
        users.create_user(
            email="ada@example.org",
            password=hash_password("correct-horse"),
            roles=[role],
        )
        db.session.commit()
    login = {"email": "ada@example.org", "password": "wrong-horse"}
    client = app.test_client()
    assert client.post("/login", json=login).status_code == 400
    login["password"] = "correct-horse"
    assert client.post("/login", json=login).status_code == 200
    with app.app_context():
        assert users.find_user(email="ada@example.org").has_role("editor")


@pytest.mark.flask_only("Flask-Migrate knows Flask alone")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("template", ["flask", "flask-multidb"])
def test_an_env_of_flask_migrate_migrates(tmp_path, template, monkeypatch):
    migrate = pytest.importorskip("flask_migrate")
    monkeypatch.chdir(tmp_path)
    # Each env.py calls it, and it silences the loggers of the whole test run.
    monkeypatch.setattr("logging.config.fileConfig", lambda _: None)
    db = SQLAlchemy()

    class Book(db.Model):
        id = db.Column(db.Integer, primary_key=True)

    class Entry(db.Model):
        __bind_key__ = "audit"
        id = db.Column(db.Integer, primary_key=True)

    several = template == "flask-multidb"
    app = make_app(
        db,
        instance_path=tmp_path / "instance",
        SQLALCHEMY_DATABASE_URI="sqlite:///app.db",
        SQLALCHEMY_BINDS={"audit": "sqlite:///audit.db"},
    )
    migrate.Migrate(app, db)
    with app.app_context():
        migrate.init(multidb=several)
        migrate.migrate(message="first")
        migrate.upgrade()
        names = {
            key: sa.inspect(one).get_table_names() for key, one in db.engines.items()
        }
        migrate.downgrade()
        assert "book" not in sa.inspect(db.engine).get_table_names()
        for engine in db.engines.values():
            engine.dispose()
    assert names[None] == ["alembic_version", "book"]
    assert names["audit"] == (["alembic_version", "entry"] if several else [])


def test_the_shapes_that_other_extensions_read(site):
    db = site.app.extensions["sqlalchemy"]
    with site.app.app_context():
        assert db.engines[None] is db.engine is db.get_engine()
        assert db.metadatas[None] is db.metadata
        assert isinstance(db.session, sa.orm.Session)
        assert db.Model.metadata is db.metadata
