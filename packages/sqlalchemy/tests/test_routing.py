from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from flaskware_sqlalchemy import MixedBinds
from flaskware_sqlalchemy._engines.statement import is_write
from flaskware_sqlalchemy._engines.statement import parts_of

from .conftest import Entry
from .conftest import User


@pytest.fixture
def marked(make_site, tmp_path):
    """A site with a replica; each database has one row that says where it is."""
    site = make_site(
        SQLALCHEMY_REPLICAS={
            "default": [f"sqlite:///{tmp_path}/copy.db"],
            "audit": [f"sqlite:///{tmp_path}/audit-copy.db"],
        }
    )
    router = site.db.state_of(site.app).router
    for engine, name in (
        (router.engines[None], "primary"),
        (router.replicas[None].engines[0], "copy"),
    ):
        User.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(User).values(name=name))
    for engine, name in (
        (router.engines["audit"], "primary"),
        (router.replicas["audit"].engines[0], "copy"),
    ):
        Entry.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(Entry).values(what=name))
    return site


def place(site):
    return site.db.session.scalars(sa.select(User.name).order_by(User.id)).first()


def by_scope(site):
    with site.db.session_scope() as session:
        session.add(User(name="new"))
        session.commit()


def by_scope_of_app(site):
    with site.db.session_scope(site.app) as session:
        session.execute(sa.insert(User).values(name="new"))
        session.commit()


def by_coroutine(site):
    async def write():
        async with site.db.async_session_scope() as session:
            session.add(User(name="new"))
            await session.commit()

    asyncio.run(write())


def by_async_engine(site):
    async def write():
        async with site.db.async_engine.begin() as connection:
            await connection.execute(sa.insert(User).values(name="new"))

    asyncio.run(write())


def by_engine(site):
    with site.db.engine.begin() as connection:
        connection.execute(sa.insert(User).values(name="new"))


def by_text_of_engine(site):
    with site.db.engine.begin() as connection:
        connection.exec_driver_sql("insert into user (name) values ('new')")


def by_connection(site):
    site.db.session.connection().execute(sa.insert(User).values(name="new"))
    site.db.session.commit()


def by_named_session(site):
    site.db.get_session("other").add(User(name="new"))
    site.db.get_session("other").commit()


def by_begin(site):
    with site.db.session.begin():
        site.db.session.add(User(name="new"))


def by_savepoint(site):
    with site.db.session.begin_nested():
        site.db.session.add(User(name="new"))
    site.db.session.commit()


def by_bulk(site):
    site.db.session.bulk_save_objects([User(name="new")])
    site.db.session.commit()


def by_returning(site):
    insert = sa.insert(User).values(name="new").returning(User)
    site.db.session.scalars(sa.select(User).from_statement(insert)).one()
    site.db.session.commit()


def by_ddl(site):
    with site.db.engine.begin() as connection:
        connection.execute(sa.DDL("create table more (id int)"))


WAYS = [
    by_scope,
    by_scope_of_app,
    by_coroutine,
    by_async_engine,
    by_engine,
    by_text_of_engine,
    by_connection,
    by_named_session,
    by_begin,
    by_savepoint,
    by_bulk,
    by_returning,
    by_ddl,
]


@pytest.mark.parametrize("write", WAYS, ids=lambda way: way.__name__)
def test_each_way_to_write_makes_the_context_read_from_the_primary(marked, write):
    with marked.app.app_context():
        assert place(marked) == "copy"
        marked.db.session.rollback()
        write(marked)
        assert place(marked) == "primary"
        with marked.db.session_scope() as session:
            assert session.scalars(sa.select(User.name)).first() == "primary"
    with marked.app.app_context():
        assert place(marked) == "copy"


@pytest.mark.parametrize("write", WAYS, ids=lambda way: way.__name__)
def test_each_way_to_write_sets_the_cookie(make_site, tmp_path, write):
    site = make_site(
        SQLALCHEMY_REPLICAS={"default": [f"sqlite:///{tmp_path}/copy.db"]},
        SQLALCHEMY_STICKY_SECONDS=5,
    )

    @site.app.post("/")
    def view():
        write(site)
        return ""

    assert "Set-Cookie" in site.app.test_client().post("/").headers


@pytest.mark.parametrize(
    ("text", "writes"),
    [
        ("select 1", False),
        ("select count(*) from x where id in (1) and (a = 2)", False),
        ("(select 1) union (select 2)", False),
        ("with x as (select 1) select * from x", False),
        ("show server_version", False),
        ("pragma foreign_keys", False),
        ("pragma user_version = 3", True),
        ("savepoint a", False),
        ("select * into new from old", True),
        ("select nextval('x')", True),
        ("select move_stock(1)", True),
        ("with x as (insert into y values (1) returning 1) select * from x", True),
        ("insert into x values (1)", True),
        ("/* hint */ update x set a = 1", True),
        ("explain analyze delete from x", True),
        ("call work()", True),
        ("drop table x", True),
    ],
)
def test_text_that_may_write_counts_as_a_write(text, writes):
    assert is_write(text, None) is writes


SELECTS = {
    "plain": lambda table: sa.select(table.c.id),
    "union": lambda table: sa.union(sa.select(table.c.id), sa.select(table.c.id)),
    "except": lambda table: sa.except_(
        sa.select(table.c.id), sa.select(table.c.id).where(table.c.id == 1)
    ),
    "subquery": lambda table: sa.select(sa.select(table.c.id).subquery().c.id),
    "cte": lambda table: sa.select(sa.select(table.c.id).cte().c.id),
    "exists": lambda table: sa.select(sa.exists(sa.select(table.c.id))),
    "scalar": lambda table: sa.select(sa.select(table.c.id).limit(1).scalar_subquery()),
    "union in a subquery": lambda table: sa.select(sa.func.count()).select_from(
        sa.union_all(sa.select(table.c.id), sa.select(table.c.id)).subquery()
    ),
    "where": lambda table: sa.select(sa.literal(1)).where(
        sa.literal(1).in_(sa.select(table.c.id))
    ),
}


def of_models(make):
    """The same statement, of a model's attributes: the ORM treats it in another way."""

    class Columns:
        def __init__(self, model):
            self.c = model

    return lambda table: make(Columns({User.__table__: User, ENTRY: Entry}[table]))


ENTRY = Entry.__table__
KINDS = {
    **SELECTS,
    **{f"{name}, models": of_models(make) for name, make in SELECTS.items()},
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_the_bind_of_a_select_is_found_and_read_from_its_replica(marked, make):
    router = marked.db.state_of(marked.app).router
    with marked.app.app_context():
        seen = []
        session = marked.db.session()

        class Spy(type(session)):
            def get_bind(self, *args, **kwargs):
                seen.append(super().get_bind(*args, **kwargs))
                return seen[-1]

        session.__class__ = Spy
        for table, key in ((User.__table__, None), (ENTRY, "audit")):
            session.execute(make(table))
            assert seen[-1] is router.replicas[key].engines[0], key


@pytest.mark.parametrize(
    "statement",
    [
        sa.select(User, Entry),
        sa.select(User).join(Entry, Entry.id == User.id),
        sa.union_all(sa.select(User.id), sa.select(Entry.id)),
        sa.select(User).where(User.id.in_(sa.select(Entry.id))),
        sa.select(User.id, sa.select(Entry.id).scalar_subquery()),
        sa.select(sa.select(Entry.id).cte().c.id, User.id),
        sa.insert(User).from_select(["name"], sa.select(Entry.what)),
        sa.insert(ENTRY).from_select(["what"], sa.select(User.__table__.c.name)),
        sa.update(User).values(name=sa.select(Entry.what).scalar_subquery()),
        sa.delete(User).where(sa.exists(sa.select(Entry.id))),
        sa.select(User).from_statement(
            sa.union_all(sa.select(User.id, User.name), sa.select(Entry.id, Entry.what))
        ),
    ],
    ids=str,
)
def test_parts_of_two_databases_are_an_error(site, statement):
    with site.app.app_context():
        with pytest.raises(MixedBinds, match="'default' and 'audit'") as info:
            site.db.session.execute(statement)
        assert info.value.keys == [None, "audit"]
        assert site.db.session.scalars(sa.select(User)).all() == []


def test_a_write_goes_to_the_bind_of_its_parts(site):
    with site.app.app_context():
        site.db.session.execute(
            sa.insert(ENTRY).from_select(["what"], sa.select(sa.literal("x")))
        )
        site.db.session.execute(
            sa.insert(Entry).from_select(
                ["what"], sa.union_all(sa.select(Entry.what), sa.select(Entry.what))
            )
        )
        site.db.session.commit()
    assert site.entries() == ["x"] * 3


def test_a_select_that_locks_or_changes_is_no_read():
    insert = sa.insert(User).values(name="x").returning(User.id).cte()
    for statement in (
        sa.select(insert),
        sa.union_all(sa.select(User.id), sa.select(insert.c.id)),
        sa.select(User).with_for_update(),
        sa.select(sa.select(User.id).with_for_update().subquery()),
        sa.text("select 1").columns(User.id),
        sa.select(User).from_statement(sa.text("select 1")),
        sa.select(User).from_statement(sa.insert(User).returning(User)),
    ):
        assert not parts_of(statement).is_read
    assert parts_of(sa.select(orm.aliased(User))).is_read
