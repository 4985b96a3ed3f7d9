"""Declarative base: names of tables and constraints, a metadata for each database."""

from __future__ import annotations

import re
import typing as t
import warnings

import sqlalchemy as sa
from sqlalchemy import orm

from .legacy_query import QueryProperty

BIND_KEY = "bind_key"
"""Key in ``metadata.info`` of the name of the database that a metadata describes."""

# Each database makes up other names for constraints that have none, so a migration
# could drop them on one database only. `_N_` stands for every column.
NAMING_CONVENTION: t.Final[dict[str, str]] = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BASES: tuple[type, ...] = (orm.DeclarativeBase, orm.DeclarativeBaseNoMeta)


class Metadatas(dict[str | None, sa.MetaData]):
    """The metadata of each database, made when a model or a table first needs it."""

    def __init__(self, default: sa.MetaData) -> None:
        super().__init__({None: default})
        default.info.setdefault(BIND_KEY, None)

    def __missing__(self, key: str | None) -> sa.MetaData:
        default = self[None]
        self[key] = made = sa.MetaData(
            info={BIND_KEY: key}, naming_convention=default.naming_convention
        )
        return made


class Model:
    """Mixin for your own declarative base, which gives models their names.

    Write ``class Base(Model, DeclarativeBase)``, or with ``MappedAsDataclass``
    between them. A model without a table name gets its class name in snake case. A
    model with ``__bind_key__`` is kept in the database of that name. Constraints are
    named by a convention, unless the base has its own ``metadata``.
    """

    __bind_key__: t.ClassVar[str | None] = None
    """The name of the model's database in ``SQLALCHEMY_BINDS``."""

    __autonaming__: t.ClassVar[bool] = True
    """False on a base: each model names its table itself."""

    __metadatas__: t.ClassVar[Metadatas]

    query: t.ClassVar[QueryProperty] = QueryProperty()
    """Deprecated: write ``db.session.scalars(db.select(Model))``."""

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        if any(base in cls.__bases__ for base in _BASES):
            _prepare_base(cls)
            super().__init_subclass__(**kwargs)
        elif "registry" in cls.__dict__ and not issubclass(cls, _BASES):
            super().__init_subclass__(**kwargs)  # made by `declarative_base(cls=Model)`
        elif hasattr(cls, "registry"):
            _prepare_metadata(cls)
            _name_table(cls)
            super().__init_subclass__(**kwargs)
            if issubclass(cls, _BASES):
                _forget_missing_table(cls)
        else:
            super().__init_subclass__(**kwargs)

    def __repr__(self) -> str:
        state = t.cast("orm.InstanceState[t.Any]", sa.inspect(self))
        name = type(self).__name__
        if state.identity is None:
            kind = "pending" if state.pending else "transient"
            return f"<{name} ({kind} {id(self)})>"
        return f"<{name} {', '.join(map(repr, state.identity))}>"


def model_base(
    base: type[object] | None, metadata: sa.MetaData | None, *, autonaming: bool = True
) -> type[Model]:
    """Return a declarative base that is a :class:`Model`.

    :param base: Returned if it is both; else extended, such as a mixin for all models.
    :param metadata: For a base that is made because none is given.
    :param autonaming: False if models name their tables themselves.
    :raises TypeError: if the base is no class, or has a name rule of its own.
    """
    own: dict[str, t.Any] = {} if autonaming else {"__autonaming__": False}
    if base is None:
        base = Model
    if not isinstance(t.cast("object", base), type):
        raise TypeError(
            f"model_class is {base!r}, which is not a class. Write"
            " `class Base(Model, DeclarativeBase): ...` and `model_class=Base`."
        )
    if not hasattr(base, "registry"):
        if metadata is not None:
            own["metadata"] = metadata
        parts: list[type[object]] = [base]
        if not issubclass(base, Model):
            parts.append(Model)
        parts.append(orm.DeclarativeBase)
        return t.cast("type[Model]", type("Base", tuple(parts), own))
    if metadata is not None:
        warnings.warn(
            "SQLAlchemy(metadata=…) is ignored, because model_class is a declarative"
            " base, which has its own. Write `metadata = …` in"
            f" {base.__name__}.",
            DeprecationWarning,
            stacklevel=3,
        )
    if issubclass(base, Model) and issubclass(base, _BASES):
        if not autonaming:
            raise TypeError(
                f"disable_autonaming has no effect on {base.__name__}. Write"
                " `__autonaming__ = False` in it."
            )
        return base
    bases: list[type[object]] = [base]
    if not issubclass(base, Model):
        bases.insert(0, Model)
    # `declarative_base()` maps a class in its metaclass, after __init_subclass__.
    kind: t.Any = type(base) if issubclass(base, _BASES) else _with_names(type(base))
    made = kind("Model", tuple(bases), {"__abstract__": True, **own})
    made.__metadatas__ = Metadatas(made.metadata)
    return t.cast("type[Model]", made)


def _with_names(meta: t.Any) -> t.Any:
    """Return a metaclass that also forgets the tables that models do not have."""

    def finish(cls: type, *args: t.Any, **kwargs: t.Any) -> None:
        meta.__init__(cls, *args, **kwargs)
        _forget_missing_table(cls)

    return type(meta.__name__, (meta,), {"__init__": finish})


def snake_case(name: str) -> str:
    """Turn ``HTTPLogEntry`` into ``http_log_entry``."""
    return _WORD_START.sub("_", name).lower()


def _prepare_base(cls: t.Any) -> None:
    registry: orm.registry | None = cls.__dict__.get("registry")
    metadata = getattr(cls, "metadata", None)
    if metadata is None:
        metadata = (
            registry.metadata
            if registry is not None
            else sa.MetaData(naming_convention=NAMING_CONVENTION)
        )
    cls.metadata = metadata
    cls.__metadatas__ = Metadatas(metadata)


def _prepare_metadata(cls: t.Any) -> None:
    if "__table__" in cls.__dict__:
        return
    # The nearest class that says where its tables are: this, a mixin or a parent.
    for base in cls.__mro__[: cls.__mro__.index(Model)]:
        if "metadata" in base.__dict__:
            return
        if "__bind_key__" in base.__dict__:
            cls.metadata = cls.__metadatas__[cls.__bind_key__]
            return


def _name_table(cls: t.Any) -> None:
    own = cls.__dict__
    if not cls.__autonaming__:
        return
    if own.get("__abstract__") or "__tablename__" in own or "__table__" in own:
        return
    inherits = False
    for base in cls.__mro__[1:]:
        if "__mapper__" in base.__dict__:
            inherits = True
        elif "__tablename__" in base.__dict__:
            return
    cls.__tablename__ = snake_case(cls.__name__)
    if inherits:
        # With a primary key of its own, it is joined-table inheritance. Only SQLAlchemy
        # knows if there is a key: it resolves annotations and mixins.
        cls.__table_cls__ = staticmethod(_table_with_key)


def _table_with_key(*args: t.Any, **kwargs: t.Any) -> sa.Table | None:
    has_key = any(
        isinstance(arg, sa.PrimaryKeyConstraint)
        or (isinstance(arg, sa.Column) and arg.primary_key)
        for arg in args
    )
    return sa.Table(*args, **kwargs) if has_key else None


def _forget_missing_table(cls: t.Any) -> None:
    # Single-table inheritance: the parent's table and its name show through again.
    if "__table_cls__" not in cls.__dict__:
        return
    type.__delattr__(cls, "__table_cls__")
    if cls.__dict__.get("__table__", cls) is None:
        type.__delattr__(cls, "__table__")
        type.__delattr__(cls, "__tablename__")
