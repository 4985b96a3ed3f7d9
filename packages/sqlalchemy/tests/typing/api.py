"""Every public signature, used as in an app; checked, never run."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import flask
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import MappedAsDataclass
from sqlalchemy.orm import Session

from flaskware_sqlalchemy import AsyncDriverMissing
from flaskware_sqlalchemy import ContextSession
from flaskware_sqlalchemy import DatabaseUnavailable
from flaskware_sqlalchemy import EncryptedText
from flaskware_sqlalchemy import fetch_peers
from flaskware_sqlalchemy import HashedPassword
from flaskware_sqlalchemy import KeysetPage
from flaskware_sqlalchemy import Location
from flaskware_sqlalchemy import LockTaken
from flaskware_sqlalchemy import MixedBinds
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import NAMING_CONVENTION
from flaskware_sqlalchemy import NPlusOneError
from flaskware_sqlalchemy import NPlusOneWarning
from flaskware_sqlalchemy import OnCommitError
from flaskware_sqlalchemy import Page
from flaskware_sqlalchemy import PasswordHash
from flaskware_sqlalchemy import ReadOnlySession
from flaskware_sqlalchemy import RecordedQuery
from flaskware_sqlalchemy import row_security
from flaskware_sqlalchemy import SchemaUnusable
from flaskware_sqlalchemy import SecretRefused
from flaskware_sqlalchemy import SessionShared
from flaskware_sqlalchemy import SoftDelete
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy import SQLAlchemySettings
from flaskware_sqlalchemy import Timestamps
from flaskware_sqlalchemy import TransactionBegun
from flaskware_sqlalchemy import UnknownBind
from flaskware_sqlalchemy import UTCDateTime
from flaskware_sqlalchemy import WaitForItself
from flaskware_sqlalchemy.testing import connections_in_use


class Base(Model, DeclarativeBase):
    pass


class DataBase(Model, MappedAsDataclass, DeclarativeBase):
    pass


class User(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    nick: Mapped[str | None]


class Meeting(Timestamps, Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(UTCDateTime)


t.assert_type(Meeting().created_at, dt.datetime)
t.assert_type(Meeting().updated_at, dt.datetime)


class Account(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    iban: Mapped[str | None] = mapped_column(EncryptedText)
    password: Mapped[HashedPassword] = mapped_column(PasswordHash)


t.assert_type(Account().iban, str | None)
t.assert_type(Account().password, HashedPassword)
t.assert_type(HashedPassword.of("x"), HashedPassword)
t.assert_type(HashedPassword("x").verify("x"), bool)
t.assert_type(HashedPassword("x").is_outdated, bool)
t.assert_type(HashedPassword("x").text, str)
t.assert_type(HashedPassword.verify_nobody("x"), bool)


class Comment(SoftDelete, Base):
    id: Mapped[int] = mapped_column(primary_key=True)


t.assert_type(Comment().deleted_at, dt.datetime | None)
t.assert_type(Comment().is_soft_deleted, bool)
Comment().soft_delete()
Comment().restore()


class Entry(DataBase):
    __bind_key__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    what: Mapped[str]


app = flask.Flask(__name__)
db = SQLAlchemy(model_class=Base)
db_of_dataclasses = SQLAlchemy(app, model_class=DataBase, echo=True)
db_with_own_base = SQLAlchemy(app)
db.init_app(app)

t.assert_type(db, SQLAlchemy[Base])
t.assert_type(db.Model, type[Base])
t.assert_type(db_with_own_base, SQLAlchemy[DeclarativeBase])
t.assert_type(Entry(what="x").what, str)
t.assert_type(NAMING_CONVENTION, dict[str, str])

t.assert_type(db.session, ContextSession)
t.assert_type(db.session(), Session)
any_session: Session = db.session
t.assert_type(db.get_session("reports"), Session)
with db.session_scope(app) as scoped:
    t.assert_type(scoped, Session)
with db.transaction() as session:
    t.assert_type(session, Session)
with db.transaction(read_only=True) as session:
    t.assert_type(session, Session)
with db.session_scope(app, read_only=True) as scoped:
    t.assert_type(scoped, Session)
with db.test_isolation(app):
    pass


@db.transaction()
def rename(user: User, name: str) -> int:
    user.name = name
    return user.id


t.assert_type(rename(User(), "x"), int)

t.assert_type(db.on_commit(lambda: 7), cabc.Callable[[], int])
db.on_commit(app.create_jinja_environment, session=db.get_session("reports"))


@db.on_commit
def notify() -> str:
    return "sent"


t.assert_type(db.engine, sa.Engine)
t.assert_type(db.engines, cabc.Mapping[str | None, sa.Engine])
t.assert_type(db.get_engine("audit"), sa.Engine)
t.assert_type(db.metadata, sa.MetaData)
t.assert_type(db.metadatas, cabc.Mapping[str | None, sa.MetaData])
db.create_all()
db.create_all(bind_key=None)
db.drop_all(bind_key=["audit", None])

db.advisory_lock("report", timeout=0.5)
db.upsert(User, [{"id": 1, "name": "Ada"}])
db.upsert(User, ({"id": n, "name": "x"} for n in range(3)), by=[User.id], update=[])
db.upsert(User, [], by=["id"], update=[User.name], session=db.get_session("reports"))
t.assert_type(db.get_or_404(User, 7), User)
t.assert_type(db.get_or_404(User, 7, description="no such user"), User)
t.assert_type(db.one_or_404(sa.select(User)), User)
t.assert_type(db.one_or_404(sa.select(User.name)), str)
t.assert_type(db.first_or_404(sa.select(User).order_by(User.id)), User)
t.assert_type(db.first_or_404(sa.select(User.nick)), str | None)

users = db.paginate(sa.select(User).order_by(User.id), page=1, per_page=20)
t.assert_type(users, Page[User])
t.assert_type(users.items, cabc.Sequence[User])
t.assert_type([user.name for user in users], list[str])
t.assert_type(users.total, int | None)
t.assert_type(users.pages, int | None)
t.assert_type(users.page, int)
t.assert_type(users.per_page, int)
t.assert_type(users.has_next, bool)
t.assert_type(users.has_prev, bool)
t.assert_type(users.next_num, int | None)
t.assert_type(users.prev_num, int | None)
t.assert_type(users.first, int)
t.assert_type(users.last, int)
t.assert_type(users.is_capped, bool)
t.assert_type(list(users.iter_pages(left_edge=1)), list[int | None])
t.assert_type(db.paginate(sa.select(User.name), count="none"), Page[str])
t.assert_type(db.paginate(sa.select(User.nick), max_per_page=5), Page[str | None])

# SQLAlchemy 2.0 says Row[tuple[User, int]] and 2.1 Row[User, int] for the same row.
rows = db.paginate(sa.select(User, User.id, User.nick), count="capped")
for row in rows:
    t.assert_type(row.t[0], User)
    t.assert_type(row.t[1], int)
    t.assert_type(row.t[2], str | None)

t.assert_type(connections_in_use(db, app), dict[str | None, int])
t.assert_type(db.settings, SQLAlchemySettings)
t.assert_type(UnknownBind("x", [None]).key, str | None)

things = db.keyset(sa.select(User).order_by(User.name.desc()), limit=20)
t.assert_type(things, KeysetPage[User])
t.assert_type(things.items, cabc.Sequence[User])
t.assert_type([user.name for user in things], list[str])
t.assert_type(things.next_cursor, str | None)
t.assert_type(things.prev_cursor, str | None)
t.assert_type(things.has_next, bool)
t.assert_type(things.has_prev, bool)
t.assert_type(things.per_page, int)
t.assert_type(db.keyset(sa.select(User.nick), after="x"), KeysetPage[str | None])
for pair in db.keyset(sa.select(User, User.id), before="x"):
    t.assert_type(pair.t[0], User)
    t.assert_type(pair.t[1], int)
t.assert_type(users.next(), Page[User])
t.assert_type(users.prev(), Page[User])

with db.transaction(retries=3, isolation_level="SERIALIZABLE", timeout=2.5):
    pass
with fetch_peers(), fetch_peers(False):
    t.assert_type(
        db.session.scalars(sa.select(User.name).options(fetch_peers())).all(),
        cabc.Sequence[str],
    )
with db.primary(), db.schemas({None: "acme"}), db.tenant(7):
    pass
t.assert_type(row_security(User, User.id), list[str])
t.assert_type(row_security(db.metadata.tables["x"], sa.Column("y")), list[str])
with db.assert_queries(max=3) as queries:
    t.assert_type(queries, list[RecordedQuery])
t.assert_type(db.recorded_queries, cabc.Sequence[RecordedQuery])
t.assert_type(queries[0].duration, float)
t.assert_type(queries[0].statement, str)
t.assert_type(queries[0].location, Location | None)
t.assert_type(queries[0].bind_key, str | None)

t.assert_type(db.session.scalars(db.select(User.name)).all(), cabc.Sequence[str])
table = db.Table("tag", db.Column("name", db.String(20)), bind_key="audit")
t.assert_type(table, sa.Table)


@db.async_transaction(retries=3)
async def rename_async(user: User, name: str) -> int:
    user.name = name
    return user.id


async def coroutine() -> None:
    t.assert_type(db.async_session, AsyncSession)
    t.assert_type(db.get_async_session("reports"), AsyncSession)
    t.assert_type(db.async_engine, AsyncEngine)
    t.assert_type(db.async_engines, cabc.Mapping[str | None, AsyncEngine])
    t.assert_type(db.get_async_engine("audit"), AsyncEngine)
    async with db.async_session_scope(app) as scoped:
        t.assert_type(scoped, AsyncSession)
    async with db.async_session_scope(read_only=True) as scoped:
        t.assert_type(scoped, AsyncSession)
    async with db.async_transaction(read_only=True) as session:
        t.assert_type(session, AsyncSession)
    async with db.async_transaction(isolation_level="SERIALIZABLE") as session:
        t.assert_type(session, AsyncSession)
    async with db.async_test_isolation(app):
        pass
    db.async_on_commit(coroutine, session=scoped)
    db.async_on_commit(notify)
    await db.async_advisory_lock("report")
    await db.async_upsert(User, [{"id": 1}], by=[User.id], session=scoped)
    await db.async_create_all()
    await db.async_drop_all("audit")
    t.assert_type(await rename_async(User(), "x"), int)
    t.assert_type(await db.async_get_or_404(User, 7), User)
    t.assert_type(await db.async_one_or_404(sa.select(User.name)), str)
    t.assert_type(await db.async_first_or_404(sa.select(User)), User)
    t.assert_type(await db.async_paginate(sa.select(User)), Page[User])
    t.assert_type(await db.async_keyset(sa.select(User.id)), KeysetPage[int])
    for row in await db.async_paginate(sa.select(User, User.id)):
        t.assert_type(row.t[0], User)
    for row in await db.async_keyset(sa.select(User, User.id)):
        t.assert_type(row.t[1], int)


t.assert_type(AsyncDriverMissing("x"), AsyncDriverMissing)
t.assert_type(MixedBinds([None]).keys, list[str | None])
t.assert_type(SessionShared("x"), SessionShared)
t.assert_type(OnCommitError("x", [ValueError()]), OnCommitError)
t.assert_type(TransactionBegun("x"), TransactionBegun)
t.assert_type(ReadOnlySession("x"), ReadOnlySession)
t.assert_type(LockTaken("x"), LockTaken)
t.assert_type(WaitForItself(), WaitForItself)
t.assert_type(SecretRefused("x"), SecretRefused)
t.assert_type(db.reencrypt(Account, app), int)
t.assert_type(SchemaUnusable("x"), SchemaUnusable)
t.assert_type(DatabaseUnavailable("x", OSError()).reason, str)
t.assert_type(NPlusOneError("x"), NPlusOneError)
t.assert_type(NPlusOneWarning("x"), NPlusOneWarning)
