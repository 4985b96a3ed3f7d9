"""Tenants by the row-level security of PostgreSQL: a forgotten filter leaks nothing."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core import examine
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import row_security
from flaskware_sqlalchemy import SchemaUnusable
from flaskware_sqlalchemy import SQLAlchemy


class Base(Model, orm.DeclarativeBase):
    pass


class Invoice(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int]
    text: Mapped[str] = mapped_column(sa.String(20))


class Line(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(index=True)


STATEMENTS = row_security(Invoice, Invoice.shop_id)


@pytest.fixture(params=["psycopg", "psycopg2", "asyncpg"])
def shops(request, postgresql_url, tmp_path):
    """An app of a user who is no superuser, and the same of the superuser."""
    user = f"shop_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(postgresql_url)
    with admin.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {user} LOGIN PASSWORD 'x'"))
        connection.execute(sa.text(f"GRANT ALL ON SCHEMA public TO {user}"))
    url = make_url(postgresql_url).set(username=user, password="x")
    text = url.render_as_string(hide_password=False)
    drivers = {}
    if request.param == "asyncpg":
        drivers = {"postgresql": "asyncpg"}
    else:
        text = text.replace("+psycopg:", f"+{request.param}:")
    db = SQLAlchemy(model_class=Base)
    app = make_app(
        db,
        instance_path=tmp_path,
        SQLALCHEMY_DATABASE_URI=text,
        SQLALCHEMY_ASYNC_DRIVERS=drivers,
    )
    with app.app_context():
        db.create_all()
    for shop in (1, 2):
        with app.app_context(), db.tenant(shop), db.transaction() as session:
            session.add(Invoice(id=shop, shop_id=shop, text=f"of {shop}"))
    yield db, app
    for engine in db.state_of(app).router.engines.values():
        engine.dispose()
    with admin.begin() as connection:
        connection.execute(sa.text(f"DROP OWNED BY {user}"))
        connection.execute(sa.text(f"DROP ROLE {user}"))
    admin.dispose()


READS = {
    "entities": lambda db: db.session.scalars(sa.select(Invoice.text)).all(),
    "get": lambda db: [
        one.text for id in (1, 2) if (one := db.session.get(Invoice, id))
    ],
    "text": lambda db: db.session.scalars(sa.text("SELECT text FROM invoice")).all(),
    "engine": lambda db: _by_engine(db),
    "transaction": lambda db: _in_transaction(db),
    "scope": lambda db: _in_scope(db),
    "page": lambda db: [
        one.text for one in db.paginate(sa.select(Invoice).order_by(Invoice.id))
    ],
}


def _by_engine(db):
    with db.engine.connect() as connection:
        return connection.scalars(sa.text("SELECT text FROM invoice")).all()


def _in_transaction(db):
    with db.transaction(read_only=True) as session:
        return session.scalars(sa.select(Invoice.text)).all()


def _in_scope(db):
    with db.session_scope() as session:
        return session.scalars(sa.select(Invoice.text)).all()


@pytest.mark.parametrize("is_isolated", [False, True])
def test_a_forgotten_filter_leaks_nothing(shops, is_isolated):
    db, app = shops
    with contextlib.ExitStack() as stack:
        if is_isolated:
            stack.enter_context(db.test_isolation(app))
        stack.enter_context(app.app_context())
        for _ in range(2):  # the connections of the pool serve one after the other
            for read in READS.values():
                with db.tenant(1):
                    assert read(db) == ["of 1"]
                    with db.tenant(2):
                        assert read(db) == ["of 2"]
                    assert read(db) == ["of 1"]
                assert read(db) == []
                db.session.rollback()


@pytest.mark.parametrize("is_isolated", [False, True])
def test_nobody_writes_for_another_tenant(shops, is_isolated):
    db, app = shops
    with contextlib.ExitStack() as stack:
        if is_isolated:
            stack.enter_context(db.test_isolation(app))
        stack.enter_context(app.app_context())
        for tenant in (1, None):
            with db.tenant(tenant) if tenant else contextlib.nullcontext():
                with pytest.raises(sa_exc.DBAPIError, match="row-level security"):
                    db.session.execute(
                        sa.insert(Invoice).values(id=9, shop_id=2, text="x")
                    )
                db.session.rollback()
                done = db.session.execute(sa.update(Invoice).values(text="mine"))
                assert done.rowcount == (1 if tenant else 0)
                db.session.commit()
        with db.tenant(2):
            assert db.session.scalars(sa.select(Invoice.text)).all() == ["of 2"]


def test_coroutines_have_the_tenant_too(shops):
    db, app = shops

    async def read():
        async with db.async_session_scope(app) as session:
            return (await session.scalars(sa.select(Invoice.text))).all()

    async def main():
        found = [await read()]
        for shop in (1, 2):
            with db.tenant(shop):
                found.append(await read())
        return [*found, await read()]

    assert asyncio.run(main()) == [[], ["of 1"], ["of 2"], []]


def test_the_doctor_finds_tables_without_a_policy(shops):
    db, app = shops

    def findings():
        report = examine(app, deploy=True)
        names = [(one.id, one.message) for one in report.findings]
        return [one for one in names if one[0].startswith("sqlalchemy.tenant")]

    ((kind, message),) = findings()
    assert (kind, "table line" in message) == ("sqlalchemy.tenant-forgotten", True)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("DROP POLICY flaskware_tenant ON invoice"))
    assert {kind for kind, _ in findings()} == {
        "sqlalchemy.tenant-forgotten", "sqlalchemy.tenant-policy",
    }  # fmt: skip
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text(STATEMENTS[-1]))
    assert len(findings()) == 1


def test_the_doctor_finds_a_user_whom_no_policy_holds(postgresql_url, tmp_path):
    db = SQLAlchemy(model_class=Base)
    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI=postgresql_url)
    with app.app_context():
        db.create_all()
    found = {finding.id for finding in examine(app, deploy=True).findings}
    assert "sqlalchemy.tenant-user" in found


def test_a_tenant_is_an_id(shops):
    db, app = shops
    with app.app_context():
        for wrong in ("", "1'; DROP TABLE invoice; --", "a b", "x" * 201):
            with pytest.raises(ValueError, match="no id of a tenant"):
                db.tenant(wrong).__enter__()
        level = {"isolation_level": "AUTOCOMMIT"}
        with db.tenant(1), pytest.raises(SchemaUnusable, match="AUTOCOMMIT"):
            db.session.connection(execution_options=level)
        db.session.rollback()


def test_other_databases_refuse_a_tenant(tmp_path):
    db = SQLAlchemy(model_class=Base)
    app = make_app(db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://")
    with app.app_context():
        db.create_all()  # without the policy
        with db.tenant(1), pytest.raises(SchemaUnusable, match="PostgreSQL"):
            db.session.scalars(sa.select(Invoice)).all()
