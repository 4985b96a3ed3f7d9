"""The names of SQLAlchemy, as attributes: ``db.select`` and ``db.Integer``."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm

# Flask-Admin knows Flask-SQLAlchemy by its class. It takes any other `db` object for a
# session, and asks it for these, for `session`, and for `delete` of an object.
_OF_SESSIONS: t.Final = frozenset(
    {"add", "commit", "flush", "get", "no_autoflush", "query", "rollback"}
)
_TESTS: t.Final = "`with db.test_isolation():` for a test that is undone"
# Names of Flask-SQLAlchemy 2 and 3, and what replaces each.
_REMOVED: t.Final = {
    "_make_scoped_session": _TESTS,
    "app": "`flask.current_app`",
    "apply_driver_hacks": "SQLALCHEMY_ENGINE_OPTIONS",
    "create_scoped_session": _TESTS,
    "create_session": "SQLAlchemy(session_options={…})",
    "get_app": "`flask.current_app`",
    "get_binds": "`db.engines`, by the name of the database",
    "get_tables_for_bind": "`db.metadatas[name].tables.values()`",
    "make_connector": "`db.get_engine(name)`",
    "make_declarative_base": "SQLAlchemy(model_class=Base)",
    "use_native_unicode": "nothing: text is always Unicode",
}


class SQLAlchemyNames:
    """The names of SQLAlchemy, so that a module of models needs one import.

    Type checkers know the common names. The others are looked up at run time.
    """

    Query: type[orm.Query[t.Any]]
    """The class of legacy queries."""

    ARRAY = sa.ARRAY
    BIGINT = sa.BIGINT
    BINARY = sa.BINARY
    BLOB = sa.BLOB
    BOOLEAN = sa.BOOLEAN
    BigInteger = sa.BigInteger
    Boolean = sa.Boolean
    CHAR = sa.CHAR
    CLOB = sa.CLOB
    CheckConstraint = sa.CheckConstraint
    Column = sa.Column
    ColumnDefault = sa.ColumnDefault
    Computed = sa.Computed
    Constraint = sa.Constraint
    DATE = sa.DATE
    DATETIME = sa.DATETIME
    DDL = sa.DDL
    DECIMAL = sa.DECIMAL
    DOUBLE = sa.DOUBLE
    Date = sa.Date
    DateTime = sa.DateTime
    Double = sa.Double
    Enum = sa.Enum
    FLOAT = sa.FLOAT
    FetchedValue = sa.FetchedValue
    Float = sa.Float
    ForeignKey = sa.ForeignKey
    ForeignKeyConstraint = sa.ForeignKeyConstraint
    INTEGER = sa.INTEGER
    Identity = sa.Identity
    Index = sa.Index
    Integer = sa.Integer
    Interval = sa.Interval
    JSON = sa.JSON
    LargeBinary = sa.LargeBinary
    MetaData = sa.MetaData
    NUMERIC = sa.NUMERIC
    Numeric = sa.Numeric
    PickleType = sa.PickleType
    PrimaryKeyConstraint = sa.PrimaryKeyConstraint
    REAL = sa.REAL
    Row = sa.Row
    SMALLINT = sa.SMALLINT
    Select = sa.Select
    Sequence = sa.Sequence
    SmallInteger = sa.SmallInteger
    String = sa.String
    TEXT = sa.TEXT
    TIME = sa.TIME
    TIMESTAMP = sa.TIMESTAMP
    Text = sa.Text
    Time = sa.Time
    TypeDecorator = sa.TypeDecorator
    UUID = sa.UUID
    Unicode = sa.Unicode
    UnicodeText = sa.UnicodeText
    UniqueConstraint = sa.UniqueConstraint
    Uuid = sa.Uuid
    VARBINARY = sa.VARBINARY
    VARCHAR = sa.VARCHAR

    and_ = staticmethod(sa.and_)
    asc = staticmethod(sa.asc)
    between = staticmethod(sa.between)
    case = staticmethod(sa.case)
    cast = staticmethod(sa.cast)
    collate = staticmethod(sa.collate)
    column = staticmethod(sa.column)
    desc = staticmethod(sa.desc)
    distinct = staticmethod(sa.distinct)
    exists = staticmethod(sa.exists)
    extract = staticmethod(sa.extract)
    false = staticmethod(sa.false)
    func = sa.func
    insert = staticmethod(sa.insert)
    inspect = staticmethod(sa.inspect)
    lateral = staticmethod(sa.lateral)
    literal = staticmethod(sa.literal)
    literal_column = staticmethod(sa.literal_column)
    not_ = staticmethod(sa.not_)
    null = staticmethod(sa.null)
    nulls_first = staticmethod(sa.nulls_first)
    nulls_last = staticmethod(sa.nulls_last)
    or_ = staticmethod(sa.or_)
    over = staticmethod(sa.over)
    select = staticmethod(sa.select)
    table = staticmethod(sa.table)
    text = staticmethod(sa.text)
    true = staticmethod(sa.true)
    tuple_ = staticmethod(sa.tuple_)
    type_coerce = staticmethod(sa.type_coerce)
    union = staticmethod(sa.union)
    union_all = staticmethod(sa.union_all)
    update = staticmethod(sa.update)
    values = staticmethod(sa.values)

    event = event
    Mapped = orm.Mapped
    aliased = staticmethod(orm.aliased)
    column_property = staticmethod(orm.column_property)
    composite = staticmethod(orm.composite)
    contains_eager = staticmethod(orm.contains_eager)
    defer = staticmethod(orm.defer)
    deferred = staticmethod(orm.deferred)
    joinedload = staticmethod(orm.joinedload)
    lazyload = staticmethod(orm.lazyload)
    load_only = staticmethod(orm.load_only)
    mapped_column = staticmethod(orm.mapped_column)
    noload = staticmethod(orm.noload)
    raiseload = staticmethod(orm.raiseload)
    selectinload = staticmethod(orm.selectinload)
    subqueryload = staticmethod(orm.subqueryload)
    synonym = staticmethod(orm.synonym)
    undefer = staticmethod(orm.undefer)
    validates = staticmethod(orm.validates)
    with_polymorphic = staticmethod(orm.with_polymorphic)

    if t.TYPE_CHECKING:
        delete = staticmethod(sa.delete)
        backref = staticmethod(orm.backref)
        relationship = staticmethod(orm.relationship)
    else:

        def relationship(self, *args, **options):
            return orm.relationship(*args, **self._with_query_class(options))

        def backref(self, name, **options):
            return orm.backref(name, **self._with_query_class(options))

        def delete(self, target):
            if sa.inspect(type(target), raiseerr=False) is None:
                return sa.delete(target)
            return self.session.delete(target)

        def dynamic_loader(self, argument=None, **options):
            return orm.dynamic_loader(
                argument, **{"query_class": self.Query, **options}
            )

        def _with_query_class(self, options):
            """Give a dynamic relationship the queries of ``Model.query``."""
            if isinstance(back := options.get("backref"), tuple):
                options["backref"] = (back[0], self._with_query_class(dict(back[1])))
            if options.get("lazy") == "dynamic":
                options.setdefault("query_class", self.Query)
            return options

        def __getattr__(self, name: str) -> t.Any:
            if name in _OF_SESSIONS:  # `orm.query` is a module
                return getattr(self.session, name)
            if not name.startswith("_"):
                for module in (sa, orm):
                    if hasattr(module, name):
                        return getattr(module, name)
            if name in _REMOVED:
                message = f"There is no `db.{name}`. Write {_REMOVED[name]}."
                raise AttributeError(message, name=name, obj=self)
            message = f"SQLAlchemy has no {name!r}"
            if hasattr(orm.Session, name):
                message += f"; sessions do: write `db.session.{name}`"
            raise AttributeError(message, name=name, obj=self)
