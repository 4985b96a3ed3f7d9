from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import contextlib
import dataclasses as dc
import itertools
import threading
import typing as t
from pathlib import Path

import flask
import pytest
from sqlalchemy import Connection
from sqlalchemy import Engine
from sqlalchemy import event
from sqlalchemy import ForeignKey
from sqlalchemy import String
from sqlalchemy import update
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import relationship
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy.testing import connections_in_use


class Base(Model, DeclarativeBase):
    pass


class User(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    posts: Mapped[list[Post]] = relationship(back_populates="user")


class Post(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    user: Mapped[User] = relationship(back_populates="posts")


class Entry(Base):
    __bind_key__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(String(80))


@dc.dataclass(frozen=True)
class Site:
    """An app with tables for users, posts and, in another database, entries."""

    app: flask.Flask
    db: SQLAlchemy[Base]
    User: t.ClassVar = User
    Post: t.ClassVar = Post
    Entry: t.ClassVar = Entry

    def in_use(self) -> dict[str | None, int]:
        return connections_in_use(self.db, self.app)

    def names(self) -> list[str]:
        from sqlalchemy import select

        with self.db.session_scope(self.app) as session:
            return list(session.scalars(select(User.name).order_by(User.id)))

    def entries(self) -> list[str]:
        from sqlalchemy import select

        with self.db.session_scope(self.app) as session:
            return list(session.scalars(select(Entry.what).order_by(Entry.id)))


MakeSite: t.TypeAlias = cabc.Callable[..., Site]


@pytest.fixture(autouse=True)
def _close_connections() -> cabc.Iterator[None]:
    """Close what the pools hold: Python 3.13 warns of what is collected unclosed."""
    engines: set[Engine] = set()
    opened: list[t.Any] = []

    def note_engine(connection: Connection) -> None:
        engines.add(connection.engine)

    def note(dbapi_connection: t.Any, record: object) -> None:
        opened.append(dbapi_connection)

    event.listen(Engine, "engine_connect", note_engine)
    event.listen(Pool, "connect", note)
    yield
    event.remove(Engine, "engine_connect", note_engine)
    event.remove(Pool, "connect", note)
    for engine in engines:
        if not engine.dialect.is_async:
            engine.dispose()
    for connection in opened:
        with contextlib.suppress(Exception):  # closed before, each in its own way
            connection.close()


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    """Make a site in a folder of its own."""
    numbers = itertools.count()

    def make(url: str = "sqlite:///app.db", audit: str = "", **config: t.Any) -> Site:
        db = SQLAlchemy(model_class=Base)
        app = make_app(
            db,
            instance_path=tmp_path / f"instance{next(numbers)}",
            SQLALCHEMY_DATABASE_URI=url,
            SQLALCHEMY_BINDS={"audit": audit or "sqlite:///audit.db"},
            **config,
        )
        site = Site(app, db)
        with app.app_context():
            db.create_all()
        return site

    return make


@pytest.fixture(params=["sqlite", "psycopg", "asyncpg", "mariadb"])
def async_site(request: pytest.FixtureRequest, make_site: MakeSite) -> Site:
    """A site on each asynchronous driver: aiosqlite and asyncmy for the other two."""
    if request.param == "sqlite":
        return make_site()
    name = "mariadb" if request.param == "mariadb" else "postgresql"
    url = request.getfixturevalue(f"{name}_url")
    drivers = {} if name == "mariadb" else {name: request.param}
    return make_site(url, url, SQLALCHEMY_ASYNC_DRIVERS=drivers)


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()


@pytest.fixture
def pg_site(make_site: MakeSite, postgresql_url: str) -> Site:
    """Both databases are one of PostgreSQL: the tables have different names."""
    return make_site(postgresql_url, postgresql_url)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def any_site(request: pytest.FixtureRequest, make_site: MakeSite) -> Site:
    if request.param == "sqlite":
        return make_site()
    url = request.getfixturevalue(f"{request.param}_url")
    return make_site(url, url)


@pytest.fixture(params=["sqlite", "psycopg", "psycopg2", "mariadb"])
def each_site(request: pytest.FixtureRequest, make_site: MakeSite) -> Site:
    """A site on each synchronous driver that a test can be isolated with."""
    if request.param == "sqlite":
        return make_site()
    name = "mariadb" if request.param == "mariadb" else "postgresql"
    url: str = request.getfixturevalue(f"{name}_url")
    url = url.replace("+psycopg:", f"+{request.param}:")
    return make_site(url, url)


@pytest.fixture
def cross() -> cabc.Callable[..., int]:
    """Let two transactions wait at once, each for a row that the other has written."""

    def run(site: Site, go_on: cabc.Callable[[Session, int, int], object]) -> int:
        with site.db.session_scope(site.app) as session:
            session.add_all([site.User(id=1, name="one"), site.User(id=2, name="two")])
            session.commit()
        meet = threading.Barrier(2)
        calls: list[int] = []
        rename = update(User).values(name=User.name + "+")

        @site.db.transaction(retries=5)
        def work(first: int, second: int) -> None:
            calls.append(first)
            session = site.db.session
            session.execute(rename.where(User.id == first))
            if len(calls) <= 2:
                meet.wait(10)
            go_on(session, first, second)

        def call(first: int, second: int) -> None:
            with site.app.app_context():
                work(first, second)

        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            both = [threads.submit(call, *rows) for rows in ((1, 2), (2, 1))]
        for one in both:
            one.result()
        return len(calls)

    return run
