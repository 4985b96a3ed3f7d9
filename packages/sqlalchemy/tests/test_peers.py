from __future__ import annotations

import asyncio
import typing as t

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy import orm
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import relationship

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import fetch_peers
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy._sessions import peers
from flaskware_sqlalchemy._sessions.session import RoutedSession


class Base(Model, orm.DeclarativeBase):
    pass


label = sa.Table(
    "label",
    Base.metadata,
    sa.Column("node_id", sa.ForeignKey("node.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tag.id"), primary_key=True),
    sa.Column("place", sa.Integer, nullable=False),
)


class Tag(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(default=0)


class Node(Base):
    """Relationships of every kind; its subclasses share the table."""

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    parent_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("node.id"), default=None
    )
    tag_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tag.id"))
    parent: Mapped[Node | None] = relationship(
        back_populates="children", remote_side=id
    )
    children: Mapped[list[Node]] = relationship(back_populates="parent", order_by=id)
    tag: Mapped[Tag | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(
        secondary=label,
        order_by=label.c.place.desc(),
    )
    tag_set: Mapped[set[Tag]] = relationship(secondary=label, viewonly=True)
    by_id: Mapped[dict[int, Node]] = relationship(
        collection_class=orm.attribute_keyed_dict("id"), viewonly=True
    )
    odd: Mapped[list[Node]] = relationship(
        primaryjoin="and_(Node.id == foreign(remote(Node.parent_id)),"
        " remote(Node.id) % 2 == 1)",
        order_by=id.desc(),
        viewonly=True,
    )
    details: Mapped[list[Detail]] = relationship(
        order_by="Detail.position",
        collection_class=ordering_list("position"),
        back_populates="node",
    )
    only: Mapped[Only | None] = relationship(back_populates="node")

    __mapper_args__: t.ClassVar = {
        "polymorphic_on": "kind",
        "polymorphic_identity": "node",
    }


class Leaf(Node):
    __mapper_args__: t.ClassVar = {"polymorphic_identity": "leaf"}


class Detail(Base):
    """A primary key of two columns, and a relationship that is always loaded."""

    node_id: Mapped[int] = mapped_column(sa.ForeignKey("node.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str] = mapped_column(sa.String(10), deferred=True, default="note")
    node: Mapped[Node] = relationship(back_populates="details", lazy="joined")
    remarks: Mapped[list[Remark]] = relationship(order_by="Remark.id")


class Remark(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    node_id: Mapped[int]
    position: Mapped[int]

    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["node_id", "position"], ["detail.node_id", "detail.position"]
        ),
    )


class Only(Base):
    node_id: Mapped[int] = mapped_column(sa.ForeignKey("node.id"), primary_key=True)
    node: Mapped[Node] = relationship(back_populates="only")


RELATIONSHIPS: dict[type, list[str]] = {
    Node: [
        "parent", "children", "tag", "tags", "tag_set", "by_id", "odd", "details",
        "only",
    ],
    Tag: [],
    Detail: ["node", "remarks"],
    Remark: [],
    Only: ["node"],
}  # fmt: skip


def make(url, folder):
    db = SQLAlchemy(model_class=Base)
    app = make_app(db, instance_path=folder, SQLALCHEMY_DATABASE_URI=url)
    with app.app_context():
        db.create_all()
    return app, db


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def tree(request, tmp_path):
    """An app whose database has 24 nodes of every kind."""
    if request.param == "sqlite":
        url = "sqlite:///tree.db"
    else:
        url = request.getfixturevalue(f"{request.param}_url")
    app, db = make(url, tmp_path)
    with db.session_scope(app) as session:
        session.add_all(Tag(id=n, part=n % 3) for n in range(1, 6))
        session.flush()
        for n in range(1, 25):
            made = (Leaf if n % 5 == 0 else Node)(
                id=n,
                parent_id=n // 3 or None,
                tag_id=n % 6 or None,
            )
            session.add(made)
            session.flush()
            for one in range(n % 4):
                values = {"node_id": n, "tag_id": 1 + (n + one) % 5}
                session.execute(
                    label.insert().values(**values, place=(3 * one + n) % 7)
                )
            session.add_all(Detail(node_id=n, position=p) for p in range(n % 3))
            session.flush()
            session.add_all(
                Remark(id=100 * n + r, node_id=n, position=0)
                for r in range(n % 2 + 1 if n % 3 else 0)
            )
            if n % 4 == 1:
                session.add(Only(node_id=n))
        session.commit()
    return app, db


@pytest.fixture(autouse=True)
def _as_it_was():
    """Let no listener of one test stay for the next."""
    yield
    if event.contains(RoutedSession, "do_orm_execute", peers._on_execute):
        event.remove(RoutedSession, "do_orm_execute", peers._on_execute)


def name(found):
    """Return what a value is, whichever session it is of."""
    if isinstance(found, Base):
        return type(found).__name__, sa.inspect(found).identity
    if isinstance(found, dict):
        return sorted((key, name(value)) for key, value in found.items())
    if isinstance(found, set):
        return sorted(map(name, found))
    return [name(one) for one in found] if isinstance(found, list) else found


QUERIES = {
    "nodes": sa.select(Node).order_by(Node.id),
    "leaves": sa.select(Leaf).order_by(Leaf.id),
    "details": sa.select(Detail).order_by(Detail.node_id, Detail.position),
    "with children": sa.select(Node)
    .options(orm.selectinload(Node.children))
    .order_by(Node.id),
    "joined": sa.select(Node)
    .options(orm.joinedload(Node.details).selectinload(Detail.remarks))
    .order_by(Node.id),
    "deeper": sa.select(Node)
    .options(orm.defaultload(Node.children).lazyload(Node.tags))
    .order_by(Node.id),
    "filtered": sa.select(Node)
    .options(orm.lazyload(Node.children.and_(Node.id % 2 == 0)))
    .order_by(Node.id),
    "criteria": sa.select(Node)
    .options(orm.with_loader_criteria(Tag, Tag.part != 1))
    .order_by(Node.id),
    "aliased": sa.select(orm.aliased(Node, name="a")).order_by(sa.text("a.id")),
    "one": sa.select(Node).where(Node.id == 4),
    "streamed": sa.select(Node).order_by(Node.id).execution_options(yield_per=5),
}


class Reader:
    """A program that reads and writes, in one session."""

    def __init__(self, session, steps):
        self.session = session
        # SQLAlchemy does not keep all that was loaded before a write up to date: not
        # the order, and nothing that is only for reading.
        self.writes = any(step in {"move", "append"} for step, _ in steps)
        self.known: list[t.Any] = []
        self.said: list[t.Any] = []

    def keep(self, found):
        said = name(found)
        ordered = isinstance(found, list) and not self.writes
        self.said.append(said if ordered or not found else sorted(map(str, said)))
        values = found.values() if isinstance(found, dict) else found
        if isinstance(found, Base):
            values = [found]
        elif isinstance(found, set):
            values = sorted(found, key=lambda one: sa.inspect(one).identity)
        self.known += [one for one in values or () if one not in self.known]

    def run(self, step, number):
        if step in QUERIES:
            result = self.session.scalars(QUERIES[step])
            self.keep((result.unique() if step == "joined" else result).all())
        elif not self.known:
            return
        else:
            found = self.known[number % len(self.known)]
            self.change(step, number, found)

    def change(self, step, number, found):
        if step == "read":
            names = next(
                names
                for kind, names in RELATIONSHIPS.items()
                if isinstance(found, kind)
            )
            if self.writes:
                names = [one for one in names if one not in {"by_id", "odd"}]
            if names:
                self.keep(getattr(found, names[number // 7 % len(names)]))
        elif step == "expire":
            self.session.expire(found)
        elif step == "commit":
            self.session.commit()
        elif isinstance(found, Node) and step in {"move", "append"}:
            other = self.session.get(Node, number % 24 + 1)
            if other.id >= found.id:
                return  # parents come first: no circles
            with self.session.no_autoflush:
                if step == "move":
                    found.parent = None if number % 2 else other
                else:
                    other.children.append(found)


# An option of a later query is for what is not loaded yet; with peers it can come too
# late: `test_a_filter_of_the_query_counts` has it alone.
COMMON = [name for name in QUERIES if name != "filtered"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [*COMMON, *["read"] * 30, "expire", "commit", "move", "append"]
        ),
        st.integers(0, 10_000),
    ),
    min_size=4,
    max_size=30,
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_every_program_reads_the_same_with_and_without_peers(tree, steps):
    app, db = tree

    def run(wanted):
        with db.test_isolation(app), db.session_scope(app) as session:
            reader = Reader(session, steps)
            with fetch_peers(wanted):
                for step, number in steps:
                    reader.run(step, number)
            return reader.said

    assert run(True) == run(False)


@pytest.mark.parametrize("query", [name for name in QUERIES if name != "one"])
def test_a_filter_of_the_query_counts(tree, query):
    app, db = tree

    def run(wanted):
        with db.session_scope(app) as session, fetch_peers(wanted):
            reader = Reader(session, [])
            reader.run(query, 0)
            for number in range(200):
                reader.change("read", number * 7, reader.known[number % 4])
            return reader.said

    assert run(True) == run(False)


FIRST_20 = sa.select(Node).where(Node.id <= 20).order_by(Node.id)


@pytest.fixture
def page(tree):
    """The page that makes a query for its nodes, and one for each of 20."""
    app, db = tree

    def show(statement=FIRST_20):
        nodes = db.session.scalars(statement).all()
        return [len(node.children) for node in nodes]

    def count(*arguments):
        with app.app_context(), db.assert_queries(app=app, max=99) as queries:
            show(*arguments)
        return len(queries)

    return count


def test_a_page_that_made_21_queries_makes_2(page):
    assert page() == 21
    with fetch_peers():
        assert page() == 2
        with fetch_peers(False):
            assert page() == 21
        assert page() == 2
    assert page() == 21
    assert page(FIRST_20.options(fetch_peers())) == 2
    assert page() == 21
    with fetch_peers():
        assert page(FIRST_20.options(fetch_peers(False))) == 21


def test_the_setting_is_for_every_query_and_others_have_it_off(tmp_path):
    db = SQLAlchemy(model_class=Base)
    app = make_app(
        db,
        instance_path=tmp_path,
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SQLALCHEMY_FETCH_PEERS=True,
        SQLALCHEMY_N_PLUS_ONE="raise",
    )
    with app.app_context():
        db.create_all()
        db.session.add_all([Node(id=1), Node(id=2), Node(id=3, parent_id=1)])
        db.session.commit()
        db.session.expunge_all()
        with db.assert_queries(2):
            for node in db.session.scalars(sa.select(Node)):
                for child in node.children:
                    assert child.children == []
    assert not event.contains(RoutedSession, "do_orm_execute", peers._on_execute)


def test_many_objects_are_fetched_in_batches(page, tree):
    app, db = tree
    with db.session_scope(app) as session:
        session.add_all(Node(id=100 + n) for n in range(2 * peers.BATCH))
        session.commit()
    with fetch_peers():
        assert page(sa.select(Node)) == 1 + 3


def test_each_level_of_a_tree_is_one_query(tree):
    app, db = tree

    def walk(node):
        return 1 + sum(walk(child) for child in node.children)

    with app.app_context(), fetch_peers(), db.assert_queries(min=2, max=6):
        roots = db.session.scalars(sa.select(Node).where(Node.parent_id.is_(None)))
        assert sum(map(walk, roots.all())) == 24


def test_coroutines_have_it_in_run_sync_and_awaitable_attributes(tmp_path, tree):
    app, db = tree

    def show(session):
        nodes = session.scalars(FIRST_20).all()
        return [len(node.children) for node in nodes]

    async def main():
        with fetch_peers(), db.assert_queries(2, app=app):
            async with db.async_session_scope(app) as session:
                return await session.run_sync(show)

    assert sum(asyncio.run(main())) == 22


def test_objects_without_a_hash_are_fetched(tmp_path):
    class Data(Model, orm.MappedAsDataclass, orm.DeclarativeBase):
        pass

    class Thing(Data):
        id: Mapped[int] = mapped_column(primary_key=True)
        thing_id: Mapped[int | None] = mapped_column(
            sa.ForeignKey("thing.id"), default=None
        )
        things: Mapped[list[t.Any]] = relationship("Thing", init=False, order_by=id)

    db = SQLAlchemy(model_class=Data)
    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://")
    with app.app_context(), fetch_peers():
        db.create_all()
        db.session.add_all([Thing(1), Thing(2), Thing(3, 1), Thing(4, 1), Thing(5, 2)])
        db.session.commit()
        db.session.expunge_all()
        things = db.session.scalars(sa.select(Thing).order_by(Thing.id)).all()
        with db.assert_queries(1):
            numbers = [[thing.id for thing in one.things] for one in things]
    assert numbers == [[3, 4], [5], [], [], []]


def test_what_has_no_meaning_is_refused():
    with pytest.raises(TypeError, match="fetch_peers"):
        fetch_peers("peers")
