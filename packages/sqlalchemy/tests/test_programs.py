"""Random programs on PostgreSQL against a model of what must be where."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses as dc
import typing as t

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from hypothesis.stateful import invariant
from hypothesis.stateful import precondition
from hypothesis.stateful import rule
from hypothesis.stateful import RuleBasedStateMachine
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy import TransactionBegun
from flaskware_sqlalchemy.testing import connections_in_use


class Base(Model, orm.DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "row"
    number: Mapped[int] = mapped_column(primary_key=True)


class Log(Base):
    __tablename__ = "log"
    __bind_key__ = "log"
    number: Mapped[int] = mapped_column(primary_key=True)


class Place(Base):
    """One row: the name of the database that it is in."""

    __tablename__ = "place"
    name: Mapped[str] = mapped_column(primary_key=True)


KINDS: dict[str, type[t.Any]] = {"row": Row, "log": Log}


class Undone(Exception):
    pass


@dc.dataclass
class Pending:
    """Numbers that a session has written and not committed, by table."""

    row: set[int] = dc.field(default_factory=set)
    log: set[int] = dc.field(default_factory=set)

    def of(self, kind: str) -> set[int]:
        return t.cast("set[int]", getattr(self, kind))

    def copy(self) -> Pending:
        return Pending(set(self.row), set(self.log))


kinds = st.sampled_from(["row", "log"])
names = st.sampled_from(["default", "other"])
ways = st.sampled_from(["add", "insert", "text", "connection", "bulk"])


class Programs(RuleBasedStateMachine):
    """Sessions, scopes, engines, nested blocks, retries, replicas and binds.

    The model keeps what is committed in each table, what each session has pending, and
    whether the context has written.
    """

    db: t.ClassVar[SQLAlchemy[Base]]
    app: t.ClassVar[t.Any]

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.committed = Pending()
        self.pending = {"default": Pending(), "other": Pending()}
        self.wrote = False
        self.stack = contextlib.ExitStack()

    @initialize()
    def begin(self) -> None:
        with self.db.session_scope(self.app) as session:
            session.execute(sa.delete(Row))
            session.execute(sa.delete(Log))
            session.commit()
        self.stack.enter_context(self.app.app_context())

    def teardown(self) -> None:
        self.stack.close()
        assert set(connections_in_use(self.db, self.app).values()) == {0}

    def next(self) -> int:
        self.number += 1
        return self.number

    def write(self, session: t.Any, kind: str, way: str) -> int:
        """Write a number through a session; return it."""
        model, number = KINDS[kind], self.next()
        if way == "add":
            session.add(model(number=number))
            session.flush()
        elif way == "bulk":
            session.bulk_save_objects([model(number=number)])
        elif way == "insert":
            session.execute(sa.insert(model).values(number=number))
        elif way == "text":
            engine = self.db.engines["log" if kind == "log" else None]
            session.execute(
                sa.text(f"insert into {kind} values ({number})"),
                bind_arguments={"bind": engine},
            )
        else:
            connection = session.connection(bind_arguments={"mapper": model})
            connection.execute(sa.insert(model).values(number=number))
        self.wrote = True
        return number

    @rule(name=names, kind=kinds, way=ways)
    def write_in_session(self, name: str, kind: str, way: str) -> None:
        number = self.write(self.db.get_session(name), kind, way)
        self.pending[name].of(kind).add(number)

    @rule(name=names)
    def commit(self, name: str) -> None:
        self.db.get_session(name).commit()
        self._commit(name)

    def _commit(self, name: str) -> None:
        self.committed.row |= self.pending[name].row
        self.committed.log |= self.pending[name].log
        self.pending[name] = Pending()

    @rule(name=names, closes=st.booleans())
    def roll_back(self, name: str, closes: bool) -> None:
        session = self.db.get_session(name)
        (session.close if closes else session.rollback)()
        self.pending[name] = Pending()

    @rule(kind=kinds, way=ways, commits=st.booleans(), is_known=st.booleans())
    def write_in_scope(
        self, kind: str, way: str, commits: bool, is_known: bool
    ) -> None:
        with self.db.session_scope(self.app if is_known else None) as session:
            number = self.write(session, kind, way)
            if commits:
                session.commit()
                self.committed.of(kind).add(number)

    @rule(kind=kinds, fails=st.booleans())
    def write_in_engine(self, kind: str, fails: bool) -> None:
        engine = self.db.engines["log" if kind == "log" else None]
        number = self.next()
        with contextlib.suppress(Undone), engine.begin() as connection:
            connection.execute(sa.insert(KINDS[kind]).values(number=number))
            if fails:
                raise Undone
        self.wrote = True
        if not fails:
            self.committed.of(kind).add(number)

    @rule(kind=kinds, commits=st.booleans())
    def write_in_coroutine(self, kind: str, commits: bool) -> None:
        number = self.next()

        async def work() -> None:
            async with self.db.async_session_scope() as session:
                session.add(KINDS[kind](number=number))
                await session.flush()
                if commits:
                    await session.commit()

        asyncio.run(work())
        self.wrote = True
        if commits:
            self.committed.of(kind).add(number)

    @rule(
        name=names,
        steps=st.lists(
            st.tuples(kinds, ways, st.booleans(), st.booleans()), max_size=3
        ),
        fails=st.booleans(),
    )
    def block(
        self, name: str, steps: list[tuple[str, str, bool, bool]], fails: bool
    ) -> None:
        """A block, whose steps are in savepoints or not, and may fail in those."""
        pending = self.pending[name].copy()
        with contextlib.suppress(Undone), self.db.transaction(name=name) as session:
            for kind, way, is_nested, is_undone in steps:
                if not is_nested:
                    pending.of(kind).add(self.write(session, kind, way))
                    continue
                with contextlib.suppress(Undone), self.db.transaction(name=name):
                    number = self.write(session, kind, way)
                    if is_undone:
                        raise Undone
                    pending.of(kind).add(number)
            if fails:
                raise Undone
        self.pending[name] = Pending() if fails else pending
        if not fails:
            self._commit(name)

    @rule(name=names, kind=kinds, way=ways, failures=st.integers(0, 3))
    def function(self, name: str, kind: str, way: str, failures: int) -> None:
        """A function that is run again after serialization failures, twice at most."""
        done: list[int] = []

        @self.db.transaction(retries=2, name=name)
        def work() -> None:
            session = self.db.get_session(name)
            done.append(self.write(session, kind, way))
            if len(done) <= failures:
                session.execute(
                    sa.text("do $$ begin raise sqlstate '40001'; end $$"),
                    bind_arguments={"bind": self.db.engine},
                )

        if self.pending[name].row or self.pending[name].log:
            with pytest.raises(TransactionBegun):
                work()
            assert done == []
        elif failures == 3:
            with pytest.raises(sa_exc.OperationalError):
                work()
            assert len(done) == 3
        else:
            work()
            self.pending[name].of(kind).add(done[-1])
            self._commit(name)

    @precondition(lambda self: not any(p.row or p.log for p in self.pending.values()))
    @rule()
    def next_context(self) -> None:
        self.stack.close()
        self.stack = contextlib.ExitStack()
        self.stack.enter_context(self.app.app_context())
        self.pending = {"default": Pending(), "other": Pending()}
        self.wrote = False

    @rule(name=names)
    def read_place(self, name: str) -> None:
        found = self.db.get_session(name).scalars(sa.select(Place.name)).one()
        assert found == ("primary" if self.wrote else "copy")

    @rule()
    def read_place_in_scope(self) -> None:
        with self.db.session_scope() as session:
            parts = sa.union(sa.select(Place.name), sa.select(Place.name))
            found = session.scalars(parts).one()
        assert found == ("primary" if self.wrote else "copy")

    @rule(name=names, kind=kinds)
    def read_in_session(self, name: str, kind: str) -> None:
        """A session sees what is committed and what it has written itself."""
        with self.db.primary():
            session = self.db.get_session(name)
            found = set(session.scalars(sa.select(KINDS[kind].number)))
        assert found == self.committed.of(kind) | self.pending[name].of(kind)

    @invariant()
    def what_is_committed_is_where_it_belongs(self) -> None:
        router = self.db.state_of(self.app).router
        for kind, key in (("row", None), ("log", "log")):
            with router.engines[key].connect() as connection:
                found = set(connection.scalars(sa.text(f"select number from {kind}")))
            assert found == self.committed.of(kind)


@pytest.mark.slow
def test_random_programs_lose_and_misplace_nothing(postgresql_url, tmp_path):
    urls = {"primary": postgresql_url}
    main = sa.create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    for name in ("copy", "log"):
        database = f"{main.url.database}_{name}"
        with main.connect() as connection:
            connection.exec_driver_sql(f'create database "{database}"')
        url = main.url.set(database=database)
        urls[name] = url.render_as_string(hide_password=False)
    db = SQLAlchemy(model_class=Base)
    app = make_app(
        db,
        instance_path=tmp_path,
        SQLALCHEMY_DATABASE_URI=urls["primary"],
        SQLALCHEMY_BINDS={"log": urls["log"]},
        SQLALCHEMY_REPLICAS={"default": [urls["copy"]]},
    )
    router = db.state_of(app).router
    try:
        with app.app_context():
            db.create_all()
        copy = router.replicas[None].engines[0]
        Base.metadata.create_all(copy)
        for engine, name in ((router.engines[None], "primary"), (copy, "copy")):
            with engine.begin() as connection:
                connection.execute(sa.insert(Place).values(name=name))
        machine = type("Machine", (Programs,), {"db": db, "app": app})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=40,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        for engine in (*router.engines.values(), *router.replicas[None].engines):
            engine.dispose()
        with main.connect() as connection:
            for name in ("copy", "log"):
                database = f"{main.url.database}_{name}"
                connection.exec_driver_sql(f'drop database "{database}" with (force)')
        main.dispose()
