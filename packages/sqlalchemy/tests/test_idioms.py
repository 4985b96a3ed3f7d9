"""Idioms of SQLAlchemy's scoped session, which libraries and apps have always used."""

from __future__ import annotations

import concurrent.futures
import contextvars

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core import NotInitialised
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import ContextSession
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SessionShared
from flaskware_sqlalchemy import SQLAlchemy


@pytest.fixture
def fresh():
    """An extension with a model, and no app yet."""

    class Base(Model, DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Note(Base):
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str] = mapped_column(default="")

    return db, Note


def start(db, **config):
    app = make_app(db, **{"SQLALCHEMY_DATABASE_URI": "sqlite://", **config})
    with app.app_context():
        db.create_all()
    return app


def test_a_listener_of_any_time_counts_for_every_session_of_its_extension(fresh):
    db, Note = fresh
    heard = []

    @event.listens_for(db.session, "before_commit")
    def early(session):
        heard.append("early")

    def late(session):
        heard.append("late")

    app, other = start(db), SQLAlchemy()
    start(other)
    with app.app_context():
        db.session.add(Note())
        event.listen(db.session, "before_commit", late)  # the session is open
        db.session.commit()
    assert heard == ["early", "late"]
    heard.clear()
    with app.app_context():
        for session in (db.session, db.get_session("second")):
            session.execute(sa.select(1))
            session.commit()
        with db.session_scope() as session:
            session.execute(sa.select(1))
            session.commit()
        with db.transaction():
            pass
    assert heard == ["early", "late"] * 4
    heard.clear()
    with start(other).app_context():
        other.session.execute(sa.select(1))
        other.session.commit()
    assert heard == []
    event.remove(db.session, "before_commit", late)
    with app.app_context():
        db.session.execute(sa.select(1))
        db.session.commit()
    assert heard == ["early"]


def test_a_listener_counts_for_asynchronous_sessions(fresh, tmp_path):
    db, _ = fresh
    heard = []
    event.listen(db.session, "after_commit", heard.append)
    app = start(db, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/app.db")

    @app.get("/")
    async def view():
        await db.async_session.execute(sa.select(1))
        await db.async_session.commit()
        return ""

    assert app.test_client().get("/").status_code == 200
    assert len(heard) == 1


def test_calling_the_session_gives_that_of_the_context(fresh):
    db, Note = fresh
    with pytest.raises(NotInitialised):
        db.session()
    app = start(db)
    with app.app_context():
        assert not db.session.registry.has()
        session = db.session()
        assert session is db.session.registry() is db.get_session()
        assert isinstance(session, orm.Session)
        assert isinstance(db.session, orm.Session)
        assert isinstance(db.session, orm.scoped_session)
        note = Note()
        db.session.add(note)
        assert note in db.session
        assert list(db.session) == [note]
        assert db.session.in_transaction()
        assert db.session.get_transaction() is session.get_transaction()
        db.session.expire_on_commit = False
        assert session.expire_on_commit is False
        db.session.remove()
        assert note not in db.session
        with pytest.raises(TypeError, match="takes no options"):
            db.session(autoflush=False)
        with pytest.raises(TypeError, match="test_isolation"):
            db.session.configure(bind=db.engine)
        db.session.registry.clear()
        assert not db.session.registry.has()
        other = db.get_session("other")
        db.session.registry.set(other)
        assert db.session() is other
        with pytest.raises(TypeError, match=r"db\.session = "):
            db.session.registry.set(orm.Session())


def test_a_query_property_and_a_module_variable_find_the_session(fresh):
    db, Note = fresh
    Note.search = db.session.query_property()
    kept = db.session
    app = start(db)
    for number in range(2):
        with app.app_context():
            kept.add(Note(text=str(number)))
            kept.commit()
            assert Note.search.count() == number + 1
    assert not hasattr(kept, "session")


def test_a_class_for_the_sessions_keeps_what_it_adds(site):
    class Loud(orm.Session):
        def shout(self):
            return self.scalar(sa.select(1))

    db = SQLAlchemy(session_options={"class_": Loud})
    with start(db).app_context():
        assert db.session.shout() == 1
        assert isinstance(db.session(), Loud)


def test_a_fixture_may_put_another_session_in_place(fresh, monkeypatch):
    db, Note = fresh
    app = start(db)
    ended = []

    class Own(orm.scoped_session):
        def remove(self):
            ended.append(1)
            super().remove()

    with app.app_context():
        own = Own(orm.sessionmaker(db.engine))
    with monkeypatch.context() as patch:
        patch.setattr(db, "session", own)
        with app.app_context():
            db.session.add(Note(text="own"))
            db.session.commit()
            assert db.get_or_404(Note, 1) in own
            assert db.paginate(sa.select(Note)).items[0] in own
        assert ended == [1]
    assert isinstance(db.session, ContextSession)
    with app.app_context():
        assert db.session.get(Note, 1).text == "own"


def test_threads_that_use_one_session_at_once_are_told_so(fresh, postgresql_url):
    db, Note = fresh
    app = start(db, SQLALCHEMY_DATABASE_URI=postgresql_url)

    def work():
        db.session.add(Note())
        db.session.commit()

    with app.app_context():
        db.session.execute(sa.text("select 1"))
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            jobs = [
                threads.submit(contextvars.copy_context().run, work) for _ in range(60)
            ]
            asleep = threads.submit(
                contextvars.copy_context().run,
                lambda: db.session.execute(sa.text("select pg_sleep(0.3)")),
            )
            asleep.exception()
        errors = [job.exception() for job in [*jobs, asleep] if job.exception()]
        assert {type(error) for error in errors} <= {SessionShared}
        db.session.rollback()
        done = db.session.scalar(sa.select(sa.func.count()).select_from(Note))
    assert done + len(errors) >= len(jobs)


def test_a_second_thread_is_refused_while_the_first_waits(fresh, postgresql_url):
    db, Note = fresh
    app = start(db, SQLALCHEMY_DATABASE_URI=postgresql_url)
    with app.app_context(), concurrent.futures.ThreadPoolExecutor(1) as threads:
        entered = []

        @event.listens_for(db.engine, "before_cursor_execute")
        def note_it(*arguments):
            if not entered:
                entered.append(1)
                run = contextvars.copy_context().run
                error = threads.submit(run, db.session.add, Note()).exception()
                entered.append(error)

        db.session.execute(sa.select(1))
        assert isinstance(entered[1], SessionShared)
        assert "db.session_scope(app)" in str(entered[1])
        # One after the other is right, as with views in threads of a server.
        run = contextvars.copy_context().run
        threads.submit(run, db.session.execute, sa.select(1)).result()


def test_an_extension_keeps_the_session_across_its_apps(fresh):
    db, Note = fresh
    one, two = start(db), flask.Flask("two")
    two.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db.init_app(two)
    session = db.session
    with one.app_context(), two.app_context():
        db.create_all()
        assert session.bind is None
        assert session.get_bind(Note) is db.engines[None]
