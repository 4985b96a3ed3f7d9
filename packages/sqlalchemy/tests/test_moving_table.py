"""Each row of the table in ``docs/moving.md``: what it says is tried here."""

from __future__ import annotations

import types
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm
from werkzeug.exceptions import NotFound

from flaskware_core import AlreadyInitialised
from flaskware_core import ConfigError
from flaskware_core import current_app_object
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import Page
from flaskware_sqlalchemy import SQLAlchemy

PAGE = Path(__file__).parents[1] / "docs" / "moving.md"
ROWS: dict[str, t.Any] = {}


def row(start):
    """Register the test of the row whose first cell begins so."""

    def register(test):
        ROWS[start] = test
        return test

    return register


def cells():
    lines = PAGE.read_text("utf-8").splitlines()
    first = [line.split(" | ")[0].strip("| ") for line in lines if line[:2] == "| "]
    head = ("**", "Flask-SQLAlchemy")
    return [cell for cell in first if not cell.startswith(head)]


def start(db, **config):
    config.setdefault("SQLALCHEMY_DATABASE_URI", "sqlite://")
    return make_app(db, **config)


@pytest.fixture
def old():
    """An app as it was written for Flask-SQLAlchemy, in a context."""
    db = SQLAlchemy()

    class User(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(40))
        posts = db.relationship("Post", backref="user", lazy="dynamic")

    class Post(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        user_id = db.Column(db.ForeignKey(User.id))

    app = start(db, SQLALCHEMY_RECORD_QUERIES=True)
    with app.app_context():
        db.create_all()
        db.session.add_all([User(name=name) for name in ("ada", "eve", "joe")])
        db.session.commit()
        yield types.SimpleNamespace(app=app, db=db, User=User, Post=Post)


def test_each_row_has_a_test():
    for cell in cells():
        assert [start for start in ROWS if cell.startswith(start)], cell
    for start in ROWS:
        assert [cell for cell in cells() if cell.startswith(start)], start


@row("`SQLAlchemy()`")
def _(old):
    assert old.app.extensions["sqlalchemy"] is old.db


@row("`model_class=Base`")
def _(old):
    class Data(orm.MappedAsDataclass, orm.DeclarativeBaseNoMeta):
        pass

    db = SQLAlchemy(model_class=Data)

    class Note(db.Model):
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True, init=False)
        text: orm.Mapped[str]

    assert Note(text="x").text == "x"
    assert Note.__tablename__ == "note"


@row("`model_class=` a mixin")
def _(old):
    for base in (type("Mixin", (), {}), Model, orm.declarative_base()):
        db = SQLAlchemy(model_class=base)
        assert issubclass(db.Model, (base, Model))
        assert db.Model.metadata is db.metadata


@row("`metadata=`")
def _(old):
    metadata = sa.MetaData()
    assert SQLAlchemy(metadata=metadata).metadata is metadata
    base = type("Base", (orm.DeclarativeBase,), {})
    with pytest.warns(DeprecationWarning, match="is ignored"):
        SQLAlchemy(metadata=metadata, model_class=base)


@row("`disable_autonaming=True`")
def _(old):
    assert SQLAlchemy(disable_autonaming=True).Model.__autonaming__ is False


@row("`class User(db.Model)`")
def _(old):
    assert old.User.__tablename__ == "user"


@row('`db.Table("tags"')
def _(old):
    table = old.db.Table("tags", old.db.Column("id", old.db.Integer), bind_key="x")
    assert old.db.metadatas["x"].tables["tags"] is table


@row("`db.select`, `db.Column`")
def _(old):
    assert (old.db.select, old.db.Column) == (sa.select, sa.Column)
    assert (old.db.ForeignKey, old.db.event) == (sa.ForeignKey, event)


@row("`db.create_all()`")
def _(old):
    old.db.drop_all(bind_key=None)
    assert sa.inspect(old.db.engine).get_table_names() == []
    old.db.create_all(bind_key=[None])
    other = SQLAlchemy()
    with start(other).app_context():
        other.session.execute(sa.text("CREATE TABLE seen (id INTEGER)"))
        other.session.commit()
        other.reflect()
        assert set(other.metadata.tables) == {"seen"}


@row("`DefaultMeta`")
def _(old):
    assert type(old.db.Model) is type(orm.DeclarativeBase)


@row("`db.init_app()` for the same app")
def _(old):
    with pytest.raises(AlreadyInitialised, match="Remove the second call"):
        old.db.init_app(old.app)


@row("`db.session`, `db.session()`")
def _(old):
    assert old.db.session() is old.db.session.registry()
    old.User.search = old.db.session.query_property()
    assert old.User.search.count() == 3
    heard = []
    event.listen(old.db.session, "after_commit", heard.append)
    old.db.session.commit()
    assert heard
    old.db.session.remove()
    assert not old.db.session.in_transaction()


@row("`db.session.configure()`")
def _(old):
    with pytest.raises(TypeError, match="session_options"):
        old.db.session.configure(autoflush=False)


@row("`db.session` outside a context")
def _(old):
    db = SQLAlchemy()
    session = db.session
    with start(db).app_context():
        assert session.scalar(sa.select(1)) == 1


@row("`db.engine`, `db.engines`")
def _(old):
    assert old.db.engine is old.db.engines[None] is old.db.get_engine()


@row("`db.get_or_404`")
def _(old):
    db, User = old.db, old.User
    assert db.get_or_404(User, 1, with_for_update=True).name == "ada"
    assert db.one_or_404(db.select(User).filter_by(id=2)).name == "eve"
    assert db.first_or_404(db.select(User).order_by(User.id)).name == "ada"
    for find in (
        lambda: db.get_or_404(User, 9, description="none"),
        lambda: db.one_or_404(db.select(User)),
        lambda: db.first_or_404(db.select(User).filter_by(id=9)),
    ):
        with pytest.raises(NotFound):
            find()


@row("`db.paginate(select")
def _(old):
    statement = old.db.select(old.User).order_by(old.User.id)
    options = {"page": 9, "per_page": 200, "max_per_page": None, "count": False}
    page = old.db.paginate(statement, error_out=False, **options)
    assert (page.items, page.per_page, page.total) == ([], 200, None)
    with pytest.raises(NotFound):
        old.db.paginate(statement, **options)


@row("`Pagination`:")
def _(old):
    page = old.db.paginate(old.db.select(old.User).order_by(old.User.id), per_page=2)
    assert (page.page, page.per_page, page.total, page.pages) == (1, 2, 3, 2)
    assert (page.has_next, page.next_num, page.has_prev, page.prev_num) == (
        True,
        2,
        False,
        None,
    )
    assert (page.first, page.last, list(page.iter_pages())) == (1, 2, [1, 2])
    assert page.next().prev().items == page.items == list(page)
    page.items = ["changed"]
    assert list(page) == ["changed"]


@row("`Pagination.max_per_page`")
def _(old):
    assert not hasattr(old.db.paginate(old.db.select(old.User)), "max_per_page")


@row("`SelectPagination(")
def _(old):
    page = Page.of(old.db.select(old.User).order_by("id"), old.db.session, per_page=2)
    assert (len(page), page.total) == (2, 3)


@row("`User.query`")
def _(old):
    query = old.User.query.order_by(old.User.id)
    assert query.get_or_404(1) is query.first_or_404()
    assert query.filter_by(id=2).one_or_404().name == "eve"
    assert query.paginate(per_page=2).total == 3
    with pytest.warns(DeprecationWarning, match=r"db\.session\.scalars"):
        old.User.query  # noqa: B018


@row("`query_class=`")
def _(old):
    assert isinstance(old.User.query.first().posts, old.db.Query)
    assert old.User.query.first().posts.paginate().total == 0

    class Loud(old.db.Query):
        def shout(self):
            return self.count()

    db = SQLAlchemy(query_class=Loud)

    class Parent(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        children = db.dynamic_loader("Child", backref=db.backref("up"))

    class Child(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        parent_id = db.Column(db.ForeignKey(Parent.id))

    with start(db).app_context():
        db.create_all()
        assert db.Query is Loud
        assert Parent.query.shout() == db.session.query(Child).shout() == 0
        assert isinstance(Parent().children, Loud)
    old.User.query_class = Loud
    assert old.User.query.shout() == 3


@row("`SQLALCHEMY_BINDS` of URLs")
def _(old):
    db, url = SQLAlchemy(), sa.URL.create("sqlite")
    binds = {None: "sqlite://", "a": url, "b": {"url": url, "echo": True}}
    with make_app(db, SQLALCHEMY_BINDS=binds).app_context():
        assert set(db.engines) == {None, "a", "b"}
        assert db.engines["b"].echo is True


@row("`SQLALCHEMY_BINDS` without")
def _(old):
    db = SQLAlchemy()
    with make_app(db, SQLALCHEMY_BINDS={"a": "sqlite://"}).app_context():
        assert list(db.engines) == ["a"]


@row("`__bind_key__`")
def _(old):
    db = SQLAlchemy()

    class Late(db.Model):
        __abstract__ = True
        __bind_key__ = "a"

    class Mixin:
        __bind_key__ = "b"

    class One(Late):
        id = db.Column(db.Integer, primary_key=True)

    class Two(Mixin, db.Model):
        id = db.Column(db.Integer, primary_key=True)

    assert One.metadata is db.metadatas["a"]
    assert Two.metadata is db.metadatas["b"]
    assert db.metadata is db.metadatas[None]


@row("`SQLALCHEMY_DATABASE_URI`")
def _(old):
    for name in ("x.db", "file:x.db?uri=true"):
        db = SQLAlchemy()
        app = start(db, SQLALCHEMY_DATABASE_URI=f"sqlite:///{name}")
        with app.app_context():
            assert f"{app.instance_path}/x.db" in db.engine.url.database


@row("`SQLALCHEMY_ENGINE_OPTIONS`")
def _(old):
    db = SQLAlchemy(engine_options={"echo": True, "echo_pool": True})
    options = {"echo": False}
    with start(db, SQLALCHEMY_ENGINE_OPTIONS=options).app_context():
        assert (db.engine.echo, db.engine.pool.echo) == (False, True)


@row("`SQLALCHEMY_ECHO`")
def _(old):
    db = SQLAlchemy()
    with start(db, SQLALCHEMY_ECHO=True).app_context():
        assert (db.engine.echo, db.engine.pool.echo) == (True, True)


@row("`SQLALCHEMY_POOL_SIZE`")
def _(old):
    with pytest.raises(ConfigError, match=r"SQLALCHEMY_ENGINE_OPTIONS = \{'pool_size'"):
        start(SQLAlchemy(), SQLALCHEMY_POOL_SIZE=3)


@row("`SQLALCHEMY_RECORD_QUERIES`")
def _(old):
    old.db.session.execute(sa.select(old.User))
    query = old.db.recorded_queries[-1]
    assert "FROM user" in query.statement.replace('"', "")
    assert query.location.filename.endswith("test_moving_table.py")
    assert query.duration == query.end_time - query.start_time


@row("`SQLALCHEMY_TRACK_MODIFICATIONS = True`")
def _(old):
    with pytest.warns(UserWarning, match="after_commit"):
        start(SQLAlchemy(), SQLALCHEMY_TRACK_MODIFICATIONS=True)
    changes = []
    event.listen(
        old.db.session, "after_flush", lambda session, _: changes.extend(session.new)
    )
    user = old.User(name="new")
    old.db.session.add(user)
    old.db.session.commit()
    assert changes == [user]


@row("`session_options=`")
def _(old):
    class Loud(orm.Session):
        pass

    db = SQLAlchemy(session_options={"class_": Loud, "autoflush": False})
    with start(db).app_context():
        assert isinstance(db.session(), Loud)
        assert db.session.autoflush is False


@row('`session_options={"scopefunc"')
def _(old):
    for options in ({"scopefunc": id}, {"binds": {}}):
        with pytest.raises(TypeError, match="Write"):
            SQLAlchemy(session_options=options)


@row("`add_models_to_shell=False`")
def _(old):
    assert old.app.make_shell_context()["User"] is old.User
    app = start(SQLAlchemy(add_models_to_shell=False))
    assert "db" not in app.make_shell_context()


@row("`db.create_scoped_session()`")
def _(old):
    for name, words in {
        "create_scoped_session": "test_isolation",
        "get_app": "flask.current_app",
        "get_binds": "db.engines",
        "get_tables_for_bind": "db.metadatas",
    }.items():
        with pytest.raises(AttributeError, match=words):
            getattr(old.db, name)
    assert current_app_object() is old.app


@pytest.mark.parametrize("start", ROWS)
@pytest.mark.filterwarnings("ignore:.*is deprecated. write:DeprecationWarning")
def test_a_row_is_true(start, old):
    ROWS[start](old)
