from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa
from sqlalchemy import ForeignKey
from sqlalchemy import orm
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import DeclarativeBaseNoMeta
from sqlalchemy.orm import declared_attr
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import MappedAsDataclass

from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy._models.model import snake_case

Key = t.Annotated[int, mapped_column(primary_key=True)]
EmployeeKey = t.Annotated[
    int, mapped_column(ForeignKey("employee.id"), primary_key=True)
]


class Plain(Model, DeclarativeBase):
    pass


class NoMeta(Model, DeclarativeBaseNoMeta):
    pass


class Data(Model, MappedAsDataclass, DeclarativeBase):
    pass


class DataNoMeta(Model, MappedAsDataclass, DeclarativeBaseNoMeta):
    pass


def fresh_base():
    class Base(Model, DeclarativeBase):
        pass

    return Base


@pytest.mark.parametrize("base", [Plain, NoMeta, Data, DataNoMeta])
def test_every_kind_of_base_names_tables_and_binds(base):
    class OrderLine(base):
        id: Mapped[int] = mapped_column(primary_key=True)

    class AuditLine(base):
        __bind_key__ = "audit"
        id: Mapped[int] = mapped_column(primary_key=True)

    db = SQLAlchemy(model_class=base)
    assert OrderLine.__table__.fullname == "order_line"
    assert list(db.metadata.tables) == ["order_line"]
    assert list(db.metadatas["audit"].tables) == ["audit_line"]


def test_a_dataclass_model_keeps_its_constructor_and_options():
    class Point(Data, kw_only=True):
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        x: Mapped[int] = mapped_column(default=3)

    assert Point().x == 3
    assert Point(x=4) == Point(x=4)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("User", "user"),
        ("OrderLine", "order_line"),
        ("HTTPLogEntry", "http_log_entry"),
        ("UserID", "user_id"),
        ("FOO", "foo"),
        ("Level2Cache", "level2_cache"),
        ("already_snake", "already_snake"),
    ],
)
def test_a_class_name_becomes_snake_case(name, table):
    assert snake_case(name) == table


def test_an_explicit_name_or_table_is_kept():
    base = fresh_base()

    class Named(base):
        __tablename__ = "people"
        id: Mapped[Key]

    class Tabled(base):
        __table__ = sa.Table("t", base.metadata, sa.Column("id", primary_key=True))

    assert Named.__table__.name == "people"
    assert Tabled.__table__.name == "t"


def test_a_name_from_a_mixin_or_an_abstract_model_is_kept():
    base = fresh_base()

    class Prefixed:
        @declared_attr.directive
        def __tablename__(cls) -> str:
            return f"app_{cls.__name__.lower()}"

    class Abstract(base):
        __abstract__ = True
        id: Mapped[Key]

    class Mixed(Prefixed, base):
        id: Mapped[Key]

    class Concrete(Abstract):
        pass

    assert Mixed.__table__.name == "app_mixed"
    assert Concrete.__table__.name == "concrete"
    assert not hasattr(Abstract, "__table__")


def test_a_child_without_a_key_shares_its_parents_table():
    base = fresh_base()

    class Employee(base):
        id: Mapped[Key]
        kind: Mapped[str]
        __mapper_args__: t.ClassVar = {"polymorphic_on": "kind"}

    class Manager(Employee):
        level: Mapped[int | None]
        __mapper_args__: t.ClassVar = {"polymorphic_identity": "manager"}

    class Director(Manager):
        __mapper_args__: t.ClassVar = {"polymorphic_identity": "director"}

    assert Manager.__table__ is Director.__table__ is Employee.__table__
    assert Manager.__tablename__ == "employee"
    assert "level" in Employee.__table__.c
    assert list(base.metadata.tables) == ["employee"]


@pytest.mark.parametrize("by_annotation", [True, False])
def test_a_child_with_a_key_has_a_table_of_its_own(by_annotation):
    base = fresh_base()

    class Employee(base):
        id: Mapped[Key]

    if by_annotation:

        class Engineer(Employee):
            id: Mapped[EmployeeKey]

    else:

        class Engineer(Employee):
            id: Mapped[int] = mapped_column(ForeignKey("employee.id"), primary_key=True)

    assert Engineer.__table__.name == "engineer"
    assert Engineer.__mapper__.inherits is Employee.__mapper__


def test_a_child_with_an_explicit_name_and_no_key_is_told_so_by_sqlalchemy():
    base = fresh_base()

    class Employee(base):
        id: Mapped[Key]

    with pytest.raises(sa.exc.NoForeignKeysError, match="'manager'"):

        class Manager(Employee):
            __tablename__ = "manager"
            level: Mapped[int]


def test_a_model_without_a_key_is_told_so_by_sqlalchemy():
    with pytest.raises(sa.exc.ArgumentError, match="primary key"):

        class Keyless(fresh_base()):
            name: Mapped[str]


def test_a_bind_is_inherited():
    base = fresh_base()

    class Audited(base):
        __abstract__ = True
        __bind_key__ = "audit"

    class Entry(Audited):
        id: Mapped[Key]

    assert Entry.__table__.metadata is base.__metadatas__["audit"]


def test_constraints_are_named_by_the_convention():
    base = fresh_base()

    class Team(base):
        id: Mapped[Key]

    class Member(base):
        __table_args__ = (sa.UniqueConstraint("team_id", "name"),)
        id: Mapped[Key]
        team_id: Mapped[int] = mapped_column(ForeignKey("team.id"), index=True)
        name: Mapped[str]

    names = {constraint.name for constraint in Member.__table__.constraints}
    assert names == {
        "pk_member",
        "fk_member_team_id_team",
        "uq_member_team_id_name",
    }
    assert [index.name for index in Member.__table__.indexes] == ["ix_member_team_id"]


def test_a_metadata_that_is_passed_is_kept_with_its_own_convention():
    class Base(Model, DeclarativeBase):
        metadata = sa.MetaData(naming_convention={"pk": "key_%(table_name)s"})

    class Entry(Base):
        __bind_key__ = "audit"
        id: Mapped[Key]

    assert Entry.__table__.primary_key.name == "key_entry"
    assert "uq" not in Base.metadata.naming_convention


def test_a_registry_that_is_passed_is_kept():
    class Base(Model, DeclarativeBase):
        registry = orm.registry(metadata=sa.MetaData(schema="app"))

    assert Base.metadata is Base.registry.metadata
    assert Base.metadata.schema == "app"


def test_a_mixin_for_a_base_passes_its_metadata_on():
    class Common(Model):
        metadata = sa.MetaData(schema="app")

    class Base(Common, DeclarativeBase):
        pass

    class Entry(Base):
        id: Mapped[Key]

    assert Entry.__table__.fullname == "app.entry"


def test_a_name_that_a_mixin_computes_is_for_children_too():
    base = fresh_base()

    class Prefixed:
        @declared_attr.directive
        def __tablename__(cls) -> str:
            return f"app_{cls.__name__.lower()}"

    class Employee(Prefixed, base):
        id: Mapped[Key]

    class Engineer(Employee):
        id: Mapped[int] = mapped_column(ForeignKey("app_employee.id"), primary_key=True)

    assert Engineer.__table__.name == "app_engineer"


def test_repr_shows_the_primary_key(site):
    user = site.User(name="ada")
    assert repr(user) == f"<User (transient {id(user)})>"
    with site.app.app_context():
        site.db.session.add(user)
        assert repr(user) == f"<User (pending {id(user)})>"
        site.db.session.commit()
        assert repr(user) == "<User 1>"
    assert repr(user) == "<User 1>"


def test_a_table_made_by_hand_keeps_the_database_it_was_made_for():
    class Base(Model, DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)
    table = db.Table(
        "user", db.Column("id", db.Integer, primary_key=True), bind_key="a"
    )

    class User(Base):
        __bind_key__ = "b"
        __table__ = table

    assert User.__table__.metadata is db.metadatas["a"]
    assert "b" not in db.metadatas


class Stamped:
    stamp = sa.orm.mapped_column(sa.Integer, default=7)


@pytest.mark.parametrize(
    "base", [Stamped, type("Both", (Model, Stamped), {})], ids=["mixin", "model"]
)
def test_a_mixin_is_a_base_of_all_models(base):
    db = SQLAlchemy(model_class=base, metadata=sa.MetaData())
    assert db.Model.metadata.naming_convention == sa.MetaData().naming_convention

    class Late(db.Model):
        __abstract__ = True
        __bind_key__ = "other"

    class UserNote(Late):
        id = db.Column(db.Integer, primary_key=True)

    assert UserNote.__table__ is db.metadatas["other"].tables["user_note"]
    assert {"id", "stamp"} == set(UserNote.__table__.columns.keys())


@pytest.mark.parametrize("options", [{}, {"cls": Model}, {"cls": Stamped}])
def test_a_base_of_declarative_base_gets_names_and_databases(options):
    base = sa.orm.declarative_base(**options)
    db = SQLAlchemy(model_class=base)

    class UserNote(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        kind = db.Column(db.String(9))
        __mapper_args__: t.ClassVar = {
            "polymorphic_on": kind,
            "polymorphic_identity": "note",
        }

    class Memo(UserNote):
        __mapper_args__: t.ClassVar = {"polymorphic_identity": "memo"}

    class Letter(UserNote):
        id = db.Column(db.ForeignKey(UserNote.id), primary_key=True)
        __mapper_args__: t.ClassVar = {"polymorphic_identity": "letter"}

    class Entry(db.Model):
        __bind_key__ = "audit"
        id = db.Column(db.Integer, primary_key=True)

    assert db.metadata is base.metadata
    assert Memo.__table__ is UserNote.__table__ is db.metadata.tables["user_note"]
    assert Letter.__table__.name == "letter"
    assert Entry.__table__ is db.metadatas["audit"].tables["entry"]


def test_a_metadata_beside_a_base_is_ignored_with_a_warning():
    class Base(DeclarativeBase):
        pass

    with pytest.warns(DeprecationWarning, match=r"`metadata = …` in Base") as caught:
        db = SQLAlchemy(model_class=Base, metadata=sa.MetaData())
    assert db.metadata is Base.metadata
    assert caught[0].filename == __file__


def test_names_of_tables_can_be_left_to_the_models():
    db = SQLAlchemy(disable_autonaming=True)
    with pytest.raises(sa.exc.InvalidRequestError, match="__tablename__"):

        class User(db.Model):
            id = db.Column(db.Integer, primary_key=True)

    class Base(Model, DeclarativeBase):
        pass

    with pytest.raises(TypeError, match=r"`__autonaming__ = False` in it"):
        SQLAlchemy(model_class=Base, disable_autonaming=True)
